package tokens_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// Keys are not asked for where anything else is wrong, and what they fail with comes back as it is.
func TestSignedAsksForKeysLast(t *testing.T) {
	t.Parallel()
	k := clientKey()
	asked := 0
	down := errors.New("down")
	e := tokens.ExpectSigned{Types: []string{"", "jwt"}, Algorithms: []string{tokens.ES256}, MaxLength: 20 << 10, Keys: func(kid string) ([]tokens.PublicKey, error) {
		asked++
		if kid != k.ID {
			return nil, down
		}
		return registered(t, k), nil
	}}
	header := `{"alg":"ES256","kid":"` + k.ID + `"}`
	long := `{"x":"` + strings.Repeat("x", 10<<10) + `"}`
	if got, err := tokens.VerifySigned(compact(t, k, header, long), e); err != nil || string(got) != long || asked != 1 {
		t.Fatalf("the good one: got %d bytes, %v, asked %d times", len(got), err, asked)
	}
	for name, token := range map[string]string{
		"too long":       compact(t, k, header, `{"x":"`+strings.Repeat("x", 20<<10)+`"}`),
		"another typ":    compact(t, k, extend(header, `"typ":"at+jwt"`), `{}`),
		"another alg":    compact(t, clientKeys()[tokens.EdDSA], `{"alg":"EdDSA"}`, `{}`),
		"no object":      compact(t, k, header, `[]`),
		"a member twice": compact(t, k, header, `{"sub":"a","SUB":"b"}`),
		"no JWS":         "a.b",
	} {
		if got, err := tokens.VerifySigned(token, e); err == nil || got != nil || asked != 1 {
			t.Errorf("%s: got %q, %v, asked %d times", name, got, err, asked)
		}
	}
	if _, err := tokens.VerifySigned(compact(t, k, `{"alg":"ES256","kid":"other"}`, `{}`), e); !errors.Is(err, down) {
		t.Errorf("got %v; want what Keys failed with", err)
	}
	if _, err := tokens.VerifySigned(compact(t, k, `{"alg":"ES256"}`, `{}`), tokens.ExpectSigned{}); err == nil {
		t.Error("what expects nothing takes something")
	}
}
