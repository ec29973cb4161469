package rp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/rp"
)

// chromium is Chromium in which Ann impersonates John, with the cookies of b.
func (h *house) chromium(b *browser) *browsertest.Page {
	h.t.Helper()
	p := browsertest.Start(h.t)
	for _, origin := range []string{h.app, h.asUser, h.issuer} {
		for name, value := range b.cookies(origin) {
			p.SetCookie(origin, &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		}
	}
	return p
}

// papers are the pages below /more/: a long one with a form, and one after it.
func papers(w http.ResponseWriter, r *http.Request) {
	subject, _ := rp.Subject(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>Papers</title></head><body><main><h1>Papers of %s</h1><a id="next" href="/more/next">Next</a>
		<form method="post" action="/note">%s<p><label>Text<br><textarea name="text" id="text"></textarea></label><p><label>Title<br><input name="title" id="title"></label>
		<p><label>Password<br><input type="password" name="password" id="password"></label><p><button id="send">Send</button></form></main></body></html>`,
		subject.Subject, rp.FormField(r))
}

// TestExpiryInBrowser: somebody types into a form of the user's, the session ends meanwhile, and what they typed is there for copying.
func TestExpiryInBrowser(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		h.more = papers
		b := h.ann()
		b.impersonate("john", "write")
		p := h.chromium(b)
		p.Go(h.asUser + "/more/")
		if got := p.Text("h1"); got != "Papers of john" {
			t.Fatalf("the page says %q", got)
		}
		p.Type("#text", "Dear John,\n\n<b>20 %</b> off \"&\" more,\nжду.\n"+strings.Repeat("A long line. ", 30))
		p.Type("#title", "Offer")
		p.Type("#password", "hunter2")
		h.kill()
		p.Follow("#send")
		if p.Status() != http.StatusForbidden || p.Text("h2") != "What you had typed" {
			t.Errorf("status %d, %s", p.Status(), p.HTML())
		}
		if strings.Contains(p.HTML(), "hunter2") {
			t.Error("the password is shown")
		}
		var values []string
		if p.Eval("[...document.querySelectorAll('textarea')].map((t) => t.value)", &values); len(values) != 2 || !strings.HasPrefix(values[0], "Dear John,\n\n<b>20 %</b> off \"&\" more,\nжду.\nA long line. A") || values[1] != "Offer" {
			t.Errorf("it shows %q", values)
		}
		for _, width := range []int{1200, 320} {
			for _, mode := range []string{"light", "dark", "forced"} {
				p.Size(width, 800)
				p.Dark(mode == "dark")
				p.ForcedColors(mode == "forced")
				for _, v := range p.Axe() {
					t.Errorf("%s, %d: %+v", mode, width, v)
				}
				var wide bool
				if p.Eval("document.documentElement.scrollWidth > innerWidth", &wide); wide {
					t.Errorf("%d: the page scrolls sideways", width)
				}
				if h.app != h.asUser && (mode == "light" && width == 1200 || mode == "dark" && width == 320) {
					p.Document(fmt.Sprintf("screenshots/ended-typed-%s-%d.png", mode, width))
				}
			}
		}
		if seen := strings.Join(h.taken(&h.seen), "\n"); strings.Contains(seen, "/note") {
			t.Errorf("the app saw %s", seen)
		}
		p.Quiet()
	})
}

// TestBackAfterStop is nextcloud passwords#116 in a browser: after Stop, and after an answer that tells of an end, its Back button shows no page of the
// user's, also where no script runs, though the browser keeps pages whole that it went on from.
func TestBackAfterStop(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		h.more = papers
		for _, how := range []string{"stopped", "ended", "ended at a refusal"} {
			b := h.ann()
			b.impersonate("john", "read")
			p := h.chromium(b)
			p.Go(h.asUser + "/more/")
			p.Follow("#next")
			if got := p.Text("h1"); got != "Papers of john" || p.Count("understudy-banner") != 1 {
				t.Fatalf("the page says %q", got)
			}
			switch how {
			case "stopped":
				p.Follow(".b button")
				if p.URL() != h.app+"/admin" {
					t.Errorf("Stop leads to %s", p.URL())
				}
			case "ended":
				h.kill()
				h.clock.advance(6 * time.Second)
				p.Go(h.asUser + "/open/")
			default:
				h.kill()
				p.Follow("#send")
			}
			if how != "stopped" && p.Status() != http.StatusForbidden {
				t.Fatalf("%s: %d %s", how, p.Status(), p.HTML())
			}
			for range 2 {
				p.Back()
				if html := p.HTML(); strings.Contains(html, "Papers of john") || strings.Contains(html, "understudy-banner") {
					t.Errorf("%s: Back shows %s at %s", how, p.Text("h1"), p.URL())
				}
			}
			p.Quiet()
		}
	})
}

// TestBackAfterEnd: where nobody was told of an end, Back shows a page that banner.js is on, and it asks anew.
func TestBackAfterEnd(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		h.more = func(w http.ResponseWriter, r *http.Request) {
			papers(w, r)
			io.WriteString(w, `<script src="/.understudy/banner.js" defer></script>`)
		}
		elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<!doctype html><html lang=en><title>x</title><h1>Elsewhere</h1>")
		}))
		t.Cleanup(elsewhere.Close)
		b := h.ann()
		b.impersonate("john", "read")
		p := h.chromium(b)
		p.Go(h.asUser + "/more/")
		if got := p.Text("h1"); got != "Papers of john" {
			t.Fatalf("the page says %q", got)
		}
		p.Go(elsewhere.URL)
		h.kill()
		h.clock.advance(6 * time.Second)
		p.Back()
		p.Wait("document.body.innerText.includes('has ended')")
	})
}

// TestBackWithoutUs: a page of nobody's does come back whole, or the test before this would show nothing.
func TestBackWithoutUs(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	h.more = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><html lang=en><title>x</title><h1>Here</h1><a id=next href=/open/>Next</a>")
	}
	p := browsertest.Start(t)
	p.Go(h.app + "/more/")
	p.Eval("document.querySelector('h1').textContent = 'Kept'", nil)
	p.Follow("#next")
	p.Back()
	if got := p.Text("h1"); got != "Kept" {
		t.Errorf("Back shows %q", got)
	}
}

// TestPageDropsTheBanner: script of the page's own can remove the banner, and nothing hangs on it. The guard refuses and the
// trail tells as ever, the next page has it again, and the address of Stop is a page without any script. With banner.js it comes back by itself.
func TestPageDropsTheBanner(t *testing.T) {
	t.Parallel()
	for how, drop := range map[string]string{
		"removed":  "document.querySelector('understudy-banner').remove()",
		"rendered": "document.body.innerHTML = '<main><h1>Anew</h1></main>'",
		"styled":   "Object.assign(document.querySelector('understudy-banner'), {hidden: true}).style.cssText = 'display: none !important; opacity: 0 !important; position: fixed !important; left: -999px !important'",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h := setup(t, apart, nil)
			h.more = func(w http.ResponseWriter, r *http.Request) {
				script := ""
				if r.URL.Path == "/more/ours" {
					script = `<script src="/.understudy/banner.js" defer></script>`
				}
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>x</title>%s</head><body><main><h1>Papers</h1></main>
					<script>addEventListener('load', () => setTimeout(() => { %s; document.title = 'Dropped' }))</script></body></html>`, script, drop)
			}
			b := h.ann()
			b.impersonate("john", "read")
			p := h.chromium(b)
			const whole = `(() => { const b = document.querySelector('understudy-banner'), r = b.getBoundingClientRect(); return b.checkVisibility({opacityProperty: true}) && r.top >= 0 && r.left >= 0 && r.width > 900 && b.shadowRoot.querySelector('button').offsetHeight > 40 })()`

			p.Go(h.asUser + "/more/ours")
			p.Wait("document.title === 'Dropped'")
			p.Wait(whole)

			p.Go(h.asUser + "/more/bare")
			p.Wait("document.title === 'Dropped'")
			if how == "styled" {
				p.Wait(whole)
			} else if n := p.Count("understudy-banner"); n != 0 {
				t.Errorf("%d banners without a script of ours: the documentation says that there is none", n)
			}
			var status int
			if p.Eval("fetch('/note', {method: 'POST'}).then((r) => r.status)", &status); status != http.StatusForbidden {
				t.Errorf("what the page sends gets %d", status)
			}
			if all := strings.Join(h.actions(), "\n"); !strings.Contains(all, "POST /note") {
				t.Errorf("on record is\n%s", all)
			}
			p.Forget() // the console tells of the refusal
			p.Go(h.asUser + "/")
			p.Wait(whole)
			p.Go(h.asUser + "/.understudy/stop")
			if p.Follow("form button"); p.URL() != h.app+"/admin" || h.live() != 0 {
				t.Errorf("Stop leads to %s, %d sessions go on", p.URL(), h.live())
			}
			p.Quiet()
		})
	}
}
