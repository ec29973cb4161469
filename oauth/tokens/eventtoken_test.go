package tokens_test

import (
	"errors"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/tokens"
)

const eventClaims = `{"iss":"https://id.test","aud":"rp1","iat":1,"jti":"set_1","sub_id":{"format":"opaque","id":"x"},"events":{"https://e.test/x":{}}}`

// TestSignEvent: a receiver reads one with a library of its own, and finds the claims as they were given.
func TestSignEvent(t *testing.T) {
	t.Parallel()
	rsa, err := tokens.Generate(tokens.RS256)
	if err != nil {
		t.Fatal(err)
	}
	own := newKey(t)
	set, err := tokens.Keys{Signers: []tokens.Key{own, rsa}}.Set()
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, key := range map[string]tokens.Key{"": own, tokens.ES256: own, tokens.RS256: rsa} {
		token, err := set.SignEvent(algorithm, []byte(eventClaims))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(key.Algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		if h := parsed.Signatures[0].Header; h.KeyID != key.ID || h.ExtraHeaders[jose.HeaderType] != "secevent+jwt" || string(parsed.UnsafePayloadWithoutVerification()) != eventClaims {
			t.Errorf("%q: header %+v, claims %s", algorithm, h, parsed.UnsafePayloadWithoutVerification())
		}
		if _, err := set.Verify(token, expect); !errors.Is(err, tokens.ErrUnknownKey) && !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%q as access token: got %v", algorithm, err)
		}
		if _, err := set.VerifyIDToken(token, issuer); !errors.Is(err, tokens.ErrUnknownKey) && !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%q as ID token: got %v", algorithm, err)
		}
	}
	if _, err := set.SignEvent(tokens.EdDSA, []byte(eventClaims)); !errors.Is(err, tokens.ErrKey) {
		t.Errorf("without a key for it: got %v, want ErrKey", err)
	}
	if got := set.First(); got != tokens.ES256 {
		t.Errorf("the first: got %s", got)
	}
}

// What could pass for another kind of token is not signed as an event.
//
// Covers RFC8417-2.2-02.
func TestSignEventRefuses(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	for _, claims := range []string{``, `null`, `[]`, `{"exp":1}`, `{"sub":"x"}`, `{"iss":"a","iss":"b"}`, `{} {}`} {
		if token, err := set.SignEvent("", []byte(claims)); !errors.Is(err, tokens.ErrClaims) {
			t.Errorf("%s: got %s, %v; want ErrClaims", claims, token, err)
		}
	}
}
