package browsertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// helpers are the functions that Click and its sisters use in a page.
//
//go:embed helpers.js
var helpers string

// Click waits until the element can be seen and nothing covers it, then presses and releases the mouse on its middle.
// It waits for no document: Follow does.
func (p *Page) Click(css string) {
	p.t.Helper()
	var at struct{ X, Y float64 }
	p.try("clicking "+css, func(ctx context.Context) error { return call(ctx, &at, "place", css) })
	p.do("clicking "+css, func(ctx context.Context) error {
		for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMouseMoved, input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
			e := input.DispatchMouseEventParams{Type: kind, X: at.X, Y: at.Y}
			if kind != input.DispatchMouseEventTypeMouseMoved {
				e.Button, e.ClickCount = input.MouseButtonLeft, 1
			}
			if _, err := chromedp.Call(ctx, input.DispatchMouseEvent, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Type puts text in place of what a field holds, as if pasted.
func (p *Page) Type(css, text string) {
	p.t.Helper()
	p.try("typing into "+css, func(ctx context.Context) error { return call(ctx, nil, "select", css) })
	p.do("typing into "+css, func(ctx context.Context) error {
		if text == "" {
			return chromedp.Do(ctx, chromedp.KeyEvent(kb.Delete))
		}
		_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// keys are the keys that have a name in Press.
var keys = map[string]string{
	"Tab": kb.Tab, "Enter": kb.Enter, "Escape": kb.Escape, "Space": " ", "Backspace": kb.Backspace, "Delete": kb.Delete,
	"ArrowUp": kb.ArrowUp, "ArrowDown": kb.ArrowDown, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight,
}

// Press presses a key wherever the focus is: Tab, Shift+Tab, Enter, Escape, Space, Backspace, Delete, ArrowUp, ArrowDown,
// ArrowLeft or ArrowRight.
func (p *Page) Press(key string) {
	p.t.Helper()
	name, shift := strings.CutPrefix(key, "Shift+")
	k, ok := keys[name]
	if !ok {
		p.t.Fatalf("browser: there is no key %q", key)
	}
	opts := []chromedp.KeyOption{raw}
	if shift {
		opts = append(opts, chromedp.KeyModifiers(chromedp.ModifierShift))
	}
	p.do("pressing "+key, func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.KeyEvent(k, opts...)) })
}

// raw makes a key go down as from a keyboard: only then does Chromium drop the character of a key that has had its effect.
// Else Enter on a link to a field would also submit the field's form.
func raw(k *input.DispatchKeyEventParams) {
	if k.Type == kb.KeyDown {
		k.Type = input.DispatchKeyEventTypeRawKeyDown
	}
}

// call runs one of the helpers in the page, with JSON arguments, and puts its result into out unless that is nil. What the
// helper throws is the error.
func call(ctx context.Context, out any, helper string, args ...any) error {
	var list []string
	for _, a := range args {
		list = append(list, quote(a))
	}
	return evaluate(ctx, out, runtime.EvaluateParams{Expression: fmt.Sprintf("(() => {%s; return %s(%s)})()", helpers, helper, strings.Join(list, ","))})
}

// evaluate runs an expression and decodes its result, or what it was a promise of.
func evaluate(ctx context.Context, out any, e runtime.EvaluateParams) error {
	yes := true
	e.ReturnByValue, e.AwaitPromise, e.UserGesture = &yes, &yes, &yes
	res, err := chromedp.Call(ctx, runtime.Evaluate, e)
	if err != nil {
		return err
	}
	if x := res.ExceptionDetails; x != nil {
		return errors.New(thrown(x))
	}
	return decode(res.Result, out)
}
