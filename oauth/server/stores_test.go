package server_test

import (
	"context"
	"database/sql"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// base is a database of a test's own, on which any number of stores may be opened.
type base struct {
	open  func() (store.Store, error) // as a server opens it
	admin *sql.DB                     // of who may do anything, past the store
	// superuser is the URL of who may do anything, "" on SQLite; cluster is nil unless the test has one of its own.
	superuser string
	cluster   *postgrestest.Cluster
}

// backends are the kinds of store, by name.
var backends = map[string]func(t testing.TB) *base{"SQLite": onSQLite, "Postgres": onPostgres}

// onBoth runs a test whose outcome hangs on the store once on each kind of it. What asks nothing of the store is run on SQLite alone.
func onBoth(t *testing.T, test func(t *testing.T, o options)) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, options{on: backends[name]})
		})
	}
}

func onSQLite(t testing.TB) *base {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	return &base{
		open: func() (store.Store, error) {
			return sqlite.Open(context.Background(), sqlite.Config{Path: path, Migrate: true})
		},
		admin: openSQL(t, "sqlite", "file:"+path+"?_busy_timeout=5000"),
	}
}

func onPostgres(t testing.TB) *base {
	t.Helper()
	return postgresBase(t, postgrestest.Fresh(t))
}

func postgresBase(t testing.TB, d postgrestest.Database) *base {
	t.Helper()
	return &base{
		open: func() (store.Store, error) {
			return postgres.Open(context.Background(), postgres.Config{URL: d.Application})
		},
		admin: openSQL(t, "pgx", d.Superuser), superuser: d.Superuser,
	}
}

// onOwnPostgres is a Postgres that the test may kill.
func onOwnPostgres(t testing.TB) *base {
	t.Helper()
	c := postgrestest.Start(t)
	b := postgresBase(t, c.Fresh(t))
	b.cluster = c
	return b
}

func openSQL(t testing.TB, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// store opens a store that the end of the test closes.
func (b *base) store(t testing.TB) store.Store {
	t.Helper()
	st, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// run runs statements past the store.
func (b *base) run(t testing.TB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := b.admin.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// sound holds the database to the invariants, with what the test knows beside it.
func (h *house) sound(tokens ...string) {
	h.t.Helper()
	o := chaos.Options{Issuer: h.issuer, Public: map[string]string{"log": h.logs.String()}}
	for _, secret := range h.secrets {
		o.Canaries = append(o.Canaries, secret)
	}
	for _, token := range tokens {
		o.Canaries = append(o.Canaries, token)
		o.Tokens = append(o.Tokens, impersonationToken(h.t, token))
	}
	for _, v := range chaos.Check(context.Background(), h.store, o) {
		h.t.Error(v)
	}
}

// impersonationToken reads one as its resource server would.
func impersonationToken(t testing.TB, token string) chaos.Token {
	t.Helper()
	_, c := claims(t, token)
	text := func(c map[string]any, name string) string { s, _ := c[name].(string); return s }
	act, _ := c["act"].(map[string]any)
	exp, _ := c["exp"].(float64)
	return chaos.Token{
		Issuer: text(c, "iss"), Subject: text(c, "sub"), ActorIssuer: text(act, "iss"), ActorSubject: text(act, "sub"), Audience: []string{text(c, "aud")},
		ClientID: text(c, "client_id"), ID: text(c, "jti"), Session: text(c, "sid"), Audit: text(c, "txn"), Scope: strings.Fields(text(c, "scope")),
		Expires: time.Unix(int64(exp), 0),
	}
}

// within tries f until it gives no error, for 15 s.
func within(t testing.TB, what string, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
