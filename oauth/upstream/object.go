package upstream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// object is a JSON object that somebody else wrote, read member by member, by exact names. err is the first rule that one broke.
type object struct {
	members map[string]json.RawMessage
	err     error
}

// parseObject reads body, which the error calls what.
func parseObject(what string, body []byte) (*object, error) {
	o := new(object)
	if err := json.Unmarshal(body, &o.members); err != nil || o.members == nil {
		return nil, fmt.Errorf("%w: %s must be a JSON object", ErrDocument, what)
	}
	return o, nil
}

// has reports whether there is a member of this name; null is as good as none.
func (o *object) has(name string) bool {
	m := o.members[name]
	return len(m) > 0 && string(m) != "null"
}

// read decodes a member into to, if there is one; rule says what it must be.
func (o *object) read(name string, to any, rule string) {
	if o.has(name) && json.Unmarshal(o.members[name], to) != nil {
		o.refuse(name, rule)
	}
}

func (o *object) refuse(name, rule string) {
	if o.err == nil {
		o.err = fmt.Errorf("%w: %s %s", ErrDocument, name, rule)
	}
}

func (o *object) text(name string, to *string) { o.read(name, to, "must be a string") }

func (o *object) texts(name string, to *[]string) { o.read(name, to, "must be an array of strings") }

func (o *object) bool(name string, to *bool) { o.read(name, to, "must be true or false") }

// boolText reads true or false, or either in text, as some large providers write it.
func (o *object) boolText(name string, to *bool) {
	switch string(o.members[name]) {
	case `"true"`:
		*to = true
	case `"false"`:
		*to = false
	default:
		o.bool(name, to)
	}
}

// maxPath is how many objects deep a claim may stand: Keycloak's roles at a client stand in two.
const maxPath = 4

// lift puts the member that path leads to at the top, under that name. A member of exactly that name counts first, as there are claims
// named by URLs, whose dots are no path. A path through anything but an object is refused: to read it as none would take rights away.
func (o *object) lift(path string) {
	if path == "" || o.has(path) {
		return
	}
	in, rest := o, path
	for range maxPath {
		first, after, more := strings.Cut(rest, ".")
		if !more || !in.has(first) {
			return
		}
		deeper := new(object)
		if json.Unmarshal(in.members[first], &deeper.members) != nil {
			o.refuse(path, "must be reached through objects")
			return
		}
		if in, rest = deeper, after; in.has(rest) {
			o.members[path] = in.members[rest]
			return
		}
	}
}

func (o *object) url(name string, to *string, loopback bool) {
	o.text(name, to)
	if *to == "" {
		return
	}
	if err := checkURL(*to, loopback); err != nil {
		o.refuse(name, err.Error())
	}
}

// maxSeconds bounds times to 40 bits: the year 36812, which every reader's time can hold.
const maxSeconds = 1 << 40

// time reads a NumericDate (RFC 7519 §2), cut to whole seconds.
func (o *object) time(name string, to *time.Time) {
	if !o.has(name) {
		return
	}
	const rule = "must be a number of seconds since 1970"
	var seconds float64
	if o.read(name, &seconds, rule); seconds < 0 || seconds > maxSeconds {
		o.refuse(name, rule)
		return
	}
	*to = time.Unix(int64(seconds), 0).UTC()
}

// line reads a string of at most most bytes and without control characters, such as a store can keep and a page show.
func (o *object) line(name string, to *string, most int) {
	o.text(name, to)
	if !isLine(*to, most) {
		*to = ""
		o.refuse(name, fmt.Sprintf("must have at most %d bytes and no control characters", most))
	}
}

// lines reads an array of strings, or one string that is the same as an array of it.
func (o *object) lines(name string, to *[]string, most int) {
	if !o.has(name) {
		return
	}
	var one string
	if json.Unmarshal(o.members[name], &one) == nil {
		*to = []string{one}
	} else {
		o.read(name, to, "must be an array of strings, or one string")
	}
	if len(*to) > most || slices.ContainsFunc(*to, func(s string) bool { return s == "" || !isLine(s, maxLine) }) {
		*to = nil
		o.refuse(name, fmt.Sprintf("must have at most %d entries, none of them empty, of at most %d bytes, without control characters", most, maxLine))
	}
}

func isLine(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
