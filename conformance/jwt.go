package conformance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
)

// jwt is a token that was read, verified or not.
type jwt struct {
	header, claims map[string]any
	signed         string
	signature      []byte
}

var b64 = base64.RawURLEncoding.Strict()

// parseJWT reads the compact form (RFC 7515 §3.1), strictly: what one library reads and another does not would hide a fault.
func parseJWT(token string) (*jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("it has %d parts, not 3", len(parts))
	}
	t := &jwt{signed: parts[0] + "." + parts[1]}
	for i, into := range []*map[string]any{&t.header, &t.claims} {
		b, err := b64.DecodeString(parts[i])
		if err != nil {
			return nil, errors.New("it is no base64url without padding")
		}
		if *into, err = object(b); err != nil {
			return nil, err
		}
	}
	var err error
	if t.signature, err = b64.DecodeString(parts[2]); err != nil {
		return nil, errors.New("its signature is no base64url without padding")
	}
	return t, nil
}

// object reads one JSON object, in which no member comes twice.
func object(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil || v == nil {
		return nil, errors.New("it has a part that is no JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows a JSON object in it")
	}
	if name := repeated(b); name != "" {
		return nil, fmt.Errorf("it has the member %q twice", name)
	}
	return v, nil
}

// key is one of a JWKS (RFC 7517).
type key struct {
	KeyType   string   `json:"kty"`
	Use       string   `json:"use"`
	Ops       []string `json:"key_ops"`
	Algorithm string   `json:"alg"`
	ID        string   `json:"kid"`
	Curve     string   `json:"crv"`
	X         string   `json:"x"`
	Y         string   `json:"y"`
	N         string   `json:"n"`
	E         string   `json:"e"`
	// What a published key must not have.
	D string `json:"d"`
	K string `json:"k"`
}

// keys reads the server's keys.
func (p *probe) keys() []key {
	a := p.get(p.run.meta.JWKS)
	var set struct {
		Keys []key `json:"keys"`
	}
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &set) != nil {
		p.blocked("the keys cannot be read: %v", a)
	}
	return set.Keys
}

// verify checks a signature by the one key of its kid, and gives what it says. It knows the algorithms of signatures alone, and no shared secret.
func verify(token string, keys []key) (*jwt, error) {
	t, err := parseJWT(token)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"crit", "jwk", "jku", "x5u", "b64", "enc", "zip"} {
		if _, has := t.header[name]; has {
			return nil, fmt.Errorf("its header has %s", name)
		}
	}
	alg, _ := t.header["alg"].(string)
	kid, has := t.header["kid"].(string)
	fits := slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return has && k.ID != kid || k.Use != "" && k.Use != "sig" })
	if len(fits) != 1 {
		return nil, fmt.Errorf("%d published keys fit its kid", len(fits))
	}
	if err := fits[0].verify(alg, t.signed, t.signature); err != nil {
		return nil, err
	}
	return t, nil
}

var errSignature = errors.New("its signature does not verify")

func (k key) verify(alg, signed string, signature []byte) error {
	if k.Algorithm != "" && k.Algorithm != alg {
		return fmt.Errorf("it says %q where its key is for %s", alg, k.Algorithm)
	}
	if len(k.Ops) > 0 && !slices.Contains(k.Ops, "verify") {
		return errors.New("its key is not for verifying")
	}
	switch {
	case k.KeyType == "EC" && ecAlgorithms[alg].curve == k.Curve && k.Curve != "":
		return k.verifyEC(ecAlgorithms[alg], signed, signature)
	case k.KeyType == "OKP" && k.Curve == "Ed25519" && (alg == "EdDSA" || alg == "Ed25519"):
		x, err := b64.DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return errors.New("its key is none")
		}
		if !ed25519.Verify(x, []byte(signed), signature) {
			return errSignature
		}
		return nil
	case k.KeyType == "RSA" && rsaHashes[alg] != 0:
		return k.verifyRSA(alg, signed, signature)
	}
	return fmt.Errorf("its algorithm %q does not fit its key", alg)
}

type ecAlgorithm struct {
	curve string
	of    elliptic.Curve
	hash  crypto.Hash
}

// ecAlgorithms are RFC 7518 §3.4, each with its own curve and hash.
var ecAlgorithms = map[string]ecAlgorithm{
	"ES256": {"P-256", elliptic.P256(), crypto.SHA256}, "ES384": {"P-384", elliptic.P384(), crypto.SHA384}, "ES512": {"P-521", elliptic.P521(), crypto.SHA512},
}

var rsaHashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512, "PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
}

func digest(h crypto.Hash, s string) []byte {
	switch h {
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(s))
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512([]byte(s))
		return sum[:]
	}
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func (k key) verifyEC(a ecAlgorithm, signed string, signature []byte) error {
	size := (a.of.Params().BitSize + 7) / 8
	x, errX := b64.DecodeString(k.X)
	y, errY := b64.DecodeString(k.Y)
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return errors.New("its key is none")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(a.of, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return errors.New("its key is none")
	}
	if len(signature) != 2*size || !ecdsa.Verify(public, digest(a.hash, signed), new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])) {
		return errSignature
	}
	return nil
}

func (k key) verifyRSA(alg, signed string, signature []byte) error {
	n, errN := b64.DecodeString(k.N)
	e, errE := b64.DecodeString(k.E)
	if errN != nil || errE != nil || len(n) < 256 || len(e) == 0 || len(e) > 4 { // RFC 7518 §3.3: at least 2048 bits
		return errors.New("its key is none, or too short")
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	h := rsaHashes[alg]
	var err error
	if strings.HasPrefix(alg, "PS") {
		err = rsa.VerifyPSS(public, h, digest(h, signed), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		err = rsa.VerifyPKCS1v15(public, h, digest(h, signed), signature)
	}
	if err != nil {
		return errSignature
	}
	return nil
}

// says gives what a token of the server says, with its signature verified by a published key. Where it is no JWT it says nothing, and the case is skipped: an API then
// asks by introspection.
func (p *probe) says(token string) *jwt {
	if strings.Count(token, ".") != 2 {
		p.skip("access tokens of the target are no JWTs")
	}
	t, err := verify(token, p.keys())
	if err != nil {
		p.fail(Critical, "a token that verifies with a published key", "%v", err)
	}
	return t
}

// text gives a claim that is a string, "" for any other.
func (t *jwt) text(name string) string {
	s, _ := t.claims[name].(string)
	return s
}
