package server

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// grantRefresh is the grant_type of RFC 6749 §6.
const grantRefresh = "refresh_token"

var (
	errNoRefresh  = &wireError{Status: http.StatusBadRequest, Code: "unauthorized_client", Description: "This client has no refresh tokens."}
	errScopeWider = &wireError{Status: http.StatusBadRequest, Code: "invalid_scope", Description: "scope: goes beyond what was granted (RFC 6749 section 6)."}
	errNotGranted = &wireError{Status: http.StatusBadRequest, Code: "invalid_target", Description: "resource: goes beyond what was granted (RFC 8707 section 2.2)."}
)

// refreshTokens renews the tokens of a sign-in (RFC 6749 §6). A refresh token is there beside every access token that a code or a refresh
// gave to a client of that setting, and beside no other: an exchange yields none (RFC 8693 §2.2.1), since an impersonation does not slide
// and what a stop gives back is for what was left. It works once. Its reuse by its own client ends all that came of the same code (RFC
// 9700 §4.14.2). It ends with the login, and when it was not used for as long as an idle login lasts.
//
// The scope offline_access is not granted and not announced: no token here outlives its login, so nobody is offline, and what the scope
// would promise is a setting of the client (OpenID Connect Core §11 lets a server give refresh tokens without it).
//
// fosite's own handler rotates by three writes, which are one only in a store that hands out transactions: between them a second
// redemption, or a sign-out, passes. Ours is one guarded write.
type refreshTokens struct{ s *Server }

var _ fosite.TokenEndpointHandler = refreshTokens{}

// CanSkipClientAuth is false: a public client gives its id.
func (refreshTokens) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest wants exactly this grant type: fosite splits grant_type on spaces.
func (refreshTokens) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(grantRefresh)
}

// HandleTokenEndpointRequest checks all that can be checked before the refresh token is spent.
func (h refreshTokens) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	c, ok := r.GetClient().(*client)
	f := r.GetRequestForm()
	switch {
	case !ok || !c.Settings.Refresh:
		return errNoRefresh
	case !f.Has("refresh_token"):
		return invalidRequest("refresh_token", "is required (RFC 6749 section 6)")
	}
	was, user, err := h.s.refreshable(ctx, c, oauth.Secret(f.Get("refresh_token")))
	if err != nil {
		return err
	}
	if !mayTarget(was.Audience, f["resource"]) {
		return errNotGranted
	}
	scope, err := h.s.narrowed(c, user, was, f.Get("scope"))
	if err != nil {
		return err
	}
	for _, token := range scope {
		r.GrantScope(token)
	}
	r.SetSession(&TokenSession{
		Claims: tokens.Claims{Subject: was.Name(), Audience: was.Audience, Session: was.Login, AuthTime: was.AuthTime, ACR: was.ACR, AMR: was.AMR},
		user:   was.User, was: &was,
	})
	return nil
}

// refreshable finds the grant of a refresh token that c may redeem now, and its user; whether it is revoked the one write asks. The order matters: reuse counts only once the
// client and the key have shown that the token is theirs, or a stranger could end sign-ins.
func (s *Server) refreshable(ctx context.Context, c *client, token oauth.Secret) (g store.Grant, user directory.User, err error) {
	g, err = s.store.GrantByRefresh(ctx, token.Hash())
	if errors.Is(err, store.ErrNotFound) || err == nil && g.Client != c.ID {
		return g, user, errGrant
	}
	if err != nil {
		return g, user, err
	}
	if err := checkRefreshKey(c, g.Key, redemptionOf(ctx).key); err != nil {
		return g, user, err
	}
	if !g.RefreshUsed.IsZero() {
		return g, user, s.reused(ctx, g)
	}
	if s.clock().Sub(g.Issued) >= s.life.LoginIdle { // RFC 9700 §4.14.2
		return g, user, errGrant
	}
	if alive, err := s.loginAlive(ctx, g.Login); err != nil {
		return g, user, err
	} else if !alive {
		return g, user, errGrant
	}
	user, err = s.store.Get(ctx, g.User)
	if errors.Is(err, directory.ErrNotFound) || err == nil && (!user.Enabled || s.nameFor(c, user) != g.Name()) {
		err = errGrant
	}
	return g, user, err
}

// checkRefreshKey holds a refresh token that is bound to a key to who has that key. A client that authenticates is bound by that, and may
// come with another key (RFC 9449 §5), but not with none.
func checkRefreshKey(c *client, bound, proven string) error {
	if !c.Public && proven != "" {
		return nil
	}
	return checkKey(bound, proven)
}

// reused answers a refresh token that comes again: somebody has a copy, and nobody can tell who.
func (s *Server) reused(ctx context.Context, g store.Grant) error {
	revoked, err := s.store.RevokeFamily(ctx, g.Family, s.revocation(ctx, audit.KindReuse, g))
	if err != nil {
		return err
	}
	if revoked {
		s.log.WarnContext(ctx, "a refresh token came again: its sign-in is revoked at this client", "client", g.Client, "user", g.User, "login", g.Login,
			"request_id", requestID(ctx))
	}
	return errGrant
}

// mayTarget reports whether the resource parameters stay within a grant for audience (RFC 8707 §2.2).
func mayTarget(audience string, asked []string) bool {
	return len(asked) == 0 || len(asked) == 1 && asked[0] == audience
}

// narrowed is what was granted, or the part of it that was asked for, as far as the user could still get it.
func (s *Server) narrowed(c *client, user directory.User, was store.Grant, asked string) ([]string, error) {
	want, err := oauth.ParseScope(asked)
	if err != nil {
		return nil, errScopeSyntax
	}
	if want == nil {
		want = was.Scope
	}
	if slices.ContainsFunc(want, func(scope string) bool { return !slices.Contains(was.Scope, scope) }) {
		return nil, errScopeWider
	}
	return oauth.IntersectScope(s.grantable(user, was.Audience, want), c.Scopes), nil
}

// PopulateTokenEndpointResponse spends the refresh token and records what follows, then signs.
func (h refreshTokens) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, resp fosite.AccessResponder) error {
	session, ok := r.GetSession().(*TokenSession)
	if !ok || session.was == nil || !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	if err := h.s.nameActor(ctx, r.GetClient(), session); err != nil {
		return err
	}
	sign, next := strategy(h), oauth.NewSecret()
	c := sign.complete(ctx, r, session)
	if err := h.s.refresh(ctx, *session.was, following(*session.was, *c, next)); err != nil {
		return err
	}
	token, _, err := sign.GenerateAccessToken(ctx, r)
	if err != nil {
		return err
	}
	resp.SetAccessToken(token)
	resp.SetTokenType(tokenType(c.Key))
	resp.SetScopes(c.Scope)
	resp.SetExtra("refresh_token", string(next))
	if !slices.Contains(c.Scope, oauth.ScopeOpenID) {
		return nil
	}
	id, err := sign.GenerateIDToken(ctx, 0, r) // without a nonce (OpenID Connect Core §12.2): there was no new request
	if err != nil {
		return err
	}
	resp.SetExtra("id_token", id)
	return nil
}

// following is the grant that comes after was. Its scope stays that of the family, whatever this one access token has of it (RFC 6749 §6).
func following(was store.Grant, c tokens.Claims, next oauth.Secret) store.Grant {
	return store.Grant{
		ID: oauth.NewID("grt"), Client: was.Client, User: was.User, Subject: was.Subject, Login: was.Login, Scope: was.Scope, Audience: was.Audience,
		AuthTime: was.AuthTime, ACR: was.ACR, AMR: was.AMR, Created: c.IssuedAt, JTI: c.ID, Issued: c.IssuedAt, Expires: c.Expires, Key: c.Key,
		Family: was.Family, RefreshHash: next.Hash(), RefreshExpires: was.RefreshExpires,
	}
}

// refresh writes, and looks where the outcome is unknown: the client cannot send again what may be spent.
func (s *Server) refresh(ctx context.Context, was, next store.Grant) error {
	w := store.RefreshWrite{Write: impersonation.Write{RequestID: requestID(ctx), Now: s.clock()}, Refresh: was.RefreshHash, Next: next}
	err := s.store.Refresh(ctx, w)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrSpent): // at the same moment
		return s.reused(ctx, was)
	case errors.Is(err, impersonation.ErrChanged), errors.Is(err, store.ErrNotFound):
		return errGrant
	}
	if _, lost := s.store.GrantByRefresh(ctx, next.RefreshHash); lost == nil {
		return nil
	}
	return err
}

// firstRefresh adds a refresh token to what a code gives, and keeps it for the answer.
func (st storage) firstRefresh(ctx context.Context, t *store.Token) error {
	red := redemptionOf(ctx)
	if red.grant == nil {
		return errors.New("a refresh token outside a redemption")
	}
	login, err := st.s.store.Login(ctx, red.grant.Login)
	if err != nil {
		return err
	}
	red.refresh = oauth.NewSecret()
	t.Refresh, t.RefreshExpires = red.refresh.Hash(), login.Expires
	return nil
}
