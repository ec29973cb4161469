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

// scene is a database with one person who may impersonate, ann0, and two replicas on it.
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
	stage(t, sc.store, 1)
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

// waiting returns once n connections to the database wait for a lock.
func (sc *scene) waiting(c *pgx.Conn, n int) {
	sc.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		var now int
		if err := c.QueryRow(sc.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&now); err != nil {
			sc.Fatal(err)
		}
		if now >= n {
			return
		}
		if time.Now().After(deadline) {
			sc.Fatalf("%d wait for a lock, want %d", now, n)
		}
	}
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
// end waits for them. Here the start is held up at the last lock of all, the end of the trail.
func TestEndFindsTheStartInFlight(t *testing.T) {
	t.Parallel()
	for name, end := range enders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t)
			w := sc.start()
			blocker, watcher := sc.connect(), sc.connect()
			sc.run(blocker, `BEGIN`)
			sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
			started := begin(func() error { return sc.store.Start(sc.Context(), w) })
			sc.waiting(watcher, 1)
			ended := begin(func() error { return end(sc.Context(), sc.other) })
			sc.waiting(watcher, 2)
			sc.run(blocker, `COMMIT`)
			if err := <-started; err != nil {
				t.Errorf("the start: %v", err)
			}
			if err := <-ended; err != nil {
				t.Errorf("the end: %v", err)
			}
			if s, err := sc.store.Session(sc.Context(), w.Session.ID); err != nil || s.Ended.IsZero() {
				t.Errorf("got ended %v, %v; the session lives on", s.Ended, err)
			}
		})
	}
}

// A start that was decided before an end, and begins while the end has not committed, waits for it and then does not happen.
func TestStartFindsTheEndInFlight(t *testing.T) {
	t.Parallel()
	for name, end := range enders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t)
			w := sc.start()
			blocker, watcher := sc.connect(), sc.connect()
			sc.run(blocker, `BEGIN`)
			sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
			ended := begin(func() error { return end(sc.Context(), recording{sc.other}) }) // its entry holds it up as well
			sc.waiting(watcher, 1)
			started := begin(func() error { return sc.store.Start(sc.Context(), w) })
			sc.waiting(watcher, 2)
			sc.run(blocker, `COMMIT`)
			if err := <-ended; err != nil {
				t.Errorf("the end: %v", err)
			}
			if err := <-started; !errors.Is(err, impersonation.ErrChanged) && !errors.Is(err, impersonation.ErrSpent) {
				t.Errorf("the start: got %v, want that it found the change", err)
			}
			if _, err := sc.store.Session(sc.Context(), w.Session.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v, want no session", err)
			}
		})
	}
}

// recording gives every end an entry.
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
	sc := newScene(t)
	one, two := sc.start(), sc.start()
	blocker, watcher := sc.connect(), sc.connect()
	sc.run(blocker, `BEGIN`)
	sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
	first := begin(func() error { return sc.store.Start(sc.Context(), one) })
	sc.waiting(watcher, 1)
	second := begin(func() error { return sc.other.Start(sc.Context(), two) })
	sc.waiting(watcher, 2)
	sc.run(blocker, `COMMIT`)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := <-second; !errors.Is(err, impersonation.ErrChanged) {
		t.Errorf("the second: got %v, want ErrChanged", err)
	}
}

// The token that a stop gives back does not outlive a sign-out that comes while the stop is on its way.
func TestSignOutFindsTheStopInFlight(t *testing.T) {
	t.Parallel()
	sc := newScene(t)
	w := sc.start()
	if err := sc.store.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	stop := stopOf(w)
	blocker, watcher := sc.connect(), sc.connect()
	sc.run(blocker, `BEGIN`)
	sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
	stopped := begin(func() error { return sc.store.Stop(sc.Context(), stop) })
	sc.waiting(watcher, 1)
	out := begin(func() error { return enders["sign-out"](sc.Context(), sc.other) })
	sc.waiting(watcher, 2)
	sc.run(blocker, `COMMIT`)
	if err := errors.Join(<-stopped, <-out); err != nil {
		t.Fatal(err)
	}
	if g, err := sc.store.GrantByJTI(t.Context(), stop.Next.JTI); err != nil || g.Revoked.IsZero() {
		t.Errorf("got revoked %v, %v; the token outlives the sign-out", g.Revoked, err)
	}
}

// Numbers of the trail are in the order of commits: who began to write first but commits last has the higher one, so that a
// reader who has passed a number never misses one below it.
func TestEntriesAreInTheOrderOfCommits(t *testing.T) {
	t.Parallel()
	sc := newScene(t)
	blocker, watcher := sc.connect(), sc.connect()
	sc.run(blocker, `BEGIN`)
	sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
	late := audit.New(audit.KindKey, now)
	recorded := begin(func() error { return sc.store.Record(sc.Context(), late) })
	sc.waiting(watcher, 1)
	sc.run(blocker, `INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical) VALUES ('aud_1', 1, 'x', '', '', '', '', '')`)
	var early int64
	if err := blocker.QueryRow(t.Context(), `SELECT seq FROM audit_entry WHERE id = 'aud_1'`).Scan(&early); err != nil {
		t.Fatal(err)
	}
	sc.run(blocker, `COMMIT`)
	if err := <-recorded; err != nil {
		t.Fatal(err)
	}
	if e, err := sc.store.Entry(t.Context(), late.ID); err != nil || e.Seq <= early {
		t.Errorf("got number %d, %v; want it above %d, which was committed before", e.Seq, err, early)
	}
}
