package rp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/rp"
)

// fetch is what a page's own script sends: JSON in, JSON out. body "" is none.
func (b *browser) fetch(method, to, body string) (reply, map[string]any) {
	b.h.t.Helper()
	req, err := http.NewRequest(method, to, strings.NewReader(body))
	b.h.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{"Accept": "application/json", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"} {
		req.Header.Set(name, value)
	}
	return b.program(req)
}

// program sends req and reads the object that answers it.
func (b *browser) program(req *http.Request) (r reply, out map[string]any) {
	b.h.t.Helper()
	r = b.send(req)
	if err := json.Unmarshal([]byte(r.body), &out); err != nil || r.header.Get("Cache-Control") != "no-store" {
		b.h.t.Errorf("%s %s: %d %v, %v in %s", req.Method, req.URL, r.status, r.header, err, r.body)
	}
	return r, out
}

// begin asks for a start of john by script, and goes where that leads: to the page of the issuer, or elsewhere if it fails.
func (b *browser) begin() reply {
	b.h.t.Helper()
	r, out := b.fetch(http.MethodPost, b.h.app+"/.understudy/start", `{"subject":"john","return_to":"/admin?page=2"}`)
	to, _ := out["redirect"].(string)
	if r.status != http.StatusOK || to == "" || len(r.header["Set-Cookie"]) > 0 {
		b.h.t.Fatalf("asking for a start: %d %s", r.status, r.body)
	}
	return b.get(to)
}

// TestStartByScript: a page made in the browser asks where to go, goes there, and is john.
func TestStartByScript(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		if r := b.say(b.begin(), "john", "read"); r.status != http.StatusOK || !strings.Contains(r.body, "subject=john ") {
			t.Fatalf("%d %s %s", r.status, r.url, r.body)
		}
		r, out := b.fetch(http.MethodPost, h.app+"/.understudy/start", `{}`)
		if h.app == h.asUser && (r.status != http.StatusConflict || out["reason"] != "impersonating" || out["code"] != "failed") {
			t.Errorf("a second start: %d %s", r.status, r.body)
		}
		_, out = b.fetch(http.MethodPost, h.asUser+"/.understudy/stop", "")
		if diff := cmp.Diff(map[string]any{"stopped": true, "redirect": h.app + "/admin?page=2"}, out); diff != "" || h.live() != 0 {
			t.Errorf("stop, %d live (-want +got):\n%s", h.live(), diff)
		}
	})
}

// TestBadStartByScript: what is wrong is named, nothing that was sent is repeated, and nobody else's page can ask.
func TestBadStartByScript(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	long := strings.Repeat("x", 2049)
	for name, c := range map[string]struct{ body, says, reason string }{
		"no JSON":       {"<secret", "must be an object", "query"},
		"unknown":       {`{"secret":"x"}`, "subject, reason, ticket_number, return_to", "query"},
		"a number":      {`{"subject":9}`, "must be an object", "query"},
		"two":           {`{}{}`, "something behind its object", "query"},
		"a brace":       {`{"subject":"john"}}`, "something behind its object", "query"},
		"a bracket":     {"{}\n]", "something behind its object", "query"},
		"a comma":       {`{},`, "something behind its object", "query"},
		"a word":        {`{} secret`, "something behind its object", "query"},
		"long":          {`{"reason":"` + long + `"}`, "reason is longer", "query"},
		"too long":      {`{"reason":"` + strings.Repeat("x", 64<<10) + `"}`, "too long", "query"},
		"another host":  {`{"return_to":"//secret.test/"}`, "has to be one of this app", "return"},
		"a way of ours": {`{"return_to":"/.understudy/secret"}`, "has to be one of this app", "return"},
	} {
		r, out := b.fetch(http.MethodPost, h.app+"/.understudy/start", c.body)
		if r.status != http.StatusBadRequest || !strings.Contains(r.body, c.says) || out["reason"] != c.reason || out["code"] != "failed" || strings.Contains(r.body, "secret") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for _, c := range []struct {
		header, value string
		status        int
		reason        string
	}{
		{"Sec-Fetch-Site", "cross-site", http.StatusForbidden, "origin"}, {"Sec-Fetch-Site", "same-site", http.StatusForbidden, "origin"},
		{"Origin", "https://evil.test", http.StatusForbidden, "origin"}, {"Content-Type", "text/plain", http.StatusBadRequest, "query"},
		{"Content-Type", "application/x-www-form-urlencoded", http.StatusBadRequest, "query"},
	} {
		req, err := http.NewRequest(http.MethodPost, h.app+"/.understudy/start", strings.NewReader("{}"))
		h.must(err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
		req.Header.Set(c.header, c.value)
		if r, out := b.program(req); r.status != c.status || out["reason"] != c.reason {
			t.Errorf("%s: %s: %d %s", c.header, c.value, r.status, r.body)
		}
	}
	if r := b.get(h.app + "/.understudy/start?on_failure=elsewhere"); r.status != http.StatusBadRequest || !strings.Contains(r.body, "on_failure can only be") {
		t.Errorf("on_failure: %d %s", r.status, r.body)
	}
}

// TestFailedStartComesBack: to the page that asked, which is told why by a word for programs and sentences for people.
func TestFailedStartComesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail func(h *house, b *browser) reply
		want map[string]any
	}{
		"veto": {
			func(_ *house, b *browser) reply { return b.say(b.begin(), "john", "read") },
			map[string]any{"reason": "veto", "title": "This app refuses this impersonation", "detail": "It was ended at once. It says: not this one: john"},
		},
		"cancelled": {
			func(_ *house, b *browser) reply { return b.post(b.begin().url.String(), "action", "cancel") },
			map[string]any{"reason": "cancelled", "title": "Nobody is being impersonated", "detail": "It was cancelled. Nothing was started."},
		},
		"issuer away": {
			func(h *house, b *browser) reply {
				r := b.one(http.MethodPost, b.begin().url.String(), values("subject", "john", "mode", "read", "minutes", "30", "reason", "cannot find the report tab",
					"ticket_number", "SUP-4821", "action", "impersonate"))
				for range 2 { // with the ticket to the app, for the actor's token to the issuer
					r = b.one(http.MethodGet, r.header.Get("Location"), nil)
				}
				h.setDown(true)
				r = b.one(http.MethodGet, r.header.Get("Location"), nil)
				h.setDown(false)
				return b.follow(r)
			},
			map[string]any{"reason": "issuer", "title": "understudy did not answer", "detail": "Nothing was started. Try again in a moment."},
		},
	} {
		for _, which := range []form{apart, over} {
			t.Run(name+", "+string(which), func(t *testing.T) {
				t.Parallel()
				h := setup(t, which, func(_ *house, c *rp.Config) {
					if name == "veto" {
						c.CanImpersonate = veto
					}
				})
				b := h.ann()
				r := c.fail(h, b)
				if r.url.Scheme+"://"+r.url.Host != h.app || r.url.Path != "/admin" || r.url.Query().Get("page") != "2" || !strings.Contains(r.body, "subject=ann actor=ann") || h.live() != 0 {
					t.Fatalf("led to %s, %d live: %s", r.url, h.live(), r.body)
				}
				_, out := b.fetch(http.MethodGet, h.app+"/.understudy/session?"+r.url.RawQuery, "")
				if diff := cmp.Diff(map[string]any{"impersonating": false, "failure": c.want}, out); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// TestFailureIsSealed: a link makes no page say what its author likes, nor an old one what was true once.
func TestFailureIsSealed(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, func(_ *house, c *rp.Config) { c.CanImpersonate = veto })
	b := h.ann()
	good := b.say(b.begin(), "john", "read").url.Query().Get("understudy_failed")
	told := func(value string) bool {
		_, out := b.fetch(http.MethodGet, h.app+"/.understudy/session?"+url.Values{"understudy_failed": {value}}.Encode(), "")
		return out["failure"] != nil
	}
	if !told(good) {
		t.Fatalf("nothing is told of %q", good)
	}
	for _, bad := range []string{"", "veto", "Call 555-0100", good[:len(good)-4], "AAAA" + good[4:], good + "=", strings.Repeat("A", 5000), b.cookies(h.app)[signInCookie]} {
		if told(bad) {
			t.Errorf("something is told of %q", bad)
		}
	}
	if h.clock.advance(10 * time.Minute); told(good) {
		t.Error("something is told ten minutes later")
	}
}

// TestFailureIsOfOneBrowser: the browser in which the start began is told, wherever on the app that was and whatever else it began since; and nobody
// else is who opens its link.
func TestFailureIsOfOneBrowser(t *testing.T) {
	t.Parallel()
	for _, which := range []form{apart, over} {
		t.Run(string(which), func(t *testing.T) {
			t.Parallel()
			h := setup(t, which, func(_ *house, c *rp.Config) { c.CanImpersonate = veto })
			told := func(b *browser, led reply) bool {
				_, out := b.fetch(http.MethodGet, h.app+"/.understudy/session?"+led.url.RawQuery, "")
				return out["failure"] != nil
			}
			started := func(b *browser, at string) reply {
				return b.say(b.get(at+"/.understudy/start?on_failure=return&return_to=/admin"), "john", "read")
			}
			b, another := h.ann(), h.ann()
			first := b.say(b.begin(), "john", "read")
			linked := started(b, h.app)
			direct := started(b, h.asUser)
			other := another.say(another.begin(), "john", "read")
			for name, r := range map[string]reply{"by script": first, "by a link": linked, "by a link to the origin that acts": direct} {
				if r.url.Query().Get("understudy_failed") == "" || !told(b, r) {
					t.Errorf("%s: %s tells nothing", name, r.url)
				}
				if told(another, r) || told(h.browser(), r) {
					t.Errorf("%s: another browser is told", name)
				}
			}
			if told(b, other) {
				t.Error("what failed in another browser is told")
			}
			to, err := url.Parse(b.one(http.MethodGet, h.app+"/.understudy/start?on_failure=return", nil).header.Get("Location"))
			h.must(err)
			mark := to.Query().Get("mark")
			if which == apart && mark == "" {
				t.Fatalf("%s has no mark", to)
			}
			link := h.app + "/.understudy/start?" + values("on_failure", "return", "return_to", "/admin", "mark", mark).Encode()
			if r := another.say(another.get(link), "john", "read"); told(b, r) || !told(another, r) {
				t.Error("a link chose whom to tell")
			}
		})
	}
}

// curl is POST /.understudy/stop as curl -H 'Accept: application/json' sends it: with cookies, and no word on where it comes from.
func (b *browser) curl() (reply, map[string]any) {
	b.h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, b.h.asUser+"/.understudy/stop", nil)
	b.h.must(err)
	req.Header.Set("Accept", "application/json")
	return b.program(req)
}

// TestStopByProgram works with the issuer away, after the time is up, and twice.
func TestStopByProgram(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		h.setDown(true)
		r, out := b.curl()
		if to, _ := out["redirect"].(string); r.status != http.StatusAccepted || out["stopped"] != false || to != h.app+"/" || !strings.Contains(r.body, "not confirmed") {
			t.Errorf("issuer away: %d %s", r.status, r.body)
		}
		if jar := b.cookies(h.asUser); jar[actingCookie]+jar[heldCookie] != "" || h.live() != 1 {
			t.Errorf("issuer away: the browser keeps %v, %d live", jar, h.live())
		}
		if r, out := b.curl(); r.status != http.StatusBadRequest || out["error"] != "not_impersonating" {
			t.Errorf("again: %d %s", r.status, r.body)
		}
		h.setDown(false)
		for end := time.Now().Add(20 * time.Second); h.live() > 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the issuer was never told")
			}
		}
		b = h.ann()
		b.impersonate("john", "read")
		h.clock.advance(31 * time.Minute)
		if r, out := b.curl(); r.status != http.StatusOK || out["stopped"] != true || out["redirect"] != h.app+"/admin" {
			t.Errorf("after its time: %d %s", r.status, r.body)
		}
		if jar := b.cookies(h.asUser); jar[actingCookie]+jar[heldCookie] != "" {
			t.Errorf("after its time the browser keeps %v", jar)
		}
	})
}

// TestProgramsAtOwnSignIn: in an app that signs people in itself, a start without its sign-in is refused at once, and a stop of what no
// cookie tells any more has somewhere to go.
func TestProgramsAtOwnSignIn(t *testing.T) {
	t.Parallel()
	h := setup(t, over, ownSignIn)
	b := h.browser()
	h.login(b, "ann")
	if r, out := b.fetch(http.MethodPost, h.app+"/.understudy/start", `{"subject":"john"}`); r.status != http.StatusForbidden || out["reason"] != "actor" || out["title"] != "Your sign-in could not be used" {
		t.Errorf("a start of nobody: %d %s", r.status, r.body)
	}
	b.cookies(h.app)["session"] = "ann"
	b.impersonate("john", "read")
	delete(b.cookies(h.app), actingCookie)
	delete(b.cookies(h.app), heldCookie)
	r, out := b.fetch(http.MethodPost, h.app+"/.understudy/stop", "")
	if diff := cmp.Diff(map[string]any{"stopped": false, "redirect": h.app + "/"}, out); diff != "" || r.status != http.StatusOK || h.held() != "" {
		t.Errorf("a stop of what was lost: %d, held %q (-want +got):\n%s", r.status, h.held(), diff)
	}
}
