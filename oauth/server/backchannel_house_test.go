package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/store"
)

// ear is the back-channel logout endpoint of a client.
type ear struct {
	*httptest.Server
	connections atomic.Int64

	mu     sync.Mutex
	tokens []string
	answer func(w http.ResponseWriter, r *http.Request, n int) // to the n-th token, from 1; nil: 200
}

// ear adds a client that listens.
func (h *house) ear(client string) *ear {
	h.t.Helper()
	e := newEar(h.t)
	h.newClient(client, func(c *store.Client) {
		c.Settings.BackchannelLogoutURI = e.URL + "/logout?key=hush"
		c.Serves = []string{resource}
	})
	return e
}

func newEar(t testing.TB) *ear {
	t.Helper()
	e := new(ear)
	e.Server = httptest.NewUnstartedServer(e)
	e.Config.ConnState = countNew(&e.connections)
	e.Start()
	t.Cleanup(e.Close)
	return e
}

// ServeHTTP takes a logout token as a client must (OpenID Connect Back-Channel Logout §2.5).
func (e *ear) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/logout?key=hush" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.ParseForm() != nil ||
		len(r.PostForm) != 1 || len(r.PostForm["logout_token"]) != 1 {
		http.Error(w, "no logout request", http.StatusTeapot)
		return
	}
	e.mu.Lock()
	e.tokens = append(e.tokens, r.PostForm.Get("logout_token"))
	n, answer := len(e.tokens), e.answer
	e.mu.Unlock()
	if answer != nil {
		answer(w, r, n)
	}
}

// answers sets what the next tokens are answered.
func (e *ear) answers(f func(w http.ResponseWriter, r *http.Request, n int)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = f
}

// statuses answers one status after the other, and then 200.
func statuses(codes ...int) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, n int) {
		if n <= len(codes) {
			w.WriteHeader(codes[n-1])
		}
	}
}

func (e *ear) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.tokens)
}

// running runs what a server does beside answering, until stop is called or the test ends.
func (h *house) running() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Run: %v", err)
		}
	})
	h.t.Cleanup(stop)
	return stop
}

// notices is how many wait to be told.
func (h *house) notices() int {
	h.t.Helper()
	return len(query(h.t, h.base.admin, `SELECT client FROM logout_notice`))
}

// toldAll waits until nobody is left to be told.
func (h *house) toldAll() {
	h.t.Helper()
	within(h.t, "telling", func() error {
		if n := h.notices(); n > 0 {
			return fmt.Errorf("%d notices wait\n%s", n, h.logs)
		}
		return nil
	})
}

// wantHeard demands that a client has got a valid logout token for each of the sessions, and no other.
func (h *house) wantHeard(what, client string, e *ear, sids ...string) {
	h.t.Helper()
	var got []string
	for _, token := range e.heard() {
		got = append(got, h.logoutToken(what, client, token)["sid"].(string))
	}
	slices.Sort(got)
	slices.Sort(sids)
	if !slices.Equal(got, sids) {
		h.t.Errorf("%s: %s was told of %q, want %q", what, client, got, sids)
	}
}

// logoutToken reads one as the client must (OpenID Connect Back-Channel Logout §2.6), by a library that is not ours, and demands that
// nothing is in it but what has to be.
func (h *house) logoutToken(what, client, token string) map[string]any {
	h.t.Helper()
	var set jose.JSONWebKeySet
	h.must(json.Unmarshal([]byte(h.get("/oauth2/jwks", "").body), &set))
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA})
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	header := parsed.Signatures[0].Header
	payload, err := parsed.Verify(&set)
	if err != nil || header.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
		h.t.Fatalf("%s: header %+v, %v; want typ logout+jwt and a key of the issuer", what, header, err)
	}
	var c map[string]any
	h.must(json.Unmarshal(payload, &c))
	members := slices.Sorted(maps.Keys(c))
	if want := []string{"aud", "events", "exp", "iat", "iss", "jti", "sid"}; !slices.Equal(members, want) {
		h.t.Errorf("%s: got the claims %q, want %q: no sub, which would end all sessions, and no nonce", what, members, want)
	}
	iat, exp, now := c["iat"].(float64), c["exp"].(float64), float64(h.clock.Now().Unix())
	id, _ := c["jti"].(string)
	if c["iss"] != h.issuer || c["aud"] != client || id == "" || iat > now+1 || iat < now-60*60 || exp <= iat || exp > iat+120 {
		h.t.Errorf("%s: got %s; want it from %s to %s, for two minutes at most", what, payload, h.issuer, client)
	}
	event, ok := c["events"].(map[string]any)["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	if !ok || len(event) != 0 || len(c["events"].(map[string]any)) != 1 {
		h.t.Errorf("%s: got events %v; want the one event, an empty object", what, c["events"])
	}
	return c
}

// countNew counts the connections that a server takes.
func countNew(n *atomic.Int64) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			n.Add(1)
		}
	}
}
