package actions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
)

// bodyFault is a member of a JSON body that breaks a rule. at is its path, "" for the body itself.
func bodyFault(at, rule string) error {
	if at != "" {
		rule = at + ": " + rule
	}
	return &form.Error{Status: http.StatusBadRequest, Rule: rule}
}

// readActions reads {"actions":[…]} strictly: encoding/json would take members in another case, take the last of two and skip
// what it does not know, and a record must say what its reader saw. What the members may say is for impersonation.Service.Act.
// A client that has a key puts its assertion beside them, under the names of RFC 7521 §4.2.
func readActions(raw []byte) ([]impersonation.Action, url.Values, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, nil, bodyFault("", "the body must be one JSON object in UTF-8, and nothing behind it")
	}
	d := jsonReader{json.NewDecoder(bytes.NewReader(raw))}
	d.UseNumber()
	var actions []impersonation.Action
	cred := make(url.Values)
	err := d.object("", func(at, name string) error {
		switch name {
		case "actions":
		case "client_assertion", "client_assertion_type":
			text, err := d.text(at)
			cred.Set(name, text)
			return err
		default:
			return unknownMember(at, name)
		}
		return d.array(at, func(at string) (err error) {
			if len(actions) == impersonation.MaxActions {
				return bodyFault("actions", fmt.Sprintf("must be 1 to %d", impersonation.MaxActions))
			}
			var a impersonation.Action
			err = d.object(at, func(at, name string) error { return d.action(&a, at, name) })
			actions = append(actions, a)
			return err
		})
	})
	return actions, cred, err
}

// action reads one member of an action.
func (d jsonReader) action(a *impersonation.Action, at, name string) (err error) {
	var text string
	var n int64
	switch name {
	case "id":
		a.ID, err = d.text(at)
	case "sid":
		a.Session, err = d.text(at)
	case "writer":
		a.Writer, err = d.text(at)
	case "seq":
		a.Seq, err = d.whole(at)
	case "time":
		a.Time, err = d.time(at)
	case "phase":
		text, err = d.text(at)
		a.Phase = impersonation.Phase(text)
	case "route":
		a.Route, err = d.text(at)
	case "method":
		a.Method, err = d.text(at)
	case "status":
		n, err = d.whole(at)
		a.Status = int(min(max(n, -1), 1000)) // what an int cannot hold is no status either
	case "note":
		a.Note, err = d.text(at)
	case "details":
		a.Details = make(map[string]string)
		err = d.object(at, func(_, name string) (err error) {
			if len(a.Details) == maxDetails {
				return bodyFault(at, fmt.Sprintf("must be at most %d", maxDetails))
			}
			a.Details[name], err = d.text(at) // which one is not said: its name is not known to be fit to be shown
			return err
		})
	default:
		err = unknownMember(at, name)
	}
	return err
}

// unknownMember names the member if its name can be shown, and otherwise the object that it is in.
func unknownMember(at, name string) error {
	if !fitToShow(name) {
		return bodyFault(strings.TrimSuffix(strings.TrimSuffix(at, name), "."), "has a member that is not known")
	}
	return bodyFault(at, "is not a known member")
}

func fitToShow(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' })
}

// jsonReader walks through JSON that is known to be valid.
type jsonReader struct{ *json.Decoder }

// object calls read for each member, with its path.
func (d jsonReader) object(at string, read func(at, name string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return bodyFault(at, "must be an object")
	}
	prefix := at + "."
	if at == "" {
		prefix = ""
	}
	var seen []string
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return bodyFault(at, "cannot be read")
		}
		name, _ := t.(string)
		if slices.Contains(seen, name) {
			return twice(at, prefix, name)
		}
		seen = append(seen, name)
		if err := read(prefix+name, name); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// twice names a member if its name can be shown, which that of a detail need not be.
func twice(at, prefix, name string) error {
	if !fitToShow(name) {
		return bodyFault(at, "has a member that is given twice")
	}
	return bodyFault(prefix+name, "is given twice")
}

// array calls read for each item, with its path.
func (d jsonReader) array(at string, read func(at string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return bodyFault(at, "must be an array")
	}
	for i := 0; d.More(); i++ {
		if err := read(at + "[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// text reads a string. U+FFFD is refused: encoding/json puts it where half a surrogate pair was lost.
func (d jsonReader) text(at string) (string, error) {
	t, err := d.Token()
	s, ok := t.(string)
	if err != nil || !ok || strings.ContainsRune(s, utf8.RuneError) {
		return "", bodyFault(at, "must be a string, and whole")
	}
	return s, nil
}

// whole reads an integer, written as one.
func (d jsonReader) whole(at string) (int64, error) {
	t, err := d.Token()
	number, ok := t.(json.Number)
	n, broken := strconv.ParseInt(string(number), 10, 64)
	if err != nil || !ok || broken != nil {
		return 0, bodyFault(at, "must be a whole number")
	}
	return n, nil
}

func (d jsonReader) time(at string) (t time.Time, err error) {
	text, err := d.text(at)
	if err == nil && (strings.Contains(text, ",") || t.UnmarshalText([]byte(text)) != nil) { // Go takes a comma for the point
		err = bodyFault(at, "must be a time of RFC 3339")
	}
	return t, err
}
