package chaos_test

import (
	"testing"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// TestPauseReplicaUnderLoad stops one of two replicas in its tracks while admins work at both and ask either about what was started at
// the other, and lets it go on: it vouches for nothing that has ended since, and the other one never waited for it for long.
func TestPauseReplicaUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs a minute under the race detector")
	}
	both := replicas(t, 2, postgrestest.Fresh(t).Application)
	c := prepare(t, 4, both...)
	// What was paused may hold a lock until Postgres breaks its transaction off: that is a refusal at the other.
	c.under(new(weather))
	var refusals int64
	for i := range rounds(3, 20) {
		sleeps, lives := both[i%2], both[1-i%2]
		rest := c.work()
		busy(t, c.workers)
		sleeps.Pause()
		for _, w := range c.at(lives) {
			refusals -= refused(w)
		}
		more(t, c.at(lives), "answers", answered, 30)
		for _, w := range c.at(lives) {
			refusals += refused(w)
		}
		sleeps.Resume()
		more(t, c.workers, "successes", served, 10)
		rest()
		c.inspect()
	}
	t.Logf("slowest answer %s, %d refusals at the other replica", c.slowest(), refusals)
}
