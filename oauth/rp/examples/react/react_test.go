package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/rp/rptest"
)

// scratch is where the app is built.
var scratch string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "react"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(scratch)
	return browsertest.Main(m)
}

// built is a directory with app.js, made from the sources with what package-lock.json names.
func built(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	must(t, build())
	return scratch + "/dist"
}

var build = sync.OnceValue(func() error {
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(scratch+"/"+name, b, 0o600); err != nil {
			return err
		}
	}
	if err := os.CopyFS(scratch+"/src", os.DirFS("src")); err != nil {
		return err
	}
	for _, args := range [][]string{{"ci", "--ignore-scripts"}, {"run", "build"}} {
		cmd := exec.Command("npm", args...)
		cmd.Dir = scratch
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("npm %v: %w\n%s", args, err, out)
		}
	}
	return nil
})

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	ann  = rp.Person{Subject: "ann", Name: "Ann Bell", Email: "ann@acme.test", Roles: []string{"admin"}}
	john = rp.Person{Subject: "john", Name: "John Doe", Email: "john@acme.test", Roles: []string{"user"}}
	vera = rp.Person{Subject: "vera", Name: "Vera Lind", Email: "vera@acme.test", Roles: []string{"viewer"}}
	mia  = rp.Person{Subject: "mia", Name: "Mia Reyes", Email: "mia@acme.test", Roles: []string{"user"}}
)

// stage is the app and an issuer in memory, each behind a socket.
type stage struct {
	issuer      *rptest.Issuer
	app, asUser string
	heard       int // of the console, so far
}

// newStage serves them, with Ann signed in at the issuer. front may put something in front of the app.
func newStage(t *testing.T, front func(http.Handler) http.Handler) *stage {
	t.Helper()
	s := &stage{issuer: rptest.NewIssuer()}
	at := httptest.NewServer(s.issuer)
	t.Cleanup(at.Close)
	s.issuer.URL = at.URL
	s.issuer.SignIn(ann)

	srv := httptest.NewUnstartedServer(nil)
	t.Cleanup(srv.Close)
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	s.app, s.asUser = fmt.Sprintf("http://localhost:%d", port), fmt.Sprintf("http://127.0.0.1:%d", port)
	c := s.issuer.Config()
	c.BaseURL, c.Origin = s.app, s.asUser
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h, err := newHandler(ctx, c, os.DirFS(built(t)))
	must(t, err)
	srv.Config.Handler = front(h)
	srv.Start()
	return s
}

func itself(h http.Handler) http.Handler { return h }

// cdn serves the page and its files as a place would that knows nobody: only the API and understudy's own routes reach h.
func cdn(h http.Handler) http.Handler {
	page, _ := public.ReadFile("public/index.html")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && r.URL.Path != "/users" {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", csp)
		w.Write(page)
	})
}

const stop = "document.querySelector('understudy-banner')?.shadowRoot?.querySelector('button')"

// check looks at the page as a whole.
func (s *stage) check(t *testing.T, p *browsertest.Page, when string) {
	t.Helper()
	for _, said := range p.Console()[s.heard:] { // Chromium notes each refusal, and has nothing else to complain of
		if !strings.Contains(said, "status of 403") {
			t.Errorf("%s: the console says %s", when, said)
		}
	}
	defer func() { s.heard = len(p.Console()) }() // axe tries style elements of its own
	for _, v := range p.Axe() {
		t.Errorf("%s: %+v", when, v)
	}
	var wide bool
	if p.Eval("document.documentElement.scrollWidth > innerWidth", &wide); wide {
		t.Errorf("%s: the page scrolls sideways", when)
	}
}

// TestStory: the list, a start that fails and says why, one that does not, what each role sees, a change that is refused, Stop, and the
// list again; wide and narrow, with the banner of the server and with that of banner.js, under a policy that allows nothing inline.
func TestStory(t *testing.T) {
	t.Parallel()
	for name, front := range map[string]func(http.Handler) http.Handler{"behind rp": itself, "pages of a CDN": cdn} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := browsertest.Start(t)
			s := newStage(t, front)
			p.Go(s.app + "/.understudy/sign-in?return_to=/users")
			for _, width := range []int{1200, 320} {
				p.Size(width, 800)
				p.Dark(width == 320)
				s.story(t, p, width)
			}
		})
	}
}

// story begins and ends at the list of users.
func (s *stage) story(t *testing.T, p *browsertest.Page, width int) {
	t.Helper()
	when := fmt.Sprint(width)
	impersonate := func(who rp.Person, nth int) {
		t.Helper()
		s.issuer.Choose(who, oauth.ModeRead)
		p.Next(func() { p.Click(fmt.Sprintf("li:nth-child(%d) button", nth)) })
	}
	heading := func(want string) {
		t.Helper()
		if got := p.Text("h1"); got != want {
			t.Errorf("%s: the heading is %q, want %q", when, got, want)
		}
	}
	heading("Users")
	p.Text("li:nth-child(3) button")
	s.check(t, p, when+", list")
	p.Document(fmt.Sprintf("screenshots/list-%d.png", width))

	impersonate(mia, 3)
	if got := p.Text(".toast p"); got != "This app refuses this impersonation. It was ended at once. It says: please call Mia first" {
		t.Errorf("%s: the toast says %q", when, got)
	}
	p.Wait("document.querySelectorAll('li').length === 3")
	if p.URL() != s.app+"/users" {
		t.Errorf("%s: a failed start leads to %s, want the list", when, p.URL())
	}
	s.check(t, p, when+", failed")
	p.Document(fmt.Sprintf("screenshots/failed-%d.png", width))
	p.Reload()
	p.Wait("document.querySelectorAll('li').length === 3")
	if p.Count(".toast p") != 0 {
		t.Errorf("%s: the toast is there again after a reload", when)
	}

	impersonate(rp.Person{}, 1)
	if got := p.Text(".toast p"); !strings.HasPrefix(got, "Nobody is being impersonated. It was cancelled.") {
		t.Errorf("%s: the toast says %q", when, got)
	}

	impersonate(vera, 2)
	heading("Reports")
	s.leave(t, p, when)
	impersonate(john, 1)
	heading("Invoices")
	p.Wait(stop + ".offsetHeight > 30")
	if p.URL() != s.asUser+"/" || p.Text("header p:nth-child(2)") != "John Doe" || !strings.Contains(p.Text(".b p"), "You're impersonating John Doe (john@acme.test)") {
		t.Errorf("%s: at %s as %q: %q", when, p.URL(), p.Text("header p:nth-child(2)"), p.Text(".b p"))
	}
	p.Click("main form button")
	if got := p.Text(".toast p"); !strings.HasPrefix(got, "Not done: you are only looking.") {
		t.Errorf("%s: the toast says %q", when, got)
	}
	p.Eval("document.querySelector('understudy-banner').remove()", nil)
	p.Wait(stop + ".offsetHeight > 30")
	s.check(t, p, when+", as John")
	p.Document(fmt.Sprintf("screenshots/john-%d.png", width))
	s.leave(t, p, when)
}

// leave stops by keyboard, and is back at the list.
func (s *stage) leave(t *testing.T, p *browsertest.Page, when string) {
	t.Helper()
	p.Wait(stop + ".offsetHeight > 30")
	p.Eval(stop+".focus()", nil)
	if p.Focused() != `button "Stop"` {
		t.Errorf("%s: the focus is on %s", when, p.Focused())
	}
	p.Next(func() { p.Press("Enter") })
	p.Wait("document.querySelectorAll('li').length === 3")
	if p.URL() != s.app+"/users" || p.Count("understudy-banner") != 0 {
		t.Errorf("%s: Stop leads to %s, with %d banners", when, p.URL(), p.Count("understudy-banner"))
	}
}

// TestReadme: the lines of JavaScript in the README are those that run here.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../../README.md")
	must(t, err)
	runs, err := os.ReadFile("src/understudy.js")
	must(t, err)
	_, after, _ := strings.Cut(string(readme), "```js\n")
	shown, _, found := strings.Cut(after, "```")
	if !found || !strings.Contains(string(runs), strings.TrimSpace(shown)) {
		t.Errorf("the README shows other lines than run here: %q", shown)
	}
}

// TestEnded: after a kill the page's next call loads it anew, which says what happened, and nothing of John is left on it.
func TestEnded(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	s := newStage(t, itself)
	p.Go(s.app + "/users")
	s.issuer.Choose(john, oauth.ModeWrite)
	p.Next(func() { p.Click("li:nth-child(1) button") })
	p.Type("input", "new@acme.test")
	p.Click("main form button")
	p.Wait("document.querySelector('.toast p')?.textContent === 'Saved.'")
	s.issuer.End()
	p.Next(func() { p.Click("main form button") })
	if got := p.Text("h1"); got != "The impersonation has ended" {
		t.Errorf("after the end it says %q", got)
	}
}

// TestStopWithoutIssuer: Stop of banner.js leads back to the app, as Ann, also where the issuer cannot be told at once.
func TestStopWithoutIssuer(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	s := newStage(t, cdn)
	p.Go(s.app + "/.understudy/sign-in?return_to=/users")
	s.issuer.Choose(john, oauth.ModeRead)
	p.Next(func() { p.Click("li:nth-child(1) button") })
	p.Wait(stop + ".offsetHeight > 30")
	s.issuer.SetAway(true)
	p.Next(func() { p.Click(".b button") })
	if p.Text("header p:nth-child(2)") != "Ann Bell" || p.URL() != s.app+"/" || p.Count("understudy-banner") != 0 {
		t.Errorf("Stop leads to %s as %q", p.URL(), p.Text("header p:nth-child(2)"))
	}
	if c := p.Cookie("127.0.0.1", "__Host-understudy"); c != nil {
		t.Error("the browser keeps the impersonation")
	}
}
