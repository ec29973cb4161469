package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

func kidOf(t testing.TB, token string) string {
	t.Helper()
	header, _ := claims(t, token)
	kid, _ := header["kid"].(string)
	return kid
}

// traffic signs in and impersonates on each server in turn, with every token shown at the other, until stopped, once at least. Whatever goes wrong is
// an error of the test.
func traffic(t *testing.T, servers []*house) (stop func() (kids map[string]int)) {
	t.Helper()
	done, kids := make(chan struct{}), make(map[string]int)
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, at := range servers {
		other := servers[(i+1)%len(servers)]
		all.Go(func() {
			for {
				s := at.start("ann", "app", "john", "read") // fails the test on any answer but 200
				if !at.active("app", s.token) || !other.active("app", s.token) || !other.active("app", s.actor) {
					t.Errorf("a token that was just given is inactive")
				}
				if r := other.post("/oauth2/token", "app", stopForm(s.ret)); r.status != http.StatusOK {
					t.Errorf("stop: got %d %s", r.status, r.body)
				}
				mu.Lock()
				kids[kidOf(t, s.token)]++
				mu.Unlock()
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	return func() map[string]int {
		close(done)
		all.Wait()
		return kids
	}
}

// TestRotation: while two servers are at work a key takes the place of another. It is published before it signs, what the old one signed
// counts to its end, and no request notices.
//
// Covers OIDC-10.1.1-01, RFC7517-5-01.
func TestRotation(t *testing.T) { onBoth(t, testRotation) }

func testRotation(t *testing.T, o options) {
	one := setup(t, o)
	two := one.replica(options{})
	servers := []*house{one, two}
	before := one.start("ann", "app", "john", "read")
	old := kidOf(t, before.token)

	end := traffic(t, servers)
	r, err := one.operator().RotateKey(t.Context(), "", false)
	one.must(err)
	for _, h := range servers {
		within(t, "the new key is published", func() error { return h.has(r.Key.ID, old) })
	}
	if kids := end(); len(kids) != 1 || kids[old] == 0 {
		t.Errorf("during the overlap tokens were signed by %v; want %s alone", kids, old)
	}
	for range 2 { // in steps, or the session would be idle; and to just before the new key signs, which happens while there is traffic
		one.clock.advance(5*time.Minute - 2*time.Second)
		for _, h := range servers {
			if !h.active("app", before.token) {
				t.Error("an impersonation of before is inactive")
			}
		}
	}
	end = traffic(t, servers)
	for _, h := range servers {
		within(t, "the new key signs", func() error {
			if s := h.start("bea", "app", "john", "read"); kidOf(t, s.token) != r.Key.ID {
				return fmt.Errorf("%s does", kidOf(t, s.token))
			}
			return nil
		})
		if !h.active("app", before.token) {
			t.Error("an impersonation of before is inactive")
		}
	}
	for kid := range end() {
		if kid != old && kid != r.Key.ID {
			t.Errorf("a token was signed by %s", kid)
		}
	}
	end = traffic(t, servers)
	if kids := end(); len(kids) != 1 || kids[r.Key.ID] == 0 {
		t.Errorf("after the overlap tokens were signed by %v; want %s alone", kids, r.Key.ID)
	}
	one.clock.advance(65 * time.Minute)
	for _, h := range servers {
		within(t, "the old key is gone", func() error { return h.has(r.Key.ID, "") })
	}
	one.sound()
}

// has tells what the JWKS wants for having new and, unless it is "", old.
func (h *house) has(fresh, old string) error {
	set := h.keySet()
	if len(set.Key(fresh)) != 1 || old != "" && len(set.Key(old)) != 1 || old == "" && len(set.Keys) != 2 {
		return fmt.Errorf("the JWKS is %v", set)
	}
	return nil
}

// TestRetiredKey: by a key whose time is over no token counts, however long it says; an ID token may still be a hint.
//
// Covers RFC7662-4-01.
func TestRetiredKey(t *testing.T) { onBoth(t, testRetiredKey) }

func testRetiredKey(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	hint := h.signIn(s.cookie, "app", "nonce").str("id_token")
	if !h.active("app", s.token) {
		t.Fatal("the token is not active from the start")
	}
	parts := strings.Split(s.token, ".")
	if h.active("app", parts[0]+"."+parts[1]+".") {
		t.Error("a token without its signature is active")
	}
	_, err := h.operator().RotateKey(t.Context(), "", true)
	h.must(err)
	h.base.run(t, `UPDATE signing_key SET retires_at = 1 WHERE id = '`+kidOf(t, s.token)+`'`)
	within(t, "the token is inactive", func() error { return h.inactive(s.token) })
	if r := h.userinfo(s.token); r.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got %d %s; want 401", r.status, r.body)
	}
	if r := h.authorize(s.cookie, func(q url.Values) { q.Set("prompt", "none"); q.Set("id_token_hint", hint) }); r.location == nil || !r.location.Query().Has("code") {
		t.Errorf("with a hint of before: got %d %v; want a code", r.status, r.location)
	}
}

func (h *house) inactive(token string) error {
	if h.active("app", token) {
		return errors.New("it is active")
	}
	return nil
}

// TestRevokedKey: within a second no server takes anything that the key signed, and each signs with another. The session behind a token
// is not over by that: its return token, which no key signed, still stops it. It is CVE-2025-22149.
func TestRevokedKey(t *testing.T) { onBoth(t, testRevokedKey) }

func testRevokedKey(t *testing.T, o options) {
	one := setup(t, o)
	two := one.replica(options{})
	s := one.start("ann", "app", "john", "read")
	hint := one.signIn(s.cookie, "app", "nonce").str("id_token")
	kid := kidOf(t, s.token)
	for _, h := range []*house{one, two} {
		if !h.active("app", s.token) {
			t.Fatal("the token is not active from the start")
		}
	}
	replacement, err := one.operator().RevokeKey(t.Context(), kid, "stolen")
	one.must(err)
	for _, h := range []*house{two, one} {
		within(t, "the key is revoked", func() error {
			return errors.Join(h.inactive(s.token), h.has(replacement, ""))
		})
		if r := h.userinfo(s.actor); r.status != http.StatusUnauthorized {
			t.Errorf("userinfo with the actor's: got %d %s; want 401", r.status, r.body)
		}
		if r := h.authorize(s.cookie, func(q url.Values) { q.Set("id_token_hint", hint) }); r.location == nil || r.location.Query().Get("error") != "invalid_request" {
			t.Errorf("with a hint by it: got %d %v; want invalid_request", r.status, r.location)
		}
		if start := h.post("/oauth2/token", "app", startForm(h.ticket(s.cookie, "app", "eve", "read"), s.actor)); start.status != http.StatusBadRequest {
			t.Errorf("a start with an actor token by it: got %d %s; want 400", start.status, start.body)
		}
		if again := h.start("bea", "app", "john", "read"); kidOf(t, again.token) != replacement || !one.active("app", again.token) || !two.active("app", again.token) {
			t.Errorf("a new start is signed by %s; want %s, active everywhere", kidOf(t, again.token), replacement)
		}
	}
	if live, err := one.store.Session(t.Context(), s.sid); err != nil || !live.Ended.IsZero() {
		t.Errorf("the session: got ended %v, %v; want it alive until it is stopped", live.Ended, err)
	}
	stop := two.post("/oauth2/token", "app", stopForm(s.ret))
	if stop.status != http.StatusOK || kidOf(t, stop.str("access_token")) != replacement {
		t.Errorf("stop: got %d %s; want a token by %s", stop.status, stop.body, replacement)
	}
	one.sound()
}

// lookAgain is how long a server waits before it looks for one more key that it does not know.
const lookAgain = 100 * time.Millisecond

// counted counts the looks at the keys.
type counted struct {
	store.Store
	looks atomic.Int64
}

func (c *counted) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	c.looks.Add(1)
	return c.Store.SigningKeys(ctx)
}

// TestUnknownKeys: tokens by keys of nobody are refused, never with a failure, and do not each cost a look at the store.
//
// Covers OIDC-10.1.1-01.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	var c *counted
	h := setup(t, options{}.wrapped(func(s store.Store) store.Store { c = &counted{Store: s}; return c }))
	began, looks := time.Now(), c.looks.Load()
	const many = 300
	for range many {
		set, err := tokens.NewKeySet(h.newKey(tokens.ES256))
		h.must(err)
		now := time.Now()
		token, err := set.Sign(tokens.Claims{Issuer: h.issuer, Subject: "ann", Audience: resource, ClientID: "app", ID: "tok_x", Session: "lgn_x", IssuedAt: now, Expires: now.Add(time.Minute)})
		h.must(err)
		if h.active("app", token) {
			t.Fatal("a token by a key of nobody is active")
		}
	}
	if n, most := c.looks.Load()-looks, int64(time.Since(began)/lookAgain)+1; n > most {
		t.Errorf("%d tokens cost %d looks in %v; want at most %d", many, n, time.Since(began), most)
	}
}

// TestKeyThatDoesNotOpen: a server does not start on a key that is not what its row says, and tells which. One that runs already goes
// on without that key and is not ready; a revocation beside it counts.
func TestKeyThatDoesNotOpen(t *testing.T) { onBoth(t, testKeyThatDoesNotOpen) }

func testKeyThatDoesNotOpen(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	kid := kidOf(t, s.token)
	other := h.newKey(tokens.EdDSA)
	h.must(h.store.RotateSigningKey(t.Context(), store.KeyRotation{Write: h.write(), Key: h.sealed(other)}))
	h.base.run(t, `UPDATE signing_key SET sealed = (SELECT sealed FROM signing_key WHERE id = '`+kid+`') WHERE id = '`+other.ID+`'`)
	again := func() error {
		_, err := server.New(t.Context(), server.Config{PublicURL: h.issuer, Store: h.store, Registry: policy.Default(), Box: h.box, Logger: slog.New(slog.DiscardHandler)})
		return err
	}
	if err := again(); !errors.Is(err, tokens.ErrKey) || !strings.Contains(err.Error(), other.ID) {
		t.Errorf("got %v; want no start, and the key %s named", err, other.ID)
	}
	within(t, "the running server is not ready", func() error {
		if h.active("app", s.token); recorded(h.private, "/readyz").Code != http.StatusServiceUnavailable {
			return errors.New("it is")
		}
		return nil
	})
	if !h.active("app", s.token) || !strings.Contains(h.logs.String(), other.ID) {
		t.Errorf("the other keys are of no use, or the log has nothing of %s:\n%s", other.ID, h.logs)
	}
	_, err := h.store.RevokeSigningKey(t.Context(), store.KeyRevocation{Write: h.write(), ID: kid})
	h.must(err)
	within(t, "the revocation counts", func() error { return h.inactive(s.token) })
	_, err = h.operator().RevokeKey(t.Context(), other.ID, "swapped")
	h.must(err)
	if err := again(); err != nil {
		t.Errorf("after it was revoked: %v", err)
	}
	within(t, "the running server is ready", func() error {
		if h.get("/oauth2/jwks", ""); recorded(h.private, "/readyz").Code != http.StatusOK {
			return errors.New("it is not")
		}
		return nil
	})
}

// TestFirstKeys: servers that start at once on an empty store agree on one key for each algorithm, which sign at once; another
// algorithm in the configuration waits until everybody has seen its key.
func TestFirstKeys(t *testing.T) { onBoth(t, testFirstKeys) }

func testFirstKeys(t *testing.T, o options) {
	o.keys = []tokens.Key{} // the house makes none
	h := setup(t, o)
	rows, err := h.store.SigningKeys(t.Context())
	h.must(err)
	h.must(h.revokeAll(rows))
	servers := make([]*house, 3)
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() { servers[i] = h.replica(options{}) })
	}
	all.Wait()
	var algorithms []string
	rows, err = h.store.SigningKeys(t.Context())
	h.must(err)
	for _, k := range rows {
		if k.Current() {
			algorithms = append(algorithms, k.Algorithm)
		}
	}
	if slices.Sort(algorithms); !slices.Equal(algorithms, []string{"ES256", "RS256"}) {
		t.Errorf("there are keys for %v; want one for ES256 and one for RS256", algorithms)
	}
	cookie, _ := h.login("ann")
	first := servers[0].token(cookie, "app", "openid")
	next := h.replica(options{algorithm: "EdDSA"})
	for _, s := range append(servers, next) {
		if token := s.token(cookie, "app", "openid"); kidOf(t, token) != kidOf(t, first) || !servers[2].active("app", token) {
			t.Errorf("signed by %s; want by %s what every server takes", kidOf(t, token), kidOf(t, first))
		}
	}
	h.clock.advance(tokens.KeyOverlap)
	if header, _ := claims(t, next.token(cookie, "app", "openid")); header["alg"] != "EdDSA" {
		t.Errorf("after the overlap: got %v; want EdDSA", header)
	}
}

func (h *house) revokeAll(rows []store.SigningKey) error {
	var errs []error
	for _, k := range rows {
		_, err := h.store.RevokeSigningKey(h.t.Context(), store.KeyRevocation{Write: h.write(), ID: k.ID})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
