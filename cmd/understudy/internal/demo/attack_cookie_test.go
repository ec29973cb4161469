package demo_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/browsertest"
)

// set puts a cookie of ours into a browser, as a thief does who has its value.
func set(p *browsertest.Page, origin, name, value string) {
	p.SetCookie(origin, &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// value is what a browser has for one of our cookies.
func (s *prey) value(p *browsertest.Page, origin, name string) string {
	s.t.Helper()
	c := p.Cookie(s.host(origin), name)
	if c == nil {
		s.t.Fatalf("there is no cookie %s of %s", name, origin)
	}
	return c.Value
}

// plant lets script set or take away a cookie.
func (s *prey) plant(script *browsertest.Page, cookie string, there bool) {
	s.t.Helper()
	if jar := s.setCookie(script, cookie); strings.Contains(jar, "planted") != there {
		s.t.Fatalf("after setting %s the script has the cookies %s", cookie, jar)
	}
}

// setCookie sets a cookie as the page's script and gives what the script then has. Chromium stores it in another process, and
// only reading it back waits for that.
func (s *prey) setCookie(p *browsertest.Page, cookie string) (jar string) {
	s.t.Helper()
	p.Eval("document.cookie = '"+cookie+"'; document.cookie", &jar)
	return jar
}

// TestDamagedCookie: truncated, changed, of another app, and twice, as script can plant it beside the real one by making it
// partitioned (CHIPS). Whatever it is, it is over: nobody is served.
func TestDamagedCookie(t *testing.T) {
	t.Parallel()
	hunt(t, []form{apart, siblings, over}, func(t *testing.T, s *prey) {
		foreign := s.ofAnotherApp()
		s.impersonate(s.p, "john@acme.test")
		script := s.p.NewTab() // in a page of before: those that say it is over let no script ask anything
		script.Go(s.asUser + "/")
		s.taken()
		names := []string{actingCookie}
		if s.app == s.asUser {
			names = append(names, heldCookie)
		}
		over := func(what string) {
			t.Helper()
			for _, path := range []string{"/", "/admin"} {
				if s.p.Go(s.asUser + path); s.p.Status() != http.StatusForbidden {
					t.Errorf("%s: %d on %s, want 403", what, s.p.Status(), s.p.URL())
				}
			}
			var status int
			if script.Eval(`fetch('/note', {method: 'POST'}).then(r => r.status)`, &status); status != http.StatusForbidden {
				t.Errorf("%s: a POST gets %d, want 403", what, status)
			}
			if got := s.taken(); len(got) > 0 {
				t.Errorf("%s: reached the app: %+v", what, got)
			}
		}
		for _, name := range names {
			good := s.value(s.p, s.asUser, name)
			for what, bad := range map[string]string{"truncated": good[:len(good)-1], "changed": "AAAA" + good[4:], "empty": "", "somebody's idea": "admin", "another app's": foreign[name]} {
				set(s.p, s.asUser, name, bad)
				over(name + " " + what)
			}
			set(s.p, s.asUser, name, good)
			s.plant(script, name+"=planted; Path=/; Secure; SameSite=None; Partitioned", true)
			over(name + " twice")
			s.plant(script, name+"=; Path=/; Secure; SameSite=None; Partitioned; Max-Age=0", false)
		}
		if s.p.Go(s.asUser + "/"); s.p.Text("#who") != "for the eyes of John Doe" {
			t.Errorf("with its own cookies it does not go on: %s", s.p.Text("body"))
		}
	})
}

// ofAnotherApp gives the cookies of an impersonation as another app on the same origins seals them.
func (s *prey) ofAnotherApp() map[string]string {
	s.t.Helper()
	p := browsertest.Start(s.t)
	defer s.swap(s.swap(s.behind("another")))
	s.signIn(p)
	s.impersonate(p, "john@acme.test")
	out := map[string]string{actingCookie: s.value(p, s.asUser, actingCookie)}
	if s.app == s.asUser {
		out[heldCookie] = s.value(p, s.asUser, heldCookie)
	}
	return out
}

// TestStolenCookie replays the impersonation's cookie at Stop from another browser: the session ends, and the thief is
// nobody (CVE-2021-28680).
func TestStolenCookie(t *testing.T) {
	t.Parallel()
	hunt(t, []form{apart, siblings, over}, func(t *testing.T, s *prey) {
		s.impersonate(s.p, "john@acme.test")
		thief := browsertest.Start(t)
		set(thief, s.asUser, actingCookie, s.value(s.p, s.asUser, actingCookie))
		thief.Go(s.asUser + "/.understudy/banner.css") // a document of that origin that asks for nothing
		thief.Next(func() {
			thief.Eval(`{const f = document.createElement('form'); f.method = 'post'; f.action = '/.understudy/stop'; document.body.append(f); f.submit()}`, nil)
		})
		thief.Go(s.app + "/admin")
		if !strings.HasPrefix(thief.URL(), s.IssuerURL+"/sign-in") {
			t.Errorf("the thief came to %s: %s", thief.URL(), thief.Text("body"))
		}
		if got := s.taken(); len(got) > 0 {
			t.Errorf("reached the app: %+v", got)
		}
		if n := s.live(); n != 0 {
			t.Errorf("%d sessions go on", n)
		}
	})
}

// TestStopKeepsTheAdminsCookies: Clear-Site-Data with "cookies" would take those of sibling hosts too.
func TestStopKeepsTheAdminsCookies(t *testing.T) {
	t.Parallel()
	hunt(t, ownOrigins, func(t *testing.T, s *prey) {
		s.setCookie(s.p, "theme=dark; Path=/")
		jar := func() map[string]string {
			out := map[string]string{}
			for _, c := range s.p.Cookies() {
				if c.Domain == s.host(s.app) {
					out[c.Name] = c.Value
				}
			}
			return out
		}
		before := jar()
		if before["theme"] != "dark" || before["__Host-understudy-signin"] == "" {
			t.Fatalf("the admin has the cookies %v", before)
		}
		s.impersonate(s.p, "john@acme.test")
		s.setCookie(s.p, "left=x; Path=/")
		s.p.Follow(".b button")
		if diff := cmp.Diff(before, jar()); diff != "" {
			t.Errorf("the admin's cookies (-before +after):\n%s", diff)
		}
		for _, c := range s.p.Cookies() {
			if c.Domain == s.host(s.asUser) && s.asUser != s.app {
				t.Errorf("cookie %s of the user's pages is left", c.Name)
			}
		}
	})
}
