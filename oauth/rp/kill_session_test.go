package rp_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/rp"
)

// one is a session of an actor's own at an app of a fleet, which every process of the app has seen.
type one struct {
	id      string
	app     *fleetApp
	browser *browser
	cookies map[string]string // as they were before any stop
	bound   map[*process]*bound
}

// bound is what outlives a request: a WebSocket, say.
type bound struct {
	ctx  context.Context
	over atomic.Pointer[time.Time]
}

// one starts a session and leaves a connection of it open at each process.
func (a *fleetApp) one() *one {
	a.t.Helper()
	s := &one{app: a, browser: a.start(), bound: map[*process]*bound{}}
	s.cookies = maps.Clone(s.browser.cookies(a.asUser))
	for _, p := range a.processes {
		in, session := a.insideOf(p.app, s.cookies)
		s.id = session.ID
		b := new(bound)
		ctx, cancel := rp.Bound(in)
		b.ctx = ctx
		stop := context.AfterFunc(ctx, func() {
			now := time.Now()
			b.over.Store(&now)
		})
		a.t.Cleanup(func() { stop(); cancel() })
		s.bound[p] = b
	}
	return s
}

// lasted tells how long after the end p's connection was still open.
func (s *one) lasted(p *process, end time.Time) time.Duration {
	s.app.t.Helper()
	b := s.bound[p]
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if at := b.over.Load(); at != nil {
			if cause := context.Cause(b.ctx); !errors.Is(cause, rp.ErrOver) {
				s.app.t.Errorf("%s: the connection was ended by %v", p.name, cause)
			}
			return at.Sub(end)
		}
	}
	s.app.t.Errorf("%s: a connection of the session is still open", p.name)
	return time.Hour
}

// useOthers sends safe requests of every session but s to every process of its app, until done. It gives how many were sent, and how many of them not served.
func useOthers(all []*one, s *one, done <-chan struct{}) (sent, refused int32) {
	var n, bad atomic.Int32
	var wg sync.WaitGroup
	for _, other := range all {
		if other == s {
			continue
		}
		for _, p := range other.app.processes {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(100 * time.Millisecond): // of a session the issuer takes fifty records a second, and refuses more
					}
					n.Add(1)
					if _, served := other.app.ask(p, http.MethodGet, other.cookies); !served {
						bad.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	return n.Load(), bad.Load()
}

// TestKillOfOneSession is the same for the end of one session, by an operator and by its stop at another process: each process that served it
// refuses it, and closes its connections, while all other sessions go on being served, and the issuer is hardly asked. UNDERSTUDY_LONG has fifty trials.
func TestKillOfOneSession(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it measures time")
	}
	f := setupFleet(t, 3, 3)
	var all []*one
	for _, a := range f.apps {
		for range 3 {
			all = append(all, a.one())
		}
	}
	ways := []struct {
		name string
		end  func(s *one)
	}{
		{"an operator's end", func(s *one) { f.endScope(impersonation.ScopeSession, s.id, false) }},
		{"stop", func(s *one) {
			if r := s.browser.one(http.MethodPost, s.app.asUser+"/.understudy/stop", nil); r.status != http.StatusSeeOther {
				t.Errorf("stop: %d", r.status)
			}
		}},
	}
	trials := len(ways)
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		trials = 50
	}
	var refused, closed []time.Duration
	for trial := range trials {
		way, a := ways[trial%len(ways)], f.apps[trial%len(f.apps)]
		at := slices.IndexFunc(all, func(s *one) bool { return s.app == a }) // the oldest
		s := all[at]
		f.quiet("safe requests before the end", 20, func(a *fleetApp, p *process) bool {
			ok := true
			for _, s := range all {
				if s.app == a {
					_, served := a.ask(p, http.MethodGet, s.cookies)
					ok = ok && served
				}
			}
			return ok
		})
		what := fmt.Sprintf("trial %d, %s at %s", trial, way.name, a.config.ClientID)
		after, open := f.endOne(what, all, s, way.end)
		refused, closed = append(refused, after...), append(closed, open...)
		f.quiet("safe requests after the end", 20, func(b *fleetApp, p *process) bool { // who asks each time has not heard of it
			if b != a {
				return true
			}
			_, served := a.ask(p, http.MethodGet, s.cookies)
			return !served
		})
		for _, other := range all {
			if other == s {
				continue
			}
			for p, b := range other.bound {
				if b.ctx.Err() != nil {
					t.Errorf("%s: %s closed a connection of another session: %v", what, p.name, context.Cause(b.ctx))
				}
			}
			if status, served := other.app.ask(other.app.writer, http.MethodPost, other.cookies); !served {
				t.Errorf("%s: an unsafe request of another session was refused: %d", what, status)
			}
		}
		all = append(slices.Delete(all, at, at+1), a.one())
	}
	most := slices.Max(refused)
	t.Logf("end of a session, %d trials of 3 processes: refused after median %v, maximum %v; connections closed after median %v, maximum %v", trials,
		median(refused), most.Round(time.Millisecond), median(closed), slices.Max(closed).Round(time.Millisecond))
	if most > 3*time.Second {
		t.Errorf("an end reached a process after %v; want at most 3 s", most)
	}
	if open := slices.Max(closed); open > 6*time.Second {
		t.Errorf("a connection was open for %v after the end; want at most 6 s", open)
	}
}

func median(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)/2].Round(time.Millisecond)
}

// endOne ends s while every session is used, and measures at each process of its app until when it was served, and until when its connection was open.
func (f *fleet) endOne(what string, all []*one, s *one, end func(*one)) (served, open []time.Duration) {
	f.t.Helper()
	var ended atomic.Pointer[time.Time]
	done := make(chan struct{})
	var sent, bad int32
	var others, own sync.WaitGroup
	others.Go(func() { sent, bad = useOthers(all, s, done) })
	asked := f.introspections()
	own.Go(func() {
		time.Sleep(50 * time.Millisecond) // while all are being asked
		end(s)
		now := time.Now()
		ended.Store(&now)
		if status, served := s.app.ask(s.app.writer, http.MethodPost, s.cookies); served {
			f.t.Errorf("%s: an unsafe request was served after it: %d", what, status)
		}
	})
	var mu sync.Mutex
	for _, p := range s.app.processes {
		own.Go(func() {
			last, ok := s.app.lastServed(p, s.cookies, &ended, 30*time.Second)
			if !ok {
				f.t.Errorf("%s: %s still serves", what, p.name)
			}
			if _, served := s.app.ask(p, http.MethodPost, s.cookies); served {
				f.t.Errorf("%s: %s refuses what is safe, and serves what is not", what, p.name)
			}
			closed := s.lasted(p, *ended.Load())
			mu.Lock()
			defer mu.Unlock()
			served, open = append(served, last), append(open, closed)
		})
	}
	own.Wait()
	asked = f.introspections() - asked
	close(done)
	others.Wait()
	if bad > 0 {
		f.t.Errorf("%s: %d of %d safe requests of other sessions were refused", what, bad, sent)
	}
	// Where a poll is late for once each process asks for each session: so few, but not none.
	if asked > len(all)*len(s.app.processes)+int(sent)/20 {
		f.t.Errorf("%s: the issuer was asked %d times for %d safe requests", what, asked, sent)
	}
	return served, open
}
