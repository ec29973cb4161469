package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/store"
)

const loggedOut = "http://127.0.0.1:9999/logged-out?from=us"

// idTokenOf is an ID token of the login of cookie at client.
func (h *house) idTokenOf(cookie, client string) string {
	h.t.Helper()
	r := h.post("/oauth2/token", client, redeem(h.code(cookie, client, "openid")))
	if r.status != http.StatusOK || r.str("id_token") == "" {
		h.t.Fatalf("token: got %d %s", r.status, r.body)
	}
	return r.str("id_token")
}

// logoutHouse has the clients shop and stall, each with a page for who signed out.
func logoutHouse(t *testing.T, o options) *house {
	t.Helper()
	h := setup(t, o)
	h.newClient("shop", func(c *store.Client) { c.Settings.PostLogoutRedirectURIs = []string{loggedOut} })
	h.newClient("stall", func(c *store.Client) { c.Settings.PostLogoutRedirectURIs = []string{loggedOut + "&stall=1"} })
	return h
}

// alive asks whether the login of cookie goes on.
func (h *house) alive(cookie string) bool {
	h.t.Helper()
	return h.get("/", cookie).status == http.StatusOK
}

func logoutAt(f url.Values) string { return "/oauth2/logout?" + f.Encode() }

// TestLogoutByApp: an app with an ID token of this sign-in ends it, with every impersonation and token that stands on it, and
// gets the browser back with its state.
// Covers OIDCRPL-2-01.
func TestLogoutByApp(t *testing.T) { onBoth(t, testLogoutByApp) }

func testLogoutByApp(t *testing.T, o options) {
	h := logoutHouse(t, o)
	s := h.start("ann", "app", "john", "read")
	hint := h.idTokenOf(s.cookie, "shop")
	for range 2 { // until the ID token has expired, and the impersonation has not been idle for long
		h.clock.advance(6 * time.Minute)
		if !h.active("app", s.token) {
			t.Fatal("the impersonation is over too early")
		}
	}
	token := h.token(s.cookie, "app", "openid")
	r := h.get(logoutAt(url.Values{"id_token_hint": {hint}, "client_id": {"shop"}, "post_logout_redirect_uri": {loggedOut}, "state": {"a b&c"}}), s.cookie)
	if r.status != http.StatusSeeOther || r.location == nil || r.location.Query().Get("state") != "a b&c" || r.location.Query().Get("from") != "us" ||
		!strings.HasPrefix(r.location.String(), "http://127.0.0.1:9999/logged-out?") {
		t.Fatalf("got %d to %v %s; want to go back, with state", r.status, r.location, r.body)
	}
	if h.alive(s.cookie) || h.active("app", token) || h.active("app", s.token) {
		t.Error("the login, the person's token or the impersonation goes on")
	}
	expired := 0
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.MaxAge < 0 && strings.HasPrefix(c.Name, "__Host-") {
			expired++
		}
	}
	if expired != 2 || r.header.Get("Clear-Site-Data") != `"cache"` {
		t.Errorf("%d cookies expired, Clear-Site-Data %q", expired, r.header.Get("Clear-Site-Data"))
	}
	again := h.get(logoutAt(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {loggedOut}}), s.cookie)
	if again.location == nil || again.location.String() != loggedOut {
		t.Errorf("signed out already: got %d to %v; want to go back all the same", again.status, again.location)
	}
	bare := h.get("/oauth2/logout", "")
	if bare.status != http.StatusOK || bare.location != nil || !strings.Contains(bare.body, "You are signed out") {
		t.Errorf("nobody is signed in, and nowhere to go: got %d to %v", bare.status, bare.location)
	}
}

// TestLogoutAsks: without an ID token of this very sign-in the person is asked, nothing ends, and what is no good leads nowhere.
// Covers OIDCRPL-2-01.
func TestLogoutAsks(t *testing.T) {
	t.Parallel()
	h := logoutHouse(t, options{})
	cookie, _ := h.login("ann")
	earlier, _ := h.login("ann")
	john, _ := h.login("john")
	foreign := logoutHouse(t, options{})
	theirs, _ := foreign.login("ann")
	s := h.start("ann", "app", "john", "read")
	own := h.idTokenOf(cookie, "shop")
	good := url.Values{"id_token_hint": {own}, "client_id": {"shop"}, "post_logout_redirect_uri": {loggedOut}, "state": {"1"}}
	for name, c := range map[string]struct {
		name, value string
		follows     bool // to the app, once the person has said yes
	}{
		"no hint":                      {"id_token_hint", "", true},
		"a hint of an earlier sign-in": {"id_token_hint", h.idTokenOf(earlier, "shop"), true},
		"a hint of somebody else":      {"id_token_hint", h.idTokenOf(john, "shop"), true},
		"a hint of another issuer":     {"id_token_hint", foreign.idTokenOf(theirs, "shop"), false},
		"a hint for another client":    {"id_token_hint", h.idTokenOf(cookie, "stall"), false},
		"an access token":              {"id_token_hint", h.token(cookie, "shop", "openid"), false},
		"an impersonation":             {"id_token_hint", s.token, false},
		"its signature cut":            {"id_token_hint", own[:len(own)-4], false},
	} {
		f := cloneValues(good)
		f.Set(c.name, c.value)
		r := h.get(logoutAt(f), cookie)
		if r.status != http.StatusOK || r.location != nil || !strings.Contains(r.body, `<form method="post" action="/sign-out`) {
			t.Errorf("%s: got %d to %v; want to be asked", name, r.status, r.location)
		}
		if strings.Contains(r.body, "logged-out") != c.follows || strings.Contains(r.header.Get("Content-Security-Policy"), "9999") != c.follows {
			t.Errorf("%s: the page leads to the app: want %v\n%s", name, c.follows, r.body)
		}
		if strings.Contains(r.body, c.value) && c.value != "" {
			t.Errorf("%s: the page repeats the hint", name)
		}
	}
	for name, change := range map[string]func(url.Values){
		"nobody registered it":   func(f url.Values) { f.Set("post_logout_redirect_uri", "https://evil.test/") },
		"a redirect_uri":         func(f url.Values) { f.Set("post_logout_redirect_uri", callback) },
		"another client's":       func(f url.Values) { f.Set("post_logout_redirect_uri", loggedOut+"&stall=1") },
		"a fragment more":        func(f url.Values) { f.Set("post_logout_redirect_uri", loggedOut+"#x") },
		"nobody's":               func(f url.Values) { f.Del("id_token_hint"); f.Del("client_id") },
		"a client that is not":   func(f url.Values) { f.Del("id_token_hint"); f.Set("client_id", "nobody") },
		"one parameter is twice": func(f url.Values) { f.Add("state", "2") },
	} {
		f := cloneValues(good)
		change(f)
		for _, with := range []string{cookie, ""} {
			onPage(t, name, h.get(logoutAt(f), with))
		}
	}
	if !h.alive(cookie) || !h.active("app", s.token) {
		t.Error("a link ended a sign-in or an impersonation")
	}
}

// TestLogoutConfirmed: the page's form ends the login and goes back to the app; another site cannot send it, and what it carries
// is checked anew.
// Covers OIDCRPL-2-01, RFC6749-10.12-01.
func TestLogoutConfirmed(t *testing.T) {
	t.Parallel()
	h := logoutHouse(t, options{})
	s := h.start("ann", "app", "john", "read")
	at := "/sign-out?" + url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {loggedOut}, "state": {"s"}}.Encode()
	cross := call{method: http.MethodPost, path: at, body: url.Values{}, header: http.Header{"Cookie": {s.cookie}, "Sec-Fetch-Site": {"cross-site"}}}
	if r := h.send(cross); r.status != http.StatusForbidden || !h.alive(s.cookie) || !h.active("app", s.token) {
		t.Errorf("from another site: got %d; want nothing done", r.status)
	}
	r := h.form(at, s.cookie, url.Values{})
	if r.status != http.StatusSeeOther || r.location.Query().Get("state") != "s" || r.location.Path != "/logged-out" {
		t.Errorf("got %d to %v; want to go back", r.status, r.location)
	}
	if h.alive(s.cookie) || h.active("app", s.token) {
		t.Error("the login or the impersonation goes on")
	}
	for name, bad := range map[string]string{
		"of nobody": "/sign-out?" + url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {"https://evil.test/"}}.Encode(), "junk": "/sign-out?state=1&state=2&%zz",
	} {
		cookie, _ := h.login("ann")
		if r := h.form(bad, cookie, url.Values{}); r.status != http.StatusOK || r.location != nil || h.alive(cookie) {
			t.Errorf("%s: got %d to %v, alive %v; want the sign-in ended, and our own page", name, r.status, r.location, h.alive(cookie))
		}
	}
}

// TestLogoutByPost: what an app posts goes on as a GET, to which the browser adds our cookie.
func TestLogoutByPost(t *testing.T) {
	t.Parallel()
	h := logoutHouse(t, options{})
	cookie, _ := h.login("ann")
	f := url.Values{"id_token_hint": {h.idTokenOf(cookie, "shop")}, "post_logout_redirect_uri": {loggedOut}, "client_secret": {"of somebody"}}
	r := h.form("/oauth2/logout", "", f)
	if r.status != http.StatusSeeOther || r.location.Path != "/oauth2/logout" || r.location.Query().Has("client_secret") || !h.alive(cookie) {
		t.Fatalf("got %d to %v; want the same as a GET", r.status, r.location)
	}
	if r := h.get(r.location.String(), cookie); r.location == nil || r.location.String() != loggedOut || h.alive(cookie) {
		t.Errorf("got %d to %v; want to be signed out, and back", r.status, r.location)
	}
}

// TestLogoutInBrowser: the page's form ends at the app, another origin, which its Content-Security-Policy must allow; and the person may stay.
func TestLogoutInBrowser(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	back := strings.Replace(app(t), "/callback", "/bye", 1)
	h.newClient("shop", func(c *store.Client) { c.Settings.PostLogoutRedirectURIs = []string{back} })
	p := h.tab(t, "ann")
	p.NoScript(true)
	at := h.url + logoutAt(url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {back}, "state": {"state-1"}})
	p.Go(at)
	p.Follow("main a")
	if got := p.Text("h1"); got != "Signed in" {
		t.Errorf("staying leads to %q", got)
	}
	p.Go(at)
	p.Follow("button.primary")
	if got := p.Text("h1"); !strings.HasPrefix(got, "Got GET /bye state-1") {
		t.Errorf("came to %s: %s", p.URL(), got)
	}
	p.Go(h.url + "/")
	if !strings.Contains(p.URL(), "/sign-in") {
		t.Errorf("after the sign-out %s is shown", p.URL())
	}
	p.Quiet()
}
