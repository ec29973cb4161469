package tokens

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeys is the most keys of a set. A signature without kid may be tried with each, so it bounds the work too; a rotation needs
	// two or three.
	maxKeys = 8
	// maxSet is the most bytes of a set: eight keys of 4096 bits, each with a chain of certificates beside it, which we do not read.
	maxSet = 64 << 10
	// maxID is the most bytes of a kid or jti: a SHA-512 in hex takes half, and both are looked up.
	maxID = 256
)

// PublicKey is somebody else's verification key: one key, one algorithm (RFC 8725 §3.1). The zero value is not valid and verifies
// nothing; ParseKeys makes them. It is a value that nothing changes, so it is safe for concurrent use.
type PublicKey struct {
	// ID is the kid that its owner gave it, at most 256 bytes; "" if none. It is not unique beyond one set.
	ID string
	// Algorithm is the JWA name that follows from the key: ES256, EdDSA or RS256. To change it changes nothing.
	Algorithm string

	public     crypto.PublicKey
	algorithm  *algorithm
	thumbprint string
}

// Thumbprint is the key's SHA-256 thumbprint (RFC 7638, RFC 8037 §2): 43 characters of base64url, over the required members alone,
// whatever else stood in the JWK. It is "" for the zero value.
func (k PublicKey) Thumbprint() string { return k.thumbprint }

// ParseKeys reads a JWK Set (RFC 7517 §5) of one to eight public keys, each on P-256, on Ed25519, or RSA of 2048 to 4096 bits. It fails
// with ErrKey, and says which key and member broke which rule: one unfit key spoils the set, since to leave it out would refuse its
// signatures later, when nobody looks. Members that it does not know, such as x5c, are ignored; what they say is not checked.
func ParseKeys(jwks []byte) ([]PublicKey, error) {
	items, err := keyItems(jwks, maxSet, maxKeys)
	if err != nil {
		return nil, err
	}
	var keys []PublicKey
	for i, item := range items {
		if keys, err = appendKey(keys, item); err != nil {
			return nil, fmt.Errorf("%w: keys[%d]: %w", ErrKey, i, err)
		}
	}
	return keys, nil
}

// keyItems gives what a JWK Set of at most size bytes has for keys: one to most.
func keyItems(jwks []byte, size, most int) ([]node, error) {
	if len(jwks) > size {
		return nil, fmt.Errorf("%w: a set of more than %d bytes", ErrKey, size)
	}
	members, err := parseObject(jwks)
	if err != nil {
		return nil, fmt.Errorf("%w: the set: %w", ErrKey, err)
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.name == "keys" })
	if i < 0 || members[i].kind != '[' {
		return nil, fmt.Errorf("%w: the set must be an object whose keys is an array", ErrKey)
	}
	items := members[i].items
	if len(items) == 0 || len(items) > most {
		return nil, fmt.Errorf("%w: keys must have 1 to %d keys", ErrKey, most)
	}
	return items, nil
}

// appendKey adds the key that n spells, if none of keys has its kid.
func appendKey(keys []PublicKey, n node) ([]PublicKey, error) {
	k, err := parseJWK(n)
	if err != nil {
		return nil, err
	}
	if k.ID != "" && slices.ContainsFunc(keys, func(other PublicKey) bool { return other.ID == k.ID }) {
		return nil, errors.New("kid must not be another key's too")
	}
	return append(keys, k), nil
}

// jwk is a JSON Web Key (RFC 7517 §4) as its members spell it.
type jwk struct{ kty, crv, x, y, n, e, alg, use, kid string }

// private are the members that no public key has (RFC 7518 §6), known the members that we read beside them.
var (
	privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
	publicMembers  = []string{"kty", "crv", "x", "y", "n", "e", "alg", "use", "kid", "key_ops"}
)

// parseJWK reads a public key. Its errors name a member and a rule, and are for the caller to wrap.
func parseJWK(n node) (PublicKey, error) {
	if n.kind != '{' {
		return PublicKey{}, errors.New("a key must be an object")
	}
	var j jwk
	for _, m := range n.members {
		if err := j.set(m); err != nil {
			return PublicKey{}, err
		}
	}
	public, algorithm, err := j.public()
	switch {
	case err != nil:
		return PublicKey{}, err
	case j.alg != "" && j.alg != algorithm.name:
		return PublicKey{}, fmt.Errorf("alg must be %s or absent for a key of this kty", algorithm.name)
	case j.use != "" && j.use != "sig":
		return PublicKey{}, errors.New("use must be sig or absent")
	case len(j.kid) > maxID:
		return PublicKey{}, fmt.Errorf("kid must have no more than %d bytes", maxID)
	}
	bare := jose.JSONWebKey{Key: public}
	thumbprint, err := bare.Thumbprint(crypto.SHA256)
	if err != nil {
		return PublicKey{}, fmt.Errorf("naming the key: %w", err)
	}
	return PublicKey{j.kid, algorithm.name, public, algorithm, base64.RawURLEncoding.EncodeToString(thumbprint)}, nil
}

func (j *jwk) set(m member) error {
	switch to := j.field(m.name); {
	case to != nil && !m.string(to):
		return fmt.Errorf("%s must be a string, and not empty", m.name)
	case to != nil:
		return nil
	case m.name == "key_ops":
		if len(m.items) != 1 || m.items[0].text != "verify" {
			return errors.New("key_ops must be an array of verify alone, or absent")
		}
		return nil
	case slices.Contains(privateMembers, m.name):
		return fmt.Errorf("%s belongs to a private or symmetric key: whoever sent it must make another", m.name)
	case folds(m.name, publicMembers) || folds(m.name, privateMembers):
		return errors.New("a member in disguise: names are in lower case")
	}
	return nil
}

func (j *jwk) field(name string) *string {
	switch name {
	case "kty":
		return &j.kty
	case "crv":
		return &j.crv
	case "x":
		return &j.x
	case "y":
		return &j.y
	case "n":
		return &j.n
	case "e":
		return &j.e
	case "alg":
		return &j.alg
	case "use":
		return &j.use
	case "kid":
		return &j.kid
	}
	return nil
}
