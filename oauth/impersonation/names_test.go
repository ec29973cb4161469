package impersonation_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

const idp = "https://idp.example"

// TestNameAt: a name is that of exactly the issuer that is asked for, and never another one in its place.
func TestNameAt(t *testing.T) {
	t.Parallel()
	john := policy.Person{Party: oauth.Party{Issuer: issuer, Subject: "john"}, Identities: []oauth.Party{{Issuer: idp + "/", Subject: "j"}, {Issuer: idp, Subject: "J-1"}}}
	bot := policy.Person{Party: oauth.Party{Issuer: issuer, Subject: "client:bot"}}
	for _, c := range []struct {
		at   string
		of   policy.Person
		want string
	}{
		{"", john, "john"}, {idp, john, "J-1"}, {idp + "/", john, "j"}, {"https://IDP.example", john, ""}, {issuer, john, ""},
		{idp, bot, "client:bot"}, {"", bot, "client:bot"}, {idp, policy.Person{}, ""},
	} {
		if got := impersonation.NameAt(c.at, c.of); got != c.want {
			t.Errorf("%s at %q: got %q, want %q", c.of.Subject, c.at, got, c.want)
		}
	}
}

// TestNamedRight: who was looked up by a name must have it still when the start reads them, and the client must still name people so; else
// one who has the name by then would be somebody else than the policy was asked about.
func TestNamedRight(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for id, sub := range map[string]string{"ann": "A-1", "john": "J-1"} {
		u, err := h.store.Get(t.Context(), id)
		h.ok(err)
		u.Identities = []oauth.Party{{Issuer: idp, Subject: sub}}
		h.ok(h.store.UpdateUser(t.Context(), store.UserWrite{Write: h.write(), User: u}))
	}
	h.ok(h.store.CreateClient(t.Context(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client:   policy.Client{ID: "mapped", Exchange: true, Resources: []string{namedResource}, Scopes: []string{"openid"}},
		Settings: store.Settings{UserID: true, SubjectIssuer: idp},
	}}))
	named := func(sub string) oauth.Party { return oauth.Party{Issuer: idp, Subject: sub} }
	for what, c := range map[string]struct {
		client, user string
		named        oauth.Party
		rule         string // "" starts
	}{
		"as named":                    {"mapped", "john", named("J-1"), ""},
		"by another's name":           {"mapped", "john", named("A-1"), "subject.renamed"},
		"by no name":                  {"mapped", "john", oauth.Party{}, "subject.renamed"},
		"at another issuer":           {"mapped", "john", oauth.Party{Issuer: idp + "/", Subject: "J-1"}, "subject.renamed"},
		"nobody":                      {"mapped", "", named("nobody"), "subject.unknown"},
		"a name where there are none": {"app", "john", named("J-1"), "subject.renamed"},
	} {
		p := h.proof(time.Hour, time.Hour)
		_, err := h.Start(t.Context(), impersonation.StartRequest{UserID: c.user, Named: c.named, Client: c.client, Actor: p, Reason: "cannot find the report tab", RequestID: "req_3"})
		var refusal *impersonation.Refusal
		if c.rule == "" && err != nil || c.rule != "" && (!errors.As(err, &refusal) || !slices.Equal(refusal.Decision.Rules, []string{c.rule})) {
			t.Errorf("%s: got %v, want %q", what, err, c.rule)
		}
	}
}
