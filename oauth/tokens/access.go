package tokens

// VerifyAccess is KeySet.Verify for a resource server, which has the keys that the issuer publishes and none of its own (RFC 9068 §4). typ is at+jwt or
// application/at+jwt. Of the rest it takes what Sign could have signed, and claims of other names: act one deep, one audience, no cnf but jkt,
// nothing of a fresh sign-in beside act. keys gives those of the issuer, and of nobody else, for the kid of the header, which must be there; it is not asked
// where anything in the header is wrong already. It fails with ErrMalformed, ErrSignature, ErrClaims or ErrExpired, the last only where nothing else is wrong,
// or with what keys fails with.
func VerifyAccess(token string, e Expect, keys func(kid string) ([]PublicKey, error)) (Claims, error) {
	named := func(kid string) ([]PublicKey, error) {
		if kid == "" { // to try them all would be work that a stranger can ask for
			return nil, nil
		}
		return keys(kid)
	}
	payload, err := VerifySigned(token, ExpectSigned{Types: []string{"at+jwt"}, Algorithms: Algorithms(), MaxLength: MaxLength, Keys: named})
	if err != nil {
		return Claims{}, err
	}
	c, err := parseClaims(payload)
	if err == nil {
		err = e.check(c)
	}
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}
