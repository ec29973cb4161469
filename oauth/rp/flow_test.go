package rp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
		if diff := cmp.Diff(want, h.actions()); diff != "" {
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
		if n := len(h.actions()); n != 10 {
			t.Errorf("%d refusals are on record, want 10: %v", n, h.actions())
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
