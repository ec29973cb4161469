package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const listener = "https://rp.acme.test/logout"

// listens adds a client that wants to be told.
func (k *kit) listens(id string) {
	k.Helper()
	c := k.client(id)
	c.Settings.BackchannelLogoutURI = listener
	k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: c}))
}

// startAt opens a session at a client, on the login of the kit.
func (k *kit) startAt(client string) impersonation.StartWrite {
	k.Helper()
	w := k.nextAt(client)
	k.ok(k.store.Start(k.Context(), w))
	return w
}

func (k *kit) nextAt(client string) impersonation.StartWrite {
	k.Helper()
	t := k.ticket()
	t.Client, t.Hash = client, oauth.Hash{}
	f := k.load(impersonation.StartKey{Client: client, Actor: ann, Subject: john, Login: k.login, Now: k.now})
	w := k.startOn(f, t)
	w.Supersedes = f.Live
	return w
}

// grantAt gives a client a grant of the login of the kit, as f makes it.
func (k *kit) grantAt(client string, f func(*store.Grant)) store.Grant {
	k.Helper()
	g := store.Grant{ID: oauth.NewID("grt"), Client: client, User: ann, Login: k.login, Audience: "https://api.acme.test", CodeHash: oauth.NewSecret().Hash(),
		Created: k.now, CodeExpires: k.now.Add(time.Minute), JTI: oauth.NewID("tok"), Issued: k.now, Expires: k.now.Add(10 * time.Minute)}
	f(&g)
	k.ok(k.store.CreateGrant(k.Context(), g))
	return g
}

func asItIs(*store.Grant) {}

// lease takes up to limit of the notices that are due, for a minute.
func (k *kit) lease(limit int, busy ...string) []store.Notice {
	k.Helper()
	page, err := k.store.LeaseNotices(k.Context(), k.now, k.now.Add(time.Minute), busy, limit)
	k.ok(err)
	return page
}

// wantNotices demands that the notices that are due are those to the clients and of the sessions in want, "rp imp_…", and drops them.
func (k *kit) wantNotices(what string, want ...string) {
	k.Helper()
	var got []string
	for page := k.lease(100); len(page) > 0; page = k.lease(100) {
		for _, n := range page {
			if n.Settings.BackchannelLogoutURI != listener || n.Created != k.now {
				k.Errorf("%s: got %+v; want the URI %s, made at %v", what, n, listener, k.now)
			}
			got = append(got, n.Client+" "+n.Session)
			k.ok(k.store.DropNotice(k.Context(), n.ID))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	k.same(what, got, want)
}

// sessionEnds are the ways in which a session of ann's with john at the client rp ends.
var sessionEnds = []struct {
	name string
	end  func(*kit, impersonation.StartWrite)
}{
	{"stop", func(k *kit, w impersonation.StartWrite) { k.ok(k.store.Stop(k.Context(), k.stopWrite(w))) }},
	{"end", func(k *kit, w impersonation.StartWrite) { k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID)) }},
	{"kill", func(k *kit, w impersonation.StartWrite) {
		k.end(kill(k.endWrite(impersonation.ScopeOrganisation, "globex")))
	}},
	{"another-start", func(k *kit, w impersonation.StartWrite) { k.startAt("rp") }},
	{"demotion", func(k *kit, w impersonation.StartWrite) {
		u, err := k.store.Get(k.Context(), ann)
		k.ok(err)
		k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u, Ends: []impersonation.EndWrite{k.endWrite(impersonation.ScopeActor, ann)}}))
	}},
	{"end-of-login", func(k *kit, w impersonation.StartWrite) { k.endLogin() }},
	{"removed-client", func(k *kit, w impersonation.StartWrite) {
		k.ok(k.store.DeleteClient(k.Context(), "rp", k.endWrite(impersonation.ScopeClient, "rp")))
	}},
}

func (k *kit) endLogin() {
	k.Helper()
	_, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, k.login))
	k.ok(err)
}

// loginEnds are the ways in which the login of the kit ends.
var loginEnds = []struct {
	name string
	end  func(*kit)
}{
	{"sign-out", func(k *kit) { k.endLogin() }},
	{"another-sign-in", func(k *kit) {
		k.ok(k.store.CreateLogin(k.Context(), store.LoginWrite{Write: k.write(), Login: k.newLogin(ann), Cookie: oauth.NewSecret().Hash(), Replaces: k.login}))
	}},
	{"disabled-user", func(k *kit) {
		u, err := k.store.Get(k.Context(), ann)
		k.ok(err)
		u.Enabled = false
		k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u, EndLogins: true}))
	}},
	{"new-password", func(k *kit) {
		password := "$argon2id$"
		k.ok(k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: ann, Password: &password, EndLogins: true}))
	}},
}

// noticeCases are those of each end, and the others.
var noticeCases = func() []testCase {
	var out []testCase
	for _, e := range sessionEnds {
		out = append(out, testCase{"notice/session/" + e.name, "a client that asked for it hears of the end of its own session, once", func(k *kit) {
			k.listens("rp")
			k.listens("bystander")
			w := k.startAt("rp")
			k.wantNotices("before")
			e.end(k, w)
			k.wantNotices("after", "rp "+w.Session.ID)
			k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID))
			k.wantNotices("ended again")
		}})
	}
	for _, e := range loginEnds {
		out = append(out, testCase{"notice/login/" + e.name, "whoever got a token of a login hears of its end, once, and nobody else", func(k *kit) {
			for _, id := range []string{"rp", "twice", "revoked", "unredeemed", "bystander"} {
				k.listens(id)
			}
			k.grantAt("rp", func(g *store.Grant) { g.Expires = k.now.Add(-time.Minute) }) // its own session may go on
			k.grantAt("twice", asItIs)
			k.grantAt("twice", asItIs)
			k.revoke(k.grantAt("revoked", asItIs).ID, k.now)
			k.grantAt("unredeemed", func(g *store.Grant) { g.JTI = "" })
			k.grantAt("bystander", func(g *store.Grant) { g.User, g.Login = john, k.signIn(john) })
			k.grantAt("bystander", func(g *store.Grant) { g.Login = "" })
			k.grantAt(app, asItIs)
			e.end(k)
			k.wantNotices("after", "revoked "+k.login, "rp "+k.login, "twice "+k.login)
			k.endLogin()
			k.wantNotices("ended again")
		}})
	}
	return append(out, otherNoticeCases...)
}()

var otherNoticeCases = []testCase{
	{"notice/after-expiry", "the way back after the time was up tells a client nothing that it has not heard", func(k *kit) {
		k.listens("rp")
		w := k.startAt("rp")
		e := k.endWrite(impersonation.ScopeSession, w.Session.ID)
		e.Reason, e.KeepReturn = impersonation.EndExpired, true
		k.end(e)
		k.wantNotices("expired", "rp "+w.Session.ID)
		k.ok(k.store.Stop(k.Context(), k.stopWrite(w)))
		k.wantNotices("stopped")
	}},
	{"notice/narrowed-client", "a client that loses its grants hears of the logins that live, at once, and not again at their end", func(k *kit) {
		k.listens("rp")
		k.listens("bystander")
		over := k.signIn(john)
		k.grantAt("rp", asItIs)
		k.grantAt("bystander", func(g *store.Grant) { g.User, g.Login = john, over })
		k.grantAt("rp", func(g *store.Grant) { g.User, g.Login = john, over })
		_, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, over))
		k.ok(err)
		k.wantNotices("the end of one", "bystander "+over, "rp "+over)
		c, err := k.store.Client(k.Context(), "rp")
		k.ok(err)
		change := store.ClientChange{EndWrite: k.endWrite(impersonation.ScopeClient, "rp"), Client: c, Was: c.Settings}
		k.ok(k.store.ChangeClient(k.Context(), change))
		k.wantNotices("a change that ends nothing")
		change.Ends = true
		k.ok(k.store.ChangeClient(k.Context(), change))
		k.wantNotices("a change that ends", "rp "+k.login)
		k.endLogin()
		k.wantNotices("the end of the other")
	}},
	{"notice/nobody-listens", "a client that gave no address is told nothing, whatever its other settings say", func(k *kit) {
		c := k.client("sly")
		c.Settings.IDTokenAlg = `"backchannel_logout_uri":"https://rp.acme.test/logout"`
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: c}))
		k.startAt(app)
		k.startAt("sly")
		k.end(k.endWrite(impersonation.ScopeActor, ann))
		k.wantNotices("the end")
	}},
	{"notice/failed-end", "an end that could not be recorded tells nobody", func(k *kit) {
		k.listens("rp")
		w := k.startAt("rp")
		e := k.endWrite(impersonation.ScopeSession, w.Session.ID)
		e.Entries = append(w.Entries[:1:1], w.Entries[0])
		if _, err := k.store.End(k.Context(), e); err == nil {
			k.Fatal("an end with an entry that cannot be written was answered nil")
		}
		k.wantNotices("the end")
	}},
	{"notice/lease", "a notice is with one at a time, comes again if that one dies, and one client's heap hides nobody's", func(k *kit) {
		k.listens("rp")
		k.listens("other")
		for range 3 {
			k.startAt("rp")
			k.end(k.endWrite(impersonation.ScopeClient, "rp"))
			k.now = k.now.Add(time.Second)
		}
		k.startAt("other")
		k.end(k.endWrite(impersonation.ScopeClient, "other"))
		first := k.lease(10)
		if len(first) != 2 || first[0].Client != "rp" || first[1].Client != "other" {
			k.Fatalf("got %+v; want the oldest of each client, the older first", first)
		}
		if got := k.lease(10, "rp"); len(got) != 0 {
			k.Errorf("with rp left out: got %+v, want nothing", got)
		}
		second, third := k.lease(1), k.lease(1)
		if len(second) != 1 || len(third) != 1 || second[0].ID == third[0].ID || len(k.lease(1)) != 0 {
			k.Errorf("got %+v, %+v and more; want the two others of rp", second, third)
		}
		k.ok(k.store.DropNotice(k.Context(), second[0].ID))
		k.ok(k.store.DropNotice(k.Context(), second[0].ID)) // gone already
		k.ok(k.store.DelayNotice(k.Context(), third[0].ID, k.now.Add(time.Hour)))
		k.ok(k.store.DelayNotice(k.Context(), second[0].ID, k.now))
		k.now = k.now.Add(time.Minute)
		if again := k.lease(10); len(again) != 2 || again[0].ID != first[0].ID || again[1].ID != first[1].ID {
			k.Errorf("a minute later: got %+v; want the first two again", again)
		}
		k.now = k.now.Add(time.Hour)
		if late := k.lease(10, "other"); len(late) != 1 || late[0].ID != first[0].ID {
			k.Errorf("an hour later: got %+v; want what waits longest", late)
		}
	}},
	{"notice/old", "what is given up is of one client, and old", func(k *kit) {
		k.listens("rp")
		k.listens("other")
		for _, client := range []string{"rp", "other", "rp"} {
			k.startAt(client)
			k.end(k.endWrite(impersonation.ScopeClient, client))
			k.now = k.now.Add(time.Second)
		}
		n, err := k.store.DropOldNotices(k.Context(), "rp", k.now.Add(-3*time.Second))
		k.ok(err)
		if left := k.lease(10); n != 1 || len(left) != 2 || len(k.lease(10)) != 0 {
			k.Errorf("dropped %d, left %+v; want one dropped, one of each left", n, left)
		}
	}},
	{"notice/lease-race", "of many servers that look at once, each notice goes to one", func(k *kit) {
		k.listens("rp")
		for range 20 {
			k.startAt("rp")
			k.end(k.endWrite(impersonation.ScopeClient, "rp"))
		}
		var mu sync.Mutex
		seen := map[int64]int{}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for empty := 0; empty < 20; {
					page, err := k.store.LeaseNotices(k.Context(), k.now, k.now.Add(time.Minute), nil, 3)
					if err != nil {
						k.Error(err)
						return
					}
					mu.Lock()
					for _, n := range page {
						seen[n.ID]++
					}
					if len(page) == 0 {
						empty++
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for id, n := range seen {
			if n != 1 {
				k.Errorf("notice %d was given %d times", id, n)
			}
		}
		if len(seen) != 20 {
			k.Errorf("got %d of 20 notices", len(seen))
		}
	}},
}
