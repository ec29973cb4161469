package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/directory"
)

// These are flaws that others had with tokens and what is in them, by their public numbers.

// TestEverySpelling is CVE-2026-27840: a token that was cut still counted, since its tail was not looked at. No beginning of one
// counts, and none with a character more, less or other.
func TestEverySpelling(t *testing.T) {
	t.Parallel()
	h := setupSeen(t, options{})
	s := h.start("ann", "app", "john", "read")
	other := func(c byte) byte {
		if c == 'A' {
			return 'B'
		}
		return 'A'
	}
	var bad []string
	for i := range len(s.token) {
		bad = append(bad, s.token[:i]+s.token[i+1:], s.token[:i]+string(other(s.token[i]))+s.token[i+1:])
		if i > 0 {
			bad = append(bad, s.token[:i])
		}
	}
	for _, more := range []string{"A", "=", ".", "\n", " ", "%", "\x00", ".e30", s.token} {
		bad = append(bad, s.token+more, more+s.token)
	}
	bad = append(bad, strings.ToLower(s.token), strings.ToUpper(s.token), url.QueryEscape(strings.ReplaceAll(s.token, ".", "\u2024")))
	for _, token := range bad {
		r := h.post("/oauth2/introspect", "app", url.Values{"token": {token}})
		if r.body != `{"active":false}` && r.status != http.StatusBadRequest {
			t.Errorf("%q: got %d %s", token, r.status, r.body)
		}
	}
	if !h.active("app", s.token) {
		t.Error("the token itself is inactive")
	}
}

// reserved are names that have a meaning in a token, and spellings that a lax reader takes for them.
var reserved = []string{
	"sub", "act", "may_act", "iss", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "cnf", "sid", "amr", "acr", "auth_time", "roles", "txn",
	"ACT", "Sub", "\u017fub", "act.sub", "sub_id", "email", "name", "organisation",
}

// TestAttributesAreNoClaims is CVE-2026-16102 and CVE-2024-29892: what somebody could write into a profile came out as a claim. What
// is known of a person beside their name, address, roles and organisation is in no token and no answer, whatever it is called.
func TestAttributesAreNoClaims(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	all := func() map[string][]string {
		s, cookie := h.start("bea", "app", "john", "read"), firstCookieOf(h, "john")
		own := h.token(cookie, "app", "openid profile email roles app:read")
		_, acting := claims(t, s.token)
		_, plain := claims(t, own)
		_, id := claims(t, h.idTokenOf(cookie, "app"))
		return map[string][]string{
			"impersonation token": names(acting), "own token": names(plain), "ID token": names(id),
			"userinfo": names(h.userinfo(own).json), "userinfo of an impersonation": names(h.userinfo(s.token).json),
			"introspection": names(h.post("/oauth2/introspect", "app", url.Values{"token": {s.token}}).json),
		}
	}
	before := all()
	h.change("john", func(u *directory.User) {
		u.Attributes = make(map[string]string)
		for _, name := range reserved {
			u.Attributes[name] = "ann"
		}
	})
	if diff := cmp.Diff(before, all()); diff != "" {
		t.Errorf("with attributes of such names (-without +with):\n%s", diff)
	}
	s := h.start("bea", "app", "john", "read")
	_, c := claims(t, s.token)
	if act, _ := c["act"].(map[string]any); c["sub"] != "john" || act["sub"] != "bea" || c["iss"] != h.issuer || c["client_id"] != "app" {
		t.Errorf("the token says %v", c)
	}
	if info := h.userinfo(s.token); info.str("sub") != "john" || info.str("email") != "john@acme.test" || strings.Contains(info.body, "admin") || strings.Contains(info.body, `"ann"`) {
		t.Errorf("userinfo says %s", info.body)
	}
}

func names(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// TestNoRefreshOfImpersonation is CVE-2022-3916: a refresh token led to a session that was not its own. An impersonation has none,
// at a client that has them too, and none can be asked for.
func TestNoRefreshOfImpersonation(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	g, cookie, _ := h.enter("ann", "web")
	ask := func(name, value string) reply {
		f := startForm(h.ticket(cookie, "web", "john", "read"), g.access)
		f.Set(name, value)
		return h.post("/oauth2/token", "web", f)
	}
	refused(t, ask("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), http.StatusBadRequest, "invalid_request")
	refused(t, ask("scope", "offline_access"), http.StatusBadRequest, "invalid_scope")
	if r := ask("scope", "openid offline_access"); r.json["refresh_token"] != nil || strings.Contains(r.str("scope"), "offline") {
		t.Errorf("with offline_access: got %d %s", r.status, r.body)
	}
	if r := ask("scope", "openid"); r.status != http.StatusOK || r.json["refresh_token"] != nil {
		t.Errorf("start: got %d %s; want no refresh token", r.status, r.body)
	}
}

// TestNobodysTicket is CVE-2016-4340 and CVE-2025-47910: whoever was signed in could become another, and a path that was spelt
// otherwise passed the wall. No verb and no spelling gives a ticket to a stranger, a user, an admin of before, or to a form of another site.
func TestNobodysTicket(t *testing.T) {
	t.Parallel()
	h := setupSeen(t, options{})
	anns, johns, sues := firstCookieOf(h, "ann"), firstCookieOf(h, "john"), firstCookieOf(h, "sue")
	h.demoted("sue")
	for who, header := range map[string]http.Header{
		"nobody": {}, "a user": {"Cookie": {johns}}, "support of before": {"Cookie": {sues}},
		"another site": {"Cookie": {anns}, "Sec-Fetch-Site": {"cross-site"}}, "a sibling": {"Cookie": {anns}, "Sec-Fetch-Site": {"same-site"}},
		"another origin": {"Cookie": {anns}, "Origin": {"https://evil.test"}}, "no origin": {"Cookie": {anns}, "Origin": {"null"}},
	} {
		for _, path := range []string{"/impersonate", "//impersonate", "/impersonate/", "/%69mpersonate", "/./impersonate", "/static/../impersonate", "/impersonate/%2e", "/IMPERSONATE"} {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"} {
				if method == "GET" && who == "no origin" {
					continue
				}
				c := call{method: method, path: path + "?" + ask("app"), body: why("john", "read"), header: header.Clone()}
				c.header.Set("X-Http-Method-Override", "POST")
				gaveNothing(t, who+", "+method+" "+path, h.send(c), "")
			}
		}
	}
	if h.ticket(anns, "app", "john", "read") == "" {
		t.Error("ann gets none either: this tests nothing")
	}
}

// TestEndedAfterRestart is keycloak#31296: what was revoked was remembered by a process, and counted again after the next start.
func TestEndedAfterRestart(t *testing.T) { onBoth(t, testEndedAfterRestart) }

func testEndedAfterRestart(t *testing.T, o options) {
	h := setup(t, o)
	stopped, revoked, living := h.start("ann", "app", "john", "read"), h.start("bea", "app", "eve", "read"), h.start("ann", "app", "eve", "read")
	h.post("/oauth2/token", "app", stopForm(stopped.ret))
	for _, token := range []string{revoked.token, revoked.actor} {
		h.post("/oauth2/revoke", "app", url.Values{"token": {token}})
	}
	again := h.replica(o)
	for what, token := range map[string]string{"stopped": stopped.token, "revoked": revoked.token, "the actor's, revoked": revoked.actor} {
		if again.active("app", token) || again.userinfo(token).status == http.StatusOK {
			t.Errorf("%s: it counts after a restart", what)
		}
	}
	if !again.active("app", living.token) {
		t.Error("what nobody ended is over after a restart")
	}
}
