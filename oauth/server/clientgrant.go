package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// grantClient is the grant_type of RFC 6749 §4.4.
const grantClient = "client_credentials"

// errReceiverTarget: a token to receive events is for the issuer.
var errReceiverTarget = &wireError{Status: http.StatusBadRequest, Code: "invalid_target", Description: "resource: with the scope " + ssf.Scope + " must be the issuer, or absent."}

var errNoService = &wireError{Status: http.StatusBadRequest, Code: "unauthorized_client", Description: "This client may not have tokens of its own."}

// clientCredentials gives a service or an agent a token that is about itself (RFC 6749 §4.4): the sub is oauth.ClientSubject, there is no
// login behind it, no ID token and no refresh token beside it. fosite's own handler would let any confidential client pass, and answers a
// public one invalid_grant.
type clientCredentials struct{ s *Server }

var _ fosite.TokenEndpointHandler = clientCredentials{}

// CanSkipClientAuth is false: who the client is makes all of the token.
func (clientCredentials) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool {
	return false
}

// CanHandleTokenEndpointRequest wants exactly this grant type: fosite splits grant_type on spaces.
func (clientCredentials) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(grantClient)
}

// HandleTokenEndpointRequest decides what the token will say.
func (g clientCredentials) HandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) error {
	c, ok := r.GetClient().(*client)
	if ok && !c.Public && r.GetRequestForm().Get("scope") == ssf.Scope {
		return g.toReceive(r, c)
	}
	if !ok || c.Public || c.Settings.Service == "" {
		return errNoService
	}
	resource, err := pickResource(c, r.GetRequestForm()["resource"])
	if err != nil {
		return err
	}
	scope, err := g.s.ownScope(c, resource, r.GetRequestForm())
	if err != nil {
		return err
	}
	for _, token := range scope {
		r.GrantScope(token)
	}
	r.SetSession(&TokenSession{Claims: tokens.Claims{Subject: oauth.ClientSubject(c.ID), Audience: resource}})
	return nil
}

// toReceive is for the token by which a client hears of its own sessions: about no resource, but for us. Each client that has a secret or a
// key may have it, whether it acts or not.
func (g clientCredentials) toReceive(r fosite.AccessRequester, c *client) error {
	if asked := r.GetRequestForm()["resource"]; len(asked) > 1 || len(asked) == 1 && asked[0] != g.s.issuer {
		return errReceiverTarget
	}
	r.GrantScope(ssf.Scope)
	r.SetSession(&TokenSession{Claims: tokens.Claims{Subject: oauth.ClientSubject(c.ID), Audience: g.s.issuer}})
	return nil
}

// PopulateTokenEndpointResponse records the token, then signs it.
func (g clientCredentials) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, resp fosite.AccessResponder) error {
	session, ok := r.GetSession().(*TokenSession)
	if !ok || !g.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	sign := strategy(g)
	c := sign.complete(ctx, r, session)
	err := g.s.store.CreateClientGrant(ctx, store.Grant{
		ID: oauth.NewID("grt"), Client: c.ClientID, Scope: c.Scope, Audience: c.Audience, Created: c.IssuedAt, JTI: c.ID, Issued: c.IssuedAt,
		Expires: c.Expires, Key: c.Key,
	})
	if errors.Is(err, impersonation.ErrChanged) { // removed or killed
		return errNoService
	}
	if err != nil {
		return err
	}
	token, _, err := sign.GenerateAccessToken(ctx, r)
	if err != nil {
		return err
	}
	resp.SetAccessToken(token)
	resp.SetTokenType(tokenType(c.Key))
	resp.SetScopes(c.Scope)
	return nil
}

// ownScope is what c gets for itself at resource of what it asked for: nothing that is about a person, and of the never-list only the scope that
// makes it an actor, which it must ask for by name. Who asks for nothing gets all else that it has.
func (s *Server) ownScope(c *client, resource string, f url.Values) ([]string, error) {
	want, err := oauth.ParseScope(f.Get("scope"))
	if err != nil {
		return nil, errScopeSyntax
	}
	if !f.Has("resource") && !s.oneResource(c, want) {
		return nil, errScopeMixed
	}
	have := slices.DeleteFunc(slices.Clone(c.Scopes), func(scope string) bool { return !s.mayOwn(scope) || !s.meansAt(resource, scope) })
	if want == nil {
		want = slices.DeleteFunc(slices.Clone(have), func(scope string) bool { return scope == oauth.ScopeImpersonate })
		return oauth.IntersectScope(want, have), nil
	}
	granted := oauth.IntersectScope(want, have)
	if len(granted) == 0 {
		return nil, errNoScope
	}
	return granted, nil
}

// mayOwn tells whether a token that is no person's may have scope.
func (s *Server) mayOwn(scope string) bool {
	switch scope {
	case oauth.ScopeOpenID, "profile", "email", "roles", oauth.ScopeOfflineAccess, oauth.ScopeImpersonationWrite:
		return false
	case oauth.ScopeImpersonate:
		return true
	}
	return s.registry.ClassOf(scope) != policy.ScopeNever
}
