package rp_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

const (
	actingCookie = "__Host-understudy"
	heldCookie   = "__Host-understudy-held"
	signInCookie = "__Host-understudy-signin"
)

// nobodyElse demands that the app saw nothing, and that no sign-in of the actor came back.
func nobodyElse(t *testing.T, h *house, b *browser, what string) {
	t.Helper()
	if seen := h.taken(&h.seen); len(seen) != 0 {
		t.Errorf("%s: the app was reached: %v", what, seen)
	}
	if h.app == h.asUser && b.cookies(h.app)[signInCookie] != "" {
		t.Errorf("%s: the actor's sign-in is back", what)
	}
}

// TestDamagedCookies is CVE-2026-25899, CVE-2024-28197 and "Cookie Chaos" (names that only look like a prefixed one): whatever is wrong with
// what the browser sends, the answer is that it is over. On one origin the two cookies are damaged in turn.
func TestDamagedCookies(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "write")
		other := setup(t, apart, nil).ann()
		other.impersonate("john", "write")
		foreign := other.cookies(other.h.asUser)[actingCookie]
		jar := b.cookies(h.asUser)
		names := []string{actingCookie}
		if h.app == h.asUser {
			names = append(names, heldCookie)
		}
		for _, name := range names {
			good := jar[name]
			for what, cookies := range map[string]string{
				"gone":             "",
				"empty":            name + "=",
				"cut":              name + "=" + good[:len(good)-1],
				"one letter":       name + "=" + flip(good),
				"longer":           name + "=" + good + "A",
				"doubled":          name + "=" + good + "; " + name + "=" + good,
				"doubled, planted": name + "=planted; " + name + "=" + good,
				"quoted":           name + `="` + good + `"`,
				"another key":      name + "=" + foreign,
				"64 KiB":           name + "=" + strings.Repeat("A", 60<<10),
				"another name":     name + "=" + h.ann().cookies(h.app)[signInCookie],
				"old version":      "$Version=1; " + name + "-x=" + good,
				"unicode space":    "\u2000" + name + "=" + good,
				"other case":       strings.ToLower(name) + "=" + good,
			} {
				h.taken(&h.seen)
				rest := map[string]string{}
				for n, v := range jar {
					if n != name {
						rest[n] = v
					}
				}
				for _, method := range []string{"GET", "POST"} {
					req := b.request(method, h.asUser+"/note", nil)
					req.Header.Set("Cookie", strings.Trim(cookieHeader(rest)+"; "+cookies, "; "))
					one := h.browser()
					r := one.send(req)
					if r.status != http.StatusForbidden {
						t.Errorf("%s %s %s: %d, want 403", method, name, what, r.status)
					}
					nobodyElse(t, h, one, method+" "+name+" "+what)
				}
			}
		}
		if r := b.get(h.asUser + "/"); !strings.Contains(r.body, "subject=john") {
			t.Errorf("with its own cookies it should still go on: %d", r.status)
		}
	})
}

func flip(s string) string {
	c := byte('A')
	if s[20] == c {
		c = 'B'
	}
	return s[:20] + string(c) + s[21:]
}

// TestTooManyCookies is CVE-2026-25899, CVE-2026-40303: a thousand cookies are read without memory, more than
// any browser keeps is 431.
func TestTooManyCookies(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "read")
	req := b.request(http.MethodGet, h.asUser+"/", nil)
	req.Header.Set("Cookie", cookieHeader(b.cookies(h.asUser))+strings.Repeat("; x=y", 1000))
	if r := b.send(req); r.status != http.StatusOK || !strings.Contains(r.body, "subject=john") {
		t.Errorf("a thousand more: %d", r.status)
	}
	req = b.request(http.MethodGet, h.asUser+"/", nil)
	req.Header.Set("Cookie", strings.Repeat("x=y; ", 200_000)+"a=b")
	req.Host = req.URL.Host
	w := httptest.NewRecorder()
	h.rp.Handler(http.NotFoundHandler()).ServeHTTP(w, req)
	if w.Code != http.StatusForbidden { // nobody is impersonated
		t.Errorf("a megabyte: %d, want 403", w.Code)
	}
	req.Header.Set("Cookie", strings.Repeat("x=y; ", 220_000))
	w = httptest.NewRecorder()
	if h.rp.Handler(http.NotFoundHandler()).ServeHTTP(w, req); w.Code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("more: %d, want 431", w.Code)
	}
}

// TestStolenCookie replays the impersonation's cookie at stop from another browser: it ends, and gives nothing
// (CVE-2021-28680).
func TestStolenCookie(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "write")
		thief := h.browser()
		thief.cookies(h.asUser)[actingCookie] = b.cookies(h.asUser)[actingCookie]
		h.taken(&h.seen)
		r := thief.one(http.MethodPost, h.asUser+"/.understudy/stop", nil)
		if r.status != http.StatusOK && r.status != http.StatusSeeOther {
			t.Errorf("stop: %d", r.status)
		}
		nobodyElse(t, h, thief, "stop")
		if thief.cookies(h.app)[signInCookie] != "" {
			t.Error("the thief is signed in")
		}
		if n := h.live(); n != 0 {
			t.Errorf("%d sessions go on", n)
		}
		if r := thief.get(h.app + "/admin"); r.url.Path != "/sign-in" {
			t.Errorf("the thief came to %s", r.url)
		}
	})
}

// TestForgottenHold is a flood of cookies on one origin: the browser has dropped both of ours, and the actor is not back. Who
// they are is known to the issuer alone, and that asks them first.
func TestForgottenHold(t *testing.T) {
	t.Parallel()
	h := setup(t, over, nil)
	b := h.ann()
	b.impersonate("john", "read")
	clear(b.cookies(h.app))
	h.taken(&h.seen)
	r := b.get(h.app + "/admin")
	if r.url.Path != "/sign-in/acting" || !strings.Contains(r.body, "John Doe") {
		t.Fatalf("led to %s: %s", r.url, r.body)
	}
	nobodyElse(t, h, b, "without cookies")
	if r := b.post(r.url.String()); r.url.String() != h.app+"/admin" || !strings.Contains(r.body, "subject=ann") || h.live() != 0 {
		t.Errorf("after the button: %s, %d live", r.url, h.live())
	}
}

// TestMixedCookies stops with the two cookies of two sessions: both end, nothing is given.
func TestMixedCookies(t *testing.T) {
	t.Parallel()
	h := setup(t, over, nil)
	one, two := h.ann(), h.ann()
	one.impersonate("john", "read")
	two.impersonate("eve", "read")
	one.cookies(h.app)[actingCookie] = two.cookies(h.app)[actingCookie]
	h.taken(&h.seen)
	if r := one.one(http.MethodGet, h.app+"/", nil); r.status != http.StatusForbidden {
		t.Errorf("served: %d", r.status)
	}
	one.one(http.MethodPost, h.app+"/.understudy/stop", nil)
	nobodyElse(t, h, one, "stop")
	if n := h.live(); n != 0 {
		t.Errorf("%d sessions go on", n)
	}
}

// TestAnotherBrowsersTicket is an injected ticket: a ticket counts only in the browser that asked for it.
func TestAnotherBrowsersTicket(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b, other := h.ann(), h.ann()
		page := b.ask("john", "")
		r := b.one(http.MethodPost, page.url.String(), values("subject", "john", "mode", "read", "minutes", "30", "reason", "cannot find it", "action", "impersonate"))
		back := r.header.Get("Location")
		if !strings.Contains(back, "ticket=") {
			t.Fatalf("no ticket: %d %s", r.status, back)
		}
		if r := other.one(http.MethodGet, back, nil); r.status != http.StatusBadRequest {
			t.Errorf("another browser: %d, want 400", r.status)
		}
		if other.cookies(h.asUser)[actingCookie] != "" || h.live() != 0 {
			t.Error("it started something")
		}
		if r := b.get(back); !strings.Contains(r.body, "subject=john") {
			t.Errorf("in its own browser: %d", r.status)
		}
	})
}

// TestCallback: whatever comes back from somewhere else than from where one went is a page that says so.
func TestCallback(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		for what, change := range map[string]func(h *house, q url.Values) string{
			"another issuer": func(_ *house, q url.Values) string { q.Set("iss", "https://evil.test"); return q.Encode() },
			"no issuer":      func(_ *house, q url.Values) string { q.Del("iss"); return q.Encode() },
			"another state":  func(_ *house, q url.Values) string { q.Set("state", q.Get("state")[:8]+"x"); return q.Encode() },
			"no state":       func(_ *house, q url.Values) string { q.Del("state"); return q.Encode() },
			"twice":          func(_ *house, q url.Values) string { return q.Encode() + "&ticket=x" },
			"no ticket":      func(_ *house, q url.Values) string { q.Del("ticket"); return q.Encode() },
			"code for ticket": func(_ *house, q url.Values) string {
				q.Set("code", q.Get("ticket"))
				q.Del("ticket")
				return q.Encode()
			},
			"an error": func(_ *house, q url.Values) string { q.Del("ticket"); q.Set("error", "<script>"); return q.Encode() },
			"too late": func(h *house, q url.Values) string { h.clock.advance(11 * time.Minute); return q.Encode() },
		} {
			b := h.ann()
			page := b.ask("john", "")
			r := b.one(http.MethodPost, page.url.String(), values("subject", "john", "mode", "read", "minutes", "30", "reason", "cannot find it", "action", "impersonate"))
			back, err := url.Parse(r.header.Get("Location"))
			if err != nil || back.Query().Get("ticket") == "" {
				t.Fatalf("no ticket: %d %v", r.status, back)
			}
			back.RawQuery = change(h, back.Query())
			r = b.one(http.MethodGet, back.String(), nil)
			if r.status < 400 || r.status >= 500 || !strings.Contains(r.body, "<h1>") || !strings.Contains(r.body, "href=") || strings.Contains(r.body, "<script>") {
				t.Errorf("%s: %d %s", what, r.status, r.body)
			}
			if b.cookies(h.asUser)[actingCookie] != "" || h.live() != 0 {
				t.Errorf("%s: it started something", what)
			}
		}
	})
}

// TestCancel: nothing happened, and one is back where one was.
func TestCancel(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		r := b.post(b.ask("john", "/admin?page=2").url.String(), "action", "cancel")
		if r.url.String() != h.app+"/admin?page=2" || !strings.Contains(r.body, "subject=ann") {
			t.Errorf("back at %s", r.url)
		}
	})
}

// TestReturnTo leads nowhere else.
func TestReturnTo(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	for _, to := range []string{
		"https://evil.test/", "//evil.test", `/\evil.test`, `\\evil.test`, "/\t/evil.test", "/\n/evil.test", "javascript:alert(1)", "evil", "",
		"/.understudy/stop", "/x#frag", "///evil.test", "/%zz", "/" + strings.Repeat("x", 2000),
	} {
		for _, route := range []string{"start", "sign-in"} {
			r := b.one(http.MethodGet, h.app+"/.understudy/"+route+"?"+values("return_to", to).Encode(), nil)
			if want := to != ""; want != (r.status == http.StatusBadRequest) || want && (!strings.Contains(r.body, "<h1>") || !strings.Contains(r.body, h.app)) {
				t.Errorf("%s to %q: %d %s", route, to, r.status, r.body)
			}
		}
	}
}

// TestForeignStop is a forged stop (CSRF): no other site's page stops anything.
func TestForeignStop(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		for _, site := range []string{"cross-site", "same-site"} {
			for _, route := range []string{"stop", "sign-out"} {
				req := b.request(http.MethodPost, h.asUser+"/.understudy/"+route, nil)
				req.Header.Set("Sec-Fetch-Site", site)
				if r := b.send(req); r.status != http.StatusForbidden {
					t.Errorf("%s %s: %d, want 403", route, site, r.status)
				}
			}
		}
		req := b.request(http.MethodPost, h.asUser+"/.understudy/stop", nil)
		req.Header.Del("Sec-Fetch-Site")
		req.Header.Set("Origin", "https://evil.test")
		if r := b.send(req); r.status != http.StatusForbidden {
			t.Errorf("an old browser: %d, want 403", r.status)
		}
		if r := b.get(h.asUser + "/"); !strings.Contains(r.body, "subject=john") || h.live() != 1 {
			t.Error("it was stopped")
		}
	})
}

// TestSecondStart: what one session does is never booked on another. On one origin the first has to be stopped; on its own the second ends it. A form of the
// first one's page is refused in either.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		first := b.impersonate("john", "write")
		_, rest, _ := strings.Cut(first.body, `name="understudy_session" value="`)
		id, _, _ := strings.Cut(rest, `"`)
		if !strings.HasPrefix(id, "imp_") {
			t.Fatalf("the page's form has no session: %s", first.body)
		}
		if h.app == h.asUser {
			if r := b.get(h.app + "/.understudy/start?subject=eve"); r.status != http.StatusConflict {
				t.Errorf("second start: %d, want 409", r.status)
			}
			b.post(h.app + "/.understudy/stop")
		}
		b.impersonate("eve", "write")
		if n := h.live(); n != 1 {
			t.Errorf("%d sessions go on, want 1", n)
		}
		h.taken(&h.seen)
		if r := b.post(h.asUser+"/note", "text", "for john", "understudy_session", id); r.status != http.StatusForbidden {
			t.Errorf("the first one's form: %d, want 403", r.status)
		}
		b.post(h.asUser + "/.understudy/stop")
		h.taken(&h.seen)
		if r := b.one(http.MethodPost, h.app+"/note", values("text", "x", "understudy_session", id)); r.status != http.StatusForbidden {
			t.Errorf("the first one's form after the stop: %d, want 403", r.status)
		}
		req := b.request(http.MethodPost, h.app+"/note", nil)
		req.Header.Set("X-Understudy-Session", id)
		if r := b.send(req); r.status != http.StatusForbidden {
			t.Errorf("the first one's script after the stop: %d, want 403", r.status)
		}
		if seen := h.taken(&h.seen); len(seen) != 0 {
			t.Errorf("reached the app: %v", seen)
		}
	})
}

// TestIssuerAway: pages are served for as long as what is known may be believed, changes at once not, and nobody is ever
// served as the actor.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "write")
		h.setDown(true)
		h.taken(&h.seen)
		if r := b.get(h.asUser + "/"); r.status != http.StatusOK {
			t.Errorf("a page at once: %d", r.status)
		}
		if r := b.post(h.asUser+"/note", "text", "x"); r.status != http.StatusServiceUnavailable {
			t.Errorf("a change: %d, want 503", r.status)
		}
		if r := b.post(h.asUser + "/delete"); r.status != http.StatusServiceUnavailable {
			t.Errorf("what cannot be recorded: %d, want 503", r.status)
		}
		h.clock.advance(5 * time.Second)
		h.taken(&h.seen)
		if r := b.get(h.asUser + "/"); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("a page later: %d", r.status)
		}
		nobodyElse(t, h, b, "away")
		h.setDown(false)
		if r := b.get(h.asUser + "/"); !strings.Contains(r.body, "subject=john") {
			t.Errorf("and again: %d", r.status)
		}
		h.setDown(true)
		r := b.post(h.asUser + "/.understudy/stop")
		if r.status != http.StatusServiceUnavailable || b.cookies(h.asUser)[actingCookie] != "" {
			t.Errorf("a stop: %d, cookie %q", r.status, b.cookies(h.asUser)[actingCookie])
		}
		h.taken(&h.seen)
		if r := b.one(http.MethodGet, h.asUser+"/", nil); r.status == http.StatusOK {
			t.Errorf("after an unconfirmed stop: %d", r.status)
		}
		nobodyElse(t, h, b, "stopped")
		h.setDown(false)
		for deadline := time.Now().Add(15 * time.Second); h.live() > 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the issuer never heard of the stop")
			}
		}
	})
}

// TestUnknownHost: with an origin of its own the Host decides whose cookies count, so another one is nobody's (CVE-2025-64101).
func TestUnknownHost(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	req := b.request(http.MethodGet, h.app+"/", nil)
	req.Host = "elsewhere.test"
	if r := b.send(req); r.status != http.StatusMisdirectedRequest {
		t.Errorf("%d, want 421", r.status)
	}
}

// TestNobodyOnOrigin: who comes to the impersonation's origin without one is nobody there, whatever else they are.
func TestNobodyOnOrigin(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.cookies(h.asUser)[signInCookie] = b.cookies(h.app)[signInCookie]
	h.taken(&h.seen)
	for _, path := range []string{"/", "/admin", "/nowhere"} {
		if r := b.one(http.MethodGet, h.asUser+path, nil); r.status != http.StatusForbidden || !strings.Contains(r.body, h.app) {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	nobodyElse(t, h, b, "nobody")
}

// TestCookieFlags is CVE-2024-28197: nothing can be planted from another subdomain, nothing is for script.
// And it is CVE-2026-34454: no cookie of an impersonation outlives its stop; and nextcloud passwords#116: the browser is told to forget its pages.
func TestCookieFlags(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		page := b.ask("john", "")
		r := b.one(http.MethodPost, page.url.String(), values("subject", "john", "mode", "read", "minutes", "30", "reason", "cannot find it", "action", "impersonate"))
		want := `"cache"`
		if h.asUser != h.app {
			want = `"cache", "storage"` // a service worker that was there before could swallow the stop
		}
		for range 4 {
			for _, c := range r.header.Values("Set-Cookie") {
				if name, _, _ := strings.Cut(c, "="); !strings.HasPrefix(name, "__Host-") || !strings.Contains(c, "; Path=/;") || !strings.Contains(c, "; HttpOnly; Secure; SameSite=Lax") || strings.Contains(c, "Domain") {
					if name != "theme" {
						t.Errorf("Set-Cookie: %s", c)
					}
				}
				if len(c) > 4000 {
					t.Errorf("a cookie of %d bytes", len(c))
				}
			}
			if r.status != http.StatusSeeOther {
				break
			}
			next, err := r.url.Parse(r.header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(next.RawQuery, "token=") {
				t.Errorf("a token in %s", next)
			}
			if strings.HasSuffix(r.url.Path, "/callback") && next.Path != "/oauth2/auth" && r.header.Get("Clear-Site-Data") != want {
				t.Errorf("the start's Clear-Site-Data is %q, want %q", r.header.Get("Clear-Site-Data"), want)
			}
			r = b.one(http.MethodGet, next.String(), nil)
		}
		r = b.one(http.MethodPost, h.asUser+"/.understudy/stop", nil)
		for _, name := range []string{actingCookie, heldCookie} {
			if b.cookies(h.asUser)[name] != "" {
				t.Errorf("%s outlives the stop", name)
			}
		}
		if h.asUser != h.app && b.cookies(h.asUser)["theme"] != "" {
			t.Error("a cookie of the user's pages outlives them")
		}
		if got := r.header.Get("Clear-Site-Data"); got != want {
			t.Errorf("the stop's Clear-Site-Data is %q, want %q", got, want)
		}
	})
}

// TestSameOriginWrite: full access needs an origin of its own, or a word of the developer.
func TestSameOriginWrite(t *testing.T) {
	t.Parallel()
	h := setup(t, over, func(_ *house, c *rp.Config) { c.AllowSameOriginWrite = false })
	b := h.ann()
	if r := b.say(b.ask("john", ""), "john", "write"); r.status != http.StatusForbidden || h.live() != 0 {
		t.Errorf("write: %d, %d live", r.status, h.live())
	}
	if r := b.get(h.app + "/admin"); !strings.Contains(r.body, "subject=ann") {
		t.Errorf("the admin's sign-in is lost: %s", r.body)
	}
	b.impersonate("john", "read")
}

// TestUpstreamCookies: what the app sets meanwhile does not outlive it, as far as we are told its name.
func TestUpstreamCookies(t *testing.T) {
	t.Parallel()
	h := setup(t, over, func(_ *house, c *rp.Config) { c.SessionCookies = []string{"theme"} })
	b := h.ann()
	delete(b.cookies(h.app), "theme")
	if r := b.impersonate("john", "read"); r.header.Get("Set-Cookie") != "" || b.cookies(h.app)["theme"] != "" {
		t.Errorf("set: %q", r.header.Get("Set-Cookie"))
	}
}
