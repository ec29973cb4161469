package server_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// weak opens a login by password alone.
func (h *house) weak(user string) string {
	h.t.Helper()
	secret, now := oauth.NewSecret(), h.clock.Now().UTC()
	h.must(h.store.CreateLogin(h.t.Context(), store.LoginWrite{Write: h.write(), Cookie: secret.Hash(), Login: impersonation.Login{
		ID: oauth.NewID("lgn"), User: user, AuthTime: now.Truncate(time.Second), ACR: oauth.ACRPassword, AMR: []string{"pwd"},
		Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour)}}))
	return "__Host-op=" + string(secret)
}

// secondFactor gives user one.
func (h *house) secondFactor(user string) {
	h.t.Helper()
	sealed := []byte("sealed")
	h.must(h.store.SetCredentials(h.t.Context(), store.CredentialsWrite{Write: h.write(), UserID: user, TOTP: &sealed}))
}

// TestACR: acr_values are essential. What the sign-in has is told in both tokens and in introspection, a stronger one that the account can
// reach is asked for, and what it cannot reach is an error and never a weaker token.
//
// Covers RFC9470-5-01, RFC9470-6-01.
func TestACR(t *testing.T) { onBoth(t, testACR) }

func testACR(t *testing.T, o options) {
	h := setup(t, o)
	h.secondFactor("john")
	ann, _ := h.login("ann")
	john, eve := h.weak("john"), h.weak("eve")
	const mfa, pwd, nobody = oauth.ACRMFA, oauth.ACRPassword, "urn:example:gold"
	for name, c := range map[string]struct {
		cookie, acr, prompt string
		want                string // the acr, an error, or sign-in
	}{
		"strong, any":                {ann, "", "", mfa},
		"strong, strong":             {ann, mfa, "", mfa},
		"strong, weak":               {ann, pwd, "", pwd},
		"strong, either":             {ann, pwd + " " + mfa, "", mfa},
		"strong, or what nobody has": {ann, nobody + " " + mfa, "", mfa},
		"strong, what nobody has":    {ann, nobody, "", "unmet_authentication_requirements"},
		"nobody, what nobody has":    {"", nobody, "", "unmet_authentication_requirements"},
		"nobody, strong":             {"", mfa, "", "sign-in"},
		"nobody, silent":             {"", mfa, "none", "login_required"},
		"weak, any":                  {eve, "", "", pwd},
		"weak, weak":                 {eve, pwd, "", pwd},
		"weak, either":               {eve, mfa + " " + pwd, "", pwd},
		"weak, strong, out of reach": {eve, mfa, "", "unmet_authentication_requirements"},
		"silent, out of reach":       {eve, mfa, "none", "unmet_authentication_requirements"},
		"weak, strong, in reach":     {john, mfa, "", "sign-in"},
		"silent, in reach":           {john, mfa, "none", "login_required"},
	} {
		r := h.authorize(c.cookie, func(q url.Values) {
			if q.Del("acr_values"); c.acr != "" {
				q.Set("acr_values", c.acr)
			}
			if c.prompt != "" {
				q.Set("prompt", c.prompt)
			}
		})
		if r.location == nil {
			t.Fatalf("%s: got %d %s", name, r.status, r.body)
		}
		if r.location.Path == "/sign-in" {
			back, _ := url.Parse(r.location.Query().Get("return_to"))
			if c.want != "sign-in" || back.Query().Get("acr_values") != c.acr {
				t.Errorf("%s: sent to sign in, and back to %v; want %s", name, back, c.want)
			}
			continue
		}
		q := r.location.Query()
		if code := q.Get("code"); code != "" {
			h.toldACR(name, code, c.want)
		} else if q.Get("error") != c.want || q.Get("iss") != h.issuer {
			t.Errorf("%s: got %v; want %s", name, q, c.want)
		}
	}
}

// toldACR redeems a code and demands one acr everywhere, with the time of the sign-in and not of the token.
func (h *house) toldACR(name, code, want string) {
	h.t.Helper()
	r := h.post("/oauth2/token", "app", redeem(code))
	_, id := claims(h.t, r.str("id_token"))
	_, access := claims(h.t, r.str("access_token"))
	seen := h.post("/oauth2/introspect", "app", url.Values{"token": {r.str("access_token")}}).json
	if id["acr"] != want || access["acr"] != want || seen["acr"] != want {
		h.t.Errorf("%s: acr is %v, %v and at introspection %v; want %s", name, id["acr"], access["acr"], seen["acr"], want)
	}
	if id["auth_time"] == nil || id["auth_time"] != access["auth_time"] || id["auth_time"] != seen["auth_time"] {
		h.t.Errorf("%s: auth_time is %v, %v and at introspection %v", name, id["auth_time"], access["auth_time"], seen["auth_time"])
	}
}

// TestACROfSignIn: a sign-in by password is one by password, at a time that its tokens keep telling.
//
// Covers RFC9470-6-01, OIDC-3.1.2.1-02.
func TestACROfSignIn(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.setPassword()
	start := h.authorize("", func(q url.Values) { q.Set("max_age", "0") })
	r := h.form(start.location.String(), "", url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}})
	cookie := cookieOf(t, r)
	before := h.signIn(cookie, "app", "n")
	_, first := claims(t, before.str("id_token"))
	if first["acr"] != oauth.ACRPassword {
		t.Errorf("acr is %v", first["acr"])
	}
	h.clock.advance(time.Minute)
	_, later := claims(t, h.signIn(cookie, "app", "n").str("id_token"))
	if later["auth_time"] != first["auth_time"] || later["iat"] == first["iat"] {
		t.Errorf("a minute later auth_time is %v and iat %v; want %v and another", later["auth_time"], later["iat"], first["auth_time"])
	}
	for _, change := range []func(url.Values){func(q url.Values) { q.Set("max_age", "0") }, func(q url.Values) { q.Set("max_age", "59") }, func(q url.Values) { q.Set("prompt", "login") }} {
		r := h.authorize(cookie, change)
		if r.location == nil || r.location.Path != "/sign-in" {
			t.Fatalf("got %d %v; want the sign-in", r.status, r.location)
		}
		again := h.form(r.location.String(), cookie, url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}})
		_, fresh := claims(t, h.signIn(cookieOf(t, again), "app", "n").str("id_token"))
		if fresh["auth_time"].(float64) < first["auth_time"].(float64)+60 {
			t.Errorf("auth_time is %v; want that of the new sign-in", fresh["auth_time"])
		}
		cookie = cookieOf(t, again)
		h.clock.advance(time.Minute)
	}
}

// cookieOf is the login cookie that r sets.
func cookieOf(t *testing.T, r reply) string {
	t.Helper()
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.Name == "__Host-op" && c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}
	t.Fatalf("got %d to %v; want a sign-in", r.status, r.location)
	return ""
}

// TestAnswerAtTheApp: each answer at the redirect URI, good or bad, has iss and the state byte by byte, and keeps the URI's own query. It is
// cross-app OAuth account takeover and request forgery (COAT, CORF), on the side of the issuer.
//
// Covers RFC9207-2-01, RFC6749-4.1.2-03, RFC6749-10.14-01.
func TestAnswerAtTheApp(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	const own = "http://127.0.0.1:9999/own?a=%2B+b&state=mine&iss=mine"
	h.newClient("own", func(c *store.Client) { c.RedirectURIs = []string{own} })
	cookie, _ := h.login("ann")
	state := strings.Repeat("ä%2B +&=#\"<b>\u202e", 40)
	state = state[:512-len("ä")] + "ä"
	for name, change := range map[string]func(url.Values){
		"code":                  func(url.Values) {},
		"login_required":        func(q url.Values) { q.Set("prompt", "none"); q.Set("max_age", "0") },
		"invalid_scope":         func(q url.Values) { q.Set("scope", "nobody") },
		"unsupported":           func(q url.Values) { q.Set("response_type", "token") },
		"request_not_supported": func(q url.Values) { q.Set("request", "x") },
	} {
		h.clock.advance(time.Second)
		r := h.authorize(cookie, func(q url.Values) {
			q.Set("client_id", "own")
			q.Set("redirect_uri", own)
			q.Set("state", state)
			change(q)
		})
		if r.location == nil || len(r.header["Location"]) != 1 || r.status != http.StatusSeeOther {
			t.Fatalf("%s: got %d %v", name, r.status, r.location)
		}
		q := r.location.Query()
		if q.Has("code") != (name == "code") || len(q["state"]) != 1 || q.Get("state") != state || len(q["iss"]) != 1 || q.Get("iss") != h.issuer || q.Get("a") != "+ b" {
			t.Errorf("%s: got %v", name, q)
		}
	}
	for name, form := range map[string]url.Values{"ticket": why("john", "read"), "access_denied": {"action": {"cancel"}}} {
		r := h.form("/impersonate?"+ask("app"), cookie, form)
		if r.location == nil || r.location.Query().Get("iss") != h.issuer || r.location.Query().Get("state") != "state-12345" {
			t.Errorf("%s: got %d %v; want iss and state", name, r.status, r.location)
		}
	}
}

// TestLoginHint fills in the address that the app knows, from the URL and from a pushed request, as text; a hint that is no address fills in
// nothing that is not text either, and header lines cannot be broken.
//
// Covers RFC6749-10.14-01.
func TestLoginHint(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	hint := `"><script>alert(1)</script>`
	f := authForm("app")
	f.Set("login_hint", hint)
	for name, at := range map[string]string{"in the URL": "/oauth2/auth?" + f.Encode(), "pushed": h.push("app", f)} {
		r := h.get(h.get(at, "").location.RequestURI(), "")
		if !strings.Contains(r.body, `value="`+html.EscapeString(hint)) && !strings.Contains(r.body, "&#34;&gt;&lt;script&gt;") || strings.Contains(r.body, "<script") {
			t.Errorf("%s: got %s; want the hint as text", name, r.body)
		}
		if !strings.Contains(r.body, "The app") {
			t.Errorf("%s: the page does not name the app", name)
		}
	}
	f.Set("login_hint", "a\r\nSet-Cookie: x=y")
	if r := h.get("/oauth2/auth?"+f.Encode(), ""); r.status != http.StatusBadRequest || r.location != nil || r.header.Get("Set-Cookie") != "" {
		t.Errorf("line breaks: got %d %v", r.status, r.header)
	}
}

// TestHintOfAnother: who signs in as somebody else than the app asked for gets login_required, and is not asked in a circle.
//
// Covers OIDC-3.1.2.1-01.
func TestHintOfAnother(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	ann, _ := h.login("ann")
	hint := h.idTokenOf(ann, "app")
	f := authForm("app")
	f.Set("id_token_hint", hint)
	for name, at := range map[string]string{"in the URL": "/oauth2/auth?" + f.Encode(), "pushed": h.push("app", f)} {
		h.clock.advance(time.Second)
		john, _ := h.login("john")
		r := h.get(at, ann)
		if name == "in the URL" && r.location.Query().Get("code") == "" {
			t.Errorf("%s, as ann: got %v; want a code", name, r.location)
		}
		if name == "pushed" { // it is used up
			h.clock.advance(time.Second)
			at = h.push("app", f)
		}
		r = h.get(at, john)
		if r.location == nil || r.location.Path != "/sign-in" {
			t.Fatalf("%s, as john: got %d %v; want the sign-in", name, r.status, r.location)
		}
		h.clock.advance(time.Second)
		john, _ = h.login("john")
		if r := h.get(r.location.Query().Get("return_to"), john); r.location == nil || r.location.Query().Get("error") != "login_required" {
			t.Errorf("%s, john again: got %d %v; want login_required", name, r.status, r.location)
		}
		ann, _ = h.login("ann")
	}
}

// TestRepeatedAtTheEndpoint: no parameter may come twice, and what is broken before the client is known leads nowhere.
//
// Covers RFC6749-3.1-02, RFC8707-2-02, RFC7636-4.3-01, RFC7636-4.4.1-01, RFC9700-2.1-01.
func TestRepeatedAtTheEndpoint(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	for name := range authForm("app") {
		f := authForm("app")
		f.Add(name, f.Get(name))
		onPage(t, name+" twice", h.get("/oauth2/auth?"+f.Encode(), cookie))
	}
	for _, uri := range []string{callback + "/", callback + "?x=1", "http://user@127.0.0.1:9999/callback", "http://127.0.0.1:9999/%63allback", "http://127.0.0.1:9999/x/..%2Fcallback",
		"HTTP://127.0.0.1:9999/callback", "http://app.127.0.0.1:9999/callback", "http://127.0.0.1:9998/callback", callback + "#x", "http://127.0.0.1/callback", "//127.0.0.1:9999/callback"} {
		f := authForm("app")
		f.Set("redirect_uri", uri)
		onPage(t, uri, h.get("/oauth2/auth?"+f.Encode(), cookie))
	}
	for name, c := range map[string]struct {
		change func(url.Values)
		want   string
	}{
		"resource of nobody": {func(q url.Values) { q.Set("resource", "https://api.evil.test/") }, "invalid_target"},
		"broken resource":    {func(q url.Values) { q.Set("resource", "%%%") }, "invalid_target"},
		"two resources":      {func(q url.Values) { q["resource"] = []string{resource, resource} }, "invalid_target"},
		"no method":          {func(q url.Values) { q.Del("code_challenge_method") }, "invalid_request"},
		"plain":              {func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		"no challenge":       {func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }, "invalid_request"},
		"none and login":     {func(q url.Values) { q.Set("prompt", "none login") }, "invalid_request"},
	} {
		if r := h.authorize(cookie, c.change); r.location == nil || r.location.Query().Get("error") != c.want {
			t.Errorf("%s: got %d %v; want %s", name, r.status, r.location, c.want)
		}
	}
}

// TestPagesAreShut: pages that see codes, tickets or passwords can be framed by nobody, read by no other origin, load nothing from elsewhere, send
// no referrer and no message, and redirect by 303 alone; and their cookies are as their prefix demands.
//
// Covers RFC9700-2.6-01, RFC9700-4.2.4-01, RFC9700-4.12-01, RFC9700-4.16-01, RFC9700-4.17-01, COOKIE-4.1.3.2-01, COOKIE-4.1.2.7-01.
func TestPagesAreShut(t *testing.T) {
	t.Parallel()
	h := logoutHouse(t, options{})
	h.setPassword()
	ann, _ := h.login("ann")
	signIn := url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}}
	auth := "/oauth2/auth?" + authForm("app").Encode()
	calls := map[string]reply{
		"sign-in page": h.get("/sign-in", ""), "to the sign-in": h.get(auth, ""), "signed in": h.form("/sign-in?return_to=%2F", "", signIn), "wrong password": h.form("/sign-in", "", url.Values{"email": {"a@b.test"}}),
		"code": h.get(auth, ann), "error page": h.get("/oauth2/auth", ann), "find": h.get("/impersonate?"+ask("app"), ann), "ask": h.get("/impersonate?"+ask("app")+"&subject=john", ann),
		"ticket": h.form("/impersonate?"+ask("app"), ann, why("john", "read")), "sign-out?": h.get("/oauth2/logout", ann), "nowhere": h.get("/nowhere", ann),
		"home": h.get("/", ann), "signed out": h.form("/sign-out", ann, url.Values{}),
	}
	cookies := 0
	for name, r := range calls {
		if r.header.Get("X-Frame-Options") != "DENY" || r.header.Get("Referrer-Policy") != "no-referrer" || r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, r.header)
		}
		if csp := r.header.Get("Content-Security-Policy"); r.body != "" && !(strings.Contains(csp, "default-src 'none'") && strings.Contains(csp, "frame-ancestors 'none'")) {
			t.Errorf("%s: CSP %q", name, csp)
		}
		if strings.Contains(r.body, "<script") || strings.Contains(r.body, "postMessage") || strings.Contains(r.body, ` src="`) {
			t.Errorf("%s: the page has scripts or loads something", name)
		}
		if r.location != nil && r.status != http.StatusSeeOther {
			t.Errorf("%s: redirects by %d", name, r.status)
		}
		for _, c := range (&http.Response{Header: r.header}).Cookies() {
			cookies++
			if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s: cookie %s", name, c.Raw)
			}
		}
	}
	if cookies < 3 {
		t.Errorf("%d cookies; want those of the sign-in and the sign-out", cookies)
	}
	preflight := call{method: http.MethodOptions, path: "/oauth2/auth", header: http.Header{"Origin": {"https://evil.test"}, "Access-Control-Request-Method": {"GET"}}}
	for _, path := range []string{"/oauth2/auth", "/oauth2/token", "/oauth2/par", "/sign-in", "/impersonate", "/oauth2/logout"} {
		preflight.path = path
		if r := h.send(preflight); r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: another origin is let in: %v", path, r.header)
		}
	}
}

// TestCookieIsFresh: a cookie that somebody planted is not the one of the sign-in, and the one of before is worth nothing after.
//
// Covers COOKIE-8.6-01.
func TestCookieIsFresh(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.setPassword()
	signIn := url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}}
	planted := "__Host-op=" + string(oauth.NewSecret())
	first := cookieOf(t, h.form("/sign-in", planted, signIn))
	second := cookieOf(t, h.form("/sign-in", first, signIn))
	if first == planted || second == first || h.alive(planted) || h.alive(first) || !h.alive(second) {
		t.Error("a cookie of before the sign-in is good after it")
	}
	if h.alive(second+"; "+planted) || h.alive(planted+"; "+second) {
		t.Error("of two cookies of one name one is believed")
	}
}

// TestNoStartOrStopByGET: a link starts nothing and stops nothing.
//
// Covers CSRF-01, RFC6749-10.12-01.
func TestNoStartOrStopByGET(t *testing.T) {
	t.Parallel()
	h := setupSeen(t, options{})
	s := h.start("ann", "app", "john", "read")
	before := h.base.dump(t)
	ticket := why("john", "read")
	for name, at := range map[string]string{
		"page": "/impersonate?" + ask("app") + "&" + ticket.Encode(), "token": "/oauth2/token?" + stopForm(s.ret).Encode(), "revoke": "/oauth2/revoke?" + url.Values{"token": {s.token}}.Encode(),
		"acting": "/sign-in/acting?" + url.Values{"return_to": {"/oauth2/auth?client_id=app"}}.Encode(), "sign-out": "/sign-out", "logout": "/oauth2/logout?client_id=app",
	} {
		if r := h.get(at, s.cookie); r.location != nil && strings.HasPrefix(r.location.String(), callback) || r.status >= 500 {
			t.Errorf("%s: got %d to %v", name, r.status, r.location)
		}
	}
	for _, site := range []string{"cross-site", "same-site"} {
		c := call{method: http.MethodPost, path: "/impersonate", body: ticket, header: http.Header{"Cookie": {s.cookie}, "Sec-Fetch-Site": {site}}}
		c.query, _ = url.ParseQuery(ask("app"))
		if r := h.send(c); r.status != http.StatusForbidden || r.location != nil {
			t.Errorf("a form from %s: got %d to %v", site, r.status, r.location)
		}
	}
	onlyAudit(t, "links and foreign forms", before, h.base.dump(t), "directory.search")
	if !h.active("app", s.token) {
		t.Error("a link stopped the impersonation")
	}
}
