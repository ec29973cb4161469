package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Key is one of a JWKS (RFC 7517).
type Key struct {
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

// ErrSignature tells that a signature is not by its key.
var ErrSignature = errors.New("its signature does not verify")

// Verify checks a signature over signed, by an algorithm that fits k.
func (k Key) Verify(alg, signed string, signature []byte) error {
	if k.Algorithm != "" && k.Algorithm != alg {
		return fmt.Errorf("it says %q where its key is for %s", alg, k.Algorithm)
	}
	if len(k.Ops) > 0 && !slices.Contains(k.Ops, "verify") {
		return errors.New("its key is not for verifying")
	}
	switch {
	case k.KeyType == "EC" && Curves[alg].Name == k.Curve && k.Curve != "":
		return k.verifyEC(Curves[alg], signed, signature)
	case k.KeyType == "OKP" && k.Curve == "Ed25519" && (alg == "EdDSA" || alg == "Ed25519"):
		x, err := B64.DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return errors.New("its key is none")
		}
		if !ed25519.Verify(x, []byte(signed), signature) {
			return ErrSignature
		}
		return nil
	case k.KeyType == "RSA" && rsaHashes[alg] != 0:
		return k.verifyRSA(alg, signed, signature)
	}
	return fmt.Errorf("its algorithm %q does not fit its key", alg)
}

// Curve is what an algorithm of ECDSA goes with.
type Curve struct {
	Name string // as crv has it
	Of   elliptic.Curve
	Hash crypto.Hash
}

// Curves are RFC 7518 §3.4, each algorithm with its own curve and hash.
var Curves = map[string]Curve{
	"ES256": {"P-256", elliptic.P256(), crypto.SHA256}, "ES384": {"P-384", elliptic.P384(), crypto.SHA384}, "ES512": {"P-521", elliptic.P521(), crypto.SHA512},
}

var rsaHashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512, "PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
}

// Digest is h of s.
func Digest(h crypto.Hash, s string) []byte {
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

func (k Key) verifyEC(a Curve, signed string, signature []byte) error {
	size := (a.Of.Params().BitSize + 7) / 8
	x, errX := B64.DecodeString(k.X)
	y, errY := B64.DecodeString(k.Y)
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return errors.New("its key is none")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(a.Of, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return errors.New("its key is none")
	}
	if len(signature) != 2*size || !ecdsa.Verify(public, Digest(a.Hash, signed), new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])) {
		return ErrSignature
	}
	return nil
}

func (k Key) verifyRSA(alg, signed string, signature []byte) error {
	n, errN := B64.DecodeString(k.N)
	e, errE := B64.DecodeString(k.E)
	if errN != nil || errE != nil || len(n) < 256 || len(e) == 0 || len(e) > 4 { // RFC 7518 §3.3: at least 2048 bits
		return errors.New("its key is none, or too short")
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if roca(public.N) {
		return errors.New("its key was made by a chip of which it is known how to factor it (CVE-2017-15361)")
	}
	h := rsaHashes[alg]
	var err error
	if strings.HasPrefix(alg, "PS") {
		err = rsa.VerifyPSS(public, h, Digest(h, signed), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		err = rsa.VerifyPKCS1v15(public, h, Digest(h, signed), signature)
	}
	if err != nil {
		return ErrSignature
	}
	return nil
}

// roca reports whether n is of primes k*M + 65537^a mod M: then it is a power of 65537 modulo each of the small primes of which M is the product. Of other
// moduli hardly any is.
func roca(n *big.Int) bool {
	for p := int64(3); p <= 167; p += 2 {
		prime := big.NewInt(p)
		if !prime.ProbablyPrime(0) {
			continue
		}
		rest, power, found := new(big.Int).Mod(n, prime).Int64(), int64(1), false
		for range p {
			found = found || power == rest
			power = power * 65537 % p
		}
		if !found {
			return false
		}
	}
	return true
}

// Public is k for the standard library, nil if it is none.
func (k Key) Public() any {
	x, _ := B64.DecodeString(k.X)
	y, _ := B64.DecodeString(k.Y)
	n, _ := B64.DecodeString(k.N)
	e, _ := B64.DecodeString(k.E)
	switch {
	case k.KeyType == "RSA" && len(n) > 0 && len(e) > 0 && len(e) < 5:
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	case k.KeyType == "OKP" && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x)
	}
	for _, a := range Curves {
		if k.KeyType == "EC" && a.Name == k.Curve {
			if public, err := ecdsa.ParseUncompressedPublicKey(a.Of, slices.Concat([]byte{4}, x, y)); err == nil {
				return public
			}
		}
	}
	return nil
}

// Sound reports what is wrong with a key, found by verifying a signature that cannot hold.
func (k Key) Sound() error {
	algs := []string{k.Algorithm}
	if k.Algorithm == "" {
		algs = map[string][]string{"RSA": {"RS256"}, "OKP": {"EdDSA"}, "EC": {map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Curve]}}[k.KeyType]
	}
	for _, alg := range algs {
		if err := k.Verify(alg, "", make([]byte, 64)); err != ErrSignature {
			return err
		}
	}
	return nil
}
