package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// MaxProofAge is how old a DPoP proof may be: its jti must be remembered until MaxProofAge after its IssuedAt. RFC 9449 §11.1 wants it
// brief, seconds or minutes.
const MaxProofAge = time.Minute

// proofLeeway is by how much the client's clock may run ahead.
const proofLeeway = 10 * time.Second

// ExpectProof is the request that a DPoP proof must be for.
type ExpectProof struct {
	// Method is the HTTP method, in its case; must be set.
	Method string
	// URL is what the client called, http or https, from configuration and never from the Host header; must be set. Its query and
	// fragment do not count.
	URL string
	// Now is the time to judge by; must be set.
	Now time.Time
	// AccessToken is the token beside the proof, whose hash ath must be; "" where none is presented, as at the token endpoint. There
	// an ath is ignored (RFC 9449 §4.3 asks no more), since htm and htu already say where the proof is for.
	AccessToken string
}

// Proof is what a DPoP proof says that verified. What is left to do: to compare Thumbprint with the key that a presented token is bound to,
// to check Nonce where one was given out, and at last to spend ID once.
type Proof struct {
	Thumbprint string    // of the key that signed it (RFC 7638), 43 characters of base64url: the jkt
	ID         string    // jti: 1 to 256 bytes without control characters
	Nonce      string    // as sent; "" for none
	IssuedAt   time.Time // iat in UTC, cut to whole seconds
}

// VerifyProof reads a DPoP proof as RFC 9449 §4.3 (2) to (9), (11) and the first half of (12) say: typ dpop+jwt, signed by the public jwk in its own
// header, for e.Method and e.URL, with a jti, and an iat less than MaxProofAge old and at most ten seconds ahead. URLs are compared
// normalised (RFC 3986 §6.2.2, §6.2.3), methods and ath byte for byte. exp and nbf are minded where they stand. It fails with
// ErrMalformed, ErrSignature, ErrClaims or ErrExpired, the last only where nothing else is wrong.
func VerifyProof(proof string, e ExpectProof) (Proof, error) {
	j, err := parseAnyJWS(proof)
	switch {
	case err != nil:
		return Proof{}, err
	case j.typ != "dpop+jwt":
		return Proof{}, fmt.Errorf("%w: typ must be dpop+jwt", ErrMalformed)
	case j.key == nil:
		return Proof{}, fmt.Errorf("%w: header: jwk is required", ErrMalformed)
	case !j.signedBy(*j.key):
		return Proof{}, ErrSignature
	}
	var c proofClaims
	if err := readClaims(j.payload, c.set, proofNames); err != nil {
		return Proof{}, err
	}
	if err := e.check(c); err != nil {
		return Proof{}, err
	}
	return Proof{j.key.thumbprint, c.id, c.nonce, c.issued}, nil
}

// proofClaims are those of RFC 9449 §4.2.
type proofClaims struct {
	method, url, id, ath, nonce string
	issued, expires, notBefore  time.Time
}

var proofNames = []string{"htm", "htu", "jti", "ath", "nonce", "iat", "exp", "nbf"}

// set takes one claim: false if it is of a wrong form.
func (c *proofClaims) set(m member) bool {
	switch m.name {
	case "htm":
		return m.string(&c.method)
	case "htu":
		return m.string(&c.url)
	case "jti":
		return m.identifier(&c.id)
	case "ath":
		return m.string(&c.ath)
	case "nonce":
		return m.string(&c.nonce)
	case "iat":
		return m.numericDate(&c.issued)
	case "exp":
		return m.numericDate(&c.expires)
	case "nbf":
		return m.numericDate(&c.notBefore)
	}
	return true
}

func (e ExpectProof) check(c proofClaims) error {
	latest := e.Now.Add(proofLeeway)
	switch {
	case c.method == "" || c.method != e.Method:
		return fmt.Errorf("%w: htm must be the request's method", ErrClaims)
	case !sameURL(c.url, e.URL):
		return fmt.Errorf("%w: htu must be the request's URL", ErrClaims)
	case e.AccessToken != "" && c.ath != hashOf(e.AccessToken):
		return fmt.Errorf("%w: ath must be the hash of the access token", ErrClaims)
	case c.id == "":
		return fmt.Errorf("%w: jti is required", ErrClaims)
	case c.issued.IsZero() || c.issued.After(latest):
		return fmt.Errorf("%w: iat is required, and must not lie ahead", ErrClaims)
	case c.notBefore.After(latest):
		return fmt.Errorf("%w: nbf must not lie ahead", ErrClaims)
	case !e.Now.Before(c.issued.Add(MaxProofAge)) || !c.expires.IsZero() && !e.Now.Before(c.expires):
		return ErrExpired
	}
	return nil
}

// hashOf is the ath of RFC 9449 §4.2.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
