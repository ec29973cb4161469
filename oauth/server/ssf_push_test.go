package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// pushEnd is where a client has events pushed to.
type pushEnd struct {
	*httptest.Server
	mu     sync.Mutex
	sets   []string
	answer func(n int) int // the status for the n-th request, from 1; nil: 202
	bad    []string
}

func newEndpoint(t testing.TB, start func(*httptest.Server)) *pushEnd {
	t.Helper()
	e := new(pushEnd)
	e.Server = httptest.NewUnstartedServer(e)
	start(e.Server)
	t.Cleanup(e.Close)
	return e
}

// ServeHTTP takes a SET as RFC 8935 §2.1 has it.
func (e *pushEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil || r.Method != http.MethodPost || r.URL.RequestURI() != "/events?key=hush-hush" || r.Header.Get("Content-Type") != "application/secevent+jwt" || r.Header.Get("Accept") != "application/json" {
		e.bad = append(e.bad, fmt.Sprint(r.Method, r.URL, r.Header, err))
	}
	e.sets = append(e.sets, string(body))
	status := http.StatusAccepted
	if e.answer != nil {
		status = e.answer(len(e.sets))
	}
	w.WriteHeader(status)
}

func (e *pushEnd) answers(f func(n int) int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = f
}

// heard waits for n requests.
func (e *pushEnd) heard(t testing.TB, n int) []string {
	t.Helper()
	within(t, "pushing", func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.sets) < n {
			return fmt.Errorf("%d requests, want %d", len(e.sets), n)
		}
		return nil
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, bad := range e.bad {
		t.Errorf("the endpoint got %s", bad)
	}
	return slices.Clone(e.sets)
}

// pushes registers a client that has its events pushed to e, and waits until its stream is there.
func (h *house) pushes(client string, e *pushEnd) *receiver {
	h.t.Helper()
	h.newClient(client, func(c *store.Client) { c.Settings.PushURI = e.URL + "/events?key=hush-hush" })
	h.pushed(client)
	r := h.receiverOf(client)
	return r
}

func (h *house) pushed(client string) {
	h.t.Helper()
	within(h.t, "opening the stream", func() error {
		_, err := h.store.Stream(h.t.Context(), "psh_"+client)
		return err
	})
}

func (h *house) endOneAt(client string) string {
	h.t.Helper()
	s := h.start("ann", client, "john", "read")
	h.endSessions(impersonation.ScopeSession, s.sid)
	return s.sid
}

func sidOf(c map[string]any) any {
	return c["sub_id"].(map[string]any)["session"].(map[string]any)["id"]
}

// TestEventsPushed: each end is pushed once, as one SET in one request, in order; what is not acknowledged comes again, the very same, and nothing
// overtakes it.
//
// Covers RFC8935-2.1-01.
func TestEventsPushed(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.running()
		e := newEndpoint(t, (*httptest.Server).Start)
		r := h.pushes("rp", e)
		first := h.endOneAt("rp")
		h.endOneAt("app") // which is not told
		c := r.verified(e.heard(t, 1)[0])
		if c["aud"] != "rp" || sidOf(c) != first || c["exp"] != nil || revokedEvent(t, c)["initiating_entity"] != "admin" {
			t.Errorf("got %v; want the end of %s", c, first)
		}
		statuses := []int{http.StatusInternalServerError, http.StatusFound, http.StatusOK}
		e.answers(func(n int) int {
			if n-2 < len(statuses) {
				return statuses[n-2]
			}
			return http.StatusAccepted
		})
		second := h.endOneAt("rp")
		third := h.endOneAt("rp")
		got := e.heard(t, 6)
		if got[1] != got[2] || got[2] != got[3] || got[3] != got[4] || sidOf(r.verified(got[4])) != second || sidOf(r.verified(got[5])) != third {
			t.Errorf("got %d SETs; want %s four times, until it was acknowledged, and then %s", len(got), second, third)
		}
		e.answers(func(int) int { return http.StatusBadRequest })
		h.endOneAt("rp")
		e.heard(t, 7)
		e.answers(nil)
		last := h.endOneAt("rp")
		if got := e.heard(t, 8); sidOf(r.verified(got[7])) != last {
			t.Errorf("after one that was refused: got %v; want the next, %s", r.verified(got[7]), last)
		}
	})
}

// TestPushedStream: the client sees the stream and may verify it. Where it goes, and whether it does, is the operator's.
func TestPushedStream(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	stop := h.running()
	e := newEndpoint(t, (*httptest.Server).Start)
	r := h.pushes("rp", e)
	got := r.call(http.MethodGet, "/ssf/streams?stream_id=psh_rp", "")
	want := map[string]any{"method": "urn:ietf:rfc:8935", "endpoint_url": e.URL + "/events?key=hush-hush"}
	if diff := cmp.Diff(want, got.json["delivery"]); got.status != http.StatusOK || diff != "" || got.json["inactivity_timeout"] != nil {
		t.Errorf("got %d %s (-want +got):\n%s", got.status, got.body, diff)
	}
	for what, c := range map[string]call{
		"change":  {method: http.MethodPatch, path: "/ssf/streams"},
		"replace": {method: http.MethodPut, path: "/ssf/streams"},
		"remove":  {method: http.MethodDelete, path: "/ssf/streams?stream_id=psh_rp"},
	} {
		if got := r.call(c.method, c.path, `{"stream_id":"psh_rp","delivery":{"method":"urn:ietf:rfc:8936"}}`); got.status != http.StatusForbidden {
			t.Errorf("%s: got %d %s; want 403", what, got.status, got.body)
		}
	}
	for _, status := range []string{"paused", "disabled", "enabled"} {
		if got := r.call(http.MethodPost, "/ssf/status", `{"stream_id":"psh_rp","status":"`+status+`"}`); got.status != http.StatusForbidden {
			t.Errorf("%s: got %d %s; want 403", status, got.status, got.body)
		}
	}
	if got := r.call(http.MethodPost, "/ssf/poll/psh_rp", `{"returnImmediately":true}`); got.status != http.StatusNotFound {
		t.Errorf("poll: got %d %s; want 404", got.status, got.body)
	}
	if got := h.receiverOf("app").call(http.MethodGet, "/ssf/streams?stream_id=psh_rp", ""); got.status != http.StatusNotFound {
		t.Errorf("another client: got %d %s; want 404", got.status, got.body)
	}
	if got := r.call(http.MethodPost, "/ssf/verify", `{"stream_id":"psh_rp","state":"s-1"}`); got.status != http.StatusNoContent {
		t.Errorf("verify: got %d %s", got.status, got.body)
	}
	if c := r.verified(e.heard(t, 1)[0]); !cmp.Equal(c["events"], map[string]any{uriVerification: map[string]any{"state": "s-1"}}) {
		t.Errorf("verification: got %v", c)
	}
	stop() // what a server was at work with, the next one finds
	held := h.endOneAt("rp")
	h.running()
	if got := e.heard(t, 2); len(got) != 2 || sidOf(r.verified(got[1])) != held {
		t.Errorf("by the next server: got %d SETs", len(got))
	}
	c, err := h.store.Client(t.Context(), "rp")
	h.must(err)
	was := c.Settings
	c.Settings.PushURI = ""
	h.must(h.store.ChangeClient(t.Context(), store.ClientChange{EndWrite: impersonation.EndWrite{Write: h.write()}, Client: c, Was: was}))
	within(t, "closing the stream", func() error {
		if _, err := h.store.Stream(t.Context(), "psh_rp"); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("the stream of a client that is registered no more: %v", err)
		}
		return nil
	})
}

// TestEventsPushedNowhere: no SET goes where it must not: to a server that cannot prove its name, in clear, or to an address that only we reach.
//
// Covers RFC8935-2.1-01.
func TestEventsPushedNowhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o     options
		start func(*httptest.Server)
	}{
		"a certificate that nobody vouches for": {options{}, (*httptest.Server).StartTLS},
		"in clear":                              {options{issuer: "https://id.acme.test", backchannel: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, (*httptest.Server).Start},
		"an address that is not public":         {options{issuer: "https://id.acme.test"}, (*httptest.Server).StartTLS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, c.o)
			h.running()
			e := newEndpoint(t, c.start)
			h.newClient("rp", func(cl *store.Client) { cl.Settings.PushURI = e.URL + "/events?key=hush-hush" })
			h.pushed("rp")
			h.outboxOf("rp", 1)
			h.base.run(t, `UPDATE outbox SET kind = 'stream.verify', session = 'psh_rp' WHERE client = 'rp'`)
			within(t, "failing", func() error {
				if !strings.Contains(h.logs.String(), "cannot be told of an end") {
					return errors.New("nothing in the log")
				}
				return nil
			})
			e.mu.Lock()
			defer e.mu.Unlock()
			if len(e.sets) > 0 || strings.Contains(h.logs.String(), "hush-hush") {
				t.Errorf("%d SETs arrived; want none, and no URI in the log\n%s", len(e.sets), h.logs)
			}
		})
	}
}

// TestEventsPushedOnce: of two servers one pushes, in order, and what one had in hand when it died the other pushes.
func TestEventsPushedOnce(t *testing.T) {
	t.Parallel()
	o := options{on: onPostgres}
	h := setup(t, o)
	h2 := h.replica(o)
	h.running()
	stop := h2.running()
	e := newEndpoint(t, (*httptest.Server).Start)
	r := h.pushes("rp", e)
	var want []any
	for range 5 {
		want = append(want, h.endOneAt("rp"))
	}
	stop()
	want = append(want, h.endOneAt("rp"))
	var got []any
	jtis := make(map[any]any)
	again := 0
	for heard := 0; len(got) < len(want); { // one that was in hand at the death, or whose acknowledgement was lost, comes again under the same jti
		for _, set := range e.heard(t, heard+1)[heard:] {
			heard++
			claims := r.verified(set)
			if sid := sidOf(claims); !slices.Contains(got, sid) {
				got = append(got, sid)
				jtis[sid] = claims["jti"]
			} else if again++; jtis[sid] != claims["jti"] {
				t.Errorf("%v comes again under another jti", sid)
			}
		}
	}
	if again > 2 { // two that push without regard to each other would do all twice
		t.Errorf("%d came again", again)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
