package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// NewUser is a user to add.
type NewUser struct {
	// ID defaults to a fresh one; see directory.User.ID. It must not contain "@", so that FindUser can tell the two apart.
	ID string
	// Email and Name must be set; see directory.User.
	Email, Name string
	// Organisation is "" for the operator's own staff.
	Organisation string
	Groups       []string
	// Roles must be registered.
	Roles []string
	// Protected users cannot be impersonated by anybody.
	Protected bool
}

// AddUser adds an enabled user without password or second factor. It returns an *InvalidError, or store.ErrExists if
// the ID or the e-mail address is taken.
func (a *Admin) AddUser(ctx context.Context, n NewUser) (directory.User, error) {
	now := a.Now().UTC().Truncate(time.Second)
	email, err := directory.NormalEmail(n.Email)
	if err != nil {
		return directory.User{}, invalid("email", "%v", err)
	}
	u := directory.User{
		ID: n.ID, Email: email, Name: strings.TrimSpace(n.Name), Organisation: n.Organisation,
		Groups: tidy(n.Groups), Roles: tidy(n.Roles), Protected: n.Protected,
		Enabled: true, Created: now, Updated: now,
	}
	if u.ID == "" {
		u.ID = directory.NewID()
	}
	if strings.Contains(u.ID, "@") {
		return directory.User{}, invalid("id", `must not contain "@": it would read as an e-mail address`)
	}
	if err := firstErr(a.checkUser(directory.User{}, u), a.checkKept(ctx, directory.User{}, u)); err != nil {
		return directory.User{}, err
	}
	w := a.write(audit.KindUserAdd, u, func(e *audit.Entry) { impersonation.RecordRights(e, "", u) })
	if err := a.Store.CreateUser(ctx, store.UserWrite{Write: w, User: u}); err != nil {
		return directory.User{}, fmt.Errorf("adding user %s: %w", u.Email, err)
	}
	a.log(ctx, "added user "+u.Email, slog.String("user", u.ID))
	return u, nil
}

// Rights says what to change of a user: nil fields stay.
type Rights struct {
	// AddRoles and RemoveRoles change the assigned roles. To remove one that is not assigned is no error.
	AddRoles, RemoveRoles []string
	// SetRoles, if not nil, replaces the roles before the other two apply.
	SetRoles     *[]string
	SetGroups    *[]string
	Organisation *string
	// Protected users cannot be impersonated by anybody.
	Protected *bool
}

// SetRights changes roles, groups, organisation or protection, and ends the sessions in which the user is the actor
// or the subject: what they were allowed by may no longer hold. Without a change nothing is written. It returns an
// *InvalidError or directory.ErrNotFound.
func (a *Admin) SetRights(ctx context.Context, userID string, r Rights) (directory.User, error) {
	return a.update(ctx, userID, change{kind: audit.KindUserRole, did: "changed the rights of", end: impersonation.EndChanged, apply: r.apply})
}

func (r Rights) apply(u *directory.User) error {
	if r.SetRoles != nil {
		u.Roles = *r.SetRoles
	}
	u.Roles = tidy(append(slices.Clone(u.Roles), r.AddRoles...))
	u.Roles = slices.DeleteFunc(u.Roles, func(s string) bool { return slices.Contains(r.RemoveRoles, s) })
	if r.SetGroups != nil {
		u.Groups = tidy(*r.SetGroups)
	}
	if r.Organisation != nil {
		u.Organisation = *r.Organisation
	}
	if r.Protected != nil {
		u.Protected = *r.Protected
	}
	return nil
}

// Disable keeps a user from signing in and from being impersonated, ends their logins, grants and the sessions in which they are the actor
// or the subject, and revokes the consents in which they are either: Enable brings none of these back. No source enables them from then
// on, also where one had disabled them before. directory.ErrNotFound.
func (a *Admin) Disable(ctx context.Context, userID string) (directory.User, error) {
	return a.update(ctx, userID, change{kind: audit.KindUserDisable, did: "disabled", end: impersonation.EndDisabled, logins: true, apply: enabled(false), unchecked: true})
}

// Enable takes a Disable back, or what a source did, and ends a lock-out after too many failed sign-ins. directory.ErrNotFound.
func (a *Admin) Enable(ctx context.Context, userID string) (directory.User, error) {
	u, err := a.update(ctx, userID, change{kind: audit.KindUserEnable, did: "enabled", end: impersonation.EndChanged, apply: enabled(true)})
	if err != nil {
		return directory.User{}, err
	}
	return u, a.unlock(ctx, u)
}

func enabled(is bool) func(*directory.User) error {
	return func(u *directory.User) error { u.Enabled, u.DisabledBy = is, ""; return nil }
}

// change is one change of a user, and what comes with it.
type change struct {
	kind   audit.Kind
	did    string
	apply  func(*directory.User) error
	fill   func(*audit.Entry)      // what the entry tells beside the rights before and after
	end    impersonation.EndReason // of the sessions in which the user is the actor or the subject; "" ends none
	logins bool                    // also ends their logins and grants
	// unchecked is for what only takes away: whoever came by provisioning, or before a role went, can still be kept out.
	unchecked bool
}

// update changes a user, and begins anew if somebody else did so in between. A user who is as c wants them already
// is not written again.
func (a *Admin) update(ctx context.Context, userID string, c change) (u directory.User, err error) {
	for range tries {
		u, err = a.updateOnce(ctx, userID, c)
		if !errors.Is(err, impersonation.ErrChanged) {
			break
		}
	}
	return u, err
}

// tries is more often than operators can collide without a defect behind it.
const tries = 10

func (a *Admin) updateOnce(ctx context.Context, userID string, c change) (directory.User, error) {
	was, err := a.Store.Get(ctx, userID)
	if err != nil {
		return directory.User{}, fmt.Errorf("user %q: %w", userID, err)
	}
	u := was
	if err := c.apply(&u); err != nil {
		return directory.User{}, err
	}
	if same(was, u) {
		return u, nil
	}
	if err := a.checkEdit(ctx, was, u, c); err != nil {
		return directory.User{}, err
	}
	if err := a.Store.UpdateUser(ctx, a.updating(was, &u, c)); err != nil {
		return directory.User{}, fmt.Errorf("changing user %s: %w", u.Email, err)
	}
	a.log(ctx, c.did+" "+u.Email, slog.String("user", u.ID), slog.Any("roles", u.Roles))
	return u, nil
}

func (a *Admin) checkEdit(ctx context.Context, was, u directory.User, c change) error {
	if c.unchecked {
		return nil
	}
	if err := a.checkUser(was, u); err != nil {
		return err
	}
	return a.checkKept(ctx, was, u)
}

// checkKept refuses to change by hand who is in a group that a source keeps: it would neither see that nor leave it so.
func (a *Admin) checkKept(ctx context.Context, was, u directory.User) error {
	return keptApart(ctx, was, u, a.keeperOf)
}

// keeperOf is the source that keeps a group, "" if none does.
func (a *Admin) keeperOf(ctx context.Context, group string) (string, error) {
	kept, _, err := a.Store.GroupsOf(ctx, store.GroupQuery{Name: group, Limit: 1})
	if err != nil {
		return "", fmt.Errorf("reading group %s: %w", group, err)
	}
	if len(kept) == 0 {
		return "", nil
	}
	return kept[0].Source, nil
}

// keptApart is checkKept by what keeper says of a group.
func keptApart(ctx context.Context, was, u directory.User, keeper func(context.Context, string) (string, error)) error {
	for _, name := range slices.Concat(without(u.Groups, was.Groups), without(was.Groups, u.Groups)) {
		source, err := keeper(ctx, name)
		if err != nil {
			return err
		}
		if source != "" && (source == was.Source || slices.Contains(u.Groups, name)) {
			return invalid("groups", "%q is kept by %s: who is in it is said there", name, source)
		}
	}
	return nil
}

// without is what list has and other has not.
func without[T comparable](list, other []T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return slices.Contains(other, v) })
}

// updating is the write of c, and sets u.Updated.
func (a *Admin) updating(was directory.User, u *directory.User, c change) store.UserWrite {
	w := a.write(c.kind, *u, func(e *audit.Entry) {
		impersonation.RecordRights(e, "was_", was)
		impersonation.RecordRights(e, "", *u)
		if c.fill != nil {
			c.fill(e)
		}
	})
	if u.Updated = w.Now; !u.Updated.After(was.Updated) {
		u.Updated = was.Updated.Add(time.Millisecond) // the store's resolution: Was must tell any two writes apart
	}
	// A consent is asked for again: who comes back after a year should not find somebody acting for them.
	uw := store.UserWrite{Write: w, User: *u, Was: was.Updated, EndLogins: c.logins, EndConsents: was.Enabled && !u.Enabled}
	if c.end != "" {
		uw.Ends = a.ends(u.ID, c.end)
	}
	return uw
}

// same tells whether two users are the same in all that is written here.
func same(a, b directory.User) bool {
	return sameRights(a, b) && a.Name == b.Name && a.Email == b.Email && maps.Equal(a.Attributes, b.Attributes) &&
		slices.Equal(a.Identities, b.Identities) && a.Source == b.Source && a.UserName == b.UserName && a.ExternalID == b.ExternalID &&
		a.DisabledBy == b.DisabledBy
}

// sameRights tells whether two users are the same in what decides who may do what.
func sameRights(a, b directory.User) bool {
	return slices.Equal(a.Roles, b.Roles) && slices.Equal(a.Groups, b.Groups) &&
		a.Organisation == b.Organisation && a.Protected == b.Protected && a.Enabled == b.Enabled
}

// checkUser holds u to the rules of a user. What was already there is not looked at again where others may have put it there: nothing that
// a source does, or that went from the configuration, keeps anybody from taking a right away.
func (a *Admin) checkUser(was, u directory.User) error {
	if err := u.Validate(); err != nil {
		field, rule, _ := strings.Cut(err.Error(), ": ")
		return invalid(field, "%s", rule)
	}
	if u.Name == "" {
		return invalid("name", "must be given: banner and trail show it")
	}
	if !slices.Equal(was.Groups, u.Groups) && len(strings.Join(u.Groups, ",")) > impersonation.MaxRecordedGroups {
		return invalid("groups", "must have at most %d bytes together", impersonation.MaxRecordedGroups)
	}
	for _, p := range without(u.Identities, was.Identities) {
		if err := a.checkIssuer(p.Issuer); err != nil {
			return err
		}
	}
	for _, r := range without(u.Roles, was.Roles) {
		if r == policy.RoleUser {
			return invalid("role", "%q is every user's already", r)
		}
		if !slices.ContainsFunc(a.Registry.Roles, func(k policy.Role) bool { return k.Name == r }) {
			return invalid("role", "%q is not registered (registered: %s)", r, strings.Join(a.roleNames(), ", "))
		}
	}
	return nil
}

func (a *Admin) roleNames() []string {
	var out []string
	for _, r := range a.Registry.Roles {
		if r.Name != policy.RoleUser {
			out = append(out, r.Name)
		}
	}
	return out
}
