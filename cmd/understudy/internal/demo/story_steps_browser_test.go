package demo_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestThreeActions: from the list to the user's page it takes a click, a reason and a click. Nothing else has to be chosen,
// and nothing else is asked.
func TestThreeActions(t *testing.T) {
	t.Parallel()
	on(t, []form{apart, over}, func(t *testing.T, s *stage) {
		s.signIn("/admin?q=john@acme.test")
		s.p.Follow("table a.btn")
		s.p.Type("#reason", "Cannot find the report tab")
		s.p.Follow("main button.primary")
		s.at(s.asUser + "/")
		s.wantBanner("read")
	})
}

// TestBackShowsNothing: after Stop, the browser's own button leads to no page of John's, neither one that it kept nor one that
// it can still get. As in Nextcloud's passwords (#116) for a sign-out.
func TestBackShowsNothing(t *testing.T) {
	t.Parallel()
	on(t, []form{apart, over}, func(t *testing.T, s *stage) {
		s.signIn("/admin")
		s.impersonate("john@acme.test", "read")
		s.p.Follow(`nav a[href="/account"]`)
		if got := s.p.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("John's account may be kept: Cache-Control: %s", got)
		}
		s.p.Follow(".b button")
		s.wantBack()
		for range 2 {
			s.p.Back()
			if got := s.p.Text("body"); strings.Contains(got, "Signed in as John Doe") || s.p.Count("understudy-banner") != 0 {
				t.Errorf("Back leads to %s, which says\n%s", s.p.URL(), got)
			}
			if s.AsUserURL != "" && s.p.Status() != http.StatusForbidden {
				t.Errorf("Back leads to %s: status %d, want 403", s.p.URL(), s.p.Status())
			}
		}
	})
}

// TestStopWithoutCookies: the browser has dropped them, so Stop leads to the one who knows what to stop, under the page's
// own policy.
func TestStopWithoutCookies(t *testing.T) {
	t.Parallel()
	on(t, []form{apart, over}, func(t *testing.T, s *stage) {
		s.signIn("/admin")
		s.impersonate("john@acme.test", "read")
		for _, name := range []string{"__Host-understudy", "__Host-understudy-held"} {
			s.p.ClearCookie(s.asUser, name)
		}
		s.p.Follow(".b button")
		if got := s.p.URL(); !strings.HasPrefix(got, s.IssuerURL+"/sign-in/acting?") || !strings.Contains(s.p.Text("main"), "John Doe") {
			t.Fatalf("led to %s: %s", got, s.p.Text("body"))
		}
		s.p.Follow("main button")
		s.at(s.AppURL + "/admin")
		s.p.Quiet()
	})
}
