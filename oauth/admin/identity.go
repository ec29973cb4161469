package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// Link says who a user is at another issuer: whoever its tokens call p.Subject is this user from then on. p must be as those
// tokens have it, byte by byte. It ends nothing. A user who has that identity already is not written again. It returns an
// *InvalidError for an issuer that cannot be one (OpenID Connect Core §2, iss) or is our own, and for a second identity at one
// issuer; store.ErrExists for an identity that another user has; directory.ErrNotFound.
func (a *Admin) Link(ctx context.Context, userID string, p oauth.Party) (directory.User, error) {
	u, err := a.update(ctx, userID, change{kind: audit.KindUserLink, did: "linked " + p.Issuer + " to", fill: identityOf(p),
		apply: func(u *directory.User) error {
			if i := slices.IndexFunc(u.Identities, at(p.Issuer)); i >= 0 && u.Identities[i] != p {
				return invalid("issuer", "the user has another identity there: unlink that first")
			} else if i >= 0 {
				return nil
			}
			u.Identities = append(slices.Clone(u.Identities), p)
			return nil
		}})
	if errors.Is(err, store.ErrExists) {
		return directory.User{}, fmt.Errorf("the identity is another user's: %w", err)
	}
	if inv := new(InvalidError); errors.As(err, &inv) && inv.Field == "identities" {
		part, rule := ofIdentity(inv.Rule)
		return directory.User{}, invalid(part, "%s", rule)
	}
	return u, err
}

// Unlink takes a user's identity at issuer away, and ends their logins and grants, since any of them may have come of it, and the
// sessions in which they are the actor or the subject, since a token may name them by it. It returns an *InvalidError
// for an issuer at which they have none, or directory.ErrNotFound.
func (a *Admin) Unlink(ctx context.Context, userID, issuer string) (directory.User, error) {
	var was oauth.Party
	return a.update(ctx, userID, change{kind: audit.KindUserUnlink, did: "unlinked " + issuer + " from", end: impersonation.EndChanged, logins: true,
		fill: func(e *audit.Entry) { identityOf(was)(e) },
		apply: func(u *directory.User) error {
			i := slices.IndexFunc(u.Identities, at(issuer))
			if i < 0 {
				return invalid("issuer", "the user has no identity there")
			}
			was = u.Identities[i]
			u.Identities = slices.Delete(slices.Clone(u.Identities), i, i+1)
			return nil
		}})
}

// DeleteUser removes a user with their credentials, identities and consents, and ends their logins, grants and the sessions in which
// they are the actor or the subject. The trail keeps what they did. Their ID is never given again; their address is free.
// directory.ErrNotFound.
func (a *Admin) DeleteUser(ctx context.Context, userID string) (u directory.User, err error) {
	for range tries {
		u, err = a.deleteOnce(ctx, userID)
		if !errors.Is(err, impersonation.ErrChanged) {
			break
		}
	}
	return u, err
}

func (a *Admin) deleteOnce(ctx context.Context, userID string) (directory.User, error) {
	u, err := a.Store.Get(ctx, userID)
	if err != nil {
		return directory.User{}, fmt.Errorf("user %q: %w", userID, err)
	}
	w := a.write(audit.KindUserDelete, u, func(e *audit.Entry) { impersonation.RecordRights(e, "was_", u) })
	if err := a.Store.DeleteUser(ctx, store.UserWrite{Write: w, User: u, Was: u.Updated, Ends: a.ends(u.ID, impersonation.EndDisabled)}); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = directory.ErrNotFound
		}
		return directory.User{}, fmt.Errorf("removing user %s: %w", u.Email, err)
	}
	a.log(ctx, "removed "+u.Email, slog.String("user", u.ID))
	return u, nil
}

func at(issuer string) func(oauth.Party) bool {
	return func(p oauth.Party) bool { return p.Issuer == issuer }
}

// identityOf records who somebody is elsewhere. A sub may be an address, so it can be erased.
func identityOf(p oauth.Party) func(*audit.Entry) {
	return func(e *audit.Entry) {
		e.Set("identity_issuer", p.Issuer)
		e.SetPersonal("identity_subject", p.Subject)
	}
}

// checkIssuer refuses what no iss claim can be, and our own: there the ID is who somebody is.
func (a *Admin) checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(issuer, "?#"):
		return invalid("issuer", "must be a URL without query or fragment, exactly as the iss claim has it")
	case u.Scheme != "https" && (u.Scheme != "http" || !oauth.Loopback(u.Hostname())):
		return invalid("issuer", "must be https, or http to this machine")
	case issuer == a.Issuer:
		return invalid("issuer", "must be another issuer: here the ID is who somebody is")
	}
	return nil
}
