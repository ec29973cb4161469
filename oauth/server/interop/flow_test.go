package interop_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

// started is one impersonation of john by ann, by zitadel's exchange client.
type started struct {
	browser *chaos.Browser
	actor   *oauth2.Token
	answer  *oidc.TokenExchangeResponse
	all     map[string]any // the whole answer
}

func (h *house) start(mode string) started {
	h.t.Helper()
	b, actor := h.signIn()
	ticket, verifier := h.ticket(b, mode)
	transport := &addVerifier{verifier: verifier}
	te, err := tokenexchange.NewTokenExchangerClientCredentials(h.t.Context(), h.issuer, "app", h.appSecret,
		tokenexchange.WithHTTPClient(&http.Client{Transport: transport}))
	must(h.t, err)
	answer, err := tokenexchange.ExchangeToken(h.t.Context(), te, ticket, ticketType, actor.AccessToken, accessToken, nil, nil, nil, accessToken)
	must(h.t, err)
	return started{b, actor, answer, transport.json(h.t)}
}

// TestSignIn: x/oauth2 redeems the code, zitadel verifies the ID token with its nonce and at_hash.
func TestSignIn(t *testing.T) {
	t.Parallel()
	h := setup(t)
	_, token := h.signIn()
	idToken, _ := token.Extra("id_token").(string)
	claims, err := rp.VerifyTokens[*oidc.IDTokenClaims](t.Context(), token.AccessToken, idToken, h.app.IDTokenVerifier())
	must(t, err)
	if claims.Subject != "ann" || claims.Nonce != "nonce-12345" || claims.AccessTokenHash == "" || claims.GetAuthTime().IsZero() {
		t.Errorf("ID token = %+v; want ann, our nonce, at_hash and auth_time", claims)
	}
	another := rp.NewIDTokenVerifier(h.issuer, "app", h.app.IDTokenVerifier().KeySet, rp.WithSupportedSigningAlgorithms("ES256"),
		rp.WithNonce(func(context.Context) string { return "another" }))
	if _, err := rp.VerifyTokens[*oidc.IDTokenClaims](t.Context(), token.AccessToken, idToken, another); !errors.Is(err, oidc.ErrNonceInvalid) {
		t.Errorf("with another nonce: got %v; want %v", err, oidc.ErrNonceInvalid)
	}
	info, err := rp.Userinfo[*oidc.UserInfo](t.Context(), token.AccessToken, token.TokenType, claims.Subject, h.app)
	must(t, err)
	if info.Name != "Ann Admin" || info.Email != "ann@acme.test" || info.Claims["act"] != nil {
		t.Errorf("userinfo = %+v; want Ann without act", info)
	}
	if token.RefreshToken != "" {
		t.Error("got a refresh token; want none")
	}
}

// TestDiscovery: zitadel reads the document, and what it says is where the flow goes.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	h := setup(t)
	d, err := client.Discover(t.Context(), h.issuer, http.DefaultClient)
	must(t, err)
	got := []string{d.Issuer, d.AuthorizationEndpoint, d.TokenEndpoint, d.IntrospectionEndpoint, d.RevocationEndpoint, d.UserinfoEndpoint, d.JwksURI}
	want := []string{h.issuer, h.issuer + "/oauth2/auth", h.issuer + "/oauth2/token", h.issuer + "/oauth2/introspect", h.issuer + "/oauth2/revoke", h.issuer + "/userinfo", h.issuer + "/oauth2/jwks"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ES256", "RS256"}, d.IDTokenSigningAlgValuesSupported); diff != "" {
		t.Errorf("id_token_signing_alg_values_supported, -want +got:\n%s", diff)
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		resp, err := http.Get(h.issuer + path)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s", path, resp.Status)
		}
	}
}

// TestStart is a start by zitadel's exchange client, whose token go-jose verifies: the header and the claims of RFC 9068, with
// sid, txn and act, and nothing else.
func TestStart(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for mode, scope := range map[string]string{
		"read":  "app:read email openid profile roles",
		"write": "app:read app:write email impersonation:write openid profile roles",
	} {
		s := h.start(mode)
		header, claims := h.verify(s.answer.AccessToken)
		if diff := cmp.Diff(map[string]any{"typ": "at+jwt", "alg": "ES256", "kid": header["kid"]}, header); diff != "" || header["kid"] == "" {
			t.Errorf("%s: header, -want +got:\n%s", mode, diff)
		}
		about, _ := s.all["understudy_session"].(map[string]any)
		iat, exp := whole(t, claims, "iat"), whole(t, claims, "exp")
		want := map[string]any{
			"iss": h.issuer, "sub": "john", "aud": resource, "client_id": "app", "scope": scope, "sid": about["id"],
			"act": map[string]any{"iss": h.issuer, "sub": "ann"},
			// These are checked below.
			"iat": claims["iat"], "exp": claims["exp"], "jti": claims["jti"], "txn": claims["txn"],
		}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("%s: claims, -want +got:\n%s", mode, diff)
		}
		if life := exp - iat; life > 1800 || life < 1798 {
			t.Errorf("%s: exp - iat = %d s; want 30 minutes", mode, life)
		}
		for name, prefix := range map[string]string{"jti": "tok_", "sid": "imp_", "txn": "aud_"} {
			if v, _ := claims[name].(string); !strings.HasPrefix(v, prefix) {
				t.Errorf("%s: %s = %q; want %s…", mode, name, v, prefix)
			}
		}
		h.checkAnswer(s, mode, scope, exp)
	}
}

// checkAnswer holds the token answer to RFC 8693 §2.2.1 and to the members that we add.
func (h *house) checkAnswer(s started, mode, scope string, exp int64) {
	h.t.Helper()
	a := s.answer
	if a.IssuedTokenType != accessToken || a.TokenType != "Bearer" || strings.Join(a.Scopes, " ") != scope || a.RefreshToken != "" || a.IDToken != "" {
		h.t.Errorf("%s: answer = %+v; want an access token for %q, no refresh token, no ID token", mode, a, scope)
	}
	about := s.all["understudy_session"].(map[string]any)
	want := map[string]any{
		"id": about["id"], "mode": mode, "expires_at": time.Unix(exp, 0).UTC().Format(time.RFC3339),
		"subject": map[string]any{"sub": "john", "name": "John Doe", "email": "john@acme.test", "roles": []any{"user"}, "organisation": "acme"},
		"actor":   map[string]any{"sub": "ann", "name": "Ann Admin", "email": "ann@acme.test"},
	}
	if diff := cmp.Diff(want, about); diff != "" {
		h.t.Errorf("%s: understudy_session, -want +got:\n%s", mode, diff)
	}
	want = map[string]any{}
	for _, name := range []string{"access_token", "issued_token_type", "token_type", "expires_in", "scope", "understudy_return_token", "understudy_return_token_expires_in", "understudy_session"} {
		want[name] = s.all[name]
	}
	if diff := cmp.Diff(want, s.all); diff != "" {
		h.t.Errorf("%s: members of the answer, -want +got:\n%s", mode, diff)
	}
}

// verify checks a token's signature with go-jose, against the keys that the server publishes, and gives what it says.
func (h *house) verify(token string) (header, claims map[string]any) {
	h.t.Helper()
	resp, err := http.Get(h.issuer + "/oauth2/jwks")
	must(h.t, err)
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	must(h.t, json.NewDecoder(resp.Body).Decode(&set))
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	must(h.t, err)
	found := set.Key(jws.Signatures[0].Header.KeyID)
	if len(found) != 1 || !found[0].IsPublic() || found[0].Use != "sig" {
		h.t.Fatalf("keys of kid %q: got %v; want one, public, for signatures", jws.Signatures[0].Header.KeyID, found)
	}
	payload, err := jws.Verify(found[0])
	must(h.t, err)
	return object(h.t, decode(h.t, token)), object(h.t, payload)
}

// TestIntrospection is by zitadel's resource server, as the API, and again member by member.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	h := setup(t)
	s := h.start("read")
	api, err := rs.NewResourceServerClientCredentials(t.Context(), h.issuer, "api", h.apiSecret)
	must(t, err)
	got, err := rs.Introspect[*oidc.IntrospectionResponse](t.Context(), api, s.answer.AccessToken)
	must(t, err)
	if !got.Active || got.Subject != "john" || got.Actor == nil || got.Actor.Subject != "ann" || got.Actor.Issuer != h.issuer || got.Actor.Actor != nil {
		t.Errorf("introspection = %+v; want john, and ann in act", got)
	}
	_, all := h.post("/oauth2/introspect", "api", h.apiSecret, url.Values{"token": {s.answer.AccessToken}})
	_, want := h.verify(s.answer.AccessToken)
	want["active"], want["token_type"] = true, "Bearer"
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("members, -claims of the token +got:\n%s", diff)
	}

	got, err = rs.Introspect[*oidc.IntrospectionResponse](t.Context(), api, s.answer.AccessToken+"x")
	must(t, err)
	if got.Active {
		t.Error("a token with another signature is active")
	}
}

// TestUserinfo: the subject's claims, and who acts, with their name.
func TestUserinfo(t *testing.T) {
	t.Parallel()
	h := setup(t)
	s := h.start("read")
	info, err := rp.Userinfo[*oidc.UserInfo](t.Context(), s.answer.AccessToken, s.answer.TokenType, "john", h.app)
	must(t, err)
	if info.Name != "John Doe" || info.Email != "john@acme.test" {
		t.Errorf("userinfo = %+v; want John's", info)
	}
	want := map[string]any{"iss": h.issuer, "sub": "ann", "name": "Ann Admin", "email": "ann@acme.test"}
	if diff := cmp.Diff(want, info.Claims["act"]); diff != "" {
		t.Errorf("act, -want +got:\n%s", diff)
	}
}

// TestStop is by plain HTTP: the answer is the admin's own token again, and the impersonation is dead.
func TestStop(t *testing.T) {
	t.Parallel()
	h := setup(t)
	s := h.start("read")
	form := url.Values{"grant_type": {grant}, "subject_token": {s.all["understudy_return_token"].(string)}, "subject_token_type": {returnType}}
	status, answer := h.post("/oauth2/token", "app", h.appSecret, form)
	if status != http.StatusOK {
		t.Fatalf("stop: got %d %v", status, answer)
	}
	want := map[string]any{"access_token": answer["access_token"], "issued_token_type": accessToken, "token_type": "Bearer",
		"expires_in": answer["expires_in"], "scope": "app:read email impersonate openid profile roles"}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Errorf("answer, -want +got:\n%s", diff)
	}
	_, before := h.verify(s.actor.AccessToken)
	_, after := h.verify(answer["access_token"].(string))
	for _, name := range []string{"iss", "sub", "aud", "client_id", "scope", "sid", "auth_time", "amr"} {
		if diff := cmp.Diff(before[name], after[name]); diff != "" {
			t.Errorf("%s of the admin's token, -before +after:\n%s", name, diff)
		}
	}
	if after["act"] != nil || after["jti"] == before["jti"] {
		t.Errorf("claims after the stop = %v; want no act and another jti", after)
	}
	if left := whole(t, after, "exp") - whole(t, after, "iat"); left > whole(t, before, "exp")-whole(t, before, "iat") {
		t.Errorf("the admin's token lives %d s after the stop, longer than at first", left)
	}
	if h.active(s.answer.AccessToken) {
		t.Error("the impersonation token is active after the stop")
	}
	if !h.active(answer["access_token"].(string)) {
		t.Error("the admin's token after the stop is not active")
	}
	if status, answer := h.post("/oauth2/token", "app", h.appSecret, form); status != http.StatusBadRequest || answer["error"] != "invalid_request" {
		t.Errorf("a second stop: got %d %v; want 400 invalid_request", status, answer)
	}
}

// TestRevocation is the portable way out: zitadel's RFC 7009 client ends the session.
func TestRevocation(t *testing.T) {
	t.Parallel()
	h := setup(t)
	s := h.start("read")
	sid := s.all["understudy_session"].(map[string]any)["id"].(string)
	if live := h.server.Run("", "session", "ls", "-o", "json"); !h.active(s.answer.AccessToken) || !strings.Contains(live, sid) {
		t.Fatalf("not active after the start; session ls = %s", live)
	}
	must(t, rp.RevokeToken(t.Context(), h.app, s.answer.AccessToken, "access_token"))
	if h.active(s.answer.AccessToken) {
		t.Error("active after the revocation")
	}
	if !h.active(s.actor.AccessToken) {
		t.Error("the revocation took the admin's own token")
	}
	if live := h.server.Run("", "session", "ls", "-o", "json"); strings.Contains(live, sid) {
		t.Errorf("session ls = %s; want no live session", live)
	}
}

// TestWithoutVerifier: without the RoundTripper the ticket is worth nothing.
func TestWithoutVerifier(t *testing.T) {
	t.Parallel()
	h := setup(t)
	b, actor := h.signIn()
	ticket, _ := h.ticket(b, "read")
	te, err := tokenexchange.NewTokenExchangerClientCredentials(t.Context(), h.issuer, "app", h.appSecret)
	must(t, err)
	answer, err := tokenexchange.ExchangeToken(t.Context(), te, ticket, ticketType, actor.AccessToken, accessToken, nil, nil, nil, accessToken)
	var refused *oidc.Error
	if !errors.As(err, &refused) || refused.ErrorType != oidc.InvalidRequest {
		t.Errorf("got %+v %v; want invalid_request", answer, err)
	}
}

func whole(t *testing.T, claims map[string]any, name string) int64 {
	t.Helper()
	v, ok := claims[name].(float64)
	if !ok || v != float64(int64(v)) {
		t.Fatalf("%s = %v; want whole seconds", name, claims[name])
	}
	return int64(v)
}

// decode is the header of a JWT, as it stands in it.
func decode(t *testing.T, token string) []byte {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	must(t, err)
	return b
}
