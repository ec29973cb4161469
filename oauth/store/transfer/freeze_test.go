package transfer_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// halfway leaves a copy in the middle.
func (s *scene) halfway() {
	s.Helper()
	s.interrupt(func(p transfer.Progress) bool { return p.Step == transfer.Writing && p.Table == "outbox" })
}

// Who had opened a side before it was marked cannot write to it any more either.
func TestNobodyElseWrites(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	lite := s.lite()
	defer lite.Close()
	post, err := postgres.Open(t.Context(), postgres.Config{URL: s.db.Application})
	s.ok(err)
	defer post.Close()
	s.halfway()
	for name, st := range map[string]store.Store{"source": lite, "target": post} {
		if err := st.Record(t.Context(), audit.New(audit.KindKey, now)); err == nil || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want a refusal that no try changes", name, err)
		}
		if _, err := st.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: Ready gives %v, want ErrUnavailable", name, err)
		}
	}
	for _, r := range transfer.Columns() {
		s.refused("source", r.Table, func(q string) error { _, err := s.sourceDB().ExecContext(t.Context(), q); return err })
		s.refused("target", r.Table, s.tryTarget)
	}
	s.copy()
	s.ok(post.Record(t.Context(), audit.New(audit.KindKey, now)))
	if err := lite.Record(t.Context(), audit.New(audit.KindKey, now)); err == nil {
		t.Error("the source took an entry after it had moved")
	}
	if _, err := post.Ready(t.Context()); err != nil {
		t.Errorf("the target is not ready: %v", err)
	}
	if _, err := lite.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the source that moved: Ready gives %v, want ErrUnavailable", err)
	}
}

func (s *scene) refused(side, table string, run func(string) error) {
	s.Helper()
	if err := run(`DELETE FROM ` + table); err == nil {
		s.Errorf("%s: the rows of %s could be deleted", side, table)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	if err := transfer.Reopen(t.Context(), s.path, false); !errors.Is(err, transfer.ErrNotMarked) {
		t.Errorf("before any copy: got %v, want ErrNotMarked", err)
	}
	s.halfway()
	s.ok(transfer.Reopen(t.Context(), s.path, false))
	s.wantMarks("", store.Filling)
	lite := s.lite()
	s.record(lite, 1)
	s.ok(lite.Close())
	if _, err := transfer.Copy(t.Context(), s.config()); !errors.Is(err, transfer.ErrTarget) {
		t.Errorf("into the target that was given up: got %v, want ErrTarget", err)
	}
	s.wantMarks("", store.Filling)
	s.db = postgrestest.Fresh(t)
	s.copy()
	s.same()
	if err := transfer.Reopen(t.Context(), s.path, false); !errors.Is(err, transfer.ErrMoved) {
		t.Errorf("after a copy: got %v, want ErrMoved", err)
	}
	s.wantMarks(store.Moved, "")
	s.ok(transfer.Reopen(t.Context(), s.path, true))
	s.wantMarks("", "")
	lite = s.lite()
	s.record(lite, 1)
	s.ok(lite.Close())
}

// A half-filled target is never finished once its source has another one.
func TestOneTargetAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.halfway()
	first := s.db
	s.db = postgrestest.Fresh(t)
	s.copy()
	s.wantMarks(store.Moved, "")
	s.db = first
	if _, err := transfer.Copy(t.Context(), s.config()); !errors.Is(err, transfer.ErrTarget) {
		t.Errorf("back to the first target: got %v, want ErrTarget", err)
	}
	s.wantMarks(store.Moved, store.Filling)
	s.db = postgrestest.Fresh(t)
	if _, err := transfer.Copy(t.Context(), s.config()); !errors.Is(err, transfer.ErrMoved) {
		t.Errorf("to a third: got %v, want ErrMoved", err)
	}
	s.wantMarks(store.Moved, "")
}

// What cannot be copied is refused before anything is changed on either side.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(*scene) transfer.Config
		want    error // nil: any
	}{
		"no file": {func(s *scene) transfer.Config {
			c := s.config()
			c.From = filepath.Join(s.TempDir(), "none.db")
			return c
		}, nil},
		"served": {func(s *scene) transfer.Config { return s.locked() }, sqlite.ErrLocked},
		"demo": {func(s *scene) transfer.Config {
			s.inSource(`UPDATE installation SET marker = 'demo'`)
			return s.config()
		}, transfer.ErrSource},
		"a target": {func(s *scene) transfer.Config {
			s.inSource(`UPDATE installation SET marker = 'filling:x'`)
			return s.config()
		}, transfer.ErrSource},
		"newer source": {func(s *scene) transfer.Config {
			s.inSource(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
			return s.config()
		}, nil},
		"newer target": {func(s *scene) transfer.Config {
			s.inTarget(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`)
			return s.config()
		}, nil},
		"a full target": {func(s *scene) transfer.Config {
			s.inTarget(`INSERT INTO epoch (scope, id, n, killed_by, reason) VALUES ('', '', 1, '', '')`)
			return s.config()
		}, transfer.ErrTarget},
		"a demo target": {func(s *scene) transfer.Config {
			s.inTarget(`UPDATE installation SET marker = 'demo'`)
			return s.config()
		}, transfer.ErrTarget},
		"another's": {func(s *scene) transfer.Config {
			s.inTarget(`UPDATE installation SET marker = 'filling:cpy_x'`)
			return s.config()
		}, transfer.ErrTarget},
		"not the owner":  {func(s *scene) transfer.Config { c := s.config(); c.To.URL = s.db.Application; return c }, transfer.ErrOwner},
		"no such target": {func(s *scene) transfer.Config { c := s.config(); c.To.URL += "&dbname=none"; return c }, postgres.ErrNoDatabase},
		"another key":    {func(s *scene) transfer.Config { c := s.config(); c.SealingKey = make([]byte, 32); return c }, tokensErrKey},
		"another's users": {func(s *scene) transfer.Config {
			s.inSource(`DELETE FROM signing_key`)
			c := s.config()
			c.SealingKey = make([]byte, 32)
			return c
		}, tokensErrKey},
		"short key": {func(s *scene) transfer.Config { c := s.config(); c.SealingKey = nil; return c }, tokensErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, 1)
			config := c.prepare(s)
			from, into := s.marks()
			if _, err := transfer.Copy(t.Context(), config); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			s.untouched(from, into)
		})
	}
}

// locked is a copy while a server has the file.
func (s *scene) locked() transfer.Config {
	s.Helper()
	release, err := sqlite.Lock(s.path)
	s.ok(err)
	s.Cleanup(func() { release() })
	return s.config()
}

// untouched checks that both sides are marked as before and hold nobody.
func (s *scene) untouched(from, into string) {
	s.Helper()
	if gotFrom, gotInto := s.marks(); gotFrom != from || gotInto != into {
		s.Errorf("the sides are marked %q and %q, want %q and %q as before", gotFrom, gotInto, from, into)
	}
	var triggers int
	s.ok(s.sourceDB().QueryRowContext(s.Context(), `SELECT count(*) FROM sqlite_master WHERE name LIKE 'moving_%'`).Scan(&triggers))
	if triggers > 0 {
		s.Errorf("the source has %d triggers of a copy", triggers)
	}
	s.inTarget(`DO $$ BEGIN IF to_regproc('copy_guard') IS NOT NULL THEN RAISE 'the target has the guard of a copy'; END IF; END $$`)
}
