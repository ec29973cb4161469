package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
)

// noClients is a store that knows nothing of clients while it is broken.
type noClients struct {
	store.Store
	broken atomic.Bool
}

func (n *noClients) Client(ctx context.Context, id string) (store.Client, error) {
	if n.broken.Load() {
		return store.Client{}, store.ErrUnavailable
	}
	return n.Store.Client(ctx, id)
}

// TestHangUpsAreNoFailures: who goes before the answer writes no line, at endpoints of programs and on pages; a store that fails does,
// once a request.
func TestHangUpsAreNoFailures(t *testing.T) { onBoth(t, testHangUpsAreNoFailures) }

func testHangUpsAreNoFailures(t *testing.T, o options) {
	st := new(noClients)
	h := setup(t, o.wrapped(func(s store.Store) store.Store { st.Store = s; return st }))
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	send := func(ctx context.Context, method, path string, body url.Values) {
		r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	stranger := url.Values{"client_id": {"nobody"}, "client_secret": {"x"}, "token": {"x"}}
	failures := func() int { return strings.Count(h.logs.String(), "level=ERROR") }
	for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke", "/oauth2/token", "/oauth2/par"} {
		send(gone, http.MethodPost, path, stranger)
	}
	send(gone, http.MethodGet, "/oauth2/auth?"+authForm("app").Encode(), nil)
	if failures() != 0 {
		t.Errorf("who hung up wrote:\n%s", h.logs)
	}
	st.broken.Store(true)
	send(t.Context(), http.MethodPost, "/oauth2/introspect", stranger)
	send(t.Context(), http.MethodGet, "/oauth2/auth?"+authForm("app").Encode(), nil)
	if n := failures(); n != 2 {
		t.Errorf("two failures of the store wrote %d lines:\n%s", n, h.logs)
	}
}
