// Package migrations is the schema, embedded. Start with [Apply], which brings a database up to date, and [Status], which
// tells how far it is; [Latest] is what this program was built for; [PostgresRoles] are the grants. Migrations go forward
// only: the audit trail has no way down. The package opens no database and knows no query but its own.
//
// Every dialect has the same migrations, by number and name, and the same tables and columns, but for those of an index that
// SQLite has no other place for.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// PostgresRoles is SQL that makes the roles of a Postgres database, understudy_app and understudy_auditor, and grants each
// what its work needs. It tells in its comments who runs it, and when: after each Apply. Running it again is no harm.
//
//go:embed roles/postgres.sql
var PostgresRoles string

// Dialect names a database and the directory of its migrations. The zero value is not valid.
type Dialect string

// The dialects of packages sqlite and postgres.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// What keeps a program from serving a schema, by what to do about it. The stores refuse to open with one of them.
var (
	ErrOlder = errors.New("run understudy migrate up") // there is no schema, or one that lacks migrations that the program needs
	ErrNewer = errors.New("update understudy")         // a newer program has changed it beyond what this one understands
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string    // of its file, such as "0001_init.sql"
	Applied time.Time // UTC; zero: pending
}

// Apply runs every pending migration, each in its own transaction. Nothing pending is no error. Programs may call it at
// once: those that come later wait, and find the work done. On Postgres db belongs to the owner of the tables, and must not
// go through a pooler that shares connections between transactions.
func Apply(ctx context.Context, db *sql.DB, d Dialect) error {
	p, err := provider(db, d)
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	for err == nil {
		if _, err = p.Up(ctx); err == nil {
			return nil
		}
		// goose lists what is pending before it takes the write lock, so the loser of a race runs what the winner has
		// just run and fails. The winner may still be at the next one.
		now, again := p.GetDBVersion(ctx)
		if again != nil || now == have {
			break
		}
		have, err = now, nil
	}
	return fmt.Errorf("applying migrations: %w", err)
}

// Status lists all migrations that this program knows, in order. It changes nothing, and asks only for the right to read.
func Status(ctx context.Context, db *sql.DB, d Dialect) ([]Migration, error) {
	p, err := provider(db, d)
	if err != nil {
		return nil, err
	}
	var out []Migration
	for _, m := range p.ListSources() {
		out = append(out, Migration{Version: m.Version, Name: m.Path})
	}
	var begun bool
	if err := db.QueryRowContext(ctx, hasVersions[d]).Scan(&begun); err != nil {
		return nil, fmt.Errorf("reading the state of migrations: %w", err)
	}
	if !begun {
		return out, nil // goose would make its table now
	}
	all, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the state of migrations: %w", err)
	}
	for i, m := range all {
		out[i].Applied = m.AppliedAt.UTC()
	}
	return out, nil
}

// hasVersions asks whether goose has its table, where it looks for it itself.
var hasVersions = map[Dialect]string{
	SQLite:   `SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`,
	Postgres: `SELECT count(*) > 0 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'goose_db_version'`,
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
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	switch d {
	case SQLite: // has its own lock: that of the file
	case Postgres:
		// Asked for once a second, for up to five minutes: as long as somebody else's migration may well take.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, fmt.Errorf("preparing migrations: %w", err)
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	default:
		return nil, fmt.Errorf("no migrations for the dialect %q", d)
	}
	dir, err := fs.Sub(files, string(d))
	if err != nil {
		return nil, fmt.Errorf("opening migrations: %w", err)
	}
	return goose.NewProvider(dialect, db, dir, options...)
}
