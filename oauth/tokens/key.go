// Package tokens signs our JWTs and reads them back strictly: access tokens by RFC 9068, ID tokens, and logout tokens, which it only
// signs. Start with [Generate] for a key, [NewKeySet] for those in use, [KeySet.Sign] and [KeySet.Verify] for [Claims]. One token of
// ours has one spelling that verifies, and nothing is read before its signature.
//
// It also reads what clients sign, as strictly: [ParseKeys] for their keys, [VerifyAssertion] for client assertions (RFC 7523), of
// which [AssertionClient] only tells whose keys to look up, and [VerifyProof] for DPoP proofs (RFC 9449); and what other issuers sign:
// [ParseIssuerKeys] for their keys, [VerifyForeign] for access tokens, [VerifySigned] for what has claims of another kind. The package
// holds no policy, keeps no keys, fetches none, and knows neither fosite nor any store: whether a token was revoked or an assertion
// spent, its jti and sid tell somebody else.
package tokens

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/internal/seal"
)

// ErrKey means that a key cannot be used: its seal does not open, or it is not the key that its id and algorithm say.
var ErrKey = errors.New("tokens: not a usable key")

// Key is a private signing key. The zero value is not valid; make one with Generate, FromSigner or OpenKey. It is a value that
// nothing changes, so it is safe for concurrent use.
type Key struct {
	// ID is the kid: the key's SHA-256 thumbprint (RFC 7638, RFC 8037 §2), 43 characters of base64url. A random one could name
	// two keys after a bad restore; this one is recomputed whenever a key is opened.
	ID string
	// Algorithm is the JWA name: ES256, EdDSA or RS256.
	Algorithm string

	held func() held // fmt prints what a pointer points to where the verb is wrong, and nothing of a function
}

// held is what signs.
type held struct {
	signer    crypto.Signer
	algorithm *algorithm
}

// Generate makes a fresh key for ES256, EdDSA or RS256, the last of 2048 bits, which takes a while. It fails with ErrKey on any
// other algorithm.
func Generate(algorithm string) (Key, error) {
	a := algorithms[algorithm]
	if a == nil {
		return Key{}, fmt.Errorf("%w: no algorithm %q, it must be ES256, EdDSA or RS256", ErrKey, algorithm)
	}
	signer, err := a.generate()
	if err != nil {
		return Key{}, fmt.Errorf("making a signing key: %w", err)
	}
	return newKey(signer)
}

// FromSigner is a key that lives elsewhere, as in a KMS or an HSM: an ECDSA key on P-256 signs as ES256, an Ed25519 key as EdDSA, and an
// RSA key of 2048 to 4096 bits as RS256 (PKCS #1 v1.5). Sign is called for each token, from many goroutines at once, with the SHA-256
// of what it signs, or for EdDSA with all of it. FromSigner signs once to see that it works, and fails with ErrKey if the signature is
// not of the public key. Such a key cannot be sealed.
func FromSigner(signer crypto.Signer) (Key, error) {
	if signer == nil {
		return Key{}, fmt.Errorf("%w: no signer", ErrKey)
	}
	k, err := newKey(signer)
	if err != nil {
		return Key{}, err
	}
	const probe = "a signature to see that this signer is what its public key says"
	signature, err := k.sign([]byte(probe))
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if !k.held().algorithm.verify(signer.Public(), probe, signature) {
		return Key{}, fmt.Errorf("%w: what the signer of %s signs does not verify as %s", ErrKey, k.ID, k.Algorithm)
	}
	return k, nil
}

func newKey(signer crypto.Signer) (Key, error) {
	a, err := algorithmOf(signer.Public())
	if err != nil {
		return Key{}, err
	}
	k := Key{Algorithm: a.name, held: func() held { return held{signer, a} }}
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
	if k.held == nil {
		return false
	}
	made, err := newKey(k.held().signer)
	return err == nil && k.ID == made.ID && k.Algorithm == made.Algorithm
}

// public is the key as a JWKS shows it.
func (k Key) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.held().signer.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
}

// sign gives the signature of input as RFC 7518 §3.3 and §3.4 and RFC 8037 §3.1 write it.
func (k Key) sign(input []byte) ([]byte, error) {
	signature, err := k.held().algorithm.sign(k.held().signer, input)
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", k.ID, err)
	}
	return signature, nil
}

// Seal gives the private key as PKCS #8, sealed for its ID and Algorithm, for a store to keep. It fails with ErrKey for a key that
// lives elsewhere.
func (k Key) Seal(box *seal.Box) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(k.held().signer)
	if err != nil {
		return nil, fmt.Errorf("%w: sealing key %s, which is not held here: %w", ErrKey, k.ID, err)
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
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return Key{}, fmt.Errorf("%w: key %s cannot sign", ErrKey, id)
	}
	k, err := newKey(signer)
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
