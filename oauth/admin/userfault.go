package admin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
)

// faults are what is wrong with a row: of each column the first, and maxRowErrors at most, since a file may have any number of columns.
type faults struct {
	line int
	name func(column string) string
	all  []*RowError
}

// faults begins with what could not be read of row.
func (i importer) faults(row Row) *faults {
	return &faults{row.Line, i.Column, slices.Clone(row.Unread)}
}

// add tells that a column breaks a rule. A column is id, email, name, organisation, groups, roles, enabled, protected; identities, for one as
// a whole, or identities.iss and identities.sub; attributes, or attributes.NAME.
func (f *faults) add(column, rule string, args ...any) {
	if !f.has(column) && len(f.all) < maxRowErrors {
		f.all = append(f.all, &RowError{f.line, f.name(column), fmt.Sprintf(rule, args...)})
	}
}

func (f *faults) has(column string) bool {
	name := f.name(column)
	return slices.ContainsFunc(f.all, func(e *RowError) bool { return e.Column == name })
}

// plain is a user with whom nothing is wrong, and who is nobody (RFC 2606 §2).
var plain = directory.User{ID: "nobody", Email: "nobody@users.invalid", Name: "Nobody"}

// judge tells each rule that u breaks, by putting one part of u at a time into a user who breaks none. It shows nothing of u.
func (i importer) judge(was, u directory.User, wrong *faults) {
	whole := i.checkUser(was, u)
	if whole == nil {
		return
	}
	alone := func(column string, put func(to *directory.User)) {
		one := plain
		put(&one)
		wrong.addRule(column, i.checkUser(was, one), i.roleNames())
	}
	alone("id", func(to *directory.User) { to.ID = u.ID })
	alone("email", func(to *directory.User) { to.Email = u.Email })
	alone("name", func(to *directory.User) { to.Name = u.Name })
	alone("organisation", func(to *directory.User) { to.Organisation = u.Organisation })
	alone("groups", func(to *directory.User) { to.Groups = u.Groups })
	alone("roles", func(to *directory.User) { to.Roles = u.Roles })
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		alone(attribute(name), func(to *directory.User) { to.Attributes = map[string]string{name: u.Attributes[name]} })
	}
	for _, p := range u.Identities {
		alone("identities", func(to *directory.User) {
			to.Identities = []oauth.Party{{Issuer: p.Issuer, Subject: plain.ID}}
		})
		alone("identities", func(to *directory.User) {
			to.Identities = []oauth.Party{{Issuer: "https://users.invalid", Subject: p.Subject}}
		})
	}
	if len(wrong.all) == 0 { // a rule about two parts together
		wrong.addRule("", whole, i.roleNames())
	}
}

// addRule adds what checkUser says of a column.
func (f *faults) addRule(column string, err error, roles []string) {
	inv := new(InvalidError)
	if !errors.As(err, &inv) {
		return
	}
	switch rule := inv.Rule; inv.Field {
	case "role":
		f.add("roles", "each must be registered (registered: %s)", strings.Join(roles, ", "))
	case "identities", "issuer":
		part, rule := ofIdentity(rule)
		f.add("identities."+map[string]string{"issuer": "iss", "subject": "sub"}[part], "%s", rule)
	case "attributes":
		f.add(column, "%s", rule)
	default:
		f.add(inv.Field, "%s", rule)
	}
}

// attribute is the column of one, unless its name is none to be shown.
func attribute(name string) string {
	if !directory.ValidLabel(name) {
		return "attributes"
	}
	return "attributes." + name
}

// ofIdentity tells of which part of an identity a rule about one is, as Link names them.
func ofIdentity(rule string) (part, of string) {
	if of, ok := strings.CutPrefix(rule, "a subject "); ok {
		return "subject", of
	}
	return "issuer", strings.TrimPrefix(rule, "an issuer ")
}

// differ tells in which columns a row differs from the user who is there.
func differ(was, u directory.User, wrong *faults) {
	for _, c := range []struct {
		column string
		same   bool
	}{
		{"email", was.Email == u.Email}, {"name", was.Name == u.Name}, {"organisation", was.Organisation == u.Organisation},
		{"groups", slices.Equal(was.Groups, u.Groups)}, {"roles", slices.Equal(was.Roles, u.Roles)},
		{"enabled", was.Enabled == u.Enabled && was.DisabledBy == u.DisabledBy}, {"protected", was.Protected == u.Protected}, {"identities", slices.Equal(was.Identities, u.Identities)},
	} {
		if !c.same {
			wrong.add(c.column, ruleDiffers)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(merged(was.Attributes, u.Attributes))) {
		if was.Attributes[name] != u.Attributes[name] {
			wrong.add(attribute(name), ruleDiffers)
		}
	}
}

func merged(a, b map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

const ruleDiffers = "differs from the user who is there"
