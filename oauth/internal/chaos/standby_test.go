package chaos_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// TestPromoteUnderLoad kills the primary while admins work at a server whose URL names it and its standby. The server answers nothing
// from the standby, and goes on there without a restart once it is promoted. Where commits waited for the standby nothing is lost.
func TestPromoteUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts four servers of Postgres")
	}
	for name, synchronous := range map[string]bool{"synchronous": true, "asynchronous": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range rounds(1, 10) {
				promoteUnderLoad(t, synchronous)
			}
		})
	}
}

func promoteUnderLoad(t *testing.T, synchronous bool) {
	primary := postgrestest.Start(t)
	db := primary.Fresh(t)
	standby := primary.Standby(t)
	if synchronous {
		primary.Synchronous(t)
	}
	c := prepare(t, 4, replicas(t, 2, either(t, standby.At(t, db).Application, db.Application))...)
	sky := new(weather)
	c.under(sky)
	rest := c.work()
	busy(t, c.workers)
	primary.Kill()
	more(t, c.workers, "refusals", refused, 1)
	sky.turn("only a standby is there")
	more(t, c.workers, "refusals", refused, 1)
	sky.turn("")
	if !synchronous {
		rest() // who was answered for a session that is lost would be refused: they have to start again
		standby.Promote(t)
		c.countLost()
		return
	}
	standby.Promote(t)
	back := c.recovers()
	rest()
	t.Logf("%d starts answered, all work again after %s", c.inspect(), back)
}

// either gives a URL that names the hosts of both.
func either(t *testing.T, one, other string) string {
	t.Helper()
	u, err := url.Parse(one)
	must(t, err)
	v, err := url.Parse(other)
	must(t, err)
	q := u.Query()
	q.Set("host", q.Get("host")+","+v.Query().Get("host"))
	u.RawQuery = q.Encode()
	return u.String()
}

// countLost tells how much of what was answered is not there; what is there must be whole.
func (c *crowd) countLost() {
	c.t.Helper()
	st, err := open(c.t.Context(), c.database)
	must(c.t, err)
	defer st.Close()
	lost, starts := 0, 0
	kept := sessions(c.t, st)
	for _, w := range c.workers {
		must(c.t, w.failed)
		for _, s := range w.started {
			if starts++; kept[s.id].ID == "" {
				lost++
			}
		}
	}
	for _, v := range chaos.Check(c.t.Context(), st, chaos.Options{Issuer: c.servers[0].URL}) {
		c.t.Error(v)
	}
	c.t.Logf("%d of %d starts that were answered are lost", lost, starts)
}

// TestServeFromStandby: who names a standby alone is told so.
func TestServeFromStandby(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts two servers of Postgres")
	}
	primary := postgrestest.Start(t)
	db := primary.Fresh(t)
	s := replicas(t, 1, primary.Standby(t).At(t, db).Application)[0]
	if said := s.Fails("serve"); !strings.Contains(said, "standby") && !strings.Contains(said, "read only") || strings.Count(said, "\n") > 2 {
		t.Errorf("got %q; want a line that says that it takes no writes", said)
	}
}
