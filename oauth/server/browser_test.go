package server_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }

// tab is a browser in which user is signed in.
func (h *house) tab(t *testing.T, user string) *browsertest.Page {
	t.Helper()
	p := browsertest.Start(t)
	cookie, _ := h.login(user)
	name, value, _ := strings.Cut(cookie, "=")
	p.SetCookie(h.url, &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return p
}

// app is a relying app that writes what it is sent, and its redirect URI.
func app(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<!doctype html><title>App</title><h1>Got %s</h1>", html.EscapeString(strings.Join([]string{
			r.Method, r.URL.Path, r.FormValue("state"), r.FormValue("error"), fmt.Sprint(len(r.FormValue("ticket")))}, " ")))
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/callback"
}

func (h *house) register(id, name, redirectURI string) {
	h.t.Helper()
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: id, Exchange: true, Resources: []string{resource}, Scopes: []string{"openid", "impersonate"}},
		Name:   name, RedirectURIs: []string{redirectURI}, Created: time.Now(),
	}}))
}

// askAt is the query of /impersonate for a client with another redirect URI.
func askAt(client, redirectURI string) string {
	q, _ := url.ParseQuery(ask(client))
	q.Set("redirect_uri", redirectURI)
	return q.Encode()
}

// TestWithoutScripts goes from signing in to the app with scripts off, under the real Content-Security-Policy: the last step is a
// POST whose redirect leads to another origin, which form-action must allow.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.setPassword()
	callback := app(t)
	h.register("shop", "The shop", callback)
	p := browsertest.Start(t)
	p.NoScript(true)
	p.Go(h.url + "/impersonate?" + askAt("shop", callback))
	p.Type("#email", "ann@acme.test")
	p.Type("#password", annsPassword)
	p.Follow("button[type=submit]")
	p.Type("#q", "doe")
	p.Next(func() { p.Press("Enter") })
	if got := p.Text("caption"); p.Count("tbody tr") != 2 {
		t.Errorf("%s: %d users, want John and Eve Doe", got, p.Count("tbody tr"))
	}
	p.Follow("tbody tr:last-child a")
	p.Type("#reason", "cannot find the report tab")
	p.Follow("button.primary")
	if got := p.Text("h1"); got != "Got GET /callback state-12345 43" || !strings.HasPrefix(p.URL(), callback) {
		t.Errorf("came to %s: %s", p.URL(), got)
	}
	p.Quiet()

	p.Go(h.url + "/impersonate?" + askAt("shop", callback))
	p.Follow("button.link")
	if got := p.Text("h1"); got != "Got GET /callback state-12345 access_denied 0" {
		t.Errorf("Cancel leads to %s: %s", p.URL(), got)
	}
	p.Quiet()
}

// TestFramed is clickjacking: no hosted page can be put into a frame, neither by another site nor by another port of the same host, to
// whose frames the browser sends our SameSite=Lax cookie.
func TestFramed(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	paths := []string{"/", "/sign-in", "/sign-in/code", "/sign-in/second-factor", "/sign-out", "/nowhere", "/impersonate",
		"/impersonate?" + ask("app"), "/impersonate?" + ask("app") + "&q=doe", "/impersonate?" + ask("app") + "&subject=john"}
	harmless := app(t)
	frames := fmt.Sprintf("<!doctype html><title>Evil</title><iframe src=\"%s\"></iframe>", harmless)
	for _, path := range paths {
		frames += fmt.Sprintf("<iframe src=\"%s\"></iframe>", html.EscapeString(h.url+path))
	}
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, frames) }))
	t.Cleanup(evil.Close)
	for _, origin := range []string{evil.URL, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)} {
		p := h.tab(t, "ann")
		p.Go(origin)
		blocked, shown := 0, 0
		for _, r := range p.Requests() {
			switch {
			case r.Error == "net::ERR_BLOCKED_BY_RESPONSE":
				blocked++
			case r.URL == harmless && r.Status == http.StatusOK:
				shown++ // so frames as such work here
			case strings.HasPrefix(r.URL, h.url) && r.Status != http.StatusSeeOther:
				t.Errorf("a frame of %s shows %s (%d)", origin, r.URL, r.Status)
			}
		}
		if blocked != len(paths) || shown != 1 {
			t.Errorf("%s: %d frames are blocked, want %d; %d frames of the harmless app show, want 1", origin, blocked, len(paths), shown)
		}
	}
}

// hostile is what people and registrations may bring along to break out of a page (CVE-2026-29191, CVE-2026-29192,
// CVE-2025-67495).
var hostile = []string{
	"javascript:alert(1)", "java\tscript:alert(2)", "java\nscript:alert(3)", "\x01javascript:alert(4)", "data:text/html,<script>alert(5)</script>",
	"vbscript:alert(6)", "<script>alert(7)</script>", "</title><script>alert(8)</script>", "</textarea><img src=x onerror=alert(9)>",
	"\"><svg onload=alert(10)>", "' autofocus onfocus=alert(11) x='", "{{alert(12)}}", "<!--<script>", "\u202e)31(trela\u202c Doe",
	"\u2066Doe", "<base href=//evil.test>", "<meta http-equiv=refresh content=0;url=//evil.test>", "<style>*{display:none}</style>",
	"&lt;script&gt;alert(14)&lt;/script&gt;", strings.Repeat("A\u0301\U0001F469\u200d\U0001F4BB", 57), // as long as a name may be
}

// TestHostileNames: names, e-mail addresses and organisations of users, names of clients, and every parameter that a page
// writes back are text, whatever they hold. No dialog opens, no Content-Security-Policy has to step in, no element appears
// (CVE-2026-29191).
func TestHostileNames(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	callback := app(t)
	p := h.tab(t, "ann")
	stranger := browsertest.Start(t)
	for i, name := range hostile {
		id := fmt.Sprintf("evil%d", i)
		h.must(h.store.CreateUser(context.Background(), store.UserWrite{Write: h.write(), User: directory.User{
			ID: id, Email: fmt.Sprintf("%d@evil.test", i), Name: name, Organisation: name[:min(len(name), 252)], // whole characters
			Enabled: true, Created: time.Now()}}))
		h.register("client-"+id, name, callback)
		ask := h.url + "/impersonate?" + askAt("client-"+id, callback)
		short := name[:min(len(name), 98)] // whole characters, and few enough for a URL
		typed := "&" + url.Values{"reason": {short}, "ticket_number": {short}}.Encode()
		for _, at := range []string{ask + "&" + url.Values{"q": {short}}.Encode() + typed, ask + "&q=evil.test" + typed, ask + "&subject=" + id + typed} {
			p.Go(at)
			inert(t, p, at)
		}
		for _, at := range []string{ask, h.url + "/sign-in?" + url.Values{"return_to": {name}}.Encode()} {
			stranger.Go(at)
			inert(t, stranger, at)
		}
	}
}

// TestHostileParameters: a redirect URI that is not registered leads nowhere and is no link, on any route that takes one.
func TestHostileParameters(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	p := h.tab(t, "ann")
	for _, evil := range append([]string{"https://evil.test/", "//evil.test", callback + "/.."}, hostile...) {
		for _, at := range []string{
			h.url + "/impersonate?" + askAt("app", evil),
			h.url + "/impersonate?" + askAt(evil, callback),
			h.url + "/oauth2/auth?" + url.Values{"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {evil}, "state": {"12345678"}}.Encode(),
			h.url + "/oauth2/auth?" + url.Values{"client_id": {evil}, "response_type": {evil}, "redirect_uri": {callback}, "state": {evil}}.Encode(),
		} {
			p.Go(at)
			if p.Status() != http.StatusBadRequest && p.Status() != http.StatusRequestURITooLong {
				t.Errorf("status %d of %.200s", p.Status(), at)
			}
			inert(t, p, at)
		}
	}
}

// inert: nothing of what came in has become more than text.
func inert(t *testing.T, p *browsertest.Page, at string) {
	t.Helper()
	if !strings.HasPrefix(p.URL(), at[:strings.Index(at[8:], "/")+8]) {
		t.Errorf("%.200s led to %.200s", at, p.URL())
	}
	if n := p.Count("script, base, meta[http-equiv], style, svg, iframe, img, [onerror], [onload], [onfocus], [style]"); n > 0 {
		t.Errorf("%.200s: %d elements that no page of ours has", at, n)
	}
	var links []string
	p.Eval(`["href", "action", "formaction", "src"].flatMap(a => [...document.querySelectorAll("[" + a + "]")].map(e => e.getAttribute(a)))
		.filter(u => !/^https?:/.test(new URL(u, location.href)))`, &links)
	if len(links) > 0 {
		t.Errorf("%.200s: links to %q", at, links)
	}
	var sideways bool
	if p.Eval(`document.scrollingElement.scrollWidth > innerWidth`, &sideways); sideways {
		t.Errorf("%.200s: scrolls sideways", at)
	}
	p.Quiet()
}
