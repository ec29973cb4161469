package tokens_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/tokens"
)

func idClaims() map[string]any {
	return map[string]any{
		"iss": issuer, "sub": "admin-17", "aud": []any{"rp1"}, "exp": 1800000600.0, "iat": 1800000000.0, "nonce": "n",
		"acr": "2", "amr": []any{"pwd"}, "auth_time": 1799996460.0, "sid": "log_1",
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	token, err := set.SignIDToken("", idClaims())
	if err != nil {
		t.Fatal(err)
	}
	got, err := set.VerifyIDToken(token, issuer)
	if diff := cmp.Diff(idClaims(), got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	// A relying app reads it with a library of its own.
	parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims josejwt.Claims
	if err := parsed.Claims(&key.Private().PublicKey, &claims); err != nil || claims.Subject != "admin-17" {
		t.Errorf("go-jose: got %+v, %v", claims, err)
	}
	if got := parsed.Headers[0]; got.KeyID != key.ID || got.ExtraHeaders[jose.HeaderType] != "JWT" {
		t.Errorf("header %+v", got)
	}
}

func TestIDTokenRefuses(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	for name, change := range map[string]map[string]any{
		"no iss":            {"iss": nil},
		"iss a number":      {"iss": 1},
		"no sub":            {"sub": ""},
		"act":               {"act": map[string]any{"sub": "x"}},
		"SUB beside sub":    {"SUB": "x"},
		"Act":               {"Act": "x"},
		"U+017F beside iss": {"isſ": "x"},
		"not UTF-8":         {"name": "a\xff"},
	} {
		claims := idClaims()
		maps.Copy(claims, change)
		if token, err := set.SignIDToken("", claims); err == nil || token != "" {
			t.Errorf("%s: got %q, want an error", name, token)
		}
	}
	if _, err := set.SignIDToken("", map[string]any{"iss": issuer}); !errors.Is(err, tokens.ErrClaims) {
		t.Errorf("no sub at all: got %v, want ErrClaims", err)
	}
	if _, err := set.SignIDToken("", map[string]any{"iss": issuer, "sub": "x", "f": func() {}}); err == nil {
		t.Error("a function as claim: no error")
	}
}

// Neither kind of token may pass for the other: RFC 9068 §2.1 types them apart for that.
func TestKindsDoNotMix(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	if _, err := set.VerifyIDToken(mustSign(t, set, impersonating()), issuer); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("an impersonation token as id_token_hint: got %v, want ErrSignature", err)
	}
	claims := idClaims()
	maps.Copy(claims, map[string]any{"aud": expect.Audience, "client_id": "rp1", "jti": "j", "scope": "openid"})
	token, err := set.SignIDToken("", claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Verify(token, expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("an ID token as access token: got %v, want ErrSignature", err)
	}
}

func TestVerifyIDTokenIssuer(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	token, err := set.SignIDToken("", idClaims())
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"", issuer + "/"} {
		if _, err := set.VerifyIDToken(token, other); !errors.Is(err, tokens.ErrClaims) {
			t.Errorf("issuer %q: got %v, want ErrClaims", other, err)
		}
	}
	if _, err := newKeySet(t, newKey(t)).VerifyIDToken(token, issuer); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("another's key: got %v, want ErrSignature", err)
	}
}
