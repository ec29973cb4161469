package faulty

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// keyParam is where the form of a request to the token endpoint has the thumbprint of the key that its sender has proven. What the form itself says there is forgotten.
const keyParam = "dpop_jkt"

// proofLifetime is how old a proof may be, and how far to come: clocks differ.
const proofLifetime = time.Minute

// prove puts the key that a request proves into its form (RFC 9449 §5).
func (s *Server) prove(r *http.Request, c *Client, f url.Values) *refusal {
	f.Del(keyParam)
	proofs := r.Header.Values("DPoP")
	switch {
	case len(proofs) == 0 && c.bound && !s.wrong("bound-client-needs-no-proof"):
		return refuse("invalid_dpop_proof", "the client has to prove its key")
	case len(proofs) == 0:
		return nil
	case len(proofs) > 1 && !s.wrong("first-of-two-proofs"):
		return refuse("invalid_dpop_proof", "there are two proofs")
	}
	j, key := s.proof(r)
	switch {
	case j == nil:
		return refuse("invalid_dpop_proof", "the proof does not hold")
	case j.text("nonce") != s.nonce && !s.wrong("nonce-passed-over"):
		return refuse("use_dpop_nonce", "the proof has to have the nonce")
	}
	f.Set(keyParam, key)
	return nil
}

// proof reads the first proof of a request (RFC 9449 §4.3), and gives the thumbprint of its key; nil where it does not hold.
func (s *Server) proof(r *http.Request) (j *signed, key string) {
	j, err := s.read("proof", r.Header.Get("DPoP"), s.keyOfProof)
	if err != nil {
		return nil, ""
	}
	var kind string
	if json.Unmarshal(j.header["typ"], &kind) != nil {
		kind = ""
	}
	iat, err := j.seconds("iat")
	age, id := s.now().Sub(time.Unix(iat, 0)), "proof "+j.text("jti")
	switch {
	case kind != "dpop+jwt" && !s.wrong("proof-of-any-type"):
		return nil, ""
	case j.text("htm") != r.Method && !s.wrong("proof-for-any-method"), !s.isAt(j.text("htu"), r) && !s.wrong("proof-for-any-address"):
		return nil, ""
	case err != nil || iat == 0, age > proofLifetime && !s.wrong("old-proof-taken"), age < -proofLifetime && !s.wrong("early-proof-taken"):
		return nil, ""
	case j.text("jti") == "" && !s.wrong("proof-without-id"), s.seen[id] && !s.wrong("proof-taken-again"):
		return nil, ""
	}
	s.seen[id] = true
	return j, s.thumbprint(j.header["jwk"])
}

// isAt reports whether a URL is that of a request, but for query and fragment.
func (s *Server) isAt(address string, r *http.Request) bool {
	want := s.issuer + r.URL.Path
	if r.URL.Path == "/token" {
		want = s.tokenEndpoint()
	}
	u, err := url.Parse(address)
	if err != nil || s.wrong("proof-address-letter-by-letter") {
		return address == want
	}
	return u.User == nil && u.Scheme+"://"+strings.ToLower(u.Host)+u.Path == want
}

// keyOfProof is the key that a proof brings.
func (s *Server) keyOfProof(header map[string]json.RawMessage) *ecdsa.PublicKey {
	jwk := header["jwk"]
	if s.wrong("proof-with-private-key") {
		jwk = without(jwk, "d")
	}
	return publicKey(jwk)
}

func without(jwk json.RawMessage, name string) json.RawMessage {
	var all map[string]json.RawMessage
	if json.Unmarshal(jwk, &all) != nil {
		return nil
	}
	delete(all, name)
	b, err := json.Marshal(all)
	if err != nil { // it was JSON before
		panic(err)
	}
	return b
}

// thumbprint is RFC 7638 §3: of the members that a key of P-256 must have, in their order.
func (s *Server) thumbprint(jwk json.RawMessage) string {
	var k struct {
		Curve string `json:"crv"`
		Type  string `json:"kty"`
		X     string `json:"x"`
		Y     string `json:"y"`
	}
	if json.Unmarshal(jwk, &k) != nil {
		return ""
	}
	b, err := json.Marshal(k)
	if err != nil { // it holds what has a JSON form
		panic(err)
	}
	if s.wrong("thumbprint-of-all-members") {
		b = jwk
	}
	sum := sha256.Sum256(b)
	return b64.EncodeToString(sum[:])
}

// carried reports whether a token comes to an API as it has to (RFC 9449 §7): one that is bound as DPoP, with a proof by its key and for it; any other as Bearer.
func (s *Server) carried(r *http.Request, t *token, scheme string) bool {
	if strings.EqualFold(scheme, "Bearer") {
		return t.key() == "" || s.wrong("bound-token-as-bearer")
	}
	j, key := s.proof(r)
	if j == nil || t.key() == "" {
		return false
	}
	return (key == t.key() || s.wrong("bound-token-by-any-key")) && (j.text("ath") == challenge(t.value) || s.wrong("proof-for-any-token"))
}
