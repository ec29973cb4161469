package plugin

import (
	"context"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// revoker is a fosite.RevocationHandler that stands before the provider's own, which would take away what tells of which session a token is.
type revoker struct{ x *exchange }

var _ fosite.RevocationHandler = (*revoker)(nil)

// RevokeToken ends the session of an impersonation token or a return token: the portable way to stop. Every other token is left to the handlers
// behind it, and so is the row of this one.
func (r *revoker) RevokeToken(ctx context.Context, token string, _ fosite.TokenType, c fosite.Client) error {
	session, err := r.find(ctx, token)
	switch {
	case errors.Is(err, impersonation.ErrNotFound):
		return fosite.ErrUnknownRequest
	case err != nil:
		return fosite.ErrTemporarilyUnavailable.WithWrap(err).WithDebug(err.Error())
	case session.Client != c.GetID():
		return fosite.ErrUnauthorizedClient.WithHint("The token was not issued to this client (RFC 7009 section 2.1).")
	}
	_, err = r.x.End(ctx, impersonation.EndRequest{
		Scope: impersonation.ScopeSession, ID: session.ID, Reason: impersonation.EndRevoked,
		By: oauth.Party{Issuer: r.x.cfg.Issuer, Subject: session.Actor},
	})
	if err != nil {
		return fosite.ErrTemporarilyUnavailable.WithWrap(err).WithDebug(err.Error())
	}
	return nil
}

// find gives the session that a token belongs to. ErrNotFound of package impersonation.
func (r *revoker) find(ctx context.Context, token string) (impersonation.Session, error) {
	if len(token) == oauth.SecretLength {
		facts, err := r.x.cfg.Store.LoadStop(ctx, oauth.Secret(token).Hash())
		return facts.Session, err
	}
	read, err := r.x.read(ctx, token)
	if errors.Is(err, tokenexchange.ErrRefused) {
		return impersonation.Session{}, impersonation.ErrNotFound
	}
	if err != nil {
		return impersonation.Session{}, err
	}
	sid, acts := sessionID(read)
	if !acts {
		return impersonation.Session{}, impersonation.ErrNotFound
	}
	live, err := r.x.cfg.Store.LoadSession(ctx, sid)
	return live.Session, err
}

// WriteRevocationResponse writes the answer to what provider.NewRevocationRequest gave. It is the provider's own, but for a revocation that may not have
// happened: that is 503 with Retry-After, where fosite says 200 and a client would believe that the token is dead (RFC 7009 §2.2.1).
func WriteRevocationResponse(ctx context.Context, w http.ResponseWriter, provider fosite.OAuth2Provider, err error) {
	var rfc *fosite.RFC6749Error
	if err == nil || errors.As(err, &rfc) && rfc.CodeField < 500 {
		provider.WriteRevocationResponse(ctx, w, err)
		return
	}
	w.Header().Set("Retry-After", "5")
	writeJSON(w, http.StatusServiceUnavailable, map[string]string{
		"error": "temporarily_unavailable", "error_description": "Nobody knows whether the token is revoked; try again.",
	})
}
