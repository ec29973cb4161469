package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of the canonical form. They are part of it: a verifier refuses what exceeds them.
const (
	// MaxCanonical is the longest entry in bytes: what the 16-bit length before an entry of a C2SP tlog-tiles bundle can say.
	MaxCanonical = 1<<16 - 1
	// MaxValue is the longest string in bytes: twice a reason of 500 characters of four bytes each.
	MaxValue = 4096
	// MaxName is the longest name of a field, and the longest id and kind, in bytes: readable on one line.
	MaxName = 64
	// MaxFields is how many fields an entry may have, four times what the longest of ours has.
	MaxFields = 64
)

// ErrForm is in the chain of every error about an entry, or bytes, that the canonical form does not allow.
var ErrForm = errors.New("audit: not in canonical form")

const timeLayout = "2006-01-02T15:04:05.000Z"

// Canonical gives the bytes of e that are kept, hashed and signed; the package comment has the form. Equal entries
// give equal bytes, and different entries different ones. It changes nothing in e and draws nothing at random.
//
// It returns ErrForm, saying which member breaks which rule, where e has no id, kind or time, a time that is not in whole
// milliseconds, invalid UTF-8, a bad name, an empty value, a salt of the wrong size or without a field, or is too big.
func Canonical(e Entry) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	fields, commits := make([]member, 0, 16), make([]member, 0, 16) // on the stack for all of our own kinds
	for name, value := range e.Fields {
		if salt, personal := e.Salts[name]; personal {
			commits = append(commits, member{name, commitment(salt, name, value)})
		} else {
			fields = append(fields, member{name, value})
		}
	}
	return encode(&e, fields, commits)
}

// commitment hides value under salt and binds it: the package comment has the formula.
func commitment(salt []byte, name, value string) string {
	mac := hmac.New(sha256.New, salt)
	var buf [256]byte // holds a name and nearly every value
	mac.Write(append(append(append(buf[:0], name...), 0), value...))
	return string(base64.RawURLEncoding.AppendEncode(buf[sha256.Size:sha256.Size], mac.Sum(buf[:0])))
}

// encode writes the entry with its fields in clear and the commitments to the others.
func encode(e *Entry, fields, commits []member) ([]byte, error) {
	b := append(make([]byte, 0, 1024), '{')
	b = appendParty(b, "actor", e.Actor)
	b = appendText(b, "client", e.Client)
	b = appendMembers(b, "commit", commits)
	b = appendMembers(b, "fields", fields)
	b = appendText(b, "id", e.ID)
	b = appendText(b, "kind", string(e.Kind))
	b = appendText(b, "policy", e.Policy)
	b = appendText(b, "request", e.Request)
	b = appendText(b, "session", e.Session)
	b = appendParty(b, "subject", e.Subject)
	b = append(e.Time.UTC().AppendFormat(append(b, `,"time":"`...), timeLayout), '"')
	b = append(b, `,"v":1}`...)
	if len(b) > MaxCanonical {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrForm, len(b), MaxCanonical)
	}
	return b, nil
}

// check holds e to everything the form asks of single members.
func (e *Entry) check() error {
	switch y := e.Time.UTC().Year(); {
	case e.Version != Version:
		return fmt.Errorf("%w: v: %d is not a version that this code knows", ErrForm, e.Version)
	case !validName(e.ID, ""):
		return fmt.Errorf("%w: id: must be 1 to %d of a-z 0-9 _", ErrForm, MaxName)
	case !validName(string(e.Kind), "."):
		return fmt.Errorf("%w: kind: must be 1 to %d of a-z, 0-9, underscore and dot", ErrForm, MaxName)
	case e.Time.IsZero() || y < 1 || y > 9999: // RFC 3339 has four digits for the year
		return fmt.Errorf("%w: time: missing or outside the years 1 to 9999", ErrForm)
	case e.Time.Nanosecond()%int(time.Millisecond) != 0:
		return fmt.Errorf("%w: time: must be in whole milliseconds", ErrForm)
	}
	for _, m := range [...]member{
		{"actor.iss", e.Actor.Issuer}, {"actor.sub", e.Actor.Subject}, {"client", e.Client}, {"policy", e.Policy},
		{"request", e.Request}, {"session", e.Session}, {"subject.iss", e.Subject.Issuer}, {"subject.sub", e.Subject.Subject},
	} {
		if err := checkText(m.name, m.value); err != nil {
			return err
		}
	}
	return e.checkFields()
}

func (e *Entry) checkFields() error {
	if len(e.Fields) > MaxFields {
		return fmt.Errorf("%w: fields: %d of them, at most %d", ErrForm, len(e.Fields), MaxFields)
	}
	for name, value := range e.Fields {
		if !validName(name, "") {
			return fmt.Errorf("%w: fields: a name must be 1 to %d of a-z 0-9 _", ErrForm, MaxName)
		}
		if value == "" {
			return fmt.Errorf("%w: fields.%s: must not be empty", ErrForm, name)
		}
		if err := checkText(name, value); err != nil {
			return err
		}
	}
	for name, salt := range e.Salts {
		if len(salt) != SaltSize {
			return fmt.Errorf("%w: salts.%s: %d bytes, must be %d", ErrForm, name, len(salt), SaltSize)
		}
		// A salt without its field is a misspelt name: the value it was meant to hide would stand in clear.
		if _, ok := e.Fields[name]; !ok {
			return fmt.Errorf("%w: salts.%s: has no field", ErrForm, name)
		}
	}
	return nil
}

func checkText(name, value string) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: %s: %d bytes, at most %d", ErrForm, name, len(value), MaxValue)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("%w: %s: invalid UTF-8", ErrForm, name)
	}
	return nil
}

// validName reports whether s is a name of the form; more are characters allowed beside a-z 0-9 _.
func validName(s, more string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= MaxName
}
