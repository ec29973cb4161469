package userfile

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth/admin"
)

// jsonMembers are the names that an object of a line may have, by where it stands. Those of attributes are whatever somebody calls them.
var jsonMembers = map[string][]string{
	"":           {"id", "email", "name", "organisation", "groups", "roles", "attributes", "identities", "enabled", "protected"},
	"identities": {"iss", "sub"},
}

// checkMembers tells of what encoding/json takes and another reader would take for something else: a name twice, of which the last counts, one in
// another case, "ROLES" for "roles", and one that is not known. text is an object that encoding/json has read, so that it is not nested too deep.
func checkMembers(text []byte, row *admin.Row) {
	m := &members{json.NewDecoder(bytes.NewReader(text)), row}
	m.value("")
}

// members goes through an object, and never meets an error that encoding/json did not.
type members struct {
	*json.Decoder
	row *admin.Row
}

// value reads the next one, which stands at a member of the row.
func (m *members) value(at string) {
	switch t, _ := m.Token(); t {
	case json.Delim('{'):
		m.object(at)
	case json.Delim('['):
		for m.More() {
			m.value(at)
		}
		m.Token()
	default:
		if text, ok := t.(string); ok {
			unread(m.row, checkText(text, at, m.row.Line))
		}
	}
}

func (m *members) object(at string) {
	seen := map[string]bool{}
	for m.More() {
		t, _ := m.Token()
		name, _ := t.(string)
		unread(m.row, checkMember(name, at, seen[name], m.row.Line))
		seen[name] = true
		if inner := at; inner != "" {
			m.value(inner)
		} else {
			m.value(name)
		}
	}
	m.Token()
}

// checkMember looks at a name in an object; nil is a good one.
func checkMember(name, at string, seen bool, line int) *admin.RowError {
	if wrong := checkText(name, at, line); wrong != nil {
		return wrong
	}
	known := jsonMembers[at]
	switch i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) }); {
	case known != nil && i < 0:
		return broken(line, name, "%s", unknownColumn)
	case known != nil && known[i] != name:
		return broken(line, known[i], "must be written so, in lower case")
	case seen:
		return broken(line, strings.TrimPrefix(at+"."+name, "."), "is there twice")
	}
	return nil
}

// rule8 is told of a file in another encoding, such as that of older spreadsheets.
const rule8 = "must be UTF-8: save the file in that encoding and import it again"

// checkText refuses, unless it gives nil, what is no UTF-8, and what lost a character on the way here: two names that lost something would be one.
func checkText(s, at string, line int) *admin.RowError {
	switch {
	case !utf8.ValidString(s):
		return broken(line, at, rule8)
	case strings.ContainsRune(s, utf8.RuneError):
		return broken(line, at, "has U+FFFD in place of a character that was lost")
	}
	return nil
}
