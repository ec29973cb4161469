package storetest

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// grant writes a grant of ann's with a token, and answers it.
func (k *kit) grant() store.Grant {
	k.Helper()
	g := store.Grant{
		ID: oauth.NewID("grt"), Client: app, User: ann, Login: k.login, RedirectURI: "https://app.acme.test/cb", Scope: []string{"openid", "impersonate"},
		Audience: "https://api.acme.test", Nonce: "n-0S6", CodeHash: oauth.NewSecret().Hash(), CodeChallenge: "E9M", AuthTime: k.now, ACR: "urn:acr:2",
		AMR: []string{"pwd"}, Created: k.now, CodeExpires: k.now.Add(time.Minute), JTI: oauth.NewID("tok"), Issued: k.now, Expires: k.now.Add(10 * time.Minute),
		Subject: "00u2",
	}
	k.ok(k.store.CreateGrant(k.Context(), g))
	return g
}

// revoke revokes a grant with an entry, and tells whether it was not revoked before.
func (k *kit) revoke(id string, now time.Time) bool {
	k.Helper()
	w := k.recorded(audit.KindRevoke)
	w.Now = now
	revoked, err := k.store.RevokeGrant(k.Context(), id, w)
	k.ok(err)
	return revoked
}

var loginCases = []testCase{
	{"login/proved", "a sign-in that began before a change of password, second factor or account opens nothing", func(k *kit) {
		old, fresh, factor := "$argon2id$old", "$argon2id$fresh", []byte("sealed")
		k.ok(k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: ann, Password: &old}))
		proved := store.Credentials{Password: old}.Hash()
		open := func(proved oauth.Hash) error {
			return k.store.CreateLogin(k.Context(), store.LoginWrite{Write: k.recorded(audit.KindSignIn), Login: k.newLogin(ann), Cookie: oauth.NewSecret().Hash(), Proved: proved})
		}
		k.ok(open(proved))
		k.ok(k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: ann, TOTP: &factor}))
		k.wantErr("after a second factor", open(proved), impersonation.ErrChanged)
		k.ok(open(store.Credentials{Password: old, TOTP: factor}.Hash()))
		k.ok(k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: ann, Password: &fresh}))
		k.wantErr("after another password", open(store.Credentials{Password: old, TOTP: factor}.Hash()), impersonation.ErrChanged)
		now := store.Credentials{Password: fresh, TOTP: factor}.Hash()
		k.change(ann, func(u *directory.User) { u.Enabled = false })
		k.wantErr("once disabled", open(now), impersonation.ErrChanged)
		k.wantErr("once disabled, without a proof", open(oauth.Hash{}), impersonation.ErrChanged)
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindSignIn})); n != 2 {
			k.Errorf("got %d entries of sign-ins, want those of the two that happened", n)
		}
	}},
	{"login/first-factor", "a second factor that is meant to be the first replaces none, and is set by a login of one's own that lives", func(k *kit) {
		one, two := []byte("one"), []byte("two")
		by := func(login string, totp []byte) error {
			return k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: ann, TOTP: &totp, FirstBy: login})
		}
		set := func(totp []byte) error { return by(k.login, totp) }
		ended := k.signIn(ann)
		_, err := k.store.EndLogin(k.Context(), k.endWrite("", ended))
		k.ok(err)
		k.wantErr("by a login that ended", by(ended, two), impersonation.ErrChanged)
		k.wantErr("by somebody else's", by(k.signIn(john), two), impersonation.ErrChanged)
		k.ok(set(one))
		k.wantErr("the second", set(two), impersonation.ErrChanged)
		if got, err := k.store.Credentials(k.Context(), ann); err != nil || string(got.TOTP) != "one" {
			k.Errorf("got %q, %v; want the first", got.TOTP, err)
		}
	}},
	{"login/refused", "where it is locked, a try is refused and not counted", func(k *kit) {
		key := oauth.Secret("burst").Hash()
		fail := func(now time.Time) store.Attempt {
			a, err := k.store.Failed(k.Context(), key, now, time.Minute, 3, time.Minute)
			k.ok(err)
			return a
		}
		for i := range 3 {
			if a := fail(k.now); a.Refused || a.Locked.IsZero() != (i < 2) {
				k.Errorf("try %d: got %+v, want it counted, and the third to lock", i+1, a)
			}
		}
		for range 3 {
			if a := fail(k.now.Add(time.Second)); !a.Refused || a.Locked != k.now.Add(time.Minute) {
				k.Errorf("got %+v, want refused under the same lock", a)
			}
		}
		if a := fail(k.now.Add(time.Minute)); a.Refused || a.Failures != 1 {
			k.Errorf("after the lock: got %+v, want a first failure", a)
		}
	}},
	{"grant/holder", "no token is recorded for who signed out or was disabled since the code", func(k *kit) {
		disabled, signedOut := k.signIn(john), k.login
		code := func(user, login string) string {
			g := store.Grant{ID: oauth.NewID("grt"), Client: app, User: user, Login: login, CodeHash: oauth.NewSecret().Hash(), CodeExpires: k.now}
			k.ok(k.store.CreateGrant(k.Context(), g))
			return g.ID
		}
		a, b := code(ann, signedOut), code(john, disabled)
		k.change(john, func(u *directory.User) { u.Enabled = false })
		_, err := k.store.EndLogin(k.Context(), k.endWrite("", signedOut))
		k.ok(err)
		k.wantErr("after the sign-out", k.store.SetToken(k.Context(), a, store.Token{JTI: "tok_a", Issued: k.now, Expires: k.now.Add(time.Minute)}), store.ErrNotFound)
		k.wantErr("once disabled", k.store.SetToken(k.Context(), b, store.Token{JTI: "tok_b", Issued: k.now, Expires: k.now.Add(time.Minute)}), store.ErrNotFound)
	}},
	{"login/round-trip", "a login is found by its cookie and its ID, and the user remembers it", func(k *kit) {
		l, cookie := k.newLogin(john), oauth.NewSecret().Hash()
		l.AuthTime = k.now.Add(-time.Second)
		k.ok(k.store.CreateLogin(k.Context(), store.LoginWrite{Write: k.recorded(audit.KindSignIn), Login: l, Cookie: cookie}))
		got, err := k.store.LoginByCookie(k.Context(), cookie)
		k.ok(err)
		k.same("LoginByCookie", got, l)
		got, err = k.store.Login(k.Context(), l.ID)
		k.ok(err)
		k.same("Login", got, l)
		if u, err := k.store.Get(k.Context(), john); err != nil || u.LastSignIn != l.AuthTime {
			k.Errorf("LastSignIn: got %v, %v; want %v", u.LastSignIn, err, l.AuthTime)
		}
		_, err = k.store.LoginByCookie(k.Context(), oauth.Hash{})
		k.wantErr("the zero cookie", err, store.ErrNotFound)
		_, err = k.store.Login(k.Context(), "lgn_none")
		k.wantErr("Login of nothing", err, store.ErrNotFound)
	}},
	{"login/replaces", "who signs in again in the same browser leaves nothing of the login before", func(k *kit) {
		w, g, before := k.start(), k.grant(), k.login
		l := k.newLogin(ann)
		k.ok(k.store.CreateLogin(k.Context(), store.LoginWrite{Write: k.write(), Login: l, Cookie: oauth.NewSecret().Hash(), Replaces: before}))
		if old, err := k.store.Login(k.Context(), before); err != nil || old.Ended != k.now {
			k.Errorf("the old login: got %v, %v; want ended", old.Ended, err)
		}
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndSignedOut {
			k.Errorf("its session: got %q, want signed_out", s.EndReason)
		}
		if g, err := k.store.GrantByJTI(k.Context(), g.JTI); err != nil || g.Revoked.IsZero() {
			k.Errorf("its grant: got %v, %v; want revoked", g.Revoked, err)
		}
	}},
	{"login/touch", "the idle clock of a login only goes forward, and not after its end", func(k *kit) {
		later := k.now.Add(time.Hour)
		k.ok(k.store.TouchLogin(k.Context(), k.login, later))
		k.ok(k.store.TouchLogin(k.Context(), k.login, k.now))
		l, err := k.store.Login(k.Context(), k.login)
		k.ok(err)
		if l.LastUsed != later {
			k.Errorf("got %v, want %v", l.LastUsed, later)
		}
		_, err = k.store.EndLogin(k.Context(), k.endWrite("", k.login))
		k.ok(err)
		k.ok(k.store.TouchLogin(k.Context(), k.login, later.Add(time.Hour)))
		if l, err = k.store.Login(k.Context(), k.login); err != nil || l.LastUsed != later {
			k.Errorf("after the end: got %v, %v; want %v", l.LastUsed, err, later)
		}
		k.ok(k.store.TouchLogin(k.Context(), "lgn_none", later))
	}},
	{"login/end", "a sign-out ends the login, its tokens and the impersonations that stand on it, and no other login", func(k *kit) {
		other := k.signIn(ann)
		w, g := k.start(), k.grant()
		end := k.endWrite(impersonation.ScopeLogin, k.login)
		end.Reason, end.By, end.Entries = impersonation.EndSignedOut, oauth.Party{Issuer: issuer, Subject: ann}, k.recorded(audit.KindSignOut).Entries
		ended, err := k.store.EndLogin(k.Context(), end)
		k.ok(err)
		if len(ended) != 1 || ended[0].Session.ID != w.Session.ID || ended[0].Session.EndedBy != ann {
			k.Errorf("got %v, want the session on the login, ended by ann", ended)
		}
		if l, err := k.store.Login(k.Context(), k.login); err != nil || l.Ended != k.now {
			k.Errorf("got %v, %v; want ended", l.Ended, err)
		}
		if l, err := k.store.Login(k.Context(), other); err != nil || !l.Ended.IsZero() {
			k.Errorf("the other login: got %v, %v; want alive", l.Ended, err)
		}
		if g, err := k.store.GrantByJTI(k.Context(), g.JTI); err != nil || g.Revoked != k.now {
			k.Errorf("the grant: got %v, %v; want revoked", g.Revoked, err)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindSignOut})); n != 1 {
			k.Errorf("got %d entries of the sign-out, want 1", n)
		}
		end.Now, end.Entries = k.now.Add(time.Hour), nil
		ended, err = k.store.EndLogin(k.Context(), end)
		k.ok(err)
		if l, err := k.store.Login(k.Context(), k.login); err != nil || l.Ended != k.now || len(ended) != 0 {
			k.Errorf("the second sign-out: got %v, %v, %v; want nothing changed", l.Ended, err, ended)
		}
	}},
}

var attemptCases = []testCase{
	{"attempt/lock", "guessing is counted within the window, locks at the limit, and the count starts anew", func(k *kit) {
		key := oauth.NewSecret().Hash()
		const window, limit, lock = time.Hour, 3, 15 * time.Minute
		fail := func(after time.Duration) store.Attempt {
			k.Helper()
			a, err := k.store.Failed(k.Context(), key, k.now.Add(after), window, limit, lock)
			k.ok(err)
			return a
		}
		read := func(after time.Duration) store.Attempt {
			k.Helper()
			a, err := k.store.Attempt(k.Context(), key, k.now.Add(after))
			k.ok(err)
			return a
		}
		k.same("nobody failed", read(0), store.Attempt{})
		k.same("first", fail(0), store.Attempt{Failures: 1})
		k.same("second", fail(50*time.Minute), store.Attempt{Failures: 2})
		k.same("the first is too old", read(61*time.Minute), store.Attempt{Failures: 1})
		k.same("third, two count", fail(61*time.Minute), store.Attempt{Failures: 2})
		locked := store.Attempt{Locked: k.now.Add(62*time.Minute + lock)}
		k.same("limit", fail(62*time.Minute), locked)
		k.same("locked", read(62*time.Minute), locked)
		k.same("the lock is over", read(62*time.Minute+lock), store.Attempt{})
		k.same("anew", fail(80*time.Minute), store.Attempt{Failures: 1})
		k.ok(k.store.Succeeded(k.Context(), key))
		k.same("forgotten", read(80*time.Minute), store.Attempt{})
	}},
	{"attempt/apart", "failures of one do not count for another", func(k *kit) {
		_, err := k.store.Failed(k.Context(), oauth.NewSecret().Hash(), k.now, time.Hour, 2, time.Hour)
		k.ok(err)
		a, err := k.store.Failed(k.Context(), oauth.NewSecret().Hash(), k.now, time.Hour, 2, time.Hour)
		k.ok(err)
		k.same("the other", a, store.Attempt{Failures: 1})
	}},
	{"once/spent", "a value is used once in its space", func(k *kit) {
		until := k.now.Add(time.Minute)
		k.ok(k.store.UseOnce(k.Context(), "jti", "a", k.now, until))
		k.ok(k.store.UseOnce(k.Context(), "jti", "b", k.now, until))
		k.ok(k.store.UseOnce(k.Context(), "totp", "a", k.now, until))
		k.wantErr("again", k.store.UseOnce(k.Context(), "jti", "a", k.now, until), store.ErrSpent)
	}},
	{"once/sweep", "what was used is forgotten after its time, as much as asked, and may be used again", func(k *kit) {
		until := k.now.Add(time.Minute)
		for _, value := range []string{"a", "b", "c"} {
			k.ok(k.store.UseOnce(k.Context(), "jti", value, k.now, until))
		}
		k.ok(k.store.UseOnce(k.Context(), "jti", "later", k.now, until.Add(time.Minute)))
		sweep := func(before time.Time, limit, want int) {
			got, err := k.store.SweepUsed(k.Context(), before, limit)
			k.ok(err)
			k.same("swept", got, want)
		}
		sweep(until, 10, 0)
		k.wantErr("in its time", k.store.UseOnce(k.Context(), "jti", "a", k.now, until), store.ErrSpent)
		sweep(until.Add(time.Millisecond), 2, 2)
		sweep(until.Add(time.Millisecond), 2, 1)
		sweep(until.Add(time.Millisecond), 2, 0)
		k.ok(k.store.UseOnce(k.Context(), "jti", "a", k.now, until))
		k.wantErr("what comes later", k.store.UseOnce(k.Context(), "jti", "later", k.now, until), store.ErrSpent)
	}},
}

var grantCases = []testCase{
	{"grant/round-trip", "a grant is found by its code and by its token", func(k *kit) {
		g := k.grant()
		got, err := k.store.GrantByCode(k.Context(), g.CodeHash)
		k.ok(err)
		k.same("GrantByCode", got, g)
		got, err = k.store.GrantByJTI(k.Context(), g.JTI)
		k.ok(err)
		k.same("GrantByJTI", got, g)
		_, err = k.store.GrantByJTI(k.Context(), "")
		k.wantErr("no token", err, store.ErrNotFound)
		_, err = k.store.GrantByCode(k.Context(), oauth.Hash{})
		k.wantErr("the zero code", err, store.ErrNotFound)
	}},
	{"grant/code-once", "a code is spent once, and can still be recognised afterwards", func(k *kit) {
		g := k.grant()
		k.ok(k.store.SpendCode(k.Context(), g.CodeHash, k.now))
		k.wantErr("again", k.store.SpendCode(k.Context(), g.CodeHash, k.now), store.ErrSpent)
		k.wantErr("unknown", k.store.SpendCode(k.Context(), oauth.NewSecret().Hash(), k.now), store.ErrNotFound)
		if got, err := k.store.GrantByCode(k.Context(), g.CodeHash); err != nil || got.CodeUsed != k.now {
			k.Errorf("got %v, %v; want used", got.CodeUsed, err)
		}
	}},
	{"grant/token", "a revoked grant stays revoked whatever token it gets, and revoking twice changes nothing", func(k *kit) {
		g := store.Grant{ID: oauth.NewID("grt"), Client: app, User: ann, Login: k.login, CodeHash: oauth.NewSecret().Hash(), CodeExpires: k.now}
		k.ok(k.store.CreateGrant(k.Context(), g))
		k.ok(k.store.SetToken(k.Context(), g.ID, store.Token{JTI: "tok_1", Issued: k.now, Expires: k.now.Add(time.Minute)}))
		got, err := k.store.GrantByJTI(k.Context(), "tok_1")
		k.ok(err)
		if got.ID != g.ID || got.Issued != k.now || got.Expires != k.now.Add(time.Minute) {
			k.Errorf("got %+v, want the token on the grant", got)
		}
		if !k.revoke(g.ID, k.now) || k.revoke(g.ID, k.now.Add(time.Hour)) || k.revoke("grt_none", k.now) {
			k.Error("want a revocation to say whether it revoked")
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindRevoke})); n != 1 {
			k.Errorf("got %d entries of revocations, want that of the one that revoked", n)
		}
		if got, err := k.store.GrantByJTI(k.Context(), "tok_1"); err != nil || got.Revoked != k.now {
			k.Errorf("got %v, %v; want revoked at first", got.Revoked, err)
		}
		k.ok(k.store.SetToken(k.Context(), g.ID, store.Token{JTI: "tok_2", Issued: k.now, Expires: k.now.Add(time.Minute)}))
		late, err := k.store.GrantByJTI(k.Context(), "tok_2")
		k.ok(err)
		if late.Revoked.IsZero() {
			k.Error("a token recorded on a revoked grant un-revoked it")
		}
		k.wantErr("SetToken on nothing", k.store.SetToken(k.Context(), "grt_none", store.Token{JTI: "tok_3", Issued: k.now, Expires: k.now}), store.ErrNotFound)
	}},
	{"grant/sweep", "a sweep takes what is past, as many as asked, and never a session or an entry", func(k *kit) {
		w, g, spare := k.start(), k.grant(), k.grant()
		k.ok(k.store.Sweep(k.Context(), k.now, 100))
		if _, err := k.store.GrantByJTI(k.Context(), g.JTI); err != nil {
			k.Errorf("a sweep took what is not past: %v", err)
		}
		entries := len(k.entries(store.EntryQuery{}))
		k.ok(k.store.Sweep(k.Context(), k.now.Add(24*time.Hour), 1))
		left := 0
		for _, jti := range []string{g.JTI, spare.JTI} {
			if _, err := k.store.GrantByJTI(k.Context(), jti); err == nil {
				left++
			}
		}
		if left != 1 {
			k.Errorf("%d grants are left after a sweep of one, want 1", left)
		}
		k.ok(k.store.Sweep(k.Context(), k.now.Add(24*time.Hour), 100))
		if f := k.load(impersonation.StartKey{Ticket: w.Ticket, Now: k.now}); f.Ticket != nil {
			k.Error("the ticket is left")
		}
		_, err := k.store.LoadStop(k.Context(), w.Return)
		k.wantErr("the return token", err, impersonation.ErrNotFound)
		_, err = k.store.Login(k.Context(), k.login)
		k.wantErr("the login", err, store.ErrNotFound)
		k.stored(w.Session.ID)
		if n := len(k.entries(store.EntryQuery{})); n != entries {
			k.Errorf("got %d entries after the sweep, want %d", n, entries)
		}
	}},
	{"grant/swept-login", "a start on a login that is gone is a start on a login that ended", func(k *kit) {
		w := k.startOn(k.load(k.key()), k.ticket())
		w.Ticket = oauth.Hash{}
		k.ok(k.store.Sweep(k.Context(), k.now.Add(24*time.Hour), 100))
		k.wantErr("the start", k.store.Start(k.Context(), w), impersonation.ErrChanged)
	}},
}
