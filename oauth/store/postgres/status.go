package postgres

import (
	"context"
	"database/sql"

	"github.com/understudy-id/understudy/migrations"
)

// Status lists the migrations of the database of c and when each was applied, as migrations.Status does. Its errors are those of
// Open.
func Status(ctx context.Context, c Config) (out []migrations.Migration, err error) {
	config, err := parse(c)
	if err != nil {
		return nil, err
	}
	err = withDB(config.ConnConfig, func(db *sql.DB) error {
		out, err = migrations.Status(ctx, db, migrations.Postgres)
		return err
	})
	return out, refused("reading the migrations of", config.ConnConfig, err)
}
