package tokens_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// claimsMap is the payload without a fault, for libraries that sign maps.
func claimsMap(t *testing.T) jwt.MapClaims {
	t.Helper()
	var m jwt.MapClaims
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func signedBy(t *testing.T, method jwt.SigningMethod, kid string, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claimsMap(t))
	token.Header["typ"], token.Header["kid"] = "at+jwt", kid
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The control for what follows: golang-jwt with the right key and method spells a token that we read.
func TestForeignSignerIsRead(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	for range 64 { // half of what it signs has the higher s, which we refuse; its header is spelled like ours
		if _, err := set.Verify(signedBy(t, jwt.SigningMethodES256, key.ID, key.Private()), expect); err == nil {
			return
		}
	}
	t.Error("none of 64 was read")
}

func TestAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	der, err := x509.MarshalPKIXPublicKey(&key.Private().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: &key.Private().PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	forged := map[string]string{
		"none":               signedBy(t, jwt.SigningMethodNone, key.ID, jwt.UnsafeAllowNoneSignatureType),
		"RS256, own key":     signedBy(t, jwt.SigningMethodRS256, key.ID, rsaKey),
		"PS256, own key":     signedBy(t, jwt.SigningMethodPS256, key.ID, rsaKey),
		"HS256, empty key":   signedBy(t, jwt.SigningMethodHS256, key.ID, []byte{}),
		"HS256, kid as key":  signedBy(t, jwt.SigningMethodHS256, key.ID, []byte(key.ID)),
		"HS256, DER":         signedBy(t, jwt.SigningMethodHS256, key.ID, der),
		"HS256, PEM":         signedBy(t, jwt.SigningMethodHS256, key.ID, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256, JWK":         signedBy(t, jwt.SigningMethodHS256, key.ID, jwk),
		"HS256, JWKS":        signedBy(t, jwt.SigningMethodHS256, key.ID, set.JWKS()),
		"ES256, another key": signedBy(t, jwt.SigningMethodES256, key.ID, newKey(t).Private()),
		"ES256, no kid":      signedBy(t, jwt.SigningMethodES256, "", key.Private()),
	}
	for name, token := range forged {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := set.Verify(token, expect); !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("got %v, want ErrSignature", err)
			}
		})
	}
}

// CVE-2022-21449: r = s = 0 verified for any message; n is zero too, modulo n.
func TestPsychicSignatures(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	zero, order := make([]byte, 32), elliptic.P256().Params().N.Bytes()
	one := append(make([]byte, 31), 1)
	input := b64([]byte(header(key))) + "." + b64([]byte(payload)) + "."
	for name, signature := range map[string][]byte{
		"empty": {}, "63 bytes": make([]byte, 63), "65 bytes": make([]byte, 65),
		"0, 0": slices.Concat(zero, zero), "0, 1": slices.Concat(zero, one), "1, 0": slices.Concat(one, zero),
		"n, n": slices.Concat(order, order), "n, 1": slices.Concat(order, one), "1, 1": slices.Concat(one, one),
	} {
		if _, err := set.Verify(input+b64(signature), expect); !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
}

func TestShapesThatAreNoJWS(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	encrypter, err := jose.NewEncrypter(jose.A128CBC_HS256, jose.Recipient{Algorithm: jose.ECDH_ES, Key: &key.Private().PublicKey},
		(&jose.EncrypterOptions{Compression: jose.DEFLATE}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := encrypter.Encrypt([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"JWE": jwe, "JWE as JSON": object.FullSerialize(), "empty": "", "one dot": ".", "two dots": "..", "four dots": "....",
		"opaque": "s3cr3t", "header alone": b64([]byte(header(key))) + "..",
	} {
		if _, err := set.Verify(token, expect); !errors.Is(err, tokens.ErrMalformed) && !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

// A flood of long tokens must not become a flood of garbage: 13 MiB cost less than 64 KiB each (CVE-2025-30204). Not parallel, since what
// is measured is the whole process.
func TestLongTokensCostNothing(t *testing.T) {
	key := newKey(t)
	set := newKeySet(t, key)
	for name, token := range map[string]string{
		"a long part":      strings.Repeat("A", 13<<20),
		"dots":             strings.Repeat(".", 13<<20),
		"a good beginning": mustSign(t, set, ordinary()) + strings.Repeat("A", 13<<20),
		"newlines":         mustSign(t, set, ordinary()) + strings.Repeat("\n", 13<<20),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := set.Verify(token, expect)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got >= 64<<10 {
			t.Errorf("%s: %d bytes allocated, want below %d", name, got, 64<<10)
		}
	}
}

// Each bit of a token counts.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	token := mustSign(t, set, impersonating())
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		if _, err := set.Verify(string(changed), expect); err == nil {
			t.Errorf("byte %d changed: still read", i)
		}
		if _, err := set.Verify(token[:i], expect); err == nil {
			t.Errorf("cut to %d bytes: still read", i)
		}
	}
}
