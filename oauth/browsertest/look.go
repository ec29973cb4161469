package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// Eval runs JavaScript in the page, waits for its promise if it gives one, and decodes the result from JSON into out, which
// may be nil. It works under any Content-Security-Policy and while NoScript holds. What is thrown ends the test.
func (p *Page) Eval(js string, out any) {
	p.t.Helper()
	p.do("running "+js, func(ctx context.Context) error {
		return evaluate(ctx, out, runtime.EvaluateParams{Expression: js})
	})
}

// Wait waits until a JavaScript expression is true. One that throws is not true yet.
func (p *Page) Wait(js string) {
	p.t.Helper()
	p.try("waiting until "+js, func(ctx context.Context) error {
		var ok bool
		if err := evaluate(ctx, &ok, runtime.EvaluateParams{Expression: "!!(" + js + ")"}); err != nil {
			return err
		}
		if !ok {
			return errors.New("it is false")
		}
		return nil
	})
}

// Text waits for a visible element and gives its text as a reader sees it, without white space around it.
func (p *Page) Text(css string) string {
	p.t.Helper()
	var text string
	p.try("reading "+css, func(ctx context.Context) error { return call(ctx, &text, "text", css) })
	return text
}

// Count is how many elements match now, visible or not.
func (p *Page) Count(css string) int {
	p.t.Helper()
	var n int
	p.do("counting "+css, func(ctx context.Context) error { return call(ctx, &n, "((css) => all(css).length)", css) })
	return n
}

// HTML is the document as it stands, without what is in shadow roots.
func (p *Page) HTML() string { p.t.Helper(); return p.str(`document.documentElement.outerHTML`) }

// URL is the address of the document, with its fragment.
func (p *Page) URL() string { p.t.Helper(); return p.str(`location.href`) }

// Title is the title of the document.
func (p *Page) Title() string { p.t.Helper(); return p.str(`document.title`) }

func (p *Page) str(js string) (s string) {
	p.t.Helper()
	p.Eval(js, &s)
	return s
}

// Status is the HTTP status of the document, 0 if it came from no server.
func (p *Page) Status() int {
	if a := p.answer(); a != nil {
		return int(a.Status)
	}
	return 0
}

// Header is the headers of the document's answer. Chromium keeps Set-Cookie to itself: see Cookies.
func (p *Page) Header() http.Header {
	h := http.Header{}
	if a := p.answer(); a != nil {
		for name, v := range a.Headers {
			for line := range strings.SplitSeq(fmt.Sprint(v), "\n") {
				h.Add(name, line)
			}
		}
	}
	return h
}

func (p *Page) answer() *network.Response {
	p.rec.mu.Lock()
	defer p.rec.mu.Unlock()
	return p.rec.answers[p.rec.loaded]
}

// Requests is every request the tab has made since it was opened or since Forget, in the order they began. The
// one for /favicon.ico that Chromium makes by itself is left out.
func (p *Page) Requests() []Request {
	p.rec.mu.Lock()
	defer p.rec.mu.Unlock()
	var list []Request
	for _, s := range p.rec.requests {
		list = append(list, s.Request)
	}
	return list
}

// Console is what the tab has had to say since it was opened or since Forget: what scripts wrote, exceptions that
// nobody caught, warnings and errors of Chromium (blocked by a Content-Security-Policy, failed to load) and dialogs. A document
// of status 400 or more is not in it.
func (p *Page) Console() []string {
	p.rec.mu.Lock()
	defer p.rec.mu.Unlock()
	return slices.Clone(p.rec.console)
}

// Quiet fails the test, without ending it, if Console is not empty, and forgets it.
func (p *Page) Quiet() {
	p.t.Helper()
	p.Eval(`1`, nil) // whatever came before its answer has been heard
	if said := p.Console(); len(said) > 0 {
		p.t.Errorf("browser: %s: the console says\n  %s", p.URL(), strings.Join(said, "\n  "))
	}
	p.Forget()
}

// Forget empties Requests and Console.
func (p *Page) Forget() {
	p.rec.mu.Lock()
	defer p.rec.mu.Unlock()
	p.rec.requests, p.rec.console = nil, nil
}

// Focused names the element that has the focus, in open shadow roots too: its tag, id, kind of input, and the words on or
// beside it, such as `button#stop "Stop"` or `input#q[search] "Name or e-mail"`. It is "body" if none has it.
func (p *Page) Focused() string {
	p.t.Helper()
	var name string
	p.do("asking for the focus", func(ctx context.Context) error { return call(ctx, &name, "focused") })
	return name
}

// TabOrder presses Tab until the focus leaves the document or has been everywhere, at most max times, and gives what
// Focused said each time. It begins where the focus is: after an element with autofocus, if there is one.
func (p *Page) TabOrder(max int) []string {
	p.t.Helper()
	var order []string
	for range max {
		p.Press("Tab")
		name := p.Focused()
		if name == "body" {
			break
		}
		order = append(order, name)
	}
	return order
}

// decode puts a JavaScript value into out.
func decode(o *runtime.RemoteObject, out any) error {
	if out == nil {
		return nil
	}
	if o.Value == nil {
		return fmt.Errorf("the result is %s", o.Type)
	}
	return json.Unmarshal(o.Value, out)
}

// thrown is the text of what a script threw.
func thrown(x *runtime.ExceptionDetails) string {
	if x.Exception != nil {
		return show(x.Exception)
	}
	return x.Text
}

// quote writes a value as JavaScript.
func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings and numbers of ours come here
	}
	return string(b)
}
