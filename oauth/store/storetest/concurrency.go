package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	crowd  = 32 // callers at once: more than any pool of connections has
	rounds = 20 // a tenth of it under -short
)

// RunConcurrency holds a store to its contract under real goroutines: what is used once, what races an end, and that a read
// sees what was answered. Like Run it takes a fresh store for each case and closes none.
func RunConcurrency(t *testing.T, open func(*testing.T) store.Store) {
	t.Helper()
	for _, c := range slices.Concat(concurrencyCases, refreshRaces, upstreamRaces, groupRaces) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			t.Log(c.explanation)
			k := newKit(t, open(t))
			for range many() {
				c.run(k)
			}
		})
	}
}

func many() int {
	if testing.Short() {
		return rounds / 10
	}
	return rounds
}

var concurrencyCases = []testCase{
	{"once/ticket", "of many starts with one ticket, one happens", func(k *kit) {
		f := k.load(impersonation.StartKey{Ticket: k.issue().Hash, Now: k.now})
		var writes [crowd]impersonation.StartWrite
		for i := range writes {
			writes[i] = k.startOn(f, *f.Ticket)
		}
		won := k.one(impersonation.ErrSpent, func(i int) error { return k.store.Start(k.Context(), writes[i]) })
		for i, w := range writes {
			if _, err := k.store.Session(k.Context(), w.Session.ID); (err == nil) != (i == won) {
				k.Errorf("session of caller %d, where %d was told that it had won: %v", i, won, err)
			}
		}
		k.end(k.endWrite(impersonation.ScopeInstance, ""))
	}},
	{"once/limit", "of many starts of one actor, each on a login of its own, no more happen than are allowed", func(k *kit) {
		var writes [crowd]impersonation.StartWrite
		for i := range writes {
			k.login = k.signIn(ann)
			t := k.ticket()
			writes[i] = k.startOn(k.load(k.key()), t)
			writes[i].Ticket, writes[i].MaxLive = oauth.Hash{}, 3
		}
		var won atomic.Int32
		var all sync.WaitGroup
		for _, w := range writes {
			all.Go(func() {
				switch err := k.store.Start(k.Context(), w); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, impersonation.ErrChanged):
					k.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 3 {
			k.Errorf("got %d sessions, want 3", won.Load())
		}
		k.end(k.endWrite(impersonation.ScopeInstance, ""))
	}},
	{"once/once", "of many starts by what can start only once, one happens", func(k *kit) {
		var writes [crowd]impersonation.StartWrite
		once := oauth.NewID("tok")
		for i := range writes {
			writes[i] = k.startOn(k.load(k.key()), k.ticket())
			writes[i].Ticket, writes[i].Session.Once = oauth.Hash{}, once
		}
		k.one(impersonation.ErrSpent, func(i int) error { return k.store.Start(k.Context(), writes[i]) })
		k.end(k.endWrite(impersonation.ScopeInstance, ""))
	}},
	{"once/replay", "a start that is asked again while it runs happens once, and every asker is told that it did", func(k *kit) {
		w := k.startWrite(k.issue())
		k.all(func(int) error { return k.store.Start(k.Context(), w) })
		if n := len(k.entries(store.EntryQuery{Session: w.Session.ID})); n != 1 {
			k.Errorf("got %d entries of one start", n)
		}
		k.end(k.endWrite(impersonation.ScopeInstance, ""))
	}},
	{"once/rivals", "of many starts of one login at one app, on facts that knew of none, one session lives", func(k *kit) {
		var writes [crowd]impersonation.StartWrite
		for i := range writes {
			writes[i] = k.startWrite(k.issue())
		}
		k.one(impersonation.ErrChanged, func(i int) error { return k.store.Start(k.Context(), writes[i]) })
		if ended := k.end(k.endWrite(impersonation.ScopeInstance, "")); len(ended) != 1 {
			k.Errorf("%d sessions lived, want 1", len(ended))
		}
	}},
	{"once/return-token", "of many stops with one return token, one gives a token", func(k *kit) {
		w := k.start()
		var writes [crowd]impersonation.StopWrite
		for i := range writes {
			writes[i] = k.stopWrite(w)
		}
		won := k.one(impersonation.ErrSpent, func(i int) error { return k.store.Stop(k.Context(), writes[i]) })
		for i, w := range writes {
			if _, err := k.store.GrantByJTI(k.Context(), w.Next.JTI); (err == nil) != (i == won) {
				k.Errorf("token of caller %d, where %d was told that it had won: %v", i, won, err)
			}
		}
	}},
	{"once/code", "of many redemptions of one code, one succeeds", func(k *kit) {
		g := k.grant()
		k.one(store.ErrSpent, func(int) error { return k.store.SpendCode(k.Context(), g.CodeHash, k.now) })
	}},
	{"once/value", "of many uses of one value, one succeeds", func(k *kit) {
		value := oauth.NewID("jti")
		k.one(store.ErrSpent, func(int) error { return k.store.UseOnce(k.Context(), "jti", value, k.now, k.now) })
	}},
	{"once/rotation", "of many who put a key in the place of one, or make the first, one does", func(k *kit) {
		keys, err := k.store.SigningKeys(k.Context())
		k.ok(err)
		was := "" // in the first round
		if len(keys) > 0 {
			was = keys[0].ID
		}
		k.one(impersonation.ErrChanged, func(i int) error {
			key := store.SigningKey{ID: fmt.Sprint("k", len(keys), "-", i), Algorithm: "ES256", Sealed: []byte{1}, Created: k.now, Activates: k.now}
			return k.store.RotateSigningKey(k.Context(), store.KeyRotation{Write: k.write(), Key: key, Was: was, WasRetires: k.now})
		})
	}},
	{"count/failures", "no failure of a sign-in is lost", func(k *kit) {
		key := oauth.NewSecret().Hash()
		k.all(func(int) error {
			_, err := k.store.Failed(k.Context(), key, k.now, 3600e9, crowd+1, 3600e9)
			return err
		})
		a, err := k.store.Attempt(k.Context(), key, k.now)
		k.ok(err)
		k.same("the count", a, store.Attempt{Failures: crowd})
	}},
	{"race/kill", "no start passes a kill", func(k *kit) {
		k.race(func() error {
			_, err := k.store.End(k.Context(), kill(k.endWrite(impersonation.ScopeInstance, "")))
			return err
		})
		k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: impersonation.ScopeInstance}))
	}},
	{"race/sign-out", "no start passes the actor's sign-out", func(k *kit) {
		k.login = k.signIn(ann)
		k.race(func() error {
			_, err := k.store.EndLogin(k.Context(), k.endWrite(impersonation.ScopeLogin, k.login))
			return err
		})
	}},
	{"race/disable", "no start passes the disabling of the subject", func(k *kit) {
		k.race(func() error { return k.set(john, false, impersonation.ScopeSubject) })
		k.ok(k.set(john, true, impersonation.ScopeSubject))
	}},
	{"race/demote", "no start passes the demotion of the actor", func(k *kit) {
		k.race(func() error { return k.set(ann, false, impersonation.ScopeActor) })
		k.ok(k.set(ann, true, impersonation.ScopeActor))
	}},
	{"read/own-write", "who was told of a write reads it, on any connection", func(k *kit) {
		k.all(func(i int) error {
			w := k.lone(fmt.Sprint("lgn", i))
			if err := k.store.Start(k.Context(), w); err != nil {
				return err
			}
			if l, err := k.store.LoadSession(k.Context(), w.Session.ID); err != nil || !l.Session.Ended.IsZero() {
				return fmt.Errorf("after the start: %v, ended %v", err, l.Session.Ended)
			}
			stop := k.stopWrite(w)
			if err := k.store.Stop(k.Context(), stop); err != nil {
				return err
			}
			if l, err := k.store.LoadSession(k.Context(), w.Session.ID); err != nil || l.Session.Ended.IsZero() {
				return fmt.Errorf("after the stop: %v, ended %v", err, l.Session.Ended)
			}
			_, err := k.store.Entry(k.Context(), stop.Entries[0].ID)
			return err
		})
	}},
	{"read/consistent", "facts and guard are of one moment: whoever reads between two changes of a user sees both halves of one of them", func(k *kit) {
		first := k.authz()["globex"] + 1
		k.change(john, func(u *directory.User) { u.Name = fmt.Sprint(first) })
		k.all(func(i int) error {
			if i == 0 {
				return k.rename(first + 1)
			}
			for range 10 {
				f, err := k.store.LoadStart(k.Context(), k.key())
				if err != nil {
					return err
				}
				if version := fmt.Sprint(f.Guard.Authz[1].N); f.Subject.Name != version {
					return fmt.Errorf("read the user of version %s with version %s", f.Subject.Name, version)
				}
			}
			return nil
		})
	}},
}

// rename names john after each version that the renaming gives his organisation, from first on.
func (k *kit) rename(first int64) error {
	u, err := k.store.Get(k.Context(), john)
	for n := first; err == nil && n < first+10; n++ {
		u.Name = fmt.Sprint(n)
		err = k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u})
	}
	return err
}

// all runs f as a crowd and wants every call to succeed.
func (k *kit) all(f func(i int) error) {
	k.Helper()
	for i, err := range together(f) {
		if err != nil {
			k.Errorf("caller %d: %v", i, err)
		}
	}
}

// one runs f as a crowd, wants exactly one call to succeed and the others to answer lost, and gives the one.
func (k *kit) one(lost error, f func(i int) error) (winner int) {
	k.Helper()
	winner = -1
	for i, err := range together(f) {
		switch {
		case err == nil && winner >= 0:
			k.Errorf("callers %d and %d both succeeded", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, lost):
			k.Errorf("caller %d: got %v, want %v", i, err, lost)
		}
	}
	if winner < 0 {
		k.Error("nobody succeeded")
	}
	return winner
}

// together calls f from a crowd that starts at once.
func together(f func(i int) error) []error {
	errs := make([]error, crowd)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// race runs starts, each at an app of its own, against end, and then wants none of their sessions alive.
func (k *kit) race(end func() error) {
	k.Helper()
	var started atomic.Int64
	k.all(func(i int) error {
		if i == crowd/2 {
			return end()
		}
		key := k.key()
		key.Client = fmt.Sprint("app", i)
		f, err := k.store.LoadStart(k.Context(), key)
		if err != nil || !allowed(f) {
			return err
		}
		t := k.ticket()
		t.Client = key.Client
		w := k.startOn(f, t)
		w.Ticket = oauth.Hash{}
		err = k.store.Start(k.Context(), w)
		if err == nil {
			started.Add(1)
		}
		if errors.Is(err, impersonation.ErrChanged) {
			return nil
		}
		return err
	})
	live, _, err := k.store.Sessions(k.Context(), store.SessionQuery{Live: true, Now: k.now})
	k.ok(err)
	if len(live) > 0 {
		k.Errorf("%d of %d started sessions live on", len(live), started.Load())
	}
}

// offLimits begins the names of groups whose members are nobody's subjects.
const offLimits = "off-limits-"

// allowed is the decision in a race: the rules that the ends in it touch.
func allowed(f impersonation.Facts) bool {
	return len(f.Kills) == 0 && f.Login.Ended.IsZero() && f.Actor.Enabled && f.Subject.Enabled &&
		!slices.ContainsFunc(f.Subject.Groups, func(g string) bool { return strings.HasPrefix(g, offLimits) })
}

// set enables or disables a user; disabling ends the sessions that scope reaches by them.
func (k *kit) set(id string, enabled bool, scope impersonation.EpochScope) error {
	u, err := k.store.Get(k.Context(), id)
	if err != nil {
		return err
	}
	u.Enabled = enabled
	w := store.UserWrite{Write: k.recorded(audit.KindUserDisable), User: u}
	if !enabled {
		w.Ends = []impersonation.EndWrite{k.endWrite(scope, id)}
	}
	return k.store.UpdateUser(k.Context(), w)
}

// lone is a start of a login that nobody else has, without a guard.
func (k *kit) lone(login string) impersonation.StartWrite {
	t := k.ticket()
	t.Login = login
	w := k.startOn(impersonation.Facts{}, t)
	w.Ticket = oauth.Hash{}
	return w
}
