package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-id/understudy/migrations"
)

// Status lists the migrations of the file of c and when each was applied, as migrations.Status does. It makes no file: an
// fs.ErrNotExist says that there is none. Its other errors are those of Open.
func Status(ctx context.Context, c Config) ([]migrations.Migration, error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // SQLite would tell a directory and a missing right only by a number
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	db, err := sql.Open("sqlite", source(path, ""))
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	all, err := migrations.Status(ctx, db, migrations.SQLite)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("reading the migrations of %s: %w", path, refused(err))
	}
	return all, nil
}
