package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
)

// MaxKey is how many bytes a text may have that rows are found by: an ID, an organisation, the name of a client, a value that is
// used once. An index of Postgres has 2,704 bytes for all that it holds of a row, and two such texts may be in one.
const MaxKey = 1000

// ErrTooLong: a text is longer than an index can hold. Nothing was written. What people enter is refused long before, see
// directory.User.Validate.
var ErrTooLong = errors.New("store: too long")

// CheckKeys gives ErrTooLong unless each of keys has at most MaxKey bytes. Backends call it before they write.
func CheckKeys(keys ...string) error {
	for _, k := range keys {
		if len(k) > MaxKey {
			return fmt.Errorf("%w: %d bytes, of at most %d", ErrTooLong, len(k), MaxKey)
		}
	}
	return nil
}

// CheckUser gives ErrTooLong unless an index can hold what u is found by. All that directory.User.Validate lets pass can be held.
// Backends call it before they write.
func CheckUser(u directory.User) error {
	for _, text := range []struct {
		what, is string
		most     int
	}{
		{"id", u.ID, directory.MaxID}, {"email", u.Email, directory.MaxEmail}, {"name", u.Name, 4 * directory.MaxName}, {"organisation", u.Organisation, directory.MaxID},
	} {
		if len(text.is) > text.most {
			return fmt.Errorf("%w: %s has %d bytes, of at most %d", ErrTooLong, text.what, len(text.is), text.most)
		}
	}
	for _, p := range u.Identities {
		if err := CheckKeys(p.Issuer, p.Subject); err != nil {
			return err
		}
	}
	return CheckKeys(append(slices.Clone(u.Groups), u.Source, u.UserName, u.ExternalID)...)
}

// CheckEntry gives ErrTooLong unless an index can hold what e is found by. Backends call it before they write.
func CheckEntry(e audit.Entry) error {
	return CheckKeys(e.ID, string(e.Kind), e.Actor.Subject, e.Subject.Subject, e.Client, e.Session)
}
