package tokens

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// readClaims gives each member of a payload to set, which tells whether it is of its form. known are the names that set knows; a
// name that only reads as one of them is refused.
func readClaims(payload []byte, set func(member) bool, known []string) error {
	members, err := parseObject(payload)
	if err != nil {
		return err
	}
	for _, m := range members {
		if folds(m.name, known) {
			return fmt.Errorf("%w: a claim in disguise: names are in lower case", ErrClaims)
		}
		if !set(m) {
			return fmt.Errorf("%w: %s is not of its form", ErrClaims, m.name)
		}
	}
	return nil
}

// soleString takes a string, or an array of nothing but one, which is the same aud (RFC 7519 §4.1.3).
func (n node) soleString(to *string) bool {
	if n.kind == '[' && len(n.items) == 1 {
		n = n.items[0]
	}
	return n.string(to)
}

// identifier takes a jti that a store can keep: short, and without what a column of text refuses, such as NUL.
func (n node) identifier(to *string) bool {
	return n.string(to) && len(n.text) <= maxID && !strings.ContainsFunc(n.text, unicode.IsControl)
}

// numericDate takes a NumericDate (RFC 7519 §2) from 1970 to our largest year, also with a fraction or an exponent, and cuts it to whole
// seconds as other readers do.
func (n node) numericDate(to *time.Time) bool {
	seconds, err := strconv.ParseFloat(n.text, 64)
	if n.kind != 0 || err != nil || strings.HasPrefix(n.text, "-") || seconds > maxSeconds {
		return false
	}
	*to = time.Unix(int64(seconds), 0).UTC()
	return true
}
