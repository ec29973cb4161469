package server_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBoundFromSignInToStop is the whole story with one key: every token is of type DPoP and says so at introspection too.
//
// Covers RFC9449-5-01, RFC9449-6-01, RFC8693-2.2.1-05, RFC8693-2.2.1-07.
func TestBoundFromSignInToStop(t *testing.T) { onBoth(t, testBoundFromSignInToStop) }

func testBoundFromSignInToStop(t *testing.T, o options) {
	h := setup(t, o)
	p := newProver(h).learns()
	bound := func(what string, r reply) string {
		t.Helper()
		_, payload := claims(t, r.str("access_token"))
		if diff := cmp.Diff(map[string]any{"jkt": p.jkt}, payload["cnf"]); r.status != http.StatusOK || r.str("token_type") != "DPoP" || diff != "" {
			t.Fatalf("%s: got %d %s; cnf, -want +got:\n%s", what, r.status, r.body, diff)
		}
		seen := h.post("/oauth2/introspect", "app", url.Values{"token": {r.str("access_token")}})
		if diff := cmp.Diff(map[string]any{"jkt": p.jkt}, seen.json["cnf"]); seen.str("token_type") != "DPoP" || diff != "" {
			t.Errorf("%s: introspection = %s\n%s", what, seen.body, diff)
		}
		return r.str("access_token")
	}
	cookie, _ := h.login("ann")
	actor := bound("code", p.post("app", redeem(p.boundCode(cookie, "app", actorScope))))
	start := p.post("app", startForm(h.ticket(cookie, "app", "john", "read"), actor))
	token := bound("start", start)
	if info := p.userinfo("DPoP", token, p.proof("GET", "/userinfo", token)); info.status != http.StatusOK || info.str("sub") != "john" {
		t.Errorf("userinfo: got %d %s", info.status, info.body)
	}
	back := bound("stop", p.post("app", stopForm(start.str("understudy_return_token"))))
	if info := p.userinfo("DPoP", back, p.proof("GET", "/userinfo", back)); info.status != http.StatusOK || info.str("sub") != "ann" {
		t.Errorf("userinfo after the stop: got %d %s", info.status, info.body)
	}
	if h.active("app", token) {
		t.Error("the impersonation token is active after the stop")
	}

	// Without a proof all of it is Bearer, and works as such.
	plain := h.start("ann", "app", "john", "read")
	unbound := h.post("/oauth2/token", "app", stopForm(plain.ret))
	for what, r := range map[string]reply{"start": plain.reply, "stop": unbound} {
		if _, payload := claims(t, r.str("access_token")); r.str("token_type") != "Bearer" || payload["cnf"] != nil {
			t.Errorf("%s without a proof: token_type %q, claims %v", what, r.str("token_type"), payload)
		}
	}
	if r := h.userinfo(unbound.str("access_token")); r.status != http.StatusOK {
		t.Errorf("userinfo by a bearer token: got %d %s", r.status, r.body)
	}
	h.sound(token)
}

// TestBoundToThePresenter: the impersonation token is bound to the key of who starts, never to one that a token brought along, and an
// actor token without a key lends it none.
func TestBoundToThePresenter(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	r := p.post("app", startForm(h.ticket(cookie, "app", "john", "read"), h.token(cookie, "app", actorScope)))
	_, payload := claims(t, r.str("access_token"))
	if diff := cmp.Diff(map[string]any{"jkt": p.jkt}, payload["cnf"]); r.status != http.StatusOK || diff != "" {
		t.Errorf("start: got %d %s\n%s", r.status, r.body, diff)
	}
	s := h.start("ann", "app", "john", "read") // a bearer's session may become bound by its stop
	r = p.post("app", stopForm(s.ret))
	if _, payload = claims(t, r.str("access_token")); payload["cnf"] == nil {
		t.Errorf("stop with a proof: claims %v", payload)
	}
}

// TestThumbprintOfBareKey: cnf.jkt is that of the bare key, whatever else its JWK says.
//
// Covers RFC7638-3-01.
func TestThumbprintOfBareKey(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	more := func(header, _ map[string]any) {
		for name, value := range map[string]any{"kid": "k1", "alg": "ES256", "use": "sig", "aaa": "first"} {
			header["jwk"].(map[string]any)[name] = value
		}
	}
	r := h.sent("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")), p.proof("POST", "/oauth2/token", "", more))
	_, payload := claims(t, r.str("access_token"))
	if diff := cmp.Diff(map[string]any{"jkt": p.jkt}, payload["cnf"]); diff != "" {
		t.Errorf("got %d %s; cnf, -want +got:\n%s", r.status, r.body, diff)
	}
}

// TestProofIsForTheIssuer: htu is compared with the configured issuer, normalised, and never with what Host says.
//
// Covers RFC9449-4.3-02.
func TestProofIsForTheIssuer(t *testing.T) {
	t.Parallel()
	inner := setup(t, options{})
	outer := *inner
	outer.issuer = "https://as.example"
	h := &outer
	h.serve(options{})
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	send := func(method, url string) reply {
		return h.sent("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")), p.proof("POST", "/oauth2/token", "", claim("htm", method), claim("htu", url)))
	}
	for _, good := range []string{
		"https://as.example/oauth2/token", "https://as.example:443/oauth2/token", "HTTPS://AS.example/oauth2/token", "https://as.example/oauth2/%74oken",
		"https://as.example/oauth2/token?x=1#y",
	} {
		if r := send("POST", good); r.status != http.StatusOK {
			t.Errorf("htu %s: got %d %s", good, r.status, r.body)
		}
	}
	for _, bad := range []string{
		h.url + "/oauth2/token", "http://as.example/oauth2/token", "https://as.example:8443/oauth2/token", "https://evil.example/oauth2/token",
		"https://as.example/oauth2/par", "https://as.example/userinfo", "/oauth2/token", "https://as.example/oauth2/token/",
	} {
		refused(t, send("POST", bad), 400, "invalid_dpop_proof")
	}
	refused(t, send("GET", "https://as.example/oauth2/token"), 400, "invalid_dpop_proof")
	refused(t, send("post", "https://as.example/oauth2/token"), 400, "invalid_dpop_proof")
}

// TestProofWithABadKey: a public key is checked before anything is verified with it, and no member comes twice.
//
// Covers RFC8725-3.4-01, RFC7519-4-01.
func TestProofWithABadKey(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	key := func(change map[string]any) twist {
		return func(header, _ map[string]any) {
			jwk := header["jwk"].(map[string]any)
			for name, value := range change {
				jwk[name] = value
			}
		}
	}
	rsa := func(n int, e string) twist {
		return func(header, _ map[string]any) {
			modulus := make([]byte, n/8)
			modulus[0], modulus[len(modulus)-1] = 0xff, 1
			header["alg"], header["jwk"] = "RS256", map[string]any{"kty": "RSA", "n": b64(modulus), "e": e}
		}
	}
	x := p.jwk()["x"].(string)
	for name, b := range map[string]twist{
		"off the curve":    key(map[string]any{"x": b64(make([]byte, 32))}),
		"x and y the same": key(map[string]any{"y": x}),
		"short x":          key(map[string]any{"x": x[:40]}),
		"private":          key(map[string]any{"d": x}),
		"RSA of 512 bits":  rsa(512, "AQAB"),
		"e of 1":           rsa(2048, "AQ"),
		"symmetric": func(header, _ map[string]any) {
			header["alg"], header["jwk"] = "HS256", map[string]any{"kty": "oct", "k": x}
		},
		"alg none":      func(header, _ map[string]any) { header["alg"] = "none" },
		"no key":        func(header, _ map[string]any) { delete(header, "jwk") },
		"another's typ": func(header, _ map[string]any) { header["typ"] = "at+jwt" },
	} {
		r := h.sent("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")), p.proof("POST", "/oauth2/token", "", b))
		t.Run(name, func(t *testing.T) { refused(t, r, 400, "invalid_dpop_proof") })
	}
	for name, part := range map[string]int{`{"alg":"ES256",`: 0, `{"htu":"https://evil.example/",`: 1} {
		parts := strings.Split(p.proof("POST", "/oauth2/token", ""), ".")
		for i := range 2 {
			b, err := base64.RawURLEncoding.DecodeString(parts[i])
			h.must(err)
			parts[i] = string(b)
		}
		parts[part] = strings.Replace(parts[part], "{", name, 1)
		r := h.sent("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")), p.sign(parts[0], parts[1]))
		t.Run(name, func(t *testing.T) { refused(t, r, 400, "invalid_dpop_proof") })
	}
}

// TestProofInItsTime: a proof is good for a minute and once.
//
// Covers RFC9449-4.3-03.
func TestProofInItsTime(t *testing.T) { onBoth(t, testProofInItsTime) }

func testProofInItsTime(t *testing.T, o options) {
	h := setup(t, o)
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	send := func(proof string) reply {
		return h.sent("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")), proof)
	}
	at := func(d time.Duration) twist { return claim("iat", h.clock.Now().Add(d).Unix()) }
	for _, off := range []time.Duration{-10 * time.Minute, -61 * time.Second, 30 * time.Second, 10 * time.Minute} {
		refused(t, send(p.proof("POST", "/oauth2/token", "", at(off))), 400, "invalid_dpop_proof")
	}
	proof := p.proof("POST", "/oauth2/token", "", at(-50*time.Second))
	if r := send(proof); r.status != http.StatusOK {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	r := send(proof)
	refused(t, r, 400, "invalid_dpop_proof")
	if !strings.Contains(r.body, "used before") || strings.Contains(r.body, proof) {
		t.Errorf("the answer to a replay: %s", r.body)
	}
	// Another key may have the same jti, and the same key may at another address.
	same := claim("jti", "same")
	q := newProver(h).learns()
	token := p.actor(cookie, "app", "openid")
	for who, r := range map[string]reply{
		"one":     send(p.proof("POST", "/oauth2/token", "", same)),
		"another": send(q.proof("POST", "/oauth2/token", "", same)),
		"address": p.userinfo("DPoP", token, p.proof("GET", "/userinfo", token, same)),
	} {
		if r.status != http.StatusOK {
			t.Errorf("%s: got %d %s", who, r.status, r.body)
		}
	}
}

// TestProofOfEachAlgorithm: every algorithm that the metadata announces for proofs works, and the key is bound by its bare thumbprint.
func TestProofOfEachAlgorithm(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	public, private, err := ed25519.GenerateKey(rand.Reader)
	h.must(err)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	h.must(err)
	x, n := b64(public), b64(big.N.Bytes())
	own := p.jwk()
	for name, alg := range map[string]struct {
		jwk  map[string]any
		bare string // RFC 7638 §3.2, RFC 8037 §2
		sign func(input string) []byte
	}{
		"ES256": {own, `{"crv":"P-256","kty":"EC","x":"` + own["x"].(string) + `","y":"` + own["y"].(string) + `"}`, nil},
		"EdDSA": {map[string]any{"kty": "OKP", "crv": "Ed25519", "x": x}, `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`,
			func(input string) []byte { return ed25519.Sign(private, []byte(input)) }},
		"RS256": {map[string]any{"kty": "RSA", "n": n, "e": "AQAB"}, `{"e":"AQAB","kty":"RSA","n":"` + n + `"}`, func(input string) []byte {
			digest := sha256.Sum256([]byte(input))
			signature, err := rsa.SignPKCS1v15(rand.Reader, big, crypto.SHA256, digest[:])
			h.must(err)
			return signature
		}},
	} {
		proof := p.proof("POST", "/oauth2/token", "", func(header, _ map[string]any) { header["alg"], header["jwk"] = name, alg.jwk })
		if alg.sign != nil {
			input := proof[:strings.LastIndexByte(proof, '.')]
			proof = input + "." + b64(alg.sign(input))
		}
		r := h.sent("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")), proof)
		if r.status != http.StatusOK {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
			continue
		}
		sum := sha256.Sum256([]byte(alg.bare))
		_, payload := claims(t, r.str("access_token"))
		if diff := cmp.Diff(map[string]any{"jkt": b64(sum[:])}, payload["cnf"]); diff != "" {
			t.Errorf("%s: cnf, -want +got:\n%s", name, diff)
		}
	}
	announced := h.get("/.well-known/openid-configuration", "").json["dpop_signing_alg_values_supported"]
	if diff := cmp.Diff([]any{"ES256", "EdDSA", "RS256"}, announced); diff != "" {
		t.Errorf("announced, -want +got:\n%s", diff)
	}
}
