package rp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// mostRead is how much of a body is read where a method could hide in it.
const mostRead = 1 << 20

// hidesMethod reports whether the body of r could make another method of r's for some framework: it names one, or it is more or something else than
// what all of them read alike. It leaves the body as it was. Forms do that for Rails, PHP and the rest, JSON for Laravel, Phoenix, Slim and Express.
func hidesMethod(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return false
	}
	given := r.Header["Content-Type"]
	if len(given) > 1 {
		return true
	}
	reads := overridesForm // without a type, by Rack
	kind := ""
	if len(given) == 1 {
		if kind, reads = reader(given[0]); reads == nil {
			return kind != ""
		}
	} else if !strings.EqualFold(r.Method, http.MethodPost) {
		return false
	}
	body, err := peekBody(r, mostRead+1)
	if len(body) == 0 && err == nil {
		return false
	}
	return err != nil || len(body) > mostRead || encoded(r.Header) || reads(body)
}

// reader gives what reads a body of this type. Without one, kind is "" if nobody takes a method from such a body, and else it cannot be told who would read it how.
func reader(contentType string) (kind string, reads func([]byte) bool) {
	given := strings.ToLower(contentType)
	if !strings.Contains(given, "json") && !strings.Contains(given, "form") && !strings.Contains(given, "multipart") {
		return "", nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || !slices.Contains(charsets, strings.ToLower(params["charset"])) {
		return given, nil
	}
	switch form := kind == "application/x-www-form-urlencoded"; {
	case strings.Contains(kind, "json"):
		return kind, overridesJSON
	case strings.Contains(given, "/json"), strings.Contains(given, "+json"): // Laravel looks for them anywhere
		return given, nil
	case form:
		return kind, overridesForm
	case strings.HasPrefix(kind, "multipart/"):
		if b := params["boundary"]; boundaries.MatchString(b) && strings.Count(given, "boundary") == 1 && !strings.Contains(given, "*") {
			return kind, func(body []byte) bool { return overridesParts(string(body), "--"+b) }
		}
		return kind, nil
	}
	return "", nil
}

// charsets are those in which _method is what it is in ASCII.
var charsets = []string{"", "utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252"}

// encoded tells of a body that somebody further on may decode.
func encoded(h http.Header) bool {
	return slices.ContainsFunc(h["Content-Encoding"], func(v string) bool { return v != "" && !strings.EqualFold(v, "identity") })
}

// overridesForm reads a form as peekForm does, but counts a name that is escaped badly: PHP takes it.
func overridesForm(body []byte) bool {
	for pair := range bytes.FieldsFuncSeq(body, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := bytes.Cut(pair, []byte("="))
		if s, err := url.QueryUnescape(string(name)); err != nil || methodName(s) {
			return true
		}
	}
	return false
}

// overridesJSON reads one value, or several in a row, of which the members of objects count, but not those of objects in these.
func overridesJSON(body []byte) bool {
	if !utf8.Valid(body) {
		return true
	}
	for d := json.NewDecoder(bytes.NewReader(body)); ; {
		var value json.RawMessage
		switch err := d.Decode(&value); {
		case errors.Is(err, io.EOF):
			return false
		case err != nil:
			return true
		}
		if value[0] != '{' {
			continue
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(value, &members) != nil {
			return true
		}
		for name := range members {
			if methodName(name) {
				return true
			}
		}
	}
}

var (
	boundaries = regexp.MustCompile(`^[0-9A-Za-z'_.=+-]{1,70}$`)
	// partLines are what browsers and HTTP clients write at the head of a part. Backslashes, escapes and semicolons in names are read in several ways; so are names that
	// Content-ID gives.
	partLines = regexp.MustCompile(`^(?i:Content-Disposition): form-data; name=(?:"([^"\\;%=\x00-\x1f\x7f]*)"|([\w.\[\]-]+))(?:; filename=(?:"[^"\\;\x00-\x1f\x7f]*"|[\w.-]+))?(?:; filename\*=[\w'%.-]+)?$` +
		`|^(?i:Content-Type|Content-Length|Content-Transfer-Encoding): [\x20-\x7e]*$`)
)

// overridesParts reads a multipart body between lines of delimiter as strictly as no sender minds. The names of files count too: what is a file to one is a field to another.
func overridesParts(body, delimiter string) bool {
	parts := strings.Split(body, delimiter)
	last := len(parts) - 1
	if parts[0] != "" || last == 0 || parts[last] != "--" && parts[last] != "--\r\n" {
		return true
	}
	for _, part := range parts[1:last] {
		part, whole := strings.CutPrefix(part, "\r\n")
		head, content, ok := strings.Cut(part, "\r\n\r\n")
		if !whole || !ok || !strings.HasSuffix(content, "\r\n") {
			return true
		}
		names := 0
		for line := range strings.SplitSeq(head, "\r\n") {
			found := partLines.FindStringSubmatch(line)
			if found == nil || methodName(found[1]+found[2]) {
				return true
			}
			if line[len("content-")] == 'd' || line[len("content-")] == 'D' {
				names++
			}
		}
		if names != 1 {
			return true
		}
	}
	return false
}
