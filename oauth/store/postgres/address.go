package postgres

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/understudy-id/understudy/oauth"
)

// parse reads the URL of c, and what the environment adds to it.
func parse(c Config) (*pgxpool.Config, error) {
	if c.URL == "" {
		return nil, fmt.Errorf("opening database: %w: it is empty", ErrURL)
	}
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w: %s", ErrURL, withoutURL(err))
	}
	if err := preparable(config.ConnConfig); err != nil {
		return nil, fmt.Errorf("opening database: %w: %w", ErrURL, err)
	}
	if c.Password != "" {
		config.ConnConfig.Password = string(c.Password)
	}
	config.ConnConfig.ConnectTimeout = patience
	config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	return config, nil
}

// preparable refuses what keeps the driver from asking Postgres for the types of a statement's parameters: it cannot guess those
// of lists, which every write of many rows has, and a server would find out at its first start.
func preparable(c *pgx.ConnConfig) error {
	switch mode := c.DefaultQueryExecMode; {
	case mode == pgx.QueryExecModeExec, mode == pgx.QueryExecModeSimpleProtocol:
		return errors.New("default_query_exec_mode must be cache_statement, cache_describe or describe_exec")
	case mode == pgx.QueryExecModeCacheStatement && c.StatementCacheCapacity <= 0:
		return errors.New("statement_cache_capacity must be above 0, or default_query_exec_mode another")
	case mode == pgx.QueryExecModeCacheDescribe && c.DescriptionCacheCapacity <= 0:
		return errors.New("description_cache_capacity must be above 0, or default_query_exec_mode another")
	}
	return nil
}

// withoutURL is what the parser found, without the URL around it: where a URL is malformed nobody can tell what of it is the
// password.
func withoutURL(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	return lines(text)
}

// withDB runs f on connections without our limits of time: a migration may take long.
func withDB(config *pgx.ConnConfig, f func(*sql.DB) error) error {
	db := stdlib.OpenDB(*config.Copy())
	return errors.Join(f(db), db.Close())
}

// Protection is what keeps others off the way to the database.
type Protection int

// From none to all. What Postgres calls sslmode decides: disable, allow and prefer are Clear, since whoever stands between can
// have clear text; require is Encrypted; verify-ca is Certified; verify-full is Verified.
const (
	Clear     Protection = iota // nothing
	Encrypted                   // against who only listens: whoever answers is taken for the database
	Certified                   // also against who has no certificate of that authority; it may be another server's
	Verified                    // all; so does a connection that does not leave this machine
)

// Protection is the weakest that any host of c's URL has, and that host. It connects to nobody. The error is ErrURL.
func (c Config) Protection() (weakest Protection, host string, err error) {
	config, err := parse(c)
	if err != nil {
		return 0, "", err
	}
	conn := config.ConnConfig
	weakest, host = Verified, conn.Host
	for _, h := range append([]*pgconn.FallbackConfig{{Host: conn.Host, Port: conn.Port, TLSConfig: conn.TLSConfig}}, conn.Fallbacks...) {
		if p := protection(h); p < weakest {
			weakest, host = p, h.Host
		}
	}
	return weakest, host, nil
}

func protection(h *pgconn.FallbackConfig) Protection {
	network, _ := pgconn.NetworkAddress(h.Host, h.Port)
	switch {
	case network == "unix" || oauth.Loopback(h.Host):
		return Verified
	case h.TLSConfig == nil:
		return Clear
	case !h.TLSConfig.InsecureSkipVerify:
		return Verified
	case h.TLSConfig.VerifyPeerCertificate != nil:
		return Certified
	}
	return Encrypted
}
