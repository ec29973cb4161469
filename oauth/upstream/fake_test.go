package upstream_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/upstream"
)

// fake is somebody else's provider, on loopback. It answers as it is told, lies included; told nothing, it is an honest one.
type fake struct {
	t   *testing.T
	url string
	clk *clock

	mu      sync.Mutex
	keys    []key
	codes   map[string]grant
	answers map[string]http.HandlerFunc // by path, in place of the honest one
	counts  map[string]*atomic.Int64    // requests by path
	changed map[string]any              // members of the discovery document; nil takes one out
	maxAge  string                      // Cache-Control of the documents
}

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

// newFake starts a provider with one key.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, codes: map[string]grant{}, clk: new(clock), answers: map[string]http.HandlerFunc{}, changed: map[string]any{}, counts: map[string]*atomic.Int64{}}
	for _, path := range []string{discoveryPath, keysPath, "/token", "/userinfo"} {
		f.counts[path] = new(atomic.Int64)
	}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	f.keys = []key{newKey(t, "ES256")}
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n := f.counts[r.URL.Path]; n != nil {
		n.Add(1)
	}
	f.mu.Lock()
	answer, age := f.answers[r.URL.Path], f.maxAge
	f.mu.Unlock()
	if age != "" {
		w.Header().Set("Cache-Control", age)
	}
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == discoveryPath:
		sendJSON(w, f.document())
	case r.URL.Path == keysPath:
		f.mu.Lock()
		defer f.mu.Unlock()
		w.Write(jwks(f.t, f.keys...))
	case r.URL.Path == "/token":
		f.tokenEndpoint(w, r)
	default:
		http.NotFound(w, r)
	}
}

// document is the discovery document.
func (f *fake) document() map[string]any {
	d := map[string]any{
		"issuer": f.url, "jwks_uri": f.url + keysPath, "authorization_endpoint": f.url + "/auth", "token_endpoint": f.url + "/token",
		"userinfo_endpoint": f.url + "/userinfo", "end_session_endpoint": f.url + "/end",
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, value := range f.changed {
		if d[name] = value; value == nil {
			delete(d, name)
		}
	}
	return d
}

// answer has path answered by h from now on; nil is honest again.
func (f *fake) answer(path string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = h
}

// change sets a member of the discovery document.
func (f *fake) change(name string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed[name] = value
}

// publish replaces the keys.
func (f *fake) publish(keys ...key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = keys
}

// asked is how often path was.
func (f *fake) asked(path string) int64 { return f.counts[path].Load() }

// issuer reads from f.
func (f *fake) issuer() *upstream.Issuer {
	f.t.Helper()
	i, err := upstream.NewIssuer(f.config())
	if err != nil {
		f.t.Fatal(err)
	}
	return i
}

func (f *fake) config() upstream.IssuerConfig {
	return upstream.IssuerConfig{URL: f.url, Loopback: true, Now: f.clk.now, Logger: slog.New(slog.DiscardHandler)}
}

// clock is the real one, and what a test adds.
type clock struct{ off atomic.Int64 }

func (c *clock) now() time.Time        { return time.Now().Add(time.Duration(c.off.Load())) }
func (c *clock) pass(by time.Duration) { c.off.Add(int64(by)) }

// key is one of a fake's.
type key struct {
	crypto.Signer
	ID, alg string
}

func newKey(t testing.TB, algorithm string) key {
	t.Helper()
	k := key{ID: rand.Text(), alg: algorithm}
	var err error
	switch algorithm {
	case "ES256":
		k.Signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		k.Signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, k.Signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// jwks is the set of the public halves.
func jwks(t testing.TB, keys ...key) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: k.ID, Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// says answers with this text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// hostile are answers that no reader may wait for, or hold in memory, or believe, whatever was asked for.
func hostile(stop <-chan struct{}) map[string]http.HandlerFunc {
	bombed()
	return map[string]http.HandlerFunc{
		"empty":            says(""),
		"not JSON":         says("<html>not JSON</html>"),
		"null":             says("null"),
		"an array":         says("[]"),
		"a string":         says(`"issuer"`),
		"cut off":          says(`{"issuer":"`),
		"two values":       says(`{} {}`),
		"deep":             says(`{"issuer":` + string(bytes.Repeat([]byte("["), 100_000))),
		"nothing in it":    says("{}"),
		"of 50 MiB":        huge,
		"gzip of 8 MiB":    bomb,
		"status 500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"status 404":       http.NotFound,
		"status 204":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"never":            func(w http.ResponseWriter, r *http.Request) { wait(r, stop) },
		"a byte a second":  func(w http.ResponseWriter, r *http.Request) { drip(w, r, stop) },
		"cut connection":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"1 MiB of headers": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", string(make([]byte, 1<<20))) },
		"redirect to a private address": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://10.0.0.1/keys", http.StatusFound)
		},
	}
}
