package rp

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/browsertest"
)

// stage is an app on one origin under impersonation, as far as the banner can tell: h writes its pages. Everything that the
// banner's and banner.js's requests carry is kept.
type stage struct {
	origin string

	mu     sync.Mutex
	heard  []string // method, path, session of the header, session of the form
	nobody bool     // is impersonated, as far as banner.js is told
	away   []string // what of ours is unavailable when it is next asked for
}

func newStage(t *testing.T, bend func(*Session), h http.HandlerFunc) *stage {
	st := new(stage)
	a, s := impersonation()
	bend(s)
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	st.origin = srv.URL
	a.acting.origin = srv.URL
	mux.HandleFunc("GET /.understudy/{name}", func(w http.ResponseWriter, r *http.Request) {
		if name := r.PathValue("name"); st.isAway(name) {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		a.static(w, r, r.PathValue("name"))
	})
	mux.HandleFunc("GET /.understudy/session", func(w http.ResponseWriter, r *http.Request) {
		if st.isAway("session") {
			a.unavailable(w, r, &visit{app: a, site: a.acting, session: s})
			return
		}
		if st.nobody {
			writeJSON(w, http.StatusOK, sessionJSON{})
			return
		}
		writeJSON(w, http.StatusOK, sessionJSON{
			Impersonating: true, ID: s.ID, Subject: &s.Subject, Actor: &s.Actor, Mode: s.Mode, ExpiresAt: s.Expires.Format("2006-01-02T15:04:05Z"), Stop: stopPath,
		})
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		away := r.URL.Path == stopPath && st.isAway("stop")
		st.mu.Lock()
		defer st.mu.Unlock()
		st.heard = append(st.heard, fmt.Sprintf("%s %s header=%s form=%s", r.Method, r.URL.Path, r.Header.Get(sessionHeader), r.PostFormValue(sessionField)))
		if away {
			a.unavailable(w, r, &visit{app: a, site: a.acting, session: s})
			return
		}
		if r.URL.Path == stopPath && wantsJSON(r) {
			writeJSON(w, http.StatusOK, map[string]any{"stopped": true, "redirect": srv.URL + "/stopped"})
			return
		}
		redirect(w, srv.URL+"/done")
	})
	for _, path := range []string{"GET /stopped", "GET /done"} {
		mux.HandleFunc(path, page("text/html", "<!doctype html><html lang=en><title>x</title><h1>Back</h1>"))
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		v := &visit{app: a, site: a.acting, session: s}
		in := newInjector(w, r, v, func(*injector, http.Header) bool { return true })
		defer in.finish()
		h(in, v.into(r))
	})
	mux.HandleFunc("GET /spa", h)
	return st
}

func (s *stage) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// isAway reports whether name is unavailable, which it is once for each time that it is in away.
func (s *stage) isAway(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.away, name)
	if i >= 0 {
		s.away = slices.Delete(s.away, i, i+1)
	}
	return i >= 0
}

// seen is what a person sees of the banner.
type seen struct {
	Top, Left, Right float64 // where it is; a page's margins are around it
	Window           float64 // width
	Button, Words    float64 // heights
	Hit              bool    // the middle of the button belongs to the banner
}

func look(p *browsertest.Page) (s seen) {
	p.Eval(`(() => {
		const host = document.querySelector('understudy-banner'), box = host.getBoundingClientRect()
		const button = host.shadowRoot.querySelector('button').getBoundingClientRect()
		const words = host.shadowRoot.querySelector('p').getBoundingClientRect()
		return {Top: box.top, Left: box.left, Right: box.right, Window: document.documentElement.clientWidth, Button: button.height, Words: words.height,
			Hit: document.elementFromPoint(button.left + button.width / 2, button.top + button.height / 2) === host}
	})()`, &s)
	return s
}

func (s seen) want(t *testing.T, when string) {
	t.Helper()
	if s.Top < 0 || s.Top > 50 || s.Left < 0 || s.Right > s.Window || s.Right-s.Left < 200 || !s.Hit || s.Button < 40 || s.Words < 20 {
		t.Errorf("%s: the banner is %+v; want it whole, at the top, nothing over it", when, s)
	}
}

const app = `<header><a href="/x">Acme</a></header><main><h1>Invoices</h1><p>None yet.</p><button>Pay</button></main>`

// TestBannerAgainstThePage: styles of the page, however hostile, do not reach the banner; the first Tab lands on Stop.
func TestBannerAgainstThePage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ head, body, csp string }{
		"plain":  {csp: "default-src 'none'; form-action 'none'"},
		"colour": {head: "button{background:lime!important;font-size:40px!important}p,b{display:none!important;color:red!important}html{font-size:3px}"},
		"hidden": {head: "body>*{display:none!important;visibility:hidden!important;opacity:0!important}"},
		"by name": {head: `understudy-banner:not(#a#b#c):first-child{all:unset!important;display:none!important;opacity:0!important;transform:translate(-999px)!important;
			position:absolute!important;height:0!important;overflow:hidden!important;pointer-events:none!important;clip-path:inset(50%)!important;content-visibility:hidden!important}
			@layer x{understudy-banner{display:none!important}} understudy-banner{transition:all 99s 99s!important;animation:a 1ms forwards!important}@keyframes a{to{opacity:0}}`},
		"covered":  {head: "header{position:fixed;inset:0;z-index:2147483646;background:#fff}main{position:relative;z-index:9999999}"},
		"column":   {head: "body{display:flex;flex-direction:column;min-height:100vh;margin:0}"},
		"row":      {head: "body{display:flex;margin:0}"},
		"grid":     {head: "body{display:grid;place-items:center;min-height:100vh;margin:0}"},
		"wide":     {head: "main{width:3000px}h1{text-align:right}"},
		"wider":    {head: "body{width:3000px;margin:0}"},
		"columns":  {head: "body{display:grid;grid-template-columns:200px 1fr;margin:0}"},
		"margin":   {head: "body{margin:20px;padding:20px;border:1px solid;max-width:200px}"},
		"base":     {body: `<base href="https://evil.invalid/" target="_blank">`},
		"none":     {head: "*{all:initial!important;display:none!important}html,body,header,main,main *{display:block!important}"},
		"dead":     {head: "*{pointer-events:none!important;user-select:none!important;cursor:none!important;filter:invert(1)}"},
		"inside":   {head: "html{overflow:hidden;height:100%;transform:translateZ(0)}body{overflow:auto;height:100%;margin:0;contain:content;perspective:9px}main{height:3000px}"},
		"raised":   {head: "body{margin-top:-400px!important;padding-top:400px!important;position:relative;transform:translateZ(0)}main{transform:translateY(-300px)}"},
		"strict":   {csp: "default-src 'none'; style-src 'self'"},
		"stricter": {csp: "default-src 'none'; style-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"},
		"elsewise": {head: "body{direction:rtl;text-transform:uppercase;visibility:hidden;text-indent:-999px;line-height:0;font-size:0;color:transparent;user-select:none}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := browsertest.Start(t)
			st := newStage(t, func(*Session) {}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				if c.csp != "" {
					w.Header().Set("Content-Security-Policy", c.csp)
				}
				style := ""
				if c.head != "" {
					style = "<style>" + c.head + "</style>"
				}
				io.WriteString(w, `<!doctype html><html lang="en"><head><title>Invoices</title>`+style+c.body+`</head><body>`+app)
			})
			for _, width := range []int{1200, 320} {
				p.Size(width, 900)
				p.Go(st.origin + "/")
				look(p).want(t, fmt.Sprint(width))
				if name == "wider" { // whoever looks at its other end sees the banner too
					p.Eval("scrollTo(1500, 0)", nil)
					look(p).want(t, fmt.Sprint(width, ", scrolled"))
				}
				if got := p.Text(".b p"); !strings.HasPrefix(strings.Join(strings.Fields(got), " "), "You're impersonating John Doe (john@acme.test)") {
					t.Errorf("it says %q", got)
				}
				if p.Press("Tab"); p.Focused() != `button "Stop"` {
					t.Errorf("the first Tab lands on %s", p.Focused())
				}
				p.Next(func() { p.Press("Enter") })
				if p.URL() != st.origin+"/done" {
					t.Errorf("Stop leads to %s", p.URL())
				}
				p.Quiet()
			}
			if diff := cmp.Diff([]string{"POST /.understudy/stop header= form=imp_abcdefghijklmnopqrstuvwxyz", "POST /.understudy/stop header= form=imp_abcdefghijklmnopqrstuvwxyz"}, st.all()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestBannerLooks: every kind of name, light, dark and in forced colours, wide and narrow, without a fault of axe.
func TestBannerLooks(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	for name, subject := range map[string]Person{
		"plain": {Subject: "x", Name: "John Doe", Email: "john@acme.test"}, "hostile": {Subject: "x", Name: hostileName, Email: "\u202ea@b.test"},
		"long": {Subject: "x", Name: strings.Repeat("W", 10<<10), Email: strings.Repeat("é", 300)}, "rtl": {Subject: "x", Name: "محمد بن سلمان", Email: "m@acme.test"},
	} {
		st := newStage(t, func(s *Session) { s.Subject = subject }, page("text/html", `<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>x</title></head><body>`+app))
		for _, width := range []int{1200, 320} {
			for _, mode := range []string{"light", "dark", "forced"} {
				p.Size(width, 900)
				p.Dark(mode == "dark")
				p.ForcedColors(mode == "forced")
				p.Go(st.origin + "/")
				look(p).want(t, name)
				if mode != "dark" && (name == "plain" || mode == "light" && width == 320) { // the banner has one look for both
					p.Document(fmt.Sprintf("screenshots/banner-%s-%s-%d.png", name, mode, width))
				}
				for _, v := range p.Axe() {
					t.Errorf("%s, %d, %s: %+v", name, width, mode, v)
				}
				var wide bool
				if p.Eval("document.documentElement.scrollWidth > innerWidth", &wide); wide {
					t.Errorf("%s, %d: the page scrolls sideways", name, width)
				}
			}
		}
		p.Quiet()
	}
}

// TestBannerHidesNoFocus: going back through a long page, the focus is never under the banner (WCAG 2.4.11).
func TestBannerHidesNoFocus(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	links := strings.Repeat("<p><a href=/x>x</a></p>", 60)
	for _, name := range []string{"John Doe", strings.Repeat("W", 200)} {
		st := newStage(t, func(s *Session) {
			s.Subject.Name, s.Subject.Email, s.Actor.Email = name, name+"@acme.test", name+"@b.test"
		},
			page("text/html", "<!doctype html><html lang=en><title>x</title><body>"+links+"<p id=last>end</p>"))
		for _, width := range []int{1200, 600, 320} {
			p.Size(width, 500)
			p.Go(fmt.Sprintf("%s/?%d#last", st.origin, width)) // another address each time, or it would be the same document
			var under float64
			p.Eval(`(() => {
				const links = [...document.querySelectorAll('p a')].reverse(), banner = document.querySelector('understudy-banner')
				let under = 0
				for (const a of links) {
					a.focus()
					if (scrollY) under = Math.max(under, banner.getBoundingClientRect().bottom - a.getBoundingClientRect().top)
				}
				return under
			})()`, &under)
			if under > 0 {
				t.Errorf("%.8s, %d: the focus is %v px under the banner", name, width, under)
			}
		}
	}
}

// TestBannerScript: on a page made in the browser the script shows the banner, and ties what may change something to it.
func TestBannerScript(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	st := newStage(t, func(s *Session) { s.Subject.Name = "<b>\u202eJohn" }, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'")
		page("text/html", `<!doctype html><html lang="en"><head><title>x</title><script src="/.understudy/banner.js" defer></script></head><body>`+
			`<form method="post" action="/form"><p><input name="action" value="x" aria-label="a"><p><button id="go">Go</button></form>`)(w, nil)
	})
	p.Go(st.origin + "/spa")
	p.Wait("document.querySelector('understudy-banner')?.shadowRoot.querySelector('button').offsetHeight > 30")
	for _, width := range []int{320, 1200} {
		p.Size(width, 900)
		for _, forced := range []bool{true, false} {
			p.ForcedColors(forced)
			look(p).want(t, fmt.Sprintf("made by script, %d, forced colours %v", width, forced))
		}
	}
	if p.Press("Tab"); p.Focused() != `button "Stop"` {
		t.Errorf("the first Tab lands on %s", p.Focused())
	}
	var ring string
	if p.Eval("getComputedStyle(document.querySelector('understudy-banner').shadowRoot.querySelector('button')).outlineWidth", &ring); ring != "3px" {
		t.Errorf("what has the focus has an outline of %q", ring)
	}
	if got := p.Text(".b p"); !strings.HasPrefix(got, "You're impersonating <b>") {
		t.Errorf("it says %q", got)
	}
	for _, v := range p.Axe() {
		if v.Rule != "page-has-heading-one" && v.Rule != "landmark-one-main" && v.Rule != "region" {
			t.Errorf("%+v", v)
		}
	}
	p.Eval(`(async () => {
		await fetch('/fetch', {method: 'post', headers: {a: 'b'}})
		await fetch(new Request(location.origin + '/request', {method: 'PUT', body: 'x'})).catch(() => {})
		await fetch(new URL('/url', location.href), {method: 'POST'})
		await new Promise((done) => { const x = new XMLHttpRequest; x.open('POST', '/xhr'); x.onloadend = done; x.send('x') })
	})()`, nil)
	p.Follow("#go")
	p.Back()
	p.Wait("document.querySelector('understudy-banner')?.shadowRoot.querySelector('button').offsetHeight > 30")
	p.Next(func() { p.Click(".b button") })
	if p.URL() != st.origin+"/stopped" {
		t.Errorf("Stop leads to %s", p.URL())
	}
	id := "imp_abcdefghijklmnopqrstuvwxyz"
	if diff := cmp.Diff([]string{
		"POST /fetch header=" + id + " form=", "POST /url header=" + id + " form=", "POST /xhr header=" + id + " form=",
		"POST /form header= form=" + id, "POST /.understudy/stop header= form=" + id,
	}, st.all()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestBannerScriptOfNobody: on a page that was made while nobody was impersonated, whatever its scripts send says so, in every way that can; its forms are
// sent as they are, and other origins are told nothing.
func TestBannerScriptOfNobody(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	other := newStage(t, func(*Session) {}, http.NotFound)
	st := newStage(t, func(*Session) {}, page("text/html", `<!doctype html><html lang="en"><head><title>x</title><script src="/.understudy/banner.js" defer></script></head><body>`+
		`<form method="post" action="/form"><p><input name="a" value="b" aria-label="a"><p><button id="go">Go</button></form>`))
	st.nobody = true
	p.Go(st.origin + "/spa")
	p.Wait("performance.getEntriesByType('resource').some((e) => e.name.endsWith('/session') && e.responseEnd > 0)")
	p.Eval(`(async () => {
		await (await fetch('/.understudy/session')).json() // what was asked before this is known
		addEventListener('pagehide', () => navigator.sendBeacon('/hidden', new URLSearchParams({understudy_session: 'imp_of_the_page'})))
		await fetch('/fetch', {method: 'post', headers: {a: 'b'}})
		await fetch(new Request('/request', {method: 'POST', headers: {a: 'b'}, body: 'x'}))
		await new Promise((done) => { const x = new XMLHttpRequest; x.open('POST', '/xhr'); x.onloadend = done; x.send('x') })
		await fetch('`+other.origin+`/fetch', {method: 'POST'}).catch(() => {})
		const refused = await Promise.all([fetch('http://[', {method: 'POST'}), fetch(undefined, {method: 'TRACE'})].map((f) => f.catch(() => 'refused')))
		if (refused.join() !== 'refused,refused') throw refused
		if (!navigator.sendBeacon('/beacon', new Blob(['x'])) || !navigator.sendBeacon('`+other.origin+`/beacon', 'x')) throw 'no beacon'
	})()`, nil)
	p.Follow("#go")
	for _, c := range []struct {
		st   *stage
		want []string
	}{
		{st, []string{
			"POST /beacon header=none form=", "POST /fetch header=none form=", "POST /form header= form=", "POST /hidden header=none form=imp_of_the_page",
			"POST /request header=none form=", "POST /xhr header=none form=",
		}},
		{other, []string{"POST /beacon header= form=", "POST /fetch header= form="}},
	} {
		for end := time.Now().Add(15 * time.Second); len(c.st.all()) < len(c.want) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if diff := cmp.Diff(c.want, slices.Sorted(slices.Values(c.st.all()))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// TestBannerScriptAsksAgain: where the app could not say for whom the page was made, banner.js asks again, for the banner's looks too; an answer that is none
// makes nobody of the user.
func TestBannerScriptAsksAgain(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	st := newStage(t, func(*Session) {}, page("text/html", `<!doctype html><html lang="en"><head><title>x</title><script src="/.understudy/banner.js" defer></script></head><body>`+app))
	st.away = []string{"session", "banner.css"}
	p.Go(st.origin + "/spa")
	p.Wait("document.querySelector('understudy-banner')?.shadowRoot?.querySelector('button').offsetHeight > 30")
	look(p).want(t, "made by script")
	p.Eval("fetch('/fetch', {method: 'POST'})", nil)
	if diff := cmp.Diff([]string{"POST /fetch header=imp_abcdefghijklmnopqrstuvwxyz form="}, st.all()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestBannerScriptStopsAnyway: where the answer to its Stop does not say where to go on, the form is sent as without scripts, so that it leads somewhere, also from the address of an app that keeps
// its pages behind a #.
func TestBannerScriptStopsAnyway(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	st := newStage(t, func(*Session) {}, page("text/html", `<!doctype html><html lang="en"><head><title>x</title><script src="/.understudy/banner.js" defer></script></head><body>`+app))
	st.away = []string{"stop"}
	p.Go(st.origin + "/spa#/users")
	p.Follow(".b button")
	if p.URL() != st.origin+"/done" {
		t.Errorf("it leads to %s", p.URL())
	}
	stop := "POST /.understudy/stop header= form=imp_abcdefghijklmnopqrstuvwxyz"
	if diff := cmp.Diff([]string{stop, stop}, st.all()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestBannerScriptReloads: a page out of the back-forward cache is asked for anew, since its session may be over.
func TestBannerScriptReloads(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	st := newStage(t, func(*Session) {}, page("text/html", `<!doctype html><title>x</title><script src="/.understudy/banner.js" defer></script><body>`))
	p.Go(st.origin + "/")
	p.Next(func() { p.Eval("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))", nil) })
	if p.Count("understudy-banner") != 1 {
		t.Error("the script added a banner to the one of the server")
	}
	p.Quiet()
}

// TestBannerComesBack: a page that drops the banner, or all of its body, gets it again, also one that drops it each time; where the page places the
// element itself, it is filled there, and there is one.
func TestBannerComesBack(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	st := newStage(t, func(*Session) {}, func(w http.ResponseWriter, r *http.Request) {
		place := ""
		if r.URL.RawQuery == "place" {
			place = "<main><understudy-banner></understudy-banner><understudy-banner></understudy-banner></main>"
		}
		w.Header().Set("Content-Security-Policy", "script-src 'self'; style-src 'self'; require-trusted-types-for 'script'")
		page("text/html", `<!doctype html><html lang="en"><head><title>x</title><script src="/.understudy/banner.js" defer></script></head><body>`+place+app)(w, nil)
	})
	const shown = "document.querySelector('understudy-banner')?.shadowRoot?.querySelector('button').offsetHeight > 30"
	for _, path := range []string{"/", "/spa"} { // made by the server, made by the script
		p.Go(st.origin + path)
		p.Wait(shown)
		for _, drop := range []string{
			"document.querySelector('understudy-banner').remove()",
			"document.body.replaceChildren(document.createElement('main'))",
			"document.body = document.createElement('body')",
		} {
			var gone bool
			if p.Eval("("+drop+", !document.querySelector('understudy-banner'))", &gone); !gone {
				t.Errorf("%s: %s dropped nothing", path, drop)
			}
			p.Wait(shown)
			look(p).want(t, path+" "+drop)
		}
		var back int
		p.Eval(`new Promise((done) => {
			let times = 0
			const watch = new MutationObserver(() => {
				if (!document.querySelector('understudy-banner')) return
				if (++times === 3) { watch.disconnect(); done(times) } else document.querySelector('understudy-banner').remove()
			})
			watch.observe(document.documentElement, {childList: true, subtree: true})
			document.querySelector('understudy-banner').remove()
		})`, &back)
		if back != 3 {
			t.Errorf("%s: it came back %d times, want 3", path, back)
		}
	}
	p.Go(st.origin + "/spa?place")
	p.Wait(shown)
	var placed []bool
	p.Eval("[...document.querySelectorAll('understudy-banner')].map((e) => e.parentElement.localName === 'main' && !!e.shadowRoot)", &placed)
	if diff := cmp.Diff([]bool{true, false}, placed); diff != "" {
		t.Errorf("placed and filled: %v, want the first of two", placed)
	}
	p.Quiet()
}

// TestNoticesInBrowser: every notice, light and dark, wide and narrow, without a fault of axe and without script.
func TestNoticesInBrowser(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	a, all := notices()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.understudy/{name}", func(w http.ResponseWriter, r *http.Request) { a.static(w, r, r.PathValue("name")) })
	mux.HandleFunc("GET /{name}", func(w http.ResponseWriter, r *http.Request) { a.notice(w, r, a.acting, all[r.PathValue("name")]) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for name, n := range all {
		for _, view := range views() {
			width := view.width
			p.Size(width, 700)
			p.Dark(view.dark)
			p.Go(srv.URL + "/" + name)
			if p.Status() != n.status {
				t.Errorf("%s: status %d", name, p.Status())
			}
			for _, v := range p.Axe() {
				t.Errorf("%s, %d: %+v", name, width, v)
			}
			var wide bool
			if p.Eval("document.documentElement.scrollWidth > innerWidth", &wide); wide {
				t.Errorf("%s, %d: the page scrolls sideways", name, width)
			}
			if !view.more && (width == 1200 || slices.Contains([]string{"ended-held", "blocked-read", "stop"}, name)) {
				p.Document(fmt.Sprintf("screenshots/%s-%d.png", name, width))
			}
			p.Quiet()
		}
	}
}

// view is how a page is looked at.
type view struct {
	width int
	dark  bool
	more  bool // with UNDERSTUDY_LONG only: each colour and each width has had its turn
}

func views() []view {
	all := []view{{1200, false, false}, {320, true, false}, {1200, true, true}, {320, false, true}}
	if os.Getenv("UNDERSTUDY_LONG") == "" {
		return all[:2]
	}
	return all
}
