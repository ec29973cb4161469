package demo_test

import (
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
)

// TestStoryInBrowser is the whole of it.
func TestStoryInBrowser(t *testing.T) {
	t.Parallel()
	on(t, []form{apart, siblings, over}, func(t *testing.T, s *stage) {
		s.signIn("/admin")
		mode := "read"
		if s.AsUserURL != "" {
			mode = "write"
		}
		s.impersonate("john@acme.test", mode)
		s.at(s.asUser + "/")
		if got := s.p.Text(".b p"); !strings.HasPrefix(got, "You're impersonating John Doe") {
			t.Errorf("banner: %q", got)
		}
		s.p.Follow(".b button")
		s.at(s.AppURL + "/admin")
		if n := len(s.trail(audit.KindStop)); n != 1 {
			t.Errorf("%d stops on record, want 1", n)
		}
		s.p.Quiet()
	})
}
