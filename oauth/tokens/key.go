// Package tokens signs our JWTs and reads them back strictly: access tokens by RFC 9068, and ID tokens. Start with
// [GenerateES256] for a key, [NewKeySet] for those in use, [KeySet.Sign] and [KeySet.Verify] for [Claims]. One token has one
// spelling that verifies, and nothing is read before its signature. The package holds no policy, keeps no keys, fetches
// none, and knows neither fosite nor any store: whether a token was revoked, its jti and sid tell somebody else.
package tokens

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/internal/seal"
)

// ES256 is ECDSA on P-256 with SHA-256 (RFC 7518 §3.4): the algorithm of every key today.
const ES256 = "ES256"

// ErrKey means that a key cannot be used: its seal does not open, or it is not the key that its id and algorithm say.
var ErrKey = errors.New("tokens: not a usable key")

// Key is a private signing key. The zero value is not valid; make one with GenerateES256 or OpenKey. It is a value that
// nothing changes, so it is safe for concurrent use.
type Key struct {
	// ID is the kid: the key's SHA-256 thumbprint (RFC 7638), 43 characters of base64url. A random one could name
	// two keys after a bad restore; this one is recomputed whenever a key is opened.
	ID string
	// Algorithm is the JWA name, ES256.
	Algorithm string

	private *ecdsa.PrivateKey
}

// GenerateES256 makes a fresh P-256 key.
func GenerateES256() (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("making a signing key: %w", err)
	}
	return newKey(private)
}

func newKey(private *ecdsa.PrivateKey) (Key, error) {
	k := Key{Algorithm: ES256, private: private}
	public := k.public()
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, fmt.Errorf("naming a signing key: %w", err)
	}
	k.ID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return k, nil
}

// valid reports whether k is as newKey made it: its fields are open to be changed.
func (k Key) valid() bool {
	if k.private == nil {
		return false
	}
	made, err := newKey(k.private)
	return err == nil && k == made
}

// public is the key as a JWKS shows it.
func (k Key) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: &k.private.PublicKey, KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
}

// Seal gives the private key as PKCS #8, sealed for its ID and Algorithm, for a store to keep.
func (k Key) Seal(box *seal.Box) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("sealing key %s: %w", k.ID, err)
	}
	return box.Seal(purpose(k.ID, k.Algorithm), plain), nil
}

// OpenKey opens what Seal gave. It fails with ErrKey if box cannot open it under id and algorithm, or if the key inside is
// another: a row whose columns were swapped is of no use.
func OpenKey(box *seal.Box, id, algorithm string, sealed []byte) (Key, error) {
	plain, err := box.Open(purpose(id, algorithm), sealed)
	if err != nil {
		return Key{}, fmt.Errorf("%w: opening key %s: %w", ErrKey, id, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return Key{}, fmt.Errorf("%w: parsing key %s: %w", ErrKey, id, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return Key{}, fmt.Errorf("%w: key %s is not on P-256", ErrKey, id)
	}
	k, err := newKey(private)
	if err != nil {
		return Key{}, err
	}
	if k.ID != id || k.Algorithm != algorithm {
		return Key{}, fmt.Errorf("%w: key %s is another", ErrKey, id)
	}
	return k, nil
}

// purpose ties a sealed key to its row; neither part can contain a space.
func purpose(id, algorithm string) string { return "signing key " + algorithm + " " + id }

var (
	order     = elliptic.P256().Params().N
	halfOrder = new(big.Int).Rsh(order, 1)
	// highestS is halfOrder as the last 32 bytes of a signature spell it.
	highestS = halfOrder.FillBytes(make([]byte, 32))
)

// sign gives r and s, 32 bytes each (RFC 7518 §3.4). (r, s) and (r, n-s) both verify, so that every token would have a
// twin; we sign the lower s and verify takes no other.
func (k Key) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", k.ID, err)
	}
	if s.Cmp(halfOrder) > 0 {
		s.Sub(order, s)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

// verify reports whether signature is what sign could have given for input. ecdsa.Verify refuses zero and n.
func verify(public *ecdsa.PublicKey, input string, signature []byte) bool {
	if len(signature) != 64 || bytes.Compare(signature[32:], highestS) > 0 {
		return false
	}
	digest := sha256.Sum256([]byte(input))
	r := new(big.Int).SetBytes(signature[:32])
	s := new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(public, digest[:], r, s)
}
