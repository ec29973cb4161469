package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// These are flaws that others had with OAuth's own parts, by their public numbers.

// onceHouse has the client web, which may have all that works once, and ann signed in there.
type onceHouse struct {
	*house
	cookie, actor string
}

func newOnceHouse(t *testing.T, o options) *onceHouse {
	t.Helper()
	h := setup(t, o)
	h.addClientAs("web", refreshing)
	h.clock.advance(20 * time.Minute) // so that there were keys already at the time to which a test sets it back
	cookie, _ := h.login("ann")
	return &onceHouse{house: h, cookie: cookie, actor: h.token(cookie, "web", actorScope)}
}

// secrets are the values that somebody can redeem: each is made anew by what stands beside its name.
var secrets = map[string]func(h *onceHouse) string{
	"ticket": func(h *onceHouse) string { return h.house.ticket(h.cookie, "web", "john", "read") },
	"code":   func(h *onceHouse) string { return h.code(h.cookie, "web", actorScope) },
	"return token": func(h *onceHouse) string {
		r := h.post("/oauth2/token", "web", startForm(h.house.ticket(h.cookie, "web", "john", "read"), h.actor))
		return r.str("understudy_return_token")
	},
	"refresh token": func(h *onceHouse) string {
		return h.granted(h.post("/oauth2/token", "web", redeem(h.code(h.cookie, "web", "openid")))).refresh
	},
	"request_uri": func(h *onceHouse) string {
		return strings.TrimPrefix(h.post("/oauth2/par", "web", authForm("web")).str("request_uri"), requestURI)
	},
	"sign-in":       func(h *onceHouse) string { return strings.TrimPrefix(h.cookie, "__Host-op=") },
	"client secret": func(h *onceHouse) string { return h.secrets["web"] },
}

// redeemers are where each of them belongs. They report whether it was taken.
var redeemers = map[string]func(h *onceHouse, secret string) (reply, bool){
	"ticket":        func(h *onceHouse, s string) (reply, bool) { return h.granting(startForm(s, h.actor)) },
	"code":          func(h *onceHouse, s string) (reply, bool) { return h.granting(redeem(s)) },
	"return token":  func(h *onceHouse, s string) (reply, bool) { return h.granting(stopForm(s)) },
	"refresh token": func(h *onceHouse, s string) (reply, bool) { return h.granting(refreshForm(s)) },
	"request_uri": func(h *onceHouse, s string) (reply, bool) {
		r := h.get(pushedAt("web", requestURI+s), h.cookie)
		return r, r.location != nil && r.location.Query().Get("code") != ""
	},
	"sign-in": func(h *onceHouse, s string) (reply, bool) {
		r := h.get("/", "__Host-op="+s)
		return r, r.status == http.StatusOK
	},
	"client secret": func(h *onceHouse, s string) (reply, bool) {
		r := h.send(call{method: "POST", path: "/oauth2/revoke", body: url.Values{"token": {"x"}}}.with("Authorization", basicAuth("web", s)))
		return r, r.status == http.StatusOK
	},
	"introspection": func(h *onceHouse, s string) (reply, bool) {
		r := h.post("/oauth2/introspect", "web", url.Values{"token": {s}})
		return r, r.body != `{"active":false}`
	},
	"Authorization": func(h *onceHouse, s string) (reply, bool) {
		r := h.userinfo(s)
		return r, r.status == http.StatusOK
	},
	"actor_token": func(h *onceHouse, s string) (reply, bool) {
		return h.granting(startForm(h.house.ticket(h.cookie, "web", "john", "read"), s))
	},
	"code_verifier": func(h *onceHouse, s string) (reply, bool) {
		f := redeem(h.code(h.cookie, "web", "openid"))
		f.Set("code_verifier", s)
		return h.granting(f)
	},
}

func (h *onceHouse) granting(f url.Values) (reply, bool) {
	r := h.post("/oauth2/token", "web", f)
	return r, r.status == http.StatusOK
}

// TestCrossRedeem is CVE-2026-4282, CVE-2025-12421 and CVE-2025-46815: what one part made was redeemed at another, since all
// lay under one kind of key. Here each secret is offered wherever another belongs, is refused, and is still good where it belongs; where
// it works once it is refused there too afterwards. TestKindsOfJWT does the same with all that is a JWT.
func TestCrossRedeem(t *testing.T) { onBoth(t, testCrossRedeem) }

func testCrossRedeem(t *testing.T, o options) {
	h := newOnceHouse(t, o)
	for kind, make := range secrets {
		secret := make(h)
		if len(secret) != oauth.SecretLength {
			t.Fatalf("%s: got %d characters", kind, len(secret))
		}
		for place, offer := range redeemers {
			if place == kind {
				continue
			}
			r, taken := offer(h, secret)
			if gaveNothing(t, kind+" as "+place, r, ""); taken {
				t.Errorf("%s as %s: got %d %v %s; want it refused", kind, place, r.status, r.location, r.body)
			}
		}
		if r, taken := redeemers[kind](h, secret); !taken {
			t.Errorf("%s, where it belongs, afterwards: got %d %v %s", kind, r.status, r.location, r.body)
		}
		lasting := kind == "sign-in" || kind == "client secret"
		if r, taken := redeemers[kind](h, secret); taken != lasting {
			t.Errorf("%s, again: got %d %v %s", kind, r.status, r.location, r.body)
		}
	}
}

// TestSameIDElsewhere is the other half of CVE-2026-4282: the jti of one client's assertion, of another's and of a proof may be the
// same, and using one up must not use up the others.
func TestSameIDElsewhere(t *testing.T) { onBoth(t, testSameIDElsewhere) }

func testSameIDElsewhere(t *testing.T, o options) {
	h := setup(t, o)
	key, other, p := h.addKeyed("keyed"), h.addKeyed("other-keyed"), newProver(h).learns()
	cookie, _ := h.login("ann")
	same := claim("jti", "one-and-the-same")
	asserted := func(key *prover, id string) int {
		f := asserting(key.assertion(id, same))
		f.Set("token", "x")
		return h.form("/oauth2/revoke", "", f).status
	}
	proven := func() int {
		return h.sent("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")), p.proof("POST", "/oauth2/token", "", same)).status
	}
	for what, use := range map[string]func() int{
		"an assertion": func() int { return asserted(key, "keyed") }, "another client's": func() int { return asserted(other, "other-keyed") }, "a proof": proven,
	} {
		if first, second := use(), use(); first != http.StatusOK || second == http.StatusOK {
			t.Errorf("%s: got %d and %d; want it once", what, first, second)
		}
	}
}

// TestReplayWithTheClockBack is CVE-2026-9802: reuse was told by the time at which a process had started. What was used is a row,
// for a server that starts anew and for one whose clock was set back.
func TestReplayWithTheClockBack(t *testing.T) { onBoth(t, testReplayWithTheClockBack) }

func testReplayWithTheClockBack(t *testing.T, o options) {
	for _, back := range []time.Duration{0, 10 * time.Minute} {
		h := newOnceHouse(t, o)
		key, p := h.addKeyed("keyed"), newProver(h.house).learns()
		used := make(map[string]string)
		for _, kind := range []string{"ticket", "code", "refresh token", "request_uri", "return token"} {
			used[kind] = secrets[kind](h)
			if r, taken := redeemers[kind](h, used[kind]); !taken {
				t.Fatalf("%s: the first use got %d %s", kind, r.status, r.body)
			}
		}
		jwts := map[string]func(h *house) reply{}
		assertion, proof := key.assertion("keyed"), p.proof("POST", "/oauth2/token", "")
		jwts["assertion"] = func(h *house) reply {
			f := asserting(assertion)
			f.Set("token", "x")
			return h.form("/oauth2/revoke", "", f)
		}
		jwts["proof"] = func(h *house) reply {
			return h.sent("/oauth2/token", "app", redeem(h.code(firstCookie(h), "app", "openid")), proof)
		}
		for name, use := range jwts {
			if r := use(h.house); r.status != http.StatusOK {
				t.Fatalf("%s: the first use got %d %s", name, r.status, r.body)
			}
		}

		h.clock.advance(-back)
		again := *h
		again.house = h.replica(o)
		for kind, secret := range used {
			r, taken := redeemers[kind](&again, secret)
			if gaveNothing(t, kind, r, ""); taken {
				t.Errorf("%v back, %s again: got %d %s", back, kind, r.status, r.body)
			}
		}
		for name, use := range jwts {
			if r := use(again.house); r.status == http.StatusOK {
				t.Errorf("%v back, %s again: got %s", back, name, r.body)
			}
		}
	}
}

// TestRefreshReadsAnew is CVE-2026-43983 and CVE-2025-64521: a refresh went on after what it stood on was gone. Here every one
// reads the person, the client and the consent anew. TestRefreshEndsWithLogin and TestRefreshEndsWithClient hold the ends that an
// operator's act brings, TestRefreshAfterDemotion a role that is lost; here nothing but the row changes.
func TestRefreshReadsAnew(t *testing.T) { onBoth(t, testRefreshReadsAnew) }

func testRefreshReadsAnew(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("web", refreshing)
	consent := h.consent("ann", "web", nil)
	g, _, _ := h.enter("john", "web")
	mayAct := func(g granted) any {
		_, payload := claims(t, g.access)
		return payload["may_act"]
	}
	if g = h.refresh("web", g.refresh); mayAct(g) == nil {
		t.Fatal("the token names nobody who may act: this tests nothing")
	}
	h.withdraw(consent.ID)
	if g = h.refresh("web", g.refresh); mayAct(g) != nil {
		t.Errorf("after the consent was taken back the token names %v", mayAct(g))
	}
	h.disable("john")
	h.dead("disabled", "web", g)
}

// TestInactiveAlike is CVE-2026-18208: an inactive answer still told the claims to who asked for another media type. Whatever the
// cause and whatever Accept says, the answer is the same to the byte, and so are its headers.
func TestInactiveAlike(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.newClient("apart", func(*store.Client) {})
	lasting := h.start("ann", "app", "john", "read")
	stopped, revoked := h.start("bea", "app", "eve", "read"), h.start("bea", "other", "eve", "read")
	h.post("/oauth2/token", "app", stopForm(stopped.ret))
	h.post("/oauth2/revoke", "other", url.Values{"token": {revoked.token}})
	left, zoe := firstCookie(h), h.token(firstCookieOf(h, "zoe"), "app", "openid")
	gone := h.token(left, "app", "openid")
	h.form("/sign-out", left, nil)
	h.disable("zoe")
	causes := map[string]struct{ client, token string }{
		"garbage": {"app", "x"}, "blank": {"app", " "}, "a secret": {"app", lasting.ret}, "an ID token": {"app", h.idTokenOf(lasting.cookie, "app")},
		"forged": {"app", lasting.token[:len(lasting.token)-8] + "AAAAAAAA"}, "for another server": {"apart", lasting.token}, "another's own": {"apart", lasting.actor},
		"stopped": {"app", stopped.token}, "revoked": {"app", revoked.token}, "signed out": {"app", gone}, "disabled": {"app", zoe},
	}
	var want http.Header
	for cause, c := range causes {
		for _, accept := range []string{"", "application/json", "application/jwt", "application/token-introspection+jwt", "text/html", "*/*", "application/jwt;q=1, */*;q=0"} {
			q := h.as(c.client, call{method: "POST", path: "/oauth2/introspect", body: url.Values{"token": {c.token}}}).with("Accept", accept)
			r := h.send(q)
			got := r.header.Clone()
			got.Del("X-Request-Id")
			got.Del("Date")
			if want == nil {
				want = got
			}
			if diff := cmp.Diff(want, got); r.status != http.StatusOK || r.body != `{"active":false}` || diff != "" {
				t.Errorf("%s, Accept %q: got %d %s; headers, -want +got:\n%s", cause, accept, r.status, r.body, diff)
			}
		}
	}
	if !h.active("app", lasting.token) {
		t.Error("no token is active: this tests nothing")
	}
}

func firstCookieOf(h *house, user string) string {
	h.t.Helper()
	cookie, _ := h.login(user)
	return cookie
}

// astray are addresses that led others elsewhere than they looked.
var astray = []string{
	"//evil.test", "/\\evil.test", "\\\\evil.test", "https:evil.test", "https://evil.test", "HTTPS://evil.test/", "///evil.test", "/%2fevil.test", "//evil.test/%2e%2e",
	"http://127.0.0.1:9999@evil.test/", "/\tevil.test", "/\n/evil.test", "\t//evil.test", " //evil.test", "javascript:alert(1)", "data:text/html,x", "/sign-in/../../evil.test",
	"/.evil.test", "?//evil.test", "#//evil.test", "/oauth2/logout", "/sign-out", "/static/x", "evil.test", "//127.0.0.1:9999\\@evil.test",
}

var aLink = regexp.MustCompile(`(?:href|action|src)="((?:[^d"]|d[^a"])[^"]*)"`) // but for pictures that are data

// TestLeadsNowhere is GHSA-vrw8-fxc6-2r93, GHSA-mqqf-5wvp-8fh8 and CVE-2026-40295: what an address, a Host header or a Referer said
// became where people were sent. Here nobody is sent but to a page of ours or to what a client has registered.
func TestLeadsNowhere(t *testing.T) {
	t.Parallel()
	h := logoutHouse(t, options{})
	h.setPassword()
	ours := func(what string, r reply) {
		t.Helper()
		if to := r.header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\t\r\n")) {
			t.Errorf("%s: got %d to %q; want a page of ours", what, r.status, to)
		}
		for _, link := range aLink.FindAllStringSubmatch(r.body, -1) {
			if to := link[1]; !strings.HasPrefix(to, "otpauth:") && !strings.HasPrefix(to, "#") && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
				t.Errorf("%s: the page leads to %q", what, to)
			}
		}
	}
	two := setup(t, options{})
	code := two.enrolled()
	cookie, _ := h.login("ann")
	for _, to := range astray {
		q := "?" + url.Values{"return_to": {to}}.Encode()
		r := h.form("/sign-in"+q, "", url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}})
		if ours("return_to "+to, r); r.header.Get("Location") != "/" && r.status == http.StatusSeeOther {
			t.Errorf("return_to %q: sent to %q; want home", to, r.header.Get("Location"))
		}
		two.clock.advance(time.Minute) // the next code
		pending := two.typed("ann@acme.test", annsPassword).cookie("__Host-op-pending")
		if r := two.form("/sign-in/code"+q, pending, url.Values{"code": {code()}}); r.header.Get("Location") != "/" && (r.status != http.StatusBadRequest || !strings.ContainsAny(to, "\t\n")) {
			t.Errorf("return_to %q, by code: got %d to %q; want home", to, r.status, r.header.Get("Location"))
		}
		for _, path := range []string{"/sign-in", "/sign-in/acting", "/sign-in/code", "/sign-in/second-factor"} {
			ours(path+" "+to, h.get(path+q, cookie))
		}
		f := url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {to}}
		onPage(t, "logout to "+to, h.get(logoutAt(f), cookie))
		if r := h.form("/sign-out?"+f.Encode(), firstCookieOf(h, "john"), url.Values{}); r.location != nil {
			t.Errorf("sign-out to %q: sent to %v", to, r.location)
		}
	}
	for _, path := range []string{"//evil.test", "//evil.test/", "/evil.test/..", "//evil.test/%2e%2e", "/\\evil.test", "/sign-in/", "//sign-in", "/impersonate/", "/audit"} {
		c := call{method: "GET", path: path, header: http.Header{"Referer": {"https://evil.test/"}, "X-Forwarded-Host": {"evil.test"}, "X-Original-Url": {"//evil.test"}}}
		req, err := http.NewRequest(c.method, h.url+c.path, nil)
		h.must(err)
		req.Header, req.Host = c.header, "evil.test"
		ours("Host, at "+path, h.do(req))
	}
}

// TestRedirectsExactly is CVE-2020-15233, CVE-2020-15234, CVE-2026-28512, CVE-2026-7504, CVE-2026-3872, CVE-2024-8883,
// GHSA-p64j-f4x9-wq66, CVE-2025-4143 and CVE-2025-4144: a redirect_uri that was nearly the registered one took the code elsewhere. It is
// compared byte by byte, the port of a loopback address too, at each of the endpoints by itself.
func TestRedirectsExactly(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	const registered, loopback = "https://app.example/callback", "http://127.0.0.1/callback"
	h.newClient("web", func(c *store.Client) { c.RedirectURIs = []string{registered, loopback, "http://[::1]/callback"} })
	cookie, _ := h.login("ann")
	with := func(uri string) url.Values {
		f := authForm("web")
		f.Set("redirect_uri", uri)
		return f
	}
	for _, uri := range []string{
		"https://app.example/Callback", "https://APP.example/callback", "HTTPS://app.example/callback", registered + "/", "https://app.example/./callback",
		"https://app.example/x/../callback", "https://app.example/x/%2e%2e/callback", "https://app.example/;/../callback", "https://app.example/%63allback", "https://user@app.example/callback",
		"https://app.example@evil.test/callback", "https://app.example:443@evil.test/callback", "https://a@b@app.example/callback", registered + "#x", registered + "#", registered + "?", registered + "?x=1",
		"https://app.example\\@evil.test/callback", "https://app.example:443/callback", "https://app.example:8443/callback", "http://app.example/callback", "//app.example/callback",
		"https://app.example.evil.test/callback", "https://*.example/callback", "https://app.example", "https:/app.example/callback", " " + registered, registered + "%00", registered + " ",
		"http://localhost/callback", "http://127.0.0.1.evil.test/callback", "http://127.0.0.1:80@evil.test/callback", "http://127.0.0.2/callback", "http://127.1/callback", "http://2130706433/callback",
		"http://[::1%25lo]/callback", "http://[::ffff:127.0.0.1]/callback", "https://127.0.0.1/callback", "http://127.0.0.1:8080/callback/x", "http://127.0.0.1:8080/callback?x", "http://127.0.0.1:8080/callback", "",
	} {
		onPage(t, uri, h.get("/oauth2/auth?"+with(uri).Encode(), cookie))
		onPage(t, "impersonate, "+uri, h.get("/impersonate?"+with(uri).Encode(), cookie))
		refused(t, h.post("/oauth2/par", "web", with(uri)), http.StatusBadRequest, "invalid_request")
		code := h.codeAtURI(with(registered), cookie)
		f := redeem(code)
		f.Set("redirect_uri", uri)
		if r := h.post("/oauth2/token", "web", f); r.status != http.StatusBadRequest || r.str("access_token") != "" {
			t.Errorf("token, %q: got %d %s", uri, r.status, r.body)
		}
	}
	for _, uri := range []string{registered, loopback, "http://[::1]/callback"} {
		f := redeem(h.codeAtURI(with(uri), cookie))
		f.Set("redirect_uri", uri)
		if r := h.post("/oauth2/token", "web", f); r.status != http.StatusOK {
			t.Errorf("%s: got %d %s", uri, r.status, r.body)
		}
	}
}

// codeAtURI is the code that the answer to f brings to its redirect_uri.
func (h *house) codeAtURI(f url.Values, cookie string) string {
	h.t.Helper()
	r := h.get("/oauth2/auth?"+f.Encode(), cookie)
	if r.location == nil || r.location.Query().Get("code") == "" || !strings.HasPrefix(r.location.String(), f.Get("redirect_uri")+"?") {
		h.t.Fatalf("%s: got %d to %v; want a code there", f.Get("redirect_uri"), r.status, r.location)
	}
	return r.location.Query().Get("code")
}

// TestPublicClientMay is CVE-2018-1000211, CVE-2023-34246, CVE-2026-44476 and Abblix PR #187: a public client could not revoke, came
// with a secret that nobody looked at, or asked about others' tokens. It signs people in and takes its own tokens back, no more.
func TestPublicClientMay(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("spa", func(c *store.Client) { refreshing(c); c.Public, c.Exchange = true, false })
	as := func(path string, f url.Values) reply {
		f.Set("client_id", "spa")
		return h.form(path, "", f)
	}
	s := h.start("ann", "app", "john", "read")
	first := as("/oauth2/token", redeem(h.code(s.cookie, "spa", actorScope)))
	if first.status != http.StatusOK {
		t.Fatalf("token: got %d %s", first.status, first.body)
	}
	refused(t, as("/oauth2/introspect", url.Values{"token": {first.str("access_token")}}), http.StatusUnauthorized, "invalid_client")
	refused(t, as("/oauth2/revoke", url.Values{"token": {s.token}}), http.StatusBadRequest, "unauthorized_client")
	refused(t, as("/oauth2/token", startForm("x", first.str("access_token"))), http.StatusBadRequest, "unauthorized_client")
	refused(t, as("/oauth2/token", stopForm(s.ret)), http.StatusBadRequest, "unauthorized_client")
	withSecret := redeem(h.code(s.cookie, "spa", "openid"))
	withSecret.Set("client_secret", "x")
	refused(t, as("/oauth2/token", withSecret), http.StatusUnauthorized, "invalid_client")
	if !h.active("app", s.token) || !h.active("app", first.str("access_token")) {
		t.Error("a refusal ended something")
	}
	if r := as("/oauth2/revoke", url.Values{"token": {first.str("access_token")}}); r.status != http.StatusOK || h.active("app", first.str("access_token")) {
		t.Errorf("revoking its own: got %d", r.status)
	}
}
