// Package jws reads and verifies the signatures of JWTs (RFC 7515, RFC 7518, RFC 8037): [Verify] is what the suite goes by, and [Key] one key of a JWKS. It is strict, since
// what one library takes and another does not would hide a fault, knows no shared secrets and no encryption, and imports nothing of the rest of this module. It is a package
// of its own so that vectors that others wrote can be tried on it.
package jws

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// B64 is base64url without padding, of which each string has one spelling.
var B64 = base64.RawURLEncoding.Strict()

// Token is a JWS that was read, verified or not.
type Token struct {
	Header    map[string]any
	Payload   []byte
	Signed    string // what the signature is over
	Signature []byte
}

// Parse reads the compact form (RFC 7515 §3.1).
func Parse(token string) (*Token, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("it has %d parts, not 3", len(parts))
	}
	t := &Token{Signed: parts[0] + "." + parts[1]}
	var raw [3][]byte
	for i, part := range parts {
		b, err := B64.DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") { // DecodeString passes over line ends
			return nil, errors.New("it is no base64url without padding")
		}
		raw[i] = b
	}
	t.Payload, t.Signature = raw[1], raw[2]
	var err error
	t.Header, err = Object(raw[0])
	return t, err
}

// Object reads one JSON object, in which no member comes twice.
func Object(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil || v == nil {
		return nil, errors.New("it has a part that is no JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows a JSON object in it")
	}
	if name := Repeated(b); name != "" {
		return nil, fmt.Errorf("it has the member %q twice", name)
	}
	return v, nil
}

// Verify checks a signature by the one key of its kid. It knows the algorithms of signatures alone, and no shared secret.
func Verify(token string, keys []Key) (*Token, error) {
	t, err := Parse(token)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"crit", "jwk", "jku", "x5u", "b64", "enc", "zip"} {
		if _, has := t.Header[name]; has {
			return nil, fmt.Errorf("its header has %s", name)
		}
	}
	alg, _ := t.Header["alg"].(string)
	kid, has := t.Header["kid"].(string)
	fits := slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return has && k.ID != kid || k.Use != "" && k.Use != "sig" })
	if len(fits) != 1 {
		return nil, fmt.Errorf("%d published keys fit its kid", len(fits))
	}
	if err := fits[0].Verify(alg, t.Signed, t.Signature); err != nil {
		return nil, err
	}
	return t, nil
}
