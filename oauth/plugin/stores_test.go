package plugin_test

import (
	"context"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

func onSQLite(t *testing.T) store.Store {
	t.Helper()
	st := openStore()
	t.Cleanup(func() { st.Close() })
	return st
}

func onPostgres(t *testing.T) store.Store {
	t.Helper()
	st, err := postgres.Open(context.Background(), postgres.Config{URL: postgrestest.Fresh(t).Application})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// onBoth runs f on each kind of store: what hangs on the one write of a start or an end.
func onBoth(t *testing.T, f func(*testing.T, options)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); f(t, options{on: onSQLite}) })
	t.Run("Postgres", func(t *testing.T) { t.Parallel(); f(t, options{on: onPostgres}) })
}

// onEach runs f with every kind of token, and with one of them on the other store: our store never sees a token of the provider.
func onEach(t *testing.T, f func(*testing.T, options)) {
	t.Parallel()
	for _, k := range []kind{opaque, signed, stateless} {
		t.Run(string(k), func(t *testing.T) { t.Parallel(); f(t, options{kind: k}) })
	}
	t.Run("jwt, on Postgres", func(t *testing.T) { t.Parallel(); f(t, options{kind: signed, on: onPostgres}) })
}
