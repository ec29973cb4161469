package audit

import (
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

// member is one name and value on its way into an object.
type member struct{ name, value string }

func sortMembers(ms []member) {
	slices.SortFunc(ms, func(a, b member) int { return strings.Compare(a.name, b.name) })
}

func appendParty(b []byte, name string, p oauth.Party) []byte {
	if p.IsZero() {
		return b
	}
	b = append(appendName(b, name), '{')
	b = appendText(b, "iss", p.Issuer)
	b = appendText(b, "sub", p.Subject)
	return append(b, '}')
}

func appendMembers(b []byte, name string, ms []member) []byte {
	if len(ms) == 0 {
		return b
	}
	sortMembers(ms)
	b = append(appendName(b, name), '{')
	for _, m := range ms {
		b = appendText(b, m.name, m.value)
	}
	return append(b, '}')
}

// appendText adds a member with a string value, and nothing for the empty string.
func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(appendName(b, name), value)
}

// appendName adds a member's name and colon, with a comma before all but the first. The form's names need no escape.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// appendString adds s, valid UTF-8, as RFC 8785 §3.2.2.2 spells strings. Unlike encoding/json it leaves < > & U+2028 alone.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if j := strings.IndexByte("\"\\\b\t\n\f\r", c); j >= 0 {
			b = append(b, '\\', `"\btnfr`[j])
		} else {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
