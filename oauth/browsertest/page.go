package browsertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience is how long an action may take. It is no measure of speed: two cores may be compiling other packages.
const patience = 15 * time.Second

// poll is how often a condition in a page is looked at.
const poll = 10 * time.Millisecond

// Page is one tab. Its methods end the test that opened it if they cannot do what they say. Not safe for concurrent use;
// pages of other tests may be used at the same time.
type Page struct {
	t      testing.TB
	ctx    context.Context
	rec    *record
	media  map[string]string // features
	medium string            // "" is the screen

	patience time.Duration
}

// open makes a tab in root's browser, by opts in a context of its own or in another tab's.
func open(t testing.TB, root context.Context, opts ...chromedp.ContextOption) *Page {
	t.Helper()
	p := &Page{t: t, rec: newRecord(), media: map[string]string{}, patience: patience}
	ctx, cancel := chromedp.NewContext(root, append(opts, chromedp.WithListener(p.rec.hear))...)
	t.Cleanup(cancel)
	p.ctx = ctx
	p.do("opening a tab", func(limited context.Context) error {
		// chromedp binds a tab's life to the context of its first run, which thus may have no deadline.
		if err := chromedp.Do(ctx); err != nil {
			return err
		}
		tree, err := chromedp.Call(limited, page.GetFrameTree, cdp.Empty{})
		if err != nil {
			return err
		}
		p.rec.mu.Lock()
		p.rec.frame = tree.FrameTree.Frame.ID
		p.rec.mu.Unlock()
		// Else only one of the tabs that parallel tests use would have the focus.
		_, err = chromedp.Call(limited, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
	go p.dismissDialogs()
	p.Size(1200, 900)
	return p
}

// NewTab opens another tab that shares this one's cookies and storage.
func (p *Page) NewTab() *Page {
	p.t.Helper()
	return open(p.t, p.ctx)
}

// Popup calls act, which must make this page open a tab (a click on a link with a target, window.open), and gives that
// tab once its document has loaded.
func (p *Page) Popup(act func()) *Page {
	p.t.Helper()
	ids := chromedp.WaitNewTarget(p.ctx, func(i *target.Info) bool { return i.Type == "page" })
	act()
	var id target.ID
	p.do("waiting for a new tab", func(ctx context.Context) error {
		select {
		case id = <-ids:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	tab := open(p.t, p.ctx, chromedp.WithTargetID(id))
	tab.Wait(`document.readyState === "complete"`)
	return tab
}

// do runs f under the deadline of an action, and ends the test if it fails.
func (p *Page) do(what string, f func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	if err := f(ctx); err != nil {
		p.fail(what, err)
	}
}

// try calls f until it answers nil, and ends the test with the last error if that takes too long.
func (p *Page) try(what string, f func(context.Context) error) {
	p.t.Helper()
	p.do(what, func(ctx context.Context) error {
		tick := time.NewTicker(poll)
		defer tick.Stop()
		var last error
		for {
			err := f(ctx)
			if err == nil {
				return nil
			}
			if ctx.Err() == nil {
				last = err // the one after the deadline says only that it was cut off
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w after %s: %w", ctx.Err(), p.patience, last)
			case <-tick.C:
			}
		}
	})
}

// fail ends the test and tells where the page stands.
func (p *Page) fail(what string, err error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href`))
	html, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.documentElement.outerHTML.slice(0, 4000)`))
	p.t.Fatalf("browser: %s: %v\non %s\nconsole: %s\n%s", what, err, where, strings.Join(p.Console(), "\n  "), html)
}

// dismissDialogs answers each dialog with its Cancel, since an open one stops the page; Console tells of it.
// A tab that asks whether it may be left is allowed to go.
func (p *Page) dismissDialogs() {
	for {
		p.rec.mu.Lock()
		changed, n := p.rec.changed, p.rec.dialogs
		p.rec.dialogs = 0
		p.rec.mu.Unlock()
		for range n {
			chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			return
		}
	}
}
