package tokens_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// door is a place where a JWT of somebody else's comes in: what a good header and payload look like there, and how it is read.
type door struct {
	name, header, payload string
	read                  func(token string) error
}

// doors are all that there are, for one client with one key.
func doors(t testing.TB, k tokens.Key) []door {
	t.Helper()
	expect := expectAssertion(t, k)
	return []door{
		{"assertion", assertionHeader(k), assertionPayload, func(token string) error { _, err := tokens.VerifyAssertion(token, expect); return err }},
		{"proof", proofHeader(t, k), proofPayload, func(token string) error { _, err := tokens.VerifyProof(token, expectProof); return err }},
		{"foreign token", foreignHeader(k), foreignPayload, func(token string) error { _, err := tokens.VerifyForeign(token, expectForeign(t, k)); return err }},
		{"signed by an issuer", `{"alg":"` + k.Algorithm + `","typ":"JWT"}`, `{"iss":"https://idp.test"}`, func(token string) error {
			_, err := tokens.VerifySigned(token, tokens.ExpectSigned{
				Types: []string{"jwt"}, Algorithms: tokens.Algorithms(), MaxLength: tokens.MaxLength, Keys: func(string) ([]tokens.PublicKey, error) { return expect.Keys, nil },
			})
			return err
		}},
		{"JWS", `{"alg":"` + k.Algorithm + `"}`, "any", func(token string) error { _, err := tokens.VerifyJWS(token, expect.Keys); return err }},
	}
}

// refusesAtDoors makes of each good token a bad one, for each algorithm and door, and wants a refusal with one of errs, without what was sent in its text.
func refusesAtDoors(t *testing.T, forge func(t *testing.T, k tokens.Key, d door) map[string]string, errs ...error) {
	t.Helper()
	for _, k := range clientKeys() {
		for _, d := range doors(t, k) {
			if err := d.read(compact(t, k, d.header, d.payload)); err != nil {
				t.Fatalf("%s, %s: the good one: %v", k.Algorithm, d.name, err)
			}
			for name, token := range forge(t, k, d) {
				err := d.read(token)
				if !slices.ContainsFunc(errs, func(want error) bool { return errors.Is(err, want) }) {
					t.Fatalf("%s, %s, %s: got %v, want one of %v", k.Algorithm, d.name, name, err, errs)
				}
				if len(token) > 20 && strings.Contains(err.Error(), token) {
					t.Errorf("%s, %s, %s: the text quotes the token", k.Algorithm, d.name, name)
				}
				describes(t, err)
			}
		}
	}
}

// describes wants a text that can stand in an error_description (RFC 6749 §5.2).
func describes(t *testing.T, err error) {
	t.Helper()
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		t.Errorf("%q cannot be an error_description", err)
	}
}

// extend puts members first in an object.
func extend(header, members string) string {
	return `{` + members + `,` + strings.TrimPrefix(header, `{`)
}

// headersRefused signs with each of the headers that extend makes.
func headersRefused(t *testing.T, members ...string) {
	t.Helper()
	refusesAtDoors(t, func(t *testing.T, k tokens.Key, d door) map[string]string {
		forged := make(map[string]string)
		for _, m := range members {
			forged[m] = compact(t, k, extend(d.header, m), d.payload)
		}
		return forged
	}, tokens.ErrMalformed)
}

// Covers RFC7515-4.1.11-01.
func TestCritIsRefused(t *testing.T) {
	t.Parallel()
	headersRefused(t, `"crit":["exp-foo"],"exp-foo":1`, `"crit":[]`, `"crit":["b64"],"b64":false`, `"crit":["alg"]`, `"crit":null`, `"crit":""`, `"crit":"exp"`,
		`"crit":{}`, `"crit":1`, `"CRIT":["exp"]`, `"cr\u0131t":[],"crit":[]`, `"b64":false`, `"b64":true`, `"B64":false`)
}

// A detached payload is no exception.
func TestUnencodedPayloadIsRefused(t *testing.T) {
	t.Parallel()
	refusesAtDoors(t, func(t *testing.T, k tokens.Key, d door) map[string]string {
		header := b64([]byte(extend(d.header, `"b64":false,"crit":["b64"]`)))
		signature, err := k.SignRaw(header + "." + d.payload)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"attached": header + "." + d.payload + "." + b64(signature), "detached": header + ".." + b64(signature)}
	}, tokens.ErrMalformed)
}

// The key that a header offers signs the token, and is registered nowhere. Nothing is fetched either, for which the package has no means:
// see walls in oauth/deps_test.go.
//
// Covers RFC7515-4.1.2-01.
func TestOfferedKeysAreRefused(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	attacker := newKey(t)
	jwks := newKeySet(t, attacker).JWKS()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(jwks)
	}))
	defer server.Close()
	jwk := bareJWK(t, attacker.Signer().Public())
	k := clientKey()
	offers := []string{`"jku":"` + server.URL + `"`, `"x5u":"` + server.URL + `"`, `"x5c":["AA"]`, `"x5c":[]`, `"JKU":"` + server.URL + `"`, `"X5C":["AA"]`, `"jku":null`}
	for _, d := range doors(t, k) {
		for _, offer := range offers {
			for _, signer := range []tokens.Key{k, attacker} {
				if err := d.read(compact(t, signer, extend(d.header, offer), d.payload)); !errors.Is(err, tokens.ErrMalformed) {
					t.Errorf("%s, %s: got %v, want ErrMalformed", d.name, offer, err)
				}
			}
		}
		if d.name == "proof" {
			continue // its jwk is the key, by design
		}
		for _, offer := range []string{`"jwk":` + jwk, `"jwk":` + bareJWK(t, k.Signer().Public()), `"Jwk":` + jwk, `"jwk":null`} {
			for _, signer := range []tokens.Key{k, attacker} {
				if err := d.read(compact(t, signer, extend(d.header, offer), d.payload)); !errors.Is(err, tokens.ErrMalformed) {
					t.Errorf("%s, %s: got %v, want ErrMalformed", d.name, offer, err)
				}
			}
		}
	}
	// A token of our own form, forged.
	set := newKeySet(t, k)
	for _, offer := range append(offers, `"jwk":`+jwk) {
		if _, err := set.Verify(compact(t, attacker, extend(header(k), offer), payload), expect); !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("access token, %s: got %v, want ErrSignature", offer, err)
		}
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

// Covers RFC8725-3.1-01.
func TestAlgorithmsBeyondTheList(t *testing.T) {
	t.Parallel()
	refusesAtDoors(t, func(t *testing.T, k tokens.Key, d door) map[string]string {
		forged := make(map[string]string)
		was := `"alg":"` + k.Algorithm + `"`
		for _, alg := range []string{"none", "NONE", "noNE", "None", "HS256", "PS256", "RS384", "ES384", "ES256K", "Ed25519", "Ed448", "es256", "ES256 ", "RSA-OAEP", "dir"} {
			token := compact(t, k, with(t, d.header, was, `"alg":"`+alg+`"`), d.payload)
			forged[alg] = token
			forged[alg+", no signature"] = token[:strings.LastIndexByte(token, '.')+1]
		}
		return forged
	}, tokens.ErrSignature)
	refusesAtDoors(t, func(t *testing.T, k tokens.Key, d door) map[string]string {
		forged := make(map[string]string)
		was := `"alg":"` + k.Algorithm + `"`
		for _, alg := range []string{`"alg":""`, `"alg":null`, `"alg":["ES256"]`, `"alg":0`, `"x":1`, `"ALG":"ES256"`} {
			forged[alg] = compact(t, k, with(t, d.header, was, alg), d.payload)
		}
		return forged
	}, tokens.ErrMalformed, tokens.ErrSignature)
	for _, alg := range []string{"none", "HS256", ""} {
		if client, err := tokens.AssertionClient(compact(t, clientKey(), `{"alg":"`+alg+`"}`, assertionPayload)); err == nil {
			t.Errorf("AssertionClient, %q: got %q", alg, client)
		}
	}
}

// A header that names another algorithm than the key's: public keys as HMAC secrets in all of their spellings, and keys under algorithms that others
// would take them for.
//
// Covers RFC8725-3.1-02.
func TestAlgorithmOfTheKeyAlone(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	refusesAtDoors(t, func(t *testing.T, k tokens.Key, d door) map[string]string {
		public := k.Signer().Public()
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		jwks := newKeySet(t, k).JWKS()
		forged := make(map[string]string)
		for name, secret := range map[string][]byte{
			"DER": der, "PEM": text, "PEM, trimmed": []byte(strings.TrimSpace(string(text))), "PEM, space before": append([]byte(" "), text...),
			"PEM, CRLF": []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), "JWK": []byte(bareJWK(t, public)), "JWK Set": jwks, "kid": []byte(k.ID), "empty": nil,
		} {
			forged["HS256, "+name] = hs256(with(t, d.header, `"alg":"`+k.Algorithm+`"`, `"alg":"HS256"`), d.payload, secret)
		}
		for other, otherKey := range clientKeys() {
			if other != k.Algorithm {
				forged["the header of "+other] = compact(t, k, with(t, d.header, `"alg":"`+k.Algorithm+`"`, `"alg":"`+other+`"`), d.payload)
				forged["signed by "+other] = compact(t, otherKey, d.header, d.payload)
			}
		}
		forged["ES256 by P-384"] = es256Raw(t, p384, d.header, d.payload)
		return forged
	}, tokens.ErrSignature)

	// PS256 by a key for RS256, under either name.
	k := clientKeys()[tokens.RS256]
	for _, d := range doors(t, k) {
		for _, alg := range []string{"PS256", "RS256"} {
			input := b64([]byte(with(t, d.header, `"RS256"`, `"`+alg+`"`))) + "." + b64([]byte(d.payload))
			digest := sha256.Sum256([]byte(input))
			signature, err := rsa.SignPSS(rand.Reader, k.Signer().(*rsa.PrivateKey), crypto.SHA256, digest[:], nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.read(input + "." + b64(signature)); !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("%s: a PSS signature as %s: got %v, want ErrSignature", d.name, alg, err)
			}
		}
	}
}

func hs256(header, payload string, secret []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// es256Raw signs by any curve, cut to the form of ES256.
func es256Raw(t *testing.T, k *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	cut := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 48))[16:] }
	return input + "." + b64(slices.Concat(cut(r), cut(s)))
}

// Covers RFC8725-3.3-01.
func TestECDSASignaturesOfTheWrongForm(t *testing.T) {
	t.Parallel()
	k := clientKey()
	zero, order := make([]byte, 32), elliptic.P256().Params().N
	one := append(make([]byte, 31), 1)
	for _, d := range doors(t, k) {
		token := compact(t, k, d.header, d.payload)
		input, raw := token[:strings.LastIndexByte(token, '.')], token[strings.LastIndexByte(token, '.')+1:]
		good, err := base64.RawURLEncoding.DecodeString(raw)
		if err != nil {
			t.Fatal(err)
		}
		r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		for name, signature := range map[string][]byte{
			"none": {}, "DER": der, "63 bytes": good[:63], "65 bytes": append(slices.Clone(good), 0), "zero before": append([]byte{0}, good...),
			"0, 0": slices.Concat(zero, zero), "0, 1": slices.Concat(zero, one), "1, 0": slices.Concat(one, zero), "1, 1": slices.Concat(one, one),
			"n, n": slices.Concat(order.Bytes(), order.Bytes()), "n, 1": slices.Concat(order.Bytes(), one), "r, s swapped": slices.Concat(good[32:], good[:32]),
			"r, 0": slices.Concat(good[:32], zero), "0, s": slices.Concat(zero, good[32:]), "twice": slices.Concat(good, good),
		} {
			if err := d.read(input + "." + b64(signature)); !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("%s, %s: got %v, want ErrSignature", d.name, name, err)
			}
		}
		// Others sign with either s.
		if err := d.read(input + "." + b64(slices.Concat(good[:32], new(big.Int).Sub(order, s).FillBytes(make([]byte, 32))))); err != nil {
			t.Errorf("%s: the other s: %v", d.name, err)
		}
	}
}

// Of a nested JWT the inner signature may be anything; so it is no JWT here, whatever the outer one is.
//
// Covers RFC8725-3.3-01.
func TestNestedJWTIsRefused(t *testing.T) {
	t.Parallel()
	headersRefused(t, `"cty":"JWT"`, `"cty":"jwt"`, `"cty":"application/jwt"`, `"cty":null`, `"CTY":"JWT"`)
	k := clientKey()
	inner := compact(t, newKey(t), assertionHeader(k), assertionPayload)
	for _, d := range doors(t, k)[:2] {
		if err := d.read(compact(t, k, d.header, inner)); !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("%s of a JWT: got %v, want ErrMalformed", d.name, err)
		}
	}
}

// Only the compact form, spelled in one way.
//
// Covers RFC8725bis-01.
func TestFormsThatAreNoJWT(t *testing.T) {
	t.Parallel()
	refusesAtDoors(t, func(t *testing.T, k tokens.Key, d door) map[string]string {
		token := compact(t, k, d.header, d.payload)
		p := strings.Split(token, ".")
		forged := map[string]string{
			"general JSON":     `{"payload":"` + p[1] + `","signatures":[{"protected":"` + p[0] + `","signature":"` + p[2] + `"}]}`,
			"flattened JSON":   `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`,
			"python-jwt's mix": `{"` + p[0] + `.` + p[1] + `.":"","protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`,
			"empty":            "", "one part": p[0], "two parts": p[0] + "." + p[1], "four parts": token + "." + p[2], "five parts": token + "." + p[1] + "." + p[2],
			"no header": "." + p[1] + "." + p[2], "dots": "....", "a part more, empty": token + ".", "a dot before": "." + token,
			"header padded": p[0] + "=." + p[1] + "." + p[2], "payload padded": p[0] + "." + p[1] + "==." + p[2], "signature padded": token + "==",
			"newline after": token + "\n", "newline within": token[:len(token)-4] + "\n" + token[len(token)-4:], "CR within": p[0] + "." + p[1] + "\r." + p[2],
			"space before": " " + token, "space after": token + " ", "NUL after": token + "\x00", "not ASCII": token + "é", "a comma": token + ",",
			"plain base64": p[0] + "." + p[1] + "." + "+/" + p[2][2:], "percent": strings.Replace(token, ".", "%2E", 1),
		}
		for i, name := range []string{"header", "payload", "signature"} {
			if n := len(p[i]) % 4; n != 0 {
				q := slices.Clone(p)
				q[i] = q[i][:len(q[i])-1] + nextBit(q[i][len(q[i])-1])
				forged["trailing bits of the "+name] = strings.Join(q, ".")
			}
		}
		return forged
	}, tokens.ErrMalformed)
}

// nextBit is the letter of base64url with another last bit, which does not count where a part does not end on three bytes.
func nextBit(letter byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, letter)^1])
}

// A JWE is none either, so there is nothing to inflate and no count of iterations to obey.
//
// Covers RFC8725bis-01, RFC8725-3.6-01.
func TestJWEIsRefused(t *testing.T) {
	t.Parallel()
	k := clientKey()
	bomb := `{"iss":"client-1","x":"` + strings.Repeat("A", 1<<20) + `"}`
	encrypter, err := jose.NewEncrypter(jose.A128CBC_HS256, jose.Recipient{Algorithm: jose.ECDH_ES, Key: k.Signer().Public()},
		(&jose.EncrypterOptions{Compression: jose.DEFLATE}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := encrypter.Encrypt([]byte(bomb))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if len(jwe) > tokens.MaxLength {
		t.Fatalf("the bomb has %d bytes, and would be refused for its length", len(jwe))
	}
	for _, d := range doors(t, k) {
		for name, token := range map[string]string{
			"compact": jwe, "JSON": object.FullSerialize(), "its first three parts": strings.Join(strings.Split(jwe, ".")[:3], "."),
			"PBES2": b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AA"}`)) + ".AA.AA.AA.AA",
		} {
			if err := d.read(token); !errors.Is(err, tokens.ErrMalformed) {
				t.Errorf("%s, %s: got %v, want ErrMalformed", d.name, name, err)
			}
		}
	}
	headersRefused(t, `"zip":"DEF"`, `"zip":null`, `"Zip":"DEF"`, `"enc":"A128GCM"`)
}

// A kid selects among the keys of one client, and goes nowhere else.
//
// Covers RFC8725-3.10-01.
func TestKidIsOnlyCompared(t *testing.T) {
	t.Parallel()
	k := clientKey()
	expect := expectAssertion(t, k)
	for _, kid := range []string{
		"../../../../dev/null", "' OR 1=1 --", `\u0000`, k.ID + `\u0000`, "https://evil.test/jwks", "x", strings.Repeat("x", 256), strings.ToLower(k.ID), k.ID + " ", "%2e%2e",
	} {
		for _, signer := range []tokens.Key{k, newKey(t)} {
			token := compact(t, signer, `{"alg":"ES256","kid":"`+kid+`"}`, assertionPayload)
			if _, err := tokens.VerifyAssertion(token, expect); !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("%.40q: got %v, want ErrSignature", kid, err)
			}
		}
		empty := hs256(`{"alg":"HS256","kid":"`+kid+`"}`, assertionPayload, nil)
		if _, err := tokens.VerifyAssertion(empty, expect); !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%.40q as the name of an empty secret: got %v, want ErrSignature", kid, err)
		}
	}
	headers := []string{`"kid":"` + strings.Repeat("x", 257) + `"`, `"kid":"` + strings.Repeat("x", 64<<10) + `"`, `"kid":""`, `"kid":null`, `"kid":1`, `"kid":["x"]`, `"KID":"x"`}
	for _, m := range headers {
		for _, read := range []func(string) error{
			func(s string) error { _, err := tokens.VerifyAssertion(s, expect); return err },
			func(s string) error { _, err := tokens.VerifyProof(s, expectProof); return err },
			func(s string) error { _, err := tokens.AssertionClient(s); return err },
		} {
			if err := read(compact(t, k, extend(`{"alg":"ES256"}`, m), assertionPayload)); !errors.Is(err, tokens.ErrMalformed) {
				t.Errorf("%.40q: got %v, want ErrMalformed", m, err)
			}
		}
	}
}

// A header of 64 KiB is refused for its length, and no more than eight keys are tried.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	k := clientKey()
	for _, d := range doors(t, k) {
		if err := d.read(compact(t, k, extend(d.header, `"x":"`+strings.Repeat("x", 64<<10)+`"`), d.payload)); !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", d.name, err)
		}
		if err := d.read(compact(t, k, extend(d.header, `"x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)), d.payload)); !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("%s, deep: got %v, want ErrMalformed", d.name, err)
		}
	}
	keys := slices.Repeat(registered(t, k), 9)
	if _, err := tokens.VerifyJWS(compact(t, k, `{"alg":"ES256"}`, "x"), keys); !errors.Is(err, tokens.ErrKey) {
		t.Errorf("nine keys: got %v, want ErrKey", err)
	}
	if _, err := tokens.VerifyJWS(compact(t, k, `{"alg":"ES256"}`, "x"), keys[:8]); err != nil {
		t.Errorf("eight keys: %v", err)
	}
}

// A key's fields are open to be changed; what it verifies does not change with them.
func TestPublicKeyKeepsItsAlgorithm(t *testing.T) {
	t.Parallel()
	k := clientKey()
	keys := registered(t, k)
	keys[0].Algorithm = tokens.RS256
	if _, err := tokens.VerifyJWS(compact(t, k, `{"alg":"RS256"}`, "x"), keys); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("got %v, want ErrSignature", err)
	}
	if _, err := tokens.VerifyJWS(compact(t, k, `{"alg":"ES256"}`, "x"), []tokens.PublicKey{{Algorithm: tokens.ES256}}); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("the zero key: got %v, want ErrSignature", err)
	}
}

// Each bit of a foreign token counts, and each byte.
func TestEveryBitOfAForeignTokenCounts(t *testing.T) {
	t.Parallel()
	k := clientKeys()[tokens.EdDSA] // its signatures have no twin
	for _, d := range doors(t, k) {
		token := compact(t, k, d.header, d.payload)
		for i := range token {
			changed := []byte(token)
			changed[i] ^= 1
			if d.read(string(changed)) == nil {
				t.Errorf("%s: byte %d changed: still read", d.name, i)
			}
			if d.read(token[:i]) == nil {
				t.Errorf("%s: cut to %d bytes: still read", d.name, i)
			}
		}
	}
}

// One kind of JWT never passes for another (RFC 8725 §3.12).
func TestKindsOfJWTAreApart(t *testing.T) {
	t.Parallel()
	k := clientKey()
	set := newKeySet(t, k)
	idToken, err := set.SignIDToken("", map[string]any{"iss": issuer, "sub": "client-1", "aud": "client-1", "exp": 1800000120})
	if err != nil {
		t.Fatal(err)
	}
	assertion, proof := compact(t, k, assertionHeader(k), assertionPayload), compact(t, k, proofHeader(t, k), proofPayload)
	all := map[string]string{"access token": mustSign(t, set, ordinary()), "ID token": idToken, "assertion": assertion, "proof": proof}
	for kind, token := range all {
		if err := doors(t, k)[0].read(token); (err == nil) != (kind == "assertion") {
			t.Errorf("%s as an assertion: %v", kind, err)
		}
		if err := doors(t, k)[1].read(token); (err == nil) != (kind == "proof") {
			t.Errorf("%s as a proof: %v", kind, err)
		}
		if _, err := set.Verify(token, tokens.Expect{Issuer: issuer, Now: now}); (err == nil) != (kind == "access token") {
			t.Errorf("%s as an access token: %v", kind, err)
		}
		if _, err := set.VerifyIDToken(token, issuer); (err == nil) != (kind == "ID token") {
			t.Errorf("%s as an ID token: %v", kind, err)
		}
	}
	// The two that carry the same claims, under the other's header.
	both := `{"iss":"client-1","sub":"client-1","aud":"https://id.acme.test","exp":1800000120,` + strings.TrimPrefix(proofPayload, `{`)
	if !json.Valid([]byte(both)) {
		t.Fatal("not JSON")
	}
	for i, d := range doors(t, k)[:2] {
		if err := d.read(compact(t, k, d.header, both)); err != nil {
			t.Errorf("%s with the claims of both: %v", d.name, err)
		}
		if err := doors(t, k)[1-i].read(compact(t, k, d.header, both)); err == nil {
			t.Errorf("the header of the %s passes for the other", d.name)
		}
	}
}
