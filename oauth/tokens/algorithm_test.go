package tokens_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/tokens"
)

func keyOf(t testing.TB, algorithm string) tokens.Key {
	t.Helper()
	k, err := tokens.Generate(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// split gives a token's signing input and signature.
func split(t testing.TB, token string) (input string, signature []byte) {
	t.Helper()
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	return token[:i], signature
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	keys := map[string]tokens.Key{}
	for _, algorithm := range []string{tokens.ES256, tokens.EdDSA, tokens.RS256} {
		keys[algorithm] = keyOf(t, algorithm)
	}
	all := newKeySet(t, keys[tokens.ES256], keys[tokens.EdDSA], keys[tokens.RS256])
	var public jose.JSONWebKeySet
	if err := json.Unmarshal(all.JWKS(), &public); err != nil {
		t.Fatal(err)
	}
	for algorithm, key := range keys {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			box := newBox(t, 1)
			sealed, err := key.Seal(box)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := tokens.OpenKey(box, key.ID, algorithm, sealed)
			if err != nil {
				t.Fatal(err)
			}
			token := mustSign(t, newKeySet(t, opened), impersonating())
			want := impersonating()
			if got, err := all.Verify(token, expect); err != nil || got.ID != want.ID || !cmp.Equal(got.Act, want.Act) {
				t.Errorf("got %v, %v", got, err)
			}
			input, signature := split(t, token)
			for name, bad := range map[string][]byte{
				"empty": {}, "cut": signature[:len(signature)-1], "longer": append(slices.Clone(signature), 0), "one bit": flipBit(signature),
				"a zero before": append([]byte{0}, signature...), "all zeros": make([]byte, len(signature)),
			} {
				if _, err := all.Verify(input+"."+b64(bad), expect); !errors.Is(err, tokens.ErrSignature) {
					t.Errorf("signature %s: got %v, want ErrSignature", name, err)
				}
			}
			// Its signature under the header of each other key: the header names the algorithm, and is a key's own.
			_, payload, _ := strings.Cut(input, ".")
			for other, k := range keys {
				head, _, _ := strings.Cut(mustSign(t, newKeySet(t, k), impersonating()), ".")
				if _, err := all.Verify(head+"."+payload+"."+b64(signature), expect); other != algorithm && !errors.Is(err, tokens.ErrSignature) {
					t.Errorf("with the header of %s: got %v, want ErrSignature", other, err)
				}
			}
			// Others read it with nothing but the JWKS.
			parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
			if err != nil {
				t.Fatal(err)
			}
			if named := public.Key(key.ID); len(named) != 1 || named[0].Algorithm != algorithm || named[0].Use != "sig" || !named[0].IsPublic() {
				t.Fatalf("the JWKS has %v", named)
			} else if _, err := parsed.Verify(named[0]); err != nil {
				t.Errorf("go-jose: %v", err)
			}
		})
	}
}

func flipBit(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/3] ^= 1
	return b
}

// A token has one spelling: what adds the order or the modulus to a part of a signature is no signature.
func TestNoTwins(t *testing.T) {
	t.Parallel()
	ed, rs := keyOf(t, tokens.EdDSA), keyOf(t, tokens.RS256)
	set := newKeySet(t, ed, rs)
	input, signature := split(t, mustSign(t, set, impersonating()))
	l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10) // RFC 8032 §5.1
	s := reversed(signature[32:])
	twin := new(big.Int).Add(new(big.Int).SetBytes(s), l)
	if twin.BitLen() > 256 {
		t.Fatal("the order is too large")
	}
	high := append(slices.Clone(signature[:32]), reversed(twin.FillBytes(make([]byte, 32)))...)
	if _, err := set.Verify(input+"."+b64(high), expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("EdDSA, s and the order: got %v, want ErrSignature", err)
	}
	input, signature = split(t, mustSign(t, newKeySet(t, rs), impersonating()))
	more := new(big.Int).Add(new(big.Int).SetBytes(signature), rs.Signer().Public().(*rsa.PublicKey).N).Bytes()
	if _, err := set.Verify(input+"."+b64(more), expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("RS256, the number and the modulus: got %v, want ErrSignature", err)
	}
}

func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

// An Ed25519 key is a slice of bytes, which fmt would print, behind a pointer too where the verb is wrong.
func TestEdDSAKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	key := keyOf(t, tokens.EdDSA)
	set := newKeySet(t, key)
	seed := key.Signer().(ed25519.PrivateKey).Seed()
	listed := strings.Trim(fmt.Sprint(seed[:8]), "[]")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, value := range []any{key, &key, set, *set} {
			text := fmt.Sprintf(format, value)
			for _, secret := range []string{listed, hex.EncodeToString(seed[:8]), string(seed[:8]), strings.Trim(fmt.Sprintf("%#v", seed[:8]), "[]byte{}")} {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %T prints the private key", format, value)
				}
			}
		}
	}
}

// remote is a key that lives elsewhere, as a KMS is asked.
type remote struct {
	public crypto.PublicKey
	sign   func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (r remote) Public() crypto.PublicKey { return r.public }
func (r remote) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return r.sign(digest, opts)
}

func TestFromSigner(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{tokens.ES256, tokens.EdDSA, tokens.RS256} {
		local := keyOf(t, algorithm)
		down := false
		key, err := tokens.FromSigner(remote{local.Signer().Public(), func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if down {
				return nil, errors.New("the KMS is away")
			}
			return local.Signer().Sign(rand.Reader, digest, opts)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if key.ID != local.ID || key.Algorithm != algorithm {
			t.Errorf("got %s %s, want %s %s", key.Algorithm, key.ID, algorithm, local.ID)
		}
		set := newKeySet(t, key)
		for range 20 { // ECDSA gives a high s half of the time, and fewer bytes now and then
			if _, err := newKeySet(t, local).Verify(mustSign(t, set, impersonating()), expect); err != nil {
				t.Errorf("%s: %v", algorithm, err)
			}
		}
		if _, err := key.Seal(newBox(t, 1)); !errors.Is(err, tokens.ErrKey) {
			t.Errorf("%s: sealing what is not here: got %v, want ErrKey", algorithm, err)
		}
		down = true
		if token, err := set.Sign(impersonating()); err == nil || token != "" || !strings.Contains(err.Error(), "the KMS is away") {
			t.Errorf("%s: got %q, %v; want no token", algorithm, token, err)
		}
	}
}

func TestFromSignerRefuses(t *testing.T) {
	t.Parallel()
	es, ed, rs := keyOf(t, tokens.ES256), keyOf(t, tokens.EdDSA), keyOf(t, tokens.RS256)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1536)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(b []byte, err error) func([]byte, crypto.SignerOpts) ([]byte, error) {
		return func([]byte, crypto.SignerOpts) ([]byte, error) { return b, err }
	}
	as := func(k tokens.Key, opts crypto.SignerOpts) func([]byte, crypto.SignerOpts) ([]byte, error) {
		return func(digest []byte, _ crypto.SignerOpts) ([]byte, error) {
			return k.Signer().Sign(rand.Reader, digest, opts)
		}
	}
	for name, signer := range map[string]crypto.Signer{
		"none":                         nil,
		"P-384":                        p384,
		"RSA of 1536 bits":             small,
		"no kind that we know":         remote{[]byte("key"), answer(nil, nil)},
		"it cannot sign":               remote{es.Signer().Public(), answer(nil, errors.New("away"))},
		"another key's signature":      remote{es.Signer().Public(), as(newKey(t), crypto.SHA256)},
		"another Ed25519 key's":        remote{ed.Signer().Public(), as(keyOf(t, tokens.EdDSA), crypto.Hash(0))},
		"PSS":                          remote{rs.Signer().Public(), as(rs, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})},
		"r and s, and no ASN.1":        remote{es.Signer().Public(), answer(make([]byte, 64), nil)},
		"more than 32 bytes in ASN.1":  remote{es.Signer().Public(), answer(append([]byte{0x30, 45, 2, 1, 1, 2, 40, 1}, make([]byte, 39)...), nil)},
		"the same of the first number": remote{es.Signer().Public(), answer(append(append([]byte{0x30, 45, 2, 40, 1}, make([]byte, 39)...), 2, 1, 1), nil)},
		"zeros in ASN.1":               remote{es.Signer().Public(), answer([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}, nil)},
		"an Ed25519 signature, cut":    remote{ed.Signer().Public(), answer(make([]byte, 63), nil)},
		"an Ed25519 key of no length":  remote{ed25519.PublicKey(nil), answer(make([]byte, 64), nil)},
	} {
		if k, err := tokens.FromSigner(signer); !errors.Is(err, tokens.ErrKey) || k.ID != "" {
			t.Errorf("%s: got %v, %v; want ErrKey", name, k, err)
		}
	}
	if _, err := tokens.Generate("none"); !errors.Is(err, tokens.ErrKey) {
		t.Errorf("algorithm none: got %v, want ErrKey", err)
	}
}

// The key, the thumbprint and the signature of RFC 8037 appendix A.
func TestRFC8037(t *testing.T) {
	t.Parallel()
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	key, err := tokens.FromSigner(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	if key.ID != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("thumbprint %s", key.ID)
	}
	var public jose.JSONWebKeySet
	if err := json.Unmarshal(newKeySet(t, key).JWKS(), &public); err != nil {
		t.Fatal(err)
	}
	if x := b64(public.Keys[0].Key.(ed25519.PublicKey)); x != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" {
		t.Errorf("x is %s", x)
	}
	signature, err := key.SignRaw("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")
	if err != nil || b64(signature) != "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg" {
		t.Errorf("got %s, %v", b64(signature), err)
	}
}
