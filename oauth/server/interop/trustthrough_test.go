package interop_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth/server"
)

const jwtType = "urn:ietf:params:oauth:token-type:jwt"

// trusting has the server take the idp's tokens for the app of its own as actors' tokens, too.
func trusting(i *idp, c *server.Config) {
	c.TrustedIssuers = []server.TrustedIssuer{{TrustConfig: i.rule(idpApp)}}
}

// TestTrustThrough: an app that keeps its provider's tokens starts by one of them, beside a ticket of who signed in to our page through
// that provider; the token names both people as the provider does, there is no way back but revocation, and no token starts twice.
func TestTrustThrough(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := signThrough(t, start, trusting)
			actor := h.idp.accessToken(h.browser, idpApp, callback)
			if at := h.browser.visit(h.pageURL(oauth2.GenerateVerifier()), sam); at.Path != "/impersonate" { // which asks to sign in
				t.Fatalf("signed in, and led to %s", at)
			}
			status, answer := h.start(h.press(), actor, jwtType)
			if status != http.StatusOK {
				t.Fatalf("start: got %d %v", status, answer)
			}
			imp := answer["access_token"].(string)
			h.checkTrusted(imp, answer)
			h.revoke(imp)

			again := h.press()
			if status, answer := h.start(again, actor, jwtType); status != http.StatusBadRequest || answer["error"] != "invalid_request" {
				t.Errorf("the actor's token again: got %d %v; want invalid_request", status, answer)
			}
			status, answer = h.start(again, h.idp.accessToken(h.browser, idpApp, callback), jwtType)
			if status != http.StatusOK {
				t.Fatalf("another one beside the same ticket: got %d %v", status, answer)
			}
			imp = answer["access_token"].(string)
			h.signOutThere()
			if h.active(imp) {
				t.Error("active after the sign-out there")
			}
		})
	}
}

// checkTrusted wants sam to act for john, both by their names at the idp, for no longer than a token of sam's lasts there.
func (h *through) checkTrusted(imp string, answer map[string]any) {
	h.t.Helper()
	const most = 300 // seconds, at both
	if answer["understudy_return_token"] != nil || answer["refresh_token"] != nil || answer["expires_in"].(float64) > most {
		h.t.Errorf("answer = %v; want no return token, no refresh token and at most %d s", answer, most)
	}
	act, id := map[string]any{"iss": h.idp.issuer, "sub": "sam-there"}, map[string]any{"format": "iss_sub", "iss": h.idp.issuer, "sub": "john-there"}
	_, claims := h.verify(imp)
	_, seen := h.post("/oauth2/introspect", "api", h.apiSecret, url.Values{"token": {imp}})
	for what, got := range map[string]map[string]any{"token": claims, "introspection": seen} {
		want := map[string]any{"iss": h.issuer, "sub": "john", "client_id": "app", "act": act, "sub_id": id}
		for name := range want {
			if diff := cmp.Diff(want[name], got[name]); diff != "" {
				h.t.Errorf("%s: %s, -want +got:\n%s", what, name, diff)
			}
		}
	}
	if seen["active"] != true {
		h.t.Error("not active")
	}
}

// revoke is the way out of who has no return token (RFC 7009).
func (h *through) revoke(token string) {
	h.t.Helper()
	if status, answer := h.post("/oauth2/revoke", "app", h.appSecret, url.Values{"token": {token}}); status != http.StatusOK || h.active(token) {
		h.t.Errorf("revocation: got %d %v, and active: %t", status, answer, h.active(token))
	}
}
