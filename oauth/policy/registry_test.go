package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	coach := func(g *policy.Registry) *policy.Impersonate { return g.Roles[5].Impersonate }
	for _, tt := range []struct {
		name string
		edit func(*policy.Registry)
		want string // one line; "" for valid
	}{
		{"as it is", func(*policy.Registry) {}, ""},
		{"default", func(g *policy.Registry) { *g = policy.Default() }, ""},
		{"nothing", func(g *policy.Registry) { *g = policy.Registry{} }, ""},
		{"relative resource", func(g *policy.Registry) { g.Resources[1].URI = "/books" }, "resources[1].uri: must be an absolute URI (RFC 8707 §2)"},
		{"scheme alone", func(g *policy.Registry) { g.Resources[1].URI = "https:" }, "resources[1].uri: must be an absolute URI (RFC 8707 §2)"},
		{"no resource", func(g *policy.Registry) { g.Resources[1].URI = "" }, "resources[1].uri: must be an absolute URI (RFC 8707 §2)"},
		{"resource with a space", func(g *policy.Registry) { g.Resources[1].URI = "urn:a b" }, "resources[1].uri: must be an absolute URI (RFC 8707 §2)"},
		{"resource with a fragment", func(g *policy.Registry) { g.Resources[1].URI += "#a" }, "resources[1].uri: must not have a fragment (RFC 8707 §2)"},
		{"resource with an empty fragment", func(g *policy.Registry) { g.Resources[1].URI += "#" }, "resources[1].uri: must not have a fragment (RFC 8707 §2)"},
		{"resource twice", func(g *policy.Registry) { g.Resources[1].URI = policy.DefaultResource }, `resources[1].uri: "urn:understudy:resource:local" is there already`},
		{"resource without scopes", func(g *policy.Registry) { g.Resources[1].Scopes = []string{} }, "resources[1].scopes: must not be empty: leave it out for every registered scope"},
		{"resource with a bad scope", func(g *policy.Registry) { g.Resources[1].Scopes = []string{"a b"} }, `resources[1].scopes: "a b" is not a scope (RFC 6749 §3.3)`},
		{"bad scope", func(g *policy.Registry) { g.Scopes[1].Name = "" }, `scopes[1].name: "" is not a scope (RFC 6749 §3.3)`},
		{"unknown class", func(g *policy.Registry) { g.Scopes[1].Class = "sometimes" }, "scopes[1].class: must be read, write or never"},
		{"no class", func(g *policy.Registry) { g.Scopes[1].Class = "" }, "scopes[1].class: must be read, write or never"},
		{"scope twice", func(g *policy.Registry) { g.Scopes[1].Name = "openid" }, `scopes[1].name: "openid" is there already`},
		{"impersonate as read", func(g *policy.Registry) { g.Scopes[6].Class = policy.ScopeRead }, "scopes[6].class: impersonate is always never"},
		{"role without a name", func(g *policy.Registry) { g.Roles[3].Name = "" }, "roles[3].name: must be printable ASCII without space, quote and backslash"},
		{"role twice", func(g *policy.Registry) { g.Roles[3].Name = "user" }, `roles[3].name: "user" is there already`},
		{"empty group", func(g *policy.Registry) { g.Roles[3].Groups = []string{""} }, "roles[3].groups: a group must not be empty"},
		{"role with a bad scope", func(g *policy.Registry) { g.Roles[3].Scopes = []string{`"`} }, `roles[3].scopes: "\"" is not a scope (RFC 6749 §3.3)`},
		{"role with the marker", func(g *policy.Registry) { g.Roles[3].Scopes = []string{"impersonation:write"} }, "roles[3].scopes: impersonation:write is for impersonation tokens only"},
		{"unknown organisations", func(g *policy.Registry) { coach(g).Organisations = "some" }, "roles[5].impersonate.organisations: must be own or any"},
		{"no subjects", func(g *policy.Registry) { coach(g).Subjects = []string{} }, "roles[5].impersonate.subjects: must not be empty: leave it out for any"},
		{"unknown subjects", func(g *policy.Registry) { coach(g).Subjects = []string{"nobody"} }, `roles[5].impersonate.subjects: "nobody" is not a registered role`},
		{"ceiling with a bad scope", func(g *policy.Registry) { coach(g).Scopes = []string{"é"} }, `roles[5].impersonate.scopes: "é" is not a scope (RFC 6749 §3.3)`},
		{"ceiling with a never", func(g *policy.Registry) { coach(g).Scopes = []string{"money"} }, "roles[5].impersonate.scopes: money is never granted"},
		{"ceiling with the marker", func(g *policy.Registry) { coach(g).Scopes = []string{"impersonation:write"} }, "roles[5].impersonate.scopes: impersonation:write is never granted"},
		{"no modes", func(g *policy.Registry) { coach(g).Modes = []oauth.Mode{} }, "roles[5].impersonate.modes: must not be empty: leave it out for read"},
		{"unknown mode", func(g *policy.Registry) { coach(g).Modes = []oauth.Mode{"all"} }, `roles[5].impersonate.modes: "all" is not read or write`},
		{"61 minutes", func(g *policy.Registry) { coach(g).Minutes = 61 }, "roles[5].impersonate.minutes: must be 1 to 60, or left out for 30"},
		{"-1 minutes", func(g *policy.Registry) { coach(g).Minutes = -1 }, "roles[5].impersonate.minutes: must be 1 to 60, or left out for 30"},
		{"client without an id", func(g *policy.Registry) { g.Modes[""] = []oauth.Mode{oauth.ModeRead} }, "modes: a client_id must not be empty"},
		{"client without modes", func(g *policy.Registry) { g.Modes["kiosk"] = nil }, "modes.kiosk: must not be empty: leave the client out for both"},
		{"client with an unknown mode", func(g *policy.Registry) { g.Modes["kiosk"] = []oauth.Mode{"x"} }, `modes.kiosk: "x" is not read or write`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := registry()
			tt.edit(&g)
			err := g.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !slices.Contains(strings.Split(err.Error(), "\n"), tt.want)) {
				t.Errorf("Validate: got %v, want %q", err, tt.want)
			}
			if _, newErr := policy.New(g, policy.Options{}); (newErr == nil) != (err == nil) {
				t.Errorf("New: got %v where Validate says %v", newErr, err)
			}
		})
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	t.Parallel()
	g := registry()
	g.Scopes[1].Class, g.Roles[3].Groups, g.Modes["kiosk"] = "", []string{""}, nil
	want := "modes.kiosk: must not be empty: leave the client out for both\n" +
		"roles[3].groups: a group must not be empty\n" +
		"scopes[1].class: must be read, write or never"
	if err := g.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate: got %v, want %s", err, want)
	}
}

func TestNewRefusesANegativeAge(t *testing.T) {
	t.Parallel()
	if _, err := policy.New(policy.Default(), policy.Options{MaxAuthAge: -time.Second}); err == nil {
		t.Error("New: got no error for a negative MaxAuthAge")
	}
}

// These bytes name the policy in every audit entry: a change of their form would rename every registry.
func TestDocumentOfTheDefaultRegistry(t *testing.T) {
	t.Parallel()
	const want = `{"resources":[{"uri":"urn:understudy:resource:local","accepts_act":true}],` +
		`"scopes":[{"name":"openid","class":"read"},{"name":"profile","class":"read"},{"name":"email","class":"read"},{"name":"roles","class":"read"},` +
		`{"name":"app:read","class":"read"},{"name":"app:write","class":"write"},{"name":"impersonate","class":"never"},{"name":"offline_access","class":"never"}],` +
		`"roles":[{"name":"user","privileged":false,"scopes":["openid","profile","email","roles","app:read","app:write"]},` +
		`{"name":"support","privileged":true,"scopes":["openid","profile","email","roles","app:read","app:write"],` +
		`"impersonate":{"organisations":"own","scopes":["openid","profile","email","roles","app:read"],"modes":["read"],"minutes":30}},` +
		`{"name":"admin","privileged":true,"scopes":["openid","profile","email","roles","app:read","app:write"],"audit":true,` +
		`"impersonate":{"organisations":"any","scopes":["openid","profile","email","roles","app:read","app:write"],"modes":["read","write"],"minutes":60}}]}`
	if diff := cmp.Diff(want, string(policy.Default().Document())); diff != "" {
		t.Errorf("Document (-want +got):\n%s", diff)
	}
	if got, want := policy.Default().Version(), "pol_wxby4w2hqysx6mrzkmnsfo7adu"; got != want {
		t.Errorf("Version: got %s, want %s", got, want)
	}
}

func TestVersionFollowsTheRegistry(t *testing.T) {
	t.Parallel()
	g := registry()
	before := g.Version()
	if again := registry().Version(); again != before {
		t.Errorf("Version of equal registries: got %s and %s", before, again)
	}
	g.Modes["kiosk"] = []oauth.Mode{oauth.ModeWrite}
	if g.Version() == before {
		t.Error("Version: got the same after a change of modes")
	}
	r, err := policy.New(g, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Registry().Version(); got != g.Version() {
		t.Errorf("Rules.Registry: got version %s, want %s", got, g.Version())
	}
}

func TestRolesOf(t *testing.T) {
	t.Parallel()
	p := person("john", "acme", "tester", "unregistered")
	p.Groups = []string{"library", "staff"}
	var got []string
	for _, r := range registry().RolesOf(p) {
		got = append(got, r.Name)
	}
	if diff := cmp.Diff([]string{"user", "reader", "tester"}, got); diff != "" {
		t.Errorf("RolesOf (-want +got):\n%s", diff)
	}
	want := []string{"app:read", "app:write", "books:read", "books:write", "email", "money", "openid", "profile", "roles"}
	if diff := cmp.Diff(want, registry().ScopesOf(p)); diff != "" {
		t.Errorf("ScopesOf (-want +got):\n%s", diff)
	}
}

func TestMayImpersonate(t *testing.T) {
	t.Parallel()
	disabled := person("ann", "acme", "support")
	disabled.Enabled = false
	for _, tt := range []struct {
		name string
		p    policy.Person
		want bool
	}{
		{"support", person("ann", "acme", "support"), true},
		{"user", person("john", "acme"), false},
		{"tester", person("john", "acme", "tester"), false},
		{"disabled support", disabled, false},
	} {
		if got := registry().MayImpersonate(tt.p); got != tt.want {
			t.Errorf("MayImpersonate(%s): got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestMayAudit(t *testing.T) {
	t.Parallel()
	g := registry()
	g.Roles = append(g.Roles, policy.Role{Name: "auditor", Groups: []string{"revision"}, Audit: true})
	disabled, member := person("ann", "acme", "auditor"), person("mia", "acme")
	disabled.Enabled, member.Groups = false, []string{"revision"}
	for _, tt := range []struct {
		name string
		p    policy.Person
		want bool
	}{
		{"auditor", person("ann", "acme", "auditor"), true},
		{"by group", member, true},
		{"support, who may impersonate", person("sue", "acme", "support"), false},
		{"user", person("john", "acme"), false},
		{"disabled auditor", disabled, false},
	} {
		if got := g.MayAudit(tt.p); got != tt.want {
			t.Errorf("MayAudit(%s): got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]policy.ScopeClass{
		"app:read": policy.ScopeRead, "app:write": policy.ScopeWrite, "money": policy.ScopeNever, "unregistered": policy.ScopeWrite,
		"impersonate": policy.ScopeNever, "impersonation:write": policy.ScopeNever, "offline_access": policy.ScopeNever,
	} {
		if got := registry().ClassOf(scope); got != want {
			t.Errorf("ClassOf(%s): got %s, want %s", scope, got, want)
		}
		if got := (policy.Registry{}).ClassOf(scope); want == policy.ScopeNever && scope != "money" && got != want {
			t.Errorf("ClassOf(%s) of an empty registry: got %s, want %s", scope, got, want)
		}
	}
}

func TestResource(t *testing.T) {
	t.Parallel()
	if got, ok := registry().Resource("https://old.example"); !ok || got.URI != "https://old.example" {
		t.Errorf("Resource: got %+v, %v, want the registered one", got, ok)
	}
	if got, ok := registry().Resource("https://OLD.example"); ok {
		t.Errorf("Resource in another letter case: got %+v, want none", got)
	}
}

// TestVersionOfOptions: what the options demand is part of the policy, so a change of them has a version of its own.
func TestVersionOfOptions(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, o := range []policy.Options{{}, {RequireSecondFactor: true}, {MaxAuthAge: time.Hour}, {RequireSecondFactor: true, MaxAuthAge: time.Hour}} {
		r, err := policy.New(policy.Default(), o)
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.Version()] || !json.Valid(r.Document()) {
			t.Errorf("%+v: version %s again, or no document: %s", o, r.Version(), r.Document())
		}
		seen[r.Version()] = true
		if o == (policy.Options{}) && r.Version() != policy.Default().Version() {
			t.Errorf("without options: got %s, want the registry's own %s", r.Version(), policy.Default().Version())
		}
	}
}

// Every role that a group confers counts, whatever the role may do.
func TestFlagged(t *testing.T) {
	t.Parallel()
	g := policy.Registry{Roles: []policy.Role{{Name: "plain"}, {Name: "reader", Groups: []string{"z", "staff"}}, {Name: "boss", Privileged: true, Groups: []string{"staff", "A"}}}}
	if got, want := g.FlaggedGroups(), []string{"A", "staff", "z"}; !slices.Equal(got, want) {
		t.Errorf("FlaggedGroups: got %v, want %v", got, want)
	}
}
