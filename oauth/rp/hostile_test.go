package rp

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/understudy-id/understudy/oauth/browsertest"
)

// TestBannerCovered: what a page lays over the banner, or does to the whole body, it cannot be kept from. Stop is there all the same: the first
// that Tab reaches, or after Escape where the page asks for an answer first.
func TestBannerCovered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head, body, act string
		escape          bool
	}{
		"as high":    {body: `<div style="position:fixed;inset:0;z-index:2147483647;background:#fff">Wait</div>`},
		"clear":      {head: "body{opacity:0!important}"},
		"away":       {head: "body{transform:translateX(-200vw)!important}"},
		"small":      {head: "html{transform:scale(.01)!important}"},
		"popover":    {body: `<div popover=manual id=x style="inset:0;width:100vw;height:100vh;border:0">Wait</div>`, act: "document.getElementById('x').showPopover()"},
		"fullscreen": {body: `<div id=x>Wait</div>`, act: "document.getElementById('x').requestFullscreen()", escape: true},
		"dialog":     {body: `<dialog id=x><p>Sure?</p><button>Yes</button></dialog>`, act: "document.getElementById('x').showModal()", escape: true},
		"as large":   {body: `<dialog id=x style="width:100vw;height:100vh;max-width:none;max-height:none;margin:0;border:0"><button>Yes</button></dialog>`, act: "document.getElementById('x').showModal()", escape: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := browsertest.Start(t)
			st := newStage(t, func(*Session) {}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, `<!doctype html><html lang="en"><head><title>Invoices</title><style>`+c.head+`</style></head><body>`+app+c.body)
			})
			p.Go(st.origin + "/")
			if c.act != "" {
				look(p).want(t, "before")
				p.Eval("(async () => { await "+c.act+" })()", nil)
			}
			var seen bool
			p.Eval("document.querySelector('understudy-banner').checkVisibility({opacityProperty: true})", &seen)
			if s := look(p); seen && s.Hit && s.Button > 40 {
				t.Error("the banner can be seen: this tests nothing")
			}
			if c.escape {
				p.Press("Escape")
				p.Wait("!document.fullscreenElement")
				look(p).want(t, "after Escape")
				p.Eval("document.activeElement.blur()", nil)
			}
			if p.Press("Tab"); p.Focused() != `button "Stop"` {
				t.Errorf("the first Tab lands on %s", p.Focused())
			}
			p.Next(func() { p.Press("Enter") })
			if p.URL() != st.origin+"/done" {
				t.Errorf("Stop leads to %s", p.URL())
			}
			p.Quiet()
		})
	}
}

// TestBannerZoomed: at 200 % and at 400 % (WCAG 1.4.4, 1.4.10), and where only letters are larger, it is whole, leaves room for the page
// and has no fault of axe.
func TestBannerZoomed(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	for name, c := range map[string]struct {
		style string
		sizes [][2]int
		part  float64 // of the window that it may take
	}{
		"zoom":    {"", [][2]int{{640, 512}, {320, 256}, {320, 640}}, 0.5},
		"letters": {"html{font-size:200%}", [][2]int{{640, 512}, {320, 640}}, 0.6},
	} {
		st := newStage(t, func(*Session) {}, page("text/html", `<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>x</title><style>`+
			c.style+`</style></head><body><header><a href="/x">Acme</a></header><main><h1>Invoices</h1><p style="height:3000px">Long</p></main>`))
		for _, size := range c.sizes {
			p.Size(size[0], size[1])
			p.Go(st.origin + "/")
			look(p).want(t, fmt.Sprint(name, size))
			for _, v := range p.Axe() {
				t.Errorf("%s, %v: %+v", name, size, v)
			}
			var at struct {
				Wide             bool
				Height, Scrolled float64
			}
			p.Eval(`(() => {
				const banner = document.querySelector('understudy-banner'), height = banner.getBoundingClientRect().height
				scrollTo({top: 1000, behavior: 'instant'})
				return {Wide: document.documentElement.scrollWidth > innerWidth, Height: height, Scrolled: banner.getBoundingClientRect().bottom}
			})()`, &at)
			if at.Wide {
				t.Errorf("%s, %v: the page scrolls sideways", name, size)
			}
			if at.Scrolled > c.part*float64(size[1]) {
				t.Errorf("%s, %v: it takes %v px of the window", name, size, at.Scrolled)
			}
			if size[1] > 320 && at.Scrolled != at.Height {
				t.Errorf("%s, %v: scrolled, it ends at %v px, want all %v", name, size, at.Scrolled, at.Height)
			}
		}
	}
	p.Quiet()
}

// TestBannerPrinted: paper says whose page it is too, though printers leave backgrounds out; a button is no use there.
func TestBannerPrinted(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	st := newStage(t, func(*Session) {}, page("text/html", `<!doctype html><html lang="en"><head><title>x</title></head><body>`+app))
	p.Print(true)
	for _, dark := range []bool{false, true} {
		p.Dark(dark)
		p.Go(st.origin + "/")
		var got struct {
			Colour, Position string
			Words, Form      float64
		}
		p.Eval(`(() => {
			const host = document.querySelector('understudy-banner'), words = host.shadowRoot.querySelector('p')
			return {Colour: getComputedStyle(words).color, Position: getComputedStyle(host).position, Words: words.getBoundingClientRect().height,
				Form: host.shadowRoot.querySelector('form').getBoundingClientRect().height}
		})()`, &got)
		if got.Colour != "rgb(0, 0, 0)" || got.Position != "static" || got.Words < 20 || got.Form != 0 {
			t.Errorf("dark %v: %+v", dark, got)
		}
		for _, v := range p.Axe() {
			t.Errorf("dark %v: %+v", dark, v)
		}
	}
	p.Document("screenshots/banner-printed.png")
	p.Quiet()
}
