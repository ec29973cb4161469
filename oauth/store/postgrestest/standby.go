package postgrestest

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby makes a cluster that follows c, and stops it when the test ends. It has all databases of c, under URLs that At gives, and
// takes no writes until Promote.
func (c *Cluster) Standby(t testing.TB) *Cluster {
	t.Helper()
	standby, err := start(func(s *Cluster) error {
		out, err := s.command(filepath.Join(s.bin, "pg_basebackup"), "-D", "data", "-h", c.dir, "-U", "postgres", "-R", "-c", "fast", "--no-sync").CombinedOutput()
		if err != nil {
			return fmt.Errorf("running pg_basebackup: %w\n%s", err, out)
		}
		return s.launch()
	})
	if err != nil {
		t.Fatal(err)
	}
	standby.endWith(t)
	return standby
}

// At gives a database of another cluster by the URLs that it has here, as on a standby.
func (c *Cluster) At(t testing.TB, db Database) Database {
	t.Helper()
	config, err := pgx.ParseConfig(db.Owner)
	if err != nil {
		t.Fatal(err)
	}
	return c.database(config.Database)
}

// Promote makes a standby take writes. Who else follows the old primary is not told.
func (c *Cluster) Promote(t testing.TB) {
	t.Helper()
	if err := c.run(t.Context(), "postgres", `SELECT pg_promote()`); err != nil {
		t.Fatalf("promoting the standby: %v", err)
	}
}

// Synchronous makes commits wait for a standby, from now on, and returns once there is one that they can wait for.
func (c *Cluster) Synchronous(t testing.TB) {
	t.Helper()
	for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`} {
		if err := c.run(t.Context(), "postgres", statement); err != nil {
			t.Fatalf("making commits wait for a standby: %v", err)
		}
	}
	// An empty result is no error: dividing by it makes one.
	const follows = `SELECT 1 / count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := c.run(t.Context(), "postgres", follows)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no standby follows: %v", err)
		}
	}
}
