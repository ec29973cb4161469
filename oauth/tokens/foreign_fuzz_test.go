package tokens_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// trusting reads what is signed and judges no claim: that is not what is compared.
var trusting = jwt.NewParser(jwt.WithoutClaimsValidation())

// foreignReading is what somebody understood of an assertion.
type foreignReading struct {
	issuer, subject, audience, id string
	expires                       int64
}

// readers are how others read what key signed.
var readers = map[string]func(token string, key tokens.Key) (foreignReading, error){
	"golang-jwt with a struct": func(token string, key tokens.Key) (foreignReading, error) {
		var c jwt.RegisteredClaims
		if _, err := trusting.ParseWithClaims(token, &c, keyFunc(key)); err != nil {
			return foreignReading{}, err
		}
		return foreignReading{c.Issuer, c.Subject, audience(c.Audience), c.ID, c.ExpiresAt.Unix()}, nil
	},
	"golang-jwt with a map": func(token string, key tokens.Key) (foreignReading, error) {
		c := jwt.MapClaims{}
		if _, err := trusting.ParseWithClaims(token, c, keyFunc(key)); err != nil {
			return foreignReading{}, err
		}
		issuer, _ := c.GetIssuer()
		subject, _ := c.GetSubject()
		aud, _ := c.GetAudience()
		expires, err := c.GetExpirationTime()
		if err != nil || expires == nil {
			return foreignReading{}, errors.New("no exp")
		}
		id, _ := c["jti"].(string)
		return foreignReading{issuer, subject, audience(aud), id, expires.Unix()}, nil
	},
	"go-jose": func(token string, key tokens.Key) (foreignReading, error) {
		parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			return foreignReading{}, err
		}
		var c josejwt.Claims
		if err := parsed.Claims(key.Signer().Public(), &c); err != nil {
			return foreignReading{}, err
		}
		return foreignReading{c.Issuer, c.Subject, audience(c.Audience), c.ID, c.Expiry.Time().Unix()}, nil
	},
}

// What VerifyAssertion accepts, other libraries read alike, whatever stands in it beside.
func FuzzAssertion(f *testing.F) {
	k := clientKey()
	good := `{"alg":"ES256","typ":"JWT"}`
	for _, payload := range []string{
		assertionPayload, strings.Replace(assertionPayload, `"https://id.acme.test"`, `["https://id.acme.test"]`, 1), strings.Replace(assertionPayload, `1800000120`, `1.8000001205e9`, 1),
		strings.Replace(assertionPayload, `"sub":"client-1"`, `"sub":"client-1","SUB":"client-2"`, 1), strings.Replace(assertionPayload, `"sub"`, `"\u0073ub"`, 1),
		strings.Replace(assertionPayload, `"jti"`, `"act":{"sub":"x"},"nbf":1800000000,"x":[{"y":1e9}],"jti"`, 1), strings.Replace(assertionPayload, `1800000120`, `1e400`, 1),
	} {
		f.Add(good, payload)
	}
	for _, header := range []string{assertionHeader(k), `{"alg":"none"}`, `{"alg":"ES256","crit":["exp"]}`, `{"alg":"ES256","Alg":"none"}`, `{"alg":"ES256","jwk":{}}`, `{"kid":"x","alg":"ES256"}`, `{}`, `[]`} {
		f.Add(header, assertionPayload)
	}
	expect := expectAssertion(f, k)
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := compact(t, k, header, payload)
		got, err := tokens.VerifyAssertion(token, expect)
		client, clientErr := tokens.AssertionClient(token)
		if err == nil && (clientErr != nil || client != expect.Client) || clientErr == nil && client == "" {
			t.Fatalf("AssertionClient gives %q, %v; VerifyAssertion %v", client, clientErr, err)
		}
		if err != nil {
			if got != (tokens.Assertion{}) {
				t.Fatalf("%v with an error", got)
			}
			return
		}
		var plain struct {
			Alg  string
			Crit any
			JWK  any
		}
		if err := json.Unmarshal([]byte(header), &plain); err != nil || plain.Alg != tokens.ES256 || plain.Crit != nil || plain.JWK != nil {
			t.Fatalf("others read the header as %+v, %v", plain, err)
		}
		want := foreignReading{expect.Client, expect.Client, issuer, got.ID, got.Expires.Unix()}
		for name, read := range readers {
			// Under a header that no library minds, since some want of a header what we ignore.
			if theirs, err := read(compact(t, k, good, payload), k); err != nil || theirs != want {
				t.Errorf("%s reads %+v, %v; we read %+v", name, theirs, err, want)
			}
		}
	})
}

// In the header of a seed for FuzzProof, KEY stands for the JWK of the key that signs.
const keyHere = "KEY"

func FuzzProof(f *testing.F) {
	const good = `{"typ":"dpop+jwt","alg":"ES256","jwk":KEY}`
	for _, payload := range []string{
		proofPayload, strings.Replace(proofPayload, `https://id.acme.test/oauth2/token`, `HTTPS://ID.acme.test:443/%6Fauth2/./token?x#y`, 1),
		strings.Replace(proofPayload, `"jti"`, `"nonce":"n","ath":"x","nbf":1800000000.5,"exp":1800000120,"jti"`, 1), strings.Replace(proofPayload, `"jti"`, `"HTM":"GET","jti"`, 1),
	} {
		f.Add(good, payload)
	}
	for _, header := range []string{
		`{"typ":"dpop+jwt","alg":"ES256","kid":"x","x5t":"y","jwk":KEY}`, `{"typ":"dpop+jwt","alg":"ES256","jwk":[KEY]}`, `{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQ"}}`,
		`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}`,
	} {
		f.Add(header, proofPayload)
	}
	k := clientKey()
	jwk := bareJWK(f, k.Signer().Public())
	f.Fuzz(func(t *testing.T, header, payload string) {
		header = strings.ReplaceAll(header, keyHere, jwk)
		got, err := tokens.VerifyProof(compact(t, k, header, payload), expectProof)
		if err != nil {
			if got != (tokens.Proof{}) {
				t.Fatalf("%v with an error", got)
			}
			return
		}
		if got.Thumbprint != k.ID {
			t.Fatalf("another key verified: %s", got.Thumbprint)
		}
		var h struct {
			JWK jose.JSONWebKey `json:"jwk"`
			Typ string          `json:"typ"`
		}
		if err := json.Unmarshal([]byte(header), &h); err != nil || h.Typ != "dpop+jwt" || !h.JWK.IsPublic() {
			t.Fatalf("others read the header as %+v, %v", h, err)
		}
		if thumbprint, err := h.JWK.Thumbprint(crypto.SHA256); err != nil || b64(thumbprint) != got.Thumbprint {
			t.Errorf("go-jose reads the key as %s, %v", b64(thumbprint), err)
		}
		var c struct{ Htm, Jti, Nonce string }
		m := make(map[string]any)
		if err := errors.Join(json.Unmarshal([]byte(payload), &c), json.Unmarshal([]byte(payload), &m)); err != nil {
			t.Fatal(err)
		}
		nonce, _ := m["nonce"].(string)
		if c.Htm != "POST" || c.Jti != got.ID || c.Nonce != got.Nonce || m["htm"] != "POST" || m["jti"] != got.ID || nonce != got.Nonce {
			t.Errorf("others read %+v and %v; we read %+v", c, m, got)
		}
	})
}

// A token whose form is taken is the one spelling of its three parts.
func FuzzTokenForm(f *testing.F) {
	k := clientKey()
	for _, d := range doors(f, k) {
		f.Add(compact(f, k, d.header, d.payload))
	}
	for _, v := range rfc8693 {
		f.Add(v.token)
	}
	for _, s := range []string{"", "..", "e30.e30.", "e30.e30.AA", "e30=.e30.AA", "e30.e30.AB", "e30.e30\n.AA", "a.b.c.d.e", `{"payload":""}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		payload, err := tokens.ParseJWS(token)
		if err != nil {
			return
		}
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			t.Fatalf("%d parts", len(parts))
		}
		for _, p := range parts {
			raw, err := base64.RawURLEncoding.DecodeString(p)
			if err != nil || b64(raw) != p {
				t.Fatalf("%q is not the one spelling: %v", p, err)
			}
		}
		if b64(payload) != parts[1] {
			t.Fatalf("another payload: %q", payload)
		}
	})
}

// What ParseKeys accepts, go-jose reads as the same public keys.
func FuzzParseKeys(f *testing.F) {
	for _, k := range clientKeys() {
		f.Add(string(newKeySet(f, k).JWKS()))
	}
	f.Add(`{"keys":[` + rsaThumbprintKey + `,{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig"}]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","key_ops":["verify"]}],"x":1}`)
	f.Fuzz(func(t *testing.T, set string) {
		keys, err := tokens.ParseKeys([]byte(set))
		if err != nil {
			if !errors.Is(err, tokens.ErrKey) || keys != nil {
				t.Fatalf("got %v, %v", keys, err)
			}
			return
		}
		var raw struct{ Keys []json.RawMessage }
		if err := json.Unmarshal([]byte(set), &raw); err != nil || len(raw.Keys) != len(keys) {
			t.Fatalf("others read %d keys, %v; we read %d", len(raw.Keys), err, len(keys))
		}
		for i, k := range keys {
			var theirs jose.JSONWebKey
			if err := json.Unmarshal(raw.Keys[i], &theirs); err != nil {
				continue // it reads certificates, which we leave alone
			}
			thumbprint, err := theirs.Thumbprint(crypto.SHA256)
			if err != nil || b64(thumbprint) != k.Thumbprint() || theirs.KeyID != k.ID || !theirs.IsPublic() {
				t.Errorf("go-jose reads %s %s, %v; we read %s %s", b64(thumbprint), theirs.KeyID, err, k.Thumbprint(), k.ID)
			}
		}
	})
}
