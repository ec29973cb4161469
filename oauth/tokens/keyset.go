package tokens

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// MaxLength is the most bytes that a token may have, also one of somebody else's. Ours have about 700; what is longer is refused before any work, and
// common servers allow no longer header line.
const MaxLength = 8 << 10

// KeySet is the keys in use: one signs, all verify. It also remembers the tokens that it signed and that verified last. It is safe
// for concurrent use; to rotate, make another, which remembers none.
type KeySet struct {
	signer  Key
	jwks    []byte
	access  form
	idToken form
	seen    *seen   // access tokens
	signed  *signed // of any form
}

// form is a kind of token: how each key spells its header. A header is never parsed but compared, whole, with those that
// our keys write. So alg, crit, jwk, jku, b64 and whatever else a header may come to hold cannot be chosen by a stranger.
type form struct {
	header string // the signer's, as base64url
	keys   map[string]verifier
}

// verifier is a public key with its one algorithm.
type verifier struct {
	public crypto.PublicKey
	verify func(public crypto.PublicKey, input string, signature []byte) bool
}

// NewKeySet returns the set of keys, of which the first signs. It fails on no key, and with ErrKey on a
// Key that was not made by this package and on one that is there twice.
func NewKeySet(keys ...Key) (*KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("tokens: a key set needs a key")
	}
	seen := make(map[string]bool)
	var public jose.JSONWebKeySet
	for _, k := range keys {
		if !k.valid() || seen[k.ID] {
			return nil, fmt.Errorf("%w: key %q is zero, renamed or there twice", ErrKey, k.ID)
		}
		seen[k.ID] = true
		public.Keys = append(public.Keys, k.public())
	}
	jwks, err := json.Marshal(public)
	if err != nil {
		return nil, fmt.Errorf("writing the JWKS: %w", err)
	}
	// RFC 9068 §2.1 types access tokens so that nothing else of ours, such as an ID token, can serve as one.
	return &KeySet{signer: keys[0], jwks: jwks, access: newForm("at+jwt", keys), idToken: newForm("JWT", keys), seen: newSeen(), signed: newSigned()}, nil
}

func newForm(typ string, keys []Key) form {
	f := form{header: header(typ, keys[0]), keys: make(map[string]verifier)}
	for _, k := range keys {
		f.keys[header(typ, k)] = verifier{k.held().signer.Public(), k.held().algorithm.verify}
	}
	return f
}

// header needs no escaping: each part is plain ASCII.
func header(typ string, k Key) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + k.Algorithm + `","kid":"` + k.ID + `","typ":"` + typ + `"}`))
}

// Signer is the key that signs.
func (s *KeySet) Signer() Key { return s.signer }

// JWKS is the public keys as a JSON Web Key Set (RFC 7517 §5), the signer's first, each with use, alg and kid. The bytes
// are the caller's own.
func (s *KeySet) JWKS() []byte { return bytes.Clone(s.jwks) }

// sign gives the compact form (RFC 7515 §7.1) of payload.
func (s *KeySet) sign(f form, payload []byte) (string, error) {
	token := make([]byte, 0, len(f.header)+base64.RawURLEncoding.EncodedLen(len(payload))+len("..")+86) // of ES256 and EdDSA
	token = append(append(token, f.header...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signature, err := s.signer.sign(token)
	if err != nil {
		return "", err
	}
	token = base64.RawURLEncoding.AppendEncode(append(token, '.'), signature)
	if len(token) > MaxLength {
		return "", fmt.Errorf("%w: the token would have %d bytes, at most %d are read", ErrClaims, len(token), MaxLength)
	}
	s.signed.add(string(token))
	return string(token), nil
}

// open gives the payload of a token of form f. Nothing of the payload is read before its signature held, or it is known to be a
// token that sign gave.
func (s *KeySet) open(f form, token string) ([]byte, error) {
	p, err := split(token)
	if err != nil {
		return nil, err
	}
	key, known := f.keys[p.header]
	if !known || !s.signed.has(token) && !key.verify(key.public, p.input, p.signature) {
		return nil, ErrSignature
	}
	return p.payload, nil
}
