// Package postgres keeps a [store.Store] in a Postgres database. Start with [Open]. Any number of processes may share one
// database; nothing but the database is shared between them.
//
// Starts and stops that come at the same time become one statement, one round trip and one commit, and each caller learns its own
// outcome. What a write answers nil for has reached the disk. Everything is read from the primary: a standby is refused.
//
// Transactions are READ COMMITTED and take their row locks in one order: user, authz_version, epoch, login, oauth_grant, ticket,
// impersonation_session, return_token, and installation as the last. Where two still meet crosswise, Postgres breaks the tie and
// the loser runs again.
//
// The package decides nothing, keeps no cache and hands out no transaction. The grants of migrations.PostgresRoles are all that
// it needs, but for Config.Migrate.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store"
)

// Config says where the database is.
type Config struct {
	// URL is a connection string, postgres://user:password@host:port/database?sslmode=verify-full, or as keywords and values.
	// It may name several hosts: the one that takes writes is used. Must be set.
	URL string
	// Migrate brings the schema up to date first, which the owner of the database alone may do. Otherwise Open refuses a
	// schema that is not current.
	Migrate bool
	// MaxConns is how many connections this process may hold. Zero means two for each core, and at least 4: what a
	// database does at once is bounded by its own cores and disk, and more connections only wait there.
	MaxConns int
}

// patience bounds every call, with whatever it waits for, so that a server answers within three seconds also when the network
// to the database swallows everything. Postgres itself gives up on a statement before.
const patience = 2500 * time.Millisecond

// settings are those of every connection. The write of a start reads what others have committed while it waited for its locks:
// that is READ COMMITTED, which a database may have changed. To plan or compile a statement takes longer than to run any of ours,
// so a plan is made once for each connection; and by the indexes, since tables may be empty then, and small ones look cheap to
// read whole.
var settings = map[string]string{
	"application_name":                    "understudy",
	"statement_timeout":                   "2000",
	"lock_timeout":                        "1000",
	"idle_in_transaction_session_timeout": "5000",
	"default_transaction_isolation":       "read committed",
	"plan_cache_mode":                     "force_generic_plan",
	"enable_seqscan":                      "off",
	"jit":                                 "off",
}

// Store is a store.Store in a Postgres database. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	starts *writer[start]
	stops  *writer[stop]

	closing sync.Once
}

var _ store.Store = (*Store)(nil)

// Open connects to the database of c. The caller closes the Store. An error is one line that says what to mend, and holds no
// password.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.URL == "" {
		return nil, errors.New("opening database: no URL")
	}
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("opening database: %s", line(err))
	}
	if c.Migrate {
		if err := migrate(ctx, config.ConnConfig.Copy()); err != nil {
			return nil, fmt.Errorf("opening database %s: %s", config.ConnConfig.Database, line(err))
		}
	}
	s := new(Store)
	if s.pool, err = pgxpool.NewWithConfig(ctx, tune(config, c.MaxConns)); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if err := checkSchema(ctx, s.pool); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("opening database %s: %s", config.ConnConfig.Database, line(err))
	}
	s.starts, s.stops = newWriter(s.runStarts, start.alone), newWriter(s.runStops, stop.alone)
	return s, nil
}

func tune(config *pgxpool.Config, conns int) *pgxpool.Config {
	if conns <= 0 {
		conns = max(4, 2*runtime.GOMAXPROCS(0))
	}
	config.MaxConns = int32(conns)
	config.ConnConfig.ConnectTimeout = patience
	config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	for name, value := range settings {
		config.ConnConfig.RuntimeParams[name] = value
	}
	config.AfterConnect = keepCommits
	return config
}

// keepCommits makes commits wait for the disk where the database is set not to; what else it is set to may be more, and stays.
func keepCommits(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

// migrate has a connection of its own, without our limits of time: a migration may take long.
func migrate(ctx context.Context, config *pgx.ConnConfig) error {
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	db := stdlib.OpenDB(*config)
	return errors.Join(migrations.Apply(ctx, db, migrations.Postgres), db.Close())
}

// line is the text of err without the line breaks that the driver puts between the hosts it tried.
func line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Close waits for the writes that were taken and the reads under way, then closes. Later calls of any method give
// store.ErrUnavailable.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.starts.close()
		s.stops.close()
		s.pool.Close()
	})
	return nil
}
