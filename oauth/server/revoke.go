package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/store"
)

var errForeignToken = &wireError{Status: http.StatusBadRequest, Code: "unauthorized_client", Description: "token: was not issued to this client (RFC 7009 section 2.1)."}

// revoke is POST /oauth2/revoke (RFC 7009), the portable way to stop: revoking an impersonation token, or the return token that
// came with it, ends the session. What is unknown or over already is 200; a store that fails is 503 and never 200.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	c, f, err := s.clientForm(w, r, form.Rules{})
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	if !f.Has("token") {
		s.writeError(w, r, invalidRequest("token", "is required (RFC 7009 section 2.1)"))
		return
	}
	if err := s.revokeToken(r.Context(), c, f.Get("token")); err != nil {
		s.writeError(w, r, err)
		return
	}
	noStore(w.Header())
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revokeToken(ctx context.Context, c *client, token string) error {
	if len(token) == oauth.SecretLength {
		return s.revokeSecret(ctx, c, oauth.Secret(token))
	}
	claims, err := s.verifyToEnd(token)
	switch {
	case errors.Is(err, errUnavailable):
		return err
	case err != nil:
		return nil // RFC 7009 §2.2: nothing to do is success
	case claims.ClientID != c.ID:
		return errForeignToken
	case claims.Act != nil:
		return s.revokeSession(ctx, c, claims.Session)
	}
	g, err := s.store.GrantByJTI(ctx, claims.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case g.Client != c.ID:
		return errForeignToken
	}
	_, err = s.store.RevokeGrant(ctx, g.ID, s.revocation(ctx, audit.KindRevoke, g))
	return err
}

// revokeSession ends the session that a token names, if it is of this client: by a stolen key, since revoked, anybody could have
// written its name.
func (s *Server) revokeSession(ctx context.Context, c *client, sid string) error {
	session, err := s.store.Session(ctx, sid)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.endRevoked(ctx, c, session)
}

// revokeSecret revokes a refresh token, and with it all that came of the same code, or a return token.
func (s *Server) revokeSecret(ctx context.Context, c *client, token oauth.Secret) error {
	g, err := s.store.GrantByRefresh(ctx, token.Hash())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.revokeReturn(ctx, c, token)
	case err != nil:
		return err
	case g.Client != c.ID:
		return errForeignToken
	}
	_, err = s.store.RevokeFamily(ctx, g.Family, s.revocation(ctx, audit.KindRevoke, g))
	return err
}

// revocation is what the revocation of a grant, or of its family, puts on record.
func (s *Server) revocation(ctx context.Context, kind audit.Kind, g store.Grant) impersonation.Write {
	now := s.clock()
	e := audit.New(kind, now)
	e.Actor, e.Client, e.Request = oauth.Party{Issuer: s.issuer, Subject: g.User}, g.Client, requestID(ctx)
	if g.User == "" {
		e.Actor.Subject = oauth.ClientSubject(g.Client)
	}
	e.Set("grant", g.ID)
	e.Set("jti", g.JTI)
	e.Set("login", g.Login)
	e.Set("family", g.Family)
	return impersonation.Write{Entries: []audit.Entry{e}, RequestID: requestID(ctx), Now: now}
}

func (s *Server) revokeReturn(ctx context.Context, c *client, token oauth.Secret) error {
	facts, err := s.store.LoadStop(ctx, token.Hash())
	switch {
	case errors.Is(err, impersonation.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return s.endRevoked(ctx, c, facts.Session)
}

func (s *Server) endRevoked(ctx context.Context, c *client, session impersonation.Session) error {
	if session.Client != c.ID {
		return errForeignToken
	}
	_, err := s.service.End(ctx, impersonation.EndRequest{
		Scope: impersonation.ScopeSession, ID: session.ID, Reason: impersonation.EndRevoked,
		By: oauth.Party{Issuer: s.issuer, Subject: session.Actor}, RequestID: requestID(ctx),
	})
	return err
}
