package tokens

import (
	"fmt"
	"strings"
	"time"
)

const (
	// assertionLifetime is how far ahead the exp of an assertion may lie. A longer one would be a password that stands in logs, and its
	// jti must be remembered for as long; what libraries choose by themselves is one to five minutes.
	assertionLifetime = 5 * time.Minute
	// assertionLeeway is by how much the client's clock may run ahead. A clock that runs late only shortens exp.
	assertionLeeway = 30 * time.Second
)

// ExpectAssertion is what a client assertion must say.
type ExpectAssertion struct {
	// Client is the client_id that iss and sub must both be; must be set.
	Client string
	// Issuer is our issuer identifier, which aud must be; must be set.
	Issuer string
	// Keys are the client's, and nobody else's: at most eight.
	Keys []PublicKey
	// Now is the time to judge by; must be set.
	Now time.Time
}

// Assertion is what is left to do about a client assertion that verified: to spend ID once for this client, in one guarded write, after
// every other check. It may be forgotten at Expires, from when VerifyAssertion refuses it.
type Assertion struct {
	ID      string    // jti: 1 to 256 bytes without control characters
	Expires time.Time // exp in UTC, cut to whole seconds
}

// VerifyAssertion reads a client assertion (RFC 7523 §3): signed by one of e.Keys, with iss and sub the client, jti, and exp no more than
// five minutes ahead. aud is our issuer alone, as draft-ietf-oauth-rfc7523bis wants it, as a string or an array of one, which
// say the same (RFC 7519 §4.1.3): a value more, or the URL of an endpoint, would let one server use at another what it was sent
// (CVE-2025-27370). typ is client-authentication+jwt as that draft says; JWT or none as well, since older libraries send no other, but
// never the type of another kind of JWT. It fails with ErrMalformed, ErrSignature, ErrKey, ErrClaims or ErrExpired, the last only where nothing else is wrong.
func VerifyAssertion(token string, e ExpectAssertion) (Assertion, error) {
	j, err := parseAssertion(token)
	if err != nil {
		return Assertion{}, err
	}
	if err := j.verify(e.Keys, maxKeys); err != nil {
		return Assertion{}, err
	}
	c, err := j.assertionClaims()
	if err != nil {
		return Assertion{}, err
	}
	if err := e.check(c); err != nil {
		return Assertion{}, err
	}
	return Assertion{c.id, c.expires}, nil
}

// AssertionClient gives the client whose keys would have to verify token: what both iss and sub say, as strictly read as by VerifyAssertion, but
// by anybody. It is of the form of a client_id (RFC 6749 Appendix A.1) and has at most 256 bytes. It fails with ErrMalformed, ErrSignature for another alg, or ErrClaims.
func AssertionClient(token string) (client string, err error) {
	j, err := parseAssertion(token)
	if err != nil {
		return "", err
	}
	c, err := j.assertionClaims()
	if err != nil {
		return "", err
	}
	if c.subject == "" || c.issuer != c.subject || len(c.subject) > maxID || strings.ContainsFunc(c.subject, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", fmt.Errorf("%w: iss and sub must both be the client_id", ErrClaims)
	}
	return c.subject, nil
}

func parseAssertion(token string) (jws, error) {
	j, err := parseJWS(token)
	if err != nil {
		return jws{}, err
	}
	switch j.typ {
	case "", "JWT", "client-authentication+jwt":
		return j, nil
	}
	return jws{}, fmt.Errorf("%w: typ must be client-authentication+jwt, JWT or absent", ErrMalformed)
}

// assertionClaims are those of RFC 7523 §3.
type assertionClaims struct {
	issuer, subject, audience, id string
	expires, issued, notBefore    time.Time
}

var assertionNames = []string{"iss", "sub", "aud", "jti", "exp", "iat", "nbf"}

func (j jws) assertionClaims() (assertionClaims, error) {
	var c assertionClaims
	return c, readClaims(j.payload, c.set, assertionNames)
}

// set takes one claim: false if it is of a wrong form.
func (c *assertionClaims) set(m member) bool {
	switch m.name {
	case "iss":
		return m.string(&c.issuer)
	case "sub":
		return m.string(&c.subject)
	case "aud":
		return m.soleString(&c.audience)
	case "jti":
		return m.identifier(&c.id)
	case "exp":
		return m.numericDate(&c.expires)
	case "iat":
		return m.numericDate(&c.issued)
	case "nbf":
		return m.numericDate(&c.notBefore)
	}
	return true
}

func (e ExpectAssertion) check(c assertionClaims) error {
	latest := e.Now.Add(assertionLeeway)
	switch {
	case c.issuer == "" || c.issuer != e.Client || c.subject != e.Client:
		return fmt.Errorf("%w: iss and sub must both be the client_id", ErrClaims)
	case c.audience == "" || c.audience != e.Issuer:
		return fmt.Errorf("%w: aud must be our issuer, and nothing else", ErrClaims)
	case c.id == "":
		return fmt.Errorf("%w: jti is required", ErrClaims)
	case c.expires.IsZero() || c.expires.After(e.Now.Add(assertionLifetime)):
		return fmt.Errorf("%w: exp is required, at most %s ahead", ErrClaims, assertionLifetime)
	case c.issued.After(latest) || c.notBefore.After(latest):
		return fmt.Errorf("%w: iat and nbf must not lie ahead", ErrClaims)
	case !e.Now.Before(c.expires):
		return ErrExpired
	}
	return nil
}
