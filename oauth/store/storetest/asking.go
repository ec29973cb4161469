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

// askedAbout opens a session whose actor's issuer is to be asked in 30 seconds, on a new login.
func (k *kit) askedAbout() impersonation.StartWrite {
	k.Helper()
	k.login = k.signIn(ann)
	w := k.startWrite(k.issue())
	w.Session.TokenActor, w.Session.Heard = oauth.Party{Issuer: idp, Subject: "00u1"}, k.now
	w.ForeignToken, w.AskAt = []byte("sealed "+w.Session.ID), k.now.Add(30*time.Second)
	k.ok(k.store.Start(k.Context(), w))
	return w
}

// leaseAsked takes up to limit of those that are due, for ten seconds.
func (k *kit) leaseAsked(limit int) []store.Asked {
	k.Helper()
	page, err := k.store.LeaseAsked(k.Context(), idp, k.now, k.now.Add(10*time.Second), limit)
	k.ok(err)
	return page
}

var askedCases = []testCase{
	{"asked/round-trip", "the token that was sealed at the start is the one that is asked about, when its time has come", func(k *kit) {
		w := k.askedAbout()
		k.ok(k.store.Start(k.Context(), w)) // the same write again
		k.same("the session", k.stored(w.Session.ID), w.Session)
		k.now = w.AskAt.Add(-time.Millisecond)
		if got := k.leaseAsked(10); len(got) != 0 {
			k.Errorf("before its time: got %v", got)
		}
		k.now = w.AskAt
		if got, err := k.store.LeaseAsked(k.Context(), idp+"/", k.now, k.now.Add(time.Minute), 10); err != nil || len(got) != 0 {
			k.Errorf("of another issuer: got %v, %v", got, err)
		}
		k.same("who is asked about", k.leaseAsked(10), []store.Asked{{Session: w.Session.ID, Actor: w.Session.TokenActor, Token: w.ForeignToken}})
	}},
	{"asked/leased", "what one server asks no other does, until the lease is over: nothing is lost with it", func(k *kit) {
		w := k.askedAbout()
		k.now = w.AskAt
		if n := len(k.leaseAsked(10)); n != 1 {
			k.Fatalf("got %d, want 1", n)
		}
		k.now = k.now.Add(10*time.Second - time.Millisecond)
		if got := k.leaseAsked(10); len(got) != 0 {
			k.Errorf("while it is leased: got %v", got)
		}
		k.now = k.now.Add(time.Millisecond)
		if n := len(k.leaseAsked(10)); n != 1 {
			k.Errorf("after the lease: got %d, want 1", n)
		}
	}},
	{"asked/leased-beside-due", "what one server asks stays its own also while others are due, and who has longer to wait is not asked about with them", func(k *kit) {
		leased := k.askedAbout()
		k.now = leased.AskAt
		if n := len(k.leaseAsked(10)); n != 1 {
			k.Fatalf("got %d, want 1", n)
		}
		k.now = k.now.Add(-25 * time.Second) // the next one's time comes in the middle of the lease
		due := k.askedAbout()
		k.now = k.now.Add(28 * time.Second)
		k.askedAbout()
		k.now = due.AskAt
		k.same("while one is leased", k.leaseAsked(10), []store.Asked{{Session: due.Session.ID, Actor: due.Session.TokenActor, Token: due.ForeignToken}})
	}},
	{"asked/oldest-first", "who waits longest is asked about first, and as many as there is room for", func(k *kit) {
		var want []string
		for range 3 {
			want = append(want, k.askedAbout().Session.ID)
			k.now = k.now.Add(time.Second)
		}
		k.now = k.now.Add(time.Minute)
		var got []string
		for range 2 {
			for _, a := range k.leaseAsked(2) {
				got = append(got, a.Session)
			}
		}
		k.same("the order", got, want)
	}},
	{"asked/heard", "an answer counts from when it was asked for, and never back", func(k *kit) {
		w := k.askedAbout()
		at := w.AskAt
		k.ok(k.store.Heard(k.Context(), w.Session.ID, at, at.Add(30*time.Second)))
		k.ok(k.store.Heard(k.Context(), w.Session.ID, at.Add(-time.Second), at.Add(29*time.Second))) // a slow answer of before
		if got := k.stored(w.Session.ID).Heard; got != at {
			k.Errorf("heard at %v, want %v", got, at)
		}
		k.now = at.Add(29*time.Second - time.Millisecond)
		if got := k.leaseAsked(10); len(got) != 0 {
			k.Errorf("asked again too early: %v", got)
		}
		k.now = at.Add(30 * time.Second)
		if n := len(k.leaseAsked(10)); n != 1 {
			k.Errorf("got %d, want it asked about again", n)
		}
		k.ok(k.store.Heard(k.Context(), "imp_none", at, at))
	}},
	{"asked/heard-alone", "an answer is about one session", func(k *kit) {
		w, other := k.askedAbout(), k.askedAbout()
		k.ok(k.store.Heard(k.Context(), w.Session.ID, w.AskAt, w.AskAt.Add(30*time.Second)))
		if got := k.stored(other.Session.ID).Heard; got != other.Session.Heard {
			k.Errorf("the other: heard at %v, want %v", got, other.Session.Heard)
		}
		k.now = w.AskAt
		k.same("who is asked about", k.leaseAsked(10), []store.Asked{{Session: other.Session.ID, Actor: other.Session.TokenActor, Token: other.ForeignToken}})
	}},
	{"asked/heard-late", "an answer that comes after the lease takes nothing from whoever asks now", func(k *kit) {
		w := k.askedAbout()
		k.now = w.AskAt
		k.leaseAsked(10)
		first := k.now
		k.now = k.now.Add(10 * time.Second)
		k.leaseAsked(10)
		k.ok(k.store.Heard(k.Context(), w.Session.ID, k.now, k.now.Add(30*time.Second)))
		k.ok(k.store.Heard(k.Context(), w.Session.ID, first, first.Add(30*time.Second)))
		if got := k.stored(w.Session.ID).Heard; got != k.now {
			k.Errorf("heard at %v, want %v", got, k.now)
		}
		k.now = first.Add(30 * time.Second) // sooner than it had to be, and never later
		if n := len(k.leaseAsked(10)); n != 1 {
			k.Errorf("got %d, want it asked about again", n)
		}
	}},
	{"asked/forgotten", "no end of any kind leaves a token behind, and none comes back", func(k *kit) {
		for name, end := range map[string]func(impersonation.StartWrite){
			"ended": func(w impersonation.StartWrite) { k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID)) },
			"signed out": func(impersonation.StartWrite) {
				_, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, k.login))
				k.ok(err)
			},
			"superseded": func(w impersonation.StartWrite) {
				next := k.startWrite(k.issue())
				next.Supersedes = []string{w.Session.ID}
				k.ok(k.store.Start(k.Context(), next))
			},
			"stopped": func(w impersonation.StartWrite) {
				k.ok(k.store.Stop(k.Context(), impersonation.StopWrite{Write: k.recorded(audit.KindStop), Return: w.Return, Session: w.Session.ID}))
			},
			"killed": func(impersonation.StartWrite) {
				k.end(kill(k.endWrite(impersonation.ScopeActor, ann)))
				k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: impersonation.ScopeActor, ID: ann}))
			},
		} {
			w := k.askedAbout()
			end(w)
			k.ok(k.store.Heard(k.Context(), w.Session.ID, k.now, k.now.Add(time.Second)))
			if k.stored(w.Session.ID).Ended.IsZero() {
				k.Errorf("%s: still alive", name)
			}
			got, err := k.store.LeaseAsked(k.Context(), idp, k.now.Add(time.Hour), k.now.Add(2*time.Hour), 10)
			k.ok(err)
			if len(got) != 0 {
				k.Errorf("%s: still asked about: %v", name, got)
			}
		}
	}},
	{"asked/once", "of many servers that look at once, one asks", func(k *kit) {
		for range 4 { // the first finds a pool without connections
			for range 5 {
				k.askedAbout()
			}
			k.now = k.now.Add(time.Minute)
			got := k.leaseAtOnce(8)
			slices.Sort(got)
			if len(slices.Compact(slices.Clone(got))) != len(got) || len(got) == 0 {
				k.Errorf("got %v, want each at most once", got)
			}
		}
	}},
}

// leaseAtOnce has many look at once for up to three each, and gives the sessions that they got.
func (k *kit) leaseAtOnce(many int) (got []string) {
	k.Helper()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		begin = make(chan struct{})
	)
	for range many {
		all.Go(func() {
			<-begin
			page, err := k.store.LeaseAsked(k.Context(), idp, k.now, k.now.Add(time.Hour), 3)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				k.Error(err)
			}
			for _, a := range page {
				got = append(got, a.Session)
			}
		})
	}
	close(begin)
	all.Wait()
	return got
}
