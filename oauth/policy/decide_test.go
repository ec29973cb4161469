package policy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

const issuer = "https://id.example"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// registry is Default with something of everything: a resource with scopes of its own, one that knows nothing of act, a
// client that may only look, a role by group, one for a few subjects, one that reaches privileged ones.
func registry() policy.Registry {
	g := policy.Default()
	g.Resources = append(g.Resources,
		policy.Resource{URI: "https://books.example", AcceptsAct: true, Scopes: []string{"books:read", "books:write", "impersonate"}},
		policy.Resource{URI: "https://old.example"},
		policy.Resource{URI: "https://other.example", AcceptsAct: true})
	g.Scopes = append(g.Scopes, policy.Scope{Name: "books:read", Class: policy.ScopeRead}, policy.Scope{Name: "money", Class: policy.ScopeNever})
	g.Roles = append(g.Roles,
		policy.Role{Name: "reader", Groups: []string{"library"}, Scopes: []string{"books:read", "books:write", "money"}},
		policy.Role{Name: "tester"},
		policy.Role{Name: "coach", Impersonate: &policy.Impersonate{
			Subjects: []string{"tester", "reader"}, Scopes: []string{"openid", "books:read", "books:write"},
			Modes: []oauth.Mode{oauth.ModeWrite}, Minutes: 20, TicketNumber: true,
		}},
		policy.Role{Name: "root", Privileged: true, Impersonate: &policy.Impersonate{
			Organisations: policy.AnyOrganisation, Privileged: true, Scopes: []string{"openid"},
		}})
	g.Modes = map[string][]oauth.Mode{"kiosk": {oauth.ModeRead}}
	return g
}

func rules(t testing.TB, o policy.Options) *policy.Rules {
	t.Helper()
	r, err := policy.New(registry(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func person(name, organisation string, roles ...string) policy.Person {
	return policy.Person{
		Party: oauth.Party{Issuer: issuer, Subject: "usr_" + name}, Name: name, Email: name + "@acme.test",
		Organisation: organisation, Roles: roles, Enabled: true,
	}
}

// request is one that is allowed: Ann of support looks at John of the same organisation.
func request() policy.Request {
	return policy.Request{
		Actor: person("ann", "acme", "support"), ActorKind: oauth.ActorUser, Subject: person("john", "acme"),
		Client: policy.Client{
			ID: "crm", Exchange: true,
			Scopes:    []string{"openid", "profile", "app:read", "app:write", "books:read", "books:write", "money", "impersonate"},
			Resources: []string{policy.DefaultResource, "https://books.example", "https://old.example", "https://nowhere.example"},
		},
		Mode: oauth.ModeRead, Duration: 30 * time.Minute, Reason: "she cannot find the report",
		AuthTime: now.Add(-5 * time.Minute), AMR: []string{"pwd", "otp", "mfa"}, Via: policy.ViaPage, Now: now,
	}
}

// consented makes q one by the subject's own token.
func consented(q *policy.Request) {
	q.Via = policy.ViaToken
	q.Consent = &policy.Consent{
		ID: "cns_1", Subject: q.Subject.Party, Actor: q.Actor.Party, ActorKind: q.ActorKind, Client: q.Client.ID,
		Scopes: []string{"openid", "app:read", "app:write", "money"}, Mode: oauth.ModeRead, Until: now.Add(time.Hour),
	}
}

// agent makes q one of an agent that acts for John with his consent.
func agent(q *policy.Request) {
	q.ActorKind, q.Client.Service = oauth.ActorAIAgent, oauth.ActorAIAgent
	q.Actor = policy.Person{Party: oauth.Party{Issuer: issuer, Subject: "client:" + q.Client.ID}, Enabled: true}
	q.AuthTime, q.AMR = time.Time{}, nil
	consented(q)
}

func TestDecideAllows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*policy.Request)
		role string
		want []string // scopes
	}{
		{"support looks", func(*policy.Request) {}, "support", []string{"app:read", "openid", "profile"}},
		{"asked for less", func(q *policy.Request) { q.Scopes = []string{"openid", "app:write", "unknown"} }, "support", []string{"openid"}},
		{"client has less", func(q *policy.Request) { q.Client.Scopes = []string{"app:read"} }, "support", []string{"app:read"}},
		{"admin acts", func(q *policy.Request) { q.Actor.Roles, q.Mode = []string{"admin"}, oauth.ModeWrite }, "admin",
			[]string{"app:read", "app:write", "openid", "profile"}},
		{"admin looks", func(q *policy.Request) { q.Actor.Roles = []string{"admin"} }, "admin", []string{"app:read", "openid", "profile"}},
		{"admin in another organisation", func(q *policy.Request) { q.Actor.Roles, q.Actor.Organisation = []string{"admin"}, "" }, "admin",
			[]string{"app:read", "openid", "profile"}},
		{"the second role covers", func(q *policy.Request) { q.Actor.Roles, q.Duration = []string{"admin", "support"}, time.Hour }, "admin",
			[]string{"app:read", "openid", "profile"}},
		{"a resource with scopes of its own", func(q *policy.Request) {
			q.Actor.Roles, q.Subject.Groups = []string{"coach"}, []string{"library"}
			q.Resource, q.Mode, q.Duration, q.TicketNumber = "https://books.example", oauth.ModeWrite, 20*time.Minute, "#7"
		}, "coach", []string{"books:read", "books:write"}},
		{"an unregistered scope counts as write", func(q *policy.Request) {
			q.Actor.Roles, q.Subject.Groups = []string{"coach"}, []string{"library"}
			q.Resource, q.Duration, q.TicketNumber = "https://books.example", time.Minute, "#7"
		}, "coach", []string{"books:read"}},
		{"a subject has no more than their roles give", func(q *policy.Request) {
			q.Actor.Roles, q.Subject.Roles = []string{"coach"}, []string{"tester"}
			q.Duration, q.TicketNumber = time.Minute, "#7"
		}, "coach", []string{"openid"}},
		{"a privileged subject", func(q *policy.Request) {
			q.Actor.Roles, q.Subject.Roles = []string{"root", "admin"}, []string{"admin"}
		}, "root", []string{"openid"}},
		{"a reason of many lines", func(q *policy.Request) { q.Reason = "first\n\tsecond" }, "support", []string{"app:read", "openid", "profile"}},
		{"a reason of 500 characters", func(q *policy.Request) { q.Reason = " " + strings.Repeat("é", 500) + " " }, "support",
			[]string{"app:read", "openid", "profile"}},
		{"a sign-in of a minute and a user id", func(q *policy.Request) {
			q.Via, q.Client.UserID, q.AuthTime = policy.ViaUserID, true, now.Add(-time.Minute)
		}, "support", []string{"app:read", "openid", "profile"}},
		{"people without an e-mail address", func(q *policy.Request) { q.Actor.Email, q.Subject.Email = "", "" }, "support",
			[]string{"app:read", "openid", "profile"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := request()
			tt.edit(&q)
			r := rules(t, policy.Options{RequireSecondFactor: true, MaxAuthAge: 10 * time.Minute})
			resource := q.Resource
			if resource == "" {
				resource = policy.DefaultResource
			}
			want := policy.Decision{
				Allow: true, Mode: q.Mode, Scopes: tt.want, Resource: resource, MaxDuration: q.Duration,
				Version: r.Version(), Rules: []string{"role.allow:" + tt.role},
			}
			if diff := cmp.Diff(want, r.Decide(t.Context(), q)); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

// A consent is a bound like the others: of scopes, and of time.
func TestDecideByConsent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		edit  func(*policy.Request)
		want  []string
		rules []string
	}{
		{"an agent looks", agent, []string{"app:read", "openid"}, []string{"consent.allow:cns_1"}},
		{"an agent acts", func(q *policy.Request) { agent(q); q.Mode, q.Consent.Mode = oauth.ModeWrite, oauth.ModeWrite },
			[]string{"app:read", "app:write", "openid"}, []string{"consent.allow:cns_1"}},
		{"a person looks", consented, []string{"app:read", "openid"}, []string{"role.allow:support", "consent.allow:cns_1"}},
		{"a person for longer than the role: it is cut", func(q *policy.Request) { consented(q); q.Duration = time.Hour },
			[]string{"app:read", "openid"}, []string{"role.allow:support", "consent.allow:cns_1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := request()
			tt.edit(&q)
			r := rules(t, policy.Options{RequireSecondFactor: true, MaxAuthAge: 10 * time.Minute})
			want := policy.Decision{
				Allow: true, Mode: q.Mode, Scopes: tt.want, Resource: policy.DefaultResource, MaxDuration: 30 * time.Minute, ValidUntil: now.Add(time.Hour),
				Version: r.Version(), Rules: tt.rules,
			}
			if diff := cmp.Diff(want, r.Decide(t.Context(), q)); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

// denials has a case, or more, for every rule.
var denials = []struct {
	name string
	edit func(*policy.Request)
	want string // the rule
}{
	{"actor without issuer", func(q *policy.Request) { q.Actor.Issuer = "" }, "never.identity"},
	{"actor without sub", func(q *policy.Request) { q.Actor.Party.Subject = "" }, "never.identity"},
	{"subject without issuer", func(q *policy.Request) { q.Subject.Issuer = "" }, "never.identity"},
	{"nobody", func(q *policy.Request) { q.Actor, q.Subject = policy.Person{}, policy.Person{} }, "never.identity"},
	{"self", func(q *policy.Request) { q.Subject.Party = q.Actor.Party }, "never.self"},
	{"self by e-mail", func(q *policy.Request) { q.Actor.Email, q.Subject.Email = "ann@acme.test", " ANN@Acme.Test" }, "never.self"},
	{"actor disabled", func(q *policy.Request) { q.Actor.Enabled = false }, "never.actor_disabled"},
	{"subject disabled", func(q *policy.Request) { q.Subject.Enabled = false }, "never.subject_disabled"},
	{"subject protected", func(q *policy.Request) { q.Subject.Protected = true }, "never.protected"},
	{"service", func(q *policy.Request) { q.ActorKind, q.Client.Service = oauth.ActorService, "" }, "never.actor_kind"},
	{"agent", func(q *policy.Request) { q.ActorKind, q.Client.Service = oauth.ActorAIAgent, "" }, "never.actor_kind"},
	{"no kind", func(q *policy.Request) { q.ActorKind = "" }, "never.actor_kind"},
	{"no mode", func(q *policy.Request) { q.Mode = "" }, "never.mode"},
	{"unknown mode", func(q *policy.Request) { q.Mode = "admin" }, "never.mode"},
	{"no duration", func(q *policy.Request) { q.Duration = 0 }, "never.duration"},
	{"negative duration", func(q *policy.Request) { q.Duration = -time.Minute }, "never.duration"},
	{"over an hour", func(q *policy.Request) { q.Actor.Roles, q.Duration = []string{"admin"}, time.Hour+1 }, "never.duration"},
	{"no reason", func(q *policy.Request) { q.Reason = "" }, "never.reason"},
	{"reason of 9 characters and space", func(q *policy.Request) { q.Reason = "  éééééé789  " }, "never.reason"},
	{"reason of 501 characters", func(q *policy.Request) { q.Reason = strings.Repeat("x", 501) }, "never.reason"},
	{"reason with control", func(q *policy.Request) { q.Reason = "she cannot find\x1b[2J" }, "never.reason"},
	{"reason with carriage return", func(q *policy.Request) { q.Reason = "she cannot find\r\nit" }, "never.reason"},
	{"reason that is not UTF-8", func(q *policy.Request) { q.Reason = "she cannot find\xff" }, "never.reason"},
	{"long ticket number", func(q *policy.Request) { q.TicketNumber = strings.Repeat("é", 65) }, "never.ticket_number"},
	{"ticket number with newline", func(q *policy.Request) { q.TicketNumber = "1\n2" }, "never.ticket_number"},
	{"ticket number that is not UTF-8", func(q *policy.Request) { q.TicketNumber = "\xff" }, "never.ticket_number"},
	{"public client", func(q *policy.Request) { q.Client.Public = true }, "never.client"},
	{"client without exchange", func(q *policy.Request) { q.Client.Exchange = false }, "never.client"},
	{"unregistered resource", func(q *policy.Request) { q.Resource = "https://nowhere.example" }, "target.unknown"},
	{"client without resources", func(q *policy.Request) { q.Client.Resources = nil }, "target.unknown"},
	{"longer resource", func(q *policy.Request) { q.Resource = "https://books.example/" }, "target.unknown"},
	{"another client's resource", func(q *policy.Request) { q.Resource = "https://other.example" }, "target.client"},
	{"resource that knows no act", func(q *policy.Request) { q.Resource = "https://old.example" }, "target.accepts_act"},
	{"a client that may not start by a user id", func(q *policy.Request) { q.Via, q.Client.UserID = policy.ViaUserID, false }, "client.user_id"},
	{"full access by a user id", func(q *policy.Request) {
		q.Via, q.Client.UserID, q.Actor.Roles, q.Mode = policy.ViaUserID, true, []string{"admin"}, oauth.ModeWrite
	}, "door.mode"},
	{"a user id, a sign-in of six minutes", func(q *policy.Request) {
		q.Via, q.Client.UserID, q.AuthTime = policy.ViaUserID, true, now.Add(-policy.MaxUserIDAge-1)
	}, "need.fresh_sign_in"},
	{"a user id without a role", func(q *policy.Request) { q.Via, q.Client.UserID, q.Actor.Roles = policy.ViaUserID, true, nil }, "role.none"},
	{"a service at the page", func(q *policy.Request) { agent(q); q.Via = policy.ViaPage }, "never.actor_kind"},
	{"a service with a user id", func(q *policy.Request) { agent(q); q.Via, q.Client.UserID = policy.ViaUserID, true }, "never.actor_kind"},
	{"another client's service", func(q *policy.Request) {
		agent(q)
		q.Actor.Party.Subject, q.Consent.Actor.Subject = "client:else", "client:else"
	}, "never.actor_kind"},
	{"a client that is no service", func(q *policy.Request) { agent(q); q.Client.Service = "" }, "never.actor_kind"},
	{"a service of another kind", func(q *policy.Request) { agent(q); q.Client.Service = oauth.ActorService }, "never.actor_kind"},
	{"an agent for a protected subject", func(q *policy.Request) { agent(q); q.Subject.Protected = true }, "never.protected"},
	{"an agent for a disabled subject", func(q *policy.Request) { agent(q); q.Subject.Enabled = false }, "never.subject_disabled"},
	{"an agent for a privileged subject", func(q *policy.Request) { agent(q); q.Subject.Roles = []string{"admin"} }, "role.privileged"},
	{"an agent at a client for looking only", func(q *policy.Request) {
		q.Client.ID = "kiosk"
		agent(q)
		q.Mode, q.Consent.Mode = oauth.ModeWrite, oauth.ModeWrite
	}, "client.mode"},
	{"no consent", func(q *policy.Request) { agent(q); q.Consent = nil }, "consent.none"},
	{"a person without consent", func(q *policy.Request) { q.Via, q.Consent = policy.ViaToken, nil }, "consent.none"},
	{"another subject's consent", func(q *policy.Request) { agent(q); q.Consent.Subject.Subject = "usr_eve" }, "consent.other"},
	{"consent to another actor", func(q *policy.Request) { agent(q); q.Consent.Actor.Issuer = "https://else.example" }, "consent.other"},
	{"consent to another kind", func(q *policy.Request) { agent(q); q.Consent.ActorKind = oauth.ActorService }, "consent.other"},
	{"consent at another client", func(q *policy.Request) { agent(q); q.Consent.Client = "else" }, "consent.other"},
	{"consent that is over", func(q *policy.Request) { agent(q); q.Consent.Until = q.Now }, "consent.over"},
	{"consent that never began", func(q *policy.Request) { agent(q); q.Consent.Until = time.Time{} }, "consent.over"},
	{"consent to look", func(q *policy.Request) { agent(q); q.Mode = oauth.ModeWrite }, "consent.mode"},
	{"consent to nothing", func(q *policy.Request) { agent(q); q.Consent.Scopes = nil }, "scope.none"},
	{"a person with consent and no role", func(q *policy.Request) { consented(q); q.Actor.Roles = nil }, "role.none"},
	{"a person with consent in another organisation", func(q *policy.Request) { consented(q); q.Subject.Organisation = "globex" }, "role.organisation"},
	{"a person with consent, no second factor", func(q *policy.Request) { consented(q); q.AMR = nil }, "need.second_factor"},
	{"no door", func(q *policy.Request) { q.Via = "" }, "never.via"},
	{"no second factor", func(q *policy.Request) { q.AMR = []string{"pwd", "mfa2"} }, "need.second_factor"},
	{"sign-in too old", func(q *policy.Request) { q.AuthTime = now.Add(-10*time.Minute - 1) }, "need.fresh_sign_in"},
	{"sign-in unknown", func(q *policy.Request) { q.AuthTime, q.Now = time.Time{}, time.Time{} }, "need.fresh_sign_in"},
	{"sign-in of the future", func(q *policy.Request) { q.AuthTime = now.Add(time.Minute + 1) }, "need.fresh_sign_in"},
	{"no role", func(q *policy.Request) { q.Actor.Roles = nil }, "role.none"},
	{"role that does not impersonate", func(q *policy.Request) { q.Actor.Roles = []string{"tester"} }, "role.none"},
	{"unregistered role", func(q *policy.Request) { q.Actor.Roles = []string{"Support"} }, "role.none"},
	{"another organisation", func(q *policy.Request) { q.Subject.Organisation = "globex" }, "role.organisation"},
	{"staff to customers", func(q *policy.Request) { q.Actor.Organisation = "" }, "role.organisation"},
	{"customers to staff", func(q *policy.Request) { q.Subject.Organisation = "" }, "role.organisation"},
	{"not one of the subjects", func(q *policy.Request) { q.Actor.Roles = []string{"coach"} }, "role.subjects"},
	{"subject with a role that nobody registered", func(q *policy.Request) { q.Subject.Roles = []string{"dropped"} }, "role.privileged"},
	{"privileged subject", func(q *policy.Request) { q.Subject.Roles = []string{"support"} }, "role.privileged"},
	{"privileged subject, held but not allowed", func(q *policy.Request) {
		q.Actor.Roles, q.Subject.Roles = []string{"admin"}, []string{"admin"}
	}, "role.privileged"},
	{"privileged subject, allowed but not held", func(q *policy.Request) {
		q.Actor.Roles, q.Subject.Roles = []string{"root"}, []string{"root", "admin"}
	}, "role.privileged"},
	{"client for looking only", func(q *policy.Request) {
		q.Actor.Roles, q.Mode, q.Client.ID = []string{"admin"}, oauth.ModeWrite, "kiosk"
	}, "client.mode"},
	{"role for looking only", func(q *policy.Request) { q.Mode = oauth.ModeWrite }, "role.mode"},
	{"longer than the role", func(q *policy.Request) { q.Duration = 30*time.Minute + 1 }, "role.duration"},
	{"longer than a role that says nothing", func(q *policy.Request) { q.Actor.Roles, q.Duration = []string{"root"}, 31*time.Minute }, "role.duration"},
	{"no ticket number", func(q *policy.Request) {
		q.Actor.Roles, q.Subject.Roles, q.Duration, q.TicketNumber = []string{"coach"}, []string{"tester"}, time.Minute, "  "
	}, "role.ticket_number"},
	{"the nearest of two roles", func(q *policy.Request) { q.Actor.Roles, q.Duration = []string{"coach", "support"}, time.Hour }, "role.duration"},
	{"nothing asked for", func(q *policy.Request) { q.Scopes = []string{} }, "scope.none"},
	{"nothing but what is never granted", func(q *policy.Request) {
		q.Scopes = []string{"impersonate", "impersonation:write", "offline_access"}
	}, "scope.none"},
	{"nothing that the client has", func(q *policy.Request) { q.Client.Scopes = nil }, "scope.none"},
	{"nothing that the resource has", func(q *policy.Request) { q.Resource = "https://books.example" }, "scope.none"},
}

// What the wire and the page make of a denial, where it is not a plain one.
var (
	refusals = map[string]policy.Refusal{
		"never.client": policy.RefusalClient, "client.user_id": policy.RefusalClient, "scope.none": policy.RefusalScope,
		"target.unknown": policy.RefusalTarget, "target.client": policy.RefusalTarget, "target.accepts_act": policy.RefusalTarget,
		"need.second_factor": policy.RefusalStepUp, "need.fresh_sign_in": policy.RefusalStepUp,
	}
	needs = map[string][]policy.Need{
		"need.second_factor": {policy.NeedStepUp}, "need.fresh_sign_in": {policy.NeedStepUp}, "role.ticket_number": {policy.NeedTicketNumber},
		"consent.none": {policy.NeedConsent}, "consent.other": {policy.NeedConsent}, "consent.over": {policy.NeedConsent},
	}
)

func TestDecideDenies(t *testing.T) {
	t.Parallel()
	for _, tt := range denials {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := request()
			tt.edit(&q)
			r := rules(t, policy.Options{RequireSecondFactor: true, MaxAuthAge: 10 * time.Minute})
			got := r.Decide(t.Context(), q)
			want := policy.Decision{
				Version: r.Version(), Rules: []string{tt.want},
				Refusal: refusals[tt.want], Need: needs[tt.want], Advice: got.Advice,
			}
			if want.Refusal == policy.RefusalStepUp {
				want.MaxAuthAge, want.SecondFactor = 10*time.Minute, true
				if q.Via == policy.ViaUserID {
					want.MaxAuthAge = policy.MaxUserIDAge
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
			if got.Advice == "" {
				t.Error("Decide: no advice")
			}
		})
	}
}

func TestEveryRuleHasACase(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"error.context": true} // TestDecideAfterTheContextEnded
	for _, tt := range denials {
		seen[tt.want] = true
	}
	for _, id := range policy.RuleIDs() {
		if !seen[id] {
			t.Errorf("rule %s has no case in denials", id)
		}
	}
}

// An actor must not learn from the answer why somebody is out of reach.
func TestAdviceTellsNothingOfTheSubject(t *testing.T) {
	t.Parallel()
	about := []string{"consent.none", "consent.other", "consent.over", "never.subject_disabled", "never.protected", "role.organisation", "role.subjects", "role.privileged"}
	for _, tt := range denials {
		if !slices.Contains(about, tt.want) {
			continue
		}
		q := request()
		tt.edit(&q)
		if got, want := rules(t, policy.Options{}).Decide(t.Context(), q).Advice, "You cannot impersonate this user."; got != want {
			t.Errorf("%s: Advice: got %q, want %q", tt.name, got, want)
		}
	}
}

func TestDecideAfterTheContextEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := rules(t, policy.Options{}).Decide(ctx, request())
	if got.Allow || !slices.Equal(got.Rules, []string{"error.context"}) {
		t.Errorf("Decide: got %+v, want a denial by error.context", got)
	}
}

// A page shows whom one could impersonate before the reason, the ticket number and the second sign-in.
func TestPreviewAsksLess(t *testing.T) {
	t.Parallel()
	q := request()
	q.Actor.Roles, q.Subject.Roles, q.Duration = []string{"coach"}, []string{"tester"}, time.Minute
	q.Preview, q.Reason, q.AMR, q.AuthTime = true, "", nil, time.Time{}
	r := rules(t, policy.Options{RequireSecondFactor: true, MaxAuthAge: 10 * time.Minute})
	if got := r.Decide(t.Context(), q); !got.Allow {
		t.Errorf("Decide with Preview: got %+v, want it allowed", got)
	}
	q.Subject.Protected = true
	if got := r.Decide(t.Context(), q); got.Allow {
		t.Errorf("Decide with Preview of a protected subject: got %+v, want a denial", got)
	}
}

// Without options neither the second factor nor the age of the sign-in matters.
func TestOptionsAreOffByDefault(t *testing.T) {
	t.Parallel()
	q := request()
	q.AMR, q.AuthTime = nil, time.Time{}
	if got := rules(t, policy.Options{}).Decide(t.Context(), q); !got.Allow {
		t.Errorf("Decide: got %+v, want it allowed", got)
	}
}

func TestZeroRegistryPermitsNothing(t *testing.T) {
	t.Parallel()
	r, err := policy.New(policy.Registry{}, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Decide(t.Context(), request()); got.Allow {
		t.Errorf("Decide: got %+v, want a denial", got)
	}
}

func BenchmarkDecide(b *testing.B) {
	r := rules(b, policy.Options{RequireSecondFactor: true, MaxAuthAge: 10 * time.Minute})
	for _, bb := range []struct {
		name string
		edit func(*policy.Request)
	}{
		{"allow", func(*policy.Request) {}},
		{"deny", func(q *policy.Request) { q.Subject.Roles = []string{"admin"} }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			q, ctx := request(), b.Context()
			bb.edit(&q)
			b.ReportAllocs()
			for b.Loop() {
				r.Decide(ctx, q)
			}
		})
	}
}

// TestStepUpTellsNothing: how the actor must sign in is said before the subject is looked at, so it is the same for whomever.
//
// Covers RFC8693-2.2.2-06.
func TestStepUpTellsNothing(t *testing.T) {
	t.Parallel()
	r := rules(t, policy.Options{RequireSecondFactor: true, MaxAuthAge: 10 * time.Minute})
	for _, via := range []policy.Via{policy.ViaPage, policy.ViaUserID} {
		for name, subject := range map[string]func(*policy.Request){
			"anybody": func(*policy.Request) {}, "nobody": func(q *policy.Request) { q.Subject = policy.Person{} }, "protected": func(q *policy.Request) { q.Subject.Protected = true },
			"disabled": func(q *policy.Request) { q.Subject.Enabled = false }, "themselves": func(q *policy.Request) { q.Subject = q.Actor },
			"elsewhere": func(q *policy.Request) { q.Subject.Organisation = "elsewhere" }, "staff": func(q *policy.Request) { q.Subject.Roles = []string{"nobody knows"} },
		} {
			q := request()
			q.Via, q.Client.UserID, q.AMR = via, true, []string{"pwd"}
			subject(&q)
			if d := r.Decide(t.Context(), q); d.Allow || d.Refusal != policy.RefusalStepUp || d.Rules[0] != "need.second_factor" {
				t.Errorf("%s, %s: got %v; want a step-up", via, name, d.Rules)
			}
		}
	}
}

// Who guesses at user ids learns nothing by scopes: what the client cannot have is named before the subject is looked at, and what this
// subject cannot have is no other refusal than that there is no such person.
func TestUserIDTellsNoScopes(t *testing.T) {
	t.Parallel()
	r := rules(t, policy.Options{})
	for _, tt := range []struct {
		name string
		edit func(*policy.Request)
		rule string
		want policy.Refusal
	}{
		{"nobody's scope", func(q *policy.Request) { q.Scopes = []string{"no-such-scope"} }, "scope.none", policy.RefusalScope},
		{"nobody's scope, disabled", func(q *policy.Request) { q.Scopes, q.Subject.Enabled = []string{"no-such-scope"}, false }, "scope.none", policy.RefusalScope},
		{"not this subject's", func(q *policy.Request) { q.Scopes = []string{"books:read"} }, "scope.none", policy.RefusalPolicy},
		{"disabled", func(q *policy.Request) { q.Subject.Enabled = false }, "never.subject_disabled", policy.RefusalPolicy},
	} {
		q := request()
		q.Via, q.Client.UserID, q.AuthTime = policy.ViaUserID, true, now.Add(-time.Minute)
		tt.edit(&q)
		if d := r.Decide(t.Context(), q); d.Allow || d.Refusal != tt.want || !slices.Equal(d.Rules, []string{tt.rule}) {
			t.Errorf("%s: got %+v; want %s, refusal %d", tt.name, d, tt.rule, tt.want)
		}
	}
}
