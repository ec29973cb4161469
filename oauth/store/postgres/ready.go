package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	hasSchema     = `SELECT to_regclass('goose_db_version') IS NOT NULL`
	selectSchema  = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`
	selectMinimum = `SELECT minimum_schema FROM installation WHERE id = 1`
	selectMarker  = `SELECT marker FROM installation WHERE id = 1`
	updateMarker  = `UPDATE installation SET marker = $1 WHERE id = 1`
	// selectReady locks the row that every write of the trail locks: what makes that impossible, such as a server that has
	// become a standby, makes this fail. It does not ask for the right to add an entry, so that is looked up. The clock is in
	// whole milliseconds.
	selectReady = `SELECT i.minimum_schema, i.marker, has_column_privilege('audit_entry', 'canonical', 'INSERT'), floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
		FROM installation i WHERE i.id = 1 FOR NO KEY UPDATE OF i`
)

// checkSchema refuses a schema that is older than this program, or that a newer program has left behind it.
func checkSchema(ctx context.Context, q querier) error {
	var there bool
	if err := q.QueryRow(ctx, hasSchema).Scan(&there); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	if !there {
		return fmt.Errorf("the database has no schema: %w", migrations.ErrOlder)
	}
	var have, minimum int64
	if err := q.QueryRow(ctx, selectSchema).Scan(&have); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	want := migrations.Latest(migrations.Postgres)
	if have < want {
		return fmt.Errorf("the schema is at version %d and this program needs %d: %w", have, want, migrations.ErrOlder)
	}
	if err := q.QueryRow(ctx, selectMinimum).Scan(&minimum); err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	return known(minimum)
}

func known(minimum int64) error {
	if latest := migrations.Latest(migrations.Postgres); latest < minimum {
		return fmt.Errorf("the schema needs a program that knows version %d, and this one knows %d: %w", minimum, latest, migrations.ErrNewer)
	}
	return nil
}

// Ready implements store.Store. A nil proves that the primary answers, that it takes and flushes a write, that the trail is there and
// may be added to, that nobody holds its end for longer than a second, that no copy fills the database, and that the schema still is
// one this program may serve. It changes no row.
func (s *Store) Ready(ctx context.Context) (now time.Time, err error) {
	err = s.single(ctx, "probing the store", func(ctx context.Context, q querier) error {
		var minimum int64
		var marker string
		var mayRecord bool
		if err := row(ctx, q, selectReady, nil, []any{&minimum, &marker, &mayRecord, at{&now}}); err != nil {
			return err
		}
		if err := store.CheckMark(marker); err != nil {
			return err
		}
		if !mayRecord {
			return fmt.Errorf("%w: INSERT on audit_entry", ErrPrivilege)
		}
		return known(minimum)
	})
	if err != nil {
		return time.Time{}, err
	}
	return now, nil
}

// Marker tells what the database is for: "" for ordinary use, "demo" for one whose passwords are public.
func (s *Store) Marker(ctx context.Context) (marker string, err error) {
	err = s.single(ctx, "reading the marker", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectMarker, nil, []any{&marker})
	})
	return marker, err
}

// SetMarker says what the database is for.
func (s *Store) SetMarker(ctx context.Context, marker string) error {
	return s.single(ctx, "setting the marker", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, updateMarker, marker)
		return err
	})
}
