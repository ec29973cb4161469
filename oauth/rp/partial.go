package rp

import (
	"net/http"
	"strconv"
	"strings"
)

// Some pages load others by script, and take over what they get: all of a page or the part that they asked for. htmx and Turbo say so.

// htmx reports whether htmx asks.
func htmx(r *http.Request) bool { return value(r.Header, "Hx-Request") == "true" }

// turbo reports whether Turbo asks. The space after the comma is its own, and no browser's.
func turbo(r *http.Request) bool {
	return r.Header["X-Turbo-Request-Id"] != nil || frame(r) || strings.HasSuffix(value(r.Header, "Accept"), "text/html, application/xhtml+xml")
}

// frame reports whether Turbo asks for a part of a page.
func frame(r *http.Request) bool { return r.Header["Turbo-Frame"] != nil }

// takesOver reports whether script asks for what is to take the place of the page.
func takesOver(r *http.Request) bool {
	return value(r.Header, "Hx-Boosted") == "true" || value(r.Header, "Hx-History-Restore-Request") == "true" || turbo(r) && !frame(r)
}

// visits reports whether script asks for a page to follow a link to. What may be wanted for a stream of changes is none.
func visits(r *http.Request) bool {
	return r.Method == http.MethodGet && takesOver(r) && !strings.Contains(value(r.Header, "Accept"), "text/vnd.turbo-stream.html")
}

// stub has the page that script put it into loaded as a whole: Turbo by the first, htmx by the second, where it goes back in its history and so heeds no
// HX-Redirect, but takes over the body.
const stub = `<!doctype html><html><head><title></title><meta name="turbo-visit-control" content="reload"></head><body><meta http-equiv="refresh" content="0"></body></html>`

// lead has the browser itself load what r asks for by script: the parser of scripts leaves a banner's shadow root closed, and so a page that takes another's
// place has none that the page's style could not hide. Nothing was asked of the app, so nothing is on record: the browser's own request will be.
func (a *App) lead(w http.ResponseWriter, r *http.Request, st *site) {
	h := w.Header()
	private(h)
	if htmx(r) {
		h.Set("Hx-Redirect", st.origin+r.URL.RequestURI())
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Content-Length", strconv.Itoa(len(stub)))
	_, _ = w.Write([]byte(stub)) // who asked has gone
}

// outdates reports whether the page behind a script that gets n has to be loaded again: it shows somebody as whom nothing is done any more.
func (n notice) outdates() bool {
	return n.reason == reasonEnded || n.reason == "not_impersonating" || n.status == http.StatusUnauthorized
}
