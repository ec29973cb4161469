package tokens_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/tokens"
)

func ending() tokens.LogoutToken {
	return tokens.LogoutToken{Issuer: issuer, Audience: "rp1", Session: "imp_1", ID: "out_1", IssuedAt: now}
}

// TestLogoutToken: a client reads one with a library of its own, and finds what the standard has, and no more.
//
// Covers BCL-2.4-01, BCL-2.4-02, BCL-2.4-03.
func TestLogoutToken(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	token, err := newKeySet(t, key).SignLogoutToken("", ending())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := parsed.Verify(&key.Private().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if h := parsed.Signatures[0].Header; h.KeyID != key.ID || h.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
		t.Errorf("header %+v", h)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"iss": issuer, "aud": "rp1", "iat": float64(now.Unix()), "exp": float64(now.Unix() + 120), "jti": "out_1", "sid": "imp_1",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLogoutTokenKinds: no reader of ours takes a logout token, also not one that it remembers to have signed.
//
// Covers RFC8693-3-05.
func TestLogoutTokenKinds(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	token, err := set.SignLogoutToken("", ending())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Verify(token, expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("as access token: got %v, want ErrSignature", err)
	}
	if _, err := set.VerifyIDToken(token, issuer); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("as ID token: got %v, want ErrSignature", err)
	}
}

func TestLogoutTokenRefuses(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	for name, change := range map[string]func(*tokens.LogoutToken){
		"no issuer":   func(l *tokens.LogoutToken) { l.Issuer = "" },
		"no audience": func(l *tokens.LogoutToken) { l.Audience = "" },
		"no session":  func(l *tokens.LogoutToken) { l.Session = "" },
		"no jti":      func(l *tokens.LogoutToken) { l.ID = "" },
		"no time":     func(l *tokens.LogoutToken) { l.IssuedAt = time.Time{} },
	} {
		l := ending()
		change(&l)
		if token, err := set.SignLogoutToken("", l); !errors.Is(err, tokens.ErrClaims) || token != "" {
			t.Errorf("%s: got %q, %v; want ErrClaims", name, token, err)
		}
	}
	if _, err := set.SignLogoutToken(tokens.RS256, ending()); !errors.Is(err, tokens.ErrKey) {
		t.Errorf("without a key for it: got %v, want ErrKey", err)
	}
}
