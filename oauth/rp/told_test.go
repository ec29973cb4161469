package rp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/store"
)

// entrance is where the issuer, for which the app's name leads nowhere, reaches the app. It gives its URL, and what the app answered last.
func (h *house) entrance() (origin string, answered *atomic.Int64) {
	h.t.Helper()
	to, err := url.Parse(h.app)
	h.must(err)
	answered = new(atomic.Int64)
	proxy := &httputil.ReverseProxy{
		Transport: h.client.Transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = to.Host },
		ModifyResponse: func(r *http.Response) error {
			answered.Store(int64(r.StatusCode))
			return nil
		},
	}
	srv := httptest.NewServer(proxy)
	h.t.Cleanup(srv.Close)
	return srv.URL, answered
}

// TestToldByIssuer: an app that holds no stream is told of an end by the issuer itself, in either way that it may be registered for, and from
// then on refuses without a question. Other sessions go on.
//
// Covers BCL-2.6-01, RFC8935-2.2-01.
func TestToldByIssuer(t *testing.T) {
	t.Parallel()
	for _, which := range []form{apart, over} {
		for way, c := range map[string]struct {
			path   string
			status int64
			set    func(*store.Settings, string)
		}{
			"logout token": {"/.understudy/backchannel-logout", http.StatusOK, func(s *store.Settings, uri string) { s.BackchannelLogoutURI = uri }},
			"event":        {"/.understudy/events", http.StatusAccepted, func(s *store.Settings, uri string) { s.PushURI = uri }},
		} {
			t.Run(string(which)+" "+way, func(t *testing.T) {
				t.Parallel()
				h := setup(t, which, func(_ *house, c *rp.Config) { c.NoStream = true })
				h.runs()
				at, answered := h.entrance()
				client, err := h.store.Client(t.Context(), "app")
				h.must(err)
				was := client.Settings
				c.set(&client.Settings, at+c.path)
				h.must(h.store.ChangeClient(t.Context(), store.ClientChange{EndWrite: impersonation.EndWrite{Write: h.write()}, Client: client, Was: was}))
				killed, other := h.ann(), h.ann()
				if c.status == http.StatusAccepted { // what happens before the issuer has opened the stream is not told
					h.wait("the issuer opens the stream", func() bool { _, err := h.store.Stream(t.Context(), "psh_app"); return err == nil })
				}
				killed.impersonate("john", "read")
				other.impersonate("eve", "read")
				h.endOf("john")
				h.wait("the app is told", func() bool { return answered.Load() != 0 })
				if got := answered.Load(); got != c.status {
					t.Fatalf("the app answered %d; want %d", got, c.status)
				}
				h.taken(&h.calls)
				if r := killed.one(http.MethodGet, h.asUser+"/", nil); r.status != http.StatusForbidden || strings.Contains(r.body, "subject=") {
					t.Errorf("after its end: %d %s", r.status, r.body)
				}
				if calls := h.taken(&h.calls); slices.Contains(calls, "POST /oauth2/introspect") {
					t.Errorf("the issuer was asked: %v", calls)
				}
				if r := other.get(h.asUser + "/"); !strings.Contains(r.body, "subject=eve") {
					t.Errorf("another session: %d", r.status)
				}
			})
		}
	}
}

// runs does what an issuer does beside answering, until the test ends.
func (h *house) runs() {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); h.server.Run(ctx) }()
	h.t.Cleanup(func() { cancel(); <-stopped })
}

// endOf ends the impersonation of a user at the issuer.
func (h *house) endOf(subject string) {
	h.t.Helper()
	page, _, err := h.store.Sessions(context.Background(), store.SessionQuery{Live: true, Now: h.clock.Now()})
	h.must(err)
	for _, s := range page {
		if s.Subject == subject {
			_, err := h.store.End(context.Background(), impersonation.EndWrite{
				Write: h.write(), Scope: impersonation.ScopeSession, ID: s.ID, Reason: impersonation.EndOperator, Issuer: h.issuer,
			})
			h.must(err)
		}
	}
}

func (h *house) wait(what string, f func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("never: %s", what)
		}
	}
}
