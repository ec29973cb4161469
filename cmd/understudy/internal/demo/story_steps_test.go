package demo_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

// The cookies of rp, as a browser knows them.
const (
	signInCookie = "__Host-understudy-signin"
	actingCookie = "__Host-understudy"
	heldCookie   = "__Host-understudy-held"
)

// host is that of an origin, without the port: cookies know none.
func host(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

var modeWords = map[string]string{"read": "look only", "write": "full access"}

// wantBanner demands all that the banner has to say.
func (s *stage) wantBanner(mode string) {
	s.t.Helper()
	want := regexp.MustCompile(`^You're impersonating John Doe \(john@acme\.test\) · you are ann@acme\.test · ` + modeWords[mode] + ` · ends \d\d:\d\d UTC$`)
	if got := s.p.Text(".b p"); !want.MatchString(got) {
		s.t.Errorf("banner: got %q, want %s", got, want)
	}
}

// wantNotice demands a page of rp's own.
func (s *stage) wantNotice(status int, title string) {
	s.t.Helper()
	if got := s.p.Text("h1"); got != title || s.p.Status() != status {
		s.t.Errorf("on %s: got %d %q, want %d %q", s.p.URL(), s.p.Status(), got, status, title)
	}
}

// tabs are the words of Acme's navigation.
func (s *stage) tabs() []string {
	s.t.Helper()
	return strings.Fields(s.p.Text("header nav"))
}

// count asks Acme's own database for a number.
func (s *stage) count(query string) (n int) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.AppDatabase+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(s.t.Context(), query).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// end ends every session, as an operator does, and stays on the page until the app has heard of it.
func (s *stage) end() {
	s.t.Helper()
	ended, err := operator(s.t, beside(s.t, s.Database)).EndSessions(s.t.Context(), impersonation.ScopeInstance, "", "end of the day")
	if err != nil || len(ended) != 1 {
		s.t.Fatalf("ended %v, %v; want one session", ended, err)
	}
	for until := time.Now().Add(30 * time.Second); s.p.Status() == http.StatusOK; s.p.Reload() {
		if time.Now().After(until) {
			s.t.Fatalf("%s is still served", s.p.URL())
		}
	}
	s.p.Forget() // it may have heard between a page and its style sheet
}
