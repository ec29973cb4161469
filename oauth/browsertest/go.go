package browsertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Go opens url, and returns when the document at the end of its redirects has loaded. An answer of any status is a
// document; none at all ends the test.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.next("opening "+url, func(ctx context.Context) error {
		res, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: url})
		if err == nil && res.ErrorText != "" {
			err = errors.New(res.ErrorText)
		}
		return err
	})
}

// Reload loads the document again, as the key F5 does.
func (p *Page) Reload() {
	p.t.Helper()
	p.next("reloading", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, page.Reload, page.ReloadParams{})
		return err
	})
}

// Back goes to the page before this one, as the browser's own button does.
func (p *Page) Back() {
	p.t.Helper()
	p.next("going back", func(ctx context.Context) error {
		h, err := chromedp.Call(ctx, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		if h.CurrentIndex < 1 {
			return errors.New("there is no page before this one")
		}
		_, err = chromedp.Call(ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: h.Entries[h.CurrentIndex-1].ID})
		return err
	})
}

// Follow clicks the element as Click does and returns when the document it leads to has loaded.
func (p *Page) Follow(css string) {
	p.t.Helper()
	p.Next(func() { p.Click(css) })
}

// Next calls act, which must lead to a new document (a Press of Enter, a script), and returns when that has loaded.
func (p *Page) Next(act func()) {
	p.t.Helper()
	p.next("waiting for the next document", func(context.Context) error { act(); return nil })
}

// next tells documents apart by their loader: every navigation but one within the document has a new one. A page that
// comes out of the back-forward cache brings the one it had, which is another than that of the page before it.
func (p *Page) next(what string, act func(context.Context) error) {
	p.t.Helper()
	before, _ := p.rec.last()
	p.do(what, func(ctx context.Context) error {
		if err := act(ctx); err != nil {
			return err
		}
		for {
			loader, changed := p.rec.last()
			if loader != before {
				p.settle(ctx)
				return nil
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return fmt.Errorf("no document has loaded: %w", ctx.Err())
			}
		}
	})
}

// settle waits for the focus to be where autofocus says, which Chromium sees to only when it draws its first frame. It waits
// a second at most: an element that cannot be focused is no fault of the tool.
func (p *Page) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		settled := true
		const js = `!document.querySelector("[autofocus]") || document.activeElement !== document.body || location.hash !== ""`
		if err := evaluate(ctx, &settled, runtime.EvaluateParams{Expression: js}); settled && err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// last is the document that was loaded last, and a channel that is closed when there is another.
func (r *record) last() (cdp.LoaderID, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded, r.changed
}
