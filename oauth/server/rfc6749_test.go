package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// TestMalformedScope: a scope that is not one is refused wherever a scope is taken, and reaches no header and no claim.
//
// Covers RFC6749-3.3-01.
func TestMalformedScope(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", service)
	h.addClientAs("web", refreshing)
	s := h.start("ann", "app", "john", "read")
	signedIn, _, _ := h.enter("eve", "web")
	for _, scope := range []string{`app:read "x"`, `app:read\`, "app:read\tapp:write", "app:read é", "app:read\x7f", "app:read  app:write", " app:read", "app:read "} {
		exchange := startForm(h.ticket(s.cookie, "app", "eve", "read"), s.actor)
		asking := authForm("app")
		refresh := refreshForm(signedIn.refresh)
		for _, f := range []url.Values{exchange, asking, refresh} {
			f.Set("scope", scope)
		}
		auth := h.authorize(s.cookie, func(q url.Values) { q.Set("scope", scope) })
		if auth.location != nil {
			auth.status, auth.json = http.StatusBadRequest, map[string]any{"error": auth.location.Query().Get("error")}
		} else if strings.ContainsAny(scope, "\t\x7f") && strings.Contains(auth.body, "scope: tokens are printable ASCII") { // no such form is read, so that a page answers
			auth.json = map[string]any{"error": "invalid_scope"}
		}
		for name, r := range map[string]reply{
			"exchange": h.post("/oauth2/token", "app", exchange), "a client's own": h.own("bot", url.Values{"scope": {scope}}), "pushed": h.post("/oauth2/par", "app", asking),
			"refresh": h.post("/oauth2/token", "web", refresh), "authorization": auth,
		} {
			if r.status != http.StatusBadRequest || r.str("error") != "invalid_scope" {
				t.Errorf("%s with %q: got %d %s; want 400 invalid_scope", name, scope, r.status, r.body)
			}
		}
	}
}

// TestGrantWithoutItsPart: a redemption without what it redeems lacks a required parameter (RFC 6749 §5.2); it holds no invalid one.
func TestGrantWithoutItsPart(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	for name, f := range map[string]url.Values{"code": redeem(""), "refresh_token": refreshForm("")} {
		for _, absent := range []bool{true, false} {
			if absent {
				f.Del(name)
			}
			if r := h.post("/oauth2/token", "web", f); r.status != http.StatusBadRequest || r.str("error") != "invalid_request" || !strings.HasPrefix(r.str("error_description"), name+":") {
				t.Errorf("without %s: got %d %s; want 400 invalid_request", name, r.status, r.body)
			}
			f.Set(name, "")
		}
	}
}

// TestCodeOnce: a code works once, for a minute, for its client alone, and with the redirect_uri of its request.
//
// Covers RFC6749-4.1.2-01, RFC6749-4.1.3-01.
func TestCodeOnce(t *testing.T) { onBoth(t, testCodeOnce) }

func testCodeOnce(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("ann")
	code := func() string { return h.code(cookie, "app", "openid") }
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }

	used := code()
	if r := h.post("/oauth2/token", "app", redeem(used)); r.status != http.StatusOK {
		t.Fatalf("first: got %d %s", r.status, r.body)
	}
	refused(t, h.post("/oauth2/token", "app", redeem(used)), http.StatusBadRequest, "invalid_grant")

	for name, wrong := range map[string]func(url.Values){
		"another redirect_uri": set("redirect_uri", callback+"/"), "its start": set("redirect_uri", callback[:len(callback)-1]), "other case": set("redirect_uri", strings.ToUpper(callback)),
		"none": func(f url.Values) { f.Del("redirect_uri") },
	} {
		f := redeem(code())
		wrong(f)
		if r := h.post("/oauth2/token", "app", f); r.status != http.StatusBadRequest || r.str("error") != "invalid_grant" {
			t.Errorf("%s: got %d %s; want invalid_grant", name, r.status, r.body)
		}
	}
	stolen := code()
	refused(t, h.post("/oauth2/token", "other", redeem(stolen)), http.StatusBadRequest, "invalid_grant")
	h.clock.advance(59 * time.Second)
	if r := h.post("/oauth2/token", "app", redeem(stolen)); r.status != http.StatusOK {
		t.Errorf("its own client, 59 seconds later: got %d %s", r.status, r.body)
	}
	late := code()
	h.clock.advance(61 * time.Second)
	refused(t, h.post("/oauth2/token", "app", redeem(late)), http.StatusBadRequest, "invalid_grant")
}

// TestNothingIsCached: no answer that holds a token or a credential, and no error in its place, may be kept by anybody between.
//
// Covers RFC6749-5.1-01.
func TestNothingIsCached(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", service)
	s := h.start("ann", "app", "john", "read")
	other := h.start("bea", "app", "eve", "read")
	for name, r := range map[string]reply{
		"code": h.post("/oauth2/token", "app", redeem(h.code(s.cookie, "app", "openid"))), "start": s.reply, "stop": h.post("/oauth2/token", "app", stopForm(other.ret)),
		"a client's own": h.own("bot", nil), "pushed": h.post("/oauth2/par", "app", authForm("app")),
		"ticket": h.form("/impersonate?"+ask("app"), s.cookie, why("john", "read")), "authorization": h.authorize(s.cookie, func(url.Values) {}),
		"introspection": h.seen("app", s.token), "inactive": h.seen("other", s.token), "userinfo": h.userinfo(s.token), "revocation": h.revoked("app", s.token, ""),
		"refused start": h.post("/oauth2/token", "app", startForm("x", "y")), "refused code": h.post("/oauth2/token", "app", redeem("x")), "refused stop": h.post("/oauth2/token", "app", stopForm("x")),
		"no client": h.form("/oauth2/token", "", redeem("x")), "no client to push": h.form("/oauth2/par", "", authForm("app")), "bad push": h.post("/oauth2/par", "app", url.Values{}),
		"no client to introspect": h.form("/oauth2/introspect", "", url.Values{"token": {"x"}}), "nothing to introspect": h.post("/oauth2/introspect", "app", nil),
		"another's revocation": h.revoked("other", other.token, ""), "nothing to revoke": h.post("/oauth2/revoke", "app", nil), "dead at userinfo": h.userinfo(s.token),
		"wrong method": h.get("/oauth2/token", ""), "wrong type": h.send(h.as("app", tokenCall(redeem("x"))).with("Content-Type", "text/plain")),
	} {
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Pragma") != "no-cache" {
			t.Errorf("%s (%d): Cache-Control %q, Pragma %q", name, r.status, r.header.Get("Cache-Control"), r.header.Get("Pragma"))
		}
	}
}

// TestUnknownGrants: what is no grant here is called so, the password grant too, whoever asks.
//
// Covers RFC6749-5.2-02, RFC9700-2.4-01.
func TestUnknownGrants(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	for _, grant := range []string{"urn:example:x", "password", "implicit", "Authorization_code", "authorization_code ", "authorization_code refresh_token",
		"urn:ietf:params:oauth:grant-type:jwt-bearer", oauth.GrantTypeTokenExchange + "#"} {
		for _, client := range []string{"app", "other"} {
			f := url.Values{"grant_type": {grant}, "username": {"ann@acme.test"}, "password": {annsPassword}, "code": {"x"}, "assertion": {"x"}}
			refused(t, h.post("/oauth2/token", client, f), http.StatusBadRequest, "unsupported_grant_type")
		}
	}
	if announced := h.get(discoveryPath, "").json["grant_types_supported"].([]any); slices.Contains(announced, any("password")) {
		t.Errorf("announced: %v", announced)
	}
}

// TestErrorsAreJSON: whatever is wrong at an endpoint for programs, the answer is a 4xx of JSON with a member error.
//
// Covers RFC6749-5.2-03.
func TestErrorsAreJSON(t *testing.T) {
	t.Parallel()
	h := setupSeen(t, options{})
	s := h.start("ann", "app", "john", "read")
	good := map[string]call{
		"token": tokenCall(redeem("x")), "exchange": tokenCall(startForm("x", s.actor)), "stop": tokenCall(stopForm("x")),
		"introspect": {method: "POST", path: "/oauth2/introspect", body: url.Values{"token": {"x"}}}, "revoke": {method: "POST", path: "/oauth2/revoke", body: url.Values{"token": {"x"}}},
		"par": {method: "POST", path: "/oauth2/par", body: authForm("app")}, "actions": {method: "POST", path: "/impersonation/actions", body: url.Values{}},
		"userinfo": {method: "POST", path: "/userinfo"},
	}
	for name, c := range good {
		for how, bad := range map[string]call{
			"nobody": c, "a wrong secret": c.with("Authorization", basicAuth("app", "x")), "half a header": c.with("Authorization", "Basic"),
			"another method": {method: "PUT", path: c.path}, "another type": h.as("app", c).with("Content-Type", "text/html"),
			"a broken form": {method: "POST", path: c.path, query: url.Values{"%": {"%%%"}}}, "nothing": h.as("app", call{method: "POST", path: c.path}),
			"too much":         h.as("app", call{method: "POST", path: c.path, body: url.Values{"token": {strings.Repeat("x", 2<<20)}}}),
			"a header of NULs": c.with("Authorization", "Bearer \x00\x00"),
		} {
			r := h.send(bad)
			if r.status < 400 || r.status >= 500 || r.header.Get("Content-Type") != "application/json" || r.str("error") == "" {
				t.Errorf("%s, %s: got %d %s %s", name, how, r.status, r.header.Get("Content-Type"), r.body)
			}
		}
	}
}
