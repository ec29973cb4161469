// Package postgrestest gives tests a Postgres of their own. Start with [Fresh]: a migrated, empty database on a private cluster
// that the test binary shares.
//
//	db := postgrestest.Fresh(t)
//	s, err := postgres.Open(t.Context(), postgres.Config{URL: db.Application})
//
// [Start] makes a whole cluster for one test, which may be killed and started again, or followed by a standby. Clusters live in a directory of their own
// and listen on a Unix socket only; they write to the disk as in production, and they and their files go with the test binary,
// however it ends. Where there are no Postgres binaries the test is skipped, and fails if CI is set. The package is for tests and
// knows nothing of the store.
package postgrestest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver that migrations go through

	"github.com/understudy-id/understudy/migrations"
)

// Database is one database, by the connection URLs of those who use it. No password is asked for.
type Database struct {
	Owner       string // owns the database and its tables
	Application string // is in understudy_app, see migrations.PostgresRoles
	Auditor     string // is in understudy_auditor
	Superuser   string
}

var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Fresh makes a migrated database on the shared cluster. It is dropped when the test ends.
func Fresh(t testing.TB) Database {
	t.Helper()
	return common(t).Fresh(t)
}

// Empty makes a database without any table on the shared cluster. It is dropped when the test ends.
func Empty(t testing.TB) Database {
	t.Helper()
	return common(t).Empty(t)
}

// common is the shared cluster. It lives until the binary ends: no test knows whether it is the last one.
func common(t testing.TB) *Cluster {
	t.Helper()
	shared.once.Do(func() { shared.cluster, shared.err = start((*Cluster).init) })
	if shared.err != nil {
		giveUp(t, shared.err)
	}
	return shared.cluster
}

func giveUp(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNoPostgres) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// Fresh makes a migrated database, which is dropped when the test ends. A copy of one that is ready takes a tenth of the time.
func (c *Cluster) Fresh(t testing.TB) Database {
	t.Helper()
	c.ready.Do(func() { c.readyErr = c.makeTemplate(context.Background()) })
	if c.readyErr != nil {
		t.Fatal(c.readyErr)
	}
	return c.create(t, template)
}

// Empty makes a database without any table, which is dropped when the test ends.
func (c *Cluster) Empty(t testing.TB) Database {
	t.Helper()
	return c.create(t, "template0")
}

const template = "understudy_template"

func (c *Cluster) create(t testing.TB, from string) Database {
	t.Helper()
	name := fmt.Sprintf("test_%d", c.databases.Add(1))
	if err := c.run(t.Context(), "postgres", `CREATE DATABASE `+name+` TEMPLATE `+from+` OWNER owner`); err != nil {
		t.Fatalf("making a database: %v", err)
	}
	t.Cleanup(func() {
		// The test's context has ended. A cluster that a test left killed has nothing to drop.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.run(ctx, "postgres", `DROP DATABASE `+name+` WITH (FORCE)`); err != nil && c.running() {
			t.Errorf("dropping a database: %v", err)
		}
	})
	return c.database(name)
}

func (c *Cluster) database(name string) Database {
	return Database{Owner: c.url("owner", name), Application: c.url("application", name), Auditor: c.url("auditor", name), Superuser: c.url("postgres", name)}
}

// makeTemplate makes what Fresh copies: migrated by the owner, with the documented grants.
func (c *Cluster) makeTemplate(ctx context.Context) error {
	if err := c.run(ctx, "postgres", `CREATE DATABASE `+template+` OWNER owner`); err != nil {
		return fmt.Errorf("making the template: %w", err)
	}
	db, err := sql.Open("pgx", c.url("owner", template))
	if err != nil {
		return fmt.Errorf("opening the template: %w", err)
	}
	if err := errors.Join(migrations.Apply(ctx, db, migrations.Postgres), db.Close()); err != nil {
		return err
	}
	if err := c.run(ctx, template, migrations.PostgresRoles); err != nil {
		return fmt.Errorf("granting: %w", err)
	}
	return c.run(ctx, "postgres", `GRANT understudy_app TO application; GRANT understudy_auditor TO auditor`)
}

// run runs statements as the superuser.
func (c *Cluster) run(ctx context.Context, database, statements string) error {
	conn, err := pgx.Connect(ctx, c.url("postgres", database)+"&synchronous_commit=local") // what we do here waits for no standby
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, statements).ReadAll()
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// url names a database as a user of it would.
func (c *Cluster) url(user, database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {c.dir}, "user": {user}}.Encode()}
	return u.String()
}

// patience is how long a cluster may take for anything on a machine that is busy with other tests.
const patience = 2 * time.Minute
