package storetest

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// ownGrant is a token of the client's own that is not written yet.
func (k *kit) ownGrant(client string) store.Grant {
	return store.Grant{
		ID: oauth.NewID("grt"), Client: client, Scope: []string{"orders:read"}, Audience: "https://api.acme.test", Created: k.now,
		JTI: oauth.NewID("tok"), Issued: k.now, Expires: k.now.Add(10 * time.Minute), Key: "jkt_1",
	}
}

var clientGrantCases = []testCase{
	{"client-grant/round-trip", "a token of a client's own is found by its jti, has nobody behind it, and can be revoked", func(k *kit) {
		g := k.ownGrant(app)
		k.ok(k.store.CreateClientGrant(k.Context(), g))
		got, err := k.store.GrantByJTI(k.Context(), g.JTI)
		k.ok(err)
		k.same("GrantByJTI", got, g)
		k.wantErr("the same token", k.store.CreateClientGrant(k.Context(), g), store.ErrExists)
		if !k.revoke(g.ID, k.now) {
			k.Error("want it revoked")
		}
	}},
	{"client-grant/client", "a client that is not there, is removed or is killed gets no token of its own", func(k *kit) {
		k.wantErr("of nobody", k.store.CreateClientGrant(k.Context(), k.ownGrant("none")), impersonation.ErrChanged)
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client("bot")}))
		own := k.ownGrant("bot")
		k.ok(k.store.CreateClientGrant(k.Context(), own))
		k.ok(k.store.DeleteClient(k.Context(), "bot", k.endWrite(impersonation.ScopeClient, "bot")))
		k.wantErr("of one removed", k.store.CreateClientGrant(k.Context(), k.ownGrant("bot")), impersonation.ErrChanged)
		_, err := k.store.GrantByJTI(k.Context(), own.JTI)
		k.wantErr("what it had", err, store.ErrNotFound)
	}},
	{"client-grant/kill", "a kill of a client revokes what is its own, for good, and leaves people their tokens there", func(k *kit) {
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client("bot")}))
		own, others, persons := k.ownGrant(app), k.ownGrant("bot"), k.grant()
		k.ok(k.store.CreateClientGrant(k.Context(), own))
		k.ok(k.store.CreateClientGrant(k.Context(), others))
		kill := k.endWrite(impersonation.ScopeClient, app)
		kill.Kill = true
		_, err := k.store.End(k.Context(), kill)
		k.ok(err)
		k.wantErr("while killed", k.store.CreateClientGrant(k.Context(), k.ownGrant(app)), impersonation.ErrChanged)
		k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: impersonation.ScopeClient, ID: app}))
		k.ok(k.store.CreateClientGrant(k.Context(), k.ownGrant(app)))
		for what, c := range map[string]struct {
			jti     string
			revoked bool
		}{"its own": {own.JTI, true}, "another client's": {others.JTI, false}, "a person's": {persons.JTI, false}} {
			if g, err := k.store.GrantByJTI(k.Context(), c.jti); err != nil || g.Revoked.IsZero() == c.revoked {
				k.Errorf("%s: got revoked at %v, %v; want revoked %v", what, g.Revoked, err, c.revoked)
			}
		}
	}},
}
