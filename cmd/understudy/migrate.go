package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

func (a *app) migrateCmd() *cobra.Command {
	up := &cobra.Command{Use: "up", Short: "Make the database, or bring it up to date", Args: cobra.NoArgs,
		Long: "Make the database, or bring it up to date.\n\nA Postgres is brought up to date as the role that owns its tables, once for all servers,\n" +
			"also while they run: sign-ins and changes to users may be refused for as long as an index takes.\n" +
			"Then understudy migrate roles grants what is new.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			l, err := a.checked((*config.Loaded).CheckDatabase)
			if err != nil {
				return err
			}
			st, err := openDatabase(ctx, l, true)
			if err != nil {
				return err
			}
			if err := st.Close(); err != nil {
				return err
			}
			return a.migrations(ctx, l)
		})}
	status := &cobra.Command{Use: "status", Short: "List migrations and when each was applied", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			l, err := a.checked((*config.Loaded).CheckDatabase)
			if err != nil {
				return err
			}
			return a.migrations(ctx, l)
		})}
	return a.group("migrate", "The schema of the database", up, status, a.migrateRoles())
}

func (a *app) migrateRoles() *cobra.Command {
	return &cobra.Command{Use: "roles", Short: "Print the SQL that makes the roles of a Postgres and grants them what they need", Args: cobra.NoArgs,
		Long: "Print the SQL that makes the roles of a Postgres and grants them what they need.\n\n" +
			"Run it after every understudy migrate up, as a role that may make roles and owns the tables:\n" +
			"understudy migrate roles | psql -v ON_ERROR_STOP=1 postgres://owner@host/name",
		RunE: a.does(func(context.Context, []string) error {
			if a.output == outputJSON {
				return a.printJSON(map[string]string{"sql": migrations.PostgresRoles})
			}
			_, err := fmt.Fprint(a.stdout, migrations.PostgresRoles)
			return err
		})}
}

func (a *app) migrations(ctx context.Context, l *config.Loaded) error {
	all, err := migrationsOf(ctx, l)
	if err != nil {
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

func migrationsOf(ctx context.Context, l *config.Loaded) ([]migrations.Migration, error) {
	if l.Postgres() {
		return postgres.Status(ctx, l.PostgresConfig())
	}
	all, err := sqlite.Status(ctx, sqlite.Config{Path: l.Database})
	if errors.Is(err, fs.ErrNotExist) {
		err = withHint(err, "understudy migrate up makes it; --database names another")
	}
	return all, err
}
