package demo_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
)

// way is how somebody goes through the story.
type way struct {
	name     string
	width    int
	keyboard bool // Stop by Tab and Enter instead of a click
	noScript bool
	forms    []form
}

// TestStoryInBrowser is the whole of it: who looked as John, found out why the report tab is missing, could not delete his
// account, and is back.
func TestStoryInBrowser(t *testing.T) {
	t.Parallel()
	for _, w := range []way{
		{name: "1200", width: 1200, forms: []form{apart, siblings, over}},
		{name: "320", width: 320, keyboard: true, forms: []form{apart, siblings, over}},
		{name: "no script", width: 1200, noScript: true, forms: []form{apart, over}},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			on(t, w.forms, func(t *testing.T, s *stage) {
				s.p.Size(w.width, 800)
				s.p.NoScript(w.noScript)
				s.story(w)
				s.p.Quiet()
			})
		})
	}
}

func (s *stage) story(w way) {
	s.signIn("/admin")
	before := s.p.Cookie(host(s.AppURL), signInCookie)
	mode := "read"
	if s.AsUserURL != "" {
		mode = "write"
	}
	s.find("John Doe")
	s.impersonate("john@acme.test", mode)
	s.lookAround(mode)
	s.tryToDelete()
	s.addNote(mode)
	stolen := s.take()
	s.stop(w.keyboard)
	s.wantBack()
	if after := s.p.Cookie(host(s.AppURL), signInCookie); s.AsUserURL != "" && (before == nil || after == nil || after.Value != before.Value) {
		s.t.Errorf("Ann's own sign-in: got %v, want it untouched: %v", after, before)
	}
	s.wantOver(stolen)
	s.readTrail(mode)
	if w.width == 1200 && !w.noScript {
		s.readTrailByCommand()
	}
}

// find searches the list as people do.
func (s *stage) find(name string) {
	s.t.Helper()
	s.p.Type("#q", name)
	s.p.Follow("form[role=search] button")
	if got := s.p.Text("tbody tr"); !strings.Contains(got, name) || s.p.Count("tbody tr") != 1 {
		s.t.Errorf("searching for %s: got %d rows, the first is %q", name, s.p.Count("tbody tr"), got)
	}
}

// lookAround sees what John sees, and why.
func (s *stage) lookAround(mode string) {
	s.t.Helper()
	s.at(s.asUser + "/")
	s.wantBanner(mode)
	if got := s.tabs(); !slices.Equal(got, []string{"Overview", "Projects", "Account"}) {
		s.t.Errorf("John's tabs: got %q, want no Reports", got)
	}
	if s.p.Press("Tab"); s.p.Focused() != `button "Stop"` {
		s.t.Errorf("the first Tab lands on %s, want Stop", s.p.Focused())
	}
	s.p.Follow(`nav a[href="/account"]`)
	if got := s.p.Text("main"); !strings.Contains(got, "Your role: Viewer. Reports are part of the Analyst role.") {
		s.t.Errorf("John's account does not say why there are no reports:\n%s", got)
	}
	s.wantBanner(mode)
}

// tryToDelete presses the button, from the account's page.
func (s *stage) tryToDelete() {
	s.t.Helper()
	s.p.Follow(`a[href="/account/delete"]`)
	s.p.Follow("main button.danger")
	want := "Not done: this can't be done in somebody else's name"
	if s.AsUserURL == "" {
		want = "Not done: you are only looking"
	}
	s.wantNotice(http.StatusForbidden, want)
	if got := s.count(`SELECT count(*) FROM account WHERE email = 'john@acme.test'`) - s.count(`SELECT count(*) FROM deleted_account`); got != 1 {
		s.t.Error("John's account is gone")
	}
	s.p.Follow("main nav a") // Back
	s.at(s.asUser + "/account/delete")
	s.p.Follow(`nav a[href="/account"]`)
	if got := s.p.Text("main dl"); !strings.Contains(got, "john@acme.test") {
		s.t.Errorf("John's account: %s", got)
	}
}

// addNote does something harmless: possible with full access, refused to who only looks.
func (s *stage) addNote(mode string) {
	s.t.Helper()
	const text, count = "Asked for the Analyst role", `SELECT count(*) FROM note`
	s.p.Follow(`nav a[href="/projects"]`)
	s.p.Type(`input[name=text]`, text)
	s.p.Follow(`form[action$="/notes"] button`)
	if mode == "read" {
		s.wantNotice(http.StatusForbidden, "Not done: you are only looking")
		if got := s.count(count); got != 0 {
			s.t.Errorf("%d notes, want none", got)
		}
		return
	}
	s.at(s.asUser + "/projects")
	if got := s.p.Text(".notes li"); !strings.HasPrefix(got, text) || !strings.Contains(got, "John Doe, ") || s.count(count) != 1 {
		s.t.Errorf("the note: got %q", got)
	}
	s.wantBanner(mode)
}

// stop presses the banner's button.
func (s *stage) stop(keyboard bool) {
	s.t.Helper()
	s.p.Go(s.asUser + "/")
	if !keyboard {
		s.p.Follow(".b button")
		return
	}
	s.p.Press("Tab")
	s.p.Next(func() { s.p.Press("Enter") })
}

// wantBack: it is Ann's page, and there is nothing left of the other.
func (s *stage) wantBack() {
	s.t.Helper()
	s.at(s.AppURL + "/admin?q=john@acme.test")
	if got := s.p.Text(".me"); !strings.Contains(got, "Signed in as Ann Bell") || s.p.Count("understudy-banner") != 0 {
		s.t.Errorf("back as %q, with %d banners", got, s.p.Count("understudy-banner"))
	}
	if got := s.tabs(); !slices.Equal(got, []string{"Users", "Account"}) {
		s.t.Errorf("Ann's tabs: got %q", got)
	}
	for _, name := range []string{actingCookie, heldCookie} {
		if got := s.p.Cookie(host(s.asUser), name); got != nil {
			s.t.Errorf("a cookie was left: %v", got)
		}
	}
	starts, stops := s.trail(audit.KindStart), s.trail(audit.KindStop)
	if len(starts) != 1 || len(stops) != 1 || starts[0].Session != stops[0].Session {
		s.t.Errorf("%d starts and %d stops on record, want one of each, of one session", len(starts), len(stops))
	}
}
