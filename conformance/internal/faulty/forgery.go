package faulty

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"strings"
)

// accessToken finds one by what it is: nothing of it is believed that was not issued so.
func (s *Server) accessToken(value string) *token {
	if t := s.tokens[value]; t != nil {
		return t
	}
	return s.forgery(value)
}

// forgery is the token for which a forged one is taken.
func (s *Server) forgery(value string) *token {
	if s.fault == "" {
		return nil
	}
	if s.wrong("id-token-taken-for-access-token") {
		return s.idTokens[value]
	}
	var flat struct{ Protected, Payload, Signature string }
	if s.wrong("token-in-json-form") && json.Unmarshal([]byte(value), &flat) == nil {
		return s.tokens[flat.Protected+"."+flat.Payload+"."+flat.Signature]
	}
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return nil
	}
	var raw [3][]byte
	for i, p := range parts {
		raw[i], _ = b64.DecodeString(p) // what cannot be read passes as far as it goes
	}
	header, errHeader := members(raw[0], false)
	claims := object{}
	if errHeader != nil || json.Unmarshal(raw[1], &claims) != nil {
		return nil
	}
	if s.believes(parts, header, claims, raw[2]) {
		return s.tokenOf(claims)
	}
	return nil
}

// believes reports whether the one thing holds that is looked at.
func (s *Server) believes(parts []string, header map[string]json.RawMessage, claims object, signature []byte) bool {
	var alg string
	if json.Unmarshal(header["alg"], &alg) != nil {
		alg = ""
	}
	body := parts[0] + "." + parts[1]
	switch {
	case s.wrong("token-of-any-issuer"):
		return claims["iss"] == "https://other-issuer.example"
	case s.wrong("token-key-from-header"):
		return holds(publicKey(header["jwk"]), body, signature)
	case s.wrong("proof-taken-for-token"):
		return string(header["typ"]) == `"dpop+jwt"` && holds(publicKey(header["jwk"]), body, signature)
	case s.wrong("token-of-client-key"):
		return holds(&clientKey().PublicKey, body, signature)
	case s.wrong("token-of-none"):
		return strings.EqualFold(alg, "none")
	case s.wrong("token-by-secret"):
		return alg == "HS256" && byHMAC("secret", body, signature) == nil
	case s.wrong("token-kid-is-a-path"):
		return alg == "HS256" && bytes.Contains(header["kid"], []byte("/")) && byHMAC("", body, signature) == nil
	case s.wrong("token-signature-of-zeros"):
		return bytes.Equal(signature, make([]byte, 64))
	case s.wrong("token-scope-not-signed"):
		for known, t := range s.tokens {
			if strings.HasSuffix(known, "."+parts[2]) && claims["jti"] == t.claims["jti"] && claims["sub"] == t.claims["sub"] && claims["scope"] == "everything" {
				return true
			}
		}
	}
	return false
}

// holds reports whether a signature is by a key, with ES256.
func holds(public *ecdsa.PublicKey, body string, signature []byte) bool {
	sum := sha256.Sum256([]byte(body))
	return public != nil && len(signature) == 64 && ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// tokenOf takes claims at their word.
func (s *Server) tokenOf(claims object) *token {
	a := account(func(a *Account) bool { return a.Subject == claims["sub"] })
	if a == nil {
		return nil
	}
	scope, _ := claims["scope"].(string)
	return &token{
		client: App, subject: a, audience: Resource, scope: strings.Fields(scope), claims: claims, login: &login{account: a, at: s.now()}, grant: &grant{}, expires: s.now().Add(AccessLifetime),
	}
}

// weak is a JWT that a common word signs.
func weak() string {
	body := part(object{"alg": "HS256"}) + "." + part(object{"jti": random()})
	return body + "." + b64.EncodeToString(macOf("secret", body))
}
