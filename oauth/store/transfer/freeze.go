package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/understudy-id/understudy/oauth/store"
)

// freeze marks the source and lets no program write any more: one that had opened the file before it was marked meets the triggers.
func (s *source) freeze(ctx context.Context, m store.Mark) error {
	err := s.mark(ctx, m, func(tx *sql.Tx) error {
		return eachTrigger(func(name, event, table string) error {
			_, err := tx.ExecContext(ctx, `CREATE TRIGGER IF NOT EXISTS `+name+` BEFORE `+event+` ON `+table+
				` BEGIN SELECT raise(ABORT, 'the installation moves to Postgres: nothing may change here'); END`)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("marking the source: %w", err)
	}
	return nil
}

// thaw takes back freeze.
func (s *source) thaw(ctx context.Context) error {
	return s.mark(ctx, store.Mark{}, func(tx *sql.Tx) error {
		return eachTrigger(func(name, _, _ string) error {
			_, err := tx.ExecContext(ctx, `DROP TRIGGER IF EXISTS `+name)
			return err
		})
	})
}

// moved leaves the triggers in place.
func (s *source) moved(ctx context.Context, m store.Mark) error {
	if s.marker == m.String() {
		return nil
	}
	return s.mark(ctx, m, func(*sql.Tx) error { return nil })
}

// mark sets the marker, and runs more in the same transaction. It fails if somebody else marked the file since it was opened.
func (s *source) mark(ctx context.Context, m store.Mark, more func(*sql.Tx) error) error {
	marker := ""
	if m != (store.Mark{}) {
		marker = m.String()
	}
	tx, err := s.db.BeginTx(ctx, nil) // IMMEDIATE: waits for a writer under way, and the next one waits for us
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing after a commit
	done, err := tx.ExecContext(ctx, updateSourceMark, marker, s.marker)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, errors.New("somebody else marked it"))
	}
	if err := more(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.marker = marker
	return nil
}

func eachTrigger(f func(name, event, table string) error) error {
	for _, t := range tables {
		for _, event := range []string{"insert", "update", "delete"} {
			if err := f("moving_"+t.name+"_"+event, event, t.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reopen gives the file at path back to its server, after a copy that is not wanted any more. The target of a copy that was
// not finished stays unusable. ErrNotMarked if no copy was begun; ErrMoved if one was finished, unless evenIfMoved: what was
// done in Postgres since then is not in the file, and both could be served, which must never be. sqlite.ErrLocked while a copy
// runs.
func Reopen(ctx context.Context, path string, evenIfMoved bool) (err error) {
	s, err := openSource(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	switch m, ok := store.MarkOf(s.marker); {
	case !ok || m.State == store.Filling:
		return fmt.Errorf("%s: %w", path, ErrNotMarked)
	case m.State == store.Moved && !evenIfMoved:
		return fmt.Errorf("%s: %w to Postgres", path, ErrMoved)
	}
	if err := s.thaw(ctx); err != nil {
		return fmt.Errorf("reopening %s: %w", path, err)
	}
	return nil
}
