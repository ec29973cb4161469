package tokens

import (
	"errors"
	"fmt"
	"slices"
)

// jws is what somebody else signed, and what its header says.
type jws struct {
	parts
	alg, kid, typ string
	key           *PublicKey // the header's jwk
}

// VerifyJWS reads any JWS in compact form that one of at most eight keys signed, and gives what it signs, which may be empty. It
// knows neither typ nor claims: what has rules of its own here, has a function of its own, and a caller of this one must make sure
// that no other kind of JWT can pass for its own (RFC 8725 §3.12).
//
// A kid selects among keys; without, each is tried. A header with crit, b64, zip, enc, cty, jwk, jku, x5u or x5c is refused: none of
// them may choose what verifies it (RFC 8725 §3.10), and we know no extension, compression or nesting. It fails with ErrMalformed, ErrSignature,
// or ErrKey where there are more keys.
func VerifyJWS(token string, keys []PublicKey) ([]byte, error) {
	j, err := parseJWS(token)
	if err != nil {
		return nil, err
	}
	if err := j.verify(keys, maxKeys); err != nil {
		return nil, err
	}
	return j.payload, nil
}

// parseJWS reads a JWS without jwk; its signature is still to be verified.
func parseJWS(token string) (jws, error) {
	j, err := parseAnyJWS(token)
	if err == nil && j.key != nil {
		err = fmt.Errorf("%w: header: jwk is not taken", ErrMalformed)
	}
	return j, err
}

func parseAnyJWS(token string) (jws, error) {
	p, err := split(token)
	if err != nil {
		return jws{}, err
	}
	return p.parse()
}

// parse reads the header of p.
func (p parts) parse() (jws, error) {
	header, err := decode(p.header)
	if err != nil {
		return jws{}, err
	}
	members, err := parseObject(header)
	if err != nil {
		return jws{}, err
	}
	j := jws{parts: p}
	for _, m := range members {
		if err := j.set(m); err != nil {
			return jws{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
		}
	}
	if algorithms[j.alg] == nil {
		return jws{}, fmt.Errorf("%w: alg must be %s, %s or %s", ErrSignature, ES256, EdDSA, RS256)
	}
	return j, nil
}

var (
	// refusedHeaders would change what is signed or by whom, or tell of a JWT within.
	refusedHeaders = []string{"crit", "b64", "zip", "enc", "cty", "jku", "x5u", "x5c"}
	readHeaders    = []string{"alg", "kid", "typ", "jwk"}
)

func (j *jws) set(m member) error {
	ok := true
	switch m.name {
	case "alg":
		ok = m.string(&j.alg)
	case "typ":
		ok = m.string(&j.typ)
	case "kid":
		ok = m.string(&j.kid) && len(j.kid) <= maxID
	case "jwk":
		key, err := parseJWK(m.node)
		if err != nil {
			return fmt.Errorf("jwk: %w", err)
		}
		j.key = &key
	default:
		if slices.Contains(refusedHeaders, m.name) {
			return fmt.Errorf("%s is not taken", m.name)
		}
		if folds(m.name, refusedHeaders) || folds(m.name, readHeaders) {
			return errors.New("a member in disguise: names are in lower case")
		}
	}
	if !ok {
		return fmt.Errorf("%s must be a string that is not empty, kid of no more than %d bytes", m.name, maxID)
	}
	return nil
}

// verify finds the key among keys, of which there may be most, that signed j.
func (j jws) verify(keys []PublicKey, most int) error {
	if len(keys) > most {
		return fmt.Errorf("%w: more than %d keys to try", ErrKey, most)
	}
	for _, k := range keys {
		if (j.kid == "" || j.kid == k.ID) && j.signedBy(k) {
			return nil
		}
	}
	return ErrSignature
}

// signedBy wants the header to name the key's own algorithm: the header never chooses it (RFC 8725 §3.1).
func (j jws) signedBy(k PublicKey) bool {
	return k.algorithm != nil && k.algorithm.name == j.alg && k.algorithm.verifyAny(k.public, j.input, j.signature)
}
