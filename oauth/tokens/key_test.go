package tokens_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
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
	if got := during.Signer().ID; got != fresh.ID {
		t.Errorf("signer %s, want %s", got, fresh.ID)
	}
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
