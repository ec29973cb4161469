package rp

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

const (
	sessionHeader = "X-Understudy-Session" // set by banner.js
	sessionField  = "understudy_session"   // of FormField and of the banner
	// methodField is what some routers take for the method: a POST that passes for something else than what the guard reads and
	// the trail says.
	methodField = "_method"
	// tokenField is the other place of a token (RFC 6750 §2.2), from which nobody takes one here.
	tokenField = "access_token"
	peeked     = 64 << 10 // how much of a form is looked at
)

// peek is what the beginning of a form says to us.
type peek struct {
	session  string // of sessionField, the first of them
	named    bool   // there is one
	override bool   // there is one of methodName
	token    bool   // there is a tokenField
}

// peekForm looks at the beginning of the form that an unsafe request brings, and leaves the body as it was. Of anything else it
// gives the zero value.
func peekForm(r *http.Request) (f peek) {
	if safe(r.Method) || r.Body == nil {
		return f
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || kind != "application/x-www-form-urlencoded" && kind != "multipart/form-data" {
		return f // what net/http reads is read here too: it does not mind a bad parameter
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, peeked))
	r.Body = &peekedBody{io.MultiReader(bytes.NewReader(head), failing{r.Body, err}), r.Body}
	if kind == "multipart/form-data" {
		f.multipart(head, params["boundary"])
		return f
	}
	for pair := range bytes.SplitSeq(head, []byte("&")) {
		name, value, _ := bytes.Cut(pair, []byte("="))
		f.add(unescaped(string(name)), func() string { return unescaped(string(value)) })
	}
	return f
}

func (f *peek) add(name string, value func() string) {
	switch {
	case methodName(name):
		f.override = true
	case name == tokenField:
		f.token = true
	case name == sessionField && !f.named:
		f.session, f.named = value(), true
	}
}

func (f *peek) multipart(head []byte, boundary string) {
	if boundary == "" {
		return
	}
	for parts := multipart.NewReader(bytes.NewReader(head), boundary); ; {
		part, err := parts.NextPart()
		if err != nil { // the end, or the end of what was read
			return
		}
		if part.FileName() == "" {
			f.add(part.FormName(), func() string {
				value, _ := io.ReadAll(io.LimitReader(part, 256)) // cut short, it is no session's
				return string(value)
			})
		}
	}
}

// unescaped gives "" for what is not escaped as it should be: no name of ours, and no session's.
func unescaped(s string) string {
	s, err := url.QueryUnescape(s)
	if err != nil {
		return ""
	}
	return s
}

// methodName tells the names under which a field or a parameter, in any case, could make another method of a request's.
func methodName(name string) bool { return strings.EqualFold(name, methodField) || redirects(name) }

// overrides reports whether a query has one of them.
func overrides(query string) bool { return query != "" && has(query, methodName) }

// asks reports whether a query has a parameter of this name, in any case.
func asks(query, parameter string) bool {
	return has(query, func(name string) bool { return strings.EqualFold(name, parameter) })
}

func has(query string, is func(name string) bool) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		if name, _, _ := strings.Cut(pair, "="); is(unescaped(name)) {
			return true
		}
	}
	return false
}

// stale reports whether an unsafe request, whose form is f, says that its page was made for another session than current: for
// another person, that is. current is "" where nobody is impersonated.
func stale(r *http.Request, f peek, current string) bool {
	if safe(r.Method) {
		return false
	}
	for _, id := range r.Header.Values(sessionHeader) {
		if id != current {
			return true
		}
	}
	return f.named && f.session != current
}

// peekedBody is a body of which the beginning was read already.
type peekedBody struct {
	io.Reader
	io.Closer
}

// failing reads on from r, or repeats the error that reading the beginning gave.
type failing struct {
	r   io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.r.Read(p)
}
