package userfile

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// jsonMembers are the names that an object of a line may have, by where it stands. Those of attributes are whatever somebody calls them.
var jsonMembers = map[string][]string{
	"":           {"id", "email", "name", "organisation", "groups", "roles", "attributes", "identities", "enabled", "protected"},
	"identities": {"iss", "sub"},
}

// checkMembers refuses what encoding/json takes and another reader would take for something else: a name twice, of which the last counts,
// and one in another case, "ROLES" for "roles". text is a line that was read already, so that it is nested no deeper than an object is.
func checkMembers(text []byte, line int) error {
	return membersOf(json.NewDecoder(bytes.NewReader(text)), "", line)
}

func membersOf(d *json.Decoder, at string, line int) error {
	t, err := d.Token()
	if err != nil {
		return jsonError(err, line)
	}
	switch t := t.(type) {
	case string:
		return checkText(t, at, line)
	case json.Delim:
		var seen []string
		for d.More() {
			inner := at
			if t == '{' {
				name, err := d.Token()
				if err != nil {
					return jsonError(err, line)
				}
				seen = append(seen, name.(string))
				if err := checkMember(seen, at, line); err != nil {
					return err
				}
				if at == "" {
					inner = name.(string)
				}
			}
			if err := membersOf(d, inner, line); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	}
	return nil
}

// checkMember looks at the last of the names in an object.
func checkMember(names []string, at string, line int) error {
	n := len(names) - 1
	name, known := names[n], jsonMembers[at]
	if err := checkText(name, at, line); err != nil {
		return err
	}
	switch i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) }); {
	case known != nil && i < 0:
		return broken(line, name, "%s", unknownColumn)
	case known != nil && known[i] != name:
		return broken(line, known[i], "must be written so, in lower case")
	case slices.Contains(names[:n], name):
		return broken(line, strings.TrimPrefix(at+"."+name, "."), "is there twice")
	}
	return nil
}

// rule8 is told of a file in another encoding, such as that of older spreadsheets.
const rule8 = "must be UTF-8: save the file in that encoding and import it again"

// checkText refuses what is no UTF-8, and what lost a character on the way here: two names that lost something would be one.
func checkText(s, at string, line int) error {
	switch {
	case !utf8.ValidString(s):
		return broken(line, at, rule8)
	case strings.ContainsRune(s, utf8.RuneError):
		return broken(line, at, "has U+FFFD in place of a character that was lost")
	}
	return nil
}
