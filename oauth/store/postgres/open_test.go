package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	newer := newScene(t)
	newer.run(newer.connect(), `UPDATE installation SET minimum_schema = 999`)
	older := newScene(t)
	older.run(older.connect(), `UPDATE goose_db_version SET is_applied = false WHERE version_id > 0`)
	readOnly := newScene(t)
	readOnly.run(readOnly.connect(), `ALTER ROLE application IN DATABASE `+name(readOnly.db.Application)+` SET default_transaction_read_only = on`)
	empty := postgrestest.Empty(t)
	for what, c := range map[string]struct{ url, want string }{
		"no URL":        {"", "the URL cannot be used: it is empty"},
		"no such URL":   {"postgres://u:hush@host:port/db", "the URL cannot be used: invalid port"},
		"nobody there":  {"postgres://u:hush@127.0.0.1:1/db", "refused"},
		"no database":   {strings.Replace(empty.Owner, "/test_", "/none_", 1), "does not exist"},
		"no schema":     {empty.Owner, "run understudy migrate up"},
		"older schema":  {older.db.Application, "run understudy migrate up"},
		"newer program": {newer.db.Application, "update understudy"},
		"read only":     {readOnly.db.Application, "read only"},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := postgres.Open(t.Context(), postgres.Config{URL: c.url})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want one line with %q and no password", err, c.want)
			}
		})
	}
}

func name(url string) string {
	path, _, _ := strings.Cut(url, "?")
	return path[strings.LastIndex(path, "/")+1:]
}

// The owner migrates by opening; the application's role may not.
func TestMigrate(t *testing.T) {
	t.Parallel()
	db := postgrestest.Empty(t)
	if s, err := postgres.Open(t.Context(), postgres.Config{URL: db.Application, Migrate: true}); err == nil {
		s.Close()
		t.Error("the application's role made tables")
	}
	s := open(t, postgres.Config{URL: db.Owner, Migrate: true})
	if _, err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// Ready sees that a newer program has taken the schema further than this one may serve.
func TestReadyAfterMigration(t *testing.T) {
	t.Parallel()
	sc := newScene(t)
	sc.run(sc.connect(), `UPDATE installation SET minimum_schema = 999`)
	if _, err := sc.store.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "update understudy") {
		t.Errorf("got %v, want ErrUnavailable and what to do", err)
	}
}

// Writes that share a statement do not share their failures.
func TestBatchFailsApart(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	const n = 20
	stage(t, s, n)
	taken := audit.New(audit.KindKey, now)
	if err := s.Record(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	var writes [n]impersonation.StartWrite
	for i := range writes {
		writes[i] = startOf(loaded(t, s, ticketOf(t, s, i)))
		if i%4 == 0 {
			writes[i].Entries = append(writes[i].Entries, taken) // this one's record cannot be written
		}
	}
	var answers [n]<-chan error
	for i, w := range writes {
		answers[i] = begin(func() error { return s.Start(t.Context(), w) })
	}
	for i, a := range answers {
		err := <-a
		if bad := i%4 == 0; (err != nil) != bad || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("start %d: got %v, want an error of its own: %v", i, err, bad)
		}
		if _, got := s.Session(t.Context(), writes[i].Session.ID); (got == nil) != (err == nil) {
			t.Errorf("start %d was answered %v, and its session is there: %v", i, err, got)
		}
	}
}

// What no text column can hold is found nowhere, and is not the store's fault.
func TestTextThatCannotBe(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for _, bad := range []string{"a\x00b", "a\xffb"} {
		if _, err := s.Client(t.Context(), bad); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Client(%q): got %v, want ErrNotFound", bad, err)
		}
		if page, _, err := s.Entries(t.Context(), store.EntryQuery{Session: bad}); err != nil || len(page) > 0 {
			t.Errorf("Entries of %q: got %v, %v; want none", bad, page, err)
		}
		if err := s.UseOnce(t.Context(), "jti", bad, now, now); err == nil || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("UseOnce(%q): got %v, want an error that is not worth another try", bad, err)
		}
	}
}

// Nor does asking for it cost a connection.
func TestTextThatCannotBeKeepsTheConnection(t *testing.T) {
	t.Parallel()
	sc := newScene(t)
	s, watcher := open(t, postgres.Config{URL: sc.db.Application, MaxConns: 1}), sc.connect()
	var before, after []int32
	pids := func(dest *[]int32) {
		t.Helper()
		if err := watcher.QueryRow(t.Context(), `SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(dest); err != nil {
			t.Fatal(err)
		}
	}
	pids(&before)
	for _, bad := range []string{"a\x00b", "a\xffb"} {
		_, _, err := s.Entries(t.Context(), store.EntryQuery{Person: bad})
		_, _, again := s.Sessions(t.Context(), store.SessionQuery{Actor: bad})
		if err := errors.Join(err, again); err != nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if pids(&after); !slices.Equal(before, after) {
		t.Errorf("the connections are %v, and were %v", after, before)
	}
}

// Without the row that stands for the end of the trail nothing can be written, and nobody is told that it was.
func TestWithoutInstallation(t *testing.T) {
	t.Parallel()
	sc := newScene(t)
	going, next := sc.start(), startOf(loaded(t, sc.store, ticketOf(t, sc.store, 0)))
	if err := sc.store.Start(t.Context(), going); err != nil {
		t.Fatal(err)
	}
	next.Session.Client = "another" // so that the one that lives is not in its way
	sc.run(sc.connect(), `DELETE FROM installation`)
	for what, err := range map[string]error{
		"a start": sc.store.Start(t.Context(), next), "a stop": sc.store.Stop(t.Context(), stopOf(going)),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", what, err)
		}
	}
}

// What was answered nil survives the death of the server, and the store needs no help to go on.
func TestKilledServer(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a server")
	}
	t.Parallel()
	c := postgrestest.Start(t)
	s := open(t, postgres.Config{URL: c.Fresh(t).Application})
	const writers = 8
	stage(t, s, writers)
	var kept [writers]chan string
	for i := range kept {
		kept[i] = make(chan string, 1<<16)
		go func() {
			defer close(kept[i])
			for n := 0; ; n++ {
				f, err := s.LoadStart(t.Context(), impersonation.StartKey{Client: "app", Actor: fmt.Sprint("ann", i), Subject: "john", Login: fmt.Sprint("login-ann", i), Now: now})
				if err != nil {
					return
				}
				f.Ticket = &impersonation.Ticket{Client: "app", Actor: fmt.Sprint("ann", i), Subject: "john", Login: fmt.Sprint("login-ann", i)}
				w := startOf(f)
				if s.Start(t.Context(), w) != nil {
					return
				}
				kept[i] <- w.Session.ID
			}
		}()
	}
	first := <-kept[0]
	for range 20 {
		<-kept[1]
	}
	c.Kill()
	if err := s.UseOnce(t.Context(), "jti", oauth.NewID("jti"), now, now); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without a server: got %v, want ErrUnavailable", err)
	}
	c.Restart(t)
	if _, err := s.Ready(t.Context()); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	checked := 0
	for _, ids := range kept {
		for id := range ids {
			if e, _, err := s.Entries(t.Context(), store.EntryQuery{Session: id, Kind: audit.KindStart}); err != nil || len(e) != 1 {
				t.Errorf("session %s was answered nil, and has %d entries of its start, %v", id, len(e), err)
			}
			checked++
		}
	}
	if _, err := s.Session(t.Context(), first); err != nil || checked == 0 {
		t.Errorf("got %v, and %d others; want what was answered", err, checked)
	}
}
