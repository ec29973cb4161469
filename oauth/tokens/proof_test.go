package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// proofPayload is a good one, 10 s old.
const proofPayload = `{"htm":"POST","htu":"https://id.acme.test/oauth2/token","jti":"pr_1","iat":1800000050}`

var expectProof = tokens.ExpectProof{Method: "POST", URL: "https://id.acme.test/oauth2/token", Now: now}

func proofHeader(t testing.TB, k tokens.Key) string {
	t.Helper()
	return `{"typ":"dpop+jwt","alg":"` + k.Algorithm + `","jwk":` + bareJWK(t, k.Signer().Public()) + `}`
}

func TestProofOfEachAlgorithm(t *testing.T) {
	t.Parallel()
	payload := with(t, proofPayload, `"jti":"pr_1"`, `"jti":"pr_1","nonce":"n-1","other":{"a":[1]}`)
	for algorithm, k := range clientKeys() {
		got, err := tokens.VerifyProof(compact(t, k, proofHeader(t, k), payload), expectProof)
		want := tokens.Proof{Thumbprint: k.ID, ID: "pr_1", Nonce: "n-1", IssuedAt: now.Add(-10 * time.Second)}
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", algorithm, got, err, want)
		}
	}
}

// refusesProofs signs each payload rightly and wants VerifyProof to refuse it with want.
func refusesProofs(t *testing.T, want error, payloads map[string]string) {
	t.Helper()
	k := clientKey()
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tokens.VerifyProof(compact(t, k, proofHeader(t, k), payload), expectProof)
			if !errors.Is(err, want) || got != (tokens.Proof{}) {
				t.Fatalf("got %v, %v; want %v", got, err, want)
			}
			describes(t, err)
		})
	}
}

// Covers RFC9449-4.3-02.
func TestProofMethodAndURL(t *testing.T) {
	t.Parallel()
	const htm, htu = `"htm":"POST"`, `"https://id.acme.test/oauth2/token"`
	k := clientKey()
	for _, same := range []string{
		"https://id.acme.test:443/oauth2/token", "https://id.acme.test:/oauth2/token", "HTTPS://ID.Acme.TEST/oauth2/token",
		"https://id.acme.test/oauth2/token?x=1", "https://id.acme.test/oauth2/token#x", "https://id.acme.test/%6fauth2/t%6Fken",
		"https://id.acme.test/./oauth2/x/../token", "https://id.acme.test/oauth2/%2e/token",
	} {
		if _, err := tokens.VerifyProof(compact(t, k, proofHeader(t, k), with(t, proofPayload, htu, `"`+same+`"`)), expectProof); err != nil {
			t.Errorf("%s: %v", same, err)
		}
	}
	payloads := map[string]string{
		"htm absent": with(t, proofPayload, htm+`,`, ``), "htm GET": with(t, proofPayload, htm, `"htm":"GET"`),
		"htm post": with(t, proofPayload, htm, `"htm":"post"`), "htm empty": with(t, proofPayload, htm, `"htm":""`),
		"htm an array": with(t, proofPayload, htm, `"htm":["POST"]`), "htu absent": with(t, proofPayload, `"htu":`+htu+`,`, ``),
		"htu an array": with(t, proofPayload, htu, `[`+htu+`]`), "HTU": with(t, proofPayload, `"htu"`, `"HTU"`),
	}
	for _, other := range []string{
		"https://id.acme.test/oauth2/par", "https://id.acme.test/oauth2/token/", "https://id.acme.test/oauth2/Token", "https://id.acme.test",
		"https://other.test/oauth2/token", "https://id.acme.test.evil/oauth2/token", "http://id.acme.test/oauth2/token",
		"https://id.acme.test:8443/oauth2/token", "https://id.acme.test:80/oauth2/token", "https://x@id.acme.test/oauth2/token",
		"/oauth2/token", "id.acme.test/oauth2/token", "//id.acme.test/oauth2/token", "https:/oauth2/token", "https:///oauth2/token",
		"https://id.acme.test/oauth2%2Ftoken", "https://id.acme.test//oauth2/token", "https://id.acme.test/oauth2/token%", "https://id.acme.test/oauth2/token%3Fx",
		"https://id.acme.test/oauth2/tok%C3%A9n", " https://id.acme.test/oauth2/token", "https://id.acme.test/oauth2/token ", `https://id.acme.test\\oauth2/token`,
		"https://id.acme.test::443/oauth2/token", "https://id.acme.test:0443/oauth2/token", "ftp://id.acme.test/oauth2/token",
	} {
		payloads["htu "+other] = with(t, proofPayload, htu, `"`+other+`"`)
	}
	refusesProofs(t, tokens.ErrClaims, payloads)
}

// An expectation that was not filled in matches nothing.
func TestProofExpectationUnset(t *testing.T) {
	t.Parallel()
	k := clientKey()
	payload := with(t, proofPayload, `"htm":"POST",`, ``)
	if _, err := tokens.VerifyProof(compact(t, k, proofHeader(t, k), payload), tokens.ExpectProof{URL: expectProof.URL, Now: now}); !errors.Is(err, tokens.ErrClaims) {
		t.Errorf("got %v, want ErrClaims", err)
	}
}

func TestProofURLsThatAreRoots(t *testing.T) {
	t.Parallel()
	k := clientKey()
	for _, c := range []struct {
		htu, url string
		same     bool
	}{
		{"https://api.test", "https://api.test/", true},
		{"https://api.test/", "https://api.test", true},
		{"http://127.0.0.1:80/x", "http://127.0.0.1/x", true},
		{"http://[::1]:80/x", "http://[::1]/x", true},
		{"http://[::1]:443/x", "https://[::1]/x", false},
		{"https://api.test/%7euser", "https://api.test/~user", true},
		{"https://api.test/a%2fb", "https://api.test/a%2Fb", true},
		{"https://api.test/a%2fb", "https://api.test/a/b", false},
		{"https://api.test/a//b", "https://api.test/a//b", true},
		{"https://api.test/../..", "https://api.test/", true},
		{"https://api.test/a/..", "https://api.test/", true},
		{"https://api.test/a/.", "https://api.test/a/", true},
		{"https://api.test/a/.", "https://api.test/a", false},
		{"nonsense", "nonsense", false},
		{"https:///x", "https:///x", false},
		{"ftp://api.test/x", "ftp://api.test/x", false},
		{"", "", false},
	} {
		payload := with(t, proofPayload, `https://id.acme.test/oauth2/token`, c.htu)
		expect := tokens.ExpectProof{Method: "POST", URL: c.url, Now: now}
		if _, err := tokens.VerifyProof(compact(t, k, proofHeader(t, k), payload), expect); (err == nil) != c.same {
			t.Errorf("htu %q at %q: got %v, want accepted: %v", c.htu, c.url, err, c.same)
		}
	}
}

// Covers RFC9449-4.3-03, RFC7519-4.1.4-01.
func TestProofTimes(t *testing.T) {
	t.Parallel()
	const iat = `"iat":1800000050`
	at := func(values map[string]string) map[string]string {
		payloads := make(map[string]string)
		for name, v := range values {
			payloads[name] = with(t, proofPayload, iat, v)
		}
		return payloads
	}
	refusesProofs(t, tokens.ErrExpired, at(map[string]string{
		"60 s old": `"iat":1800000000`, "60 s old with a fraction": `"iat":1800000000.9`, "10 minutes old": `"iat":1799999460`, "of zero": `"iat":0`,
		"expired": iat + `,"exp":1800000060`,
	}))
	refusesProofs(t, tokens.ErrClaims, at(map[string]string{
		"absent": `"x":1`, "11 s ahead": `"iat":1800000071`, "10 minutes ahead": `"iat":1800000660`, "text": `"iat":"1800000050"`, "null": `"iat":null`,
		"negative": `"iat":-1800000050`, "beyond 40 bits": `"iat":1e13`, "nbf ahead": iat + `,"nbf":1800000071`, "exp text": iat + `,"exp":"1"`,
	}))
	refusesProofs(t, tokens.ErrMalformed, at(map[string]string{"1e400": `"iat":1e400`}))
	k := clientKey()
	for name, payload := range at(map[string]string{
		"59 s old": `"iat":1800000001`, "10 s ahead": `"iat":1800000070`, "a fraction": `"iat":1800000050.25`, "exp ahead": iat + `,"exp":1800000061`,
	}) {
		if _, err := tokens.VerifyProof(compact(t, k, proofHeader(t, k), payload), expectProof); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProofAccessTokenHash(t *testing.T) {
	t.Parallel()
	// The token and hash of RFC 9449 §7.1.
	const token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	const hash = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
	k := clientKey()
	for name, c := range map[string]struct {
		token, ath string
		want       error
	}{
		"right":                  {token, `"ath":"` + hash + `",`, nil},
		"absent":                 {token, ``, tokens.ErrClaims},
		"of another token":       {token + "x", `"ath":"` + hash + `",`, tokens.ErrClaims},
		"padded":                 {token, `"ath":"` + hash + `=",`, tokens.ErrClaims},
		"in another case":        {token, `"ath":"` + strings.ToLower(hash) + `",`, tokens.ErrClaims},
		"empty":                  {token, `"ath":"",`, tokens.ErrClaims},
		"an array":               {token, `"ath":["` + hash + `"],`, tokens.ErrClaims},
		"none wanted, and none":  {"", ``, nil},
		"none wanted, and there": {"", `"ath":"` + hash + `",`, nil},
		"none wanted, a number":  {"", `"ath":1,`, tokens.ErrClaims},
	} {
		expect := expectProof
		expect.AccessToken = c.token
		payload := with(t, proofPayload, `"jti"`, c.ath+`"jti"`)
		if _, err := tokens.VerifyProof(compact(t, k, proofHeader(t, k), payload), expect); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestProofIDAndNonce(t *testing.T) {
	t.Parallel()
	const jti = `"jti":"pr_1"`
	refusesProofs(t, tokens.ErrClaims, map[string]string{
		"jti absent": with(t, proofPayload, jti+`,`, ``), "jti empty": with(t, proofPayload, jti, `"jti":""`), "jti a number": with(t, proofPayload, jti, `"jti":1`),
		"jti of 257 bytes": with(t, proofPayload, jti, `"jti":"`+strings.Repeat("x", 257)+`"`), "jti with NUL": with(t, proofPayload, jti, `"jti":"\u0000"`),
		"nonce a number": with(t, proofPayload, jti, jti+`,"nonce":1`), "nonce empty": with(t, proofPayload, jti, jti+`,"nonce":""`),
		"nonce in disguise": with(t, proofPayload, jti, jti+`,"Nonce":"x"`),
	})
}

// Covers RFC7519-4-01.
func TestProofDuplicates(t *testing.T) {
	t.Parallel()
	const htu = `"htu":"https://id.acme.test/oauth2/token"`
	refusesProofs(t, tokens.ErrMalformed, map[string]string{
		"htu twice":       with(t, proofPayload, htu, htu+`,"htu":"https://evil.test"`),
		"htu twice, last": with(t, proofPayload, htu, `"htu":"https://evil.test",`+htu),
		"HTU beside htu":  with(t, proofPayload, htu, htu+`,"HTU":"https://evil.test"`),
		"jti twice":       with(t, proofPayload, `"jti":"pr_1"`, `"jti":"pr_1","jti":"pr_2"`),
	})
	k := clientKey()
	header := proofHeader(t, k)
	for name, h := range map[string]string{
		"alg twice":     with(t, header, `"alg":"ES256"`, `"alg":"ES256","alg":"none"`),
		"ALG beside":    with(t, header, `"alg":"ES256"`, `"ALG":"none","alg":"ES256"`),
		"jwk twice":     with(t, header, `"jwk"`, `"jwk":{},"jwk"`),
		"typ twice":     with(t, header, `"typ":"dpop+jwt"`, `"typ":"JWT","typ":"dpop+jwt"`),
		"x twice":       with(t, header, `"x":`, `"x":"","x":`),
		"X beside x":    with(t, header, `"x":`, `"X":"","x":`),
		"alg disguised": with(t, header, `"alg"`, `"Alg"`),
		"kty disguised": with(t, header, `"kty"`, `"\u212Aty"`),
	} {
		if _, err := tokens.VerifyProof(compact(t, k, h, proofPayload), expectProof); !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestProofHeader(t *testing.T) {
	t.Parallel()
	k := clientKey()
	header, jwk := proofHeader(t, k), bareJWK(t, k.Signer().Public())
	other := bareJWK(t, newKey(t).Signer().Public())
	for name, c := range map[string]struct {
		header string
		want   error
	}{
		"typ absent":         {with(t, header, `"typ":"dpop+jwt",`, ``), tokens.ErrMalformed},
		"typ JWT":            {with(t, header, `dpop+jwt`, `JWT`), tokens.ErrMalformed},
		"typ in capitals":    {with(t, header, `dpop+jwt`, `DPoP+jwt`), tokens.ErrMalformed},
		"typ at+jwt":         {with(t, header, `dpop+jwt`, `at+jwt`), tokens.ErrMalformed},
		"jwk absent":         {with(t, header, `,"jwk":`+jwk, ``), tokens.ErrMalformed},
		"jwk null":           {with(t, header, jwk, `null`), tokens.ErrMalformed},
		"jwk a string":       {with(t, header, jwk, `"x"`), tokens.ErrMalformed},
		"jwk of another key": {with(t, header, jwk, other), tokens.ErrSignature},
		"jwk private":        {with(t, header, `"kty":"EC"`, `"kty":"EC","d":"AA"`), tokens.ErrMalformed},
		"jwk for RS256":      {with(t, header, jwk, bareJWK(t, clientKeys()[tokens.RS256].Signer().Public())), tokens.ErrSignature},
		"kid alone":          {with(t, header, `"jwk":`+jwk, `"kid":"`+k.ID+`"`), tokens.ErrMalformed},
	} {
		if got, err := tokens.VerifyProof(compact(t, k, c.header, proofPayload), expectProof); !errors.Is(err, c.want) || got != (tokens.Proof{}) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
		}
	}
}

// Covers RFC7638-3-01.
func TestProofThumbprintIsOfTheBareKey(t *testing.T) {
	t.Parallel()
	for algorithm, k := range clientKeys() {
		header := with(t, proofHeader(t, k), `"kty"`, `"use":"sig","key_ops":["verify"],"kid":"k","alg":"`+algorithm+`","x5t":"x","kty"`)
		got, err := tokens.VerifyProof(compact(t, k, header, proofPayload), expectProof)
		if err != nil || got.Thumbprint != k.ID {
			t.Errorf("%s: got %q, %v; want %q", algorithm, got.Thumbprint, err, k.ID)
		}
	}
}
