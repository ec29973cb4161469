package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// A caller who leaves before the turn is told at once, and what they asked for never happens.
func TestLeave(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	release := sqlite.Occupy(s)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- s.UseOnce(ctx, "space", "value", now, now) }()
	for sqlite.Waiting(s) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want that the store could not answer, and why", err)
	}
	release()
	if err := s.UseOnce(t.Context(), "space", "value", now, now); err != nil {
		t.Errorf("the value was used by who had left: %v", err)
	}
}

// A caller who leaves while their write runs has an answer that it does not touch any more. The race detector tells, so nothing here may come between the caller's
// last step and the writer's.
func TestLeaveWhileItRuns(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(context.Context, *sqlite.Store) error{
		"notices": func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.LeaseNotices(ctx, now, now, nil, 10)
			return err
		},
		"used values": func(ctx context.Context, s *sqlite.Store) error { _, err := s.SweepUsed(ctx, now, 10); return err },
		"the outbox":  func(ctx context.Context, s *sqlite.Store) error { _, err := s.SweepOutbox(ctx, now, 10); return err },
		"a key": func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.RevokeSigningKey(ctx, store.KeyRevocation{ID: "nobody"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t)
			if err := sqlite.Due(s); err != nil {
				t.Fatal(err)
			}
			before := sqlite.Occupy(s)
			begun, release := sqlite.Queue(s)
			for sqlite.Waiting(s) == 0 {
				runtime.Gosched()
			}
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan error, 1)
			go func() { left <- write(ctx, s) }()
			for sqlite.Waiting(s) < 2 {
				runtime.Gosched()
			}
			before()
			<-begun // and with it what comes after it has been taken up
			cancel()
			release()
			if err := <-left; err == nil {
				t.Log("the write was done before the caller had left")
			}
		})
	}
}

// Writes that share a commit do not share their failures.
func TestBatchFailsApart(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	release := sqlite.Occupy(s)
	const n = 40
	entry := audit.New(audit.KindKey, now)
	errs := make(chan error, n)
	for range n / 2 {
		go func() { errs <- s.Record(t.Context(), audit.New(audit.KindLift, now), entry) }() // one of them can have it
		go func() { errs <- s.Record(t.Context(), audit.New(audit.KindKill, now)) }()
	}
	for sqlite.Waiting(s) < n {
		runtime.Gosched()
	}
	release()
	failed := 0
	for range n {
		if err := <-errs; err != nil {
			failed++
		}
	}
	if want := n/2 - 1; failed != want {
		t.Errorf("%d writes failed, want %d", failed, want)
	}
	for kind, want := range map[audit.Kind]int{audit.KindLift: 1, audit.KindKey: 1, audit.KindKill: n / 2} {
		if page, _, err := s.Entries(t.Context(), store.EntryQuery{Kind: kind}); err != nil || len(page) != want {
			t.Errorf("%s: got %d entries, %v; want %d", kind, len(page), err, want)
		}
	}
}

// Close answers what was taken: nobody waits for ever, and nil still means that it was written.
func TestCloseAnswers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	release := sqlite.Occupy(s)
	const n = 500 // more than the queue holds
	errs := make([]chan error, n)
	for i := range errs {
		errs[i] = make(chan error, 1)
		go func() { errs[i] <- s.UseOnce(t.Context(), "space", fmt.Sprint(i), now, now) }()
	}
	for sqlite.Waiting(s) < n/2 {
		runtime.Gosched()
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	again := open(t, sqlite.Config{Path: path, Reserve: -1})
	written := 0
	for i := range errs {
		err := <-errs[i]
		if err == nil {
			written++
		}
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%d: got %v, want nil or ErrUnavailable", i, err)
		}
		if used := errors.Is(again.UseOnce(t.Context(), "space", fmt.Sprint(i), now, now), store.ErrSpent); used != (err == nil) {
			t.Errorf("%d: answered %v, and written is %v", i, err, used)
		}
	}
	if written < n/2 {
		t.Errorf("%d were written, want at least the %d that had been taken before Close", written, n/2)
	}
}
