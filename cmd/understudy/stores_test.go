package main_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// sealed is a sealing key.
var sealed = strings.Repeat("A", 43) + "="

// onBoth runs f on each store, in a directory in which every command finds it. On SQLite the first that may makes the file.
func onBoth(t *testing.T, f func(t *testing.T, dir string)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, t.TempDir())
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dir, db := t.TempDir(), postgrestest.Fresh(t)
		use(t, dir, db.Application)
		if err := os.WriteFile(filepath.Join(dir, "superuser"), []byte(db.Superuser), 0o600); err != nil {
			t.Fatal(err)
		}
		f(t, dir)
	})
}

// use makes what runs in dir find this database.
func use(t *testing.T, dir, url string) {
	t.Helper()
	text := fmt.Sprintf("database: %q\nsealing_key: %s\n", url, sealed)
	if err := os.WriteFile(filepath.Join(dir, config.DefaultFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// opened is the database of dir, as a server beside the commands would have it.
func opened(t *testing.T, dir string) store.Store {
	t.Helper()
	l, err := config.Load(config.Sources{File: configFile(dir)})
	if err != nil {
		t.Fatal(err)
	}
	var st store.Store
	if l.Postgres() {
		st, err = postgres.Open(t.Context(), l.PostgresConfig())
	} else {
		st, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, l.Database), Reserve: -1})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func configFile(dir string) string {
	name := filepath.Join(dir, config.DefaultFile)
	if _, err := os.Stat(name); err != nil {
		return os.DevNull
	}
	return name
}

// direct is the database of dir for who has more rights than any of us.
func direct(t *testing.T, dir string) (db *sql.DB, isPostgres bool) {
	t.Helper()
	driver, name := "sqlite", filepath.Join(dir, "understudy.db")
	if url, err := os.ReadFile(filepath.Join(dir, "superuser")); err == nil {
		driver, name = "pgx", string(url)
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, driver == "pgx"
}

// The stories of the administrator's commands are the same on Postgres.
func TestScriptsOnPostgres(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("scripts that TestScripts runs on SQLite")
	}
	for _, name := range []string{"client", "session", "user", "identity", "import", "scim"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.Fresh(t)
			testscript.Run(t, testscript.Params{
				Files: []string{filepath.Join("testdata", name+".txt")},
				Setup: func(env *testscript.Env) error {
					env.Setenv("USER", "olga")
					use(t, env.WorkDir, db.Application)
					return nil
				},
			})
		})
	}
}
