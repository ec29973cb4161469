package tokens

import (
	"fmt"
	"slices"
	"strings"
)

// ExpectSigned is what the outside of a JWT must be that another issuer signed for us. What is not set matches nothing.
type ExpectSigned struct {
	// Types are the values that typ may have, in lower case and without "application/" (RFC 7515 §4.1.9); "" stands for none.
	Types []string
	// Algorithms are those that the issuer may sign with: some of Algorithms().
	Algorithms []string
	// MaxLength is the most bytes that the JWT may have.
	MaxLength int
	// Keys gives at most eight keys of that issuer, and of nobody else, for the kid of the header, "" for none. It is not asked where
	// anything else is wrong already.
	Keys func(kid string) ([]PublicKey, error)
}

// VerifySigned reads a JWT of another issuer whose claims are for the caller to judge, such as an ID token: it gives them as signed, a JSON
// object in which no two readers can see two things. Of the header it refuses what VerifyJWS does. It fails with ErrMalformed,
// ErrSignature, ErrKey, or with what Keys fails with.
func VerifySigned(token string, e ExpectSigned) ([]byte, error) {
	p, err := splitUpTo(e.MaxLength, token)
	if err != nil {
		return nil, err
	}
	j, err := p.parse()
	switch {
	case err != nil:
		return nil, err
	case j.key != nil:
		return nil, fmt.Errorf("%w: header: jwk is not taken", ErrMalformed)
	case !slices.Contains(e.Types, strings.TrimPrefix(strings.ToLower(j.typ), "application/")):
		return nil, fmt.Errorf("%w: typ is that of another kind of JWT", ErrMalformed)
	case !slices.Contains(e.Algorithms, j.alg):
		return nil, fmt.Errorf("%w: alg is not one that the issuer may sign with", ErrSignature)
	}
	if _, err := parseObject(j.payload); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	keys, err := e.Keys(j.kid)
	if err != nil {
		return nil, err
	}
	if err := j.verify(keys, maxIssuerKeys); err != nil {
		return nil, err
	}
	return j.payload, nil
}
