package meddler

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Legal are changes that no clause forbids, by what they do. Whoever finds fault with one is wrong.
func Legal() map[string]Meddle {
	return map[string]Meddle{
		"members in another order": func(_ string, a *Answer) { a.Body = reordered(a.Body) },
		"white space between": func(_ string, a *Answer) {
			var b bytes.Buffer
			if members(a.Body) != nil && json.Indent(&b, a.Body, "\r\n", "\t") == nil {
				a.Body = b.Bytes()
			}
		},
		"unknown members": func(kind string, a *Answer) {
			if all := members(a.Body); all != nil && !strings.Contains(kind, " inactive") { // of what is inactive nothing else is told (RFC 7662 §2.2)
				a.Body = object(append(all, member{"urn:meddler:unknown", json.RawMessage(`{"it":["does not matter"]}`)}))
			}
		},
		"unknown parameters": func(_ string, a *Answer) {
			if u := led(a); u != nil {
				u.RawQuery += "&meddler=1"
				a.Header.Set("Location", u.String())
			}
		},
		"unknown headers": func(_ string, a *Answer) { a.Header.Set("X-Meddler", "was here") },
	}
}

// reordered has the members of each object the other way round.
func reordered(raw json.RawMessage) json.RawMessage {
	all := members(raw)
	for i := range all {
		all[i].value = reordered(all[i].value)
	}
	if all != nil {
		slices.Reverse(all)
		return object(all)
	}
	list := elements(raw)
	for i := range list {
		list[i] = reordered(list[i])
	}
	if list != nil {
		return array(list)
	}
	return raw
}

// LowerCase writes the names of headers as HTTP/2 has them.
func LowerCase(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(lowerCase{w}, r) })
}

type lowerCase struct{ http.ResponseWriter }

func (w lowerCase) WriteHeader(status int) {
	h := w.Header()
	for name, values := range h {
		if name != "Content-Length" { // which is how net/http knows that it need not count
			h[name] = nil // and no other in its place
			h[strings.ToLower(name)] = values
		}
	}
	w.ResponseWriter.WriteHeader(status)
}
