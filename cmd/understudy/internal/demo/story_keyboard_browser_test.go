package demo_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestStoryByTab: Tab goes through each page in the order of testdata/tab-order-*.txt, and out of it at the end.
func TestStoryByTab(t *testing.T) {
	t.Parallel()
	on(t, []form{over}, func(t *testing.T, s *stage) {
		s.signIn("/admin?q=cedar")
		s.wantTabOrder("users")
		s.impersonate("john@acme.test", "read")
		s.wantTabOrder("dashboard")
		s.p.Go(s.asUser + "/account/delete")
		s.p.Follow("main button.danger")
		s.wantTabOrder("blocked")
		s.p.Go(s.asUser + "/account")
		s.end()
		s.wantNotice(http.StatusForbidden, "The impersonation has ended")
		s.wantTabOrder("ended")
		s.p.Follow("main button") // lifts the hold
		s.at(s.AppURL + "/admin?q=john@acme.test")
		if got := s.p.Text(".me"); !strings.Contains(got, "Signed in as Ann Bell") {
			t.Errorf("after the way on, on %s: %s", s.p.URL(), got)
		}
	})
}

// wantTabOrder compares the order of the page that the browser is on, from its beginning.
func (s *stage) wantTabOrder(name string) {
	s.t.Helper()
	var got strings.Builder
	if first := s.p.Focused(); first != "body" {
		fmt.Fprintf(&got, "(at first %s)\n", first)
	}
	for _, where := range s.p.TabOrder(60) {
		fmt.Fprintln(&got, strings.ReplaceAll(where, s.asUser[len("http://"):], "HOST"))
	}
	file := filepath.Join("testdata", "tab-order-"+name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		s.t.Errorf("the tab order of %s is another (-want +got); run with -update if that is right:\n%s", name, diff)
	}
}

// TestFocusIsSeen: going through a long page by Tab and back by Shift+Tab, the banner covers nothing that has the focus
// (WCAG 2.4.11).
func TestFocusIsSeen(t *testing.T) {
	t.Parallel()
	on(t, []form{apart}, func(t *testing.T, s *stage) {
		s.p.Size(320, 480)
		s.signIn("/admin")
		s.impersonate("john@acme.test", "write")
		s.p.Follow(`nav a[href="/projects"]`)
		stops := 0
		for _, key := range []string{"Tab", "Shift+Tab"} {
			for range 18 { // fewer than there are, so that it turns round at the end of the page
				s.p.Press(key)
				if s.wantFocusSeen(key) {
					stops++
				}
			}
		}
		if stops < 20 {
			t.Errorf("the focus was at %d places below the top; is the page long?", stops)
		}
	})
}

// wantFocusSeen reports whether there was something to see: the focus is in the page, and the page is scrolled.
func (s *stage) wantFocusSeen(key string) (looked bool) {
	s.t.Helper()
	var at struct {
		Scrolled    bool
		Top, Banner float64
	}
	s.p.Eval(`(() => {
		const e = document.activeElement, r = e.getBoundingClientRect(), b = document.querySelector("understudy-banner").getBoundingClientRect()
		return {Scrolled: scrollY > 0 && e !== document.body && e.localName !== "understudy-banner", Top: r.top, Banner: b.bottom}
	})()`, &at)
	if at.Scrolled && at.Top < at.Banner {
		s.t.Errorf("after %s, %s begins at %.0f; the banner covers all up to %.0f", key, s.p.Focused(), at.Top, at.Banner)
	}
	return at.Scrolled
}
