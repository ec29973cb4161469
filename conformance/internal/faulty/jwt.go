package faulty

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"sync"
)

// The names of the keys.
const (
	keyES256 = "es256"
	keyRS256 = "rs256"
)

// rsaKey is one for all servers of a program: to make one takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil { // no entropy: nothing can go on
		panic(err)
	}
	return key
})

var b64 = base64.RawURLEncoding

// sign makes a JWT (RFC 7519) with ES256 (RFC 7518 §3.4).
func (s *Server) sign(header, claims object) string {
	header["alg"], header["kid"] = "ES256", keyES256
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	r, t, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil { // the key is one of ours
		panic(err)
	}
	return signed + "." + b64.EncodeToString(append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...))
}

// signRS256 makes one with RS256 (RFC 7518 §3.3).
func (s *Server) signRS256(header, claims object) string {
	header["alg"], header["kid"] = "RS256", keyRS256
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, sum[:])
	if err != nil { // the key is one of ours
		panic(err)
	}
	return signed + "." + b64.EncodeToString(signature)
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
	public := rsaKey().PublicKey
	writeJSON(w, http.StatusOK, object{"keys": []object{
		{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyES256, "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])},
		{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyRS256, "n": b64.EncodeToString(public.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(public.E)).Bytes())},
	}})
}
