package page

import (
	"net/http"
	"net/url"
	"strings"
)

// setHeaders puts on what every page and every redirect carries. formEnd is the origin of the app where a form of
// this page ends, "" if none does: Chromium applies form-action to each redirect that follows a submit, and would
// block the last one after the POST has already run. images allows data: images, for the QR code.
func setHeaders(w http.ResponseWriter, formEnd string, images bool) {
	csp := "default-src 'none'; style-src 'self'"
	if images {
		csp += "; img-src data:"
	}
	csp += "; form-action 'self'"
	if formEnd != "" {
		csp += " " + formEnd
	}
	csp += "; base-uri 'none'; frame-ancestors 'none'"

	h := w.Header()
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Frame-Options", "DENY") // for what does not know frame-ancestors
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // our URLs carry state and reason, the app's carries the ticket
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 §5.1: the ticket is as good as a token
	h.Add("Vary", "Cookie")
}

// redirect answers 303, so that the next request is a GET whatever this one was.
func redirect(w http.ResponseWriter, to string) {
	setHeaders(w, "", false)
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// origin is scheme and host of an http or https URL, "" for anything else. It ends in a header whose separators are
// space and semicolon, so a host may hold only what a host is made of.
func origin(raw string) string {
	const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Host, hostBytes) != "" || u.User != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// withQuery adds q to uri, whose own query stays (RFC 6749 §3.1.2).
func withQuery(uri string, q url.Values) string {
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
	}
	return uri + sep + q.Encode()
}
