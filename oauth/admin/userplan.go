package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// plan is what a row of an import comes to.
type plan struct {
	row Row
	was *directory.User // nil for a new one
	u   directory.User
}

// there is who is there already, of all that a batch may mean.
type there struct {
	byID, byEmail map[string]*directory.User
	byIdentity    map[oauth.Party]*directory.User
	gone          []string // sorted
}

func (i importer) there(ctx context.Context, batch []Row) (there, error) {
	t := there{map[string]*directory.User{}, map[string]*directory.User{}, map[oauth.Party]*directory.User{}, nil}
	found, gone, err := i.Store.AmongUsers(ctx, keys(batch))
	if err != nil {
		return t, fmt.Errorf("looking for users who are there already: %w", err)
	}
	for _, u := range found {
		t.byID[u.ID], t.byEmail[u.Email] = &u, &u
		for _, p := range u.Identities {
			t.byIdentity[p] = &u
		}
	}
	t.gone = gone
	return t, nil
}

// plan gives the plans of those rows that break no rule, and what is wrong with the others.
func (i importer) plan(ctx context.Context, batch []Row) (plans []plan, problems []*RowError, err error) {
	t, err := i.there(ctx, batch)
	if err != nil {
		return nil, nil, err
	}
	now := i.Now().UTC().Truncate(time.Second)
	for _, row := range batch {
		p, err := i.planRow(ctx, t, row, now)
		if inv := new(InvalidError); errors.As(err, &inv) {
			problems = append(problems, &RowError{row.Line, inv.Field, inv.Rule})
		} else if err != nil {
			return nil, nil, err
		} else {
			plans = append(plans, p)
		}
	}
	return plans, problems, nil
}

// planRow returns an *InvalidError for a row that breaks a rule.
func (i importer) planRow(ctx context.Context, t there, row Row, now time.Time) (plan, error) {
	p := plan{row: row}
	var err error
	if p.was, err = t.find(row); err != nil {
		return p, err
	}
	if p.was != nil {
		p.u = *p.was
	} else {
		p.u = directory.User{ID: cmp.Or(row.ID, directory.NewID()), Enabled: true, Created: now, Updated: now}
	}
	if err := row.apply(&p.u); err != nil {
		return p, err
	}
	switch {
	case p.was != nil && same(*p.was, p.u):
		return p, nil
	case p.was != nil && !i.Update:
		return p, invalid(differs(*p.was, p.u), "differs from the user who is there")
	case p.was == nil && strings.Contains(p.u.ID, "@"):
		return p, invalid("id", `must not contain "@": it would read as an e-mail address`)
	}
	if err := i.checkRow(p.u); err != nil {
		return p, err
	}
	if err := t.free(p.u); err != nil {
		return p, err
	}
	err = keptApart(ctx, *cmp.Or(p.was, &directory.User{}), p.u, i.keeper)
	if inv := new(InvalidError); errors.As(err, &inv) {
		return p, invalid(inv.Field, "one who comes or goes is kept by a source: who is in it is said there")
	}
	return p, err
}

// find gives who is meant, nil for nobody who is there.
func (t there) find(row Row) (*directory.User, error) {
	if row.ID != "" {
		if _, gone := slices.BinarySearch(t.gone, row.ID); gone {
			return nil, invalid("id", "was that of a user who is removed, and is not given again")
		}
		return t.byID[row.ID], nil
	}
	if row.Email == nil {
		return nil, invalid("id", "or email must be given")
	}
	email, _ := directory.NormalEmail(*row.Email) // what is no address is nobody's, and apply says so
	return t.byEmail[email], nil
}

// free refuses what somebody else has.
func (t there) free(u directory.User) error {
	if other := t.byEmail[u.Email]; other != nil && other.ID != u.ID {
		return invalid("email", "is that of another user who is there")
	}
	for _, p := range u.Identities {
		if other := t.byIdentity[p]; other != nil && other.ID != u.ID {
			return invalid("identities", "one is that of another user who is there")
		}
	}
	return nil
}

// apply makes u what the row says. Lists that have the same in another order stay as they are.
func (r Row) apply(u *directory.User) error {
	if r.Email != nil {
		email, err := directory.NormalEmail(*r.Email)
		if err != nil {
			return invalid("email", "%v", err)
		}
		u.Email = email
	}
	if r.Name != nil {
		u.Name = strings.TrimSpace(*r.Name)
	}
	set(&u.Organisation, r.Organisation)
	set(&u.Enabled, r.Enabled)
	set(&u.Protected, r.Protected)
	setList(&u.Groups, r.Groups)
	setList(&u.Roles, r.Roles)
	if len(r.Attributes) > 0 {
		u.Attributes = maps.Clone(u.Attributes)
		if u.Attributes == nil {
			u.Attributes = map[string]string{}
		}
		maps.Copy(u.Attributes, r.Attributes)
		maps.DeleteFunc(u.Attributes, func(_, value string) bool { return value == "" })
	}
	return r.identify(u)
}

// identify puts the row's identities in place of what u had at their issuers, in the order in which a store gives them.
func (r Row) identify(u *directory.User) error {
	u.Identities = slices.Clone(u.Identities)
	for n, p := range r.Identities {
		if slices.ContainsFunc(r.Identities[:n], at(p.Issuer)) {
			return invalid("identities", "at most one at each issuer")
		}
		u.Identities = append(slices.DeleteFunc(u.Identities, at(p.Issuer)), p)
	}
	slices.SortFunc(u.Identities, func(a, b oauth.Party) int { return cmp.Compare(a.Issuer, b.Issuer) })
	return nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func setList(to, from *[]string) {
	if from != nil && !slices.Equal(tidy(*to), tidy(*from)) {
		*to = tidy(*from)
	}
}

// differs names the first column in which two users differ.
func differs(a, b directory.User) string {
	switch {
	case a.Email != b.Email:
		return "email"
	case a.Name != b.Name:
		return "name"
	case a.Organisation != b.Organisation:
		return "organisation"
	case !slices.Equal(a.Groups, b.Groups):
		return "groups"
	case !slices.Equal(a.Roles, b.Roles):
		return "roles"
	case a.Enabled != b.Enabled:
		return "enabled"
	case a.Protected != b.Protected:
		return "protected"
	case !maps.Equal(a.Attributes, b.Attributes):
		return "attributes"
	}
	return "identities"
}

// checkRow is checkUser for a file: it names the column, and shows nothing of the row.
func (i importer) checkRow(u directory.User) error {
	for _, r := range u.Roles {
		if !slices.Contains(i.roleNames(), r) {
			return invalid("roles", "each must be registered (registered: %s)", strings.Join(i.roleNames(), ", "))
		}
	}
	err := i.checkUser(u)
	if inv := new(InvalidError); errors.As(err, &inv) && inv.Field == "issuer" {
		return invalid("identities", "an issuer %s", inv.Rule)
	}
	return err
}

// seen is on which line what must be unique came, by a hash: a million rows fit into memory.
type seen map[[16]byte]uint32

// claim remembers p, and says what of it came before.
func (s seen) claim(p plan) *RowError {
	claims := [][2]string{{"email", p.u.Email}}
	if p.was != nil || p.row.ID != "" { // one that was made up comes once
		claims = append(claims, [2]string{"id", p.u.ID})
	}
	for _, identity := range p.u.Identities {
		claims = append(claims, [2]string{"identities", identity.Issuer + " " + identity.Subject})
	}
	for _, c := range claims {
		sum := sha256.Sum256([]byte(c[0] + " " + c[1]))
		key := [16]byte(sum[:])
		if line, ok := s[key]; ok {
			return &RowError{p.row.Line, c[0], fmt.Sprintf("is on line %d already", line)}
		}
		s[key] = uint32(p.row.Line)
	}
	return nil
}

// writes are those of plans; whoever is as they shall be has none.
func (i importer) writes(plans []plan) (out []store.UserWrite) {
	for _, p := range plans {
		switch {
		case p.was == nil:
			w := i.Admin.write(audit.KindUserAdd, p.u, func(e *audit.Entry) { setRights(e, "", p.u) })
			out = append(out, i.linked(store.UserWrite{Write: w, User: p.u}, nil))
		case !same(*p.was, p.u):
			u := p.u
			out = append(out, i.linked(i.updating(*p.was, &u, changeOf(*p.was, u)), p.was.Identities))
		}
	}
	return out
}

// changeOf tells what kind of change it is, and what ends with it. Attributes are what a policy may go by.
func changeOf(was, u directory.User) change {
	c := change{kind: audit.KindUserChange, fill: func(e *audit.Entry) {
		if was.Email != u.Email {
			e.SetPersonal("was_email", was.Email)
		}
		if was.Name != u.Name {
			e.SetPersonal("was_name", was.Name)
		}
	}}
	if !sameRights(was, u) {
		c.kind = audit.KindUserRole
	}
	lost := slices.ContainsFunc(was.Identities, func(p oauth.Party) bool { return !slices.Contains(u.Identities, p) })
	if !sameRights(was, u) || !maps.Equal(was.Attributes, u.Attributes) || lost {
		c.end = impersonation.EndChanged
	}
	c.logins = lost
	switch {
	case was.Enabled && !u.Enabled:
		c.kind, c.end, c.logins = audit.KindUserDisable, impersonation.EndDisabled, true
	case !was.Enabled && u.Enabled:
		c.kind = audit.KindUserEnable
	}
	return c
}

// linked adds an entry for each identity that w gives or takes, and puts all entries under the import.
func (i importer) linked(w store.UserWrite, was []oauth.Party) store.UserWrite {
	add := func(kind audit.Kind, p oauth.Party) {
		w.Entries = append(w.Entries, i.Admin.write(kind, w.User, identityOf(p)).Entries...)
	}
	for _, p := range was {
		if !slices.Contains(w.User.Identities, p) {
			add(audit.KindUserUnlink, p)
		}
	}
	for _, p := range w.User.Identities {
		if !slices.Contains(was, p) {
			add(audit.KindUserLink, p)
		}
	}
	w.RequestID = i.request
	for n := range w.Entries {
		w.Entries[n].Request = i.request
	}
	return w
}
