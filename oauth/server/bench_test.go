package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// direct calls the handler without a socket.
func (h *house) direct(path, client string, f url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, h.secrets[client])
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// callers is how many call at once.
const callers = 64

// onEach runs a benchmark on each kind of store: on SQLite with synchronous=FULL, on Postgres as it is by default. The handler is
// called in this process, without a socket: what go run ./oauth/internal/load measures has one.
func onEach(b *testing.B, f func(b *testing.B, h *house)) {
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		b.Run(name, func(b *testing.B) { f(b, setup(b, options{on: backends[name]})) })
	}
}

// timed runs call for 0 to b.N-1 from all callers, against the clock, and wants 200.
func timed(b *testing.B, unit string, call func(n int) *httptest.ResponseRecorder) {
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	each(b.N, func(n int) {
		if w := call(n); w.Code != http.StatusOK {
			b.Errorf("got %d %s", w.Code, w.Body)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit)
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// forms are those of n starts, each by a login and an actor token of its own.
func (h *house) forms(n int) []url.Values {
	forms := make([]url.Values, n)
	each(n, func(i int) {
		cookie, _ := h.login("ann")
		forms[i] = startForm(h.ticketDirect(cookie, "app", "john"), h.token(cookie, "app", actorScope))
	})
	return forms
}

// sessions starts n of them.
func (h *house) sessions(n int) []started {
	all := make([]started, n)
	forms := h.forms(n)
	each(n, func(i int) {
		var answer struct {
			Token   string              `json:"access_token"`
			Return  string              `json:"understudy_return_token"`
			Session struct{ ID string } `json:"understudy_session"`
		}
		w := h.direct("/oauth2/token", "app", forms[i])
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
			h.t.Errorf("start: %d %s", w.Code, w.Body)
		}
		all[i] = started{token: answer.Token, ret: answer.Return, sid: answer.Session.ID}
	})
	return all
}

// several is how many sessions are enough for what can be repeated.
const several = 1000

// BenchmarkStart is a whole start, from the form to the signed answer. Signing in and the page are done beforehand: they are not
// the exchange's cost.
func BenchmarkStart(b *testing.B) {
	onEach(b, func(b *testing.B, h *house) {
		forms := h.forms(b.N)
		timed(b, "starts/s", func(n int) *httptest.ResponseRecorder { return h.direct("/oauth2/token", "app", forms[n]) })
	})
}

// BenchmarkStop is a whole stop, from the return token to the actor's own.
func BenchmarkStop(b *testing.B) {
	onEach(b, func(b *testing.B, h *house) {
		live := h.sessions(b.N)
		timed(b, "stops/s", func(n int) *httptest.ResponseRecorder { return h.direct("/oauth2/token", "app", stopForm(live[n].ret)) })
	})
}

// BenchmarkIntrospect is one introspection of a living impersonation token, of many.
func BenchmarkIntrospect(b *testing.B) {
	onEach(b, func(b *testing.B, h *house) {
		live := h.sessions(min(b.N, several))
		timed(b, "introspections/s", func(n int) *httptest.ResponseRecorder {
			return h.direct("/oauth2/introspect", "app", url.Values{"token": {live[n%len(live)].token}})
		})
	})
}

// BenchmarkActions is one call that records: an action before it runs, and what a busy app gathers in a second.
func BenchmarkActions(b *testing.B) {
	for name, actions := range map[string]int{"one": 1, "batch": impersonation.MaxActions} {
		b.Run(name, func(b *testing.B) {
			onEach(b, func(b *testing.B, h *house) {
				live := h.sessions(min(b.N, several))
				bodies := make([]string, b.N)
				for n := range bodies {
					told := make([]map[string]any, actions)
					for i := range told {
						told[i] = h.action(live[(n*actions+i)/min(actions, 5)%len(live)].sid, "id", oauth.NewID("act")) // five of one session in a batch
					}
					bodies[n] = batch(told...)
				}
				timed(b, "calls/s", func(n int) *httptest.ResponseRecorder { return h.directActions(bodies[n]) })
			})
		})
	}
}

// cpu is the processor time of this process so far: unlike the wall's, it hardly moves with what else the machine does.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// each calls f for 0 to n-1, from all callers.
func each(n int, f func(int)) {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
	)
	for range callers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// BenchmarkLAB8ClientAuthentication is a token request that fails at the client's secret: what a flood of wrong secrets costs. With
// bcrypt at cost 10 it is 60 ms.
func BenchmarkLAB8ClientAuthentication(b *testing.B) {
	h := setup(b, options{})
	h.secrets["app"] = strings.Repeat("x", 43)
	f := redeem("x")
	b.ReportAllocs()
	for b.Loop() {
		if w := h.direct("/oauth2/token", "app", f); w.Code != http.StatusUnauthorized {
			b.Fatalf("got %d", w.Code)
		}
	}
}
