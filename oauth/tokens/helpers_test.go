package tokens_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const issuer = "https://id.acme.test"

// now is when every token of these tests is read; payloads in testdata have an iat 60 s before and an exp 600 s after.
var now = time.Unix(1800000060, 0).UTC()

var expect = tokens.Expect{Issuer: issuer, Audience: "https://api.acme.test", Now: now}

func newKey(t testing.TB) tokens.Key {
	t.Helper()
	k, err := tokens.Generate(tokens.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newKeySet(t testing.TB, keys ...tokens.Key) *tokens.KeySet {
	t.Helper()
	s, err := tokens.NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ordinary is an admin's token, impersonating one that an impersonation gives.
func ordinary() tokens.Claims {
	return tokens.Claims{
		Issuer: issuer, Subject: "admin-17", Audience: "https://api.acme.test", ClientID: "rp1",
		Scope: []string{"impersonate", "openid"}, IssuedAt: now.Add(-time.Minute), Expires: now.Add(9 * time.Minute),
		ID: "jti_1", Session: "log_1", AuthTime: now.Add(-time.Hour), ACR: "2", AMR: []string{"pwd", "otp"},
	}
}

func impersonating() tokens.Claims {
	return tokens.Claims{
		Issuer: issuer, Subject: "user-42", Audience: "https://api.acme.test", ClientID: "rp1",
		Scope: []string{"impersonation:write", "orders"}, IssuedAt: now.Add(-time.Minute), Expires: now.Add(29 * time.Minute),
		ID: "jti_2", Session: "ims_1", Audit: "aud_1", Act: &oauth.Party{Issuer: issuer, Subject: "admin-17"},
	}
}

// delegable is a user's token that a service may act with, bound to a key; served is what it gets.
func delegable() tokens.Claims {
	c := ordinary()
	c.Scope, c.Key = []string{"orders"}, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	c.MayAct = &tokens.MayAct{Party: oauth.Party{Issuer: issuer, Subject: "client:agent"}, ClientID: "agent"}
	return c
}

func served() tokens.Claims {
	c := impersonating()
	c.Act.Subject, c.ActKind, c.Key = "client:agent", oauth.ActorAIAgent, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	return c
}

// trusted is what somebody gets who came with the token of another issuer.
func trusted() tokens.Claims {
	c := impersonating()
	c.Act = &oauth.Party{Issuer: "https://corp.test", Subject: "f-17"}
	c.SubjectID = &oauth.Party{Issuer: "https://corp.test", Subject: "f-42"}
	return c
}

func mustSign(t testing.TB, s *tokens.KeySet, c tokens.Claims) string {
	t.Helper()
	token, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func header(k tokens.Key) string { return `{"alg":"ES256","kid":"` + k.ID + `","typ":"at+jwt"}` }

// payload is a good one; swap puts another member in the place of one of its.
const payload = `{"iss":"https://id.acme.test","sub":"user-42","aud":"https://api.acme.test","client_id":"rp1","scope":"orders",` +
	`"iat":1800000000,"exp":1800000600,"jti":"jti_2","sid":"ims_1","txn":"aud_1",` +
	`"act":{"iss":"https://id.acme.test","sub":"admin-17"}}`

func swap(t testing.TB, old, replacement string) string {
	t.Helper()
	if strings.Count(payload, old) != 1 {
		t.Fatalf("%q does not stand in the payload once", old)
	}
	return strings.Replace(payload, old, replacement, 1)
}

func b64(s []byte) string { return base64.RawURLEncoding.EncodeToString(s) }

// forge signs any header and payload with the right key, correctly: what is refused then, is refused for what it says.
func forge(t testing.TB, k tokens.Key, header, payload string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.Private(), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	if twin := new(big.Int).Sub(n, s); twin.Cmp(s) < 0 {
		s = twin
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
