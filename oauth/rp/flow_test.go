package rp_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/rp"
)

// TestStory is the whole of it: look, be refused, stop, be back.
func TestStory(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		before := b.cookies(h.app)["__Host-understudy-signin"]
		r := b.impersonate("john", "write")
		if want := h.asUser + "/"; r.hops[len(r.hops)-1] != want {
			t.Errorf("landed at %v, want %s last", r.hops, want)
		}
		if !strings.Contains(r.body, "subject=john actor=ann roles=[user]") || strings.Count(r.body, "<understudy-banner") != 1 ||
			!strings.Contains(r.body, "You're impersonating") {
			t.Errorf("the user's page is %s", r.body)
		}
		if got := r.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control %q", got)
		}
		if !slices.Contains(r.header.Values("Vary"), "Cookie") {
			t.Errorf("Vary %q", r.header.Values("Vary"))
		}
		if r := b.post(h.asUser+"/delete", "sure", "yes"); r.status != http.StatusForbidden || !h.has("john") {
			t.Errorf("deleting: %d, account there: %v", r.status, h.has("john"))
		}
		if r := b.post(h.asUser+"/note", "text", "x"); r.status != http.StatusOK || !strings.Contains(r.body, "noted") {
			t.Errorf("noting: %d %s", r.status, r.body)
		}
		r = b.post(h.asUser + "/.understudy/stop")
		if r.url.String() != h.app+"/admin" || !strings.Contains(r.body, "subject=ann actor=ann") {
			t.Errorf("after stop: %s %s", r.url, r.body)
		}
		if strings.Contains(r.body, "banner") {
			t.Error("the banner is still there")
		}
		if h.asUser != h.app && b.cookies(h.app)["__Host-understudy-signin"] != before {
			t.Error("the admin's own sign-in was touched")
		}
		if n := h.live(); n != 0 {
			t.Errorf("%d sessions go on", n)
		}
		want := []string{"before POST /delete", "after POST /delete 403 forbidden", "before POST /note"}
		if diff := cmp.Diff(want, h.acts()); diff != "" {
			t.Errorf("on record (-want +got):\n%s", diff)
		}
		for _, want := range []string{"ann@acme.test impersonated john@acme.test", "ann@acme.test was refused POST /delete as john@acme.test: forbidden",
			"ann@acme.test stopped impersonating john@acme.test"} {
			if strings.Count(h.logs.String(), want) != 1 {
				t.Errorf("the log has not once %q", want)
			}
		}
	})
}

// TestLookOnly lets nothing through that changes something.
func TestLookOnly(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		h.taken(&h.seen)
		for _, c := range []struct {
			name   string
			change func(*http.Request)
		}{
			{"POST", func(r *http.Request) { r.Method = "POST"; r.URL.Path = "/note" }},
			{"PUT", func(r *http.Request) { r.Method = "PUT" }},
			{"method of one's own", func(r *http.Request) { r.Method = "BREW" }},
			{"TRACE", func(r *http.Request) { r.Method = "TRACE" }},
			{"upgrade", func(r *http.Request) { r.Header.Set("Upgrade", "websocket"); r.Header.Set("Connection", "Upgrade") }},
			{"service worker", func(r *http.Request) { r.Header.Set("Service-Worker", "script") }},
			{"blocked", func(r *http.Request) { r.URL.Path = "/blocked/x" }},
			{"blocked, spelled otherwise", func(r *http.Request) { r.URL.Path = "//blocked/./x" }},
			{"allowed path, spelled otherwise", func(r *http.Request) { r.Method = "POST"; r.URL.Path = "/x/../search" }},
			{"another method on an allowed path", func(r *http.Request) { r.Method = "DELETE"; r.URL.Path = "/search" }},
		} {
			req := b.request(http.MethodGet, h.asUser+"/", nil)
			c.change(req)
			if r := b.send(req); r.status != http.StatusForbidden {
				t.Errorf("%s: %d, want 403", c.name, r.status)
			}
		}
		if seen := h.taken(&h.seen); len(seen) != 0 {
			t.Errorf("reached the app: %v", seen)
		}
		if n := len(h.acts()); n != 10 {
			t.Errorf("%d refusals are on record, want 10: %v", n, h.acts())
		}
		if r := b.post(h.asUser+"/search", "q", "x"); r.status != http.StatusOK {
			t.Errorf("an allowed POST: %d %s", r.status, r.body)
		}
	})
}

// TestEndElsewhere: whoever ends a session, no page of it is served a cache's age later, and no change at once.
func TestEndElsewhere(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "write")
		h.kill()
		h.taken(&h.seen)
		if r := b.post(h.asUser+"/note", "text", "x"); r.status != http.StatusForbidden {
			t.Errorf("a change after the kill: %d, want 403", r.status)
		}
		h.clock.advance(5 * time.Second)
		if r := b.get(h.asUser + "/"); r.status != http.StatusForbidden || !strings.Contains(r.body, "John Doe") {
			t.Errorf("a page after the kill: %d %s", r.status, r.body)
		}
		if seen := h.taken(&h.seen); len(seen) != 0 {
			t.Errorf("reached the app: %v", seen)
		}
		// One way on: the button of the page. Nothing of the session is given back, but the way back is open.
		b.post(h.asUser + "/.understudy/stop")
		if r := b.get(h.app + "/admin"); !strings.Contains(r.body, "subject=ann") {
			t.Errorf("after the end: %d %s", r.status, r.body)
		}
	})
}

// TestExpired: time is up.
func TestExpired(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		h.clock.advance(31 * time.Minute)
		h.taken(&h.seen)
		for range 2 {
			if r := b.get(h.asUser + "/"); r.status != http.StatusForbidden {
				t.Errorf("after its time: %d", r.status)
			}
		}
		if seen := h.taken(&h.seen); len(seen) != 0 {
			t.Errorf("reached the app: %v", seen)
		}
	})
}

// TestStopTwice: a double click, or the same in two tabs.
func TestStopTwice(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		again := b.request(http.MethodPost, h.asUser+"/.understudy/stop", nil)
		old := h.browser()
		for host, jar := range b.jars {
			for name, value := range jar {
				old.jar(host)[name] = value
			}
		}
		b.post(h.asUser + "/.understudy/stop")
		again.Header.Set("Cookie", cookieHeader(old.cookies(h.asUser)))
		if r := b.send(again); r.status != http.StatusOK || !strings.Contains(r.body, "John Doe") {
			t.Errorf("second stop: %d %s", r.status, r.body)
		}
		if r := b.get(h.app + "/admin"); !strings.Contains(r.body, "subject=ann") {
			t.Errorf("after two stops: %s", r.body)
		}
		if r := b.get(h.app + "/.understudy/stop"); strings.Contains(r.body, "Stop</button>") {
			t.Errorf("there is still something to stop: %s", r.body)
		}
		req := b.request(http.MethodPost, h.asUser+"/.understudy/stop", nil)
		req.Header.Set("Accept", "application/json")
		if r := b.send(req); r.status != http.StatusBadRequest || !strings.Contains(r.body, "not_impersonating") {
			t.Errorf("a program's stop of nothing: %d %s", r.status, r.body)
		}
	})
}

// TestSignInAgain: a page asks the issuer again when the sign-in is no longer fresh, what cannot be led there does not.
func TestSignInAgain(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	h.clock.advance(16 * time.Minute)
	h.taken(&h.calls)
	if r := b.one(http.MethodPost, h.app+"/admin", nil); r.status != http.StatusOK || len(h.taken(&h.calls)) != 0 {
		t.Errorf("a form: %d", r.status)
	}
	if r := b.get(h.app + "/admin"); r.status != http.StatusOK || !slices.Contains(h.taken(&h.calls), "GET /oauth2/auth") {
		t.Errorf("a page did not ask: %d %v", r.status, r.hops)
	}
	if r := b.get(h.app + "/admin"); r.status != http.StatusOK || len(h.taken(&h.calls)) != 0 {
		t.Errorf("a page asked again: %v", r.hops)
	}
	h.clock.advance(61 * time.Minute)
	if r := b.one(http.MethodPost, h.app+"/admin", nil); r.status != http.StatusUnauthorized {
		t.Errorf("a form of yesterday: %d, want 401", r.status)
	}
	req := b.request(http.MethodGet, h.app+"/admin", nil)
	req.Header.Set("Sec-Fetch-Mode", "cors")
	if r := b.send(req); r.status != http.StatusUnauthorized {
		t.Errorf("a fetch: %d, want 401", r.status)
	}
}

// TestSignOut ends the app's own sign-in, and not while it is held.
func TestSignOut(t *testing.T) {
	t.Parallel()
	h := setup(t, over, nil)
	b := h.ann()
	b.impersonate("john", "read")
	if r := b.post(h.app + "/.understudy/sign-out"); r.status != http.StatusConflict || h.live() != 1 {
		t.Errorf("while impersonating: %d, %d live", r.status, h.live())
	}
	b.post(h.app + "/.understudy/stop")
	r := b.post(h.app + "/.understudy/sign-out")
	if r.status != http.StatusOK || b.cookies(h.app)[signInCookie] != "" || !strings.Contains(r.body, h.issuer+"/sign-out") {
		t.Errorf("sign-out: %d %s", r.status, r.body)
	}
}

// TestSessionJSON is what a page that is made in the browser asks.
func TestSessionJSON(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		ask := func(b *browser) map[string]any {
			r := b.one(http.MethodGet, h.asUser+"/.understudy/session", nil)
			if r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %v", r.status, r.header)
			}
			var out map[string]any
			if err := json.Unmarshal([]byte(r.body), &out); err != nil {
				t.Errorf("%v in %s", err, r.body)
			}
			return out
		}
		b := h.ann()
		if diff := cmp.Diff(map[string]any{"impersonating": false}, ask(b)); diff != "" {
			t.Errorf("before (-want +got):\n%s", diff)
		}
		b.impersonate("john", "read")
		got := ask(b)
		delete(got, "expires_at")
		delete(got, "session")
		want := map[string]any{
			"impersonating": true, "mode": "read", "stop": "/.understudy/stop",
			"subject": map[string]any{"sub": "john", "name": "John Doe", "email": "john@acme.test", "organisation": "acme", "roles": []any{"user"}},
			"actor":   map[string]any{"sub": "ann", "name": "Ann Bell", "email": "ann@acme.test"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		h.kill()
		h.clock.advance(5 * time.Second)
		if diff := cmp.Diff(map[string]any{"impersonating": false, "ended": true}, ask(b)); diff != "" {
			t.Errorf("after the end (-want +got):\n%s", diff)
		}
		req := b.request(http.MethodPost, h.asUser+"/.understudy/stop", nil)
		req.Header.Set("Accept", "application/json")
		if r := b.send(req); r.status != http.StatusOK || !strings.Contains(r.body, `"stopped":true`) {
			t.Errorf("a program's stop: %d %s", r.status, r.body)
		}
	})
}

// TestLogHandler says in the app's own log who acts as whom.
func TestLogHandler(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "read")
	var out strings.Builder
	log := slog.New(rp.SlogHandler(slog.NewTextHandler(&out, nil))).With("a", 1).WithGroup("g")
	app := h.rp.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { log.InfoContext(r.Context(), "hello", "b", 2) }))
	for _, origin := range []string{h.asUser, h.app} {
		req := b.request(http.MethodGet, origin+"/", nil)
		req.Host = req.URL.Host
		req.Header.Set("Cookie", cookieHeader(b.cookies(origin)))
		app.ServeHTTP(httptest.NewRecorder(), req)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "actor=ann") || !strings.Contains(lines[0], "subject=john") || !strings.Contains(lines[0], "impersonation=imp_") ||
		strings.Contains(lines[1], "john") {
		t.Errorf("log: %q", lines)
	}
}

// TestWrongSecret: what the app's people did wrong is not blamed on the person.
func TestWrongSecret(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, func(_ *house, c *rp.Config) { c.ClientSecret = "not-the-one" })
	b := h.browser()
	h.login(b, "ann")
	if r := b.get(h.app + "/admin"); r.status != http.StatusBadGateway || !strings.Contains(r.body, "not set up right") || strings.Contains(r.body, "not-the-one") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if !strings.Contains(h.logs.String(), "invalid_client") || strings.Contains(h.logs.String(), "not-the-one") {
		t.Errorf("log: %s", h.logs)
	}
}
