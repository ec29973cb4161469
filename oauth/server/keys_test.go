package server_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// operator is the command line on the store of the house.
func (h *house) operator() *admin.Admin {
	h.t.Helper()
	ad, err := admin.New(admin.Config{
		Store: h.store, Registry: policy.Default(), Issuer: h.issuer, By: oauth.Party{Issuer: "cli", Subject: "op"}, Now: h.clock.Now,
		SealingKey: func(context.Context) ([]byte, error) { return h.sealingKey, nil },
	})
	h.must(err)
	return ad
}

// keySet reads the JWKS as a stranger does, and demands that no two keys have one kid.
func (h *house) keySet() jose.JSONWebKeySet {
	h.t.Helper()
	var set jose.JSONWebKeySet
	h.must(json.Unmarshal([]byte(h.get("/oauth2/jwks", "").body), &set))
	seen := make(map[string]bool)
	for _, k := range set.Keys {
		if k.KeyID == "" || seen[k.KeyID] {
			h.t.Errorf("the JWKS has the kid %q twice, or none", k.KeyID)
		}
		seen[k.KeyID] = true
	}
	return set
}

// published verifies a token by nothing but the JWKS and a library that is not ours, and gives its header and claims.
func (h *house) published(token string) (header jose.Header, claims map[string]any) {
	h.t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256})
	h.must(err)
	header = jws.Signatures[0].Header
	found := h.keySet()
	keys := found.Key(header.KeyID)
	if len(keys) != 1 || keys[0].Algorithm != header.Algorithm || keys[0].Use != "sig" {
		h.t.Fatalf("the JWKS has %v for a token of %s by %s", keys, header.Algorithm, header.KeyID)
	}
	payload, err := jws.Verify(keys[0])
	h.must(err)
	h.must(json.Unmarshal(payload, &claims))
	return header, claims
}

// signIn redeems a code with a nonce.
func (h *house) signIn(cookie, client, nonce string) reply {
	h.t.Helper()
	r := h.authorize(cookie, func(q url.Values) { q.Set("client_id", client); q.Set("nonce", nonce); q.Set("scope", actorScope) })
	if r.location == nil || !r.location.Query().Has("code") {
		h.t.Fatalf("authorization: got %d %v %s", r.status, r.location, r.body)
	}
	answer := h.post("/oauth2/token", client, redeem(r.location.Query().Get("code")))
	if answer.status != http.StatusOK {
		h.t.Fatalf("token: got %d %s", answer.status, answer.body)
	}
	return answer
}

// halfHash is at_hash by OpenID Connect Core §3.1.3.6, and for Ed25519 by the hash that it is made of.
func halfHash(algorithm, token string) string {
	full := sha256.Sum256([]byte(token))
	half := full[:16]
	if algorithm == "EdDSA" {
		full := sha512.Sum512([]byte(token))
		half = full[:32]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

// TestAlgorithms: whatever the server signs with, each token verifies by the JWKS alone, and ID tokens are signed as their client is
// registered, with an at_hash of that algorithm. What is not signed, or by a key that is not published, is inactive.
//
// Covers RFC9068-2.1-01, RFC9068-2.1-02, OIDC-2-01, RFC7517-5-01.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			h := setup(t, options{algorithm: algorithm})
			h.wholeStory(algorithm)
		})
	}
}

// wholeStory signs in at clients of every algorithm that is announced, impersonates, and looks at each token.
func (h *house) wholeStory(algorithm string) {
	h.t.Helper()
	cookie, _ := h.login("ann")
	announced := h.get("/.well-known/openid-configuration", "").json["id_token_signing_alg_values_supported"].([]any)
	if !slices.Contains(announced, any("RS256")) || !slices.Contains(announced, any(algorithm)) {
		h.t.Errorf("announced for ID tokens: %v; want RS256 and %s", announced, algorithm)
	}
	h.idToken(cookie, "app", algorithm)
	for _, a := range announced {
		h.addClientWith("for "+a.(string), nil, store.Settings{IDTokenAlg: a.(string)})
		h.idToken(cookie, "for "+a.(string), a.(string))
	}
	s := h.start("ann", "app", "john", "read")
	if header, claims := h.published(s.token); header.Algorithm != algorithm || header.ExtraHeaders["typ"] != "at+jwt" || claims["sub"] != "john" {
		h.t.Errorf("the impersonation: got %v %v; want %s", header, claims, algorithm)
	}
	if !h.active("app", s.token) || h.userinfo(s.token).str("sub") != "john" {
		h.t.Error("the impersonation does not count")
	}
	h.forged(s.token)
	if stop := h.post("/oauth2/token", "app", stopForm(s.ret)); stop.status != http.StatusOK {
		h.t.Errorf("stop: got %d %s", stop.status, stop.body)
	} else if header, _ := h.published(stop.str("access_token")); header.Algorithm != algorithm {
		h.t.Errorf("after the stop: got %v; want %s", header, algorithm)
	}
}

// idToken signs in at client and looks at both tokens.
func (h *house) idToken(cookie, client, algorithm string) {
	h.t.Helper()
	r := h.signIn(cookie, client, "nonce of "+client)
	access, id := r.str("access_token"), r.str("id_token")
	header, claims := h.published(id)
	if header.Algorithm != algorithm || header.ExtraHeaders["typ"] != "JWT" {
		h.t.Errorf("%s: ID token by %v; want %s", client, header, algorithm)
	}
	iat, exp := claims["iat"].(float64), claims["exp"].(float64)
	if claims["iss"] != h.issuer || claims["sub"] != "ann" || claims["aud"] != client || claims["nonce"] != "nonce of "+client || exp <= iat {
		h.t.Errorf("%s: ID token = %v", client, claims)
	}
	if want := halfHash(algorithm, access); claims["at_hash"] != want {
		h.t.Errorf("%s: at_hash %v; want %s", client, claims["at_hash"], want)
	}
	if h.published(access); h.userinfo(access).str("sub") != "ann" {
		h.t.Errorf("%s: its access token opens nothing", client)
	}
}

// forged bends a token that is active: alg none, no signature, HS256 by the client's own secret, another's key.
func (h *house) forged(token string) {
	h.t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	h.must(err)
	signed := func(alg jose.SignatureAlgorithm, key any) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("at+jwt"))
		h.must(err)
		jws, err := signer.Sign(payload)
		h.must(err)
		out, err := jws.CompactSerialize()
		h.must(err)
		return out
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	kid := h.keySet().Keys[0].KeyID
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	for name, bent := range map[string]string{
		"alg none":            none + "." + parts[1] + ".",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"two parts":           parts[0] + "." + parts[1],
		"HS256":               signed(jose.HS256, []byte(h.secrets["app"])),
		"another's key":       signed(jose.ES256, ec),
		"another's, our kid":  signed(jose.ES256, jose.JSONWebKey{Key: ec, KeyID: kid}),
		"signature of others": parts[0] + "." + parts[1] + "." + strings.Split(signed(jose.ES256, ec), ".")[2],
	} {
		if h.active("app", bent) {
			h.t.Errorf("%s: is active", name)
		}
	}
}

// awayKey is a key that this process does not hold, as behind the interface of a KMS.
type awayKey struct {
	public crypto.PublicKey
	sign   func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
	calls  atomic.Int64
}

func (k *awayKey) Public() crypto.PublicKey { return k.public }

func (k *awayKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.calls.Add(1)
	return k.sign(digest, opts)
}

func newAwayKey(t *testing.T, signer crypto.Signer) (*awayKey, tokens.Key) {
	t.Helper()
	away := &awayKey{public: signer.Public(), sign: func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return signer.Sign(rand.Reader, digest, opts)
	}}
	key, err := tokens.FromSigner(away)
	if err != nil {
		t.Fatal(err)
	}
	return away, key
}

// TestKeysOfTheProgram: with keys in a KMS the whole story is signed there, and the store has no key at all.
func TestKeysOfTheProgram(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	away, first := newAwayKey(t, ec)
	awayRSA, second := newAwayKey(t, rs)
	h := setup(t, options{keys: []tokens.Key{first, second}})
	before, beforeRSA := away.calls.Load(), awayRSA.calls.Load()
	h.wholeStory("ES256")
	if away.calls.Load() == before || awayRSA.calls.Load() == beforeRSA {
		t.Error("somebody else signed")
	}
	if rows, err := h.store.SigningKeys(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("the store has %d keys, %v; want none", len(rows), err)
	}
	if set := h.keySet(); len(set.Keys) != 2 || len(set.Key(first.ID)) != 1 || len(set.Key(second.ID)) != 1 {
		t.Errorf("the JWKS is %v; want the two of the program", set)
	}
}

// TestKeyAwayFails: while whoever holds the key does not sign, a start leaves no session and a stop ends its own; then both go on.
func TestKeyAwayFails(t *testing.T) { onBoth(t, testKeyAwayFails) }

func testKeyAwayFails(t *testing.T, o options) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	away, key := newAwayKey(t, ec)
	o.keys = []tokens.Key{key}
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	cookie, _ := h.login("bea")
	actor := h.token(cookie, "app", actorScope)
	start := func() reply {
		t.Helper()
		return h.post("/oauth2/token", "app", startForm(h.ticket(cookie, "app", "eve", "read"), actor))
	}
	works := away.sign
	away.sign = func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, errors.New("nobody there") }
	refused(t, start(), http.StatusInternalServerError, "server_error")
	if live := h.live(); len(live) != 1 || live[0].Actor != "ann" {
		t.Errorf("alive after a start that nobody signed: %v; want ann's alone", live)
	}
	refused(t, h.post("/oauth2/token", "app", stopForm(s.ret)), http.StatusInternalServerError, "server_error")
	if live := h.live(); len(live) != 0 {
		t.Errorf("alive after a stop that nobody signed: %v; want none", live)
	}
	away.sign = works
	if r := start(); r.status != http.StatusOK {
		t.Errorf("the next start: got %d %s", r.status, r.body)
	}
}

// TestStopWithoutIDTokenKey: no exchange gives an ID token, so neither needs the key that a client's ID tokens are signed with.
func TestStopWithoutIDTokenKey(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	next := h.replica(options{keys: []tokens.Key{h.newKey(tokens.ES256)}})
	next.addClientWith("rs", []string{resource}, store.Settings{IDTokenAlg: tokens.RS256})
	s := h.start("ann", "rs", "john", "read")
	waiting := startForm(h.ticket(s.cookie, "rs", "eve", "read"), s.actor)
	refused(t, next.post("/oauth2/token", "rs", redeem("any")), http.StatusServiceUnavailable, "temporarily_unavailable")
	if r := next.post("/oauth2/token", "rs", stopForm(s.ret)); r.status != http.StatusOK || next.active("rs", s.token) {
		t.Errorf("stop: got %d %s", r.status, r.body)
	}
	if r := next.post("/oauth2/token", "rs", waiting); r.status != http.StatusOK {
		t.Errorf("start: got %d %s", r.status, r.body)
	}
}

// TestMoveToOwnKeys: beside the program's own keys those of the store still verify, and sign nothing.
func TestMoveToOwnKeys(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	before := h.start("ann", "app", "john", "read")
	own := h.newKey(tokens.EdDSA)
	next := h.replica(options{keys: []tokens.Key{own}})
	if !next.active("app", before.token) {
		t.Error("a token of before is inactive")
	}
	cookie, _ := next.login("bea")
	if header, _ := next.published(next.token(cookie, "app", "openid")); header.KeyID != own.ID {
		t.Errorf("signed by %v; want the program's own key", header)
	}
	next.addClientWith("rs", nil, store.Settings{IDTokenAlg: "RS256"})
	r := next.authorize(cookie, func(q url.Values) { q.Set("client_id", "rs") })
	if r.location == nil || r.location.Query().Get("error") != "temporarily_unavailable" {
		t.Errorf("a client for RS256, which nothing signs: got %d %v", r.status, r.location)
	}
	if r := next.post("/oauth2/token", "rs", redeem("any")); r.status != http.StatusServiceUnavailable {
		t.Errorf("its token request: got %d %s; want 503 before anything is spent", r.status, r.body)
	}
}

// TestJWKS: public keys alone, each fit for its algorithm, with what caches ask for.
//
// Covers RFC7517-9.2-01, RFC7517-5-01.
func TestJWKS(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	_, err := h.operator().RotateKey(t.Context(), "EdDSA", false)
	h.must(err)
	var r reply
	within(t, "the JWKS has the new key", func() error {
		if r = h.get("/oauth2/jwks", ""); strings.Count(r.body, `"kid"`) != 3 {
			return fmt.Errorf("got %s", r.body)
		}
		return nil
	})
	for _, k := range r.json["keys"].([]any) {
		k := k.(map[string]any)
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, ok := k[private]; ok {
				t.Errorf("the JWKS has the member %s: %v", private, k)
			}
		}
		if want := map[any]any{"ES256": "EC", "EdDSA": "OKP", "RS256": "RSA"}[k["alg"]]; want == nil || k["kty"] != want || k["use"] != "sig" {
			t.Errorf("got %v", k)
		}
	}
	for _, k := range h.keySet().Keys { // go-jose looks at the point
		if rs, ok := k.Key.(*rsa.PublicKey); !k.Valid() || !k.IsPublic() || ok && rs.N.BitLen() < 2048 {
			t.Errorf("%s is no good key: %v", k.KeyID, k.Key)
		}
	}
	for _, path := range []string{"/oauth2/jwks", "/.well-known/openid-configuration"} {
		h.cached(path)
	}
}

// cached demands the headers of caches, and a 304 for who has the document.
func (h *house) cached(path string) {
	h.t.Helper()
	first := h.get(path, "")
	tag := first.header.Get("ETag")
	if first.status != http.StatusOK || first.header.Get("Cache-Control") != "public, max-age=300" || len(tag) < 10 {
		h.t.Errorf("%s: got %d %v; want 200, five minutes and an ETag", path, first.status, first.header)
	}
	for name, c := range map[string]struct {
		have string
		want int
	}{"the same": {tag, 304}, "one of some": {`"x", ` + tag, 304}, "weak": {"W/" + tag, 304}, "another": {`"x"`, 200}} {
		r := h.send(call{method: "GET", path: path}.with("If-None-Match", c.have))
		if r.status != c.want || (r.body == "") != (c.want == 304) || r.header.Get("ETag") != tag {
			h.t.Errorf("%s, %s: got %d with %d bytes; want %d", path, name, r.status, len(r.body), c.want)
		}
	}
}
