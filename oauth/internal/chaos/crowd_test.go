package chaos_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

const password = "correct horse battery staple"

// crowd is the admins at work, at one server or at several that share a database.
type crowd struct {
	t        *testing.T
	servers  []*chaos.Server
	http     *http.Client
	workers  []*worker
	board    board
	ends     chaos.Ends
	seen     chaos.Seen
	canaries []string
	database string // what inspect looks into
}

// prepare adds the people and the client, starts the servers and signs as many admins in at each.
func prepare(t *testing.T, each int, servers ...*chaos.Server) *crowd {
	t.Helper()
	c := &crowd{t: t, servers: servers, http: newHTTP(), database: servers[0].Database}
	t.Cleanup(c.http.CloseIdleConnections)
	first := servers[0]
	secret := strings.TrimSpace(first.Run("", "client", "add", "--id", "app", "--name", "The app", "--redirect-uri", callback, "--serves", policy.DefaultResource))
	c.canaries = []string{password, secret}
	first.Run("", "user", "add", "--id", "john", "--email", "john@acme.test", "--name", "John Doe")
	var apps []*app
	for i, s := range servers {
		first.Run(password+"\n", "user", "add", "--id", fmt.Sprintf("ann%d", i), "--email", fmt.Sprintf("ann%d@acme.test", i), "--name", "Ann", "--role", "admin", "--password-stdin")
		apps = append(apps, &app{s.URL, "app", secret, c.http})
		s.Start()
	}
	for i := range each * len(servers) {
		n := i % len(servers)
		w := &worker{app: apps[n], asks: apps, board: &c.board, browser: chaos.NewBrowser(servers[n].URL)}
		t.Cleanup(w.browser.Close)
		must(t, w.signIn(fmt.Sprintf("ann%d@acme.test", n), password))
		c.workers = append(c.workers, w)
	}
	return c
}

// at gives the workers at one server.
func (c *crowd) at(s *chaos.Server) (at []*worker) {
	for _, w := range c.workers {
		if w.app.issuer == s.URL {
			at = append(at, w)
		}
	}
	return at
}

// under lets all work in what weather there is, nil for fair.
func (c *crowd) under(w *weather) {
	for i := range c.workers {
		c.workers[i].weather = w
	}
}

// work begins; what it gives ends it, and returns once all hands are idle. They are idle before where their server is gone.
func (c *crowd) work() (rest func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var all sync.WaitGroup
	for _, w := range c.workers {
		all.Go(func() { w.run(ctx, &c.ends) })
	}
	return func() { cancel(); all.Wait() }
}

// busy waits for some starts of every one of workers, until any moment of the next ones.
func busy(t *testing.T, workers []*worker) {
	t.Helper()
	more(t, workers, "starts", func(w *worker) int64 { return w.acks.Load() }, 1+rand.Int64N(10))
	// Commits are made for a whole group at once: without this a kill would always fall just after one.
	<-time.After(rand.N(20 * time.Millisecond))
}

// more waits until what count counts has grown by n for each of workers. It fails the test if that takes longer than patience.
func more(t *testing.T, workers []*worker, what string, count func(*worker) int64, n int64) {
	t.Helper()
	var want []int64
	for _, w := range workers {
		want = append(want, count(w)+n)
	}
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i, w := range workers {
		for count(w) < want[i] {
			if <-tick.C; time.Now().After(deadline) {
				t.Errorf("worker %d has %d %s after %s; want %d", i, count(w), what, patience, want[i])
				return
			}
		}
	}
}

// patience is how long anything may take that must come, on a machine that is busy with other tests.
const patience = 20 * time.Second

func served(w *worker) int64  { return w.served.Load() }
func refused(w *worker) int64 { return w.refused.Load() }

func answered(w *worker) int64 { return served(w) + refused(w) }

// open gives the store behind a server, of which another process may have to recover what a kill left: it is not kept open.
func open(ctx context.Context, database string) (interface {
	store.Store
	io.Closer
}, error) {
	if strings.HasPrefix(database, "postgres:") {
		return postgres.Open(ctx, postgres.Config{URL: database})
	}
	return sqlite.Open(ctx, sqlite.Config{Path: database})
}

// inspect holds the servers of an idle crowd, and the store behind them, to what they answered. It gives how many starts that were.
func (c *crowd) inspect() (starts int) {
	c.t.Helper()
	st, err := open(c.t.Context(), c.database)
	must(c.t, err)
	defer st.Close()
	o := chaos.Options{Issuer: c.servers[0].URL, Ends: &c.ends, Seen: &c.seen, Canaries: append(c.canaries, secrets(c.workers)...), Public: map[string]string{"URLs": urls(c.workers)}}
	for i, s := range c.servers {
		o.Public[fmt.Sprintf("log of %d", i)] = s.Logs()
		if logs := s.Logs(); strings.Contains(logs, "panic") || strings.Contains(logs, "status=500") {
			c.t.Errorf("server %d failed by itself:\n%s", i, logs)
		}
	}
	kept := sessions(c.t, st)
	for i, w := range c.workers {
		if w.failed != nil {
			c.t.Fatalf("worker %d: %v\n%s", i, w.failed, tail(c.servers[i%len(c.servers)].Logs()))
		}
		for _, held := range w.started {
			recorded(c.t, kept, held)
		}
		w.answeredHolds(c.t)
		starts += len(w.started)
		o.Uses = append(o.Uses, w.tickets...)
	}
	for _, v := range chaos.Check(c.t.Context(), st, o) {
		c.t.Error(v)
	}
	return starts
}

func sessions(t *testing.T, st store.Store) map[string]impersonation.Session {
	t.Helper()
	all := map[string]impersonation.Session{}
	for after := ""; ; {
		page, next, err := st.Sessions(t.Context(), store.SessionQuery{After: after, Limit: 1000})
		must(t, err)
		for _, s := range page {
			all[s.ID] = s
		}
		if after = next; after == "" {
			return all
		}
	}
}

// recorded demands that a start that was answered is there, and a stop that was answered too.
func recorded(t *testing.T, kept map[string]impersonation.Session, held session) {
	t.Helper()
	got, ok := kept[held.id]
	if !ok {
		t.Errorf("session %s was answered for and is lost", held.id)
	}
	if held.stopped && (got.Ended.IsZero() || got.EndReason != impersonation.EndStopped) {
		t.Errorf("session %s: its stop was answered for, but it ended at %v by %q", held.id, got.Ended, got.EndReason)
	}
}

// answeredHolds asks all servers about the last session that one answered for.
func (w *worker) answeredHolds(t *testing.T) {
	t.Helper()
	if len(w.started) == 0 {
		return
	}
	last := w.started[len(w.started)-1]
	for _, at := range w.asks {
		active, err := at.active(last.token)
		must(t, err)
		switch {
		case last.stopped && active:
			t.Errorf("session %s is active again after its stop", last.id)
		case !last.stopped && !active && w.unknown == "":
			t.Errorf("session %s was answered for, and nothing could have ended it, but it is not active", last.id)
		}
	}
}

func secrets(workers []*worker) []string {
	var all []string
	for _, w := range workers {
		all = append(append(all, w.actor), w.browser.Cookies()...)
		for _, s := range w.started[max(0, len(w.started)-20):] { // enough to find a habit
			all = append(all, s.token, s.ret)
		}
		all = append(all, w.tickets[max(0, len(w.tickets)-20):]...)
	}
	return all
}

func urls(workers []*worker) string {
	var all []string
	for _, w := range workers {
		all = append(all, w.browser.URLs()...)
	}
	return strings.Join(all, "\n")
}

// tail is the end of a log.
func tail(log string) string { return log[max(0, len(log)-4000):] }
