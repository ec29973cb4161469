package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/upstream"
)

const (
	typeJWTs      = string(oauth.TokenTypeJWT)
	trustAudience = "https://as.test/actors"
)

// foreignIssuer is somebody else's provider, on loopback. It answers honestly, but for what a test takes into its own hands.
type foreignIssuer struct {
	t   testing.TB
	url string
	key *ecdsa.PrivateKey
	kid string
	now func() time.Time

	asked  atomic.Int64
	mu     sync.Mutex
	answer map[string]http.HandlerFunc
}

func newForeignIssuer(t testing.TB) *foreignIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &foreignIssuer{t: t, key: key, kid: "k-1", now: time.Now, answer: map[string]http.HandlerFunc{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func (f *foreignIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	f.mu.Lock()
	answer := f.answer[r.URL.Path]
	f.mu.Unlock()
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, f.url, f.url+"/keys")
	case r.URL.Path == "/keys":
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.key.Public(), KeyID: f.kid, Use: "sig"}}})
	default:
		http.NotFound(w, r)
	}
}

func (f *foreignIssuer) answers(path string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer[path] = h
}

// rule trusts f at app for its client crm, and at other for its client desk; what says act-as may start.
func (f *foreignIssuer) rule() server.TrustedIssuer {
	return server.TrustedIssuer{TrustConfig: upstream.TrustConfig{
		Issuer: upstream.IssuerConfig{URL: f.url, Loopback: true}, Audience: trustAudience,
		Clients: map[string][]string{"app": {"crm"}, "other": {"desk"}}, Impersonate: upstream.Mark{Scope: "act-as"},
	}}
}

// claimsOf are those of a good token of sub, a minute old.
func (f *foreignIssuer) claimsOf(sub string) map[string]any {
	now := f.now().Unix()
	return map[string]any{"iss": f.url, "sub": sub, "aud": []string{"account", trustAudience}, "azp": "crm", "scope": "openid act-as", "iat": now - 60, "exp": now + 540,
		"jti": oauth.NewID("jti")}
}

// token is one of sub, with some claims replaced, or taken out by nil.
func (f *foreignIssuer) token(sub string, changes map[string]any) string {
	f.t.Helper()
	c := f.claimsOf(sub)
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return f.signed(c, map[jose.HeaderKey]any{"typ": "at+jwt", "kid": f.kid})
}

func (f *foreignIssuer) signed(claims map[string]any, header map[jose.HeaderKey]any) string {
	f.t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return signedBy(f.t, jose.ES256, f.key, b, header)
}

func signedBy(t testing.TB, algorithm jose.SignatureAlgorithm, key any, payload []byte, header map[jose.HeaderKey]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// trustHouse is a house that trusts two issuers. At the first ann is f-ann, john f-john and bea f-bea; at the second bea is f-ann and
// nobody else is anybody.
type trustHouse struct {
	*house
	corp, second *foreignIssuer
	options      options
}

func setupTrust(t testing.TB, o options, change func(*server.TrustedIssuer)) *trustHouse {
	t.Helper()
	h := &trustHouse{corp: newForeignIssuer(t), second: newForeignIssuer(t)}
	rule := h.corp.rule()
	if change != nil {
		change(&rule)
	}
	o.trusted = append(o.trusted, rule, h.second.rule())
	h.house, h.options = setup(t, o), o
	h.corp.now, h.second.now = h.clock.Now, h.clock.Now
	for user, identities := range map[string][]oauth.Party{
		"ann": {{Issuer: h.corp.url, Subject: "f-ann"}}, "john": {{Issuer: h.corp.url, Subject: "f-john"}},
		"bea": {{Issuer: h.corp.url, Subject: "f-bea"}, {Issuer: h.second.url, Subject: "f-ann"}},
	} {
		h.change(user, func(u *directory.User) { u.Identities = identities })
	}
	return h
}

// come is the start of who has the ticket, with a token of another issuer.
func (h *trustHouse) come(client, ticket, actor string) reply {
	h.t.Helper()
	f := startForm(ticket, actor)
	f.Set("actor_token_type", typeJWTs)
	return h.post("/oauth2/token", client, f)
}

// annsTicket is one of a new login of ann, for john at app.
func (h *trustHouse) annsTicket(mode string) (ticket, login string) {
	h.t.Helper()
	cookie, login := h.login("ann")
	return h.ticket(cookie, "app", "john", mode), login
}

// begun is a start of ann by her token of corp.
func (h *trustHouse) begun(mode string) started {
	h.t.Helper()
	ticket, login := h.annsTicket(mode)
	r := h.come("app", ticket, h.corp.token("f-ann", nil))
	if r.status != http.StatusOK {
		h.t.Fatalf("start: got %d %s", r.status, r.body)
	}
	sid, _ := r.json["understudy_session"].(map[string]any)["id"].(string)
	return started{login: login, reply: r, token: r.str("access_token"), sid: sid}
}

// without is a server on the same database that trusts corp no more, and the second issuer as before.
func (h *trustHouse) without() *house {
	h.t.Helper()
	o := h.options
	o.trusted = slices.DeleteFunc(slices.Clone(o.trusted), func(r server.TrustedIssuer) bool { return r.TrustConfig.Issuer.URL == h.corp.url })
	return h.replica(o)
}

// kept is a session as the store has it.
func (h *house) kept(id string) impersonation.Session {
	h.t.Helper()
	s, err := h.store.Session(context.Background(), id)
	h.must(err)
	return s
}

// linked says who user is at one issuer more.
func (h *house) linked(user, issuer, subject string) {
	h.t.Helper()
	h.change(user, func(u *directory.User) {
		u.Identities = append(u.Identities, oauth.Party{Issuer: issuer, Subject: subject})
	})
}
