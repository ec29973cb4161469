package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// TestVerifier: the pair of RFC 7636 appendix B opens a code, and nothing that is near it: compared as it is spelled, in the length and
// the alphabet of the RFC.
//
// Covers RFC7636-4.1-01, RFC7636-4.2-01.
func TestVerifier(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	if r := h.post("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid"))); r.status != http.StatusOK {
		t.Fatalf("the pair of appendix B: got %d %s", r.status, r.body)
	}
	for _, wrong := range []string{
		"e" + verifier[1:], strings.ToLower(verifier), strings.ToUpper(verifier), verifier + "=", verifier + "a", verifier[:42], challenge,
	} {
		f := redeem(h.code(cookie, "app", "openid"))
		f.Set("code_verifier", wrong)
		refused(t, h.post("/oauth2/token", "app", f), http.StatusBadRequest, "invalid_grant")
	}
	// Values whose S256 is the challenge, and that are no verifiers.
	for name, c := range map[string]struct {
		verifier string
		ok       bool
	}{
		"42": {strings.Repeat("a", 42), false}, "43": {strings.Repeat("a", 43), true}, "128": {strings.Repeat("-._~", 32), true}, "129": {strings.Repeat("a", 129), false},
		"a space": {strings.Repeat("a", 42) + " ", false}, "a plus": {strings.Repeat("a", 42) + "+", false}, "not ASCII": {strings.Repeat("a", 42) + "é", false},
	} {
		r := h.authorize(cookie, func(q url.Values) { q.Set("code_challenge", s256(c.verifier)) })
		f := redeem(r.location.Query().Get("code"))
		f.Set("code_verifier", c.verifier)
		if r := h.post("/oauth2/token", "app", f); c.ok != (r.status == http.StatusOK) {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		} else if !c.ok {
			refused(t, r, http.StatusBadRequest, "invalid_grant")
		}
	}
}

// TestNoDowngrade: nobody gets a code or a ticket without a challenge, by whatever way they ask, so that there is none to which a thief's
// own verifier, or none, could be right.
//
// Covers RFC9700-4.8.2-01.
func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.newClient("spa", func(c *store.Client) { c.Public, c.Exchange, c.SecretHash = true, false, oauth.Hash{} })
	cookie, _ := h.login("ann")
	for name, strip := range map[string]func(url.Values){
		"no challenge":       func(q url.Values) { q.Del("code_challenge") },
		"neither":            func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") },
		"empty":              func(q url.Values) { q.Set("code_challenge", "") },
		"plain":              func(q url.Values) { q.Set("code_challenge", verifier); q.Set("code_challenge_method", "plain") },
		"plain, by omission": func(q url.Values) { q.Set("code_challenge", verifier); q.Del("code_challenge_method") },
	} {
		for _, client := range []string{"app", "spa"} {
			r := h.authorize(cookie, func(q url.Values) { q.Set("client_id", client); strip(q) })
			if r.location == nil || r.location.Query().Get("error") != "invalid_request" || r.location.Query().Has("code") {
				t.Errorf("%s, %s: got %d %v; want invalid_request", client, name, r.status, r.location)
			}
		}
		f := authForm("app")
		strip(f)
		refused(t, h.post("/oauth2/par", "app", f), http.StatusBadRequest, "invalid_request")
		page, err := url.ParseQuery(ask("app"))
		h.must(err)
		strip(page)
		if r := h.form("/impersonate?"+page.Encode(), cookie, why("john", "read")); r.location != nil && r.location.Query().Has("ticket") {
			t.Errorf("%s: got a ticket", name)
		}
	}
}
