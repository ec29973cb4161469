package store

import (
	"errors"
	"fmt"
	"slices"
)

// ErrNaming is what every *NamingError is.
var ErrNaming = errors.New("store: people would have two names")

// NamingError is ErrNaming: two clients would know people by names of different kinds (Settings.SubjectIssuer) at one resource. Both kinds are a sub
// under our own iss, so whoever chooses theirs at the other issuer could be anybody there. Nothing was written.
type NamingError struct {
	Client   string // the other one
	Resource string
}

// Error names the other client and the resource.
func (e *NamingError) Error() string {
	return fmt.Sprintf("store: client %s knows people by other names at %s", e.Client, e.Resource)
}

// Unwrap gives ErrNaming.
func (e *NamingError) Unwrap() error { return ErrNaming }

// CheckNaming gives a *NamingError if the client with the ID id, one of all, would share a resource with one that names people otherwise.
// Backends call it in the transaction that writes a client, with no other in between.
func CheckNaming(id string, all []Client) error {
	i := slices.IndexFunc(all, func(c Client) bool { return c.ID == id })
	if i < 0 || !all[i].names() {
		return nil
	}
	for _, other := range all {
		if !other.names() || other.Settings.SubjectIssuer == all[i].Settings.SubjectIssuer {
			continue
		}
		for _, uri := range all[i].Resources {
			if slices.Contains(other.Resources, uri) {
				return &NamingError{Client: other.ID, Resource: uri}
			}
		}
	}
	return nil
}

// names reports whether tokens of the client can be about people; one that only serves a resource or acts for itself names nobody.
func (c Client) names() bool { return len(c.RedirectURIs) > 0 || c.Exchange }
