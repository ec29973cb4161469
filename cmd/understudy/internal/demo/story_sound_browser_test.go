package demo_test

import (
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
)

// view is how somebody looks at pages.
type view struct {
	name  string
	width int
	dark  bool
	long  bool // with UNDERSTUDY_LONG only
}

var views = []view{{"light 1200", 1200, false, false}, {"dark 320", 320, true, false}, {"dark 1200", 1200, true, true}, {"light 320", 320, false, true}}

// eachView runs f on the demo, seen in each view.
func eachView(t *testing.T, f func(s *stage, v view)) {
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if v.long && os.Getenv("UNDERSTUDY_LONG") == "" {
				t.Skip("with UNDERSTUDY_LONG only: each colour and each width has had its turn")
			}
			on(t, []form{apart}, func(t *testing.T, s *stage) {
				s.p.Size(v.width, 800)
				s.p.Dark(v.dark)
				f(s, v)
			})
		})
	}
}

// sound checks the page that the browser is on: nothing is wrong for axe, nothing scrolls sideways, the style sheets are
// there, and Chromium has nothing to say. Seen light and wide, it has its picture in screenshots.
func (s *stage) sound(v view, name string, status int) {
	s.t.Helper()
	if s.p.Status() != status {
		s.t.Errorf("%s: status %d, want %d", name, s.p.Status(), status)
	}
	s.p.Quiet()
	for _, x := range s.p.Axe() {
		s.t.Errorf("%s: axe: %s (%s): %s\n%s\n%s", name, x.Rule, x.Impact, x.Where, x.HTML, x.Why)
	}
	var wide string
	if s.p.Eval(sideways, &wide); wide != "" {
		s.t.Errorf("%s: scrolls sideways: %s", name, wide)
	}
	var styled bool
	if s.p.Eval(`getComputedStyle(document.body).margin === "0px"`, &styled); !styled {
		s.t.Errorf("%s: the style sheet is not applied", name)
	}
	s.p.Forget() // axe puts style elements into shadow roots, which the policy keeps out: that is none of the page's
	switch {
	case v == views[0]:
		s.p.Document("screenshots/" + name + ".png")
	case v == views[1] && slices.Contains([]string{"story", "users"}, name):
		s.p.Document("screenshots/" + name + "-dark-320.png")
	}
}

// sideways names an element that reaches beyond the right edge, if the page can be scrolled there.
const sideways = `(() => {
	if (document.scrollingElement.scrollWidth <= innerWidth) return "";
	const e = [...document.querySelectorAll("body *")].find(e => e.getBoundingClientRect().right > innerWidth + 1);
	return (e ?? document.body).outerHTML.slice(0, 300);
})()`

// TestPagesUnderBanner: what Ann sees, by herself and as others.
func TestPagesUnderBanner(t *testing.T) {
	t.Parallel()
	eachView(t, func(s *stage, v view) {
		s.signIn("/admin?q=acme")
		s.sound(v, "users", http.StatusOK)
		s.p.Go(s.AppURL + "/admin?q=nobody+is+called+this")
		s.sound(v, "users-none", http.StatusOK)
		s.p.Go(s.AppURL + "/account")
		s.sound(v, "account-staff", http.StatusOK)

		s.impersonate("john@acme.test", "write")
		s.sound(v, "story", http.StatusOK)
		s.p.Follow(`nav a[href="/projects"]`)
		s.p.Type(`input[name=text]`, "Asked for the Analyst role")
		s.p.Follow(`form[action$="/notes"] button`)
		s.sound(v, "as-projects", http.StatusOK)
		for _, c := range []struct {
			path, name string
			status     int
		}{
			{"/account", "as-account", http.StatusOK},
			{"/account/email", "as-email", http.StatusOK},
			{"/reports", "as-reports-refused", http.StatusForbidden},
			{"/account/delete", "as-delete", http.StatusOK},
		} {
			s.p.Go(s.asUser + c.path)
			s.sound(v, c.name, c.status)
		}
		s.p.Follow("main button.danger")
		s.sound(v, "as-delete-refused", http.StatusForbidden)
		s.p.Go(s.asUser + "/.understudy/stop")
		s.sound(v, "stop", http.StatusOK)

		s.impersonate("mei@acme.test", "read") // which ends the other
		s.p.Follow(`nav a[href="/reports"]`)
		s.sound(v, "as-reports", http.StatusOK)
		s.end()
		s.wantNotice(http.StatusForbidden, "The impersonation has ended")
		s.sound(v, "ended", http.StatusForbidden)
		s.leave()
		s.p.Reload()
		s.wantNotice(http.StatusForbidden, "Nobody is being impersonated here")
		s.sound(v, "nobody", http.StatusForbidden)
	})
}

// TestCustomersPages: what customers see when they are there themselves.
func TestCustomersPages(t *testing.T) {
	t.Parallel()
	eachView(t, func(s *stage, v view) {
		s.customer("mei@acme.test", "/reports")
		s.sound(v, "reports", http.StatusOK)
		s.p.Follow(".me button")
		s.sound(v, "signed-out", http.StatusOK)
		s.leave()
		s.customer("john@acme.test", "/")
		for _, c := range []struct {
			path, name string
			status     int
		}{
			{"/", "overview", http.StatusOK},
			{"/account", "account", http.StatusOK},
			{"/reports", "reports-refused", http.StatusForbidden},
			{"/admin", "users-refused", http.StatusForbidden},
			{"/nowhere", "not-found", http.StatusNotFound},
			{"/account/email", "email", http.StatusOK},
		} {
			s.p.Go(s.AppURL + c.path)
			s.sound(v, c.name, c.status)
		}
		s.p.Type("#email", "not-an-address")
		s.asIs(`form.card button`)
		s.sound(v, "email-fault", http.StatusUnprocessableEntity)
		s.p.Go(s.AppURL + "/projects")
		s.sound(v, "projects", http.StatusOK)
		s.p.Type("input[name=text]", " ")
		s.asIs(`form[action$="/notes"] button`)
		s.sound(v, "projects-fault", http.StatusUnprocessableEntity)
		s.p.Go(s.AppURL + "/account/delete")
		s.sound(v, "delete", http.StatusOK)
		s.p.Follow("main button.danger")
		s.sound(v, "deleted", http.StatusGone)
	})
}

// customer signs somebody in who has no second factor, beginning at path of the app.
func (s *stage) customer(email, path string) {
	s.t.Helper()
	s.p.Go(s.AppURL + path)
	s.p.Type("#email", email)
	s.p.Type("#password", demo.Password)
	s.p.Follow("main button.primary")
	s.at(s.AppURL + path)
}

// leave forgets who is signed in and who is impersonated.
func (s *stage) leave() {
	s.t.Helper()
	for _, c := range s.p.Cookies() {
		s.p.ClearCookie("http://"+c.Domain, c.Name)
	}
}

// asIs submits a form whatever the browser itself makes of its fields.
func (s *stage) asIs(button string) {
	s.t.Helper()
	s.p.Eval(`document.querySelectorAll("form").forEach(f => f.noValidate = true)`, nil)
	s.p.Follow(button)
}

// TestPagesForcedColors: in the colours of a contrast theme what is told by colour is told by a border too.
func TestPagesForcedColors(t *testing.T) {
	t.Parallel()
	on(t, []form{apart}, func(t *testing.T, s *stage) {
		s.p.ForcedColors(true)
		s.signIn("/admin?q=acme")
		s.bordered(".btn, button, nav a[aria-current]")
		s.impersonate("john@acme.test", "write")
		s.bordered(".b, .b button, button, nav a[aria-current], .card")
	})
}

// bordered checks that all of these have a border, and the page for the rest.
func (s *stage) bordered(css string) {
	s.t.Helper()
	s.sound(view{}, "in forced colours", http.StatusOK)
	if s.p.Count(css) < 3 {
		s.t.Errorf("%d elements match %s: are they still called that?", s.p.Count(css), css)
	}
	var bare []string
	s.p.Eval(`[document, ...[...document.querySelectorAll("*")].map(e => e.shadowRoot).filter(r => r)]
		.flatMap(r => [...r.querySelectorAll(`+"`"+css+"`"+`)])
		.filter(e => parseFloat(getComputedStyle(e).borderTopWidth) < 1).map(e => e.outerHTML.slice(0, 200))`, &bare)
	for _, html := range bare {
		s.t.Errorf("without a border: %s", html)
	}
}
