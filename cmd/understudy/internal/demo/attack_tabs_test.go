package demo_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestOpener: a tab of the user's has no hold on a tab of the admin's that it opened, nor on one that opened it: it reads
// nothing of it, and cannot lead it elsewhere.
func TestOpener(t *testing.T) {
	t.Parallel()
	hunt(t, ownOrigins, func(t *testing.T, s *prey) {
		s.impersonate(s.p, "john@acme.test")
		admins := s.p.Popup(func() { s.p.Eval(s.script(`void (window.tab = window.open('$app/admin'))`), nil) })
		if got := admins.Text("#who"); got != annsEyes {
			t.Fatalf("the tab shows %s", got)
		}
		var gone bool
		if s.p.Eval(`window.tab.closed`, &gone); !gone {
			t.Error("the user's page holds the tab that it opened")
		}
		s.p.Eval(`try { window.tab.location = '/stolen' } catch {} ; try { window.tab.postMessage('x', '*') } catch {}`, nil)
		if admins.Eval(`opener === null`, &gone); !gone {
			t.Error("the admin's page holds the user's")
		}

		users := admins.Popup(func() { admins.Eval(s.script(`void (window.tab = window.open('$asUser/'))`), nil) })
		if got := users.Text("#who"); got != "for the eyes of John Doe" {
			t.Fatalf("the tab shows %s", got)
		}
		if users.Eval(`opener === null`, &gone); !gone {
			t.Error("the user's page holds the tab that opened it")
		}
		users.Eval(`try { opener.location = 'about:blank' } catch {}`, nil)
		if admins.URL() != s.app+"/admin" {
			t.Errorf("the admin's tab was led to %s", admins.URL())
		}
	})
}

// TestOpenerOnOneOrigin: there is no tab of the admin's to hold until somebody presses Stop, since the whole browser shows the
// user. Afterwards a tab of the user's that is still open may hold the admin's, as it is of one origin with it: part of the
// residual risk of that form.
func TestOpenerOnOneOrigin(t *testing.T) {
	t.Parallel()
	hunt(t, []form{over}, func(t *testing.T, s *prey) {
		s.impersonate(s.p, "john@acme.test")
		opened := s.p.Popup(func() { s.p.Eval(s.script(`void (window.tab = window.open('$app/admin'))`), nil) })
		if got := opened.Text("#who"); got != "for the eyes of John Doe" {
			t.Errorf("the tab shows %s", got)
		}
		var read string
		s.p.Eval(`window.tab.document.body.innerText`, &read)
		opened.Eval(`void (opener.location = '/admin')`, nil)
		if strings.Contains(read, "Ann Bell") {
			t.Errorf("the script reads %s", read)
		}
		s.wantHeld()
	})
}

// TestStaleForm is two tabs of one browser: a form of the first session is refused after the second start, and after
// the stop, whoever the browser shows by then.
func TestStaleForm(t *testing.T) {
	t.Parallel()
	hunt(t, []form{apart, siblings, over}, func(t *testing.T, s *prey) {
		s.impersonate(s.p, "john@acme.test")
		second, late := s.p.NewTab(), s.p.NewTab()
		late.Go(s.asUser + "/")
		if s.app == s.asUser { // there the first has to be stopped before
			second.Go(s.app + "/")
			second.Follow(".b button")
		}
		s.impersonate(second, "mei@acme.test")
		if n := s.live(); n != 1 {
			t.Errorf("%d sessions go on, want 1", n)
		}
		refused := func(when string) {
			t.Helper()
			s.p.Follow("#note button")
			if s.p.Status() != http.StatusForbidden {
				t.Errorf("%s: %d, want 403", when, s.p.Status())
			}
			for _, r := range s.taken() {
				if r.Method == http.MethodPost {
					t.Errorf("%s: reached the app: %+v", when, r)
				}
			}
		}
		refused("after the second start")
		second.Follow(".b button")
		if got := second.Text("#who"); got != annsEyes {
			t.Errorf("after Stop: %s", got)
		}
		s.p = late
		refused("after Stop")
	})
}

// TestFramed is clickjacking: another site's page frames nothing of the user's, since its frames come without the cookie
// and then with a page that refuses frames; a form in it stops nothing. In a frame of the user's own page, Stop leads the
// whole tab.
func TestFramed(t *testing.T) {
	t.Parallel()
	hunt(t, []form{apart, siblings, over}, func(t *testing.T, s *prey) {
		evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `<!doctype html><iframe src="%[1]s/"></iframe><iframe name="f"></iframe><form method="post" target="f" action="%[1]s/.understudy/stop"><button>Win</button></form>`,
				html.EscapeString(s.asUser))
		}))
		t.Cleanup(evil.Close)
		s.impersonate(s.p, "john@acme.test")
		stranger := s.p.NewTab()
		stranger.Go(strings.Replace(evil.URL, "127.0.0.1", "evil.localhost", 1))
		stranger.Click("button")
		stranger.Wait(`frames.f.length === 0 && (() => { try { return !frames.f.document } catch { return true } })()`) // it went elsewhere
		for _, r := range s.taken() {
			if r.Who != "" {
				t.Errorf("a frame shows %+v", r)
			}
		}
		if n := s.live(); n != 1 {
			t.Fatalf("%d sessions go on after a stranger's Stop, want 1", n)
		}
		s.p.Eval(`new Promise((done) => { const f = document.createElement('iframe'); f.id = 'own'; f.src = '/'; f.onload = done; document.body.append(f) })`, nil)
		s.p.Next(func() {
			s.p.Eval(`document.querySelector('#own').contentDocument.querySelector('understudy-banner').shadowRoot.querySelector('button').click()`, nil)
		})
		if got := s.p.Text("#who"); s.p.URL() != s.app+"/admin" || got != annsEyes || s.live() != 0 {
			t.Errorf("Stop in a frame leads to %s: %s", s.p.URL(), got)
		}
	})
}

// TestBackAndForward: neither person's page comes back out of the browser's memory when the other is there
// (nextcloud passwords#116). On an origin of its own the admin's page is the admin's at all times.
func TestBackAndForward(t *testing.T) {
	t.Parallel()
	hunt(t, []form{apart, siblings, over}, func(t *testing.T, s *prey) {
		s.p.Go(s.app + "/admin")
		s.impersonate(s.p, "john@acme.test")
		s.p.Back()
		for s.p.URL() != s.app+"/admin" { // past the issuer's page
			s.p.Back()
		}
		if got := s.p.Text("body"); s.app == s.asUser && strings.Contains(got, annsEyes) {
			t.Errorf("Back during the impersonation shows %s", got)
		}
		s.p.Go(s.asUser + "/projects")
		s.p.Follow(".b button")
		if got := s.p.Text("#who"); got != annsEyes {
			t.Fatalf("after Stop: %s", got)
		}
		s.p.Back()
		if got := s.p.Text("body"); strings.Contains(got, "John Doe") && s.p.Status() == http.StatusOK {
			t.Errorf("Back after Stop shows %s: %s", s.p.URL(), got)
		}
	})
}
