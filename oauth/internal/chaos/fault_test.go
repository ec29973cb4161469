package chaos_test

import (
	"net/url"
	"testing"
	"time"

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

// TestFaultsUnderLoad breaks the way between a server and Postgres in all ways while admins work: every request is answered in time,
// with success only where it was done, and soon after the way is free again everything works.
func TestFaultsUnderLoad(t *testing.T) {
	t.Parallel()
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
		name   string
		begin  func()
		passes bool // requests may succeed
	}{
		{"latency", func() { p.Delay(100 * time.Millisecond) }, true},
		{"single bytes", func() { p.Slow(time.Microsecond) }, true},
		{"reset", p.Cut, false},
		{"black hole", p.BlackHole, false},
		{"half-open", p.HalfOpen, false},
		{"a byte a second", func() { p.Slow(time.Second) }, false},
		{"garbage", p.Garbage, false},
	} {
		rest := c.work()
		busy(t, c.workers)
		f.begin()
		if f.passes {
			more(t, c.workers, "answers", answered, 5)
		} else {
			more(t, c.workers, "refusals", refused, 1) // one request was perhaps done before
			sky.turn(f.name)
			more(t, c.workers, "refusals", refused, 1)
			sky.turn("")
		}
		p.Heal()
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
