package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	hasSchema     = `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`
	selectSchema  = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`
	selectMinimum = `SELECT minimum_schema FROM installation WHERE id = 1`
	selectMarker  = `SELECT marker FROM installation WHERE id = 1`
	updateMarker  = `UPDATE installation SET marker = ? WHERE id = 1`
	// selectReady asks the minimum, the marker and the clock that SQLite itself would use, in whole milliseconds.
	selectReady = `SELECT minimum_schema, marker, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM installation WHERE id = 1`
)

// checkSchema refuses a schema that is older than this program, or that a newer program has left behind it.
func checkSchema(ctx context.Context, db *sql.DB) error {
	var tables, have, minimum int64
	if err := db.QueryRowContext(ctx, hasSchema).Scan(&tables); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	if tables == 0 {
		return fmt.Errorf("the database has no schema: %w", migrations.ErrOlder)
	}
	if err := db.QueryRowContext(ctx, selectSchema).Scan(&have); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	want := migrations.Latest(migrations.SQLite)
	if have < want {
		return fmt.Errorf("the schema is at version %d and this program needs %d: %w", have, want, migrations.ErrOlder)
	}
	if err := db.QueryRowContext(ctx, selectMinimum).Scan(&minimum); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	return known(minimum)
}

func known(minimum int64) error {
	if latest := migrations.Latest(migrations.SQLite); latest < minimum {
		return fmt.Errorf("the schema needs a program that knows version %d, and this one knows %d: %w", minimum, latest, migrations.ErrNewer)
	}
	return nil
}

// Ready implements store.Store. A nil proves that the writer runs, that nobody holds the file's write lock for longer than
// five seconds, that the file may be written, that there was room for the reserve, that it is not copied and has not moved, and
// that the schema still is one this program may serve. It writes nothing, so it does not prove that the next sync succeeds.
func (s *Store) Ready(ctx context.Context) (now time.Time, err error) {
	var clock time.Time
	err = s.update(ctx, "probing the store", func(ctx context.Context, c *conn) error {
		var minimum int64
		var marker string
		if err := c.row(ctx, selectReady, nil, []any{&minimum, &marker, at{&clock}}); err != nil {
			return err
		}
		if err := store.CheckMark(marker); err != nil {
			return err
		}
		if err := known(minimum); err != nil {
			return errors.Join(store.ErrUnavailable, err)
		}
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return clock, nil
}

// Marker tells what the database is for: "" for ordinary use, "demo" for one whose passwords are public.
func (s *Store) Marker(ctx context.Context) (string, error) {
	var marker string
	err := s.view(ctx, "reading the marker", func(ctx context.Context, c *conn) error {
		return c.row(ctx, selectMarker, nil, []any{&marker})
	})
	return marker, err
}

// SetMarker says what the database is for.
func (s *Store) SetMarker(ctx context.Context, marker string) error {
	return s.update(ctx, "setting the marker", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, updateMarker, marker)
		return err
	})
}
