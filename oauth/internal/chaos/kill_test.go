package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

const (
	workers  = 8
	password = "correct horse battery staple"
	// ready is what a restart may take: the promise is a second on an idle machine, and others test on this one.
	ready = 5 * time.Second
)

func kills() int {
	switch {
	case testing.Short():
		return 1
	case os.Getenv("UNDERSTUDY_LONG") == "1":
		return 30
	}
	return 5
}

// TestKillUnderLoad kills the server at random moments while eight admins start and stop, and restarts it: what was answered
// is there, what is there is on record.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	s := chaos.New(t, chaos.Config{Env: []string{
		"UNDERSTUDY_SIGN_IN_SECOND_FACTOR=optional", "UNDERSTUDY_LIFETIMES_ACCESS_TOKEN=8h", // one actor token lasts the whole test
	}})
	crowd, canaries := prepare(t, s)
	var ends chaos.Ends
	var seen chaos.Seen
	var slowest time.Duration
	rounds, total := kills(), 0
	for range rounds {
		underLoad(t, s, crowd, &ends)
		slowest = max(slowest, s.Start())
		total = inspect(t, s, crowd, chaos.Options{
			Issuer: s.URL, Ends: &ends, Seen: &seen, Canaries: append(canaries, secrets(crowd)...), Public: map[string]string{"log": s.Logs(), "URLs": urls(crowd)},
		})
	}
	t.Logf("%d kills, %d starts answered, slowest restart %s", rounds, total, slowest)
	if slowest > ready {
		t.Errorf("slowest restart took %s; want at most %s", slowest, ready)
	}
}

// prepare adds the people and the client, starts the server and signs the admins in.
func prepare(t *testing.T, s *chaos.Server) (crowd []*worker, canaries []string) {
	t.Helper()
	secret := strings.TrimSpace(s.Run("", "client", "add", "--id", "app", "--name", "The app", "--redirect-uri", callback, "--serves", policy.DefaultResource))
	s.Run("", "user", "add", "--id", "john", "--email", "john@acme.test", "--name", "John Doe")
	for i := range workers {
		s.Run(password+"\n", "user", "add", "--id", fmt.Sprintf("ann%d", i), "--email", fmt.Sprintf("ann%d@acme.test", i), "--name", "Ann", "--role", "admin", "--password-stdin")
	}
	s.Start()
	client := newHTTP()
	t.Cleanup(client.CloseIdleConnections)
	for i := range workers {
		w := &worker{app: &app{s.URL, "app", secret, client}, browser: chaos.NewBrowser(s.URL)}
		t.Cleanup(w.browser.Close)
		must(t, w.signIn(fmt.Sprintf("ann%d@acme.test", i), password))
		crowd = append(crowd, w)
	}
	return crowd, []string{password, secret}
}

// underLoad lets the crowd work and kills the server after some starts, at any moment of the next ones.
func underLoad(t *testing.T, s *chaos.Server, crowd []*worker, ends *chaos.Ends) {
	t.Helper()
	var acks atomic.Int64
	var all sync.WaitGroup
	for _, w := range crowd {
		all.Go(func() { w.run(ends, &acks) })
	}
	idle := make(chan struct{})
	go func() { all.Wait(); close(idle) }()
	enough := int64(workers + rand.IntN(10*workers))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for acks.Load() < enough {
		select {
		case <-idle: // every worker failed, which inspect reports
			enough = 0
		case <-tick.C:
		}
	}
	// Commits are made for a whole group at once: without this the kill would always fall just after one.
	<-time.After(rand.N(20 * time.Millisecond))
	s.Kill()
	<-idle
}

// inspect holds the restarted server to what it had answered. It gives how many starts that were.
func inspect(t *testing.T, s *chaos.Server, crowd []*worker, o chaos.Options) (starts int) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: s.Database})
	must(t, err)
	defer st.Close()
	for i, w := range crowd {
		if w.failed != nil {
			t.Fatalf("worker %d: %v\n%s", i, w.failed, s.Logs())
		}
		for _, held := range w.started {
			recorded(t.Context(), t, st, held)
		}
		w.answeredHolds(t)
		starts += len(w.started)
		o.Uses = append(o.Uses, w.tickets...)
	}
	for _, v := range chaos.Check(t.Context(), st, o) {
		t.Error(v)
	}
	return starts
}

// recorded demands that a start that was answered is there, and a stop that was answered too.
func recorded(ctx context.Context, t *testing.T, st store.Store, held session) {
	t.Helper()
	got, err := st.Session(ctx, held.id)
	if err != nil {
		t.Errorf("session %s was answered for and is lost: %v", held.id, err)
		return
	}
	if held.stopped && (got.Ended.IsZero() || got.EndReason != impersonation.EndStopped) {
		t.Errorf("session %s: its stop was answered for, but it ended at %v by %q", held.id, got.Ended, got.EndReason)
	}
}

// answeredHolds asks the restarted server about the last session that it answered for. Where the request after it had no answer,
// that one may have ended it, unless it was for a ticket or a question.
func (w *worker) answeredHolds(t *testing.T) {
	t.Helper()
	if len(w.started) == 0 {
		return
	}
	last := w.started[len(w.started)-1]
	active, err := w.app.active(last.token)
	must(t, err)
	switch {
	case last.stopped && active:
		t.Errorf("session %s is active again after its stop", last.id)
	case !last.stopped && !active && w.unknown != "start" && w.unknown != "stop":
		t.Errorf("session %s was answered for and is not active; the request without an answer was for %q", last.id, w.unknown)
	}
}

func secrets(crowd []*worker) []string {
	var all []string
	for _, w := range crowd {
		all = append(append(all, w.actor), w.browser.Cookies()...)
		for _, s := range w.started[max(0, len(w.started)-20):] { // enough to find a habit
			all = append(all, s.token, s.ret)
		}
		all = append(all, w.tickets[max(0, len(w.tickets)-20):]...)
	}
	return all
}

func urls(crowd []*worker) string {
	var all []string
	for _, w := range crowd {
		all = append(all, w.browser.URLs()...)
	}
	return strings.Join(all, "\n")
}
