package main_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// The commands that meet a database: one that serves, one that reads, one that makes, one that looks.
var (
	serve   = []string{"serve", "--listen", "127.0.0.1:0", "--private-listen", ""}
	userLs  = []string{"user", "ls"}
	upgrade = []string{"migrate", "up"}
	status  = []string{"migrate", "status"}
)

// wantOneLine runs cmd, which fails with one line that matches want and one line of what to do about it.
func wantOneLine(t *testing.T, cmd *exec.Cmd, want, hint string) (said string) {
	t.Helper()
	args := cmd.Args
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("%v: got %v, want exit code 1; it said:\n%s", args, err, out)
	}
	lines := strings.Split(string(out), "\n") // the last of which is empty
	if len(lines) != 3 || !regexp.MustCompile("^understudy: .*"+want).MatchString(lines[0]) || !regexp.MustCompile("^hint: .*"+hint).MatchString(lines[1]) {
		t.Errorf("%v: got\n%s\nwant one line that matches %q and a hint that matches %q", args, out, want, hint)
	}
	return string(out)
}

// badFiles are databases that are none, each made at path. A pattern that is "" is for a command that does well.
var badFiles = []struct {
	name                string
	make                func(t *testing.T, path string)
	serve, list, up, at string // what serve, user ls, migrate up and migrate status say
	hint                string
}{
	{"directory", mkdir, "is a directory", "is a directory", "is a directory", "is a directory", "--database names a file"},
	{"random bytes", random, notDatabase, notDatabase, notDatabase, notDatabase, "put a backup back"},
	{"cut off", cutOff, notDatabase, notDatabase, notDatabase, notDatabase, "put a backup back"},
	{"no right to write the file", readOnlyFile, "permission denied", "permission denied", "permission denied", "permission denied", "who owns the file"},
	{"no right to write the directory", readOnlyDirectory, "permission denied", "cannot be written", "cannot be written", "cannot be written", "who owns the file"},
	{"in somebody's transaction", unlogged, "has it locked", "has it locked", "has it locked", "has it locked", "another program holds the file"},
	{"newer schema", newer, "needs a program that knows version 999", "needs a program that knows version 999", "needs a program that knows version 999", "", "made for a newer program"},
	{"empty", touch, "", "no schema", "", "", "understudy migrate up"},
}

const notDatabase = "not a database, or a damaged one"

func TestBadFiles(t *testing.T) {
	t.Parallel()
	limited := unprivileged(t)
	for _, tt := range badFiles {
		for _, c := range []struct {
			args []string
			want string
		}{{serve, tt.serve}, {userLs, tt.list}, {upgrade, tt.up}, {status, tt.at}} {
			if c.want == "" {
				continue
			}
			t.Run(tt.name+"/"+strings.Join(c.args[:min(2, len(c.args))], " "), func(t *testing.T) {
				t.Parallel()
				dir := reachable(t)
				tt.make(t, filepath.Join(dir, "understudy.db"))
				before := contents(t, dir)
				if tt.hint == "another program holds the file" {
					hold(t, filepath.Join(dir, "understudy.db")) // only now: a process that closes a file loses its locks on it
				}
				wantOneLine(t, limited(understudy(t, dir, c.args...)), c.want, tt.hint)
				if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
					t.Errorf("it changed files (-before +after):\n%s", diff)
				}
			})
		}
	}
}

func mkdir(t *testing.T, path string) { check(t, os.Mkdir(path, 0o777)) }

func touch(t *testing.T, path string) { write(t, path, "") }

func random(t *testing.T, path string) {
	write(t, path, strings.Repeat("no database, whatever its name says. ", 300))
}

func write(t *testing.T, path, text string) {
	check(t, os.WriteFile(path, []byte(text), 0o600))
	check(t, os.Chmod(path, 0o666)) // whatever the umask
}

// good is a database in which everything is in the file itself.
func good(t *testing.T, path string) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	check(t, err)
	check(t, st.Close())
	check(t, os.Chmod(path, 0o666))
}

func cutOff(t *testing.T, path string) {
	good(t, path)
	check(t, os.Truncate(path, 5000))
}

func readOnlyFile(t *testing.T, path string) {
	good(t, path)
	check(t, os.Chmod(path, 0o444))
}

func readOnlyDirectory(t *testing.T, path string) {
	good(t, path)
	check(t, os.Chmod(filepath.Dir(path), 0o555))
	t.Cleanup(func() { check(t, os.Chmod(filepath.Dir(path), 0o755)) })
}

func newer(t *testing.T, path string) {
	good(t, path)
	run(t, "sqlite", path, `UPDATE installation SET minimum_schema = 999`)
}

// unlogged is one in which a transaction can keep readers out too: one without the log beside the file.
func unlogged(t *testing.T, path string) {
	good(t, path)
	run(t, "sqlite", path, "PRAGMA journal_mode = DELETE")
}

// hold holds such a transaction.
func hold(t *testing.T, path string) {
	db, err := sql.Open("sqlite", path)
	check(t, err)
	conn, err := db.Conn(context.Background())
	check(t, err)
	t.Cleanup(func() { check(t, conn.Close()); check(t, db.Close()) })
	_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	check(t, err)
}

func run(t *testing.T, driver, name string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, name)
	check(t, err)
	defer db.Close()
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		check(t, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contents are the files of dir and what is in them, but for the lock that a server leaves beside a file.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		file, isLock := strings.CutSuffix(path, ".lock")
		switch info, statErr := os.Stat(file); {
		case err != nil || isLock && statErr == nil && info.Mode().IsRegular():
			return err
		case d.IsDir():
			all[path] = "directory"
			return nil
		}
		b, err := os.ReadFile(path)
		all[path] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	}))
	return all
}

// Servers that are none or have no such database. Nobody waits for them longer than five seconds and what a busy machine adds.
func TestBadServers(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	for name, c := range map[string]struct{ url, want, hint string }{
		"wrong URL":        {"postgres://u@h:port/db", "database is not a URL that can be read$", "such as postgres://"},
		"wrong option":     {"postgres://u@h/db?sslmode=full", "database cannot be used: .*sslmode", "such as postgres://"},
		"no connections":   {db.Owner + "&pool_max_conns=0", "database cannot be used: .*pool_max_conns", "pool_max_conns=20 is how many"},
		"no number":        {db.Owner + "&pool_max_conns=banana", "database cannot be used: .*pool_max_conns", "pool_max_conns=20 is how many"},
		"misspelt option":  {db.Owner + "&pool_maxconns=3", "pool_maxconns", "pool_max_conns=20 bounds connections"},
		"unknown host":     {"postgres://u@none.invalid/db", "no such host", "is that the host"},
		"port closed":      {"postgres://u@127.0.0.1:1/db", "connection refused", "does a server listen there"},
		"silent":           {"postgres://u@" + silent(t) + "/db", "timeout|deadline exceeded", "does a server listen there"},
		"no TLS":           {"postgres://u@" + withoutTLS(t) + "/db?sslmode=require", "server refused TLS connection", "sslmode in the database's URL"},
		"unknown role":     {strings.Replace(db.Owner, "user=owner", "user=none", 1), `role "none" does not exist`, "look at the user"},
		"unknown database": {strings.Replace(db.Owner, "/test_", "/none_", 1), `database "none_\d+" does not exist`, "createdb makes it"},
	} {
		for _, args := range [][]string{serve, userLs, upgrade, status} {
			t.Run(name+"/"+strings.Join(args[:min(2, len(args))], " "), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				use(t, dir, c.url)
				wantOneLine(t, understudy(t, dir, args...), c.want, c.hint)
			})
		}
	}
}

// A schema that is not ours to serve is left as it is.
func TestBadSchemas(t *testing.T) {
	t.Parallel()
	empty, older, newer, ungranted := postgrestest.Empty(t), postgrestest.Fresh(t), postgrestest.Fresh(t), postgrestest.Fresh(t)
	run(t, "pgx", older.Owner, `UPDATE goose_db_version SET is_applied = false WHERE version_id > 0`)
	run(t, "pgx", newer.Owner, `UPDATE installation SET minimum_schema = 999`)
	run(t, "pgx", ungranted.Superuser, `REVOKE ALL ON ALL TABLES IN SCHEMA public FROM understudy_app`)
	const up = "run understudy migrate up, on Postgres as the role that owns the tables"
	for name, c := range map[string]struct {
		url, want, hint string
		commands        [][]string
	}{
		"empty":                  {empty.Application, "the database has no schema: run understudy migrate up$", up, [][]string{serve, userLs}},
		"older":                  {older.Application, "the schema is at version 0 and this program needs", up, [][]string{serve, userLs}},
		"newer":                  {newer.Owner, "needs a program that knows version 999", "newer program", [][]string{serve, userLs, upgrade}},
		"migrated by another":    {empty.Application, "permission denied for schema public", "the role that owns the tables", [][]string{upgrade}},
		"without its grants":     {ungranted.Application, "permission denied for table", "understudy migrate roles grants", [][]string{serve, userLs, status}},
		"refused before the key": {empty.Application, "the database has no schema", up, [][]string{{"user", "totp", "ann@acme.test"}}},
	} {
		for _, args := range c.commands {
			t.Run(name+"/"+strings.Join(args[:min(2, len(args))], " "), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				use(t, dir, c.url)
				super := regexp.MustCompile(`user=\w+`).ReplaceAllString(c.url, "user=postgres")
				before := tables(t, super)
				wantOneLine(t, understudy(t, dir, args...), c.want, c.hint)
				if diff := cmp.Diff(before, tables(t, super)); diff != "" {
					t.Errorf("it changed the database (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// tables are those of a database, each with who may do what.
func tables(t *testing.T, url string) string {
	t.Helper()
	return one(t, url, `SELECT string_agg(relname || ' ' || relkind::text || ' ' || coalesce(relacl::text, ''), E'\n' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace`)
}

// one is a text that a query gives; "" for NULL.
func one(t *testing.T, url, query string) string {
	t.Helper()
	db, err := sql.Open("pgx", url)
	check(t, err)
	defer db.Close()
	var s sql.NullString
	check(t, db.QueryRowContext(t.Context(), query).Scan(&s))
	return s.String
}

// silent is the address of a server that takes connections and never says anything.
func silent(t *testing.T) string { return answering(t, "") }

// withoutTLS is the address of one that says of TLS what a Postgres without it does.
func withoutTLS(t *testing.T) string { return answering(t, "N") }

func answering(t *testing.T, text string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 8)) // the request for TLS
				c.Write([]byte(text))
				c.Read(make([]byte, 1<<10)) // until the other side gives up
			}()
		}
	}()
	return ln.Addr().String()
}
