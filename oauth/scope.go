package oauth

import (
	"fmt"
	"slices"
	"strings"
)

// ParseScope splits a scope parameter (RFC 6749 §3.3) into its tokens, sorted and without duplicates.
// The empty string gives nil. It returns an error that quotes the rule for anything else the grammar forbids:
// a character outside %x21 / %x23-5B / %x5D-7E, a doubled, leading or trailing space.
func ParseScope(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	parts := strings.Split(s, " ")
	for _, p := range parts {
		if !ValidScopeToken(p) {
			return nil, fmt.Errorf("scope %q: tokens are printable ASCII without quote or backslash, with one space between (RFC 6749 §3.3)", clip(s))
		}
	}
	slices.Sort(parts)
	return slices.Compact(parts), nil
}

// ValidScopeToken reports whether s is one scope-token of RFC 6749 §3.3.
func ValidScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// JoinScope is the scope parameter for tokens: them, with one space between.
func JoinScope(tokens []string) string { return strings.Join(tokens, " ") }

// IntersectScope gives what a and b share, sorted and without duplicates; it changes neither.
func IntersectScope(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// clip keeps a stranger's text from filling a log or an answer.
func clip(s string) string {
	const most = 64 // enough to recognise what was sent
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
