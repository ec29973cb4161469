package chaos_test

import (
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// recovery is how soon a server must succeed again once its store can be reached.
const recovery = 5 * time.Second

// TestKillPostgresUnderLoad kills Postgres while admins work at two replicas. What was answered is there; what cannot be done is
// refused with a time to come again; and once Postgres is back, all goes on by itself, with who was at rest still signed in.
func TestKillPostgresUnderLoad(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.Start(t)
	both := replicas(t, 2, cluster.Fresh(t).Application)
	c := prepare(t, 3, both...)
	sleeper := c.workers[0]
	c.workers = c.workers[1:]
	if !sleeper.start(&c.ends) {
		t.Fatal(sleeper.failed)
	}
	sky := new(weather)
	c.under(sky)
	c.warm()
	base := c.settled(nil)
	var slowest time.Duration
	n, total := rounds(2, 5), 0
	for range n {
		rest := c.work()
		busy(t, c.workers)
		cluster.Kill()
		more(t, c.workers, "refusals", refused, 1) // what the last process of the old Postgres was asked before is done or not
		sky.turn("Postgres is dead")
		more(t, c.workers, "refusals", refused, 1)
		sky.turn("")
		cluster.Restart(t)
		slowest = max(slowest, c.recovers())
		rest()
		total = c.inspect()
		sleeper.answeredHolds(t)
	}
	t.Logf("%d kills, %d starts answered, %s until the last one works again, slowest answer %s", n, total, slowest, c.slowest())
	c.nothingLeft(base)
}

// warm lets everybody work for a while, so that pools are as full as they get.
func (c *crowd) warm() {
	c.t.Helper()
	rest := c.work()
	more(c.t, c.workers, "successes", served, 10)
	rest()
}

// recovers demands that everybody succeeds again within the time promised, counted from now. It tells how long that took.
func (c *crowd) recovers() time.Duration {
	c.t.Helper()
	begin := time.Now()
	more(c.t, c.workers, "successes", served, 1)
	took := time.Since(begin)
	if took > recovery {
		c.t.Errorf("everybody works again after %s; want %s", took, recovery)
	}
	return took
}

// slowest is the longest that anybody waited for any answer since it was last asked.
func (c *crowd) slowest() (slowest time.Duration) {
	for _, w := range c.workers {
		slowest = max(slowest, w.slowest)
		w.slowest = 0
	}
	return slowest
}
