package chaos_test

import (
	"os"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// ready is what a restart may take: the promise is a second on an idle machine, and others test on this one.
const ready = 5 * time.Second

// rounds is how often something is done to a server: in a short run once.
func rounds(usual, long int) int {
	switch {
	case testing.Short():
		return 1
	case os.Getenv("UNDERSTUDY_LONG") == "1":
		return long
	}
	return usual
}

// env is that of all servers here: admins sign in by password alone, and one actor token lasts the whole test.
var env = []string{"UNDERSTUDY_SIGN_IN_SECOND_FACTOR=optional", "UNDERSTUDY_LIFETIMES_ACCESS_TOKEN=8h"}

// replicas prepares n servers of one issuer on one database.
func replicas(t *testing.T, n int, database string) []*chaos.Server {
	t.Helper()
	c := chaos.Config{Env: env, Database: database}
	var all []*chaos.Server
	for range n {
		s := chaos.New(t, c)
		if c.PublicURL == "" {
			c.PublicURL = s.URL
		}
		all = append(all, s)
	}
	return all
}

// TestKillUnderLoad kills the server at random moments while eight admins start and stop, and restarts it: what was answered
// is there, what is there is on record.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	s := chaos.New(t, chaos.Config{Env: env})
	c := prepare(t, 8, s)
	var slowest time.Duration
	n, total := rounds(5, 30), 0
	for range n {
		rest := c.work()
		busy(t, c.workers)
		s.Kill()
		rest()
		slowest = max(slowest, s.Start())
		total = c.inspect()
	}
	t.Logf("%d kills, %d starts answered, slowest restart %s", n, total, slowest)
	if slowest > ready {
		t.Errorf("slowest restart took %s; want at most %s", slowest, ready)
	}
}

// TestKillReplicaUnderLoad kills one of two replicas, and starts it again, while admins work at both: those at the other
// notice nothing.
func TestKillReplicaUnderLoad(t *testing.T) {
	t.Parallel()
	both := replicas(t, 2, postgrestest.Fresh(t).Application)
	c := prepare(t, 4, both...)
	var slowest time.Duration
	n, total := rounds(5, 20), 0
	for i := range n {
		dies, lives := both[i%2], both[1-i%2]
		rest := c.work()
		busy(t, c.at(dies))
		dies.Kill()
		busy(t, c.at(lives))
		slowest = max(slowest, dies.Start())
		busy(t, c.at(lives))
		rest()
		total = c.inspect()
	}
	t.Logf("%d kills, %d starts answered, slowest restart %s", n, total, slowest)
	if slowest > ready {
		t.Errorf("slowest restart took %s; want at most %s", slowest, ready)
	}
}
