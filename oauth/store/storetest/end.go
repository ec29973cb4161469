package storetest

import (
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

var stopCases = []testCase{
	{"stop/revoked", "what the actor's token was revoked for does not come back by a stop", func(k *kit) {
		g := k.grant()
		start := k.startWrite(k.issue())
		start.Session.Before.JTI = g.JTI
		k.ok(k.store.Start(k.Context(), start))
		stop := k.stopWrite(start)
		if f, err := k.store.LoadStop(k.Context(), start.Return); err != nil || f.Revoked {
			k.Errorf("before: got revoked %v, %v", f.Revoked, err)
		}
		k.revoke(g.ID, k.now)
		if f, err := k.store.LoadStop(k.Context(), start.Return); err != nil || !f.Revoked {
			k.Errorf("after: got revoked %v, %v; want true", f.Revoked, err)
		}
		k.wantErr("a stop decided before", k.store.Stop(k.Context(), stop), impersonation.ErrChanged)
		if s := k.stored(start.Session.ID); !s.Ended.IsZero() {
			k.Error("a stop that changed nothing ended the session")
		}
		stop.Next = nil
		k.ok(k.store.Stop(k.Context(), stop))
	}},
	{"stop/round-trip", "a stop ends the session, records it, and gives the actor a token that introspection finds", func(k *kit) {
		w := k.start()
		f, err := k.store.LoadStop(k.Context(), w.Return)
		k.ok(err)
		k.same("the session", f.Session, w.Session)
		if f.Expires != w.ReturnEnds || !f.Used.IsZero() || f.Void || f.Given != "" || f.Actor.Subject != ann || f.Subject.Subject != w.Session.Subject || f.Login.ID != k.login {
			k.Errorf("got %+v, want a fresh return token of ann's", f)
		}
		stop := k.stopWrite(w)
		k.ok(k.store.Stop(k.Context(), stop))
		s := k.stored(w.Session.ID)
		if s.Ended != k.now || s.EndReason != impersonation.EndStopped || s.EndedBy != ann {
			k.Errorf("got ended %v, %q by %q; want stopped by ann", s.Ended, s.EndReason, s.EndedBy)
		}
		g, err := k.store.GrantByJTI(k.Context(), stop.Next.JTI)
		k.ok(err)
		k.same("the grant", g, store.Grant{ID: stop.Next.Grant, Client: app, User: ann, Login: k.login, Scope: stop.Next.Scope, Audience: stop.Next.Audience,
			AuthTime: k.now, ACR: "urn:acr:2", AMR: []string{"pwd", "otp"}, Created: k.now, JTI: stop.Next.JTI, Issued: k.now, Expires: stop.Next.Expires,
			Subject: w.Session.TokenActor.Subject})
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindStop})); n != 1 {
			k.Errorf("got %d entries of the stop, want 1", n)
		}
	}},
	{"stop/once", "the second click gets nothing, and can tell what the first one gave", func(k *kit) {
		w := k.start()
		first := k.stopWrite(w)
		k.ok(k.store.Stop(k.Context(), first))
		k.wantErr("the second stop", k.store.Stop(k.Context(), k.stopWrite(w)), impersonation.ErrSpent)
		f, err := k.store.LoadStop(k.Context(), w.Return)
		k.ok(err)
		if f.Used != k.now || f.Given != first.Next.Grant {
			k.Errorf("got used %v, given %q; want %v, %q", f.Used, f.Given, k.now, first.Next.Grant)
		}
	}},
	{"stop/void", "a return token that a kill took away gives nothing, also when the read came before", func(k *kit) {
		w := k.start()
		k.end(kill(k.endWrite(impersonation.ScopeActor, ann)))
		k.wantErr("the stop", k.store.Stop(k.Context(), k.stopWrite(w)), impersonation.ErrSpent)
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndKilled {
			k.Errorf("got %q, want killed", s.EndReason)
		}
	}},
	{"end/kill-many", "a kill of more than fit one transaction ends them all, takes every way back, and is one entry", func(k *kit) {
		n := 1100
		if testing.Short() {
			n = 50
		}
		starts := k.startMany(n)
		e := kill(k.endWrite(impersonation.ScopeInstance, ""))
		e.Entries = k.recorded(audit.KindKill).Entries
		ended := map[string]bool{}
		for _, one := range k.end(e) {
			ended[one.Session.ID] = true
		}
		for _, w := range starts {
			if s := k.stored(w.Session.ID); !ended[s.ID] || s.EndReason != impersonation.EndKilled {
				k.Fatalf("session %s: answered %v, ended by %q; want both", s.ID, ended[s.ID], s.EndReason)
			}
			if f, err := k.store.LoadStop(k.Context(), w.Return); err != nil || !f.Void {
				k.Fatalf("its return token: void %v, %v; want true", f.Void, err)
			}
		}
		if kills := len(k.entries(store.EntryQuery{Kind: audit.KindKill})); kills != 1 || len(ended) != n {
			k.Errorf("%d entries of the kill, %d sessions ended; want 1 and %d", kills, len(ended), n)
		}
	}},
	{"stop/void-after-expiry", "a kill also takes the return token of a session that ended by itself before", func(k *kit) {
		w := k.start()
		e := k.endWrite(impersonation.ScopeSession, w.Session.ID)
		e.Reason, e.KeepReturn = impersonation.EndExpired, true
		k.end(e)
		k.end(kill(k.endWrite(impersonation.ScopeSubject, john)))
		k.wantErr("the stop", k.store.Stop(k.Context(), k.stopWrite(w)), impersonation.ErrSpent)
	}},
	{"stop/after-expiry", "the banner's way back works when time was up, and does not rewrite why it ended", func(k *kit) {
		w := k.start()
		e := k.endWrite(impersonation.ScopeSession, w.Session.ID)
		e.Reason, e.KeepReturn = impersonation.EndExpired, true
		k.end(e)
		stop := k.stopWrite(w)
		stop.Next = nil
		k.ok(k.store.Stop(k.Context(), stop))
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndExpired {
			k.Errorf("got %q, want expired", s.EndReason)
		}
	}},
	{"stop/unknown", "an unknown return token, or one of another session, stops nothing", func(k *kit) {
		w := k.start()
		_, err := k.store.LoadStop(k.Context(), oauth.NewSecret().Hash())
		k.wantErr("LoadStop", err, impersonation.ErrNotFound)
		stop := k.stopWrite(w)
		stop.Session = "imp_other"
		k.wantErr("Stop of another session", k.store.Stop(k.Context(), stop), impersonation.ErrSpent)
		if !k.stored(w.Session.ID).Ended.IsZero() {
			k.Error("the session was ended")
		}
	}},
	{"stop/all-or-nothing", "a stop that cannot be recorded leaves the return token usable", func(k *kit) {
		w := k.start()
		stop := k.stopWrite(w)
		good := stop.Entries
		stop.Entries = append(good[:1:1], good[0])
		if err := k.store.Stop(k.Context(), stop); err == nil {
			k.Fatal("a stop with an entry that cannot be written was answered nil")
		}
		stop.Entries = good
		k.ok(k.store.Stop(k.Context(), stop))
	}},
}

var endCases = []testCase{
	{"end/scopes", "an end reaches exactly what it names", func(k *kit) {
		for _, c := range []struct {
			scope impersonation.EpochScope
			id    func(impersonation.Session) string
		}{
			{impersonation.ScopeSession, func(s impersonation.Session) string { return s.ID }},
			{impersonation.ScopeActor, func(s impersonation.Session) string { return s.Actor }},
			{impersonation.ScopeSubject, func(s impersonation.Session) string { return s.Subject }},
			{impersonation.ScopeClient, func(s impersonation.Session) string { return s.Client }},
			{impersonation.ScopeLogin, func(s impersonation.Session) string { return s.Login }},
			{impersonation.ScopeOrganisation, func(impersonation.Session) string { return "globex" }},
			{impersonation.ScopeInstance, func(impersonation.Session) string { return "" }},
		} {
			w := k.start()
			if c.scope != impersonation.ScopeInstance {
				if ended := k.end(k.endWrite(c.scope, "somebody-else")); len(ended) != 0 {
					k.Errorf("%s of somebody else ended %v", c.scope, ended)
				}
			}
			ended := k.end(k.endWrite(c.scope, c.id(w.Session)))
			if len(ended) != 1 {
				k.Fatalf("%s: ended %d sessions, want 1", c.scope, len(ended))
			}
			k.same(string(c.scope)+": what End answers", ended[0].Session, k.stored(w.Session.ID))
			if s := ended[0].Session; s.EndedBy != "cli" || s.EndReason != impersonation.EndOperator || s.Ended != k.now {
				k.Errorf("%s: got %q by %q at %v", c.scope, s.EndReason, s.EndedBy, s.Ended)
			}
			if again := k.end(k.endWrite(c.scope, c.id(w.Session))); len(again) != 0 {
				k.Errorf("%s: the second end ended %d sessions", c.scope, len(again))
			}
		}
	}},
	{"end/organisation-of-actor", "an organisation's end reaches its own people as actors too", func(k *kit) {
		t := k.ticket()
		t.Actor, t.Subject = john, ann
		w := k.startOn(k.load(k.key()), t)
		w.Ticket = oauth.Hash{}
		k.ok(k.store.Start(k.Context(), w))
		if ended := k.end(k.endWrite(impersonation.ScopeOrganisation, "globex")); len(ended) != 1 {
			k.Errorf("ended %d sessions, want the one of john as actor", len(ended))
		}
	}},
	{"end/refused", "an end that a slip made too wide is refused", func(k *kit) {
		w := k.start()
		for _, e := range []impersonation.EndWrite{
			k.endWrite(impersonation.ScopeActor, ""), k.endWrite(impersonation.ScopeInstance, "app"), k.endWrite("planet", "earth"), k.endWrite("", ""),
			kill(k.endWrite(impersonation.ScopeSession, w.Session.ID)), kill(k.endWrite(impersonation.ScopeLogin, k.login)),
		} {
			if _, err := k.store.End(k.Context(), e); err == nil {
				k.Errorf("an end of %q %q with kill %v was taken", e.Scope, e.ID, e.Kill)
			}
		}
		if !k.stored(w.Session.ID).Ended.IsZero() {
			k.Error("a refused end ended the session")
		}
	}},
	{"end/recorded", "each session that ends has its entry and its event, and the end its own", func(k *kit) {
		w := k.start()
		e := kill(k.endWrite(impersonation.ScopeActor, ann))
		e.Entries, e.Events = k.recorded(audit.KindKill).Entries, []impersonation.Event{{Kind: "kill.on", Actor: ann, Time: k.now}}
		k.end(e)
		got := k.entries(store.EntryQuery{Kind: audit.KindEnd})
		if len(got) != 1 {
			k.Fatalf("got %d entries of ends, want 1", len(got))
		}
		want := impersonation.EndEntry(e, w.Session)
		want.ID, want.Salts = got[0].Entry.ID, got[0].Entry.Salts // both are random
		k.same("the entry", got[0].Entry, want)
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindKill})); n != 1 {
			k.Errorf("got %d entries of the kill, want 1", n)
		}
		events := k.outbox(0)
		last := events[len(events)-2:]
		k.same("the event of the session", last[0].Event, impersonation.EndEvent(e, w.Session))
		k.same("the event of the kill", last[1].Event, e.Events[0])
	}},
	{"end/nothing", "an end of nothing is no error, and is recorded", func(k *kit) {
		e := k.endWrite(impersonation.ScopeActor, ann)
		e.Entries = k.recorded(audit.KindEnd).Entries
		if ended := k.end(e); len(ended) != 0 {
			k.Errorf("ended %v", ended)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindEnd})); n != 1 {
			k.Errorf("got %d entries, want 1", n)
		}
	}},
	{"kill/state", "a kill lasts until it is lifted, and its count never goes back", func(k *kit) {
		for i := range int64(2) {
			e := kill(k.endWrite(impersonation.ScopeSubject, john))
			k.end(e)
			want := impersonation.Kill{Scope: impersonation.ScopeSubject, ID: john, Reason: "asked for", By: "root", At: k.now}
			k.same("kills", k.kills(), []impersonation.Kill{want})
			f := k.load(k.key())
			k.same("kills among the facts", f.Kills, []impersonation.Kill{want})
			k.same("the epoch", f.Guard.Epochs[3], impersonation.Epoch{Scope: impersonation.ScopeSubject, ID: john, N: i + 1, Killed: true})
			k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.recorded(audit.KindLift), Scope: impersonation.ScopeSubject, ID: john}))
			f = k.load(k.key())
			if len(k.kills()) != 0 || len(f.Kills) != 0 || f.Guard.Epochs[3].N != i+1 || f.Guard.Epochs[3].Killed {
				k.Errorf("after the lift: got %v and %+v", f.Kills, f.Guard.Epochs[3])
			}
		}
		k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: impersonation.ScopeActor, ID: "usr_never"}))
	}},
}

var liveCases = []testCase{
	{"live/all", "introspection sees everybody who keeps a session alive, and every kill that concerns it", func(k *kit) {
		w := k.start()
		l, err := k.store.LoadSession(k.Context(), w.Session.ID)
		k.ok(err)
		k.same("the session", l.Session, w.Session)
		if l.Client.ID != app || l.Actor.Subject != ann || l.Subject.Subject != john || l.Login.ID != k.login || len(l.Kills) != 0 {
			k.Errorf("got %+v", l)
		}
		e := kill(k.endWrite(impersonation.ScopeOrganisation, "globex"))
		k.end(e)
		k.end(kill(k.endWrite(impersonation.ScopeSubject, "usr_other")))
		l, err = k.store.LoadSession(k.Context(), w.Session.ID)
		k.ok(err)
		if len(l.Kills) != 1 || l.Kills[0].ID != "globex" || l.Session.Ended.IsZero() {
			k.Errorf("got kills %v, ended %v; want that of globex", l.Kills, l.Session.Ended)
		}
		_, err = k.store.LoadSession(k.Context(), "imp_none")
		k.wantErr("LoadSession of nothing", err, impersonation.ErrNotFound)
	}},
	{"live/touch", "an impersonation that is used keeps itself and the login from idling, and time never goes back", func(k *kit) {
		w := k.start()
		later := k.now.Add(time.Minute)
		for _, now := range []time.Time{later, k.now, later.Add(900 * time.Millisecond)} {
			k.ok(k.store.Touch(k.Context(), w.Session.ID, now))
		}
		l, err := k.store.Login(k.Context(), k.login)
		k.ok(err)
		if s := k.stored(w.Session.ID); s.LastActive != later || l.LastUsed != later {
			k.Errorf("got session %v, login %v; want %v", s.LastActive, l.LastUsed, later)
		}
		k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID))
		k.ok(k.store.Touch(k.Context(), w.Session.ID, later.Add(time.Hour)))
		k.ok(k.store.Touch(k.Context(), "imp_none", later))
		if s := k.stored(w.Session.ID); s.LastActive != later {
			k.Errorf("an ended session was touched: %v", s.LastActive)
		}
	}},
	{"live/expired", "the clock finds what is due, by any of its three limits, and only what lives", func(k *kit) {
		w := k.askedAbout()
		before := k.now.Add(-time.Second)
		for _, c := range []struct {
			name              string
			now, idle, silent time.Time
			want              int
		}{
			{"in time", k.now.Add(29 * time.Minute), before, before, 0},
			{"expired", w.Session.Expires, before, before, 1},
			{"idle", k.now, k.now, before, 1},
			{"silent", k.now, before, k.now, 1},
			{"all", w.Session.Expires, k.now, k.now, 1},
		} {
			got, err := k.store.Expired(k.Context(), c.now, c.idle, c.silent, 10)
			k.ok(err)
			if len(got) != c.want {
				k.Errorf("%s: got %d sessions, want %d", c.name, len(got), c.want)
			}
		}
		k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID))
		got, err := k.store.Expired(k.Context(), w.Session.Expires, k.now, k.now, 10)
		k.ok(err)
		if len(got) != 0 {
			k.Errorf("got %v, want no ended session", got)
		}
		k.start()
		if got, err = k.store.Expired(k.Context(), k.now, before, k.now.Add(time.Hour), 10); err != nil || len(got) != 0 {
			k.Errorf("got %v, %v; want none of whose issuer nobody asks", got, err)
		}
	}},
}

func (k *kit) outbox(after int64) []store.StoredEvent {
	k.Helper()
	events, err := k.store.Outbox(k.Context(), after, 1000)
	k.ok(err)
	return events
}
