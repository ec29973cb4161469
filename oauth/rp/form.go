package rp

import (
	"bytes"
	"cmp"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

const (
	sessionHeader = "X-Understudy-Session" // set by banner.js
	sessionField  = "understudy_session"   // of FormField and of the banner
	noSession     = "none"                 // what both say of a page that was made where nobody was impersonated
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

// formHead is the beginning of a form that an unsafe request brings; the zero value if it brings none.
type formHead struct {
	head      []byte
	multipart bool
	boundary  string
}

// readForm reads at most so many bytes of the form, and leaves the body as it was.
func readForm(r *http.Request, most int64) (f formHead) {
	if safe(r.Method) || r.Body == nil {
		return f
	}
	given := strings.TrimSpace(strings.ToLower(r.Header.Get("Content-Type")))
	kind, _, _ := strings.Cut(strings.NewReplacer(",", ";", " ", ";", "\t", ";").Replace(given), ";") // as whoever minds nothing reads it
	if kind != "application/x-www-form-urlencoded" && kind != "multipart/form-data" {
		return f
	}
	_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	f.multipart, f.boundary = kind == "multipart/form-data", params["boundary"]
	f.head, _ = peekBody(r, most)
	return f
}

// peekBody reads at most so many bytes of the body of r, and leaves it as it was.
func peekBody(r *http.Request, most int64) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(r.Body, most))
	r.Body = &peekedBody{io.MultiReader(bytes.NewReader(head), failing{r.Body, err}), r.Body}
	return head, err
}

// fields are the names and values of a form, but no files. A value is read up to a number of bytes, and may be cut short by the end of
// what was read.
func (f formHead) fields() iter.Seq2[string, func(most int64) string] {
	if f.multipart {
		return f.parts
	}
	return func(yield func(string, func(int64) string) bool) {
		for pair := range bytes.FieldsFuncSeq(f.head, func(r rune) bool { return r == '&' || r == ';' }) { // by some routers a ; separates too
			name, value, _ := bytes.Cut(pair, []byte("="))
			if !yield(unescaped(string(name)), func(int64) string { return unescaped(string(value)) }) {
				return
			}
		}
	}
}

func (f formHead) parts(yield func(string, func(int64) string) bool) {
	if f.boundary == "" {
		return
	}
	for parts := multipart.NewReader(bytes.NewReader(f.head), f.boundary); ; {
		part, err := parts.NextPart()
		if err != nil { // the end, or the end of what was read
			return
		}
		value := func(most int64) string {
			b, _ := io.ReadAll(io.LimitReader(part, most))
			return string(b)
		}
		if part.FileName() == "" && !yield(part.FormName(), value) {
			return
		}
	}
}

// peekForm looks at the beginning of the form that an unsafe request brings, and leaves the body as it was. Of anything else it
// gives the zero value.
func peekForm(r *http.Request) peek {
	form := readForm(r, peeked)
	if len(form.head) == 0 { // as of all that is safe, for which nothing is allocated here
		return peek{}
	}
	return form.peek()
}

func (form formHead) peek() (f peek) {
	for name, value := range form.fields() {
		switch {
		case methodName(name):
			f.override = true
		case name == tokenField:
			f.token = true
		case name == sessionField && !f.named:
			f.session, f.named = value(256), true // cut short, it is no session's
		}
	}
	return f
}

// unescaped gives "" for what is not escaped as it should be: no name of ours, and no session's.
func unescaped(s string) string {
	s, err := url.QueryUnescape(s)
	if err != nil {
		return ""
	}
	return s
}

// methodName tells the names under which a field or a parameter could make another method of a request's: in any case, and as Rack and PHP
// read a name, to whom brackets, blanks before it and what stands behind a NUL are nothing, and a dot or a blank is a _.
func methodName(name string) bool {
	name, _, _ = strings.Cut(name, "\x00")
	name = strings.NewReplacer(".", "_", " ", "_").Replace(strings.Trim(strings.TrimLeft(name, " "), "[]"))
	return strings.EqualFold(name, methodField) || redirects(name)
}

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

// stale reports whether a request, whose form is f, says that its page was made for another session than current: for
// another person, that is. current is noSession where nobody is impersonated. A link says nothing, and may lead anywhere.
func stale(r *http.Request, f peek, current string) bool {
	for _, id := range r.Header.Values(sessionHeader) {
		if cmp.Or(id, noSession) != current {
			return true
		}
	}
	return f.named && cmp.Or(f.session, noSession) != current
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
