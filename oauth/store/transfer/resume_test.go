package transfer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// interrupt runs a copy whose caller leaves as soon as at says so. It must fail.
func (s *scene) interrupt(at func(transfer.Progress) bool) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	c, hit := s.config(), false
	c.Progress = func(p transfer.Progress) {
		if !hit && at(p) {
			hit = true
			cancel()
		}
	}
	if _, err := transfer.Copy(ctx, c); err == nil || !hit {
		s.Fatalf("got %v, hit %v; want an interrupted copy", err, hit)
	}
}

// A copy that was given up in any table of any step goes on, and until it is done no side can be served.
func TestStopsAnywhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, 12_000)
	tables := []string{}
	for _, c := range transfer.Columns() {
		if n := len(tables); n == 0 || tables[n-1] != c.Table {
			tables = append(tables, c.Table)
		}
	}
	every := 1
	if testing.Short() {
		every = 5
	}
	for _, step := range []transfer.Step{transfer.Checking, transfer.Writing, transfer.Comparing} {
		for i := 0; i < len(tables); i += every {
			s.interrupt(func(p transfer.Progress) bool { return p.Step == step && p.Table == tables[i] })
			if step == transfer.Checking {
				s.wantMarks("", "")
			} else {
				s.wantMarks(store.Copying, store.Filling)
			}
		}
		if step == transfer.Checking {
			var first int64
			s.interrupt(func(p transfer.Progress) bool { // between two batches of one table
				if p.Table == "audit_entry" && p.Step == transfer.Writing && first == 0 {
					first = p.Done
				}
				return first > 0 && p.Done > first
			})
		}
	}
	s.copy()
	s.wantMarks(store.Moved, "")
	s.same()
}

// A connection that Postgres ends is an error, and the next run goes on.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	s := newScene(t, 12_000)
	c, lost := s.config(), false
	c.Progress = func(p transfer.Progress) {
		if p.Step == transfer.Writing && p.Table == "audit_entry" && !lost {
			lost = true
			s.inTarget(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'understudy store' AND datname = current_database()`)
		}
	}
	if _, err := transfer.Copy(t.Context(), c); err == nil || !lost {
		t.Fatalf("got %v, lost %v; want an error of the connection", err, lost)
	}
	s.wantMarks(store.Copying, store.Filling)
	s.copy()
	s.same()
}

// Whoever is killed between the two last marks has moved, and only the target's mark is left to take away.
func TestStopsBetweenTheLastMarks(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn, err := pgx.Connect(t.Context(), s.db.Superuser)
	s.ok(err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	source, c := s.sourceDB(), s.config()
	c.Progress = func(p transfer.Progress) {
		if p.Step != transfer.Comparing || p.Table != "client" {
			return
		}
		_, err := conn.Exec(t.Context(), `BEGIN; SELECT marker FROM installation FOR UPDATE`) // the target's mark has to wait
		s.ok(err)
		go func() {
			defer cancel()
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				var from string
				if source.QueryRowContext(t.Context(), `SELECT marker FROM installation`).Scan(&from); strings.HasPrefix(from, string(store.Moved)) {
					return
				}
			}
		}()
	}
	if _, err := transfer.Copy(ctx, c); err == nil {
		t.Fatal("the copy was done while its mark could not be taken away")
	}
	_, err = conn.Exec(t.Context(), `ROLLBACK`)
	s.ok(err)
	s.wantMarks(store.Moved, store.Filling)
	if r := s.copy(); r.Already {
		t.Error("the copy was taken for done while the target is marked")
	}
	s.wantMarks(store.Moved, "")
}

// Whoever is killed between the first two marks begins anew, and may then take another target.
func TestStopsBetweenTheFirstMarks(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.inSource(`UPDATE installation SET marker = 'copying:cpy_earlier'`)
	if r := s.copy(); r.Copy == "cpy_earlier" {
		t.Error("the copy kept the ID: an earlier target could be finished too")
	}
	s.wantMarks(store.Moved, "")
	s.same()
}
