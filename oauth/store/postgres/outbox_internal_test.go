package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// TestLateCommit: a reader who follows the outbox never passes an event whose number was drawn first and whose commit comes last.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := postgrestest.Fresh(t)
	s, err := Open(ctx, Config{URL: d.Application})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now().UTC().Truncate(time.Millisecond)
	if err := s.CreateClient(ctx, store.ClientWrite{Client: store.Client{Client: policy.Client{ID: "app"}, Created: now}}); err != nil {
		t.Fatal(err)
	}
	stream, err := s.OpenStream(ctx, store.Stream{ID: "str_1", Client: "app", Created: now, Polled: now}, now.Add(-time.Hour), 1)
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	follow := func() {
		t.Helper()
		page, err := s.ToTell(ctx, stream, true, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			heard, stream.Cursor.Position = append(heard, e.Reason), e.Position
		}
	}

	c, err := pgx.Connect(ctx, d.Application)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	first := eventTable([]impersonation.Event{{Kind: store.EventVerify, Session: "str_1", Client: "app", Reason: "first", Time: now}})
	for _, step := range []func() error{
		func() error { _, err := c.Exec(ctx, "BEGIN"); return err },
		func() error { _, err := c.Exec(ctx, insertEvents, args(first)...); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	second := make(chan error, 1)
	go func() { second <- s.VerifyStream(ctx, "str_1", "second", now, now) }()
	// It waits for the first, or, where nothing holds it up, is over before that: then its event is there to be heard.
	const waits = `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))`
	for waiting, deadline := false, time.Now().Add(30*time.Second); !waiting && len(second) == 0; time.Sleep(5 * time.Millisecond) {
		if err := c.QueryRow(ctx, waits).Scan(&waiting); err != nil || time.Now().After(deadline) {
			t.Fatalf("the second neither waits nor is over: %v", err)
		}
	}
	follow()
	if _, err := c.Exec(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	follow()
	if len(heard) != 2 || heard[0] != "first" || heard[1] != "second" {
		t.Errorf("heard %q, want the first and the second", heard)
	}
}
