package tokens

import (
	"errors"
	"fmt"
	"slices"
)

const (
	// maxIssuerKeys is the most keys of an issuer's set, those for other purposes included. The largest that we know of, of providers
	// with many tenants, have about ten.
	maxIssuerKeys = 32
	// maxIssuerSet is the most bytes of such a set: each key may have its chain of certificates beside it.
	maxIssuerSet = 512 << 10
)

// ParseIssuerKeys reads the JWK Set (RFC 7517 §5) that another issuer publishes, of at most 512 KiB and 32 keys, and gives those that
// can have signed what we read: on P-256, on Ed25519, or RSA of 2048 to 4096 bits, for signatures with the one algorithm that such
// a key has here. Unlike a client, which registers keys for us, an issuer publishes keys for everybody: those for encryption, or of
// another kty, crv or alg, are left out.
//
// It fails with ErrKey, and says which key and member broke which rule, where a set has no such key, two of them have one kid, one
// of them is malformed or weak, or any key at all shows a private or symmetric part: then everybody has it, and whoever publishes one
// may have published the others too.
func ParseIssuerKeys(jwks []byte) ([]PublicKey, error) {
	items, err := keyItems(jwks, maxIssuerSet, maxIssuerKeys)
	if err != nil {
		return nil, err
	}
	var keys []PublicKey
	for i, item := range items {
		ours, err := forUs(item)
		if err == nil && ours {
			keys, err = appendKey(keys, item)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: keys[%d]: %w", ErrKey, i, err)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: none of the keys is for signatures by %s, %s or %s", ErrKey, ES256, EdDSA, RS256)
	}
	return keys, nil
}

// forUs reports whether n, a key of a set for everybody, is for signatures by one of our algorithms.
func forUs(n node) (bool, error) {
	if n.kind != '{' {
		return false, errors.New("a key must be an object")
	}
	var j jwk
	ops := true
	for _, m := range n.members {
		if slices.Contains(privateMembers, m.name) {
			return false, j.set(m)
		}
		if to := j.field(m.name); to != nil {
			*to = m.text
		}
		if m.name == "key_ops" {
			ops = slices.ContainsFunc(m.items, func(op node) bool { return op.text == "verify" })
		}
	}
	usual := map[string]string{"EC P-256": ES256, "OKP Ed25519": EdDSA, "RSA ": RS256}[j.kty+" "+j.crv]
	return ops && (j.use == "" || j.use == "sig") && usual != "" && (j.alg == "" || j.alg == usual), nil
}
