package rp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/rp"
)

const (
	turboAccept  = "text/html, application/xhtml+xml"
	streamAccept = "text/vnd.turbo-stream.html, " + turboAccept
	reload       = `<meta name="turbo-visit-control" content="reload">`
	// plain is what is seen of the banner where scripts put a page in.
	plain = `" target="_top">Stop</a></p></understudy-banner>`
)

// byScript asks as a library in the page does: header is pairs of names and values.
func byScript(b *browser, method, to string, header ...string) reply {
	b.h.t.Helper()
	r := b.request(method, to, nil)
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.send(r)
}

// TestPagesByScript: where htmx or Turbo would put a page in another's place, the browser itself loads it, and so the banner is there; the app is not asked twice.
func TestPagesByScript(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		boosted := []string{"HX-Request", "true", "HX-Boosted", "true"}
		if r := byScript(b, http.MethodGet, h.app+"/admin", boosted...); !strings.Contains(r.body, "subject=ann") {
			t.Errorf("where nobody is impersonated: %d %s", r.status, r.body)
		}
		b.impersonate("john", "read")
		h.taken(&h.seen)
		r := byScript(b, http.MethodGet, h.asUser+"/report?a=b", boosted...)
		if got := r.header.Get("HX-Redirect"); r.status != http.StatusOK || got != h.asUser+"/report?a=b" {
			t.Errorf("htmx is led to %q by %d", got, r.status)
		}
		for name, header := range map[string][]string{
			"htmx":    boosted,
			"history": {"HX-History-Restore-Request", "true"},
			"Turbo":   {"X-Turbo-Request-Id", "1", "Accept", turboAccept},
			"Turbo 7": {"Accept", turboAccept},
		} {
			r := byScript(b, http.MethodGet, h.asUser+"/report", header...)
			if r.status != http.StatusOK || !strings.Contains(r.body, reload) || !strings.Contains(r.body, `<body><meta http-equiv="refresh"`) || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v %s", name, r.status, r.header, r.body)
			}
		}
		if seen := h.taken(&h.seen); len(seen) != 0 || slices.ContainsFunc(h.actions(), func(a string) bool { return strings.Contains(a, "/report") }) {
			t.Errorf("reached the app: %v; on record: %v", seen, h.actions())
		}
	})
}

// TestPartials: a part of a page gets no banner, byte by byte; what may be put in a page's place all the same gets one that is seen there.
func TestPartials(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "write")
	for name, c := range map[string]struct {
		method string
		header []string
		banner bool
	}{
		"htmx":            {http.MethodGet, []string{"HX-Request", "true"}, false},
		"htmx sends":      {http.MethodPost, []string{"HX-Request", "true"}, false},
		"a frame":         {http.MethodGet, []string{"Turbo-Frame", "list", "X-Turbo-Request-Id", "1", "Accept", turboAccept}, false},
		"a frame sends":   {http.MethodPost, []string{"Turbo-Frame", "list", "Accept", streamAccept}, false},
		"fetch":           {http.MethodGet, nil, false},
		"htmx's form":     {http.MethodPost, []string{"HX-Request", "true", "HX-Boosted", "true"}, true},
		"Turbo's form":    {http.MethodPost, []string{"X-Turbo-Request-Id", "1", "Accept", streamAccept}, true},
		"after that form": {http.MethodGet, []string{"X-Turbo-Request-Id", "1", "Accept", streamAccept}, true},
	} {
		path := "/"
		if c.method == http.MethodPost {
			path = "/note"
		}
		r := byScript(b, c.method, h.asUser+path, c.header...)
		if !strings.Contains(r.body, "subject=john") || strings.Contains(r.body, plain) != c.banner || strings.Contains(r.body, "<understudy-banner") != c.banner {
			t.Errorf("%s: %d %s; want a banner: %v", name, r.status, r.body, c.banner)
		}
	}
	if r := b.get(h.asUser + "/"); strings.Contains(r.body, plain) {
		t.Error("a page that the browser loads has the banner twice")
	}
}

// TestEndedByScript: a session that is over has the whole page load again, whichever part of it asked; a mere refusal does not, which would lose what was typed.
func TestEndedByScript(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		frame, form := []string{"Turbo-Frame", "list", "Accept", turboAccept}, []string{"X-Turbo-Request-Id", "1", "Accept", streamAccept}
		ask := func(when, method string, header []string, status int, refresh string, page, again bool) {
			t.Helper()
			r := byScript(b, method, h.asUser+"/note", header...)
			if r.status != status || r.header.Get("HX-Refresh") != refresh || strings.Contains(r.body, "<h1>") != page || strings.Contains(r.body, reload) != again {
				t.Errorf("%s, %s %v: %d HX-Refresh %q %s", when, method, header, r.status, r.header.Get("HX-Refresh"), r.body)
			}
		}
		htmx := []string{"HX-Request", "true"}
		ask("look only", http.MethodPost, htmx, http.StatusForbidden, "", false, false)
		ask("look only", http.MethodPost, form, http.StatusForbidden, "", true, false)
		ask("look only", http.MethodPost, frame, http.StatusForbidden, "", true, true)
		h.kill()
		h.clock.advance(5e9)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			ask("ended", method, htmx, http.StatusForbidden, "true", false, false)
			ask("ended", method, form, http.StatusForbidden, "", true, true)
			ask("ended", method, frame, http.StatusForbidden, "", true, true)
		}
		long := b.request(http.MethodPost, h.asUser+"/note", values("text", "a long letter"))
		long.Header.Set("Accept", streamAccept)
		long.Header.Set("Sec-Fetch-Dest", "empty")
		if r := b.send(long); !strings.Contains(r.body, "a long letter") || strings.Contains(r.body, reload) {
			t.Errorf("what was typed is lost: %d %s", r.status, r.body)
		}
		ask("ended", http.MethodGet, nil, http.StatusForbidden, "", false, false)
		h.clock.advance(31 * 60e9)
		ask("out of time", http.MethodGet, htmx, http.StatusForbidden, "true", false, false)
	})
}

// TestSignInByScript: who must sign in again is led there by the whole page.
func TestSignInByScript(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	if r := byScript(h.browser(), http.MethodGet, h.app+"/admin", "HX-Request", "true"); r.status != http.StatusUnauthorized || r.header.Get("HX-Refresh") != "true" {
		t.Errorf("htmx: %d %v", r.status, r.header)
	}
	if r := byScript(h.browser(), http.MethodGet, h.asUser+"/", "HX-Request", "true"); r.status != http.StatusForbidden || r.header.Get("HX-Refresh") != "true" {
		t.Errorf("where nobody is impersonated: %d %v", r.status, r.header)
	}
	if r := byScript(h.browser(), http.MethodGet, h.app+"/admin", "Accept", turboAccept); r.status != http.StatusUnauthorized || !strings.Contains(r.body, reload) {
		t.Errorf("Turbo: %d %s", r.status, r.body)
	}
}

// TestScriptOfAnotherTab: script that says for which session its page was made gets nothing of anybody else's, neither of the next user nor of the actor.
func TestScriptOfAnotherTab(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		_, rest, _ := strings.Cut(b.impersonate("john", "read").body, `name="understudy_session" value="`)
		id, _, _ := strings.Cut(rest, `"`)
		say := func(when, to string, status int) {
			t.Helper()
			h.taken(&h.seen)
			if r := byScript(b, http.MethodGet, to, "X-Understudy-Session", id); r.status != status {
				t.Errorf("%s: %d, want %d: %s", when, r.status, status, r.body)
			}
			if seen := h.taken(&h.seen); len(seen) != 0 != (status == http.StatusOK) {
				t.Errorf("%s: reached the app: %v", when, seen)
			}
		}
		say("its own", h.asUser+"/", http.StatusOK)
		b.post(h.asUser + "/.understudy/stop")
		say("stopped in another tab", h.asUser+"/", http.StatusForbidden)
		say("stopped in another tab, signed in", h.app+"/admin", http.StatusForbidden)
		b.impersonate("eve", "read")
		say("another user", h.asUser+"/", http.StatusForbidden)
		clear(b.cookies(h.app))
		say("nobody is known", h.app+"/", http.StatusForbidden)
	})
}

// TestFormFromBefore: on one origin a form that the actor opened before the start, and one of the user's after the stop, are sent in nobody's name. Its own are.
func TestFormFromBefore(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(*house, *rp.Config){"our sign-in": nil, "the app's own": ownSignIn} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, over, bend)
			field := func(r *http.Request, b *browser) string {
				t.Helper()
				w := httptest.NewRecorder()
				r.Host = r.URL.Host
				r.Header.Set("Cookie", cookieHeader(b.cookies(h.app)))
				h.rp.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, string(rp.FormField(r))) })).ServeHTTP(w, r)
				_, rest, _ := strings.Cut(w.Body.String(), `name="understudy_session" value="`)
				id, _, _ := strings.Cut(rest, `"`)
				return id
			}
			b := h.browser()
			h.login(b, "ann")
			if bend == nil {
				b.get(h.app + "/admin")
			} else {
				b.cookies(h.app)["session"] = "ann"
			}
			before := field(b.request(http.MethodGet, h.app+"/admin", nil), b)
			send := func(when, id string, status int) {
				t.Helper()
				h.taken(&h.seen)
				form := values("text", "a long letter")
				if id != "" {
					form.Set("understudy_session", id)
				}
				r := b.one(http.MethodPost, h.app+"/note", form)
				if seen := h.taken(&h.seen); r.status != status || len(seen) != 0 != (status == http.StatusOK) {
					t.Errorf("%s: %d, want %d; reached the app: %v", when, r.status, status, seen)
				}
				if status != http.StatusOK && !strings.Contains(r.body, "a long letter") {
					t.Errorf("%s: what was typed is lost: %s", when, r.body)
				}
			}
			send("before", before, http.StatusOK)
			b.impersonate("john", "write")
			during := field(b.request(http.MethodGet, h.app+"/x", nil), b)
			send("from before the start", before, http.StatusForbidden)
			send("its own", during, http.StatusOK)
			b.post(h.app + "/.understudy/stop")
			send("from before the stop", during, http.StatusForbidden)
			send("from before the start, after the stop", before, http.StatusOK)
			send("of a page without one", "", http.StatusOK)
			r := b.one(http.MethodPost, h.app+"/.understudy/stop", values("understudy_session", before))
			if to := r.header.Get("Location"); r.status != http.StatusSeeOther || to == "" || strings.Contains(to, "sign-in") {
				t.Errorf("a stop of nothing: %d, to %q", r.status, to)
			}
		})
	}
}
