package chaos_test

import (
	"testing"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// TestStopUnderLoad ends a server as a supervisor does while admins work: it does nothing that it does not answer, loses nothing
// and exits with code 0. Beside it, another replica goes on as if nothing were.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		stopUnderLoad(t, prepare(t, 8, chaos.New(t, chaos.Config{Env: env})))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		stopUnderLoad(t, prepare(t, 4, replicas(t, 2, postgrestest.Fresh(t).Application)...))
	})
}

func stopUnderLoad(t *testing.T, c *crowd) {
	n := rounds(5, 50)
	for i := range n {
		s := c.servers[i%len(c.servers)]
		rest := c.work()
		busy(t, c.workers)
		if err := s.Stop(); err != nil {
			t.Fatalf("got %v; want exit code 0\n%s", err, tail(s.Logs()))
		}
		if others := c.at(c.servers[(i+1)%len(c.servers)]); len(c.servers) > 1 {
			busy(t, others)
		}
		rest()
		s.Start()
		c.inspect()
		c.allAnswered()
	}
	t.Logf("%d times", n)
}

// allAnswered demands that nothing was done that the crowd did not hear of.
func (c *crowd) allAnswered() {
	c.t.Helper()
	heard := map[string]bool{}
	for _, w := range c.workers {
		for _, s := range w.started {
			heard[s.id] = s.stopped
		}
	}
	st, err := open(c.t.Context(), c.database)
	must(c.t, err)
	defer st.Close()
	for id, s := range sessions(c.t, st) {
		stopped, ok := heard[id]
		if !ok {
			c.t.Errorf("session %s was started, and nobody was told", id)
		}
		if ok && !stopped && s.EndReason == "stopped" {
			c.t.Errorf("session %s was stopped, and nobody was told", id)
		}
	}
}
