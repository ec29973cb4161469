package rp

import (
	"net/http"
	"slices"
	"strings"
)

// Shared by all answers: nobody can append to them in place.
var (
	noStore, noTime           = []string{"no-store"}, []string{"0"}
	byCookie, byAuthorization = []string{"Cookie"}, []string{"Authorization"}
)

// unkept keeps an answer out of caches. An nginx that was told to ignore Cache-Control and Set-Cookie, as many are, still hears the
// second header, which it does not pass on.
func unkept(h http.Header) { h["Cache-Control"], h["X-Accel-Expires"] = noStore, noTime }

// unkeep makes the browser's Back button ask anew for the pages before this answer. Chromium keeps them whole for three minutes, also those with
// no-store, until a cookie of theirs changes that scripts cannot read; Clear-Site-Data comes too early for the one that is being left. It is of no use after that second.
func (st *site) unkeep(w http.ResponseWriter) {
	http.SetCookie(w, st.httpCookie(st.prefix+"-over", "1", 1))
}

// onlyOnce is unkept for an answer of the app's, whatever that says of caches.
func onlyOnce(h http.Header) {
	unkept(h)
	for name := range h { // what a shared cache heeds before it (RFC 9213 §2.1)
		if strings.HasSuffix(name, "Cdn-Cache-Control") || name == "Surrogate-Control" {
			delete(h, name)
		}
	}
}

// varyBy tells caches that the answer depends on what the request says under the one name in by.
func varyBy(h http.Header, by []string) {
	switch have := h["Vary"]; {
	case have == nil:
		h["Vary"] = by
	case !slices.Contains(have, by[0]):
		h.Add("Vary", by[0])
	}
}

// vary tells caches that what the app answers r depends on who is there, where our cookies say that: before the app answers, so that it
// may say otherwise. Scripts, styles and fonts are the same for all.
func (st *site) vary(h http.Header, r *http.Request) {
	if !st.signsIn && !st.acts {
		return
	}
	switch value(r.Header, "Sec-Fetch-Dest") {
	case "script", "style", "font":
	default:
		varyBy(h, byCookie)
	}
}
