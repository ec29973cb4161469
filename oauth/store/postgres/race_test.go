package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// scene is a database with three people who may impersonate, ann0 to ann2, and two replicas on it.
type scene struct {
	*testing.T
	store *postgres.Store
	other *postgres.Store
	db    postgrestest.Database
}

func newScene(t *testing.T) *scene {
	t.Helper()
	d := postgrestest.Fresh(t)
	sc := &scene{T: t, store: open(t, postgres.Config{URL: d.Application}), other: open(t, postgres.Config{URL: d.Application}), db: d}
	stage(t, sc.store, 3)
	return sc
}

func (sc *scene) connect() *pgx.Conn {
	sc.Helper()
	c, err := pgx.Connect(sc.Context(), sc.db.Superuser)
	if err != nil {
		sc.Fatal(err)
	}
	sc.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func (sc *scene) run(c *pgx.Conn, query string, args ...any) {
	sc.Helper()
	if _, err := c.Exec(sc.Context(), query, args...); err != nil {
		sc.Fatal(err)
	}
}

// meet begins first, and second once first waits for the end of the trail, which it lets go when both wait. It reports false if
// one of them had given up by then, as they do after a second: on a busy machine that is no fault of theirs.
func (sc *scene) meet(first, second func() error) (a, b error, met bool) {
	sc.Helper()
	blocker, watcher := sc.connect(), sc.connect()
	sc.run(blocker, `BEGIN`)
	sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
	one := begin(first)
	waits := sc.waiting(watcher, 1, one)
	two := begin(second)
	waits = waits && sc.waiting(watcher, 2, one)
	sc.run(blocker, `COMMIT`)
	a, b = <-one, <-two
	return a, b, waits && !errors.Is(a, store.ErrUnavailable) && !errors.Is(b, store.ErrUnavailable)
}

// waiting returns once n connections to the database wait for a lock, or false once done has something.
func (sc *scene) waiting(c *pgx.Conn, n int, done <-chan error) bool {
	sc.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		var now int
		if err := c.QueryRow(sc.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&now); err != nil {
			sc.Fatal(err)
		}
		if now >= n {
			return true
		}
		if len(done) > 0 {
			return false
		}
		if time.Now().After(deadline) {
			sc.Fatalf("%d wait for a lock, want %d", now, n)
		}
	}
}

// untilMet plays a scene until its two have met.
func untilMet(t *testing.T, play func(*scene) (met bool)) {
	t.Helper()
	for range 10 {
		if play(newScene(t)) {
			return
		}
	}
	t.Fatal("the two never met")
}

func (sc *scene) start() impersonation.StartWrite {
	sc.Helper()
	return startOf(loaded(sc, sc.store, ticketOf(sc, sc.store, 0)))
}

// begin runs f beside the test.
func begin(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// enders are all who end sessions by changing a row that starts lock.
var enders = map[string]func(context.Context, store.Store) error{
	"kill of the subject, the first ever": func(ctx context.Context, s store.Store) error {
		return kill(ctx, s, impersonation.ScopeSubject, "john")
	},
	"kill of everything": func(ctx context.Context, s store.Store) error { return kill(ctx, s, impersonation.ScopeInstance, "") },
	"sign-out": func(ctx context.Context, s store.Store) error {
		_, err := s.EndLogin(ctx, ending(impersonation.ScopeLogin, "login-ann0"))
		return err
	},
	"disabled user": func(ctx context.Context, s store.Store) error {
		u, err := s.Get(ctx, "john")
		if err != nil {
			return err
		}
		u.Enabled = false
		w := store.UserWrite{Write: impersonation.Write{Now: now}, User: u, Ends: []impersonation.EndWrite{ending(impersonation.ScopeSubject, "john")}}
		return s.UpdateUser(ctx, w)
	},
	"changed credentials": func(ctx context.Context, s store.Store) error {
		return s.SetCredentials(ctx, store.CredentialsWrite{Write: impersonation.Write{Now: now}, UserID: "ann0", Password: new(string), EndLogins: true,
			Ends: []impersonation.EndWrite{ending(impersonation.ScopeActor, "ann0")}})
	},
	"removed client": func(ctx context.Context, s store.Store) error {
		return s.DeleteClient(ctx, "app", ending(impersonation.ScopeClient, "app"))
	},
}

func ending(scope impersonation.EpochScope, id string) impersonation.EndWrite {
	return impersonation.EndWrite{Write: impersonation.Write{RequestID: oauth.NewID("req"), Now: now}, Scope: scope, ID: id, Reason: impersonation.EndOperator}
}

func kill(ctx context.Context, s store.Store, scope impersonation.EpochScope, id string) error {
	w := ending(scope, id)
	w.Kill = true
	_, err := s.End(ctx, w)
	return err
}

// A start that began before an end and commits after it is found by the end, on whichever replica: it holds its locks, and the
// end waits for them.
func TestEndFindsTheStartInFlight(t *testing.T) {
	t.Parallel()
	for name, end := range enders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			untilMet(t, func(sc *scene) bool {
				w := sc.start()
				started, ended, met := sc.meet(func() error { return sc.store.Start(sc.Context(), w) }, func() error { return end(sc.Context(), sc.other) })
				if !met {
					return false
				}
				if err := errors.Join(started, ended); err != nil {
					t.Error(err)
				}
				if s, err := sc.store.Session(sc.Context(), w.Session.ID); err != nil || s.Ended.IsZero() {
					t.Errorf("got ended %v, %v; the session lives on", s.Ended, err)
				}
				return true
			})
		})
	}
}

// A start that was decided before an end, and begins while the end has not committed, waits for it and then does not happen.
func TestStartFindsTheEndInFlight(t *testing.T) {
	t.Parallel()
	for name, end := range enders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			untilMet(t, func(sc *scene) bool {
				w := sc.start()
				ended, started, met := sc.meet(func() error { return end(sc.Context(), recording{sc.other}) }, func() error { return sc.store.Start(sc.Context(), w) })
				if !met {
					return false
				}
				if ended != nil {
					t.Errorf("the end: %v", ended)
				}
				if !errors.Is(started, impersonation.ErrChanged) && !errors.Is(started, impersonation.ErrSpent) {
					t.Errorf("the start: got %v, want that it found the change", started)
				}
				if _, err := sc.store.Session(sc.Context(), w.Session.ID); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("got %v, want no session", err)
				}
				return true
			})
		})
	}
}

// recording gives every end an entry, so that it too comes to the end of the trail.
type recording struct{ store.Store }

func (r recording) End(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	w.Entries = []audit.Entry{audit.New(audit.KindKill, now)}
	return r.Store.End(ctx, w)
}

func (r recording) EndLogin(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	w.Entries = []audit.Entry{audit.New(audit.KindSignOut, now)}
	return r.Store.EndLogin(ctx, w)
}

func (r recording) UpdateUser(ctx context.Context, w store.UserWrite) error {
	w.Entries = []audit.Entry{audit.New(audit.KindUserDisable, now)}
	return r.Store.UpdateUser(ctx, w)
}

func (r recording) SetCredentials(ctx context.Context, w store.CredentialsWrite) error {
	w.Entries = []audit.Entry{audit.New(audit.KindUserDisable, now)}
	return r.Store.SetCredentials(ctx, w)
}

func (r recording) DeleteClient(ctx context.Context, id string, end impersonation.EndWrite) error {
	end.Entries = []audit.Entry{audit.New(audit.KindClientRemove, now)}
	return r.Store.DeleteClient(ctx, id, end)
}

// Of two starts of one login at one app on two replicas, neither of which saw the other, one happens.
func TestRivalsOnTwoReplicas(t *testing.T) {
	t.Parallel()
	untilMet(t, func(sc *scene) bool {
		before := sc.start() // so that the epochs are there, which a first start makes the next wait for
		if err := sc.store.Start(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if _, err := sc.store.End(t.Context(), ending(impersonation.ScopeSession, before.Session.ID)); err != nil {
			t.Fatal(err)
		}
		one, two := sc.start(), sc.start()
		first, second, met := sc.meet(func() error { return sc.store.Start(sc.Context(), one) }, func() error { return sc.other.Start(sc.Context(), two) })
		if met && (first != nil || !errors.Is(second, impersonation.ErrChanged)) {
			t.Errorf("got %v and %v, want nil and ErrChanged", first, second)
		}
		return met
	})
}

// The token that a stop gives back does not outlive a sign-out that comes while the stop is on its way.
func TestSignOutFindsTheStopInFlight(t *testing.T) {
	t.Parallel()
	untilMet(t, func(sc *scene) bool {
		w := sc.start()
		if err := sc.store.Start(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		stop := stopOf(w)
		stopped, out, met := sc.meet(func() error { return sc.store.Stop(sc.Context(), stop) }, func() error { return enders["sign-out"](sc.Context(), sc.other) })
		if !met {
			return false
		}
		if err := errors.Join(stopped, out); err != nil {
			t.Error(err)
		}
		if g, err := sc.store.GrantByJTI(t.Context(), stop.Next.JTI); err != nil || g.Revoked.IsZero() {
			t.Errorf("got revoked %v, %v; the token outlives the sign-out", g.Revoked, err)
		}
		return true
	})
}

// Numbers of the trail are in the order of commits: who began to write first but commits last has the higher one, so that a
// reader who has passed a number never misses one below it.
func TestEntriesAreInTheOrderOfCommits(t *testing.T) {
	t.Parallel()
	untilMet(t, func(sc *scene) bool {
		blocker, watcher := sc.connect(), sc.connect()
		sc.run(blocker, `BEGIN`)
		sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
		late := audit.New(audit.KindKey, now)
		recorded := begin(func() error { return sc.store.Record(sc.Context(), late) })
		if !sc.waiting(watcher, 1, recorded) {
			return false
		}
		var early int64
		if err := blocker.QueryRow(t.Context(), `INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical)
			VALUES ('aud_1', 1, 'x', '', '', '', '', '') RETURNING seq`).Scan(&early); err != nil {
			t.Fatal(err)
		}
		sc.run(blocker, `COMMIT`)
		if err := <-recorded; errors.Is(err, store.ErrUnavailable) {
			return false
		}
		if e, err := sc.store.Entry(t.Context(), late.ID); err != nil || e.Seq <= early {
			t.Errorf("got number %d, %v; want it above %d, which was committed before", e.Seq, err, early)
		}
		return true
	})
}

// Somebody who holds the end of the trail for longer than Postgres lets a statement wait is outwaited, once.
func TestLongLock(t *testing.T) {
	t.Parallel()
	sc := newScene(t)
	w := sc.start()
	blocker := sc.connect()
	sc.run(blocker, `BEGIN`)
	sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
	started := begin(func() error { return sc.store.Start(sc.Context(), w) })
	sc.waiting(sc.connect(), 1, started)
	sc.run(blocker, `SELECT pg_sleep(1.2)`) // lock_timeout is a second
	sc.run(blocker, `COMMIT`)
	if err := <-started; err != nil {
		t.Error(err)
	}
}
