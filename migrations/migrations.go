// Package migrations is the schema, embedded. Start with [Apply], which brings a database up to date, and [Status], which
// tells how far it is; [Latest] is what this program was built for. Migrations go forward only: the audit trail has no
// way down. The package opens no database and knows no query but its own.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed sqlite/*.sql
var files embed.FS

// Dialect names a database and the directory of its migrations. The zero value is not valid.
type Dialect string

// SQLite is the dialect of package sqlite.
const SQLite Dialect = "sqlite"

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string    // of its file, such as "0001_init.sql"
	Applied time.Time // UTC; zero: pending
}

// Apply runs every pending migration, each in its own transaction. Nothing pending is no error. Two programs may call
// it at once: the one that comes second finds the work done.
func Apply(ctx context.Context, db *sql.DB, d Dialect) error {
	p, err := provider(db, d)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	if err == nil {
		return nil
	}
	// goose lists what is pending before it takes the write lock, so the loser of a race runs what the winner has
	// just run and fails. Then nothing is pending any more.
	if pending, again := p.HasPending(ctx); again == nil && !pending {
		return nil
	}
	return fmt.Errorf("applying migrations: %w", err)
}

// Status lists all migrations that this program knows, in order.
func Status(ctx context.Context, db *sql.DB, d Dialect) ([]Migration, error) {
	p, err := provider(db, d)
	if err != nil {
		return nil, err
	}
	all, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the state of migrations: %w", err)
	}
	out := make([]Migration, 0, len(all))
	for _, m := range all {
		out = append(out, Migration{Version: m.Source.Version, Name: m.Source.Path, Applied: m.AppliedAt.UTC()})
	}
	return out, nil
}

// Latest is the version of the newest migration for d that this program knows; zero for an unknown dialect.
func Latest(d Dialect) int64 {
	names, _ := fs.Glob(files, string(d)+"/*.sql") // the pattern is well formed
	var latest int64
	for _, name := range names {
		if v, err := goose.NumericComponent(name); err == nil {
			latest = max(latest, v)
		}
	}
	return latest
}

func provider(db *sql.DB, d Dialect) (*goose.Provider, error) {
	if d != SQLite {
		return nil, fmt.Errorf("no migrations for the dialect %q", d)
	}
	dir, err := fs.Sub(files, string(d))
	if err != nil {
		return nil, fmt.Errorf("opening migrations: %w", err)
	}
	return goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
}
