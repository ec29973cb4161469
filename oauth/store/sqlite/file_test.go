package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

func TestFilesAreOurs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, sqlite.Config{Path: path, Migrate: true})
	if err := s.Record(t.Context(), audit.New(audit.KindKey, now)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".reserve"} {
		fi, err := os.Stat(path + suffix)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fi.Mode().Perm(); got != 0o600 {
			t.Errorf("%s: got mode %o, want 600", suffix, got)
		}
	}
}

// A path is a name and not a URI: nothing in it may turn into an option.
func TestPathWithSigns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b%20?mode=memory&#x.db")
	open(t, sqlite.Config{Path: path, Migrate: true, Reserve: -1}).Close() // which folds the log into the file
	if fi, err := os.Stat(path); err != nil || fi.Size() == 0 {
		t.Errorf("got %v, %v; want the database under this name", fi, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, contents string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := filepath.Join(dir, "newer.db")
	open(t, sqlite.Config{Path: newer, Migrate: true, Reserve: -1})
	execute(t, newer, `UPDATE installation SET minimum_schema = 999`)
	for name, c := range map[string]struct {
		config sqlite.Config
		want   string
	}{
		"no path":       {sqlite.Config{}, "no path"},
		"no file":       {sqlite.Config{Path: filepath.Join(dir, "none.db")}, "none.db: file does not exist"},
		"no schema":     {sqlite.Config{Path: write("empty.db", "")}, "run understudy migrate up"},
		"newer program": {sqlite.Config{Path: newer}, "update understudy"},
		"no database":   {sqlite.Config{Path: write("text.db", strings.Repeat("no database ", 100)), Migrate: true}, "not a database"},
		"no directory":  {sqlite.Config{Path: filepath.Join(dir, "none", "a.db"), Migrate: true}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), c.config)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("a refused Open left a file behind")
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	release, err := sqlite.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Lock(path)
	if want := fmt.Sprintf("process %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the second server: got %v, want an error that names %s", err, want)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if release, err = sqlite.Lock(path); err != nil {
		t.Fatalf("after the release: %v", err)
	}
	release()
}

// A command line opens the same file beside the server, and each sees what the other wrote.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	server := open(t, sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	cli := open(t, sqlite.Config{Path: path, Reserve: -1})
	e := audit.New(audit.KindKill, now)
	if err := cli.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Entry(t.Context(), e.ID); err != nil {
		t.Errorf("the server does not see the entry: %v", err)
	}
}

func TestMarker(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for _, want := range []string{"", "demo"} {
		if err := s.SetMarker(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Marker(t.Context()); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

// Ready sees that a newer program has taken the schema further than this one may serve.
func TestReadyAfterMigration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	execute(t, path, `UPDATE installation SET minimum_schema = 999`)
	if _, err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// An entry never changes and never goes, whoever holds the file; only what is personal in it may be erased.
func TestEntriesAreImmutable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	e := audit.New(audit.KindRefused, now)
	e.Set("rule", "never.self")
	e.SetPersonal("reason", "curiosity")
	if err := s.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	before, err := s.Entry(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	for _, column := range []string{"seq", "id", "time_at", "kind", "actor", "subject", "client", "session", "canonical", "opening"} {
		if _, err := db.ExecContext(t.Context(), `UPDATE audit_entry SET `+column+` = CASE typeof(`+column+`) WHEN 'integer' THEN 7 WHEN 'text' THEN 'x' ELSE x'00' END`); err == nil {
			t.Errorf("an update of %s was taken", column)
		}
	}
	for _, statement := range []string{
		`DELETE FROM audit_entry`,
		`REPLACE INTO audit_entry (seq, id, time_at, kind, actor, subject, client, session, canonical) SELECT seq, id, time_at, 'other', actor, subject, client, session, canonical FROM audit_entry`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("taken: %s", statement)
		}
	}
	execute(t, path, `UPDATE audit_entry SET opening = NULL`)
	after, err := s.Entry(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if string(after.Canonical) != string(before.Canonical) || after.Opening != nil || after.Entry.Fields["reason"] != "" || after.Entry.Fields["rule"] == "" {
		t.Errorf("after the erasure: got %+v, want all but the reason", after.Entry)
	}
}

// raw is the file without us.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000&_pragma=recursive_triggers(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, path, statement string) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
