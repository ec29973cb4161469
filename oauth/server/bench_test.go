package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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

// callers is how many start at once.
const callers = 64

// BenchmarkStart is a whole start on SQLite with synchronous=FULL, from the form to the signed answer, by 64 callers in one process,
// each start by an actor token of its own. Signing in and the page are done beforehand: they are not the exchange's cost.
func BenchmarkStart(b *testing.B) {
	h := setup(b, options{})
	forms := make([]url.Values, b.N)
	each(b.N, func(n int) {
		cookie, _ := h.login("ann")
		forms[n] = startForm(h.ticketDirect(cookie, "app", "john"), h.token(cookie, "app", actorScope))
	})
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	each(b.N, func(n int) {
		if w := h.direct("/oauth2/token", "app", forms[n]); w.Code != http.StatusOK {
			b.Errorf("start: %d %s", w.Code, w.Body)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
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

// BenchmarkIntrospect is one introspection of a living impersonation token.
func BenchmarkIntrospect(b *testing.B) {
	h := setup(b, options{})
	s := h.start("ann", "app", "john", "read")
	f := url.Values{"token": {s.token}}
	b.ReportAllocs()
	for b.Loop() {
		if w := h.direct("/oauth2/introspect", "app", f); w.Code != http.StatusOK {
			b.Fatalf("introspect: %d %s", w.Code, w.Body)
		}
	}
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
