package page_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/page"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }

// host serves every state under its name, with the headers that it has in production, and gives its URL and the names.
func host(t *testing.T) (string, []state) {
	t.Helper()
	all := states()
	p, err := page.New(setup(t).cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/static/", p.Static())
	for _, s := range all {
		answer := s.answer(t)
		html := body(t, answer)
		mux.HandleFunc("/state/"+s.name, func(w http.ResponseWriter, _ *http.Request) {
			for name, values := range answer.Header {
				w.Header()[name] = values
			}
			w.Header().Del("Refresh") // a page that goes on by itself is looked at all the same
			w.WriteHeader(answer.StatusCode)
			fmt.Fprint(w, html)
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL + "/state/", all
}

// TestInBrowser: in every state nothing is wrong for axe, nothing scrolls sideways, and Chromium has nothing to say: no
// style that the Content-Security-Policy keeps out, no file that is missing. Each state
// has its picture in screenshots.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	for _, view := range []struct {
		name  string
		width int
		dark  bool
		long  bool
	}{
		{"light 1200", 1200, false, false},
		{"dark 320", 320, true, false},
		{"dark 1200", 1200, true, true},
		{"light 320", 320, false, true},
	} {
		t.Run(view.name, func(t *testing.T) {
			t.Parallel()
			if view.long && os.Getenv("UNDERSTUDY_LONG") == "" {
				t.Skip("with UNDERSTUDY_LONG only: each colour and each width has had its turn")
			}
			p := browsertest.Start(t)
			p.Size(view.width, 800)
			p.Dark(view.dark)
			url, all := host(t)
			for _, s := range all {
				p.Go(url + s.name)
				wantSoundHere(t, p, s)
				switch {
				case view.name == "light 1200":
					p.Document("screenshots/" + s.name + ".png")
				case view.name == "dark 320" && s.name == "ask":
					p.Document("screenshots/ask-dark-320.png")
				}
			}
		})
	}
}

func wantSoundHere(t *testing.T, p *browsertest.Page, s state) {
	t.Helper()
	if p.Status() != s.status {
		t.Errorf("%s: status %d, want %d", s.name, p.Status(), s.status)
	}
	for _, v := range p.Axe() {
		t.Errorf("%s: axe: %s (%s): %s\n%s\n%s", s.name, v.Rule, v.Impact, v.Where, v.HTML, v.Why)
	}
	var wide string
	if p.Eval(sideways, &wide); wide != "" {
		t.Errorf("%s: scrolls sideways: %s", s.name, wide)
	}
	var styled bool
	if p.Eval(`getComputedStyle(document.body).margin === "0px"`, &styled); !styled {
		t.Errorf("%s: the style sheet is not applied", s.name)
	}
	p.Quiet()
}

// sideways names an element that reaches beyond the right edge, if the page can be scrolled there.
const sideways = `(() => {
	if (document.scrollingElement.scrollWidth <= innerWidth) return "";
	const e = [...document.querySelectorAll("body *")].find(e => e.getBoundingClientRect().right > innerWidth + 1);
	return (e ?? document.body).outerHTML.slice(0, 300);
})()`

// TestForcedColors: in the colours of a contrast theme what we tell by colour is told by a border too.
func TestForcedColors(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	p.ForcedColors(true)
	url, all := host(t)
	for _, s := range all {
		if !slices.Contains([]string{"ask", "ask-errors", "denied", "find-results", "sign-in-failed"}, s.name) {
			continue
		}
		p.Go(url + s.name)
		var bare []string
		p.Eval(`[...document.querySelectorAll("button:not(.link), .btn, .notice, .summary, .card, .tag, input[type=text], textarea")]
			.filter(e => parseFloat(getComputedStyle(e).borderTopWidth) < 1).map(e => e.outerHTML.slice(0, 200))`, &bare)
		if len(bare) > 0 {
			t.Errorf("%s: without a border:\n%s", s.name, strings.Join(bare, "\n"))
		}
		wantSoundHere(t, p, s)
	}
}

// TestKeyboard: Tab goes through each page in the order of testdata/tab-order.txt, and out of it at the end.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	url, all := host(t)
	var got strings.Builder
	summaries := 0
	for _, s := range all {
		p.Go(url + s.name)
		fmt.Fprintf(&got, "%s\n", s.name)
		if first := p.Focused(); first != "body" {
			fmt.Fprintf(&got, "  (at first %s)\n", first)
		}
		for _, name := range p.TabOrder(60) {
			fmt.Fprintf(&got, "  %s\n", name)
		}
		if p.Count(".summary a") > 0 {
			summaries++
			p.Reload()
			wantSummary(t, p, s)
		}
	}
	if summaries < 5 {
		t.Errorf("%d pages with a summary of errors; are they still looked for by the right name?", summaries)
	}
	file := filepath.Join("testdata", "tab-order.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the tab order is another (-want +got); run with -update if that is right:\n%s", diff)
	}
}

// wantSummary: a summary of errors has the focus, and its first link leads to the field it names.
func wantSummary(t *testing.T, p *browsertest.Page, s state) {
	t.Helper()
	var focused, led bool
	if p.Eval(`document.activeElement === document.querySelector(".summary")`, &focused); !focused {
		t.Errorf("%s: the focus is on %s", s.name, p.Focused())
	}
	p.Press("Tab")
	p.Press("Enter")
	p.Eval(`document.activeElement.id === location.hash.slice(1) && document.activeElement !== document.body`, &led)
	if !led {
		t.Errorf("%s: the first link leads to %s, the focus is on %s", s.name, p.URL(), p.Focused())
	}
}

// TestSkipLink: it can be seen while it has the focus, and after it Tab goes on in the main part.
func TestSkipLink(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	url, _ := host(t)
	p.Go(url + "find-results")
	p.Press("Tab")
	var height float64
	if p.Eval(`document.activeElement.getBoundingClientRect().height`, &height); !strings.HasPrefix(p.Focused(), "a ") || height < 24 {
		t.Errorf("%s is %v pixels high", p.Focused(), height)
	}
	p.Press("Enter")
	p.Press("Tab")
	var inside bool
	if p.Eval(`document.querySelector("main").contains(document.activeElement)`, &inside); !inside {
		t.Errorf("after the skip link comes %s", p.Focused())
	}
}
