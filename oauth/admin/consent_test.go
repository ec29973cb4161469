package admin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// agent registers a client that is an agent.
func (b *bundle) agent(id string) {
	b.t.Helper()
	err := b.st.CreateClient(b.t.Context(), store.ClientWrite{Write: impersonation.Write{Now: time.Now()}, Client: store.Client{
		Client: policy.Client{ID: id, Exchange: true, Scopes: []string{"openid", "app:read", "app:write", "impersonate"}, Resources: []string{policy.DefaultResource}},
		Name:   id, Settings: store.Settings{Service: oauth.ActorAIAgent},
	}})
	if err != nil {
		b.t.Fatal(err)
	}
}

func consentFor(subject directory.User, client string) admin.NewConsent {
	return admin.NewConsent{
		Subject: subject.ID, Actor: "client:" + client, Client: client, Scopes: []string{"openid", "app:read", "openid"}, Until: time.Now().Add(time.Hour),
		Reason: "books his travel",
	}
}

// consents adds one of which u is the subject, one of which they are the actor, and last one of neither.
func (b *bundle) consents(u directory.User) (ids []string) {
	b.t.Helper()
	b.agent("of-it")
	others := b.user("others@acme.test")
	for _, c := range []admin.NewConsent{consentFor(u, "of-it"), consentFor(others, "of-it"), consentFor(b.user("another@acme.test"), "of-it")} {
		if c.Subject == others.ID {
			c.Actor = u.ID
		}
		got, err := b.AddConsent(b.t.Context(), c)
		if err != nil {
			b.t.Fatal(err)
		}
		ids = append(ids, got.ID)
	}
	return ids
}

// wantConsents checks which are not revoked.
func (b *bundle) wantConsents(want ...string) {
	b.t.Helper()
	all, err := b.st.Consents(b.t.Context(), store.ConsentQuery{})
	if err != nil {
		b.t.Fatal(err)
	}
	var live []string
	for _, c := range all {
		if c.Revoked.IsZero() {
			live = append(live, c.ID)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, live); diff != "" {
		b.t.Errorf("consents (-want +got):\n%s", diff)
	}
}

func TestAddConsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john, ann := b.user("john@acme.test"), b.user("ann@acme.test", "admin")
	b.agent("bot")
	got, err := b.AddConsent(t.Context(), consentFor(john, "bot"))
	if err != nil {
		t.Fatal(err)
	}
	if got.ActorKind != oauth.ActorAIAgent || got.Mode != oauth.ModeRead || strings.Join(got.Scopes, " ") != "app:read openid" || !strings.HasPrefix(got.ID, "cns_") {
		t.Errorf("got %+v", got)
	}
	kept, err := b.st.LivingConsent(t.Context(), john.ID, "bot", time.Now())
	if diff := cmp.Diff(got, kept); err != nil || diff != "" {
		t.Errorf("kept: %v (-returned +kept):\n%s", err, diff)
	}
	e := b.last(audit.KindConsentAdd)
	if e.Subject.Subject != john.ID || e.Client != "bot" || e.Fields["consent"] != got.ID || e.Fields["impersonator"] != "client:bot" ||
		e.Fields["scope"] != "app:read openid" || e.Fields["mode"] != "read" || e.Fields["actor_kind"] != "ai_agent" || e.Fields["reason"] != "books his travel" {
		t.Errorf("entry: got %+v", e)
	}
	if _, err := b.AddConsent(t.Context(), consentFor(john, "bot")); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second: got %v, want ErrExists", err)
	}
	person := consentFor(john, "app")
	b.agent("app")
	person.Actor, person.Mode = ann.ID, oauth.ModeWrite
	if got, err := b.AddConsent(t.Context(), person); err != nil || got.ActorKind != oauth.ActorUser || got.Mode != oauth.ModeWrite {
		t.Errorf("a person: got %+v, %v", got, err)
	}
}

func TestAddConsentRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john, ann, old := b.user("john@acme.test"), b.user("ann@acme.test", "admin"), b.user("old@acme.test", "editor")
	b.Registry.Roles = b.Registry.Roles[:2] // nobody knows any more what an editor may
	b.agent("bot")
	b.agent("other")
	b.client("app")
	for name, c := range map[string]struct {
		change func(*admin.NewConsent)
		field  string
	}{
		"oneself":                     {func(n *admin.NewConsent) { n.Actor = john.ID }, "actor"},
		"another client":              {func(n *admin.NewConsent) { n.Actor = "client:other" }, "actor"},
		"a client that is no service": {func(n *admin.NewConsent) { n.Client, n.Actor = "app", "client:app" }, "actor"},
		"no scope":                    {func(n *admin.NewConsent) { n.Scopes = []string{""} }, "scope"},
		"a scope of nobody":           {func(n *admin.NewConsent) { n.Scopes = []string{"money"} }, "scope"},
		"what is never given":         {func(n *admin.NewConsent) { n.Scopes = []string{"impersonate"} }, "scope"},
		"a mode of nobody":            {func(n *admin.NewConsent) { n.Mode = "all" }, "mode"},
		"over":                        {func(n *admin.NewConsent) { n.Until = time.Now().Add(-time.Minute) }, "until"},
		"for ever":                    {func(n *admin.NewConsent) { n.Until = time.Now().Add(admin.MaxConsent + time.Hour) }, "until"},
		"an agent for who has power":  {func(n *admin.NewConsent) { n.Subject = ann.ID }, "subject"},
		"a person for who has more":   {func(n *admin.NewConsent) { n.Subject, n.Actor = ann.ID, john.ID }, "subject"},
		"an agent for who had power":  {func(n *admin.NewConsent) { n.Subject = old.ID }, "subject"},
		"no end":                      {func(n *admin.NewConsent) { n.Until = time.Time{} }, "until"},
		"no reason":                   {func(n *admin.NewConsent) { n.Reason = "because" }, "reason"},
	} {
		t.Run(name, func(t *testing.T) {
			before, n := len(b.entries()), consentFor(john, "bot")
			c.change(&n)
			_, err := b.AddConsent(t.Context(), n)
			b.wantInvalid(err, c.field, before)
		})
	}
	for name, change := range map[string]func(*admin.NewConsent){
		"subject": func(n *admin.NewConsent) { n.Subject = "nobody" },
		"actor":   func(n *admin.NewConsent) { n.Actor = "nobody" },
		"client":  func(n *admin.NewConsent) { n.Client, n.Actor = "nobody", "client:nobody" },
	} {
		n := consentFor(john, "bot")
		change(&n)
		if _, err := b.AddConsent(t.Context(), n); !errors.Is(err, directory.ErrNotFound) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown %s: got %v, want not found", name, err)
		}
	}
	yes := true
	if _, err := b.SetRights(t.Context(), john.ID, admin.Rights{Protected: &yes}); err != nil {
		t.Fatal(err)
	}
	_, err := b.AddConsent(t.Context(), consentFor(john, "bot"))
	b.wantInvalid(err, "subject", len(b.entries()))
}

func TestRemoveConsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john := b.user("john@acme.test")
	b.agent("bot")
	c, err := b.AddConsent(t.Context(), consentFor(john, "bot"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.RemoveConsent(t.Context(), c.ID, "")
	b.wantInvalid(err, "reason", len(b.entries()))
	if _, err := b.RemoveConsent(t.Context(), c.ID, "he asked for it"); err != nil {
		t.Fatal(err)
	}
	if e := b.last(audit.KindConsentRemove); e.Fields["consent"] != c.ID || e.Fields["note"] != "he asked for it" {
		t.Errorf("entry: got %+v", e)
	}
	if _, err := b.RemoveConsent(t.Context(), c.ID, "again"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a second time: got %v, want ErrNotFound", err)
	}
}
