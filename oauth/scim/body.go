package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

const (
	maxBody = 1 << 20 // bytes: some 10,000 members of a group, each with the display name that Okta sends
	// maxDepth leaves room above a PATCH of an address in a value without a path, which has five levels.
	maxDepth = 8
)

// object is a JSON object by its names in lower case: "attribute names are case insensitive" (RFC 7643 §2.1). Its values are string, bool,
// json.Number, nil, []any and object.
type object map[string]any

// readBody reads a body of application/scim+json (RFC 7644 §3.1), or of application/json, which many send.
func readBody(w http.ResponseWriter, r *http.Request) (object, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, given := params["charset"]
	switch {
	case err != nil || media != mediaType && media != "application/json" || given && !strings.EqualFold(charset, "utf-8"):
		return nil, &fault{Status: http.StatusUnsupportedMediaType, Detail: "The body must be " + mediaType + " in UTF-8."}
	case r.Header.Get("Content-Encoding") != "":
		return nil, &fault{Status: http.StatusUnsupportedMediaType, Detail: "An encoded body is not accepted."}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &fault{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("The body may have %d bytes.", maxBody)}
	case err != nil:
		return nil, syntaxFault("The body ended early.")
	}
	return parseObject(raw)
}

// parseObject reads an object in which no two readers can see two things: no name is in it twice, in whatever case.
func parseObject(raw []byte) (object, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, syntaxFault("The body must be one JSON object in UTF-8, and nothing behind it.")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if o, ok := v.(object); ok {
		return o, nil
	}
	return nil, syntaxFault("The body must be a JSON object.")
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	switch {
	case err != nil:
		return nil, syntaxFault("The body cannot be read.")
	case depth > maxDepth:
		return nil, syntaxFault(fmt.Sprintf("The body is nested deeper than %d.", maxDepth))
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return parseMembers(d, depth)
		}
		return parseItems(d, depth)
	case string:
		return t, whole(t)
	}
	return t, nil
}

func parseMembers(d *json.Decoder, depth int) (object, error) {
	out := object{}
	for d.More() {
		t, err := d.Token()
		name, _ := t.(string)
		if err != nil || whole(name) != nil {
			return nil, syntaxFault("The body has a member whose name cannot be read.")
		}
		name = strings.ToLower(name)
		if _, twice := out[name]; twice {
			return nil, syntaxFault("The body has a member twice; the case of names does not count.")
		}
		if out[name], err = parseValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}

func parseItems(d *json.Decoder, depth int) ([]any, error) {
	out := []any{}
	for d.More() {
		v, err := parseValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

// whole refuses U+FFFD: encoding/json puts it where half a surrogate pair was lost, and two names that lost something would be one.
func whole(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return syntaxFault("The body has a string that lost a character.")
	}
	return nil
}

// wantSchema holds a body to the schema that it must name (RFC 7643 §3): what has another version means something else.
func (o object) wantSchema(urn string) error {
	list, _ := o["schemas"].([]any)
	for _, s := range list {
		if s, ok := s.(string); ok && strings.EqualFold(s, urn) {
			return nil
		}
	}
	return &fault{Status: http.StatusBadRequest, Type: "invalidSyntax", Detail: "schemas: must name " + urn + "."}
}
