package demo_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/store"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }

// form is one of the ways in which the demo can stand.
type form struct {
	name   string
	config demo.Config
}

var (
	apart    = form{"own origin", demo.Config{}}
	siblings = form{"sibling hosts", demo.Config{AppURL: "http://app.localhost", AsUserURL: "http://as-user.app.localhost"}}
	over     = form{"one origin", demo.Config{SameOrigin: true}}
	// overAlone is over, with the app on a host that shares no jar of cookies with the issuer.
	overAlone = form{"one origin, another host", demo.Config{SameOrigin: true, AppURL: "http://app.localhost"}}
)

// stage is a demo and a browser in front of it.
type stage struct {
	*demo.Demo
	t      *testing.T
	p      *browsertest.Page
	asUser string // the origin on which impersonation lives
}

// on runs f on each form.
func on(t *testing.T, forms []form, f func(t *testing.T, s *stage)) {
	for _, which := range forms {
		t.Run(which.name, func(t *testing.T) {
			t.Parallel()
			p := browsertest.Start(t) // first: it is what may be missing
			c := which.config
			c.Directory = t.TempDir()
			d := start(t, c)
			s := &stage{Demo: d, t: t, p: p, asUser: d.AsUserURL}
			if s.asUser == "" {
				s.asUser = d.AppURL
			}
			f(t, s)
		})
	}
}

// signIn signs Ann in, beginning at path of the app, and lands there. A code counts once, so this does too.
func (s *stage) signIn(path string) {
	s.t.Helper()
	s.p.Go(s.AppURL + path)
	s.p.Type("#email", "ann@acme.test")
	s.p.Type("#password", demo.Password)
	s.p.Follow("main button.primary")
	s.p.Type("#code", s.Code("ann@acme.test"))
	s.p.Follow("main button.primary")
	s.at(s.AppURL + path)
}

// at demands the page that the browser is on.
func (s *stage) at(url string) {
	s.t.Helper()
	if got := s.p.URL(); got != url {
		s.t.Fatalf("on %s, want %s\n%s", got, url, s.p.Text("body"))
	}
}

// impersonate starts, as somebody does who has opened the admin's page: Impersonate, a reason, Impersonate.
func (s *stage) impersonate(email, mode string) {
	s.t.Helper()
	s.p.Go(s.AppURL + "/admin?q=" + email)
	s.p.Follow("table a.btn")
	s.p.Type("#reason", "Cannot find the report tab")
	s.p.Type("#ticket_number", "SUP-4821")
	s.p.Click(`input[name=mode][value=` + mode + `]`)
	s.p.Follow("main button.primary")
	if banner := s.p.Text(".b p"); !strings.Contains(banner, "You're impersonating") {
		s.t.Fatalf("on %s without a banner: %s", s.p.URL(), s.p.Text("body"))
	}
}

// trail gives the entries of a kind, oldest first.
func (s *stage) trail(kind audit.Kind) (out []audit.Entry) {
	s.t.Helper()
	page, _, err := beside(s.t, s.Database).Entries(context.Background(), store.EntryQuery{Kind: kind, Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range slices.Backward(page) {
		out = append(out, e.Entry)
	}
	return out
}
