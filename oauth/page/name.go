package page

import (
	"strings"
	"unicode"
)

// maxName is how many characters of a name or an address are shown: enough to tell people apart, too few to fill a page.
const maxName = 120

// clean makes a stranger's text fit for one line of a page: invalid bytes become U+FFFD, white space one space,
// control and formatting characters go (bidirectional overrides, zero-width ones), all but the two joiners that emoji
// and several scripts need, marks beyond two on one letter go too, and what is longer than most characters is cut.
// Escaping is left to the template.
func clean(s string, most int) string {
	var out []rune
	marks := 0
	for _, c := range strings.Join(strings.Fields(s), " ") {
		const zwnj, zwj = '\u200c', '\u200d'
		switch {
		case unicode.Is(unicode.Mn, c) || unicode.Is(unicode.Me, c):
			if marks++; marks > 2 {
				continue
			}
		case c != zwnj && c != zwj && (unicode.Is(unicode.C, c) || c == '\u2028' || c == '\u2029'):
			continue
		default:
			marks = 0
		}
		if out = append(out, c); len(out) > most {
			return string(out[:most]) + "…"
		}
	}
	return string(out)
}

// isolate keeps the direction of s from leaking where an element cannot be used, as in a title. It stands between
// FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE, which clean takes out of s itself.
func isolate(s string) string { return "\u2068" + s + "\u2069" }

// displayName is what to call a person: the name, or the e-mail address of somebody without one.
func displayName(name, email string) string {
	if s := clean(name, maxName); s != "" {
		return s
	}
	return clean(email, maxName)
}

// initials are the first letters of the first and the last word, for the card.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsMark(c) && !unicode.IsNumber(c) })
	if len(words) == 0 {
		return "?"
	}
	out := string([]rune(words[0])[0])
	if len(words) > 1 {
		out += string([]rune(words[len(words)-1])[0])
	}
	return strings.ToUpper(out)
}
