package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

func openPostgres(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestApplyOnPostgres(t *testing.T) {
	t.Parallel()
	checkApply(t, openPostgres(t, postgrestest.Empty(t).Owner), migrations.Postgres)
}

func TestApplyAtOnceOnPostgres(t *testing.T) {
	t.Parallel()
	url := postgrestest.Empty(t).Owner
	var wg sync.WaitGroup
	for range 4 {
		db := openPostgres(t, url)
		wg.Go(func() {
			if err := migrations.Apply(t.Context(), db, migrations.Postgres); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// builtWhileWaiting has a row where somebody waits to lock out the readers of users and has three new relations by then.
const builtWhileWaiting = `SELECT 'yes' FROM pg_locks w WHERE NOT w.granted AND w.mode = 'AccessExclusiveLock' AND w.relation = 'app_user'::regclass
	AND 3 = (SELECT count(*) FROM pg_locks h WHERE h.pid = w.pid AND h.granted AND h.locktype = 'relation' AND h.mode = 'AccessExclusiveLock')`

// A migration beside servers keeps no reader waiting for longer than it takes to give up, and then has changed nothing.
func TestSearchGivesWay(t *testing.T) {
	t.Parallel()
	db := openPostgres(t, postgrestest.Fresh(t).Owner)
	const names = `SELECT indexdef FROM pg_indexes WHERE tablename = 'app_user' ORDER BY 1`
	want := column(t, db, names)
	run := func(q string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	run(`DELETE FROM goose_db_version WHERE version_id = 2; DROP INDEX app_user_by_gram, app_user_by_name, app_user_by_organisation;
		DROP FUNCTION user_grams; CREATE INDEX app_user_by_name ON app_user (name, id);
		CREATE INDEX app_user_by_organisation ON app_user (organisation, name, id)`)
	before := column(t, db, names)
	reader, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback()
	if _, err := reader.ExecContext(t.Context(), `SELECT id FROM app_user`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- migrations.Apply(ctx, db, migrations.Postgres) }()
	built := 0
	for ; len(done) == 0; time.Sleep(20 * time.Millisecond) {
		built += len(column(t, db, builtWhileWaiting))
	}
	var refused *pgconn.PgError
	if err := <-done; !errors.As(err, &refused) || refused.Code != "55P03" || built == 0 {
		t.Errorf("got %v, %d times seen with all indexes built; want a lock that was not had, once all was built", err, built)
	}
	if diff := cmp.Diff(before, column(t, db, names)); diff != "" {
		t.Errorf("what it left (-before +after):\n%s", diff)
	}
	if err := reader.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Apply(ctx, db, migrations.Postgres); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, column(t, db, names)); diff != "" {
		t.Errorf("what it made (-want +got):\n%s", diff)
	}
}

// The dialects go step by step: a migration has the same number and name in both.
func TestSameMigrations(t *testing.T) {
	t.Parallel()
	var lists [2][]string
	for i, d := range []migrations.Dialect{migrations.SQLite, migrations.Postgres} {
		paths, err := filepath.Glob(filepath.Join(string(d), "*"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: got %v, %v", d, paths, err)
		}
		for _, p := range paths {
			lists[i] = append(lists[i], filepath.Base(p))
		}
	}
	if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
		t.Errorf("sqlite has - and postgres has +:\n%s", diff)
	}
	if s, p := migrations.Latest(migrations.SQLite), migrations.Latest(migrations.Postgres); s != p {
		t.Errorf("the latest of sqlite is %d, that of postgres %d", s, p)
	}
}

// The dialects have the same tables with the same columns, but for the order of keys that SQLite keeps by itself, and for what
// Postgres has as an index of app_user.
func TestSameColumns(t *testing.T) {
	t.Parallel()
	lite := open(t, filepath.Join(t.TempDir(), "a.db"))
	if err := migrations.Apply(t.Context(), lite, migrations.SQLite); err != nil {
		t.Fatal(err)
	}
	want := column(t, lite, `SELECT t.name || '.' || c.name FROM pragma_table_list t, pragma_table_info(t.name) c
		WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE 'goose_%' AND t.name <> 'user_search' ORDER BY 1`)
	got := column(t, openPostgres(t, postgrestest.Fresh(t).Owner), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose_%' AND (table_name, column_name) <> ('signing_key', 'seq')
		ORDER BY (table_name || '.' || column_name) COLLATE "C"`)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("sqlite has - and postgres has +:\n%s", diff)
	}
}

// Text compares byte by byte whatever the database's locale is: both dialects page in the same order.
func TestTextHasNoLocale(t *testing.T) {
	t.Parallel()
	for _, name := range column(t, openPostgres(t, postgrestest.Fresh(t).Owner), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose_%' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`) {
		t.Errorf("%s sorts by the locale of the database", name)
	}
}

func column(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

const anEntry = `INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical, opening)
	VALUES ('aud_1', 1, 'start', 'ann', 'john', 'app', 'imp_1', 'canonical', 'opening')`

// Nobody changes an entry: the roles lack the right, and the owner meets the triggers. What is personal in it the owner erases.
func TestEntriesAreImmutableOnPostgres(t *testing.T) {
	t.Parallel()
	d := postgrestest.Fresh(t)
	const denied, restricted = "42501", "23001"
	expect := func(role, url, statement, want string) {
		t.Helper()
		_, err := openPostgres(t, url).ExecContext(t.Context(), statement)
		var refused *pgconn.PgError
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %s: %v", role, statement, err)
		case want != "" && (!errors.As(err, &refused) || refused.Code != want):
			t.Errorf("%s: %s: got %v, want the code %s", role, statement, err, want)
		}
	}
	expect("application", d.Application, anEntry, "")
	expect("auditor", d.Auditor, `SELECT canonical, opening FROM audit_entry`, "")
	expect("auditor", d.Auditor, anEntry, denied)
	expect("auditor", d.Auditor, `SELECT name FROM app_user`, denied)
	for _, statement := range []string{
		`DELETE FROM audit_entry`, `TRUNCATE audit_entry`, `UPDATE audit_entry SET opening = 'x'`, `UPDATE audit_entry SET seq = seq + 1`,
		`UPDATE audit_entry SET id = 'x'`, `UPDATE audit_entry SET time_at = 2`, `UPDATE audit_entry SET kind = 'x'`,
		`UPDATE audit_entry SET actor = 'x'`, `UPDATE audit_entry SET subject = 'x'`, `UPDATE audit_entry SET client = 'x'`,
		`UPDATE audit_entry SET session = 'x'`, `UPDATE audit_entry SET canonical = 'x', opening = NULL`,
	} {
		expect("application", d.Application, statement, denied)
		expect("auditor", d.Auditor, statement, denied)
		expect("owner", d.Owner, statement, restricted)
	}
	expect("application", d.Application, strings.Replace(strings.Replace(anEntry, "(id", "(seq, id", 1), "('aud_1'", "(1, 'aud_2'", 1), denied)
	expect("application", d.Application, `INSERT INTO outbox (position, kind, session, actor, subject, client, reason) VALUES (1, '', '', '', '', '', '')`, denied)
	expect("application", d.Application, `UPDATE audit_entry SET opening = NULL`, denied)
	expect("application", d.Application, `ALTER TABLE audit_entry DISABLE TRIGGER ALL`, denied)
	expect("application", d.Application, `DELETE FROM client`, denied)
	expect("application", d.Application, `UPDATE installation SET minimum_schema = 0`, denied)
	expect("application", d.Application, `CREATE TABLE x ()`, denied)
	expect("owner", d.Owner, `UPDATE audit_entry SET opening = NULL`, "")
}

// The grants may be given again, after each migration.
func TestRolesAgain(t *testing.T) {
	t.Parallel()
	d := postgrestest.Fresh(t)
	db := openPostgres(t, d.Superuser)
	if _, err := db.ExecContext(t.Context(), `REVOKE ALL ON client FROM understudy_app`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), migrations.PostgresRoles); err != nil {
		t.Error(err)
	}
	if _, err := openPostgres(t, d.Application).ExecContext(t.Context(), `SELECT id FROM client`); err != nil {
		t.Error(err)
	}
}

// A migration that makes a table says in the roles' file what the application may do with it.
func TestRolesReachEveryTable(t *testing.T) {
	t.Parallel()
	for _, name := range column(t, openPostgres(t, postgrestest.Fresh(t).Owner), `SELECT tablename FROM pg_tables
		WHERE schemaname = 'public' AND NOT has_table_privilege('understudy_app', format('%I.%I', schemaname, tablename), 'SELECT')`) {
		t.Errorf("understudy_app was not granted %s", name)
	}
}
