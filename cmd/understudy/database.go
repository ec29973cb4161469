package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// database is a store, with what it is marked for.
type database interface {
	store.Store
	Marker(ctx context.Context) (string, error)
}

// openDatabase opens the configured database. With migrate it is made, or brought up to date, first.
func openDatabase(ctx context.Context, l *config.Loaded, migrate bool) (database, error) {
	if l.Postgres() {
		c := l.PostgresConfig()
		c.Migrate = migrate
		st, err := postgres.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		return st, nil
	}
	st, err := sqlite.Open(ctx, sqlite.Config{Path: l.Database, Migrate: migrate})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// serveFrom opens the database for a server. A file is for one server alone, and made where there is none; the schema of a
// Postgres is its owner's to change, once for all replicas. The caller calls release at the end.
func serveFrom(ctx context.Context, l *config.Loaded) (st database, release func() error, err error) {
	unlock := func() error { return nil }
	if !l.Postgres() {
		if unlock, err = sqlite.Lock(l.Database); err != nil {
			return nil, nil, err
		}
	}
	if st, err = openDatabase(ctx, l, !l.Postgres()); err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	release = func() error { return errors.Join(st.Close(), unlock()) }
	marker, err := st.Marker(ctx)
	if err == nil && marker == demoMarker {
		err = withHint(fmt.Errorf("%s is a demo database: its passwords are public", l.Database), "--database names another")
	}
	if err == nil {
		err = refuseMarked(l, marker)
	}
	if err != nil {
		return nil, nil, errors.Join(err, release())
	}
	return st, release, nil
}
