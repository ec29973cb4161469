package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// revoked is the answer to a revocation by client.
func (h *house) revoked(client, token, hint string) reply {
	h.t.Helper()
	f := url.Values{"token": {token}}
	if hint != "" {
		f.Set("token_type_hint", hint)
	}
	return h.post("/oauth2/revoke", client, f)
}

// TestRevocationIsOfOnesOwn: a client revokes what was issued to it. Another's token is refused, dead or alive alike, and stays as it was; who
// does not authenticate gets nowhere.
//
// Covers RFC7009-2.1-01, RFC7009-2.2.1-01.
func TestRevocationIsOfOnesOwn(t *testing.T) { onBoth(t, testRevocationIsOfOnesOwn) }

func testRevocationIsOfOnesOwn(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("web", refreshing)
	first, cookie, _ := h.enter("ann", "web")
	start := h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), first.access))
	all := map[string]string{
		"impersonation": start.str("access_token"), "return token": start.str("understudy_return_token"), "the admin's": first.access, "refresh token": first.refresh,
	}
	asked := func() map[string]string {
		answers := map[string]string{}
		for what, token := range all {
			r := h.revoked("other", token, "")
			if r.status >= 500 {
				t.Errorf("%s: got %d %s", what, r.status, r.body)
			}
			answers[what] = r.body
			nobody := call{method: http.MethodPost, path: "/oauth2/revoke", body: url.Values{"token": {token}}}
			refused(t, h.send(nobody), http.StatusUnauthorized, "invalid_client")
			refused(t, h.send(nobody.with("Authorization", basicAuth("web", "wrong"))), http.StatusUnauthorized, "invalid_client")
		}
		return answers
	}
	alive := asked()
	if !h.active("web", all["impersonation"]) || !h.active("web", first.access) {
		t.Fatal("another client's revocation, or nobody's, had effect")
	}
	first = h.refresh("web", first.refresh)
	if r := h.post("/oauth2/token", "web", stopForm(all["return token"])); r.status != http.StatusOK {
		t.Fatalf("the return token is spent: got %d %s", r.status, r.body)
	}
	h.revoked("web", first.refresh, "")
	for what, dead := range asked() {
		if dead != alive[what] {
			t.Errorf("%s: another client was told %q while it was alive, and %q when dead", what, alive[what], dead)
		}
	}
}

// TestHintsAtRevocation: whatever the hint says a token is, it is found.
//
// Covers RFC7009-2.1-02.
func TestHintsAtRevocation(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	for _, hint := range []string{"", "access_token", "refresh_token", "foo"} {
		s := h.start("ann", "web", "john", "read")
		tokens, _, _ := h.enter("eve", "web")
		for what, token := range map[string]string{"impersonation": s.token, "the admin's": s.actor} {
			if r := h.revoked("web", token, hint); r.status != http.StatusOK || r.body != "" || h.active("web", token) {
				t.Errorf("%s, hint %q: got %d %s; want it revoked", what, hint, r.status, r.body)
			}
		}
		if r := h.revoked("web", tokens.refresh, hint); r.status != http.StatusOK {
			t.Errorf("refresh token, hint %q: got %d %s", hint, r.status, r.body)
		}
		h.dead("after hint "+hint, "web", tokens)
		other := h.start("bea", "web", "eve", "read")
		if r := h.revoked("web", other.ret, hint); r.status != http.StatusOK || h.active("web", other.token) {
			t.Errorf("return token, hint %q: got %d %s; want the session over", hint, r.status, r.body)
		}
	}
}

// TestNothingToRevoke: what is unknown, over or never was a token is a success without a word.
//
// Covers RFC7009-2.2-01.
func TestNothingToRevoke(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	s := h.start("ann", "web", "john", "read")
	expired := h.start("bea", "web", "eve", "read")
	tokens, _, _ := h.enter("eve", "web")
	h.revoked("web", tokens.refresh, "")
	h.post("/oauth2/token", "web", stopForm(s.ret))
	h.clock.advance(31 * time.Minute)
	cases := map[string]string{
		"garbage": "x", "a secret": strings.Repeat("x", 43), "three parts": "a.b.c", "stopped": s.token, "used": s.ret, "revoked before": tokens.refresh,
		"expired": expired.token, "the admin's, expired": expired.actor, "a broken signature": s.token[:len(s.token)-4] + "AAAA",
	}
	for range 2 {
		for what, token := range cases {
			if r := h.revoked("web", token, ""); r.status != http.StatusOK || r.body != "" {
				t.Errorf("%s: got %d %q; want 200 and nothing", what, r.status, r.body)
			}
		}
	}
}
