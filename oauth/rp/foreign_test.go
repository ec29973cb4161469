package rp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// corp is the provider that an app stays with.
type corp struct {
	t   *testing.T
	url string
	key *ecdsa.PrivateKey
}

func newCorp(t *testing.T) *corp {
	t.Helper()
	key := newCorpKey(t)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k-1"}}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	t.Cleanup(srv.Close)
	return &corp{t, srv.URL, key}
}

const corpAudience = "https://login.acme.test/actors"

func (c *corp) rule() server.TrustedIssuer {
	return server.TrustedIssuer{TrustConfig: upstream.TrustConfig{
		Issuer: upstream.IssuerConfig{URL: c.url, JWKSURI: c.url + "/keys", Loopback: true}, Audience: corpAudience,
		Clients: map[string][]string{"app": {"crm"}}, Impersonate: upstream.Mark{Scope: "act-as"},
	}}
}

// token is a fresh one of sub, which says that they may act.
func (c *corp) token(sub string, now time.Time) oauth.Secret {
	c.t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.key, KeyID: "k-1"}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{
		"iss": c.url, "sub": sub, "aud": corpAudience, "azp": "crm", "scope": "act-as", "iat": now.Unix(), "exp": now.Unix() + 300, "jti": oauth.NewID("jti"),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	signed, err := s.Sign(b)
	if err != nil {
		c.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		c.t.Fatal(err)
	}
	return oauth.Secret(token)
}

// corpHouse is an app on one origin whose people sign in by corp: its cookie "session" has their sub there. Ann is i-ann and john i-john.
func corpHouse(t *testing.T, bend func(*house, *rp.Config)) (*house, *corp) {
	t.Helper()
	c := newCorp(t)
	h := setupTrusting(t, over, func(h *house, cfg *rp.Config) {
		ownSignIn(h, cfg)
		cfg.ForeignActor = true
		cfg.ActorToken = func(r *http.Request) (oauth.Secret, error) {
			s, err := r.Cookie("session")
			if err != nil || h.held() != "" {
				return "", nil
			}
			return c.token(s.Value, h.clock.Now()), nil
		}
		if bend != nil {
			bend(h, cfg)
		}
	}, c.rule())
	for _, id := range []string{"ann", "john"} {
		u, err := h.store.Get(t.Context(), id)
		h.must(err)
		u.Identities = []oauth.Party{{Issuer: c.url, Subject: "i-" + id}}
		h.must(h.store.UpdateUser(t.Context(), store.UserWrite{Write: h.write(), User: u}))
	}
	return h, c
}

// annByCorp is a browser in which Ann is signed in at the issuer, and at the app by corp.
func (h *house) annByCorp() *browser {
	h.t.Helper()
	b := h.browser()
	h.login(b, "ann")
	b.cookies(h.app)["session"] = "i-ann"
	return b
}

// ended is how the newest session ended, "" while it goes on.
func (h *house) ended() impersonation.EndReason {
	h.t.Helper()
	page, _, err := h.store.Sessions(h.t.Context(), store.SessionQuery{Limit: 1})
	h.must(err)
	if len(page) == 0 {
		h.t.Fatal("no session")
	}
	return page[0].EndReason
}

// TestForeignActorFlow: with another provider's token the app learns who the user and the actor are there, nothing of understudy's tokens is
// left to come back to, and Stop ends the session and lifts the hold.
func TestForeignActorFlow(t *testing.T) {
	t.Parallel()
	var stops []oauth.Secret
	h, c := corpHouse(t, func(_ *house, cfg *rp.Config) {
		cfg.Stopped = func(_ context.Context, _ rp.Session, token oauth.Secret) { stops = append(stops, token) }
	})
	var seen []rp.Session
	asked := h.around(func(w http.ResponseWriter, r *http.Request) {
		s, _ := rp.FromContext(r.Context())
		seen = append(seen, *s)
	})
	for _, mode := range []string{"read", "write"} {
		b := h.annByCorp()
		b.impersonate("john", mode)
		if h.held() == "" || h.live() != 1 {
			t.Fatalf("%s: held by %q, %d sessions", mode, h.held(), h.live())
		}
		r := b.request(http.MethodGet, h.app+"/", nil)
		r.Header.Set("Cookie", cookieHeader(b.cookies(h.app)))
		asked.ServeHTTP(httptest.NewRecorder(), r)
		s := seen[len(seen)-1]
		if at := s.Subject.Elsewhere; at == nil || *at != (rp.SubjectID{Format: "iss_sub", Issuer: c.url, Subject: "i-john"}) || s.Subject.Subject != "john" || s.Subject.Email != "john@acme.test" {
			t.Errorf("%s: the subject is %+v, elsewhere %+v", mode, s.Subject, at)
		}
		if s.Actor.Subject != "i-ann" || s.Actor.Issuer != c.url || s.Actor.Email != "ann@acme.test" {
			t.Errorf("%s: the actor is %+v", mode, s.Actor)
		}
		info := b.one(http.MethodGet, h.app+"/.understudy/session", nil)
		if !strings.Contains(info.body, `"sub_id":{"format":"iss_sub"`) || !strings.Contains(info.body, `"sub":"i-ann"`) {
			t.Errorf("%s: the pages' script is told %s", mode, info.body)
		}
		r2 := b.post(h.app + "/.understudy/stop")
		if r2.url.Path != "/admin" || h.held() != "" || h.live() != 0 || h.ended() != impersonation.EndRevoked || b.cookies(h.app)[signInCookie] != "" || b.cookies(h.app)["session"] != "i-ann" {
			t.Errorf("%s: after a stop: %s, held by %q, %d sessions, ended by %q", mode, r2.url, h.held(), h.live(), h.ended())
		}
		for _, name := range []string{actingCookie, heldCookie} {
			if b.cookies(h.app)[name] != "" {
				t.Errorf("%s: %s outlives the stop", mode, name)
			}
		}
		h.taken(&h.seen)
	}
	if !slices.Equal(stops, []oauth.Secret{"", ""}) {
		t.Errorf("Stopped heard %q", stops)
	}
	for _, e := range h.entries() {
		if e.Kind == audit.KindStart && (e.Actor.Subject != "ann" || e.Subject.Subject != "john") {
			t.Errorf("the trail says that %v impersonates %v", e.Actor, e.Subject)
		}
	}
}

// TestForeignActorStops: Stop works whatever is left of the cookies, and once more; a stolen cookie gives nothing and ends.
func TestForeignActorStops(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bend func(h *house, b *browser)
		path string // where the person ends; "" for the ended page
	}{
		"twice": {func(h *house, b *browser) {
			was := maps.Clone(b.cookies(h.app))
			if r := b.post(h.app + "/.understudy/stop"); r.url.Path != "/admin" {
				h.t.Errorf("the first click: %s", r.url)
			}
			b.jars["app.localhost"] = was
		}, "/admin"},
		"without the impersonation's cookie": {func(h *house, b *browser) { delete(b.cookies(h.app), actingCookie) }, "/admin"},
		"without what was held":              {func(h *house, b *browser) { delete(b.cookies(h.app), heldCookie) }, ""},
		"after it ran out":                   {func(h *house, _ *browser) { h.clock.advance(16 * time.Minute) }, "/admin"},
		"after a kill":                       {func(h *house, _ *browser) { h.kill() }, "/admin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := corpHouse(t, nil)
			b := h.annByCorp()
			b.impersonate("john", "read")
			c.bend(h, b)
			r := b.post(h.app + "/.understudy/stop")
			if c.path != "" && r.url.Path != c.path || c.path == "" && r.url.Path != "/.understudy/stop" || h.held() != "" {
				t.Errorf("got %d %s, held by %q", r.status, r.url, h.held())
			}
			if h.live() != 0 {
				t.Errorf("%d sessions go on", h.live())
			}
			b.impersonate("john", "read") // and the next start works
		})
	}
}

// TestForeignActorOver: a session that ran out or was killed shows the ended page, never the actor's, and its button lifts the hold without
// calling that a stop.
func TestForeignActorOver(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*house){
		"expired": func(h *house) { h.clock.advance(15*time.Minute + time.Second) },
		"killed":  func(h *house) { h.kill(); h.clock.advance(6 * time.Second) },
		"unlinked": func(h *house) {
			u, err := h.store.Get(h.t.Context(), "ann")
			h.must(err)
			u.Identities = nil
			h.must(h.store.UpdateUser(h.t.Context(), store.UserWrite{Write: h.write(), User: u}))
			h.clock.advance(6 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := corpHouse(t, nil)
			b := h.annByCorp()
			b.impersonate("john", "read")
			h.taken(&h.seen)
			end(h)
			if r := b.one(http.MethodGet, h.app+"/admin", nil); r.status != http.StatusForbidden || !strings.Contains(r.body, "John Doe") {
				t.Errorf("a page: got %d", r.status)
			}
			if r := b.one(http.MethodPost, h.app+"/note", nil); r.status != http.StatusForbidden {
				t.Errorf("a form: got %d", r.status)
			}
			if got := h.taken(&h.seen); len(got) != 0 {
				t.Errorf("the app was asked %v", got)
			}
			if r := b.post(h.app+"/.understudy/stop", "over", "true"); r.url.Path != "/admin" || h.held() != "" {
				t.Errorf("the way back: %s, held by %q", r.url, h.held())
			}
			if log := h.logs.String(); strings.Contains(log, "stopped impersonating") {
				t.Errorf("the log calls it a stop: %s", log)
			}
		})
	}
}

// TestForeignActorUnconfirmed: where the issuer does not answer a stop, the hold is lifted all the same, and the end is tried again until
// the issuer has it.
func TestForeignActorUnconfirmed(t *testing.T) {
	t.Parallel()
	h, _ := corpHouse(t, nil)
	b := h.annByCorp()
	b.impersonate("john", "read")
	h.setDown(true)
	if r := b.post(h.app + "/.understudy/stop"); r.status != http.StatusServiceUnavailable && r.status != http.StatusOK || h.held() != "" {
		t.Errorf("got %d, held by %q", r.status, h.held())
	}
	if h.live() != 1 {
		t.Errorf("%d sessions, and the issuer heard nothing", h.live())
	}
	h.setDown(false)
	for deadline := time.Now().Add(15 * time.Second); h.live() != 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the end was not tried again")
		}
	}
}

// TestForeignActorRefused: what the issuer does not take starts nothing: neither a token of its own where another provider's is promised, nor
// one that has started something already; and nothing is held then.
func TestForeignActorRefused(t *testing.T) {
	t.Parallel()
	once := make(map[string]oauth.Secret)
	for name, token := range map[string]func(h *house, c *corp) (oauth.Secret, error){
		"somebody else's": func(h *house, c *corp) (oauth.Secret, error) { return c.token("i-john", h.clock.Now()), nil },
		"old": func(h *house, c *corp) (oauth.Secret, error) {
			return c.token("i-ann", h.clock.Now().Add(-10*time.Minute)), nil
		},
		"understudy's": func(h *house, _ *corp) (oauth.Secret, error) { return h.token("ann") },
		"another provider's": func(h *house, c *corp) (oauth.Secret, error) {
			other := *c
			other.url = "https://else.test"
			return other.token("i-ann", h.clock.Now()), nil
		},
		"of another key": func(h *house, c *corp) (oauth.Secret, error) {
			other := *c
			other.key = newCorpKey(c.t)
			return other.token("i-ann", h.clock.Now()), nil
		},
		"that started before": func(h *house, c *corp) (oauth.Secret, error) { return once["jti"], nil },
	} {
		t.Run(name, func(t *testing.T) {
			var h *house
			var c *corp
			h, c = corpHouse(t, func(h *house, cfg *rp.Config) {
				cfg.ActorToken = func(*http.Request) (oauth.Secret, error) { return token(h, c) }
			})
			b := h.annByCorp()
			if name == "that started before" {
				once["jti"] = c.token("i-ann", h.clock.Now())
				b.impersonate("john", "read")
				b.post(h.app + "/.understudy/stop")
			}
			r := b.say(b.ask("john", "/admin"), "john", "read")
			if r.status < 400 || h.held() != "" || h.live() != 0 || b.cookies(h.app)[actingCookie] != "" {
				t.Errorf("got %d, held by %q, %d sessions", r.status, h.held(), h.live())
			}
		})
	}
}

func newCorpKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// losing lets the server do what it is asked, and loses its first answer at a path once it is armed.
type losing struct {
	next  http.RoundTripper
	path  string
	armed atomic.Bool
}

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil && r.URL.Path == l.path && l.armed.Swap(false) {
		resp.Body.Close()
		return nil, errors.New("the connection is gone")
	}
	return resp, err
}

// TestForeignActorLostAnswer: where the answer to a start is lost nothing is held; the actor starts again, which ends what was begun.
func TestForeignActorLostAnswer(t *testing.T) {
	t.Parallel()
	lost := &losing{path: "/oauth2/token"}
	h, _ := corpHouse(t, func(h *house, cfg *rp.Config) {
		lost.next = h.client.Transport
		cfg.Client = &http.Client{Transport: lost}
	})
	b := h.annByCorp()
	lost.armed.Store(true)
	if r := b.say(b.ask("john", "/admin"), "john", "read"); r.status < 500 || h.held() != "" || b.cookies(h.app)[actingCookie] != "" {
		t.Errorf("got %d, held by %q", r.status, h.held())
	}
	if h.live() != 1 {
		t.Errorf("%d sessions; want the one whose answer was lost", h.live())
	}
	b.impersonate("john", "read")
	if h.live() != 1 {
		t.Errorf("%d sessions; want the second alone", h.live())
	}
}
