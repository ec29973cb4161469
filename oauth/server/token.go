package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// exchangeRules lets the two parameters through that RFC 8693 §2.1 allows to repeat: the handler answers invalid_target for them.
var exchangeRules = form.Rules{Repeatable: []string{"resource", "audience"}, Multiline: []string{oauth.ParamReason}}

// required is what a grant is made of, without which there is nothing to look at.
var required = map[string]string{"authorization_code": "code", grantRefresh: "refresh_token"}

// token is POST /oauth2/token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	c, f, err := s.clientForm(w, r, exchangeRules)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	switch f.Get("grant_type") {
	case "authorization_code", grantRefresh, grantClient, oauth.GrantTypeTokenExchange:
	case "":
		s.writeError(w, r, invalidRequest("grant_type", "is required (RFC 6749 section 4.1.3)"))
		return
	default: // fosite would call it invalid_request
		s.writeError(w, r, &wireError{Status: http.StatusBadRequest, Code: "unsupported_grant_type", Description: "grant_type: is not supported here."})
		return
	}
	if name := required[f.Get("grant_type")]; name != "" && !f.Has(name) { // fosite would call it invalid_grant
		s.writeError(w, r, invalidRequest(name, "is required (RFC 6749 section 5.2)"))
		return
	}
	// Before anything is spent on a token that could not be made. An exchange gives no ID token, and a stop works without such a key.
	if f.Get("grant_type") != oauth.GrantTypeTokenExchange && !s.keys().Signs(idTokenAlg(c)) {
		s.writeError(w, r, errUnavailable)
		return
	}
	if err := s.mayMake(r, c, f); err != nil {
		s.writeError(w, r, err)
		return
	}
	ctx := context.WithValue(r.Context(), clientKey, c)
	ctx, red := withRedemption(ctx)
	ctx, rec := withRecorded(ctx)
	answer, err := s.grant(ctx, r, c, red)
	if err != nil {
		s.afterFailure(ctx, c, f.Get("grant_type"), red, rec, err)
		s.writeError(w, r, err)
		return
	}
	noStore(w.Header())
	writeJSON(w, http.StatusOK, answer.ToMap())
}

func (s *Server) grant(ctx context.Context, r *http.Request, c *client, red *redemption) (fosite.AccessResponder, error) {
	if f := r.PostForm; f.Get("grant_type") == oauth.GrantTypeTokenExchange {
		if !c.exchanges() { // before its proof is spent, which is a write
			return nil, errNoExchange
		}
		if err := exchangeForm(f); err != nil {
			return nil, err
		}
	}
	key, err := s.provenKey(r, c)
	if err != nil {
		return nil, err
	}
	red.key, red.resource = key, r.PostForm["resource"]
	ctx = tokenexchange.WithKey(ctx, key)
	req, err := s.provider.NewAccessRequest(ctx, r, new(TokenSession))
	if err != nil {
		return nil, err
	}
	resp, err := s.provider.NewAccessResponse(ctx, req)
	if err != nil {
		return nil, err
	}
	session, ok := req.GetSession().(*TokenSession)
	if !ok {
		return nil, errors.New("the session is not ours")
	}
	if refresh := redemptionOf(ctx).refresh; refresh != "" {
		resp.SetExtra("refresh_token", string(refresh))
	}
	resp.SetTokenType(tokenType(session.Claims.Key))
	resp.SetExpiresIn(session.Claims.Expires.Sub(s.clock())) // fosite reckons by its own clock
	return resp, nil
}

// afterFailure keeps what a failed request must leave behind: a code that is dead (RFC 6749 §4.1.2, so that nobody may guess at
// its redirect_uri or verifier), no session that nobody has a token of, and a refused exchange on record. Not a public client's: anybody
// can give its id; and not the demand for a nonce, which refuses nobody.
func (s *Server) afterFailure(ctx context.Context, c *client, grantType string, red *redemption, rec *recorded, err error) {
	if red.grant != nil && !red.spent && red.grant.CodeUsed.IsZero() {
		if err := s.store.SpendCode(context.WithoutCancel(ctx), red.grant.CodeHash, s.clock()); err != nil {
			s.log.WarnContext(ctx, "a code whose redemption failed could not be spent", "request_id", requestID(ctx), "error", err)
		}
	}
	if red.started != "" {
		s.endUnsigned(ctx, red.started)
	}
	if grantType == oauth.GrantTypeTokenExchange && !c.Public && !rec.done && toWire(err).Status < 500 && !errors.Is(err, errProofNonce) {
		rule := toWire(err).Description
		var rfc *fosite.RFC6749Error
		if errors.As(err, &rfc) && rfc.DebugField != "" {
			rule = rfc.DebugField
		}
		s.service.Refused(ctx, c.ID, "", rule, requestID(ctx))
	}
}

// endUnsigned ends a session whose start is on record and whose token could not be signed. If the store fails too, the session lives
// until it is idle or the actor's next start takes its place, and whoever looks at it can end it; no token of it was ever given.
func (s *Server) endUnsigned(ctx context.Context, sid string) {
	r := impersonation.EndRequest{
		Scope: impersonation.ScopeSession, ID: sid, Reason: impersonation.EndRevoked, Note: "its token could not be signed", RequestID: requestID(ctx),
	}
	if _, err := s.service.End(context.WithoutCancel(ctx), r); err != nil {
		s.log.ErrorContext(ctx, "a session whose token could not be signed goes on", "session", sid, "request_id", requestID(ctx), "error", err)
	}
}

// recorded tells whether the rules put a refusal on record themselves.
type recorded struct{ done bool }

func withRecorded(ctx context.Context) (context.Context, *recorded) {
	rec := new(recorded)
	return context.WithValue(ctx, recordedKey, rec), rec
}

func markRecorded(ctx context.Context) {
	if rec, ok := ctx.Value(recordedKey).(*recorded); ok {
		rec.done = true
	}
}
