package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// source is the SQLite file. It has one connection and the lock of a server.
type source struct {
	db     *sql.DB
	unlock func() error

	name, marker string
	minimum      int64
}

const (
	selectInstallation = `SELECT name, marker, minimum_schema FROM installation WHERE id = 1`
	selectVersion      = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`
	updateSourceMark   = `UPDATE installation SET marker = ? WHERE id = 1 AND marker = ?`
)

// openSource takes the file for this process alone, but for command lines beside it.
func openSource(ctx context.Context, path string) (s *source, err error) {
	// The store knows best what may be wrong with a file, and says so; it comes first, since a lock makes a file of its own.
	st, err := sqlite.Open(ctx, sqlite.Config{Path: path, Reserve: -1})
	if err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	s = new(source)
	if s.unlock, err = sqlite.Lock(path); err != nil {
		return nil, err
	}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), s.close())
	}
	return s, nil
}

func (s *source) open(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: "_txlock=immediate&_busy_timeout=5000&_synchronous=FULL&_dqs=0"}
	if s.db, err = sql.Open("sqlite", name.String()); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	if err := s.db.QueryRowContext(ctx, selectInstallation).Scan(&s.name, &s.marker, &s.minimum); err != nil {
		return err
	}
	var version int64
	if err := s.db.QueryRowContext(ctx, selectVersion).Scan(&version); err != nil {
		return err
	}
	return checkVersion(version, migrations.SQLite)
}

// checkVersion refuses a schema that has tables or columns that this program does not know, although it may serve it.
func checkVersion(version int64, d migrations.Dialect) error {
	if latest := migrations.Latest(d); version != latest {
		return fmt.Errorf("the schema is at version %d and this program copies version %d", version, latest)
	}
	return nil
}

func (s *source) close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, s.unlock())
}

// rows are a table's after a key, in its order; all of them if the key is nil.
func (s *source) rows(ctx context.Context, t table, after []any) (*sourceRows, error) {
	where := ""
	if after != nil {
		where = " WHERE (" + t.keyList(t.sourceExpr, "") + ") > (" + strings.TrimSuffix(strings.Repeat("?, ", len(after)), ", ") + ")"
	}
	var columns []string
	for _, c := range t.columns {
		columns = append(columns, t.sourceExpr(c))
	}
	r, err := s.db.QueryContext(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+t.name+where+` ORDER BY `+t.keyList(t.sourceExpr, ""), after...)
	if err != nil {
		return nil, err
	}
	return &sourceRows{Rows: r, table: t}, nil
}

// sourceExpr is a column in SQLite: what counts by itself is the rowid, which signing_key has no other name for.
func (t table) sourceExpr(c column) string {
	if c.name == t.counter {
		return "rowid"
	}
	return c.name
}

// keyList is the columns of the key as expr gives them, each with suffix.
func (t table) keyList(expr func(column) string, suffix string) string {
	var out []string
	for _, i := range t.key {
		out = append(out, expr(t.columns[i])+suffix)
	}
	return strings.Join(out, ", ")
}

// sourceRows gives rows in their normal form.
type sourceRows struct {
	*sql.Rows
	table table
}

// next gives a row, nil after the last. An error that is a *Problem concerns that row alone.
func (r *sourceRows) next() ([]any, error) {
	if !r.Next() {
		return nil, r.Err()
	}
	row, dest := make([]any, len(r.table.columns)), make([]any, len(r.table.columns))
	for i := range row {
		dest[i] = &row[i]
	}
	if err := r.Scan(dest...); err != nil {
		return nil, err
	}
	return r.table.normal(row)
}

// normal brings a row into its normal form. The error is a *Problem.
func (t table) normal(row []any) ([]any, error) {
	out := make([]any, len(row))
	for i, c := range t.columns {
		v, err := normal(c.kind, row[i])
		if err != nil {
			return nil, &Problem{t.name, keyText(t.keyOf(row)), c.name, err}
		}
		out[i] = v
	}
	return out, nil
}

// count is how many rows a table has.
func (s *source) count(ctx context.Context, t table) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT count(*) FROM `+t.name).Scan(&n)
	return n, err
}

// counted is the highest number that a table ever gave a row, also one that is gone; 0 if there was none.
func (s *source) counted(ctx context.Context, t table) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT max(coalesce((SELECT max(rowid) FROM `+t.name+`), 0),
		coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))`, t.name).Scan(&n)
	return n, err
}
