package faulty

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// KeyID is the kid by which the key of the client Keyed is known.
const KeyID = "the-key-of-keyed"

var clientKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil { // no entropy: nothing can go on
		panic(err)
	}
	return key
})

// PrivateKey is the private key of the client Keyed: PKCS #8 in PEM.
func PrivateKey() string {
	der, err := x509.MarshalPKCS8PrivateKey(clientKey())
	if err != nil { // the key is one of ours
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

var errForm = errors.New("it is none")

// signed is a JWT that somebody else made, verified.
type signed struct {
	header, claims map[string]json.RawMessage
}

func (j *signed) text(name string) string {
	var v string
	if json.Unmarshal(j.claims[name], &v) != nil {
		return ""
	}
	return v
}

// seconds is a claim that is a time, in whole seconds; 0 if there is none.
func (j *signed) seconds(name string) (int64, error) {
	raw, has := j.claims[name]
	if !has {
		return 0, nil
	}
	var v int64
	if json.Unmarshal(raw, &v) != nil || string(raw) == "null" {
		return 0, errForm
	}
	return v, nil
}

// members reads a JSON object strictly: each member comes once, unless the first is to be taken.
func members(b []byte, first bool) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errForm
	}
	all := make(map[string]json.RawMessage)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errForm
		}
		var v json.RawMessage
		if d.Decode(&v) != nil {
			return nil, errForm
		}
		if _, twice := all[name.(string)]; twice {
			if !first {
				return nil, errForm
			}
			continue
		}
		all[name.(string)] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, errForm
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errForm
	}
	return all, nil
}

// read reads a JWT in the compact form (RFC 7515 §3.1), by ES256 and nothing else. key finds its key in the header. what it is called by in the names of faults.
func (s *Server) read(what, value string, key func(header map[string]json.RawMessage) *ecdsa.PublicKey) (*signed, error) {
	wrong := func(f Fault) bool { return s.wrong(Fault(what) + "-" + f) }
	if what == "assertion" && s.wrong("assertion-in-json-form") && strings.HasPrefix(value, "{") {
		var flat struct{ Protected, Payload, Signature string }
		if json.Unmarshal([]byte(value), &flat) == nil {
			value = flat.Protected + "." + flat.Payload + "." + flat.Signature
		}
	}
	parts := strings.Split(value, ".")
	if len(parts) != 3 || strings.ContainsAny(value, "\r\n") {
		return nil, errForm
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = b64.Strict().DecodeString(p); err != nil {
			return nil, errForm
		}
	}
	j := &signed{}
	var err error
	if j.header, err = members(raw[0], false); err != nil {
		return nil, err
	}
	if j.claims, err = members(raw[1], wrong("first-of-two-members")); err != nil {
		return nil, err
	}
	for _, name := range []string{"crit", "jku", "x5u", "x5c"} {
		if _, has := j.header[name]; has && !(name == "crit" && wrong("crit-passed-over")) {
			return nil, errForm
		}
	}
	var alg string
	if json.Unmarshal(j.header["alg"], &alg) != nil {
		alg = ""
	}
	body := parts[0] + "." + parts[1]
	switch {
	case strings.EqualFold(alg, "none") && wrong("of-none"):
		return j, nil
	case alg == "HS256" && wrong("by-secret"):
		return j, byHMAC("secret", body, raw[2])
	case alg == "HS256" && what == "assertion" && s.wrong("assertion-kid-is-a-path") && bytes.Contains(j.header["kid"], []byte("/")):
		return j, byHMAC("", body, raw[2])
	case alg != "ES256" && !(wrong("algorithm-not-looked-at") && !strings.EqualFold(alg, "none") && alg != "HS256" && alg != ""):
		return nil, errForm
	}
	public := key(j.header)
	if !holds(public, body, raw[2]) && !(public != nil && wrong("not-verified")) {
		return nil, errForm
	}
	return j, nil
}

func byHMAC(secret, body string, signature []byte) error {
	if !hmac.Equal(macOf(secret, body), signature) {
		return errForm
	}
	return nil
}

// macOf is HS256 (RFC 7518 §3.2).
func macOf(secret, body string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return mac.Sum(nil)
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// asserted gives the client that signed an assertion (RFC 7523 §3), nil if it is none.
func (s *Server) asserted(f url.Values) *Client {
	value := f.Get("client_assertion")
	if s.tokens[value] != nil && s.wrong("token-taken-for-assertion") {
		return Keyed
	}
	if f.Get("client_assertion_type") != assertionType {
		return nil
	}
	j, err := s.read("assertion", value, s.keyOfClient)
	if err != nil {
		return nil
	}
	seen := func(mark bool) bool {
		was := s.seen[j.text("jti")]
		s.seen[j.text("jti")] = was || mark
		return was
	}
	if s.wrong("assertion-spent-by-anybody") && seen(true) {
		return nil
	}
	switch {
	case j.text("iss") != Keyed.ID && !s.wrong("assertion-of-any-issuer"), j.text("sub") != Keyed.ID && !s.wrong("assertion-of-any-subject"):
		return nil
	case !s.forUs(j.claims["aud"]) && !s.wrong("assertion-for-anybody"):
		return nil
	case !s.inTime(j):
		return nil
	case f.Has("client_id") && f.Get("client_id") != Keyed.ID && !s.wrong("assertion-beside-any-id"):
		return nil
	case j.text("jti") == "" || !s.wrong("assertion-spent-by-anybody") && seen(false) && !s.wrong("assertion-taken-again"):
		return nil
	}
	if s.wrong("assertion-marked-late") {
		s.gap()
	}
	seen(true)
	return Keyed
}

// keyOfClient is the key of Keyed, by the kid that says so.
func (s *Server) keyOfClient(header map[string]json.RawMessage) *ecdsa.PublicKey {
	if raw, has := header["jwk"]; has {
		if s.wrong("assertion-key-from-header") {
			return publicKey(raw)
		}
		return nil
	}
	var kid string
	if json.Unmarshal(header["kid"], &kid) != nil || kid != KeyID {
		return nil
	}
	return &clientKey().PublicKey
}

// publicKey reads a key of P-256 (RFC 7518 §6.2), nil if it is none, or has what a public key has not.
func publicKey(raw json.RawMessage) *ecdsa.PublicKey {
	all, err := members(raw, false)
	if err != nil {
		return nil
	}
	text := func(name string) (v string) {
		if json.Unmarshal(all[name], &v) != nil {
			return ""
		}
		return v
	}
	x, errX := b64.Strict().DecodeString(text("x"))
	y, errY := b64.Strict().DecodeString(text("y"))
	if _, private := all["d"]; private || text("kty") != "EC" || text("crv") != "P-256" || errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return nil
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil
	}
	return public
}

// forUs reports whether an aud is the issuer, and nobody else.
func (s *Server) forUs(raw json.RawMessage) bool {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one == s.issuer
	}
	var many []string
	if json.Unmarshal(raw, &many) != nil || s.wrong("assertion-for-list-refused") {
		return false
	}
	return slices.Contains(many, s.issuer) && (len(many) == 1 || s.wrong("assertion-for-others-too"))
}

// inTime reports whether an assertion has begun, is not over, and is for an hour at most.
func (s *Server) inTime(j *signed) bool {
	exp, errExp := j.seconds("exp")
	nbf, errNotBefore := j.seconds("nbf")
	iat, errIssued := j.seconds("iat")
	if s.wrong("assertion-dates-passed-over") && (errExp != nil || errNotBefore != nil || errIssued != nil) {
		return true
	}
	now := s.now().Unix()
	if errExp != nil || errNotBefore != nil || errIssued != nil || nbf > now || iat > now+60 {
		return false
	}
	return (exp > now || exp == 0 && s.wrong("assertion-without-end")) && (exp <= now+int64(time.Hour.Seconds()) || s.wrong("assertion-for-years"))
}
