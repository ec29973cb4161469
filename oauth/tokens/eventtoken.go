package tokens

import "fmt"

// SignEvent gives claims, the JSON of a Security Event Token as package ssf writes it, as a JWT with typ secevent+jwt (RFC 8417 §2.3),
// signed as algorithm says, or as access tokens are where it is "". No reader of ours takes one for anything. It fails with ErrClaims on
// what has a sub or an exp, or is no object: such a token could pass for another one elsewhere. It fails with ErrKey where no key signs
// algorithm.
func (s *KeySet) SignEvent(algorithm string, claims []byte) (string, error) {
	members, err := parseObject(claims)
	if err != nil {
		return "", fmt.Errorf("%w: not the claims of an event: %w", ErrClaims, err)
	}
	for _, m := range members {
		if m.name == "sub" || m.name == "exp" {
			return "", fmt.Errorf("%w: an event has no %s", ErrClaims, m.name)
		}
	}
	return s.sign(s.event, algorithm, claims)
}
