package tokens_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/tokens"
)

func newBox(t *testing.T, fill byte) *seal.Box {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestKeySealOpen(t *testing.T) {
	t.Parallel()
	box, key := newBox(t, 1), newKey(t)
	sealed, err := key.Seal(box)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := tokens.OpenKey(box, key.ID, key.Algorithm, sealed)
	if err != nil {
		t.Fatal(err)
	}
	token := mustSign(t, newKeySet(t, opened), ordinary())
	if _, err := newKeySet(t, key).Verify(token, expect); err != nil {
		t.Errorf("the opened key is another: %v", err)
	}
}

func TestOpenKeyRefuses(t *testing.T) {
	t.Parallel()
	box, key, other := newBox(t, 1), newKey(t), newKey(t)
	sealed, err := key.Seal(box)
	if err != nil {
		t.Fatal(err)
	}
	// What somebody with the sealing key could do by mistake: the right purpose around a wrong content.
	around := func(id string, k any) []byte {
		plain, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return box.Seal("signing key ES256 "+id, plain)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := (&jose.JSONWebKey{Key: &p384.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.OpenKey(box, key.ID, tokens.ES256, around(key.ID, key.Private())); err != nil {
		t.Fatalf("the form in which keys are stored has changed: %v", err)
	}
	tests := []struct {
		name          string
		box           *seal.Box
		id, algorithm string
		sealed        []byte
	}{
		{"other box", newBox(t, 2), key.ID, tokens.ES256, sealed},
		{"other id", box, other.ID, tokens.ES256, sealed},
		{"other algorithm", box, key.ID, "ES384", sealed},
		{"cut", box, key.ID, tokens.ES256, sealed[:len(sealed)-1]},
		{"another key inside", box, key.ID, tokens.ES256, around(key.ID, other.Private())},
		{"another curve inside", box, b64(thumbprint), tokens.ES256, around(b64(thumbprint), p384)},
		{"no key inside", box, key.ID, tokens.ES256, box.Seal("signing key ES256 "+key.ID, []byte("x"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := tokens.OpenKey(tt.box, tt.id, tt.algorithm, tt.sealed); !errors.Is(err, tokens.ErrKey) {
				t.Errorf("got %v, want ErrKey", err)
			}
		})
	}
}

func TestNewKeySetRefuses(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	renamed := key
	renamed.ID = "../../dev/null"
	none := key
	none.Algorithm = "none"
	for name, keys := range map[string][]tokens.Key{
		"no key": {}, "zero key": {{}}, "twice": {key, key}, "renamed": {renamed}, "another algorithm": {none},
	} {
		if _, err := tokens.NewKeySet(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old, fresh := newKey(t), newKey(t)
	before, during, after := newKeySet(t, old), newKeySet(t, fresh, old), newKeySet(t, fresh)
	if _, err := during.Verify(mustSign(t, before, ordinary()), expect); err != nil {
		t.Errorf("signed before, read during: %v", err)
	}
	if _, err := after.Verify(mustSign(t, during, ordinary()), expect); err != nil {
		t.Errorf("signed during, read after: %v", err)
	}
	if _, err := after.Verify(mustSign(t, before, ordinary()), expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("signed before, read after: got %v, want ErrSignature", err)
	}
}

// Each signer signs what is asked for its algorithm, and the first what is asked for none. What only verifies is published and signs
// nothing; what is for hints is neither.
func TestSigners(t *testing.T) {
	t.Parallel()
	es, ed, rs, next, gone := newKey(t), keyOf(t, tokens.EdDSA), keyOf(t, tokens.RS256), newKey(t), newKey(t)
	set, err := tokens.Keys{Signers: []tokens.Key{es, rs}, Verifiers: []tokens.Key{next, ed}, Hints: []tokens.Key{gone}}.Set()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := set.Algorithms(), []string{tokens.ES256, tokens.RS256}; !slices.Equal(got, want) {
		t.Errorf("Algorithms: got %v, want %v", got, want)
	}
	for algorithm, want := range map[string]string{"": es.ID, tokens.ES256: es.ID, tokens.RS256: rs.ID} {
		token, err := set.SignIDToken(algorithm, idClaims())
		if err != nil || kid(t, token) != want {
			t.Errorf("%q: signed by %s, %v; want %s", algorithm, kid(t, token), err, want)
		}
		if _, err := set.VerifyIDToken(token, issuer); err != nil {
			t.Errorf("%q: %v", algorithm, err)
		}
	}
	if got := kid(t, mustSign(t, set, ordinary())); got != es.ID {
		t.Errorf("an access token: signed by %s, want the first signer %s", got, es.ID)
	}
	for _, algorithm := range []string{tokens.EdDSA, "none", "HS256"} {
		if token, err := set.SignIDToken(algorithm, idClaims()); !errors.Is(err, tokens.ErrKey) || token != "" {
			t.Errorf("%s: got %q, %v; want ErrKey", algorithm, token, err)
		}
	}
	for name, key := range map[string]tokens.Key{"that is to sign": next, "of another algorithm": ed} {
		if _, err := set.Verify(mustSign(t, newKeySet(t, key), ordinary()), expect); err != nil {
			t.Errorf("one %s: %v", name, err)
		}
	}
	hint, err := newKeySet(t, gone).SignIDToken("", idClaims())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.VerifyIDToken(hint, issuer); err != nil {
		t.Errorf("a hint: %v", err)
	}
	if _, err := set.Verify(mustSign(t, newKeySet(t, gone), ordinary()), expect); !errors.Is(err, tokens.ErrUnknownKey) || !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("an access token by a key for hints: got %v, want ErrUnknownKey", err)
	}
	if jwks := string(set.JWKS()); strings.Contains(jwks, gone.ID) || !strings.Contains(jwks, next.ID) {
		t.Errorf("got %s; want what verifies, and not what is for hints", jwks)
	}
}

func kid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	var header struct{ Kid string }
	if err := errors.Join(err, json.Unmarshal(raw, &header)); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

// What is over verifies to be ended, and for nothing else; what was never ours does not.
func TestVerifyToEnd(t *testing.T) {
	t.Parallel()
	now, retired, revoked := newKey(t), newKey(t), keyOf(t, tokens.EdDSA)
	set, err := tokens.Keys{Signers: []tokens.Key{now}, Hints: []tokens.Key{retired}, Revoked: []tokens.Key{revoked}}.Set()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]tokens.Key{"signs": now, "retired": retired, "revoked": revoked} {
		token := mustSign(t, newKeySet(t, key), ordinary())
		for range 2 { // the set remembers
			if c, err := set.VerifyToEnd(token, expect); err != nil || c.ID != ordinary().ID {
				t.Errorf("%s, to end: got %v, %v", name, c, err)
			}
			if _, err := set.Verify(token, expect); (err == nil) != (name == "signs") || err != nil && !errors.Is(err, tokens.ErrUnknownKey) {
				t.Errorf("%s, to use: got %v", name, err)
			}
		}
		other := expect
		other.Issuer = "https://other.test"
		if c, err := set.VerifyToEnd(token, other); !errors.Is(err, tokens.ErrClaims) || c.ID != "" {
			t.Errorf("%s, of another issuer: got %v, %v; want ErrClaims", name, c, err)
		}
		if _, err := set.VerifyToEnd(token[:len(token)-8]+"AAAAAAAA", expect); !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%s, bent: got %v; want ErrSignature", name, err)
		}
	}
	if _, err := set.VerifyToEnd(mustSign(t, newKeySet(t, newKey(t)), ordinary()), expect); !errors.Is(err, tokens.ErrUnknownKey) {
		t.Errorf("a key of nobody: got %v; want ErrUnknownKey", err)
	}
	if id, err := newKeySet(t, revoked).SignIDToken("", idClaims()); err != nil {
		t.Error(err)
	} else if _, err := set.VerifyIDToken(id, issuer); err == nil {
		t.Error("an ID token by a revoked key is a hint")
	}
	if strings.Contains(string(set.JWKS()), retired.ID) || strings.Contains(string(set.JWKS()), revoked.ID) || set.Signs(tokens.EdDSA) {
		t.Errorf("what is over is published or signs: %s", set.JWKS())
	}
}

func TestKeysRefuse(t *testing.T) {
	t.Parallel()
	one, two := newKey(t), newKey(t)
	for name, keys := range map[string]tokens.Keys{
		"two sign one algorithm":   {Signers: []tokens.Key{one, two}},
		"it signs and verifies":    {Signers: []tokens.Key{one}, Verifiers: []tokens.Key{one}},
		"it verifies and is hints": {Verifiers: []tokens.Key{one}, Hints: []tokens.Key{one}},
		"it signs and is revoked":  {Signers: []tokens.Key{one}, Revoked: []tokens.Key{one}},
		"a zero key for hints":     {Signers: []tokens.Key{one}, Hints: []tokens.Key{{}}},
	} {
		if _, err := keys.Set(); !errors.Is(err, tokens.ErrKey) {
			t.Errorf("%s: got %v, want ErrKey", name, err)
		}
	}
}

// Without a key that signs, what was signed still verifies, and nothing is signed.
func TestNoSigner(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set, err := tokens.Keys{Verifiers: []tokens.Key{key}}.Set()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Verify(mustSign(t, newKeySet(t, key), ordinary()), expect); err != nil {
		t.Error(err)
	}
	if _, err := set.Sign(ordinary()); !errors.Is(err, tokens.ErrKey) {
		t.Errorf("got %v, want ErrKey", err)
	}
	none, err := tokens.Keys{}.Set()
	if err != nil || string(none.JWKS()) != `{"keys":[]}` {
		t.Errorf("no key at all: got %s, %v; want an empty JWKS", none.JWKS(), err)
	}
}

// TestAccessTokenHash: the hash is of the size that the algorithm of the ID token has. The values are OpenSSL's:
// printf %s TOKEN | openssl dgst -sha256 -binary | head -c 16 | basenc --base64url, and -sha512 and 32 for EdDSA.
func TestAccessTokenHash(t *testing.T) {
	t.Parallel()
	const token, sha256, sha512 = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ", "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM"
	set := newKeySet(t, newKey(t))
	for algorithm, want := range map[string]string{"": sha256, tokens.ES256: sha256, tokens.RS256: sha256, tokens.EdDSA: sha512} {
		if got := set.AccessTokenHash(algorithm, token); got != want {
			t.Errorf("%q: got %s, want %s", algorithm, got, want)
		}
	}
	if got := newKeySet(t, keyOf(t, tokens.EdDSA)).AccessTokenHash("", token); got != sha512 {
		t.Errorf("where access tokens are EdDSA: got %s, want %s", got, sha512)
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	first, second := newKey(t), newKey(t)
	set := newKeySet(t, first, second)
	var raw struct{ Keys []map[string]string }
	if err := json.Unmarshal(set.JWKS(), &raw); err != nil {
		t.Fatal(err)
	}
	for i, key := range []tokens.Key{first, second} {
		got := raw.Keys[i]
		for _, coordinate := range []string{"x", "y"} {
			if len(got[coordinate]) != 43 {
				t.Errorf("%s has %d characters, want 43", coordinate, len(got[coordinate]))
			}
			delete(got, coordinate)
		}
		// Nothing else may stand there, d least of all.
		want := map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key.ID}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("key %d (-want +got):\n%s", i, diff)
		}
	}
	set.JWKS()[0] = 'x'
	if set.JWKS()[0] != '{' {
		t.Error("a caller could change the set's own bytes")
	}
}

// Others compute the thumbprint from the JWKS alone.
func TestKeyIDIsThumbprint(t *testing.T) {
	t.Parallel()
	var public jose.JSONWebKeySet
	key := newKey(t)
	if err := json.Unmarshal(newKeySet(t, key).JWKS(), &public); err != nil {
		t.Fatal(err)
	}
	thumbprint, err := public.Keys[0].Thumbprint(crypto.SHA256)
	if got := b64(thumbprint); err != nil || got != key.ID {
		t.Errorf("thumbprint %s, %v, want %s", got, err, key.ID)
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	scalar, err := key.Private().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	set := newKeySet(t, key)
	decimal := new(big.Int).SetBytes(scalar).String() // what fmt would print, if it did
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{key, &key, set, *set} {
			text := fmt.Sprintf(format, value)
			for _, secret := range []string{decimal, hex.EncodeToString(scalar), string(scalar)} {
				if bytes.Contains([]byte(text), []byte(secret)) {
					t.Errorf("%s of %T prints the private key", format, value)
				}
			}
		}
	}
}

func TestKeySetConcurrently(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if _, err := set.Verify(mustSign(t, set, ordinary()), expect); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
