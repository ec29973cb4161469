package acme

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// ErrForeign means that a file is a database, but not one of this app.
var ErrForeign = errors.New("acme: not a database of this app")

// applicationID is in the header of our files ("acme"; SQLite's application_id), so that no other is ever written to or removed.
const applicationID = 0x61636d65

const (
	selectApplicationID = `PRAGMA application_id`
	countTables         = `SELECT count(*) FROM sqlite_schema`

	schema = `
CREATE TABLE IF NOT EXISTS account (
	sub          TEXT PRIMARY KEY,
	name         TEXT NOT NULL,
	email        TEXT NOT NULL,
	organisation TEXT NOT NULL,
	roles        TEXT NOT NULL, -- separated by spaces
	plan         TEXT NOT NULL,
	notices      TEXT NOT NULL, -- where notices go
	last_seen_at INTEGER        -- milliseconds since 1970
) STRICT;
CREATE TABLE IF NOT EXISTS deleted_account (sub TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS project (
	id           INTEGER PRIMARY KEY,
	organisation TEXT NOT NULL,
	name         TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS note (
	id         INTEGER PRIMARY KEY,
	project_id INTEGER NOT NULL REFERENCES project (id),
	author     TEXT NOT NULL REFERENCES account (sub) ON DELETE CASCADE,
	text       TEXT NOT NULL,
	written_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS invoice (
	number       TEXT NOT NULL,
	organisation TEXT NOT NULL,
	cents        INTEGER NOT NULL,
	PRIMARY KEY (organisation, number)
) STRICT;
CREATE TABLE IF NOT EXISTS report (
	title        TEXT NOT NULL,
	organisation TEXT NOT NULL,
	quarter      TEXT NOT NULL,
	figure       INTEGER NOT NULL,
	PRIMARY KEY (organisation, title, quarter)
) STRICT;`
)

// openDatabase opens the file, and makes it and its tables if need be.
func openDatabase(ctx context.Context, path string) (*sql.DB, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("opening Acme's database: %w", err)
	}
	if err := prepare(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("opening Acme's database %s: %w", path, err), db.Close())
	}
	return db, nil
}

func openFile(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite alone would make it readable by everybody
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_busy_timeout=5000&_foreign_keys=1&_txlock=immediate"}
	return sql.Open("sqlite", u.String())
}

// prepare makes the tables, in a file that is ours or empty.
func prepare(ctx context.Context, db *sql.DB) error {
	ours, err := isOurs(ctx, db)
	if err != nil {
		return err
	}
	if !ours {
		return ErrForeign
	}
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return err
	}
	return inside(ctx, db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d;", applicationID)+schema)
		return err
	})
}

// isOurs reports whether we made the file, or nobody has written to it yet.
func isOurs(ctx context.Context, db *sql.DB) (bool, error) {
	var id, tables int
	err := errors.Join(db.QueryRowContext(ctx, selectApplicationID).Scan(&id), db.QueryRowContext(ctx, countTables).Scan(&tables))
	return id == applicationID || id == 0 && tables == 0, err
}

// Remove removes the database at path, which no App may have open. ErrForeign if it is not Acme's; one that is not there is
// no error.
func Remove(ctx context.Context, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := openFile(path)
	if err != nil {
		return fmt.Errorf("removing Acme's database: %w", err)
	}
	ours, err := isOurs(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("removing Acme's database %s: %w", path, err)
	}
	if !ours {
		return fmt.Errorf("removing %s: %w", path, ErrForeign)
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing Acme's database: %w", err)
		}
	}
	return nil
}

// inside runs f in one transaction.
func inside(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// each calls scan for every row of a query.
func each(ctx context.Context, db *sql.DB, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
