package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// family is a grant that can be refreshed, as the redemption of its code leaves it.
func (k *kit) family(client, login string) store.Grant {
	k.Helper()
	g := store.Grant{
		ID: oauth.NewID("grt"), Client: client, User: ann, Login: login, Scope: []string{"openid"}, Audience: "https://api.acme.test",
		CodeHash: oauth.NewSecret().Hash(), Created: k.now, CodeExpires: k.now.Add(time.Minute),
	}
	g.Family = g.ID
	k.ok(k.store.CreateGrant(k.Context(), g))
	g.JTI, g.Issued, g.Expires, g.Key = oauth.NewID("tok"), k.now, k.now.Add(10*time.Minute), "jkt_1"
	g.RefreshHash, g.RefreshExpires = oauth.NewSecret().Hash(), k.now.Add(8*time.Hour)
	k.ok(k.store.SetToken(k.Context(), g.ID, store.Token{JTI: g.JTI, Issued: g.Issued, Expires: g.Expires, Key: g.Key, Refresh: g.RefreshHash, RefreshExpires: g.RefreshExpires}))
	return g
}

// refreshWrite goes on from g.
func (k *kit) refreshWrite(g store.Grant) store.RefreshWrite {
	next := g
	next.ID, next.JTI, next.RefreshHash, next.CodeHash, next.CodeExpires = oauth.NewID("grt"), oauth.NewID("tok"), oauth.NewSecret().Hash(), oauth.Hash{}, time.Time{}
	return store.RefreshWrite{Write: k.write(), Refresh: g.RefreshHash, Next: next}
}

func (k *kit) refresh(g store.Grant) store.Grant {
	k.Helper()
	w := k.refreshWrite(g)
	k.ok(k.store.Refresh(k.Context(), w))
	return w.Next
}

func (k *kit) revokeFamily(family string) bool {
	k.Helper()
	revoked, err := k.store.RevokeFamily(k.Context(), family, k.recorded(audit.KindReuse))
	k.ok(err)
	return revoked
}

// over reports whether the token counts no more.
func (k *kit) over(jti string) bool {
	k.Helper()
	g, err := k.store.GrantByJTI(k.Context(), jti)
	if !errors.Is(err, store.ErrNotFound) {
		k.ok(err)
	}
	return err != nil || !g.Revoked.IsZero()
}

var refreshCases = []testCase{
	{"refresh/round-trip", "a refresh spends the token, writes the grant that follows, and is a use of the login", func(k *kit) {
		g := k.family(app, k.login)
		got, err := k.store.GrantByRefresh(k.Context(), g.RefreshHash)
		k.ok(err)
		k.same("GrantByRefresh", got, g)
		w := k.refreshWrite(g)
		w.Now = k.now.Add(time.Minute)
		k.ok(k.store.Refresh(k.Context(), w))
		next, err := k.store.GrantByRefresh(k.Context(), w.Next.RefreshHash)
		k.ok(err)
		k.same("the next", next, w.Next)
		g.RefreshUsed = w.Now
		old, err := k.store.GrantByJTI(k.Context(), g.JTI)
		k.ok(err)
		k.same("the one before", old, g)
		if l, err := k.store.Login(k.Context(), k.login); err != nil || l.LastUsed != w.Now {
			k.Errorf("the login was used at %v, %v; want %v", l.LastUsed, err, w.Now)
		}
		_, err = k.store.GrantByRefresh(k.Context(), oauth.Hash{})
		k.wantErr("the zero token", err, store.ErrNotFound)
	}},
	{"refresh/once", "a refresh token is spent once, and what is refused writes nothing", func(k *kit) {
		g := k.family(app, k.login)
		k.refresh(g)
		late := k.refreshWrite(g)
		k.wantErr("again", k.store.Refresh(k.Context(), late), store.ErrSpent)
		unknown := k.refreshWrite(g)
		unknown.Refresh = oauth.NewSecret().Hash()
		k.wantErr("unknown", k.store.Refresh(k.Context(), unknown), store.ErrNotFound)
		for _, w := range []store.RefreshWrite{late, unknown} {
			if _, err := k.store.GrantByJTI(k.Context(), w.Next.JTI); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("a refused refresh left a grant: %v", err)
			}
		}
	}},
	{"refresh/ended", "what ends the sign-in ends its refresh token", func(k *kit) {
		for what, end := range map[string]func(g store.Grant){
			"the grant revoked":  func(g store.Grant) { k.revoke(g.ID, k.now) },
			"the family revoked": func(g store.Grant) { k.revokeFamily(g.Family) },
			"signed out": func(g store.Grant) {
				w := k.endWrite(impersonation.ScopeLogin, g.Login)
				_, err := k.store.EndLogin(k.Context(), w)
				k.ok(err)
			},
			"disabled": func(g store.Grant) {
				k.change(ann, func(u *directory.User) { u.Enabled = false })
			},
		} {
			g := k.family(app, k.signIn(ann))
			end(g)
			w := k.refreshWrite(g)
			k.wantErr(what, k.store.Refresh(k.Context(), w), impersonation.ErrChanged)
			if _, err := k.store.GrantByJTI(k.Context(), w.Next.JTI); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("%s: a refused refresh left a grant: %v", what, err)
			}
			k.change(ann, func(u *directory.User) { u.Enabled = true })
		}
	}},
	{"refresh/family", "a family is revoked as one, with what a stop gave back, and once; others stay", func(k *kit) {
		g, other := k.family(app, k.login), k.family(app, k.login)
		second := k.refresh(g)
		third := k.refresh(second)
		s := k.startWrite(k.issue())
		s.Session.Before.JTI = second.JTI
		k.ok(k.store.Start(k.Context(), s))
		stop := k.stopWrite(s)
		k.ok(k.store.Stop(k.Context(), stop))
		back, err := k.store.GrantByJTI(k.Context(), stop.Next.JTI)
		k.ok(err)
		if back.Family != g.ID || !back.RefreshHash.IsZero() {
			k.Errorf("a stop gave back a grant of family %q, want %q and no refresh token", back.Family, g.ID)
		}
		if k.revokeFamily("") || !k.revokeFamily(g.Family) || k.revokeFamily(g.Family) {
			k.Error("want a revocation to say whether it revoked")
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindReuse})); n != 1 {
			k.Errorf("got %d entries of revocations, want that of the one that revoked", n)
		}
		for what, jti := range map[string]string{"first": g.JTI, "second": second.JTI, "third": third.JTI, "what the stop gave": stop.Next.JTI} {
			if !k.over(jti) {
				k.Errorf("%s is not revoked", what)
			}
		}
		if k.over(other.JTI) {
			k.Error("another family of the same login is revoked")
		}
		k.wantErr("refreshing the last", k.store.Refresh(k.Context(), k.refreshWrite(third)), impersonation.ErrChanged)
	}},
	{"refresh/one", "to revoke one access token takes its own refresh token and leaves what came after", func(k *kit) {
		g := k.family(app, k.login)
		next := k.refresh(g)
		k.revoke(g.ID, k.now)
		if k.over(next.JTI) {
			k.Error("the next access token is revoked")
		}
		k.revoke(k.refresh(next).ID, k.now)
		if !k.over(g.JTI) || k.over(next.JTI) {
			k.Error("want only the tokens revoked that were named")
		}
	}},
	{"refresh/sweep", "a spent refresh token is known until its login would have ended, so that its reuse is seen", func(k *kit) {
		g := k.family(app, k.login)
		k.refresh(g)
		k.ok(k.store.Sweep(k.Context(), g.RefreshExpires, 100))
		if _, err := k.store.GrantByRefresh(k.Context(), g.RefreshHash); err != nil {
			k.Errorf("a sweep took it early: %v", err)
		}
		k.ok(k.store.Sweep(k.Context(), g.RefreshExpires.Add(time.Second), 100))
		_, err := k.store.GrantByRefresh(k.Context(), g.RefreshHash)
		k.wantErr("after that", err, store.ErrNotFound)
	}},
}

var refreshRaces = []testCase{
	{"once/refresh-token", "of many refreshes with one token, one succeeds, and one grant is written", func(k *kit) {
		g := k.family(app, k.login)
		var writes [crowd]store.RefreshWrite
		for i := range writes {
			writes[i] = k.refreshWrite(g)
		}
		won := k.one(store.ErrSpent, func(i int) error { return k.store.Refresh(k.Context(), writes[i]) })
		for i, w := range writes {
			if _, err := k.store.GrantByJTI(k.Context(), w.Next.JTI); (err == nil) != (i == won) {
				k.Errorf("grant of caller %d, where %d was told that it had won: %v", i, won, err)
			}
		}
	}},
	{"race/refresh-sign-out", "no refresh passes the end of the login", func(k *kit) {
		login := k.signIn(ann)
		k.raceRefresh(app, login, func() error {
			_, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, login))
			return err
		})
	}},
	{"race/refresh-disable", "no refresh passes the disabling of the user", func(k *kit) {
		k.raceRefresh(app, k.signIn(ann), func() error {
			u, err := k.store.Get(k.Context(), ann)
			if err != nil {
				return err
			}
			u.Enabled = false
			return k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u, EndLogins: true})
		})
		k.change(ann, func(u *directory.User) { u.Enabled = true })
	}},
	{"race/refresh-removal", "no refresh passes the removal of the client", func(k *kit) {
		id := oauth.NewID("app")
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client(id)}))
		k.raceRefresh(id, k.signIn(ann), func() error {
			return k.store.DeleteClient(k.Context(), id, k.endWrite(impersonation.ScopeClient, id))
		})
	}},
	{"race/client-grant", "no token of a client's own passes the kill of the client", func(k *kit) {
		id := oauth.NewID("app")
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client(id)}))
		k.raceOwn(id, func() error {
			kill := k.endWrite(impersonation.ScopeClient, id)
			kill.Kill = true
			_, err := k.store.End(k.Context(), kill)
			return err
		})
	}},
	{"race/client-grant-removal", "nor its removal", func(k *kit) {
		id := oauth.NewID("app")
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client(id)}))
		k.raceOwn(id, func() error { return k.store.DeleteClient(k.Context(), id, k.endWrite(impersonation.ScopeClient, id)) })
	}},
	{"race/refresh-family", "no refresh and no stop passes the revocation of its family", func(k *kit) {
		g := k.family(app, k.signIn(ann))
		k.login = g.Login
		s := k.startWrite(k.issue())
		s.Session.Before.JTI = g.JTI
		k.ok(k.store.Start(k.Context(), s))
		stop, chain := k.stopWrite(s), new(chain)
		k.all(func(i int) error {
			switch i {
			case 0:
				return chain.run(k, g)
			case 1:
				_, err := k.store.RevokeFamily(k.Context(), g.Family, k.write())
				return err
			case 2:
				return ignore(k.store.Stop(k.Context(), stop), impersonation.ErrChanged)
			}
			return nil
		})
		for _, jti := range append(chain.jtis, g.JTI, stop.Next.JTI) {
			if !k.over(jti) {
				k.Errorf("%s lives on", jti)
			}
		}
		k.end(k.endWrite(impersonation.ScopeInstance, ""))
	}},
}

// raceRefresh refreshes a crowd of families of one login against end, and then wants none of their tokens alive.
func (k *kit) raceRefresh(client, login string, end func() error) {
	k.Helper()
	var families [crowd]store.Grant
	for i := range families {
		families[i] = k.family(client, login)
	}
	var chain chain
	k.all(func(i int) error {
		if i == crowd/2 {
			return end()
		}
		return chain.run(k, families[i])
	})
	for _, jti := range chain.jtis {
		if !k.over(jti) {
			k.Errorf("%s of %d refreshed tokens lives on", jti, len(chain.jtis))
		}
	}
}

// raceOwn writes tokens of a client's own against end, and then wants none of them alive.
func (k *kit) raceOwn(client string, end func() error) {
	k.Helper()
	var grants [crowd]store.Grant
	for i := range grants {
		grants[i] = k.ownGrant(client)
	}
	k.all(func(i int) error {
		if i == crowd/2 {
			return end()
		}
		return ignore(k.store.CreateClientGrant(k.Context(), grants[i]), impersonation.ErrChanged)
	})
	for _, g := range grants {
		if !k.over(g.JTI) {
			k.Error("a token of the client's own lives on")
		}
	}
}

// chain is what refreshes gave.
type chain struct {
	mu   sync.Mutex
	jtis []string
}

// run refreshes g and what follows, until that is refused.
func (c *chain) run(k *kit, g store.Grant) error {
	for range 4 {
		w := k.refreshWrite(g)
		if err := k.store.Refresh(k.Context(), w); err != nil {
			return ignore(ignore(err, impersonation.ErrChanged), store.ErrNotFound)
		}
		c.mu.Lock()
		c.jtis = append(c.jtis, w.Next.JTI)
		c.mu.Unlock()
		g = w.Next
	}
	return nil
}

// ignore is err unless it is expected.
func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
