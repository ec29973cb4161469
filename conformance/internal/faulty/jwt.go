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
	"strings"
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

// sign makes a JWT (RFC 7519) with one of the keys (RFC 7518 §3.3, §3.4), each of which is for the algorithm that it is called by.
func (s *Server) sign(key string, header, claims object) string {
	if key == keyRS256 && s.wrong("rs256-missing") {
		key = keyES256
	}
	header["alg"], header["kid"] = strings.ToUpper(key), key
	if key == keyRS256 && s.wrong("id-token-key-unknown") {
		header["kid"] = "another"
	}
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	if key == keyRS256 {
		signature, err := rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, sum[:])
		if err != nil { // the key is one of ours
			panic(err)
		}
		return signed + "." + b64.EncodeToString(signature)
	}
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
	public := rsaKey().PublicKey
	keys := []object{
		{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyES256, "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])},
		{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyRS256, "n": b64.EncodeToString(public.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(public.E)).Bytes())},
	}
	writeJSON(w, http.StatusOK, object{"keys": s.spoilKeys(keys)})
}
