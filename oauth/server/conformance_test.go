package server_test

import (
	"context"
	"testing"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestConformance: the suite that tests other people's servers finds nothing here.
func TestConformance(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		conformance.Test(t, setup(t, o).target(), conformance.Options{Slow: true, Destructive: true})
	})
}

// target is the house as the suite is told of it.
func (h *house) target() conformance.Target {
	h.t.Helper()
	const secret = "a password that is long enough"
	phc, err := password.New(0, 0).Hash(context.Background(), secret)
	h.must(err)
	account := func(id string) *conformance.Account {
		h.must(h.store.SetCredentials(context.Background(), store.CredentialsWrite{Write: h.write(), UserID: id, Password: &phc}))
		return &conformance.Account{Subject: id, Login: id + "@acme.test", Password: secret}
	}
	client := func(id string) *conformance.Client {
		return &conformance.Client{ID: id, Secret: h.secrets[id], RedirectURI: callback}
	}
	h.addPinned("plain", func(c *store.Client) { c.Exchange = false })
	return conformance.Target{
		Issuer: h.issuer, Resource: resource, Scope: actorScope, SubjectScope: "openid app:read",
		Clients:  conformance.Clients{App: *client("app"), Other: client("other"), NoExchange: client("plain")},
		Accounts: conformance.Accounts{Actor: *account("ann"), OtherActor: account("bea"), Subject: *account("john"), Protected: account("pat"), Ordinary: account("eve")},
		Start: conformance.Start{
			By: conformance.StartByTicket, Page: "/impersonate", TicketParam: "ticket",
			Query:            map[string]string{"subject": "{subject}"},
			Fields:           map[string]string{"mode": "{mode}", "reason": "{reason}", "minutes": "30"},
			SubjectTokenType: "urn:understudy:params:oauth:token-type:ticket",
			ReturnTokenType:  "urn:understudy:params:oauth:token-type:return_token", ReturnTokenMember: "understudy_return_token",
			ReadMode: "read", WriteMode: "write",
		},
	}
}
