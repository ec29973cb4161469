package policy_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

var (
	allScopes = []string{"openid", "a", "b", "c", "d", "impersonate", "impersonation:write", "offline_access"}
	allRoles  = []string{"user", "r1", "r2", "r3"}
	allModes  = []oauth.Mode{oauth.ModeRead, oauth.ModeWrite}
)

// some gives nil or a list of one or more. The whole list comes often: a scope has to be in five of them to be granted.
func some[T comparable](of []T) *rapid.Generator[[]T] {
	return rapid.Custom(func(t *rapid.T) []T {
		switch rapid.SampledFrom([]string{"whole", "whole", "whole", "whole", "part", "nil"}).Draw(t, "some") {
		case "whole":
			return slices.Clone(of)
		case "nil":
			return nil
		}
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, len(of), rapid.ID).Draw(t, "of")
	})
}

// drawRegistry draws any registry, also one that New would refuse: the nevers must hold without its help.
func drawRegistry(t *rapid.T) policy.Registry {
	g := policy.Registry{Resources: []policy.Resource{
		{URI: "urn:x:1", AcceptsAct: rapid.IntRange(0, 9).Draw(t, "act") < 9, Scopes: some(allScopes).Draw(t, "resource")},
	}}
	g.Scopes = []policy.Scope{{Name: "openid", Class: policy.ScopeRead}}
	for _, s := range some(allScopes[1:4]).Draw(t, "registered") {
		class := rapid.SampledFrom([]policy.ScopeClass{policy.ScopeRead, policy.ScopeRead, policy.ScopeRead, policy.ScopeWrite, policy.ScopeNever}).Draw(t, s)
		g.Scopes = append(g.Scopes, policy.Scope{Name: s, Class: class})
	}
	for _, name := range allRoles {
		r := policy.Role{Name: name, Scopes: some(allScopes).Draw(t, name), Groups: some([]string{"g1", "g2"}).Draw(t, "groups")}
		r.Privileged = name != policy.RoleUser && rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "privileged")
		if rapid.Bool().Draw(t, "impersonates") {
			r.Impersonate = drawImpersonate(t)
		}
		g.Roles = append(g.Roles, r)
	}
	if modes := some(allModes).Draw(t, "client modes"); modes != nil {
		g.Modes = map[string][]oauth.Mode{"crm": modes}
	}
	return g
}

func drawImpersonate(t *rapid.T) *policy.Impersonate {
	return &policy.Impersonate{
		Organisations: rapid.SampledFrom([]string{"", "own", "any"}).Draw(t, "organisations"),
		Subjects:      some(allRoles).Draw(t, "subjects"),
		Privileged:    rapid.Bool().Draw(t, "reaches privileged"),
		Scopes:        some(allScopes).Draw(t, "ceiling"),
		Modes:         some(allModes).Draw(t, "modes"),
		Minutes:       rapid.SampledFrom([]int{0, 60, 45, 1}).Draw(t, "minutes"),
		TicketNumber:  rapid.Bool().Draw(t, "ticket number"),
	}
}

func drawPerson(t *rapid.T, name string) policy.Person {
	p := person(name, rapid.SampledFrom([]string{"acme", "acme", "acme", ""}).Draw(t, "organisation"), some(allRoles).Draw(t, "roles")...)
	p.Groups = some([]string{"g1", "g2"}).Draw(t, "groups")
	return p
}

func drawRequest(t *rapid.T) policy.Request {
	q := request()
	q.Actor, q.Subject = drawPerson(t, "ann"), drawPerson(t, "john")
	q.Client.Scopes, q.Client.Resources = some(allScopes).Draw(t, "client"), []string{"urn:x:1"}
	q.Scopes = some(allScopes).Draw(t, "requested")
	q.Mode = rapid.SampledFrom(allModes).Draw(t, "mode")
	q.Duration = rapid.SampledFrom([]time.Duration{1, time.Minute, 30 * time.Minute, time.Hour}).Draw(t, "duration")
	q.TicketNumber = rapid.SampledFrom([]string{"#7", "#7", ""}).Draw(t, "ticket number")
	drawDoor(t, &q)
	return q
}

// drawDoor draws by which way the request comes, and the consent that goes with it, which does not always fit.
func drawDoor(t *rapid.T, q *policy.Request) {
	q.Client.UserID = rapid.Bool().Draw(t, "client starts by user id")
	q.Via = rapid.SampledFrom([]policy.Via{policy.ViaPage, policy.ViaUserID, policy.ViaToken, policy.ViaToken}).Draw(t, "via")
	if q.Via == policy.ViaPage {
		return
	}
	q.AuthTime = now.Add(-time.Minute)
	if q.Via == policy.ViaUserID {
		return
	}
	if rapid.Bool().Draw(t, "an agent") {
		agent(q)
	} else {
		consented(q)
	}
	q.Consent.Scopes = some(allScopes).Draw(t, "consent")
	q.Consent.Mode = rapid.SampledFrom(allModes).Draw(t, "consent mode")
	q.Consent.Until = now.Add(time.Duration(rapid.IntRange(-1, 5).Draw(t, "until")) * time.Minute)
	if rapid.IntRange(0, 9).Draw(t, "consent of another") == 0 {
		q.Consent.Subject.Subject = "usr_eve"
	}
}

func TestWhatIsGrantedIsWithinEveryBound(t *testing.T) {
	t.Parallel()
	allowed := map[string]int{}
	for range 30 { // few of what is drawn is allowed, and every door must be
		rapid.Check(t, func(t *rapid.T) { withinEveryBound(t, allowed) })
	}
	t.Logf("requests that were allowed: %v", allowed)
	for _, way := range []string{"page user", "user_id user", "token user", "token ai_agent"} {
		if allowed[way] == 0 {
			t.Errorf("no request by %s was allowed: nothing was tested", way)
		}
	}
}

func withinEveryBound(t *rapid.T, allowed map[string]int) {
	g, q := drawRegistry(t), drawRequest(t)
	d := decide(t, g, q)
	if !d.Allow {
		if !cmp.Equal(d, policy.Decision{Version: d.Version, Rules: d.Rules, Need: d.Need, Advice: d.Advice, Refusal: d.Refusal}) {
			t.Fatalf("Decide: a denial that grants something: %+v", d)
		}
		return
	}
	allowed[string(q.Via)+" "+string(q.ActorKind)]++
	bounds := map[string][]string{"client": q.Client.Scopes, "subject": g.ScopesOf(q.Subject)}
	longest := policy.DefaultDuration
	if !q.ActorKind.Machine() {
		role := decider(t, g, q, d)
		bounds["ceiling"] = role.Impersonate.Scopes
		longest = max(time.Duration(role.Impersonate.Minutes)*time.Minute, 0)
	}
	if q.Via == policy.ViaToken {
		bounds["consent"] = q.Consent.Scopes
		checkConsent(t, q, d)
	}
	if q.Via == policy.ViaUserID && (q.Mode != oauth.ModeRead || !q.Client.UserID) {
		t.Fatalf("Decide: allowed by a user id: %+v", q)
	}
	if q.Scopes != nil {
		bounds["requested"] = q.Scopes
	}
	if g.Resources[0].Scopes != nil {
		bounds["resource"] = g.Resources[0].Scopes
	}
	for _, s := range d.Scopes {
		for name, bound := range bounds {
			if !slices.Contains(bound, s) {
				t.Fatalf("Decide: granted %s, which is not in %s %v", s, name, bound)
			}
		}
		if class := g.ClassOf(s); class == policy.ScopeNever || q.Mode == oauth.ModeRead && class != policy.ScopeRead {
			t.Fatalf("Decide: granted %s of class %s in mode %s", s, class, q.Mode)
		}
	}
	if !slices.IsSorted(d.Scopes) || len(d.Scopes) == 0 || d.Mode != q.Mode {
		t.Fatalf("Decide: got %+v, want sorted scopes, some, and mode %s", d, q.Mode)
	}
	if d.MaxDuration > q.Duration || longest > 0 && d.MaxDuration > longest {
		t.Fatalf("Decide: got MaxDuration %v of %v asked for and %v at most", d.MaxDuration, q.Duration, longest)
	}
}

// checkConsent holds that what was allowed by a consent is within it.
func checkConsent(t *rapid.T, q policy.Request, d policy.Decision) {
	c := q.Consent
	fits := c.Subject == q.Subject.Party && c.Actor == q.Actor.Party && c.ActorKind == q.ActorKind && c.Client == q.Client.ID
	if !fits || !q.Now.Before(c.Until) || d.ValidUntil != c.Until || q.Mode == oauth.ModeWrite && c.Mode != oauth.ModeWrite {
		t.Fatalf("Decide: allowed %+v by the consent %+v", d, c)
	}
}

// decider finds the role that d names and holds that it covers q, told once more in other words.
func decider(t *rapid.T, g policy.Registry, q policy.Request, d policy.Decision) policy.Role {
	for _, r := range g.RolesOf(q.Actor) {
		if d.Rules[0] != "role.allow:"+r.Name || r.Impersonate == nil {
			continue
		}
		if r.Impersonate.Organisations != "any" && q.Actor.Organisation != q.Subject.Organisation {
			t.Fatalf("role %s reached another organisation", r.Name)
		}
		if r.Impersonate.Modes == nil && q.Mode == oauth.ModeWrite {
			t.Fatalf("role %s wrote", r.Name)
		}
		return r
	}
	t.Fatalf("Decide: decided by %v, which the actor does not hold", d.Rules)
	return policy.Role{}
}

func TestPrivilegedSubjectsAreOutOfReach(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, q := drawRegistry(t), drawRequest(t)
		d := decide(t, g, q)
		if !d.Allow {
			return
		}
		own := map[string]bool{}
		for _, r := range g.RolesOf(q.Actor) {
			own[r.Name] = true
		}
		for _, r := range g.RolesOf(q.Subject) {
			if r.Privileged && (q.ActorKind.Machine() || !own[r.Name] || !decider(t, g, q, d).Impersonate.Privileged) {
				t.Fatalf("Decide: allowed to reach a holder of %s, by %v", r.Name, d.Rules)
			}
		}
	})
}

func TestNeversHoldWhateverTheRegistry(t *testing.T) {
	t.Parallel()
	nevers := map[string]func(*policy.Request){}
	for _, tt := range denials {
		switch tt.want {
		case "never.identity", "never.self", "never.actor_disabled", "never.subject_disabled", "never.protected", "never.actor_kind",
			"never.mode", "never.duration", "never.reason", "never.ticket_number", "never.client", "never.via",
			"consent.none", "consent.other", "consent.over", "client.user_id":
			nevers[tt.name] = tt.edit
		}
	}
	names := slices.Sorted(maps.Keys(nevers))
	rapid.Check(t, func(t *rapid.T) {
		g, q := drawRegistry(t), drawRequest(t)
		nevers[rapid.SampledFrom(names).Draw(t, "never")](&q)
		if d := decide(t, g, q); d.Allow {
			t.Fatalf("Decide: got %+v, want a denial", d)
		}
	})
}

func TestDecideIsPure(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, q := drawRegistry(t), drawRequest(t)
		before, err := json.Marshal([]any{g, q})
		if err != nil {
			t.Fatal(err)
		}
		first := decide(t, g, q)
		if diff := cmp.Diff(first, decide(t, g, q)); diff != "" {
			t.Fatalf("Decide a second time (-first +second):\n%s", diff)
		}
		for i := range first.Scopes { // what is handed out must be the caller's own
			first.Scopes[i] = "changed"
		}
		if after, _ := json.Marshal([]any{g, q}); string(after) != string(before) {
			t.Fatalf("Decide changed its arguments: before %s, after %s", before, after)
		}
	})
}

func decide(t *rapid.T, g policy.Registry, q policy.Request) policy.Decision {
	return policy.Unchecked(g).Decide(t.Context(), q)
}
