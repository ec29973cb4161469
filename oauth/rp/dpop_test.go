package rp_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// holder is a client that holds a key, and a token bound to it.
type holder struct {
	a     *api
	key   signer
	token string
	n     atomic.Int64
}

func (a *api) holder(claims ...any) *holder {
	h := &holder{a: a, key: newSigner(a.t, "")}
	h.token = a.acting(append([]any{"scope", fullAccess, "cnf", map[string]string{"jkt": h.key.thumbprint()}}, claims...)...)
	return h
}

// proof is one for a request, changed by name-value pairs; a nil value takes a claim out.
func (h *holder) proof(method, url string, change ...any) string {
	sum := sha256.Sum256([]byte(h.token))
	c := map[string]any{"htm": method, "htu": url, "jti": fmt.Sprint("proof ", h.n.Add(1)), "iat": h.a.clock.Now().Unix(), "ath": b64(sum[:])}
	for i := 0; i < len(change); i += 2 {
		if c[change[i].(string)] = change[i+1]; change[i+1] == nil {
			delete(c, change[i].(string))
		}
	}
	payload, err := json.Marshal(c)
	if err != nil {
		h.a.t.Fatal(err)
	}
	return h.key.sign(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+h.key.jwk()+`}`, string(payload))
}

func (h *holder) send(method, path string, proofs ...string) reply {
	r := h.a.request(method, path, "DPoP "+h.token)
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	return h.a.do(r)
}

// TestBoundTokens: a token that is bound to a key counts with a proof of that key for this very request and token, once; with the scheme DPoP
// alone, and an unbound one with the scheme Bearer alone.
//
// Covers RFC9449-7.1-01, RFC9449-7.2-01, RFC9449-4.3-02, RFC9449-4.3-03, RFC9700-2.2.1-01, RFC8725-3.4-01, RFC7638-3-01.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	h := a.holder()
	const url = apiURL + "/me"
	a.yes("good", h.send("GET", "/me", h.proof("GET", url)), "john", "ann")
	a.yes("good, unsafe", h.send("POST", "/me", h.proof("POST", url)), "john", "ann")
	a.yes("with a query", h.send("GET", "/me?a=b", h.proof("GET", url)), "john", "ann")
	a.yes("htu with a query, and normal in another way", h.send("GET", "/me", h.proof("GET", "HTTPS://API.acme.test:443/v1/x/../%6De?c#d")), "john", "ann")
	a.yes("more in the key", h.send("GET", "/me", h.key.sign(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+h.key.jwk(`"kid":"x"`, `"alg":"ES256"`, `"use":"sig"`)+`}`,
		payloadOf(t, h.proof("GET", url)))), "john", "ann")
	used := h.proof("GET", url)
	a.yes("first use", h.send("GET", "/me", used), "john", "ann")
	a.must(a.bearer.Flush(t.Context()))
	a.taken(&a.actions)

	now := a.clock.Now().Unix()
	other := a.holder()
	stranger := &holder{a: a, key: newSigner(t, ""), token: h.token}
	with := func(jwk string) string {
		return h.key.sign(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+jwk+`}`, payloadOf(t, h.proof("GET", url)))
	}
	for what, proofs := range map[string][]string{
		"none": nil, "two": {h.proof("GET", url), h.proof("GET", url)}, "empty": {""}, "the token itself": {h.token},
		"used before": {used}, "used before, with another iat": {h.proof("GET", url, "jti", claimOf(t, used, "jti"))},
		"of a stranger's key": {stranger.proof("GET", url)}, "of another token": {h.proof("GET", url, "ath", claimOf(t, other.proof("GET", url), "ath"))},
		"no ath": {h.proof("GET", url, "ath", nil)}, "no jti": {h.proof("GET", url, "jti", nil)}, "no iat": {h.proof("GET", url, "iat", nil)},
		"of another method": {h.proof("POST", url)}, "of another path": {h.proof("GET", apiURL+"/you")}, "of another host": {h.proof("GET", "https://evil.test/v1/me")},
		"of http": {h.proof("GET", "http://api.acme.test/v1/me")}, "without the proxy's path": {h.proof("GET", "https://api.acme.test/me")}, "of a longer path": {h.proof("GET", url+"/x")},
		"10 minutes old": {h.proof("GET", url, "iat", now-600)}, "10 minutes ahead": {h.proof("GET", url, "iat", now+600)}, "a minute old": {h.proof("GET", url, "iat", now-60)},
		"off the curve":  {with(`{"crv":"P-256","kty":"EC","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`)},
		"a short x":      {with(`{"crv":"P-256","kty":"EC","x":"AA","y":"AA"}`)},
		"RSA of 512":     {with(`{"kty":"RSA","n":"` + b64(make([]byte, 64)) + `","e":"AQAB"}`)},
		"e of 1":         {with(`{"kty":"RSA","n":"` + strings.Repeat("_", 342) + `","e":"AQ"}`)},
		"a private key":  {with(strings.Replace(h.key.jwk(), "{", `{"d":"AA",`, 1))},
		"without a key":  {h.key.sign(`{"alg":"ES256","typ":"dpop+jwt"}`, payloadOf(t, h.proof("GET", url)))},
		"of another typ": {h.key.sign(`{"alg":"ES256","typ":"JWT","jwk":`+h.key.jwk()+`}`, payloadOf(t, h.proof("GET", url)))},
	} {
		r := h.send("GET", "/me", proofs...)
		a.no(what, r, http.StatusUnauthorized, "invalid_dpop_proof")
		if c := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "DPoP ") || !strings.Contains(c, `algs="ES256 EdDSA RS256"`) {
			t.Errorf("%s: the challenge is %q", what, c)
		}
	}

	for what, r := range map[string]reply{
		"as a bearer token":               a.get("/me", "Bearer "+h.token),
		"as a bearer token, with a proof": a.get("/me", "Bearer "+h.token, "DPoP", h.proof("GET", url)),
		"unbound, by DPoP":                a.get("/me", "DPoP "+a.token(), "DPoP", h.proof("GET", url)),
	} {
		a.no(what, r, http.StatusUnauthorized, "invalid_token")
	}
	a.recorded("of all that was refused")
	a.yes("and still", h.send("GET", "/me", h.proof("GET", url)), "john", "ann")

	deaf := newAPI(t, func(c *rp.BearerConfig) { c.URL = "" })
	d := deaf.holder()
	for _, scheme := range []string{"Bearer ", "DPoP "} {
		deaf.no("without a URL, by "+scheme, deaf.get("/me", scheme+d.token, "DPoP", d.proof("GET", url)), http.StatusUnauthorized, "invalid_token")
	}
}

func payloadOf(t *testing.T, token string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func claimOf(t *testing.T, token, name string) string {
	t.Helper()
	var claims map[string]any
	if err := json.Unmarshal([]byte(payloadOf(t, token)), &claims); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(claims[name])
}

// TestProofOnce: of many who bring one proof at once the first is served, however they spell the path; the same jti elsewhere is another's.
func TestProofOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	h := a.holder()
	proof := h.proof("GET", apiURL+"/me")
	paths := []string{"/me", "/%6De", "/x/../me", "/./me", "/m%65"}
	var served atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			switch h.send("GET", paths[i%len(paths)], proof).status {
			case http.StatusOK, http.StatusTemporaryRedirect: // by the app, which redirects to the clean path
				served.Add(1)
			}
		})
	}
	all.Wait()
	if n := served.Load(); n != 1 {
		t.Errorf("one proof served %d requests", n)
	}
	jti := claimOf(t, proof, "jti")
	a.yes("the same jti at another path", h.send("GET", "/you", h.proof("GET", apiURL+"/you", "jti", jti)), "john", "ann")
	a.clock.advance(30 * time.Second)
	a.no("30 s later", h.send("GET", "/me", proof), http.StatusUnauthorized, "invalid_dpop_proof")
	ahead := h.proof("GET", apiURL+"/me", "iat", a.clock.Now().Unix()+9)
	a.yes("ahead", h.send("GET", "/me", ahead), "john", "ann")
	for range 6 {
		a.clock.advance(15 * time.Second)
		a.no("again", h.send("GET", "/me", ahead), http.StatusUnauthorized, "invalid_dpop_proof")
	}
}

// TestProofNonce: who has no nonce of ours is told one, and every answer tells the next.
func TestProofNonce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(c *rp.BearerConfig) { c.DPoPNonce = true })
	h := a.holder()
	const url = apiURL + "/me"
	r := h.send("GET", "/me", h.proof("GET", url))
	a.no("no nonce", r, http.StatusUnauthorized, "use_dpop_nonce")
	nonce := r.header.Get("DPoP-Nonce")
	r = h.send("GET", "/me", h.proof("GET", url, "nonce", nonce))
	a.yes("the nonce", r, "john", "ann")
	if r.header.Get("DPoP-Nonce") == "" {
		t.Error("a good answer tells no nonce")
	}
	a.no("a made up one", h.send("GET", "/me", h.proof("GET", url, "nonce", nonce+"x")), http.StatusUnauthorized, "use_dpop_nonce")
	twin, err := rp.NewBearer(t.Context(), a.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := twin.Authenticate(t.Context(), "DPoP "+h.token, h.proof("GET", url, "nonce", nonce), "GET", "/me"); err != nil {
		t.Errorf("another process: %v", err)
	}
	a.clock.advance(4 * time.Minute)
	a.no("an old one", h.send("GET", "/me", h.proof("GET", url, "nonce", nonce)), http.StatusUnauthorized, "use_dpop_nonce")
	for what, bend := range map[string]func(*rp.BearerConfig){
		"of another secret": func(c *rp.BearerConfig) { c.ClientSecret = "another" }, "of another client": func(c *rp.BearerConfig) { c.ClientID = "another" },
	} {
		c := a.config
		bend(&c)
		other, err := rp.NewBearer(t.Context(), c)
		a.must(err)
		nonce := h.send("GET", "/me", h.proof("GET", url)).header.Get("DPoP-Nonce")
		var refusal *rp.BearerError
		_, err = other.Authenticate(t.Context(), "DPoP "+h.token, h.proof("GET", url, "nonce", nonce), "GET", "/me")
		if !errors.As(err, &refusal) || refusal.Code != "use_dpop_nonce" {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// TestSharedOnce: several processes share what remembers proofs, and where it cannot tell nobody is served.
func TestSharedOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var broken error
	spent := map[string]bool{}
	a := newAPI(t, nil)
	once := func(_ context.Context, key string, until time.Time) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if left := until.Sub(a.clock.Now()); len(key) != 43 || left <= 0 || left > 71*time.Second {
			t.Errorf("asked for %q, for %v", key, left)
		}
		first := !spent[key]
		spent[key] = true
		return first, broken
	}
	a.config.Once = once
	h := a.holder()
	proof := h.proof("GET", apiURL+"/me")
	ask := func(proof string) *rp.BearerError {
		b, err := rp.NewBearer(t.Context(), a.config) // another process
		if err != nil {
			t.Fatal(err)
		}
		var refusal *rp.BearerError
		_, err = b.Authenticate(t.Context(), "DPoP "+h.token, proof, "GET", "/me")
		errors.As(err, &refusal)
		return refusal
	}
	if refusal := ask(proof); refusal != nil {
		t.Errorf("the first process: %v", refusal)
	}
	if refusal := ask(proof); refusal == nil || refusal.Code != "invalid_dpop_proof" {
		t.Errorf("the second process: %v", refusal)
	}
	broken = errors.New("away")
	if refusal := ask(h.proof("GET", apiURL+"/me")); refusal == nil || refusal.Status != http.StatusServiceUnavailable {
		t.Errorf("got %v, want 503", refusal)
	}
}
