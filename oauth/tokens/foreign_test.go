package tokens_test

import (
	"crypto"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// clientKeys are a client's private keys, one of each algorithm, made once: one for RS256 takes a while.
var clientKeys = sync.OnceValue(func() map[string]tokens.Key {
	keys := make(map[string]tokens.Key)
	for _, algorithm := range []string{tokens.ES256, tokens.EdDSA, tokens.RS256} {
		k, err := tokens.Generate(algorithm)
		if err != nil {
			panic(err)
		}
		keys[algorithm] = k
	}
	return keys
})

func clientKey() tokens.Key { return clientKeys()[tokens.ES256] }

// bareJWK is a public key with its required members alone.
func bareJWK(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: public})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// registered is what ParseKeys makes of the keys' JWK Set, each with its kid.
func registered(t testing.TB, keys ...tokens.Key) []tokens.PublicKey {
	t.Helper()
	public, err := tokens.ParseKeys(newKeySet(t, keys...).JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// compact signs any header and payload, rightly: what is refused then, is refused for what it says.
func compact(t testing.TB, k tokens.Key, header, payload string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	signature, err := k.SignRaw(input)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(signature)
}

// with puts another text in the place of one that must stand in s once.
func with(t testing.TB, s, old, replacement string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q does not stand once in %q", old, s)
	}
	return strings.Replace(s, old, replacement, 1)
}
