package chaos_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// answers is how long a request may wait for a store that is away: the promise is three seconds, and others test here.
const answers = 4 * time.Second

// through gives a database's URL by way of a proxy.
func through(t *testing.T, database string, p *chaos.Proxy) string {
	t.Helper()
	u, err := url.Parse(database)
	must(t, err)
	u.User, u.Host, u.RawQuery = url.User(u.Query().Get("user")), p.Addr, "sslmode=disable"
	return u.String()
}

// places says how many connections the application may have from now on, -1 for as many as it likes, and ends those it has.
func places(t *testing.T, db postgrestest.Database, n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), db.Superuser)
	must(t, err)
	defer c.Close(t.Context())
	_, err = c.Exec(t.Context(), fmt.Sprintf("ALTER ROLE application CONNECTION LIMIT %d", n))
	must(t, err)
	_, err = c.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'application'")
	must(t, err)
}

// TestFaultsUnderLoad breaks the way between a server and Postgres in all ways while admins work: every request is answered in time,
// with success only where it was done, and soon after the way is free again everything works.
func TestFaultsUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for many answers that never come")
	}
	cluster := postgrestest.Start(t)
	db := cluster.Fresh(t)
	p := chaos.NewProxy(t, cluster.Socket())
	c := prepare(t, 6, replicas(t, 1, through(t, db.Application, p))...)
	c.database = db.Application
	sky := new(weather)
	c.under(sky)
	c.warm()
	base := c.settled(nil)
	for _, f := range []struct {
		name       string
		begin, end func()
		passes     bool // requests may succeed
	}{
		{"latency", func() { p.Delay(100 * time.Millisecond) }, p.Heal, true},
		{"single bytes", func() { p.Slow(time.Microsecond) }, p.Heal, true},
		{"reset", p.Cut, p.Heal, false},
		{"black hole", p.BlackHole, p.Heal, false},
		{"half-open", p.HalfOpen, p.Heal, false},
		{"a byte a second", func() { p.Slow(time.Second) }, p.Heal, false},
		{"garbage", p.Garbage, p.Heal, false},
		{"no place", func() { places(t, db, 0) }, func() { places(t, db, -1) }, false},
	} {
		rest := c.work()
		busy(t, c.workers)
		f.begin()
		if f.passes {
			more(t, c.workers, "answers", answered, 3)
		} else {
			more(t, c.workers, "refusals", refused, 1) // one request was perhaps done before
			sky.turn(f.name)
			more(t, c.workers, "refusals", refused, 1)
			sky.turn("")
		}
		f.end()
		back := c.recovers()
		rest()
		slowest := c.slowest()
		t.Logf("%s: slowest answer %s, all work again after %s", f.name, slowest, back)
		if slowest > answers {
			t.Errorf("%s: slowest answer after %s; want at most %s", f.name, slowest, answers)
		}
		c.inspect()
		c.settled(base)
	}
	c.nothingLeft(base)
}
