// Package password checks what people type to sign in. Start with [New], which gives a [Pool] that hashes with argon2id
// and lets only a few do so at once, and with [Check], which says whether a new password is good enough. The package
// stores nothing, counts no failures and knows no user.
package password

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// The bounds on a new password, in characters.
const (
	// MinLength stands above the 8 that NIST SP 800-63B §3.1.1.2 asks of a password beside a second factor, and below
	// its 15 for one alone: people who may impersonate need a second factor.
	MinLength = 12
	// MaxLength is far above any passphrase (at least 64 must be allowed) and keeps the hash's input small.
	MaxLength = 256
)

// What Check answers. Their texts are for the person who chose the password.
var (
	ErrShort    = errors.New("password: shorter than 12 characters")
	ErrLong     = errors.New("password: longer than 256 characters")
	ErrEncoding = errors.New("password: not valid UTF-8")
	ErrEmail    = errors.New("password: the same as the e-mail address")
)

// Check reports nil if password may be set by the person with the given e-mail address ("" if there is none), and else
// ErrEncoding, ErrShort, ErrLong or ErrEmail. There are no rules of composition: they make passwords worse
// (NIST SP 800-63B §3.1.1.2).
func Check(password, email string) error {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return ErrEncoding
	case n < MinLength:
		return ErrShort
	case n > MaxLength:
		return ErrLong
	case strings.EqualFold(strings.TrimSpace(password), email):
		return ErrEmail
	}
	return nil
}
