// Package directory knows users: their names, groups, roles and organisations, and where to find them. Start with
// [Directory]; a company that has its own plugs it in here. The package decides nothing about them (package policy
// does) and holds no passwords.
package directory

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// ErrNotFound is returned for a user that does not exist or that the query's scope hides: nobody can tell which.
var ErrNotFound = errors.New("directory: no such user")

// User is one person.
type User struct {
	// ID is the local subject: "usr_" and 26 characters of lower-case base32 for those we made, else 1 to 255
	// printable ASCII characters that do not begin with oauth.ClientPrefix: those are the names of clients, in the same sub claim.
	// Whoever lets users in, by hand, by import or by provisioning, holds to that (User.Validate). It never changes and is never given to anybody else.
	ID string
	// Email is unique, compared without case; at most 254 bytes. Name is at most 200 characters.
	Email, Name string
	// Organisation is "" for the operator's own staff.
	Organisation string
	Groups       []string
	Roles        []string
	Attributes   map[string]string
	// Identities are who the user is at other issuers, (iss, sub) as their tokens say, at most one at each issuer. Each is one user's.
	Identities []oauth.Party
	// Source is who keeps the user: "" whoever works here by hand, else a kind and a name, such as "scim:okta" or "upstream:corp".
	// UserName and ExternalID are what Source calls them.
	Source, UserName, ExternalID string
	Enabled                      bool
	// DisabledBy is the Source that disabled the user, and may enable them again. It is "" while Enabled, and where whoever works here
	// disabled them: then no source enables them.
	DisabledBy string
	// Protected users cannot be impersonated by anybody.
	Protected bool
	// SecondFactor tells that one is enrolled. Read only here.
	SecondFactor bool
	Created      time.Time // UTC, whole seconds
	Updated      time.Time
	LastSignIn   time.Time // zero: never
}

// Query asks for users.
type Query struct {
	// Organisation limits the answer to one organisation, unless AnyOrganisation.
	Organisation    string
	AnyOrganisation bool
	// Text matches a part of a name or an e-mail address, without case, or a whole ID. "" lists all.
	Text string
	// After is the cursor that the page before gave; "" starts.
	After string
	// Limit is 1 to 200; zero means 50.
	Limit int
}

// Directory finds users. Implementations are safe for concurrent use. Everything but ErrNotFound is a failure of the
// directory and must not be shown to a user.
type Directory interface {
	// Get finds by ID, exactly. ErrNotFound.
	Get(ctx context.Context, id string) (User, error)
	// ByEmail finds by address, without case. ErrNotFound.
	ByEmail(ctx context.Context, email string) (User, error)
	// ByIdentity finds who is p at another issuer, byte by byte. ErrNotFound.
	ByIdentity(ctx context.Context, p oauth.Party) (User, error)
	// Search gives a page of users ordered by name, then ID, and the cursor of the next page, "" on the last.
	Search(ctx context.Context, q Query) (page []User, next string, err error)
}
