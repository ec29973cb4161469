package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

func (a *app) migrateCmd() *cobra.Command {
	up := &cobra.Command{Use: "up", Short: "Make the database, or bring it up to date", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			l, err := a.config()
			if err != nil {
				return err
			}
			st, err := sqlite.Open(ctx, sqlite.Config{Path: l.Database, Migrate: true})
			if err != nil {
				return err
			}
			if err := st.Close(); err != nil {
				return err
			}
			return a.migrations(ctx, l.Database)
		})}
	status := &cobra.Command{Use: "status", Short: "List migrations and when each was applied", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			l, err := a.config()
			if err != nil {
				return err
			}
			if _, err := os.Stat(l.Database); err != nil {
				return withHint(err, "understudy migrate up makes it; --database names another")
			}
			return a.migrations(ctx, l.Database)
		})}
	return a.group("migrate", "The schema of the database", up, status)
}

func (a *app) migrations(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", name.String()) // the driver comes with package sqlite
	if err != nil {
		return err
	}
	all, err := migrations.Status(ctx, db, migrations.SQLite)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	type row struct {
		Version int64  `json:"version"`
		Name    string `json:"name"`
		Applied string `json:"applied"`
	}
	out := make([]row, 0, len(all))
	t := table{header: []string{"NAME", "APPLIED"}}
	for _, m := range all {
		out = append(out, row{m.Version, m.Name, stamp(m.Applied)})
		t.add(m.Name, stamp(m.Applied))
	}
	return a.print(map[string]any{"migrations": out}, t)
}
