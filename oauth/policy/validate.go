package policy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// Validate reports every field that breaks a rule, one line each: its path as in the configuration, and the rule.
// It returns nil for the zero value, which permits nothing.
func (g Registry) Validate() error {
	var f faults
	names := make([]string, 0, 16)
	for i, r := range g.Resources {
		f.resource(fmt.Sprintf("resources[%d]", i), r)
		names = append(names, r.URI)
	}
	f.unique("resources", "uri", names)

	names = names[:0]
	for i, s := range g.Scopes {
		f.scope(fmt.Sprintf("scopes[%d]", i), s)
		names = append(names, s.Name)
	}
	f.unique("scopes", "name", names)

	names = names[:0]
	for _, r := range g.Roles {
		names = append(names, r.Name)
	}
	f.unique("roles", "name", names)
	for i, r := range g.Roles {
		f.role(fmt.Sprintf("roles[%d]", i), r)
		if r.Impersonate != nil {
			f.impersonate(fmt.Sprintf("roles[%d].impersonate", i), *r.Impersonate, g, names)
		}
	}
	for client, modes := range g.Modes {
		f.check(client != "", "modes", "a client_id must not be empty")
		f.modes("modes."+client, modes, "leave the client out for both")
	}
	slices.SortFunc(f, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // the map above has no order
	return errors.Join(f...)
}

type faults []error

func (f *faults) check(ok bool, field, rule string) {
	if !ok {
		*f = append(*f, fmt.Errorf("%s: %s", field, rule))
	}
}

func (f *faults) unique(list, field string, names []string) {
	for i, n := range names {
		f.check(!slices.Contains(names[:i], n), fmt.Sprintf("%s[%d].%s", list, i, field), fmt.Sprintf("%q is there already", n))
	}
}

func (f *faults) resource(at string, r Resource) {
	u, err := url.Parse(r.URI)
	f.check(err == nil && u.IsAbs() && (u.Opaque != "" || u.Host != "") && oauth.ValidScopeToken(r.URI), at+".uri", "must be an absolute URI (RFC 8707 §2)")
	f.check(!strings.Contains(r.URI, "#"), at+".uri", "must not have a fragment (RFC 8707 §2)")
	f.check(r.Scopes == nil || len(r.Scopes) > 0, at+".scopes", "must not be empty: leave it out for every registered scope")
	f.scopeNames(at+".scopes", r.Scopes)
}

func (f *faults) scope(at string, s Scope) {
	f.scopeNames(at+".name", []string{s.Name})
	f.check(slices.Contains([]ScopeClass{ScopeRead, ScopeWrite, ScopeNever}, s.Class), at+".class", "must be read, write or never")
	f.check(s.Class == ScopeNever || !alwaysNever(s.Name), at+".class", fmt.Sprintf("%s is always never", s.Name))
}

func (f *faults) role(at string, r Role) {
	f.check(r.Name != "" && oauth.ValidScopeToken(r.Name), at+".name", "must be printable ASCII without space, quote and backslash")
	f.check(!slices.Contains(r.Groups, ""), at+".groups", "a group must not be empty")
	f.scopeNames(at+".scopes", r.Scopes)
	f.check(!slices.Contains(r.Scopes, oauth.ScopeImpersonationWrite), at+".scopes", "impersonation:write is for impersonation tokens only")
}

func (f *faults) impersonate(at string, m Impersonate, g Registry, roles []string) {
	f.check(slices.Contains([]string{"", OwnOrganisation, AnyOrganisation}, m.Organisations), at+".organisations", "must be own or any")
	f.check(m.Subjects == nil || len(m.Subjects) > 0, at+".subjects", "must not be empty: leave it out for any")
	for _, s := range m.Subjects {
		f.check(slices.Contains(roles, s), at+".subjects", fmt.Sprintf("%q is not a registered role", s))
	}
	f.scopeNames(at+".scopes", m.Scopes)
	for _, s := range m.Scopes {
		f.check(g.ClassOf(s) != ScopeNever, at+".scopes", fmt.Sprintf("%s is never granted", s))
	}
	if m.Modes != nil {
		f.modes(at+".modes", m.Modes, "leave it out for read")
	}
	f.check(m.Minutes >= 0 && m.Minutes <= int(MaxDuration/time.Minute), at+".minutes", "must be 1 to 60, or left out for 30")
}

func (f *faults) modes(at string, modes []oauth.Mode, otherwise string) {
	f.check(len(modes) > 0, at, "must not be empty: "+otherwise)
	for _, m := range modes {
		f.check(m.Valid(), at, fmt.Sprintf("%q is not read or write", m))
	}
}

func (f *faults) scopeNames(at string, scopes []string) {
	for _, s := range scopes {
		f.check(oauth.ValidScopeToken(s), at, fmt.Sprintf("%q is not a scope (RFC 6749 §3.3)", s))
	}
}
