// Package postgres keeps a [store.Store] in a Postgres database. Start with [Open]. Any number of processes may share one
// database; nothing but the database is shared between them.
//
// Starts and stops that come at the same time become one statement, one round trip and one commit, and each caller learns its
// own outcome. What starts, stops and introspections read at the same time is read together too. What a write answers nil for
// has reached the disk. Everything is read from the primary: a standby is refused.
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
	"database/sql"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// Config says where the database is.
type Config struct {
	// URL is a connection string, postgres://user:password@host:port/database?sslmode=verify-full, or as keywords and values.
	// It may name several hosts: the one that takes writes is used. Must be set. What it leaves out comes from Postgres' own
	// environment, such as PGSSLMODE and PGPASSFILE.
	URL string
	// Password takes the place of the one in URL. Empty leaves that one, or what PGPASSWORD or PGPASSFILE say.
	Password oauth.Secret
	// Migrate brings the schema up to date first, which the owner of the database alone may do. Otherwise Open refuses a
	// schema that is not current.
	Migrate bool
	// MaxConns is how many connections this process may hold. Zero means what URL says as pool_max_conns, else two for each
	// core, and at least 4: what a database does at once is bounded by its own cores and disk, and more connections only wait
	// there.
	MaxConns int
}

// patience bounds every call, with whatever it waits for, so that a server answers within three seconds also when the network
// to the database swallows everything. Postgres itself gives up on a statement before.
const patience = 2500 * time.Millisecond

// settings are those of every connection. The write of a start reads what others have committed while it waited for its locks:
// that is READ COMMITTED, which a database may have changed. To plan or compile a statement takes longer than to run any of ours,
// so a plan is made once for each connection; and row by row by the indexes, since tables may be empty then, and small ones look
// cheap to read whole.
var settings = map[string]string{
	"application_name":                    "understudy",
	"statement_timeout":                   "2000",
	"lock_timeout":                        "1000",
	"idle_in_transaction_session_timeout": "5000",
	"default_transaction_isolation":       "read committed",
	"plan_cache_mode":                     "force_generic_plan",
	"enable_seqscan":                      "off",
	"enable_hashjoin":                     "off",
	"enable_mergejoin":                    "off",
	"jit":                                 "off",
}

// Store is a store.Store in a Postgres database. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	starts *writer[start]
	stops  *writer[stop]
	// records are entries that stand for themselves and may come again: those of each call are one write.
	records *writer[record]

	loadClients  *reader[string, store.Client]
	loadStarts   *reader[startKey, *startRow]
	loadStops    *reader[oauth.Hash, stopRow]
	loadSessions *reader[string, liveRow]

	closing sync.Once
}

var _ store.Store = (*Store)(nil)

// Open connects to the database of c. The caller closes the Store. An error is one line that says what is wrong, and holds no
// password: ErrURL, ErrUnreachable, ErrTLS, ErrCredentials, ErrNoDatabase, ErrPrivilege, migrations.ErrOlder, migrations.ErrNewer,
// or something else. Where nobody answers it comes after five seconds, or 2.5 for each host that URL names if that is longer.
func Open(ctx context.Context, c Config) (*Store, error) {
	config, err := parse(c)
	if err != nil {
		return nil, err
	}
	if c.Migrate {
		if err := withDB(config.ConnConfig, func(db *sql.DB) error { return migrations.Apply(ctx, db, migrations.Postgres) }); err != nil {
			return nil, refused("opening database", config.ConnConfig, err)
		}
	}
	s := new(Store)
	if s.pool, err = pgxpool.NewWithConfig(ctx, tune(config, c)); err != nil {
		return nil, refused("opening database", config.ConnConfig, err)
	}
	if err := s.check(ctx, config.ConnConfig); err != nil {
		s.pool.Close()
		return nil, refused("opening database", config.ConnConfig, err)
	}
	s.starts, s.stops = newWriter(s.runStarts, start.alone, start.rows), newWriter(s.runStops, stop.alone, stop.rows)
	s.records = newWriter(s.runRecords, record.alone, record.rows)
	s.loadClients, s.loadStarts = newReader(s.readClients), newReader(s.readStarts)
	s.loadStops, s.loadSessions = newReader(s.readStops), newReader(s.readSessions)
	return s, nil
}

// check connects for the first time. Looking up a host's name has no limit of its own.
func (s *Store) check(ctx context.Context, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, max(2*patience, patience*time.Duration(1+len(config.Fallbacks))))
	defer cancel()
	return checkSchema(ctx, s.pool)
}

func tune(config *pgxpool.Config, c Config) *pgxpool.Config {
	switch {
	case c.MaxConns > 0:
		config.MaxConns = int32(c.MaxConns)
	case !strings.Contains(c.URL, "pool_max_conns"): // else it is parsed already
		config.MaxConns = int32(max(4, 2*runtime.GOMAXPROCS(0)))
	}
	for name, value := range settings {
		config.ConnConfig.RuntimeParams[name] = value
	}
	config.PingTimeout = pingWithin
	config.ConnConfig.MaxProtocolMessageBodyLen = longestMessage
	config.ConnConfig.DialFunc = impatient(config.ConnConfig.DialFunc)
	config.AfterConnect = keepCommits
	return config
}

// keepCommits makes commits wait for the disk where the database is set not to; what else it is set to may be more, and stays.
func keepCommits(ctx context.Context, c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, patience) // nobody else bounds it: connecting goes on after who asked for it has left
	defer cancel()
	_, err := c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

// Close waits for the writes that were taken and the reads under way, then closes. Later calls of any method give
// store.ErrUnavailable.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.starts.close()
		s.stops.close()
		s.records.close()
		s.pool.Close()
	})
	return nil
}
