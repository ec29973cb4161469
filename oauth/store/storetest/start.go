package storetest

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

var ticketCases = []testCase{
	{"ticket/round-trip", "what the page wrote is what the exchange reads", func(k *kit) {
		t := k.issue()
		f := k.load(impersonation.StartKey{Ticket: t.Hash, Now: k.now})
		k.same("the ticket", *f.Ticket, t)
		if f.Actor == nil || f.Actor.Subject != ann || f.Subject == nil || f.Subject.Subject != john || f.Client == nil || f.Client.ID != app {
			k.Errorf("got %v, %v, %v; want the people and the client of the ticket", f.Actor, f.Subject, f.Client)
		}
		if f.Login == nil || f.Login.ID != k.login {
			k.Errorf("got login %v, want %s", f.Login, k.login)
		}
	}},
	{"ticket/unknown", "an unknown ticket is a fact, not a failure", func(k *kit) {
		if f := k.load(impersonation.StartKey{Ticket: oauth.NewSecret().Hash(), Now: k.now}); f.Ticket != nil || f.Actor != nil {
			k.Errorf("got %+v, want no ticket and nobody", f)
		}
	}},
	{"ticket/guarded", "no ticket is written on facts that no longer hold", func(k *kit) {
		g := k.load(k.key()).Guard
		k.end(kill(k.endWrite(impersonation.ScopeActor, ann)))
		t := k.ticket()
		err := k.store.IssueTicket(k.Context(), impersonation.TicketWrite{Write: k.recorded(audit.KindTicket), Ticket: t, Guard: g})
		k.wantErr("IssueTicket after a kill", err, impersonation.ErrChanged)
		if f := k.load(impersonation.StartKey{Ticket: t.Hash, Now: k.now}); f.Ticket != nil {
			k.Error("the refused ticket was written")
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindTicket})); n != 0 {
			k.Errorf("got %d entries of a ticket that was not issued", n)
		}
	}},
	{"facts/nobody", "who does not exist is nil, and is guarded all the same", func(k *kit) {
		f := k.load(impersonation.StartKey{Client: "no-app", Actor: "usr_nobody", Subject: "usr_none", Login: "lgn_none", Now: k.now})
		if f.Client != nil || f.Actor != nil || f.Subject != nil || f.Login != nil || f.Ticket != nil {
			k.Errorf("got %+v, want nobody", f)
		}
		k.same("epochs", f.Guard.Epochs, []impersonation.Epoch{{Scope: impersonation.ScopeInstance}, {Scope: impersonation.ScopeClient, ID: "no-app"},
			{Scope: impersonation.ScopeActor, ID: "usr_nobody"}, {Scope: impersonation.ScopeSubject, ID: "usr_none"}})
	}},
	{"facts/guard", "the guard names everything whose change must stop a start: also the empty organisation's rights, but no kill of it", func(k *kit) {
		g := k.load(k.key()).Guard
		k.same("epochs", g.Epochs, []impersonation.Epoch{{Scope: impersonation.ScopeInstance}, {Scope: impersonation.ScopeClient, ID: app},
			{Scope: impersonation.ScopeActor, ID: ann}, {Scope: impersonation.ScopeSubject, ID: john}, {Scope: impersonation.ScopeOrganisation, ID: "globex"}})
		k.same("versions", g.Authz, []impersonation.Version{{Organisation: "", N: 1}, {Organisation: "globex", N: 1}})
		if g.Login != k.login {
			k.Errorf("got login %q, want %q", g.Login, k.login)
		}
	}},
	{"facts/actor-token", "an actor token counts only while its grant is not revoked", func(k *kit) {
		g := k.grant()
		key := k.key()
		if key.ActorJTI = g.JTI; !k.load(key).ActorToken {
			k.Error("a live grant's token is not found")
		}
		k.revoke(g.ID, k.now)
		if k.load(key).ActorToken {
			k.Error("a revoked grant's token counts")
		}
		if key.ActorJTI = ""; k.load(key).ActorToken {
			k.Error("no token counts as one")
		}
	}},
	{"facts/provisioned", "who an actor is to their source is a fact for as long as it could tell of them", func(k *kit) { k.provisioned() }},
	{"facts/subject-token", "a subject's own token counts only while its grant is not revoked and its login has not ended", func(k *kit) {
		login := k.signIn(john)
		g := k.grantAt(app, func(g *store.Grant) { g.User, g.Login = john, login })
		key := k.key()
		key.SubjectLogin, key.SubjectJTI = login, g.JTI
		f := k.load(key)
		if !f.SubjectToken || f.Guard.SubjectLogin != login || f.Guard.SubjectJTI != g.JTI {
			k.Errorf("a live token: got %v, guarded by %+v", f.SubjectToken, f.Guard)
		}
		other := key
		if other.SubjectJTI = ""; k.load(other).SubjectToken {
			k.Error("no token counts as one")
		}
		if other.SubjectLogin, other.SubjectJTI = "lgn_none", g.JTI; k.load(other).SubjectToken {
			k.Error("a token of no login counts")
		}
		k.revoke(g.ID, k.now)
		if k.load(key).SubjectToken {
			k.Error("a revoked grant's token counts")
		}
		key.SubjectJTI = k.grantAt(app, func(g *store.Grant) { g.User, g.Login = john, login }).JTI
		if _, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, login)); err != nil || k.load(key).SubjectToken {
			k.Errorf("a token of a login that has ended counts (%v)", err)
		}
	}},
}

// provisioned changes one thing at a time about ann's source.
func (k *kit) provisioned() {
	key := k.key()
	key.Provisioned = true
	want := oauth.Party{Issuer: k.okta().Issuer, Subject: "00u1"}
	k.addSource(k.okta())
	token := k.addToken("okta", k.now.Add(time.Hour))
	by := func(source, externalID string) {
		k.change(ann, func(u *directory.User) { u.Source, u.ExternalID = source, externalID })
	}
	check := func(what string, want oauth.Party) {
		k.Helper()
		if got := k.load(key).Provisioned; got != want {
			k.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	by("scim:okta", want.Subject)
	check("kept by a source", want)
	if got := k.load(k.key()).Provisioned; got != (oauth.Party{}) {
		k.Errorf("nobody asked, and got %v", got)
	}
	for _, source := range []string{"", "upstream:okta", "SCIM:okta", "scim:okt", "scim:oktaa", "scim:entra"} {
		by(source, want.Subject)
		check("kept by "+source, oauth.Party{})
	}
	by("scim:okta", "")
	check("without an externalId", oauth.Party{})
	by("scim:okta", want.Subject)
	now := key.Now
	key.Now = now.Add(time.Hour)
	check("once the token's time is up", oauth.Party{})
	key.Now = now
	nowhere := k.okta()
	nowhere.Issuer = ""
	k.ok(k.store.ChangeSource(k.Context(), k.sourceWrite(audit.KindSourceChange, nowhere)))
	check("of no issuer", oauth.Party{})
	k.ok(k.store.ChangeSource(k.Context(), k.sourceWrite(audit.KindSourceChange, k.okta())))
	check("of an issuer again", want)
	k.ok(k.store.RevokeSourceToken(k.Context(), store.SourceTokenWrite{Write: k.write(), Token: token}))
	check("without a token", oauth.Party{})
	k.addToken("okta", time.Time{})
	check("with another", want)
	k.ok(k.store.RemoveSource(k.Context(), k.sourceWrite(audit.KindSourceRemove, k.okta())))
	check("removed", oauth.Party{})
}

// kill is w as a kill.
func kill(w impersonation.EndWrite) impersonation.EndWrite {
	w.Kill, w.Reason = true, impersonation.EndKilled
	return w
}

var startCases = []testCase{
	{"start/round-trip", "the session that is read is the one that was signed", func(k *kit) {
		w := k.start()
		k.same("the session", k.stored(w.Session.ID), w.Session)
		f := k.load(impersonation.StartKey{Ticket: w.Ticket, Now: k.now})
		if f.Ticket.Used != k.now || f.Ticket.Session != w.Session.ID {
			k.Errorf("ticket: got used %v for %q, want %v for %q", f.Ticket.Used, f.Ticket.Session, k.now, w.Session.ID)
		}
		k.same("live sessions", f.Live, []string{w.Session.ID})
	}},
	{"start/once", "a ticket opens one session", func(k *kit) {
		w := k.start()
		again := k.startOn(k.load(impersonation.StartKey{Ticket: w.Ticket, Now: k.now}), k.ticket())
		again.Ticket, again.Supersedes = w.Ticket, []string{w.Session.ID}
		k.wantErr("the second start", k.store.Start(k.Context(), again), impersonation.ErrSpent)
		if !k.stored(w.Session.ID).Ended.IsZero() {
			k.Error("the refused start ended the first session")
		}
	}},
	{"start/unknown-ticket", "a ticket that was never issued opens nothing", func(k *kit) {
		w := k.startOn(k.load(k.key()), k.ticket())
		k.wantErr("the start", k.store.Start(k.Context(), w), impersonation.ErrSpent)
	}},
	{"start/replay", "a commit of unknown outcome is resolved by asking again, whatever has changed since", func(k *kit) {
		w := k.start()
		k.ok(k.store.Start(k.Context(), w))
		k.end(kill(k.endWrite(impersonation.ScopeActor, ann)))
		k.ok(k.store.Start(k.Context(), w))
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindStart})); n != 1 {
			k.Errorf("got %d entries of one start", n)
		}
		w.RequestID = "another"
		if err := k.store.Start(k.Context(), w); err == nil {
			k.Error("another request took the session for its own")
		}
	}},
	{"start/without-ticket", "a start without the page needs no ticket and may have no return token", func(k *kit) {
		w := k.startOn(k.load(k.key()), k.ticket())
		w.Ticket, w.Return = oauth.Hash{}, oauth.Hash{}
		k.ok(k.store.Start(k.Context(), w))
		k.stored(w.Session.ID)
	}},
	{"start/guard", "nothing that was decided on old facts is written: each change is seen by the write", func(k *kit) { k.guards() }},
	{"start/lifted", "a kill that came and went between read and write is still seen", func(k *kit) {
		w := k.startWrite(k.issue())
		k.end(kill(k.endWrite(impersonation.ScopeInstance, "")))
		k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: impersonation.ScopeInstance}))
		k.wantErr("the start", k.store.Start(k.Context(), w), impersonation.ErrChanged)
		w = k.startWrite(impersonation.Ticket{Hash: w.Ticket, Client: app, Actor: ann, Subject: john, Login: k.login, Mode: oauth.ModeRead, Duration: time.Minute})
		k.ok(k.store.Start(k.Context(), w)) // read again, it may
	}},
	{"start/killed", "while a kill is on, no guard lets a start through, also one that was read after it", func(k *kit) {
		t := k.issue()
		k.end(kill(k.endWrite(impersonation.ScopeOrganisation, "globex")))
		w := k.startWrite(t)
		k.wantErr("the start", k.store.Start(k.Context(), w), impersonation.ErrChanged)
	}},
	{"start/supersedes", "one login has one impersonation at an app: the new start ends the old, with its record and its way back", func(k *kit) {
		first := k.start()
		w := k.startWrite(k.issue())
		k.wantErr("a start beside a live session", k.store.Start(k.Context(), w), impersonation.ErrChanged)
		w.Supersedes = []string{first.Session.ID}
		k.ok(k.store.Start(k.Context(), w))
		old := k.stored(first.Session.ID)
		if old.EndReason != impersonation.EndSuperseded || old.Ended != k.now || old.EndedBy != ann {
			k.Errorf("got ended %v, %q by %q; want superseded by ann", old.Ended, old.EndReason, old.EndedBy)
		}
		ends := k.entries(store.EntryQuery{Kind: audit.KindEnd, Session: first.Session.ID})
		if len(ends) != 1 || ends[0].Entry.Subject != (oauth.Party{Issuer: issuer, Subject: john}) {
			k.Errorf("got %v, want one entry of the end that names john", ends)
		}
		f, err := k.store.LoadStop(k.Context(), first.Return)
		k.ok(err)
		if !f.Void {
			k.Error("the superseded session's return token is not void")
		}
	}},
	{"start/expired-is-no-rival", "a session whose time is up does not hinder a start, also before the clock has ended it", func(k *kit) {
		k.start()
		k.now = k.now.Add(31 * time.Minute)
		k.start()
	}},
	{"start/other-login-is-no-rival", "another login of the same person, or another app, has its own impersonation", func(k *kit) {
		k.start()
		k.login = k.signIn(ann)
		k.start()
	}},
	{"start/once", "what can start only once does, beside any ticket, also after its session has ended", func(k *kit) {
		w := k.startOn(k.load(k.key()), k.ticket())
		w.Ticket, w.Session.Once = oauth.Hash{}, "user_id tok_1"
		k.ok(k.store.Start(k.Context(), w))
		k.ok(k.store.Start(k.Context(), w)) // the same write again
		k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID))
		again := k.startOn(k.load(k.key()), k.ticket())
		again.Ticket, again.Session.Once = oauth.Hash{}, w.Session.Once
		k.wantErr("the second start", k.store.Start(k.Context(), again), impersonation.ErrSpent)
		again.Session.Once = "user_id tok_2"
		k.ok(k.store.Start(k.Context(), again))
	}},
	{"start/once-and-ticket", "what can start only once may stand beside a ticket: who comes second with either spends neither", func(k *kit) {
		w := k.startWrite(k.issue())
		w.Session.Once = "issuer a"
		k.ok(k.store.Start(k.Context(), w))
		k.ok(k.store.Start(k.Context(), w)) // the same write again
		k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID))
		other := k.issue()
		again := k.startWrite(other)
		again.Session.Once = "issuer a"
		k.wantErr("another ticket", k.store.Start(k.Context(), again), impersonation.ErrSpent)
		if t := k.load(impersonation.StartKey{Ticket: other.Hash, Client: app, Now: k.now}).Ticket; t == nil || !t.Used.IsZero() {
			k.Errorf("got the ticket %+v; want it unused", t)
		}
		spent := k.startWrite(impersonation.Ticket{Hash: w.Ticket, Client: app, Actor: ann, Subject: john, Login: k.login, Mode: oauth.ModeRead, Duration: time.Minute})
		spent.Session.Once = "issuer b"
		k.wantErr("a spent ticket", k.store.Start(k.Context(), spent), impersonation.ErrSpent)
		again = k.startWrite(other)
		again.Session.Once = "issuer b"
		k.ok(k.store.Start(k.Context(), again))
	}},
	{"start/limit", "an actor has as many sessions at once as the write allows; those that it takes the place of, or that are over, do not count", func(k *kit) {
		first := k.start()
		if n := k.load(k.key()).Elsewhere; n != 0 {
			k.Errorf("got %d sessions elsewhere, want none: the one of this login and app is to be superseded", n)
		}
		k.login = k.signIn(ann)
		if n := k.load(k.key()).Elsewhere; n != 1 {
			k.Errorf("got %d sessions elsewhere, want 1", n)
		}
		if f, err := k.store.LoadStart(k.Context(), k.key()); err != nil || f.Elsewhere != 0 {
			k.Errorf("got %d sessions elsewhere, %v; want none where nobody asked", f.Elsewhere, err)
		}
		w := k.startWrite(k.issue())
		w.MaxLive = 1
		k.wantErr("a second session where one is the limit", k.store.Start(k.Context(), w), impersonation.ErrChanged)
		w.MaxLive = 2
		k.ok(k.store.Start(k.Context(), w))
		k.end(k.endWrite(impersonation.ScopeSession, first.Session.ID))
		over := k.startWrite(k.issue())
		over.MaxLive, over.Supersedes = 1, []string{w.Session.ID}
		k.ok(k.store.Start(k.Context(), over))
	}},
	{"start/service", "an actor that is no person has no login: its sessions take nobody's place", func(k *kit) {
		k.login = ""
		f := k.load(impersonation.StartKey{Client: app, Actor: "client:" + app, Subject: john, Now: k.now})
		if f.Actor != nil || f.Login != nil || len(f.Live) > 0 {
			k.Errorf("got %v, %v, %v; want neither a person nor a login nor sessions", f.Actor, f.Login, f.Live)
		}
		for range 2 {
			t := k.ticket()
			t.Actor, t.Login = "client:"+app, ""
			w := k.startOn(k.load(impersonation.StartKey{Client: app, Actor: t.Actor, Subject: john, Now: k.now}), t)
			w.Ticket, w.Return, w.Session.ActorKind, w.Session.Before = oauth.Hash{}, oauth.Hash{}, oauth.ActorAIAgent, impersonation.ActorToken{}
			k.ok(k.store.Start(k.Context(), w))
			k.same("the session", k.stored(w.Session.ID), w.Session)
		}
		if n := k.load(impersonation.StartKey{Client: app, Actor: "client:" + app, Subject: john, Now: k.now}).Elsewhere; n != 2 {
			k.Errorf("got %d sessions elsewhere, want 2", n)
		}
	}},
	{"start/all-or-nothing", "no record, no start: an entry that cannot be written undoes the session and leaves the ticket", func(k *kit) {
		t := k.issue()
		w := k.startWrite(t)
		good := w.Entries
		w.Entries = append(good[:1:1], good[0]) // the same id twice
		if err := k.store.Start(k.Context(), w); err == nil {
			k.Fatal("a start with an entry that cannot be written was answered nil")
		}
		if _, err := k.store.Session(k.Context(), w.Session.ID); err == nil {
			k.Error("the session is there without its record")
		}
		if n := len(k.entries(store.EntryQuery{Session: w.Session.ID})); n != 0 {
			k.Errorf("got %d entries of a start that did not happen", n)
		}
		w.Entries = good
		k.ok(k.store.Start(k.Context(), w)) // the ticket was not used up
	}},
	{"start/cancelled", "a caller that is gone starts nothing", func(k *kit) {
		w := k.startWrite(k.issue())
		ctx, cancel := context.WithCancel(k.Context())
		cancel()
		if err := k.store.Start(ctx, w); err == nil {
			k.Fatal("a start with an ended context was answered nil")
		}
		if _, err := k.store.Session(k.Context(), w.Session.ID); err == nil {
			k.Error("it started all the same")
		}
		if _, err := k.store.LoadStart(ctx, k.key()); err == nil {
			k.Error("a read with an ended context was answered")
		}
	}},
}

// guards changes one thing at a time between the read and the write of a start.
func (k *kit) guards() {
	var g store.Grant
	actor := func(key *impersonation.StartKey) { key.ActorJTI = g.JTI }
	subject := func(key *impersonation.StartKey) { key.SubjectLogin, key.SubjectJTI = g.Login, g.JTI }
	for _, c := range []struct {
		name   string
		change func()
		token  func(*impersonation.StartKey) // nil for those which may revoke it besides
	}{
		{"kill of the client", func() { k.end(kill(k.endWrite(impersonation.ScopeClient, app))) }, nil},
		{"kill of the actor", func() { k.end(kill(k.endWrite(impersonation.ScopeActor, ann))) }, nil},
		{"kill of the subject", func() { k.end(kill(k.endWrite(impersonation.ScopeSubject, john))) }, nil},
		{"kill of the organisation", func() { k.end(kill(k.endWrite(impersonation.ScopeOrganisation, "globex"))) }, nil},
		{"kill of everything", func() { k.end(kill(k.endWrite(impersonation.ScopeInstance, ""))) }, nil},
		{"change of the subject", func() { k.change(john, func(u *directory.User) { u.Protected = true }) }, nil},
		{"change of the actor", func() { k.change(ann, func(u *directory.User) { u.Roles = nil }) }, nil},
		{"change of somebody in the organisation", func() {
			k.ok(k.store.CreateUser(k.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: oauth.NewID("usr"), Organisation: "globex"}}))
		}, nil},
		{"credentials of the actor", func() {
			k.ok(k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: ann, Password: new(string)}))
		}, nil},
		{"policy", func() {
			_, err := k.store.PutPolicy(k.Context(), oauth.NewID("pol"), []byte("{}"), k.write())
			k.ok(err)
		}, nil},
		{"sign-out", func() {
			_, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, k.login))
			k.ok(err)
			k.login = k.signIn(ann)
		}, nil},
		{"revoked actor token", func() { k.revoke(g.ID, k.now) }, actor},
		{"revoked subject token", func() { k.revoke(g.ID, k.now) }, subject},
		{"sign-out of the subject", func() {
			_, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, g.Login))
			k.ok(err)
		}, subject},
		{"client removed", func() { k.ok(k.store.DeleteClient(k.Context(), app, k.endWrite(impersonation.ScopeClient, app))) }, nil},
	} {
		key := k.key()
		if c.token != nil {
			g = k.grantAt(app, func(g *store.Grant) { g.User, g.Login = john, k.signIn(john) })
			c.token(&key)
		}
		w := k.startOn(k.load(key), k.ticket())
		w.Ticket = oauth.Hash{}
		c.change()
		k.wantErr("start after "+c.name, k.store.Start(k.Context(), w), impersonation.ErrChanged)
		for _, kill := range k.kills() {
			k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: kill.Scope, ID: kill.ID}))
		}
	}
}

// change updates a user by f.
func (k *kit) change(id string, f func(*directory.User)) {
	k.Helper()
	u, err := k.store.Get(k.Context(), id)
	k.ok(err)
	f(&u)
	k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u}))
}

func (k *kit) kills() []impersonation.Kill {
	k.Helper()
	kills, err := k.store.Kills(k.Context())
	k.ok(err)
	return kills
}
