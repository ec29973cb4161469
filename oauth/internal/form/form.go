// Package form reads the parameters that strangers send, strictly, before any library sees them. Start with [Body] for
// a POST endpoint and [Query] for a page. fosite takes repeated parameters (the first wins, while a proxy may read the
// last), multipart and JSON bodies, and parameters of the query at the token endpoint; here each of these is an [Error]
// that names the parameter and the rule. The package does not know what any parameter means.
package form

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxBody is the largest body: an exchange with two tokens of 8 KiB each, percent-encoded, and the rest.
	MaxBody = 32 << 10
	// MaxQuery is the largest query string.
	MaxQuery = 8 << 10
	// MaxValue is the largest single value, decoded: the longest JWT that is verified at all.
	MaxValue = 8 << 10
	// MaxParameters bounds the work of one request; the wire has fewer than thirty.
	MaxParameters = 64
)

// Error is a request that breaks a rule of form. Its text is safe to send back: it never quotes a value.
type Error struct {
	// Status is the HTTP status: 400, 405, 413, 415.
	Status int
	// Parameter is the name of the parameter, "" where the fault is not in one. At most 64 printable ASCII characters.
	Parameter string
	// Rule is what was broken, in words, with its source.
	Rule string
}

// Error names the parameter, if any, and the rule.
func (e *Error) Error() string {
	if e.Parameter == "" {
		return e.Rule
	}
	return e.Parameter + ": " + e.Rule
}

// RuleText is the Rule that a control character in a value breaks.
const RuleText = "control characters are not allowed"

// Rules tells what one endpoint allows beyond the common.
type Rules struct {
	// Repeatable are the parameters that may come more than once (RFC 8707 §2, RFC 8693 §2.1).
	Repeatable []string
	// Multiline are the parameters whose values may hold newlines and tabs: what a person types into a text area.
	Multiline []string
}

// Body reads the parameters of a POST with a body of type application/x-www-form-urlencoded, and of nothing else: a
// query string is refused (RFC 6749 §2.3.1 for secrets, and two places for one value are one too many). It leaves r with
// exactly those parameters in r.PostForm and r.Form, so that whoever parses r again sees the same.
// Parameters without a value count as omitted (RFC 6749 §3.1). The error is always an *Error.
func Body(w http.ResponseWriter, r *http.Request, rules Rules) (url.Values, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &Error{http.StatusMethodNotAllowed, "", "this endpoint takes POST only"}
	}
	if r.URL.RawQuery != "" {
		return nil, &Error{http.StatusBadRequest, firstName(r.URL.RawQuery), "parameters go into the body, not into the URL (RFC 6749 §3.2)"}
	}
	return body(w, r, rules)
}

// PageBody is Body for a page: the query may hold parameters too, and stays where it is. It fills r.PostForm only.
func PageBody(w http.ResponseWriter, r *http.Request, rules Rules) (url.Values, error) {
	return body(w, r, rules)
}

func body(w http.ResponseWriter, r *http.Request, rules Rules) (url.Values, error) {
	if n := len(r.Header.Values("Content-Type")); n > 1 {
		return nil, &Error{http.StatusBadRequest, "", "Content-Type is given more than once"}
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, &Error{http.StatusUnsupportedMediaType, "", "the body must be application/x-www-form-urlencoded (RFC 6749 §3.2)"}
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") {
		return nil, &Error{http.StatusUnsupportedMediaType, "", "the charset must be UTF-8 (RFC 6749 appendix B)"}
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" {
		return nil, &Error{http.StatusUnsupportedMediaType, "", "an encoded body is not accepted"}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &Error{http.StatusRequestEntityTooLarge, lastName(string(raw)), fmt.Sprintf("too long: the body may have %d bytes", MaxBody)}
	case err != nil:
		return nil, &Error{http.StatusBadRequest, "", "the body ended early"}
	}
	v, err := parse(string(raw), rules)
	if err != nil {
		return nil, err
	}
	r.PostForm, r.Body = v, http.NoBody
	if r.Form == nil {
		r.Form = v
	}
	return v, nil
}

// Query reads the parameters of a GET or HEAD, from the query string only. Like Body it leaves r.Form with exactly those.
func Query(r *http.Request, rules Rules) (url.Values, error) {
	if len(r.URL.RawQuery) > MaxQuery {
		return nil, &Error{http.StatusRequestURITooLong, lastName(r.URL.RawQuery[:MaxQuery]), fmt.Sprintf("too long: the query may have %d bytes", MaxQuery)}
	}
	v, err := parse(r.URL.RawQuery, rules)
	if err != nil {
		return nil, err
	}
	r.Form = v
	return v, nil
}

func parse(raw string, rules Rules) (url.Values, error) {
	if strings.Count(raw, "&") >= MaxParameters {
		return nil, &Error{http.StatusBadRequest, "", fmt.Sprintf("more than %d parameters", MaxParameters)}
	}
	if strings.Contains(raw, ";") { // a separator to some parsers, a character to others
		return nil, &Error{http.StatusBadRequest, "", "a semicolon must be percent-encoded"}
	}
	out := make(url.Values)
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || !validName(name) {
			return nil, &Error{http.StatusBadRequest, clip(rawName), "not a parameter name: printable ASCII, at most 64 characters"}
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, &Error{http.StatusBadRequest, name, "the percent-encoding is broken"}
		}
		if err := check(name, value, slices.Contains(rules.Multiline, name)); err != nil {
			return nil, err
		}
		if seen[name] && !slices.Contains(rules.Repeatable, name) {
			return nil, &Error{http.StatusBadRequest, name, "given more than once (RFC 6749 §3.2)"}
		}
		seen[name] = true
		if value != "" {
			out[name] = append(out[name], value)
		}
	}
	return out, nil
}

func check(name, value string, multiline bool) error {
	switch {
	case len(value) > MaxValue:
		return &Error{http.StatusRequestEntityTooLarge, name, fmt.Sprintf("too long: a value may have %d bytes", MaxValue)}
	case !utf8.ValidString(value):
		return &Error{http.StatusBadRequest, name, "not valid UTF-8 (RFC 6749 appendix B)"}
	}
	for _, c := range value {
		if multiline && (c == '\n' || c == '\r' || c == '\t') {
			continue
		}
		if c < 0x20 || c == 0x7f {
			return &Error{http.StatusBadRequest, name, RuleText}
		}
	}
	return nil
}

func validName(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func firstName(raw string) string { return nameOf(raw) }

// lastName is the parameter in which raw, cut off, ends: the one that was too long.
func lastName(raw string) string { return nameOf(raw[strings.LastIndexByte(raw, '&')+1:]) }

func nameOf(part string) string {
	part, _, _ = strings.Cut(part, "&")
	name, _, _ := strings.Cut(part, "=")
	if name, err := url.QueryUnescape(name); err == nil && validName(name) {
		return name
	}
	return ""
}

func clip(s string) string {
	if n, err := url.QueryUnescape(s); err != nil || !validName(n) {
		return ""
	}
	return s
}
