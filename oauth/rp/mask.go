package rp

import "context"

const (
	shown = 4 // how many characters Mask leaves
	short = 2 * shown
)

// Mask is value for a sensitive place in a page, such as an account's number: while somebody is impersonated "••••" and its last 4 characters, of one shorter
// than 8 none, and otherwise the whole. How long it is cannot be seen; "" stays "". What the page does not need at all is better left out, since the
// token of the session may still get it from an API.
func Mask(ctx context.Context, value string) string {
	if value == "" || !Impersonating(ctx) {
		return value
	}
	runes := []rune(value)
	if len(runes) < short {
		return "••••"
	}
	return "••••" + string(runes[len(runes)-shown:])
}
