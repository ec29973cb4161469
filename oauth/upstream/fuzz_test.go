package upstream_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth/tokens"
	"github.com/understudy-id/understudy/oauth/upstream"
)

const (
	fuzzIssuer = "https://idp.test/realm"
	fuzzNow    = 1_800_000_000
	fuzzDoc    = `{"issuer":"https://idp.test/realm","jwks_uri":"https://idp.test/keys","token_endpoint":"https://idp.test/token","acr_values_supported":["a"],` +
		`"authorization_response_iss_parameter_supported":true,"token_endpoint_auth_methods_supported":["client_secret_post"]}`
	fuzzClaims = `{"iss":"https://idp.test/realm","sub":"ann","aud":["c"],"exp":1800000300,"iat":1800000000,"nonce":"n","auth_time":1799999990,"email":"a@b.test",` +
		`"email_verified":"true","name":"A","groups":["g"],"realm":{"roles":"r"},"org":"o","amr":["pwd"],"acr":"1","sid":"s"}`
	fuzzKeys = `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","use":"sig"},{"kty":"RSA","use":"enc","n":"AQ","e":"AQAB"}]}`
)

// FuzzAnswers: whatever an issuer writes, what is taken of it keeps the rules, another reader sees the same, and what is refused says
// nothing of it.
func FuzzAnswers(f *testing.F) {
	for kind, seeds := range [][]string{
		{fuzzDoc, `{}`, `null`, `[]`, `{"issuer":7}`, strings.Replace(fuzzDoc, "https://idp.test/keys", "http://10.0.0.1", 1)},
		{fuzzKeys, `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AA"}]}`, strings.Replace(fuzzKeys, `"x"`, `"d":"AA","x"`, 1)},
		{fuzzClaims, `{}`, strings.Replace(fuzzClaims, `"sub"`, `"SUB":"x","sub"`, 1), strings.Replace(fuzzClaims, "1800000300", "1e300", 1)},
	} {
		for _, s := range seeds {
			f.Add(uint8(kind), []byte(s))
		}
	}
	p, err := upstream.New(upstream.Config{
		Name: "idp", ClientID: "c", RedirectURI: "https://id.test/cb", GroupsClaim: "groups", RolesClaim: "realm.roles", OrganisationClaim: "org",
		Issuer: upstream.IssuerConfig{URL: fuzzIssuer, Now: func() time.Time { return time.Unix(fuzzNow, 0) }},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		switch kind % 3 {
		case 0:
			fuzzMetadata(t, body)
		case 1:
			fuzzKeySet(t, body)
		case 2:
			fuzzIDToken(t, p, body)
		}
	})
}

func fuzzMetadata(t *testing.T, body []byte) {
	m, err := upstream.ParseMetadata(body, fuzzIssuer)
	if err != nil {
		fuzzError(t, err, upstream.ErrDocument)
		return
	}
	if m.Issuer != fuzzIssuer || m.JWKSURI == "" {
		t.Errorf("taken: %+v", m)
	}
	for _, raw := range []string{m.JWKSURI, m.AuthorizationEndpoint, m.TokenEndpoint, m.UserinfoEndpoint, m.EndSessionEndpoint, m.IntrospectionEndpoint} {
		if u, err := url.Parse(raw); raw != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
			t.Errorf("taken: %q", raw)
		}
	}
}

func fuzzKeySet(t *testing.T, body []byte) {
	keys, err := tokens.ParseIssuerKeys(body)
	if err != nil {
		fuzzError(t, err, tokens.ErrKey)
		return
	}
	var other jose.JSONWebKeySet
	if err := json.Unmarshal(body, &other); err != nil {
		return // go-jose refuses sets for keys that we leave out
	}
	for _, k := range keys {
		same := func(o jose.JSONWebKey) bool { return o.KeyID == k.ID && o.IsPublic() && o.Valid() }
		found := false
		for _, o := range other.Keys {
			found = found || same(o)
		}
		if !found {
			t.Errorf("kid %q: go-jose sees no such public key", k.ID)
		}
	}
}

func fuzzIDToken(t *testing.T, p *upstream.Provider, body []byte) {
	// What is signed is read strictly before anybody else does; without, no two readers need agree.
	if err := strict(t, body); err != nil {
		return
	}
	id, second, err := p.ReadClaims(body, upstream.AuthRequest{Nonce: "n", MaxAge: -1})
	if err != nil {
		fuzzError(t, err, upstream.ErrDocument, upstream.ErrAnswer)
		return
	}
	if id.Issuer != fuzzIssuer || id.Subject == "" || len(id.Subject) > 255 || id.EmailVerified && (id.Email == "" || id.EmailUnverified) || len(id.Groups) > 1000 {
		t.Errorf("taken: %+v", id)
	}
	if second != "" && second != id.Subject {
		t.Errorf("the second reader sees %q, not %q", second, id.Subject)
	}
	if !bytes.Contains(body, []byte("1")) { // exp and iat cannot be written without
		t.Error("taken without times")
	}
}

// fuzzKey is made of zeros.
var fuzzKey = key{Signer: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), alg: "EdDSA"}

// strict refuses what VerifySigned refuses of claims.
func strict(t *testing.T, body []byte) error {
	_, err := tokens.VerifySigned(compact(t, fuzzKey, `{"alg":"EdDSA"}`, string(body)), tokens.ExpectSigned{
		Types: []string{""}, Algorithms: []string{"EdDSA"}, MaxLength: 1 << 20,
		Keys: func(string) ([]tokens.PublicKey, error) { return tokens.ParseIssuerKeys(jwks(t, fuzzKey)) },
	})
	return err
}

func fuzzError(t *testing.T, err error, kinds ...error) {
	known := false
	for _, k := range kinds {
		known = known || errors.Is(err, k)
	}
	if !known || len(err.Error()) > 300 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("the error is %q", err)
	}
}
