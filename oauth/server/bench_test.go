package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
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

// BenchmarkStart is a whole start on SQLite with synchronous=FULL, from the form to the signed answer, by 64 callers in one process.
// Tickets are made beforehand: they are the page's cost.
func BenchmarkStart(b *testing.B) {
	h := setup(b, options{})
	const actors = 64
	cookies, tokens := make([]string, actors), make([]string, actors)
	for i := range actors {
		cookies[i], _ = h.login("ann")
		tokens[i] = h.token(cookies[i], "app", actorScope)
	}
	// Each actor's starts follow each other: one at once would end another of the same login and client.
	forms := make([][]url.Values, actors)
	var wg sync.WaitGroup
	for i := range actors {
		wg.Go(func() {
			for n := i; n < b.N; n += actors {
				forms[i] = append(forms[i], startForm(h.ticketDirect(cookies[i], "app", "john"), tokens[i]))
			}
		})
	}
	wg.Wait()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range actors {
		wg.Go(func() {
			for _, f := range forms[i] {
				if w := h.direct("/oauth2/token", "app", f); w.Code != http.StatusOK {
					b.Errorf("start: %d %s", w.Code, w.Body)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
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
