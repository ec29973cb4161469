package tokens_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// The tokens of RFC 8693 Appendix A and the claims that are printed beside them there.
var rfc8693 = map[string]struct{ token, claims string }{
	"A.1 subject token": {
		"eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJhdWQiOiJodHRwczovL2FzLmV4YW1wbGUuY29tIiwiaXNzIjoiaHR0cHM6Ly9vcmlnaW5hbC1pc3N1ZXIuZXhhbXBsZS5uZ" +
			"XQiLCJleHAiOjE0NDE5MTA2MDAsIm5iZiI6MTQ0MTkwOTAwMCwic3ViIjoiYmRjQGV4YW1wbGUubmV0Iiwic2NvcGUiOiJvcmRlcnMgcHJvZmlsZSBoaXN0b3J5In0." +
			"PRBg-jXn4cJuj1gmYXFiGkZzRuzbXZ_sDxdE98ddW44ufsbWLKd3JJ1VZhF64pbTtfjy4VXFVBDaQpKjn5JzAw",
		`{"aud":"https://as.example.com","iss":"https://original-issuer.example.net","exp":1441910600,"nbf":1441909000,"sub":"bdc@example.net",
		  "scope":"orders profile history"}`,
	},
	"A.1 issued token": {
		"eyJhbGciOiJFUzI1NiIsImtpZCI6IjcyIn0.eyJhdWQiOiJ1cm46ZXhhbXBsZTpjb29wZXJhdGlvbi1jb250ZXh0IiwiaXNzIjoiaHR0cHM6Ly9hcy5leGFtcGxlLmNvbSIsI" +
			"mV4cCI6MTQ0MTkxMzYxMCwic3ViIjoiYmRjQGV4YW1wbGUubmV0Iiwic2NvcGUiOiJvcmRlcnMgcHJvZmlsZSBoaXN0b3J5In0." +
			"rMdWpSGNACTvnFuOL74sYZ6MVuld2Z2WkGLmQeR9ztj6w2OXraQlkJmGjyiCq24kcB7AI2VqVxl3wSWnVKh85A",
		`{"aud":"urn:example:cooperation-context","iss":"https://as.example.com","exp":1441913610,"sub":"bdc@example.net","scope":"orders profile history"}`,
	},
	"A.2 subject token, with may_act": {
		"eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJhdWQiOiJodHRwczovL2FzLmV4YW1wbGUuY29tIiwiaXNzIjoiaHR0cHM6Ly9vcmlnaW5hbC1pc3N1ZXIuZXhhbXBsZS5uZ" +
			"XQiLCJleHAiOjE0NDE5MTAwNjAsInNjb3BlIjoic3RhdHVzIGZlZWQiLCJzdWIiOiJ1c2VyQGV4YW1wbGUubmV0IiwibWF5X2FjdCI6eyJzdWIiOiJhZG1pbkBleGFt" +
			"cGxlLm5ldCJ9fQ.4rPRSWihQbpMIgAmAoqaJojAxj-p2X8_fAtAGTXrvMxU-eEZHnXqY0_AOZgLdxw5DyLzua8H_I10MCcckF-Q_g",
		`{"aud":"https://as.example.com","iss":"https://original-issuer.example.net","exp":1441910060,"scope":"status feed","sub":"user@example.net",
		  "may_act":{"sub":"admin@example.net"}}`,
	},
	"A.2 actor token": {
		"eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJhdWQiOiJodHRwczovL2FzLmV4YW1wbGUuY29tIiwiaXNzIjoiaHR0cHM6Ly9vcmlnaW5hbC1pc3N1ZXIuZXhhbXBsZS5uZ" +
			"XQiLCJleHAiOjE0NDE5MTAwNjAsInN1YiI6ImFkbWluQGV4YW1wbGUubmV0In0.7YQ-3zPfhUvzje5oqw8COCvN5uP6NsKik9CVV6cAOf4QKgM-tKfiOwcgZoUuDL2t" +
			"Es6tqPlcBlMjiSzEjm3yBg",
		`{"aud":"https://as.example.com","iss":"https://original-issuer.example.net","exp":1441910060,"sub":"admin@example.net"}`,
	},
	"A.2 issued token, with act": {
		"eyJhbGciOiJFUzI1NiIsImtpZCI6IjcyIn0.eyJhdWQiOiJ1cm46ZXhhbXBsZTpjb29wZXJhdGlvbi1jb250ZXh0IiwiaXNzIjoiaHR0cHM6Ly9hcy5leGFtcGxlLmNvbSIsI" +
			"mV4cCI6MTQ0MTkxMzYxMCwic2NvcGUiOiJzdGF0dXMgZmVlZCIsInN1YiI6InVzZXJAZXhhbXBsZS5uZXQiLCJhY3QiOnsic3ViIjoiYWRtaW5AZXhhbXBsZS5uZXQi" +
			"fX0.3paKl9UySKYB5ng6_cUtQ2qlO8Rc_y7Mea7IwEXTcYbNdwG9-G1EKCFe5fW3H0hwX-MSZ49Wpcb1SiAZaOQBtw",
		`{"aud":"urn:example:cooperation-context","iss":"https://as.example.com","exp":1441913610,"scope":"status feed","sub":"user@example.net",
		  "act":{"sub":"admin@example.net"}}`,
	},
}

// The strict readers take the form of these tokens and read the claims that the RFC prints. Nobody's signature is on them, so they are
// refused for that.
func TestRFC8693AppendixA(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, clientKey())
	for name, v := range rfc8693 {
		payload, err := tokens.ParseJWS(v.token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := tokens.ParseObject(payload)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(v.claims), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: claims (-want +got):\n%s", name, diff)
		}
		if _, err := tokens.VerifyJWS(v.token, registered(t, clientKey())); !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
		if _, err := set.Verify(v.token, expect); !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%s as a token of ours: got %v, want ErrSignature", name, err)
		}
	}
}
