package tokens_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// set spells a JWK Set.
func set(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

// Keys for other purposes are left out, and those for ours are found among them.
func TestIssuerKeys(t *testing.T) {
	t.Parallel()
	good := bareJWK(t, clientKey().Signer().Public())
	with := func(members string) string { return extend(good, members) }
	for name, other := range map[string]string{
		"for encryption":        with(`"use":"enc","kid":"other"`),
		"of another alg":        with(`"alg":"ES384"`),
		"for encryption by alg": strings.Replace(rsaThumbprintKey, `"RS256"`, `"RSA-OAEP"`, 1),
		"for RS512":             strings.Replace(rsaThumbprintKey, `"RS256"`, `"RS512"`, 1),
		"on P-384":              `{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}`,
		"on secp256k1":          `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`,
		"on X25519":             `{"kty":"OKP","crv":"X25519","x":"AA"}`,
		"of a kind to come":     `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`,
		"to derive bits":        with(`"key_ops":["deriveBits"]`),
		"the same kid twice":    with(`"use":"enc","kid":"mine"`),
	} {
		keys, err := tokens.ParseIssuerKeys(set(other, with(`"kid":"mine","use":"sig","x5c":["AA"]`), other))
		if err != nil || len(keys) != 1 || keys[0].ID != "mine" || keys[0].Algorithm != tokens.ES256 {
			t.Errorf("%s: got %v, %v; want mine alone", name, keys, err)
		}
		if keys, err := tokens.ParseIssuerKeys(set(other)); !errors.Is(err, tokens.ErrKey) || keys != nil {
			t.Errorf("%s alone: got %v, %v; want ErrKey", name, keys, err)
		}
	}
	var many []string
	for i := range 32 {
		many = append(many, with(fmt.Sprintf(`"kid":"%d"`, i)))
	}
	if keys, err := tokens.ParseIssuerKeys(set(many...)); err != nil || len(keys) != 32 {
		t.Errorf("32 keys: got %d, %v", len(keys), err)
	}
}

// A set that shows what must be secret, or cannot be read in one way only, is refused as a whole.
func TestIssuerKeysRefused(t *testing.T) {
	t.Parallel()
	good := bareJWK(t, clientKey().Signer().Public())
	with := func(members string) string { return extend(good, members) }
	for name, c := range map[string]struct {
		set  []byte
		word string
	}{
		"nothing":                {nil, "not JSON"},
		"an array":               {[]byte(`[` + good + `]`), "object"},
		"no keys":                {[]byte(`{}`), "keys"},
		"keys an object":         {[]byte(`{"keys":` + good + `}`), "array"},
		"keys twice":             {[]byte(`{"keys":[` + good + `],"keys":[` + good + `]}`), "twice"},
		"keys none":              {set(), "1 to 32"},
		"a key a string":         {set(good, `"k"`), "keys[1]"},
		"33 keys":                {set(strings.Split(strings.Repeat(good+" ", 32)+good, " ")...), "1 to 32"},
		"more than 512 KiB":      {set(good, with(`"x5c":["`+strings.Repeat("A", 512<<10)+`"]`)), "524288 bytes"},
		"symmetric":              {set(good, `{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}`), "keys[1]: k "},
		"a symmetric part":       {set(with(`"k":"AA"`)), "k "},
		"private":                {set(good, with(`"kid":"x","d":"AA"`)), "keys[1]: d "},
		"private for encryption": {set(good, with(`"use":"enc","d":"AA"`)), "d "},
		"private of another kty": {set(good, `{"kty":"OKP","crv":"X25519","x":"AA","d":"AA"}`), "d "},
		"private in disguise":    {set(with(`"D":"AA"`)), "disguise"},
		"a kid twice":            {set(with(`"kid":"one"`), with(`"kid":"one"`)), "kid"},
		"not on the curve":       {set(good, `{"kty":"EC","crv":"P-256","x":"`+strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"}`), "point"},
		"RSA of 512 bits":        {set(good, `{"kty":"RSA","n":"`+strings.Repeat("w", 86)+`","e":"AQAB"}`), "bits"},
		"kid a number":           {set(with(`"kid":7`)), "kid"},
		"kid of 300 bytes":       {set(with(`"kid":"` + strings.Repeat("k", 300) + `"`)), "kid"},
		"use in disguise":        {set(with(`"use":"sig","USE":"enc"`)), "twice"},
	} {
		keys, err := tokens.ParseIssuerKeys(c.set)
		if !errors.Is(err, tokens.ErrKey) || keys != nil {
			t.Errorf("%s: got %v, %v; want ErrKey", name, keys, err)
			continue
		}
		describes(t, err)
		if !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: got %q, want it to say %q", name, err, c.word)
		}
	}
}
