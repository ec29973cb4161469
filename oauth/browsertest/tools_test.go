package browsertest_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/browsertest"
)

const anything = "default-src * data: 'unsafe-inline' 'unsafe-eval'"

func TestShadowRoots(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.Go(serve(t, "default-src 'none'; form-action 'self'", `<div id=host><template shadowrootmode=open><p>Inside</p>
		<form action=/second><input type=hidden name=q value=shadow><button id=go>Go <b>on</b></button></form></template></div><a href=#x>After</a>`))
	if got := p.Text("p"); got != "Inside" || p.Count("button") != 1 {
		t.Errorf("text in the shadow root is %q, %d buttons", got, p.Count("button"))
	}
	if diff := cmp.Diff([]string{`button#go "Go on"`, `a "After"`}, p.TabOrder(5)); diff != "" {
		t.Errorf("tab order (-want +got):\n%s", diff)
	}
	p.Press("Shift+Tab")
	p.Press("Shift+Tab")
	if got := p.Focused(); got != `button#go "Go on"` {
		t.Errorf("after Shift+Tab the focus is on %s", got)
	}
	p.Next(func() { p.Press("Enter") })
	p.Back()
	p.Follow("#go")
	if got := p.Text("h1"); got != "GET shadow" {
		t.Errorf("heading %q", got)
	}
	p.Quiet()
}

func TestAutofocus(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	url := serve(t, "default-src 'none'", `<div id=x tabindex=-1 autofocus>Wrong</div>`)
	for i := range 10 {
		p.NoScript(i%2 == 0)
		p.Go(url)
		if got := p.Focused(); got != `div#x "Wrong"` {
			t.Errorf("after loading the focus is on %s", got)
		}
	}
}

func TestPressEnterOnce(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.Go(serve(t, "default-src 'none'; form-action 'self'", `<a href=#q>To the field</a><form action=/second><input id=q name=q></form>`))
	p.Press("Tab")
	p.Press("Enter")
	if got := p.Focused(); got != "input#q[text]" || p.Title() != "First" {
		t.Errorf("the link leads to %s on %s", got, p.Title())
	}
	p.Type("#q", "typed")
	p.Next(func() { p.Press("Enter") })
	if got := p.Text("h1"); got != "GET typed" {
		t.Errorf("heading %q", got)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.Go(serve(t, "default-src 'none'; script-src 'nonce-x'; img-src *", `<script nonce=x>console.log("hello", 7); alert("hi"); setTimeout(() => { throw new Error("oh") })</script>
		<style>p { color: red }</style><img src=/none.png><script>never()</script>`))
	p.Wait(`document.querySelector("img").complete`)
	said := strings.Join(p.Console(), "\n")
	for _, want := range []string{`log: "hello" 7`, "dialog alert: hi", "exception: Uncaught Error: oh", "style-src", "404 (Not Found)", "inline script"} {
		if !strings.Contains(said, want) {
			t.Errorf("the console does not tell of %q:\n%s", want, said)
		}
	}
	last := p.Requests()[len(p.Requests())-1]
	if last.Kind != "Image" || last.Status != 404 {
		t.Errorf("last request %+v", last)
	}
	p.Forget()
	if len(p.Console())+len(p.Requests()) != 0 {
		t.Error("Forget has forgotten nothing")
	}
}

func TestMedia(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.Size(320, 500)
	p.Dark(true)
	p.ForcedColors(true)
	p.Go(serve(t, anything, `<p>before</p><script>document.querySelector("p").textContent = innerWidth + "x" + innerHeight +
		matchMedia("(prefers-color-scheme: dark)").matches + matchMedia("(forced-colors: active)").matches</script>`))
	if got := p.Text("p"); got != "320x500truetrue" {
		t.Errorf("the page says %s", got)
	}
	p.Dark(false)
	p.ForcedColors(false)
	p.Reload()
	if got := p.Text("p"); got != "320x500falsefalse" {
		t.Errorf("the page says %s", got)
	}
	p.Print(true)
	var media string
	if p.Eval(`matchMedia("print").matches + " " + matchMedia("(forced-colors: none)").matches`, &media); media != "true true" {
		t.Errorf("printed it is %s", media)
	}
	p.Print(false)
	if p.Eval(`String(matchMedia("print").matches)`, &media); media != "false" {
		t.Errorf("no more printed it is %s", media)
	}
	p.NoScript(true)
	p.Reload()
	if got := p.Text("p"); got != "before" {
		t.Errorf("with scripts off the page says %s", got)
	}
	p.NoScript(false)
	p.Reload()
	if got := p.Text("p"); got != "320x500falsefalse" {
		t.Errorf("with scripts on again the page says %s", got)
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	p, other := browsertest.Start(t), browsertest.Start(t)
	url := serve(t, anything, "")
	want := &http.Cookie{Name: "__Host-x", Value: "1", Path: "/", Domain: "127.0.0.1", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	set := *want
	set.Domain = "" // else it is no __Host- cookie
	p.SetCookie(url, &set)
	p.SetCookie(url, &http.Cookie{Name: "y", Value: "2", Path: "/", Expires: time.Now().Add(time.Hour)})
	if diff := cmp.Diff(want, p.Cookie("127.0.0.1", "__Host-x")); diff != "" {
		t.Errorf("cookie (-want +got):\n%s", diff)
	}
	if p.Cookie("127.0.0.1", "y").Expires.Before(time.Now()) || p.Cookie("localhost", "y") != nil {
		t.Errorf("cookies %v", p.Cookies())
	}
	tab := p.NewTab()
	tab.Go(url)
	var seen string
	if tab.Eval(`document.cookie`, &seen); seen != "y=2" {
		t.Errorf("another tab sees %q", seen)
	}
	if len(other.Cookies()) != 0 {
		t.Errorf("another test sees %v", other.Cookies())
	}
	p.ClearCookie(url, "y")
	if got := p.Cookies(); len(got) != 1 {
		t.Errorf("%d cookies are left", len(got))
	}
}

func TestPopup(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.Go(serve(t, anything, `<a href=/second?q=pop target=_blank rel=opener>Open</a>`))
	tab := p.Popup(func() { p.Click("a") })
	var opener bool
	if tab.Eval(`window.opener !== null`, &opener); tab.Text("h1") != "GET pop" || !opener {
		t.Errorf("the tab says %q, opener %v", tab.Text("h1"), opener)
	}
	if got := p.Text("h1"); got != "First" {
		t.Errorf("the first tab says %q", got)
	}
}

func TestAxe(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.Go(serve(t, "default-src 'none'; style-src 'unsafe-inline'", `<div><template shadowrootmode=open><p style="color: #ccc; background: #fff">Pale</p></template></div>`))
	got := p.Axe()
	if len(got) != 1 || got[0].Rule != "color-contrast" || !strings.Contains(got[0].HTML, "Pale") || got[0].Why == "" {
		t.Errorf("axe found %+v, want the pale text", got)
	}
	var left string
	if p.Eval(`typeof axe`, &left); left != "undefined" {
		t.Error("axe is left in the page")
	}
	p.Quiet()
	p.Go(serve(t, "default-src 'none'; style-src 'unsafe-inline'", `<button style="padding: 0; width: 9px">a</button><button style="padding: 0; width: 9px">b</button>`))
	if got := p.Axe(); len(got) != 2 || got[0].Rule != "target-size" {
		t.Errorf("axe found %+v, want two small buttons", got)
	}
	p.Go(serve(t, "default-src 'none'", `<p>Fine</p>`))
	if got := p.Axe(); got != nil {
		t.Errorf("axe found %+v on a sound page", got)
	}
}

func TestScreenshot(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.Size(300, 200)
	p.Go(serve(t, anything, `<style>h1 { margin: 0 } body { margin: 0; height: 700px; background: linear-gradient(red, blue) }</style>`))
	shot := p.Screenshot()
	file := filepath.Join(t.TempDir(), "new", "a.png")
	browsertest.SavePNG(t, file, shot)
	small, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b != image.Rect(0, 0, 300, 700) {
		t.Errorf("it is %v, want the whole page", b)
	}
	if n := len(img.ColorModel().(color.Palette)); n != 16 || len(small) >= len(shot) {
		t.Errorf("%d colours, %d bytes of %d", n, len(small), len(shot))
	}
	if r, _, b, _ := img.At(150, 699).RGBA(); r > 0x2000 || b < 0xe000 {
		t.Errorf("the last line has red %x, blue %x", r, b)
	}
}

// ending is a test that may fail.
type ending struct {
	testing.TB
	said string
}

func (e *ending) Helper() {}
func (e *ending) Fatalf(format string, args ...any) {
	e.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestGivingUp(t *testing.T) {
	t.Parallel()
	url := serve(t, anything, `<button>One</button><div style="position: fixed; inset: 0" id=veil></div>
		<button disabled id=off>Off</button><p hidden>Hidden</p><script>console.log("clue")</script>`)
	for name, c := range map[string]struct {
		act  func(*browsertest.Page)
		want []string
	}{
		"covered":     {func(p *browsertest.Page) { p.Click("button") }, []string{"clicking button", `covered by div#veil`, url, "clue", "<button>One"}},
		"disabled":    {func(p *browsertest.Page) { p.Click("#off") }, []string{"it is disabled"}},
		"hidden":      {func(p *browsertest.Page) { p.Text("p") }, []string{"nothing that matches can be seen"}},
		"absent":      {func(p *browsertest.Page) { p.Type("#none", "x") }, []string{"typing into #none", "nothing matches"}},
		"no document": {func(p *browsertest.Page) { p.Next(func() { p.Press("Escape") }) }, []string{"no document has loaded"}},
		"no server":   {func(p *browsertest.Page) { p.Go("http://127.0.0.1:1/") }, []string{"ERR_UNSAFE_PORT"}},
		"thrown":      {func(p *browsertest.Page) { p.Eval(`Promise.reject(new Error("no"))`, nil) }, []string{"Error: no"}},
		"false":       {func(p *browsertest.Page) { p.Wait(`1 > 2`) }, []string{"1 > 2", "it is false"}},
		"no key":      {func(p *browsertest.Page) { p.Press("Any") }, []string{`no key "Any"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &ending{TB: t}
			p := browsertest.Start(e)
			p.Go(url)
			p.Hurry(300 * time.Millisecond)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.act(p)
			}()
			<-done
			for _, want := range c.want {
				if !strings.Contains(e.said, want) {
					t.Errorf("it does not say %q:\n%s", want, e.said)
				}
			}
		})
	}
}

// TestEnvironment: without a Chromium tests are skipped, but not where all must run.
func TestEnvironment(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short all are skipped")
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("UNDERSTUDY_CHROMIUM", "")
	for ci, want := range map[string]string{"": "skip", "1": "fatal"} {
		t.Setenv("CI", ci)
		e := &absent{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			browsertest.Start(e)
		}()
		<-done
		if !slices.Equal(e.said, []string{want}) {
			t.Errorf("with CI=%q: %v, want %s", ci, e.said, want)
		}
	}
}

// absent notes whether a test is skipped or fails.
type absent struct {
	testing.TB
	said []string
}

func (a *absent) Helper()      {}
func (a *absent) Skip(...any)  { a.said = append(a.said, "skip"); runtime.Goexit() }
func (a *absent) Fatal(...any) { a.said = append(a.said, "fatal"); runtime.Goexit() }
