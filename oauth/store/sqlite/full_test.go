package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// TestFullDisk fills the disk beside a running store. Starts are refused, stops go on, and when there is room again
// everything goes on, with a new reserve.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "64m")
	path := filepath.Join(dir, "a.db")
	s := open(t, sqlite.Config{Path: path, Migrate: true, Reserve: 2 << 20})
	stage(t, s)
	var started []impersonation.StartWrite
	for i := range 20 {
		started = append(started, begun(t, s, i))
	}
	ballast := fill(t, dir)

	refused := 0
	for i := 0; refused == 0 && i < 50_000; i++ {
		if err := s.Record(t.Context(), audit.New(audit.KindRefused, now)); err != nil {
			refused++
			if !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("a full disk: got %v, want ErrUnavailable", err)
			}
		}
	}
	if refused == 0 {
		t.Fatal("the disk never was full")
	}
	if _, err := os.Stat(path + ".reserve"); err != nil {
		t.Errorf("the reserve went for what stops nothing: %v", err)
	}
	for i, w := range started {
		stop := impersonation.StopWrite{Write: impersonation.Write{Now: now, Entries: []audit.Entry{audit.New(audit.KindStop, now)}}, Return: w.Return, Session: w.Session.ID}
		if err := s.Stop(t.Context(), stop); err != nil {
			t.Fatalf("stop %d on a full disk: %v", i, err)
		}
	}
	if _, err := os.Stat(path + ".reserve"); err == nil {
		t.Error("the stops left the reserve where it was: the disk was not full for them")
	}
	if err := s.Start(t.Context(), startOf(impersonation.Facts{Ticket: &impersonation.Ticket{}})); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a start on the reserve: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ready on the reserve: got %v, want ErrUnavailable", err)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	begun(t, s, len(started))
	if _, err := os.Stat(path + ".reserve"); err != nil {
		t.Errorf("with room again there is no new reserve: %v", err)
	}
}

// begun issues a ticket and starts with it.
func begun(t *testing.T, s *sqlite.Store, i int) impersonation.StartWrite {
	t.Helper()
	f, err := s.LoadStart(t.Context(), impersonation.StartKey{Ticket: ticketOf(t, s, i), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	w := startOf(f)
	if err := s.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return w
}

// fill writes a file until nothing more fits.
func fill(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// TestQuota lets the file grow no further, as a quota does: writes that need room are ErrUnavailable, nothing is half
// written, and reads and the store itself go on. It needs no right to mount.
func TestQuota(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	stage(t, s)
	w := begun(t, s, 0)
	if err := sqlite.LimitPages(s, 1); err != nil { // SQLite takes it as "no more than there are"
		t.Fatal(err)
	}
	var err error
	var last string
	for i := 0; err == nil && i < 50_000; i++ {
		e := audit.New(audit.KindRefused, now)
		last = e.ID
		err = s.Record(t.Context(), e)
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	if _, err := s.Entry(t.Context(), last); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the refused entry: got %v, want ErrNotFound", err)
	}
	if _, err := s.LoadSession(t.Context(), w.Session.ID); err != nil {
		t.Errorf("a read: %v", err)
	}
	if err := sqlite.LimitPages(s, 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := s.UseOnce(t.Context(), "space", oauth.NewID("jti"), now, now.Add(time.Minute)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
