package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// The values of Impersonate.Organisations.
const (
	OwnOrganisation = "own"
	AnyOrganisation = "any"
)

// Document is the registry as one JSON document, the same bytes for the same registry: what a store keeps of a version.
func (g Registry) Document() []byte {
	b, err := json.Marshal(g) // members in the order of the structs, maps sorted
	if err != nil {
		panic(err) // a registry is strings, booleans and numbers: there is nothing that JSON cannot say
	}
	return b
}

// Version names the registry: "pol_" and 26 characters of lower-case base32, from the SHA-256 of Document. It changes with
// any change. 130 bits, since an entry of the trail rests on it: nobody may find two registries with one name.
func (g Registry) Version() string { return version(g.Document()) }

func version(document []byte) string {
	sum := sha256.Sum256(document)
	return "pol_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
}

// RolesOf gives the registered roles that p holds, in the registry's order: those assigned, those that a group confers,
// and RoleUser. A role that is not registered confers nothing, and counts as privileged where a subject holds it.
func (g Registry) RolesOf(p Person) []Role {
	var held []Role
	for i := range g.Roles {
		if g.Roles[i].heldBy(&p) {
			held = append(held, g.Roles[i])
		}
	}
	return held
}

// ScopesOf gives what p could get for themselves: the scopes of all their roles, sorted, without duplicates.
func (g Registry) ScopesOf(p Person) []string {
	var scopes []string
	for _, r := range g.RolesOf(p) {
		scopes = append(scopes, r.Scopes...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// MayImpersonate reports whether p is enabled and has a role that may impersonate somebody. It promises nothing for any one subject.
func (g Registry) MayImpersonate(p Person) bool {
	return p.Enabled && slices.ContainsFunc(g.Roles, func(r Role) bool { return r.Impersonate != nil && r.heldBy(&p) })
}

// MayAudit reports whether p is enabled and has a role that reads the whole trail.
func (g Registry) MayAudit(p Person) bool {
	return p.Enabled && slices.ContainsFunc(g.Roles, func(r Role) bool { return r.Audit && r.heldBy(&p) })
}

// FlaggedGroups are the groups that confer a role, sorted, without duplicates: who fills one of them grants rights, or protects.
func (g Registry) FlaggedGroups() []string {
	var groups []string
	for _, r := range g.Roles {
		groups = append(groups, r.Groups...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// ClassOf gives the class of a scope. An unregistered one is ScopeWrite; those with a meaning of our own that must not be
// granted (impersonate, impersonation:write, offline_access) are ScopeNever whatever is registered.
func (g Registry) ClassOf(scope string) ScopeClass {
	if alwaysNever(scope) {
		return ScopeNever
	}
	for i := range g.Scopes {
		if g.Scopes[i].Name == scope {
			return g.Scopes[i].Class
		}
	}
	return ScopeWrite
}

// Resource finds a resource by its URI, compared byte by byte.
func (g Registry) Resource(uri string) (Resource, bool) {
	i := slices.IndexFunc(g.Resources, func(r Resource) bool { return r.URI == uri })
	if i < 0 {
		return Resource{}, false
	}
	return g.Resources[i], true
}

// alwaysNever is the part of the never-list that no registry can shorten.
func alwaysNever(scope string) bool {
	return scope == oauth.ScopeImpersonate || scope == oauth.ScopeImpersonationWrite || scope == oauth.ScopeOfflineAccess
}

func (r *Role) heldBy(p *Person) bool {
	return r.Name == RoleUser || slices.Contains(p.Roles, r.Name) ||
		slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(p.Groups, g) })
}

// longest is the longest session.
func (m *Impersonate) longest() time.Duration {
	return cmp.Or(time.Duration(m.Minutes)*time.Minute, DefaultDuration)
}

// allows reports whether mode is within m.Modes.
func (m *Impersonate) allows(mode oauth.Mode) bool {
	if len(m.Modes) == 0 {
		return mode == oauth.ModeRead
	}
	return includes(m.Modes, mode)
}

func includes(modes []oauth.Mode, mode oauth.Mode) bool {
	return slices.ContainsFunc(modes, func(m oauth.Mode) bool { return m.Includes(mode) })
}
