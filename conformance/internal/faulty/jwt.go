package faulty

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
)

const keyID = "the-only-key"

var b64 = base64.RawURLEncoding

// sign makes a JWT (RFC 7519) with ES256 (RFC 7518 §3.4).
func (s *Server) sign(header, claims object) string {
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	r, t, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil { // the key is one of ours
		panic(err)
	}
	return signed + "." + b64.EncodeToString(append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...))
}

func part(o object) string {
	b, err := json.Marshal(o)
	if err != nil { // it holds what has a JSON form
		panic(err)
	}
	return b64.EncodeToString(b)
}

// keys is RFC 7517 §5.
func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	point, err := s.key.PublicKey.Bytes()
	if err != nil { // the key is one of ours
		panic(err)
	}
	writeJSON(w, http.StatusOK, object{"keys": []object{{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyID, "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:]),
	}}})
}
