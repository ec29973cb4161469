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
	row   Row
	was   *directory.User // nil for a new one
	u     directory.User
	wrong *faults // with any the row is not written
}

// before is who was there, or nobody.
func (p plan) before() directory.User {
	if p.was == nil {
		return directory.User{}
	}
	return *p.was
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

// plan gives the plan of each row, with what is wrong with it.
func (i importer) plan(ctx context.Context, batch []Row) ([]plan, error) {
	t, err := i.there(ctx, batch)
	if err != nil {
		return nil, err
	}
	now := i.Now().UTC().Truncate(time.Second)
	var plans []plan
	for _, row := range batch {
		p, err := i.planRow(ctx, t, row, now)
		if err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func (i importer) planRow(ctx context.Context, t there, row Row, now time.Time) (plan, error) {
	p := plan{row: row, wrong: i.faults(row)}
	p.was = t.find(row, p.wrong)
	switch {
	case p.was != nil:
		p.u = *p.was
	case len(p.wrong.all) > 0: // perhaps they are there: what the row has not is not missed
		p.u = directory.User{ID: cmp.Or(row.ID, plain.ID), Email: plain.Email, Name: plain.Name, Enabled: true}
	default:
		p.u = directory.User{ID: cmp.Or(row.ID, directory.NewID()), Enabled: true, Created: now, Updated: now}
	}
	row.apply(&p.u, p.wrong)
	if p.was != nil && same(*p.was, p.u) {
		return p, nil
	}
	if p.was == nil && strings.Contains(p.u.ID, "@") {
		p.wrong.add("id", `must not contain "@": it would read as an e-mail address`)
	}
	i.judge(p.before(), p.u, p.wrong)
	t.free(p.u, p.wrong)
	if err := i.keptApart(ctx, p); err != nil {
		return p, err
	}
	if p.was != nil && !i.Update {
		differ(*p.was, p.u, p.wrong)
	}
	return p, nil
}

// keptApart is Admin.checkKept for a row whose groups can be looked for.
func (i importer) keptApart(ctx context.Context, p plan) error {
	if p.wrong.has("groups") {
		return nil
	}
	err := keptApart(ctx, *cmp.Or(p.was, &directory.User{}), p.u, i.keeper)
	if inv := new(InvalidError); errors.As(err, &inv) {
		p.wrong.add(inv.Field, "one who comes or goes is kept by a source: who is in it is said there")
		return nil
	}
	return err
}

// find gives who is meant, nil for nobody who is there.
func (t there) find(row Row, wrong *faults) *directory.User {
	switch _, gone := slices.BinarySearch(t.gone, row.ID); {
	case row.ID != "" && gone:
		wrong.add("id", "was that of a user who is removed, and is not given again")
		return nil
	case row.ID != "":
		return t.byID[row.ID]
	case row.Email == nil:
		wrong.add("id", "or email must be given")
		return nil
	}
	email, _ := directory.NormalEmail(*row.Email) // what is no address is nobody's, and apply says so
	return t.byEmail[email]
}

// free tells what of u somebody else has.
func (t there) free(u directory.User, wrong *faults) {
	if other := t.byEmail[u.Email]; other != nil && other.ID != u.ID {
		wrong.add("email", "is that of another user who is there")
	}
	for _, p := range u.Identities {
		if other := t.byIdentity[p]; other != nil && other.ID != u.ID {
			wrong.add("identities", "is that of another user who is there")
		}
	}
}

// apply makes u what the row says. Lists that have the same in another order stay as they are.
func (r Row) apply(u *directory.User, wrong *faults) {
	if r.Email != nil {
		email, err := directory.NormalEmail(*r.Email)
		if err != nil {
			wrong.add("email", "%v", err)
		}
		u.Email = email
	}
	if r.Name != nil {
		u.Name = strings.TrimSpace(*r.Name)
	}
	set(&u.Organisation, r.Organisation)
	if r.Enabled != nil { // whose word it is then, whoever disabled them before
		u.Enabled, u.DisabledBy = *r.Enabled, ""
	}
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
	r.identify(u, wrong)
}

// identify puts the row's identities in place of what u had at their issuers, in the order in which a store gives them.
func (r Row) identify(u *directory.User, wrong *faults) {
	u.Identities = slices.Clone(u.Identities)
	for n, p := range r.Identities {
		if slices.ContainsFunc(r.Identities[:n], at(p.Issuer)) {
			wrong.add("identities", "at most one at each issuer")
		}
		u.Identities = append(slices.DeleteFunc(u.Identities, at(p.Issuer)), p)
	}
	slices.SortFunc(u.Identities, func(a, b oauth.Party) int { return cmp.Compare(a.Issuer, b.Issuer) })
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

// seen is on which line what must be unique came, by a hash: a million rows fit into memory.
type seen map[[16]byte]uint32

// claim remembers p, and tells what of it came before, by a column that the row has.
func (s seen) claim(p plan) {
	who := "id"
	if p.row.ID == "" {
		who = "email"
	}
	if p.u.Email != "" && (p.was != nil || p.row.Email != nil) { // else it is nobody's
		s.once(p, "email", p.row.Email != nil, who, p.u.Email)
	}
	if p.was != nil || p.row.ID != "" { // one that was made up comes once
		s.once(p, "id", p.row.ID != "", who, p.u.ID)
	}
	for _, identity := range p.u.Identities {
		s.once(p, "identities", slices.Contains(p.row.Identities, identity), who, identity.Issuer+" "+identity.Subject)
	}
}

// once claims one value of a column for p. Where the row does not have the column it is told of who.
func (s seen) once(p plan, column string, has bool, who, value string) {
	sum := sha256.Sum256([]byte(column + " " + value))
	key := [16]byte(sum[:])
	line, ok := s[key]
	if !ok {
		s[key] = uint32(p.row.Line)
		return
	}
	if !has {
		column = who
	}
	p.wrong.add(column, "is on line %d already", line)
}

// writes are those of plans; whoever is as they shall be has none.
func (i importer) writes(plans []plan) (out []store.UserWrite) {
	for _, p := range plans {
		switch {
		case p.was == nil:
			w := i.Admin.write(audit.KindUserAdd, p.u, func(e *audit.Entry) { impersonation.RecordRights(e, "", p.u) })
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
	case !u.Enabled && (was.Enabled || was.DisabledBy != u.DisabledBy):
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
