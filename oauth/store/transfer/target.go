package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store/postgres"
)

// target is the Postgres database: one connection, which holds a lock that no other copy has at the same time.
type target struct {
	conn *pgx.Conn

	name, marker string
	minimum      int64
}

// onlyOne is the key of the lock. A backend whose client was killed keeps it until its last statement is over, so that a
// run that goes on never begins before the batch of the killed one has committed or not.
const onlyOne = 0x756e6465727374 // "underst"

// settings are those of the connection. A batch may take long on a slow disk, but nobody waits for ever for a lock.
var settings = map[string]string{
	"application_name":                    "understudy store",
	"statement_timeout":                   "0",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "0",
	"default_transaction_isolation":       "read committed",
}

func openTarget(ctx context.Context, c postgres.Config) (*target, error) {
	// The store knows best what may be wrong with a database, and says so.
	st, err := postgres.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	pool, err := pgxpool.ParseConfig(c.URL) // which knows the options of a pool, too
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", postgres.ErrURL) // the parser's own error may quote it
	}
	config := pool.ConnConfig
	if c.Password != "" {
		config.Password = string(c.Password)
	}
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	for name, value := range settings {
		config.RuntimeParams[name] = value
	}
	t := new(target)
	if t.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("opening database %s: %s", config.Database, strings.Join(strings.Fields(err.Error()), " "))
	}
	if err := t.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", config.Database, busy(err)), t.close())
	}
	return t, nil
}

func (t *target) open(ctx context.Context) error {
	var encoding string
	var version int64
	err := t.conn.QueryRow(ctx, `SELECT current_setting('server_encoding')`).Scan(&encoding)
	if err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("its encoding is %s; it must be UTF8", encoding)
	}
	if err := t.conn.QueryRow(ctx, selectVersion).Scan(&version); err != nil {
		return err
	}
	if err := checkVersion(version, migrations.Postgres); err != nil {
		return err
	}
	// A commit that is not on the disk must not make us tell the source that it has moved.
	if _, err := t.conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`); err != nil {
		return err
	}
	if _, err := t.conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(onlyOne)); err != nil {
		return err
	}
	return t.conn.QueryRow(ctx, selectInstallation).Scan(&t.name, &t.marker, &t.minimum)
}

// busy names what a lock that was not had means.
func busy(err error) error {
	const lockNotAvailable = "55P03"
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == lockNotAvailable {
		return fmt.Errorf("%w: another copy runs, or a program has locked its tables", ErrBusy)
	}
	return err
}

// close also ends a connection whose caller has left.
func (t *target) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return t.conn.Close(ctx)
}

// last is the key of a table's last row, nil if it has none.
func (t *target) last(ctx context.Context, tab table) ([]any, error) {
	q := `SELECT ` + tab.keyList(nameOf, "") + ` FROM ` + tab.name + ` ORDER BY ` + tab.keyList(nameOf, " DESC") + ` LIMIT 1`
	rows, err := t.conn.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	return rows.Values()
}

func nameOf(c column) string { return c.name }

func (t *target) count(ctx context.Context, tab table) (n int64, err error) {
	err = t.conn.QueryRow(ctx, `SELECT count(*) FROM `+tab.name).Scan(&n)
	return n, err
}

// rows are all rows of a table in the order of its key.
func (t *target) rows(ctx context.Context, tab table) (*targetRows, error) {
	var columns []string
	for _, c := range tab.columns {
		columns = append(columns, targetExpr(c))
	}
	r, err := t.conn.Query(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+tab.name+` ORDER BY `+tab.keyList(func(c column) string { return tab.name + "." + c.name }, ""))
	if err != nil {
		return nil, err
	}
	return &targetRows{r, tab}, nil
}

// targetExpr is a column of Postgres in a type that SQLite has too.
func targetExpr(c column) string {
	switch c.kind {
	case integer:
		return c.name + "::bigint"
	case list, mapping:
		return c.name + "::text"
	case numbers:
		return "to_json(" + c.name + ")::text"
	}
	return c.name
}

// targetRows gives rows in their normal form.
type targetRows struct {
	pgx.Rows
	table table
}

func (r *targetRows) next() ([]any, error) {
	if !r.Next() {
		return nil, r.Err()
	}
	row, err := r.Values()
	if err != nil {
		return nil, err
	}
	return r.table.normal(row)
}

// setCounter makes a table go on counting above n, which is 0 where nothing was ever counted.
func (t *target) setCounter(ctx context.Context, tab table, n int64) error {
	if n == 0 {
		return nil
	}
	_, err := t.conn.Exec(ctx, `SELECT setval(pg_get_serial_sequence($1, $2), $3)`, tab.name, tab.counter, n)
	return err
}

// indexes are the columns of each index of a table that bounds the length of what is in it.
func (t *target) indexes(ctx context.Context, tab table) (out [][]string, err error) {
	rows, err := t.conn.Query(ctx, `SELECT array_agg(a.attname::text)
		FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
		WHERE i.indrelid = $1::text::regclass AND m.amname = 'btree' GROUP BY i.indexrelid`, tab.name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[[]string])
}
