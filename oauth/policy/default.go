package policy

import "github.com/understudy-id/understudy/oauth"

// DefaultResource is the one resource of an installation that registered none.
const DefaultResource = "urn:understudy:resource:local"

// Default is the registry of an installation that registered nothing: every user may read and write, support may look at
// the users of its own organisation, an admin may also act as anybody and read the whole trail; neither reaches the other or their like.
// Each call gives a fresh value.
func Default() Registry {
	basic := []string{oauth.ScopeOpenID, "profile", "email", "roles", "app:read"}
	full := append(basic[:len(basic):len(basic)], "app:write")
	return Registry{
		Resources: []Resource{{URI: DefaultResource, AcceptsAct: true}},
		Scopes: []Scope{
			{oauth.ScopeOpenID, ScopeRead}, {"profile", ScopeRead}, {"email", ScopeRead}, {"roles", ScopeRead},
			{"app:read", ScopeRead}, {"app:write", ScopeWrite},
			{oauth.ScopeImpersonate, ScopeNever}, {oauth.ScopeOfflineAccess, ScopeNever},
		},
		Roles: []Role{
			{Name: RoleUser, Scopes: full},
			{Name: "support", Privileged: true, Scopes: full, Impersonate: &Impersonate{
				Organisations: OwnOrganisation, Scopes: basic, Modes: []oauth.Mode{oauth.ModeRead}, Minutes: 30,
			}},
			{Name: "admin", Privileged: true, Scopes: full, Audit: true, Impersonate: &Impersonate{
				Organisations: AnyOrganisation, Scopes: full, Modes: []oauth.Mode{oauth.ModeRead, oauth.ModeWrite}, Minutes: 60,
			}},
		},
	}
}
