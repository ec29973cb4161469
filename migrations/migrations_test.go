package migrations_test

import (
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/understudy-id/understudy/migrations"
)

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_busy_timeout=5000&_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestApply(t *testing.T) {
	t.Parallel()
	checkApply(t, open(t, filepath.Join(t.TempDir(), "a.db")), migrations.SQLite)
}

func checkApply(t *testing.T, db *sql.DB, d migrations.Dialect) {
	t.Helper()
	ctx := t.Context()
	before, err := migrations.Status(ctx, db, d)
	if err != nil || len(before) == 0 || !before[0].Applied.IsZero() {
		t.Fatalf("Status of an empty database: got %v, %v; want all pending", before, err)
	}
	if _, err := db.ExecContext(ctx, `SELECT 1 FROM goose_db_version`); err == nil {
		t.Error("Status made a table")
	}
	for range 2 { // the second time there is nothing to do
		if err := migrations.Apply(ctx, db, d); err != nil {
			t.Fatal(err)
		}
	}
	after, err := migrations.Status(ctx, db, d)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range after {
		if m.Applied.IsZero() {
			t.Errorf("%s is pending after Apply", m.Name)
		}
	}
	if got, want := migrations.Latest(d), after[len(after)-1].Version; got != want {
		t.Errorf("Latest: got %d, want %d", got, want)
	}
}

func TestApplyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	var wg sync.WaitGroup
	for range 4 {
		db := open(t, path)
		wg.Go(func() {
			if err := migrations.Apply(t.Context(), db, migrations.SQLite); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestUnknownDialect(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "a.db"))
	if err := migrations.Apply(t.Context(), db, "oracle"); err == nil {
		t.Error("Apply took a dialect that has no migrations")
	}
	if got := migrations.Latest("oracle"); got != 0 {
		t.Errorf("Latest of an unknown dialect: got %d, want 0", got)
	}
}

// Every table is STRICT, so that a wrong type is an error where it is written and not where it is read.
func TestTablesAreStrict(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), open(t, filepath.Join(t.TempDir(), "a.db"))
	if err := migrations.Apply(ctx, db, migrations.SQLite); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(ctx, `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0
		AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		t.Errorf("table %s is not STRICT", name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
