package browsertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// Request is one HTTP request that a page made. Each step of a chain of redirects is one.
type Request struct {
	Method, URL string
	Kind        string // of DevTools: Document, Stylesheet, Script, Fetch, XHR, Image, ...
	Status      int    // of the answer, 0 while there is none
	Error       string // net::ERR_..., "" if none; blocked requests have one
}

// sent is a request under the name that DevTools has for it.
type sent struct {
	Request
	id network.RequestID
}

// record is what a tab has told us, by the events of DevTools. They come on a goroutine of chromedp.
type record struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each load and dialog
	frame    cdp.FrameID   // the main one
	loaded   cdp.LoaderID  // the document whose load event came last
	answers  map[cdp.LoaderID]*network.Response
	requests []sent
	console  []string
	dialogs  int // opened and not yet answered
}

func newRecord() *record {
	return &record{changed: make(chan struct{}), answers: map[cdp.LoaderID]*network.Response{}}
}

// hear is called for each event, in order, and must not wait for anything.
func (r *record) hear(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case *page.EventFrameNavigated:
		if ev.Frame.ParentID == "" {
			r.frame = ev.Frame.ID
			if ev.Type == page.NavigationTypeBackForwardCacheRestore { // it loaded long ago, and nobody will say so again
				r.loaded = ev.Frame.LoaderID
				r.wake()
			}
		}
	case *page.EventLifecycleEvent:
		if ev.Name == "load" && ev.FrameID == r.frame {
			r.loaded = ev.LoaderID
			r.wake()
		}
	case *network.EventRequestWillBeSent:
		if !icon(ev) {
			r.request(ev)
		}
	case *network.EventResponseReceived:
		r.answer(ev.RequestID, ev.Response)
		if ev.FrameID == r.frame && ev.Type == network.ResourceTypeDocument {
			r.answers[ev.LoaderID] = ev.Response
		}
	case *network.EventLoadingFailed:
		if q := r.find(ev.RequestID); q != nil {
			q.Error = ev.ErrorText
		}
	case *page.EventJavascriptDialogOpening:
		r.dialogs++
		r.console = append(r.console, fmt.Sprintf("dialog %s: %s", ev.Type, ev.Message))
		r.wake()
	default:
		r.hearConsole(ev)
	}
}

// hearConsole keeps what scripts write and what Chromium complains of.
func (r *record) hearConsole(ev any) {
	switch ev := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		text := string(ev.Type) + ":"
		for _, a := range ev.Args {
			text += " " + show(a)
		}
		r.console = append(r.console, text)
	case *runtime.EventExceptionThrown:
		text := ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			text += " " + show(e)
		}
		r.console = append(r.console, "exception: "+text)
	case *log.EventEntryAdded:
		e := ev.Entry
		q := r.find(e.NetworkRequestID)
		if e.Source == log.EntrySourceNetwork && (q == nil || q.Kind == "Document" && q.Error == "") {
			return // "responded with a status of 403": of a document that is what Status says, and nobody asks for an icon
		}
		if e.Level == log.EntryLevelWarning || e.Level == log.EntryLevelError {
			r.console = append(r.console, fmt.Sprintf("%s %s: %s %s", e.Source, e.Level, e.Text, e.URL))
		}
	}
}

func (r *record) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// icon tells Chromium's own request from those of the page: it comes when it likes, or never.
func icon(ev *network.EventRequestWillBeSent) bool {
	return ev.Type == network.ResourceTypeOther && strings.HasSuffix(ev.Request.URL, "/favicon.ico")
}

// request notes a request. A redirect keeps its id, so that the redirecting answer comes with the next request.
func (r *record) request(ev *network.EventRequestWillBeSent) {
	if ev.RedirectResponse != nil {
		r.answer(ev.RequestID, ev.RedirectResponse)
	}
	r.requests = append(r.requests, sent{id: ev.RequestID, Request: Request{
		Method: ev.Request.Method, URL: ev.Request.URL + ev.Request.URLFragment, Kind: string(ev.Type),
	}})
}

func (r *record) answer(id network.RequestID, a *network.Response) {
	if q := r.find(id); q != nil {
		q.Status = int(a.Status)
	}
}

// find gives the last request of that id, nil if there is none.
func (r *record) find(id network.RequestID) *Request {
	for i := range slices.Backward(r.requests) {
		if r.requests[i].id == id {
			return &r.requests[i].Request
		}
	}
	return nil
}

// show writes a JavaScript value as a console does, shortly.
func show(o *runtime.RemoteObject) string {
	if o.Value != nil {
		return string(o.Value)
	}
	return o.Description
}
