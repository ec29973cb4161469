package tokens

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// SignIDToken gives claims as an ID token (OpenID Connect Core §2) with typ JWT, members sorted by name, signed as algorithm says, or
// as access tokens are where it is "". Beside iss and sub, which it requires, what stands in claims is the caller's affair. It fails
// with ErrKey where no key signs algorithm, and with ErrClaims or ErrMalformed on what VerifyIDToken would refuse: a name twice in
// another case, and act, since an impersonation gets no ID token.
func (s *KeySet) SignIDToken(algorithm string, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("writing claims: %w", err)
	}
	issuer, _ := claims["iss"].(string)
	if err := checkIDToken(payload, issuer); err != nil {
		return "", err
	}
	return s.sign(s.idToken, algorithm, payload)
}

// AccessTokenHash is the at_hash of an ID token that comes with accessToken and is signed as algorithm says, or as access tokens are
// where it is "" (OpenID Connect Core §3.1.3.6): base64url of the left half of the hash that the algorithm uses, which for EdDSA is the
// SHA-512 of Ed25519.
func (s *KeySet) AccessTokenHash(algorithm, accessToken string) string {
	if cmp.Or(algorithm, s.first) == EdDSA {
		sum := sha512.Sum512([]byte(accessToken))
		return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	}
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// VerifyIDToken reads an ID token of ours, as id_token_hint: signed by one of the keys, with issuer as iss and a sub. Numbers
// come as float64. It does not look at exp and aud: a hint may have expired (OpenID Connect RP-Initiated Logout §2), and
// who is asking, the caller knows. It fails with ErrMalformed, ErrSignature or ErrClaims.
func (s *KeySet) VerifyIDToken(token, issuer string) (map[string]any, error) {
	payload, err := s.open(s.idToken, token)
	if err != nil {
		return nil, err
	}
	if err := checkIDToken(payload, issuer); err != nil {
		return nil, err
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	return claims, nil
}

func checkIDToken(payload []byte, issuer string) error {
	members, err := parseObject(payload)
	if err != nil {
		return err
	}
	var iss, sub string
	for _, m := range members {
		var ok bool
		switch m.name {
		case "iss":
			ok = m.string(&iss)
		case "sub":
			ok = m.string(&sub)
		case "act":
			ok = false
		default:
			ok = !disguised(m.name)
		}
		if !ok {
			return fmt.Errorf("%w: one of a wrong form or in disguise", ErrClaims)
		}
	}
	if iss == "" || iss != issuer || sub == "" {
		return fmt.Errorf("%w: another iss, or no sub", ErrClaims)
	}
	return nil
}
