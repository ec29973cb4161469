package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

func (k *kit) consent() impersonation.Consent {
	return impersonation.Consent{
		ID: oauth.NewID("cns"), Subject: john, Actor: "client:" + app, ActorKind: oauth.ActorAIAgent, Client: app, Scopes: []string{"openid", "orders:read"},
		Mode: oauth.ModeRead, Reason: "books travel for John", Until: k.now.Add(time.Hour), Created: k.now, CreatedBy: "cli",
	}
}

func (k *kit) addConsent(c impersonation.Consent) error {
	return k.store.AddConsent(k.Context(), store.ConsentWrite{Write: k.recorded(audit.KindConsentAdd), Consent: c})
}

func (k *kit) withdraw(id string) ([]impersonation.Ended, error) {
	end := k.endWrite("", "")
	end.Reason, end.Entries = impersonation.EndConsent, k.recorded(audit.KindConsentRemove).Entries
	return k.store.RevokeConsent(k.Context(), id, end)
}

// agentKey is the start of the app for itself.
func (k *kit) agentKey() impersonation.StartKey {
	return impersonation.StartKey{Client: app, Actor: "client:" + app, Subject: john, Consent: true, Now: k.now}
}

// agentStart is the app's start for itself on the facts f.
func (k *kit) agentStart(f impersonation.Facts, consent string) impersonation.StartWrite {
	t := k.ticket()
	t.Hash, t.Login, t.Actor = oauth.Hash{}, "", "client:"+app
	w := k.startOn(f, t)
	w.Session.ActorKind, w.Session.Consent = oauth.ActorAIAgent, consent
	return w
}

var consentCases = []testCase{
	{"consent/round-trip", "a grant is read as it was given, by who gave it and where, and by a start that asks for it", func(k *kit) {
		c := k.consent()
		k.ok(k.addConsent(c))
		got, err := k.store.LivingConsent(k.Context(), john, app, k.now)
		k.ok(err)
		k.same("LivingConsent", got, c)
		k.same("LoadStart", k.load(k.agentKey()).Consent, &c)
		if f := k.load(k.key()); f.Consent != nil {
			k.Errorf("LoadStart without asking: got %v, want no consent", f.Consent)
		}
		other := k.agentKey()
		other.Subject = ann
		if f := k.load(other); f.Consent != nil {
			k.Errorf("LoadStart of another subject: got %v, want no consent", f.Consent)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindConsentAdd})); n != 1 {
			k.Errorf("entries: got %d, want 1", n)
		}
		_, err = k.store.LivingConsent(k.Context(), john, "other", k.now)
		k.wantErr("LivingConsent at another client", err, store.ErrNotFound)
		_, err = k.store.LivingConsent(k.Context(), john, app, c.Until)
		k.wantErr("LivingConsent when it is over", err, store.ErrNotFound)
	}},
	{"consent/one-living", "a subject has one grant at a client: a second is refused until the first is over or revoked", func(k *kit) {
		first := k.consent()
		k.ok(k.addConsent(first))
		k.wantErr("a second", k.addConsent(k.consent()), store.ErrExists)
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindConsentAdd})); n != 1 {
			k.Errorf("entries: got %d, want 1", n)
		}
		nobody := k.consent()
		nobody.Subject = "usr_nobody"
		k.wantErr("of nobody", k.addConsent(nobody), store.ErrNotFound)

		k.now = first.Until
		second := k.consent()
		k.ok(k.addConsent(second))
		_, err := k.withdraw(first.ID)
		k.wantErr("revoking what is over", err, store.ErrNotFound)
		_, err = k.withdraw(second.ID)
		k.ok(err)
		_, err = k.withdraw(second.ID)
		k.wantErr("revoking twice", err, store.ErrNotFound)
		_, err = k.withdraw("cns_none")
		k.wantErr("revoking nothing", err, store.ErrNotFound)
		_, err = k.store.LivingConsent(k.Context(), john, app, k.now)
		k.wantErr("LivingConsent", err, store.ErrNotFound)
		k.ok(k.addConsent(k.consent()))
	}},
	{"consent/raced", "of many who give the same grant at once one does", func(k *kit) {
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = k.addConsent(k.consent()) })
		}
		all.Wait()
		ok := 0
		for _, err := range errs {
			if err == nil {
				ok++
			} else {
				k.wantErr("a loser", err, store.ErrExists)
			}
		}
		if ok != 1 {
			k.Errorf("%d of them did, want 1", ok)
		}
	}},
	{"consent/list", "an operator sees the grants, and pages through them", func(k *kit) {
		a, b := k.consent(), k.consent()
		b.Subject, b.Actor, b.ActorKind = ann, john, oauth.ActorUser
		k.ok(k.addConsent(a))
		k.ok(k.addConsent(b))
		list := func(q store.ConsentQuery) []string {
			k.Helper()
			q.Now = k.now
			found, err := k.store.Consents(k.Context(), q)
			k.ok(err)
			var ids []string
			for _, c := range found {
				ids = append(ids, c.ID)
			}
			return ids
		}
		both := []string{a.ID, b.ID}
		slices.Sort(both)
		k.same("all", list(store.ConsentQuery{}), both)
		k.same("first page", list(store.ConsentQuery{Limit: 1}), both[:1])
		k.same("second page", list(store.ConsentQuery{After: both[0]}), both[1:])
		k.same("of a subject", list(store.ConsentQuery{Subject: john}), []string{a.ID})
		k.same("to an actor", list(store.ConsentQuery{Actor: john}), []string{b.ID})
		k.same("at a client", list(store.ConsentQuery{Client: "other"}), []string(nil))
		_, err := k.withdraw(a.ID)
		k.ok(err)
		k.same("the living", list(store.ConsentQuery{Live: true}), []string{b.ID})
		k.same("all the same", list(store.ConsentQuery{}), both)
		k.now = b.Until
		k.same("the living when all are over", list(store.ConsentQuery{Live: true}), []string(nil))
	}},
	{"consent/revoke-ends", "what stands on a grant ends with it, in the same write, and nothing else does", func(k *kit) {
		other := k.start()
		c := k.consent()
		k.ok(k.addConsent(c))
		w := k.agentStart(k.load(k.agentKey()), c.ID)
		k.ok(k.store.Start(k.Context(), w))
		live, err := k.store.LoadSession(k.Context(), w.Session.ID)
		k.ok(err)
		k.same("LoadSession", live.Consent, &c)
		ended, err := k.withdraw(c.ID)
		k.ok(err)
		if len(ended) != 1 || ended[0].Session.ID != w.Session.ID {
			k.Fatalf("ended: got %v, want the one session", ended)
		}
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndConsent {
			k.Errorf("session: got %q, want consent", s.EndReason)
		}
		if s := k.stored(other.Session.ID); !s.Ended.IsZero() {
			k.Error("a session that stands on no grant ended too")
		}
		if live, err = k.store.LoadSession(k.Context(), w.Session.ID); err != nil || live.Consent == nil || !live.Consent.Revoked.Equal(at(k.now)) {
			k.Errorf("LoadSession: got %v, %v; want the grant, revoked", live.Consent, err)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindConsentRemove})); n != 1 {
			k.Errorf("entries: got %d, want 1", n)
		}
		kill := k.endWrite(impersonation.ScopeConsent, c.ID)
		kill.Kill = true
		if _, err := k.store.End(k.Context(), kill); err == nil {
			k.Error("a consent was killed; it can only be revoked")
		}
	}},
	{"consent/guards-a-start", "a start that was decided before its grant came or went reads again", func(k *kit) {
		before := k.load(k.agentKey())
		c := k.consent()
		k.ok(k.addConsent(c))
		k.wantErr("decided before it came", k.store.Start(k.Context(), k.agentStart(before, "")), impersonation.ErrChanged)
		during := k.load(k.agentKey())
		_, err := k.withdraw(c.ID)
		k.ok(err)
		k.wantErr("decided before it went", k.store.Start(k.Context(), k.agentStart(during, c.ID)), impersonation.ErrChanged)
		if f := k.load(k.agentKey()); f.Consent != nil {
			k.Errorf("LoadStart: got %v, want no consent", f.Consent)
		}
	}},
	{"consent/client-gone", "a removed client takes the grants at it along", func(k *kit) {
		k.ok(k.addConsent(k.consent()))
		k.ok(k.store.DeleteClient(k.Context(), app, k.endWrite(impersonation.ScopeClient, app)))
		found, err := k.store.Consents(k.Context(), store.ConsentQuery{Live: true, Now: k.now})
		k.ok(err)
		k.same("the living", len(found), 0)
	}},
	{"client/deciding", "a decision sees what a client is and may do", func(k *kit) {
		c := k.client("agent")
		c.Settings = store.Settings{Service: oauth.ActorAIAgent, UserID: true}
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: c}))
		key := k.key()
		key.Client = "agent"
		want := c.Client
		want.Name, want.Service, want.UserID = c.Name, oauth.ActorAIAgent, true
		k.same("LoadStart", k.load(key).Client, &want)
	}},
}
