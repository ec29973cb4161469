package sqlite_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// TestCut takes the files as they are at random instants under load, as a kill or a loss of power leaves them, and opens
// them: nothing that was answered is missing, and no start is there without its record and its used ticket.
func TestCut(t *testing.T) {
	t.Parallel()
	cuts := 20
	if testing.Short() {
		cuts = 2
	}
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	stage(t, s)
	load := begin(t, s)
	for range cuts {
		load.wait(1 + rand.IntN(40))
		acknowledged := load.soFar()
		copied := cut(t, path)
		check(t, copied, acknowledged)
	}
	load.end()
}

// load starts impersonations from many goroutines and remembers what was answered.
type load struct {
	mu     sync.Mutex
	cond   *sync.Cond
	starts []impersonation.StartWrite
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func begin(t *testing.T, s *sqlite.Store) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	l.cond = sync.NewCond(&l.mu)
	for g := range 8 {
		l.wg.Go(func() {
			for i := g; ctx.Err() == nil; i += 8 {
				f, err := s.LoadStart(t.Context(), impersonation.StartKey{Ticket: ticketOf(t, s, i), Now: now})
				if err != nil {
					t.Error(err)
					return
				}
				w := startOf(f)
				if err := s.Start(t.Context(), w); err != nil {
					t.Error(err)
					return
				}
				l.mu.Lock()
				l.starts = append(l.starts, w)
				l.cond.Broadcast()
				l.mu.Unlock()
			}
		})
	}
	return l
}

// wait blocks until n more starts were answered.
func (l *load) wait(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for want := len(l.starts) + n; len(l.starts) < want; {
		l.cond.Wait()
	}
}

func (l *load) soFar() []impersonation.StartWrite {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]impersonation.StartWrite(nil), l.starts...)
}

func (l *load) end() {
	l.cancel()
	l.wg.Wait()
}

// cut copies file and log. A reader's snapshot keeps the log from starting anew meanwhile, so that the two copies belong to
// one history, as they do when everything stops at one instant.
func cut(t *testing.T, path string) string {
	t.Helper()
	conn, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range []string{`BEGIN`, `SELECT count(*) FROM installation`} {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "cut.db")
	for _, suffix := range []string{"", "-wal"} {
		copyFile(t, path+suffix, to+suffix)
	}
	if _, err := conn.ExecContext(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	return to
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

// check opens what is left and looks for every start that was answered, and for starts that are only half there.
func check(t *testing.T, path string, acknowledged []impersonation.StartWrite) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, w := range acknowledged {
		if _, err := s.Session(t.Context(), w.Session.ID); err != nil {
			t.Fatalf("an answered start is lost: %v", err)
		}
	}
	all, _, err := s.Sessions(t.Context(), store.SessionQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if _, err := s.Entry(t.Context(), one.Audit); err != nil {
			t.Fatalf("a session without its record: %v", err)
		}
	}
	for _, q := range []string{`SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
		`SELECT count(*) FROM impersonation_session WHERE id NOT IN (SELECT session FROM ticket WHERE used_at IS NOT NULL)`,
		`SELECT count(*) FROM impersonation_session WHERE id NOT IN (SELECT session FROM return_token)`} {
		var n int
		if err := raw(t, path).QueryRowContext(t.Context(), q).Scan(&n); err != nil || n != 0 {
			t.Fatalf("%s: got %d, %v; want 0", q, n, err)
		}
	}
}
