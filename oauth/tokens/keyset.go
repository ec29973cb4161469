package tokens

import (
	"bytes"
	"cmp"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// MaxLength is the most bytes that a token may have, also one of somebody else's. Ours have about 700; what is longer is refused before any work, and
// common servers allow no longer header line.
const MaxLength = 8 << 10

// Keys are what a KeySet is made of.
type Keys struct {
	// Signers sign, verify and are in the JWKS. They have different algorithms; the first signs what is asked for none. Without any,
	// nothing can be signed.
	Signers []Key
	// Verifiers verify and are in the JWKS: keys that are to sign, and keys whose tokens are not over yet.
	Verifiers []Key
	// Hints verify ID tokens alone, which may be hints long after they expired, and are not in the JWKS. They also verify for
	// KeySet.VerifyToEnd.
	Hints []Key
	// Revoked verify for KeySet.VerifyToEnd alone, and are not in the JWKS.
	Revoked []Key
}

// KeySet is the keys in use: some sign, all verify. It also remembers the tokens that it signed and that verified last. It is safe
// for concurrent use; to rotate, make another, which remembers none.
type KeySet struct {
	signers map[string]Key // by algorithm
	first   string         // the algorithm of the first signer, "" for none
	jwks    []byte
	access  form
	ending  form // access tokens, also by keys that are over
	idToken form
	logout  form    // signed, never read
	event   form    // signed, never read
	seen    *seen   // access tokens
	signed  *signed // of any form
}

// form is a kind of token: how each key spells its header. A header is never parsed but compared, whole, with those that
// our keys write. So alg, crit, jwk, jku, b64 and whatever else a header may come to hold cannot be chosen by a stranger.
type form struct {
	headers map[string]string   // by kid, as base64url
	keys    map[string]verifier // by header
}

// verifier is a public key with its one algorithm.
type verifier struct {
	public crypto.PublicKey
	verify func(public crypto.PublicKey, input string, signature []byte) bool
}

// NewKeySet returns the set of keys, of which the first signs and all verify. It fails on no key, and as Keys.Set does.
func NewKeySet(keys ...Key) (*KeySet, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: a key set needs one", ErrKey)
	}
	return Keys{Signers: keys[:1], Verifiers: keys[1:]}.Set()
}

// Set returns the set of k. It fails with ErrKey on a Key that was not made by this package, on one that is there twice, and
// on two Signers of one algorithm.
func (k Keys) Set() (*KeySet, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	published := slices.Concat(k.Signers, k.Verifiers)
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range published {
		public.Keys = append(public.Keys, key.public())
	}
	jwks, err := json.Marshal(public)
	if err != nil {
		return nil, fmt.Errorf("writing the JWKS: %w", err)
	}
	// RFC 9068 §2.1 types access tokens so that nothing else of ours, such as an ID token, can serve as one.
	s := &KeySet{
		signers: make(map[string]Key), jwks: jwks, access: newForm("at+jwt", published), ending: newForm("at+jwt", k.all()),
		idToken: newForm("JWT", slices.Concat(published, k.Hints)), logout: newForm("logout+jwt", k.Signers), event: newForm("secevent+jwt", k.Signers),
		seen: newSeen(), signed: newSigned(),
	}
	for _, key := range k.Signers {
		s.signers[key.Algorithm] = key
		s.first = cmp.Or(s.first, key.Algorithm)
	}
	return s, nil
}

func (k Keys) all() []Key { return slices.Concat(k.Signers, k.Verifiers, k.Hints, k.Revoked) }

func (k Keys) check() error {
	ids, algorithms := make(map[string]bool), make(map[string]bool)
	for _, key := range k.all() {
		if !key.valid() || ids[key.ID] {
			return fmt.Errorf("%w: key %q is zero, renamed or there twice", ErrKey, key.ID)
		}
		ids[key.ID] = true
	}
	for _, key := range k.Signers {
		if algorithms[key.Algorithm] {
			return fmt.Errorf("%w: two keys sign %s", ErrKey, key.Algorithm)
		}
		algorithms[key.Algorithm] = true
	}
	return nil
}

func newForm(typ string, keys []Key) form {
	f := form{headers: make(map[string]string), keys: make(map[string]verifier)}
	for _, k := range keys {
		h := header(typ, k)
		f.headers[k.ID], f.keys[h] = h, verifier{k.held().signer.Public(), k.held().algorithm.verify}
	}
	return f
}

// header needs no escaping: each part is plain ASCII.
func header(typ string, k Key) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + k.Algorithm + `","kid":"` + k.ID + `","typ":"` + typ + `"}`))
}

// Algorithms lists the algorithms that can be signed with, sorted.
func (s *KeySet) Algorithms() []string { return slices.Sorted(maps.Keys(s.signers)) }

// First is the algorithm that signs where none is asked for, "" where nothing can be signed.
func (s *KeySet) First() string { return s.first }

// Signs reports whether algorithm can be signed with, or for "" whether anything can.
func (s *KeySet) Signs(algorithm string) bool {
	_, err := s.signer(algorithm)
	return err == nil
}

// signer is the key that signs algorithm, or what is asked for none. ErrKey if there is no such key.
func (s *KeySet) signer(algorithm string) (Key, error) {
	key, ok := s.signers[cmp.Or(algorithm, s.first)]
	if !ok {
		return Key{}, fmt.Errorf("%w: none signs %q", ErrKey, algorithm)
	}
	return key, nil
}

// JWKS is the public keys as a JSON Web Key Set (RFC 7517 §5), the first signer's first, each with use, alg and kid. The bytes
// are the caller's own.
func (s *KeySet) JWKS() []byte { return bytes.Clone(s.jwks) }

// sign gives the compact form (RFC 7515 §7.1) of payload, by the key that signs algorithm.
func (s *KeySet) sign(f form, algorithm string, payload []byte) (string, error) {
	key, err := s.signer(algorithm)
	if err != nil {
		return "", err
	}
	header := f.headers[key.ID]
	token := make([]byte, 0, len(header)+base64.RawURLEncoding.EncodedLen(len(payload))+len("..")+86) // of ES256 and EdDSA
	token = append(append(token, header...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signature, err := key.sign(token)
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
	switch {
	case !known:
		return nil, ErrUnknownKey
	case !s.signed.has(token) && !key.verify(key.public, p.input, p.signature):
		return nil, ErrSignature
	}
	return p.payload, nil
}
