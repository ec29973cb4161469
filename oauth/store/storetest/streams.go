package storetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// aStream is one of app that was just opened.
func (k *kit) aStream() store.Stream {
	return store.Stream{ID: oauth.NewID("str"), Client: app, Status: "enabled", Description: "pod <1>", Events: []string{"https://e.test/a"},
		Cursor: store.Cursor{Fresh: true}, Created: k.now, Polled: k.now}
}

func (k *kit) openStream() store.Stream {
	k.Helper()
	s, err := k.store.OpenStream(k.Context(), k.aStream(), k.now.Add(-time.Minute), 64)
	k.ok(err)
	return s
}

func (k *kit) stream(id string) store.Stream {
	k.Helper()
	s, err := k.store.Stream(k.Context(), id)
	k.ok(err)
	return s
}

// tell is what s has not heard.
func (k *kit) tell(s store.Stream) []store.Telling {
	k.Helper()
	out, err := k.store.ToTell(k.Context(), s, true, 100)
	k.ok(err)
	return out
}

// told are the sessions and streams of which s has not heard.
func (k *kit) told(s store.Stream) (out []string) {
	k.Helper()
	for _, e := range k.tell(s) {
		out = append(out, e.Session)
	}
	return out
}

// endOne starts a session at a client and ends it.
func (k *kit) endOne(client string) impersonation.Session {
	k.Helper()
	w := k.startAt(client)
	k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID))
	return w.Session
}

func (k *kit) wantKills(what string, want ...impersonation.Kill) {
	k.Helper()
	got, err := k.store.ClientKills(k.Context(), app, k.now)
	k.ok(err)
	k.same(what, got, want)
}

var streamCases = []testCase{
	{"stream/open", "a stream begins at the end of what happened, and is read back as it was written", func(k *kit) {
		k.endOne(app)
		s := k.openStream()
		end, err := k.store.OutboxEnd(k.Context())
		k.ok(err)
		if s.Cursor.Position != end || end == 0 {
			k.Errorf("it begins at %d, want %d", s.Cursor.Position, end)
		}
		k.same("read", k.stream(s.ID), s)
		k.same("what it has not heard", k.told(s), []string(nil))
		_, err = k.store.OpenStream(k.Context(), s, k.now, 64)
		k.wantErr("the same again", err, store.ErrExists)
		_, err = k.store.Stream(k.Context(), "str_none")
		k.wantErr("none", err, store.ErrNotFound)
		_, err = k.store.Stream(k.Context(), "\x00\xff")
		k.wantErr("nothing that could be one", err, store.ErrNotFound)
		other := k.aStream()
		other.Client = "nobody"
		_, err = k.store.OpenStream(k.Context(), other, k.now, 64)
		k.wantErr("of nobody", err, store.ErrNotFound)
	}},
	{"stream/empty-outbox", "a stream may be the first thing that happens", func(k *kit) {
		s := k.openStream()
		one := k.endOne(app)
		k.same("told", k.told(s), []string{one.ID})
	}},
	{"stream/most", "a client has no more streams than it may, counting those that are polled, also where it opens many at once", func(k *kit) {
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client("other")}))
		var all sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for range 8 {
			all.Go(func() {
				_, err := k.store.OpenStream(k.Context(), k.aStream(), k.now.Add(-time.Minute), 3)
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, store.ErrTooMany) {
					refused++
				} else if err != nil {
					k.Error(err)
				}
			})
		}
		all.Wait()
		list, err := k.store.Streams(k.Context(), app)
		k.ok(err)
		if refused != 5 || len(list) != 3 {
			k.Errorf("%d of 8 were refused and %d are there; want 5 and 3", refused, len(list))
		}
		other := k.aStream()
		other.Client = "other"
		_, err = k.store.OpenStream(k.Context(), other, k.now.Add(-time.Minute), 3)
		k.ok(err)
		k.now = k.now.Add(time.Minute) // and nobody polled
		_, err = k.store.OpenStream(k.Context(), k.aStream(), k.now.Add(-time.Minute), 3)
		k.ok(err)
		k.ok(k.store.SweepStreams(k.Context(), k.now))
		list, err = k.store.Streams(k.Context(), "")
		k.ok(err)
		if len(list) != 1 || list[0].Polled != k.now {
			k.Errorf("after the sweep: got %+v; want the one that is new", list)
		}
	}},
	{"stream/tell", "a stream tells the ends at its own client, in their order, with what a token has, and nothing else", func(k *kit) {
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client("other")}))
		s, sibling := k.openStream(), k.openStream()
		w := k.nextAt(app)
		w.Session.TokenSubject = ""
		k.ok(k.store.Start(k.Context(), w))
		k.now = k.now.Add(time.Second)
		k.end(k.endWrite(impersonation.ScopeSession, w.Session.ID))
		k.endOne("other")
		two := k.endOne(app)
		got := k.tell(s)
		if len(got) != 2 || got[0].Position >= got[1].Position {
			k.Fatalf("got %+v; want two, in their order", got)
		}
		k.same("the first", got[0], store.Telling{Position: got[0].Position, Kind: "session.ended", Session: w.Session.ID, Subject: john, Audit: w.Session.Audit,
			Reason: string(k.endWrite(impersonation.ScopeSession, "").Reason), Time: k.now})
		if got[1].Session != two.ID || got[1].Subject != two.SubjectName() {
			k.Errorf("got %+v; want the other one, of %s", got[1], two.SubjectName())
		}
		k.same("the sibling", k.tell(sibling), got)
		one, err := k.store.ToTell(k.Context(), s, true, 1)
		k.ok(err)
		k.same("one", one, got[:1])
		none, err := k.store.ToTell(k.Context(), s, false, 10)
		k.ok(err)
		k.same("no ends", none, []store.Telling(nil))
		s.Cursor.Acked = []int64{got[0].Position}
		k.same("with the first acknowledged", k.tell(s), got[1:])
		s.Cursor = store.Cursor{Position: got[1].Position}
		k.same("behind both", k.tell(s), []store.Telling(nil))
	}},
	{"stream/every-end", "whatever ends a session is told", func(k *kit) {
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client("rp")}))
		for _, e := range sessionEnds {
			if e.name == "stop" || e.name == "removed-client" {
				continue // whose event is the caller's, and which takes the streams with it
			}
			s := k.aStream()
			s.Client = "rp"
			s, err := k.store.OpenStream(k.Context(), s, k.now, 64)
			k.ok(err)
			k.login = k.signIn(ann)
			w := k.startAt("rp")
			e.end(k, w)
			k.same(e.name, k.told(s), []string{w.Session.ID})
			k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: impersonation.ScopeOrganisation, ID: "globex"}))
			k.end(k.endWrite(impersonation.ScopeClient, "rp"))
		}
	}},
	{"stream/move", "a cursor moves from where it is, once, and never loses its lease", func(k *kit) {
		s := k.openStream()
		to := store.Cursor{Position: 7, Acked: []int64{9, 12}}
		later := k.now.Add(time.Second)
		k.ok(k.store.MoveStream(k.Context(), s.ID, s.Cursor, to, later))
		got := k.stream(s.ID)
		k.same("the cursor", got.Cursor, to)
		k.same("polled", got.Polled, later)
		k.wantErr("from where it was", k.store.MoveStream(k.Context(), s.ID, s.Cursor, store.Cursor{}, later), impersonation.ErrChanged)
		k.wantErr("of none", k.store.MoveStream(k.Context(), "str_none", to, to, later), store.ErrNotFound)
		k.ok(k.store.MoveStream(k.Context(), s.ID, to, to, k.now)) // by a clock that is behind
		k.same("polled, by a clock that is behind", k.stream(s.ID).Polled, later)
		var all sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 8 {
			all.Go(func() {
				err := k.store.MoveStream(k.Context(), s.ID, to, store.Cursor{Position: int64(100 + i)}, later)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, impersonation.ErrChanged) {
					k.Error(err)
				}
			})
		}
		all.Wait()
		if won != 1 {
			k.Errorf("%d of 8 moved it; want 1", won)
		}
	}},
	{"stream/lease", "of many servers one is at work with what is pushed, which no sweep and no other stream ends", func(k *kit) {
		n := k.aStream()
		n.Push, n.Polled = true, time.Time{}
		s, err := k.store.OpenStream(k.Context(), n, k.now, 0)
		k.ok(err)
		k.same("read", k.stream(s.ID), s)
		until := k.now.Add(15 * time.Second)
		var all sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			all.Go(func() {
				err := k.store.LeaseStream(k.Context(), s.ID, time.Time{}, until)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, impersonation.ErrChanged) {
					k.Error(err)
				}
			})
		}
		all.Wait()
		k.same("at work", won, 1)
		k.ok(k.store.LeaseStream(k.Context(), s.ID, until, k.now))
		k.same("given back", k.stream(s.ID).Polled, k.now)
		k.wantErr("of none", k.store.LeaseStream(k.Context(), "str_none", k.now, until), store.ErrNotFound)
		k.ok(k.store.SweepStreams(k.Context(), k.now.Add(time.Hour)))
		k.stream(s.ID)
		_, err = k.store.OpenStream(k.Context(), k.aStream(), k.now.Add(-time.Hour), 1)
		k.ok(err)
	}},
	{"stream/change", "what a client says of its stream is kept, and its cursor is not touched but to start anew", func(k *kit) {
		s := k.openStream()
		k.ok(k.store.MoveStream(k.Context(), s.ID, s.Cursor, store.Cursor{Position: 7}, k.now))
		want := s
		want.Status, want.Reason, want.Description, want.Events, want.Cursor = "paused", "deploying", "", nil, store.Cursor{Position: 7}
		k.ok(k.store.ChangeStream(k.Context(), want, false))
		k.same("changed", k.stream(s.ID), want)
		k.ok(k.store.ChangeStream(k.Context(), want, true))
		want.Cursor.Fresh = true
		k.same("anew", k.stream(s.ID), want)
		k.ok(k.store.ChangeStream(k.Context(), want, false))
		k.same("still anew", k.stream(s.ID), want)
		want.ID = "str_none"
		k.wantErr("of none", k.store.ChangeStream(k.Context(), want, false), store.ErrNotFound)
	}},
	{"stream/close", "a stream is closed once, with its entry, and goes with its client", func(k *kit) {
		s, kept := k.openStream(), k.openStream()
		w := k.recorded(audit.KindClientChange)
		k.ok(k.store.CloseStream(k.Context(), s.ID, w))
		if _, err := k.store.Entry(k.Context(), w.Entries[0].ID); err != nil {
			k.Errorf("its entry: %v", err)
		}
		again := k.recorded(audit.KindClientChange)
		k.wantErr("again", k.store.CloseStream(k.Context(), s.ID, again), store.ErrNotFound)
		if _, err := k.store.Entry(k.Context(), again.Entries[0].ID); !errors.Is(err, store.ErrNotFound) {
			k.Errorf("an entry of what did not happen: %v", err)
		}
		k.same("the other", k.stream(kept.ID), kept)
		k.ok(k.store.DeleteClient(k.Context(), app, k.endWrite(impersonation.ScopeClient, app)))
		_, err := k.store.Stream(k.Context(), kept.ID)
		k.wantErr("with its client", err, store.ErrNotFound)
	}},
	{"stream/verify", "a verification is told on its own stream, as it was asked, and not too often", func(k *kit) {
		s, sibling := k.openStream(), k.openStream()
		since := k.now.Add(-5 * time.Second)
		k.ok(k.store.VerifyStream(k.Context(), s.ID, "state-1", k.now, since))
		got := k.tell(s)
		if len(got) != 1 || got[0].Kind != store.EventVerify || got[0].Session != s.ID || got[0].Reason != "state-1" || got[0].Subject != "" {
			k.Errorf("got %+v", got)
		}
		k.same("the sibling", k.told(sibling), []string(nil))
		none, err := k.store.ToTell(k.Context(), s, false, 10)
		k.ok(err)
		k.same("also where no ends are told", none, got)
		k.wantErr("too soon", k.store.VerifyStream(k.Context(), s.ID, "state-2", k.now, since), store.ErrTooMany)
		k.wantErr("of none", k.store.VerifyStream(k.Context(), "str_none", "", k.now, since), store.ErrNotFound)
		k.same("told", len(k.tell(s)), 1)
		k.ok(k.store.VerifyStream(k.Context(), s.ID, "", k.now.Add(5*time.Second), k.now))
		k.same("told later", len(k.tell(s)), 2)
	}},
	{"stream/ended", "a snapshot has what ended and is not past its expiry, of the client, and says where there is too much", func(k *kit) {
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client("other")}))
		var want []string
		for range 3 {
			want = append(want, k.endOne(app).ID)
			k.now = k.now.Add(time.Second)
		}
		k.endOne("other")
		k.startAt(app) // which lives
		slices.Reverse(want)
		snapshot := func(since, now time.Time, most int) (got []string, err error) {
			list, err := k.store.EndedSessions(k.Context(), app, since, now, most)
			for _, s := range list {
				got = append(got, s.ID)
				if s.Expires.IsZero() {
					k.Errorf("%s has no expiry", s.ID)
				}
			}
			return got, err
		}
		got, err := snapshot(k.now.Add(-time.Hour), k.now, 3)
		k.ok(err)
		k.same("ended", got, want)
		got, err = snapshot(k.now.Add(-2*time.Second), k.now, 3)
		k.ok(err)
		k.same("started since", got, want[:1])
		got, err = snapshot(k.now.Add(-2*time.Hour), k.now.Add(30*time.Minute), 3)
		k.ok(err)
		k.same("past their expiry", got, []string(nil))
		_, err = snapshot(k.now.Add(-time.Hour), k.now, 2)
		k.wantErr("too much", err, store.ErrTooMany)
	}},
	{"stream/kills", "a client hears of the kills that concern it, by the names that it knows, and of no others", func(k *kit) {
		on := func(scope impersonation.EpochScope, id string) {
			k.Helper()
			k.end(kill(k.endWrite(scope, id)))
		}
		off := func(scope impersonation.EpochScope, id string) {
			k.Helper()
			k.ok(k.store.Lift(k.Context(), impersonation.LiftWrite{Write: k.write(), Scope: scope, ID: id}))
		}
		is := func(scope impersonation.EpochScope, id string) impersonation.Kill {
			return impersonation.Kill{Scope: scope, ID: id}
		}
		k.ok(k.store.CreateUser(k.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: "usr_eve", Organisation: "initech", Enabled: true}}))
		k.wantKills("none")
		on(impersonation.ScopeSubject, john)
		on(impersonation.ScopeActor, ann)
		on(impersonation.ScopeOrganisation, "globex")
		k.wantKills("of people of whom it has no session")
		off(impersonation.ScopeSubject, john)
		off(impersonation.ScopeActor, ann)
		off(impersonation.ScopeOrganisation, "globex")

		w := k.nextAt(app)
		w.Session.TokenSubject, w.Session.TokenActor = "", oauth.Party{}
		k.ok(k.store.Start(k.Context(), w))
		on(impersonation.ScopeSubject, "usr_eve")
		on(impersonation.ScopeOrganisation, "initech")
		on(impersonation.ScopeClient, "other")
		k.wantKills("of others")
		on(impersonation.ScopeSubject, john)
		k.wantKills("of its subject", is("subject", john))
		off(impersonation.ScopeSubject, john)
		on(impersonation.ScopeActor, ann)
		k.wantKills("of its actor", is("actor", ann))
		on(impersonation.ScopeOrganisation, "globex")
		k.wantKills("of the subject's organisation too", is("actor", ann), is("organisation", "globex"))
		k.now = k.now.Add(31 * time.Minute)
		k.wantKills("once the session is past its expiry")
		on(impersonation.ScopeInstance, "")
		on(impersonation.ScopeClient, app)
		got, err := k.store.ClientKills(k.Context(), app, k.now)
		k.ok(err)
		if len(got) != 2 || !slices.Contains(got, is("instance", "")) || !slices.Contains(got, is("client", app)) {
			k.Errorf("got %v; want those of the instance and of the client", got)
		}
	}},
	{"stream/kills-by-name", "where a client knows people by other names, it is told these", func(k *kit) {
		u, err := k.store.Get(k.Context(), ann)
		k.ok(err)
		u.Organisation = "acme"
		k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u}))
		w := k.nextAt(app)
		w.Session.TokenSubject, w.Session.TokenActor = "jd", oauth.Party{Issuer: "https://idp.test", Subject: "aa"}
		k.ok(k.store.Start(k.Context(), w))
		k.end(kill(k.endWrite(impersonation.ScopeOrganisation, "acme")))
		k.wantKills("an organisation of the actor alone", impersonation.Kill{Scope: "actor", ID: "aa"})
		k.end(kill(k.endWrite(impersonation.ScopeSubject, john)))
		k.wantKills("and the subject", impersonation.Kill{Scope: "actor", ID: "aa"}, impersonation.Kill{Scope: "subject", ID: "jd"})
	}},
	{"stream/sweep", "the outbox is swept of what is old, from its beginning on, and numbers go on", func(k *kit) {
		s := k.openStream()
		for i := range 3 {
			k.endOne(app)
			k.now = k.now.Add(time.Duration(i+1) * time.Hour)
		}
		before := k.outbox(0)
		n, err := k.store.SweepOutbox(k.Context(), k.now.Add(-4*time.Hour), 1)
		k.ok(err)
		k.same("at most one", n, 1)
		n, err = k.store.SweepOutbox(k.Context(), k.now.Add(-4*time.Hour), 100)
		k.ok(err)
		left := k.outbox(0)
		if n == 0 || len(left) != len(before)-1-n || left[0].Time.Before(k.now.Add(-4*time.Hour)) {
			k.Errorf("%d of %d were swept, left %v", n, len(before), left)
		}
		_, err = k.store.SweepOutbox(k.Context(), k.now.Add(time.Hour), 100)
		k.ok(err)
		k.same("all", len(k.outbox(0)), 0)
		one := k.endOne(app)
		if got := k.outbox(0); got[0].Position <= before[len(before)-1].Position {
			k.Errorf("position %d comes again", got[0].Position)
		}
		k.same("told", k.told(s), []string{one.ID})
	}},
	{"stream/order", "a reader who follows the outbox misses nothing, however many write at once", func(k *kit) {
		s := k.openStream()
		const writers, each = 6, 10
		var writing sync.WaitGroup
		done := make(chan struct{})
		for range writers {
			writing.Go(func() {
				for range each {
					if err := k.store.VerifyStream(k.Context(), s.ID, "", k.now, k.now); err != nil {
						k.Error(err)
					}
				}
			})
		}
		go func() { writing.Wait(); close(done) }()
		heard := 0
		for last := false; !last; {
			select {
			case <-done:
				last = true
			default:
			}
			for _, e := range k.tell(s) {
				heard, s.Cursor.Position = heard+1, e.Position
			}
		}
		k.same("heard", heard, writers*each)
	}},
}
