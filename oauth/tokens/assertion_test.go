package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// assertionPayload is a good one, 30 s old, for 60 s more.
const assertionPayload = `{"iss":"client-1","sub":"client-1","aud":"https://id.acme.test","jti":"as_1","iat":1800000030,"exp":1800000120}`

func assertionHeader(k tokens.Key) string {
	return `{"alg":"` + k.Algorithm + `","kid":"` + k.ID + `","typ":"client-authentication+jwt"}`
}

func expectAssertion(t testing.TB, keys ...tokens.Key) tokens.ExpectAssertion {
	t.Helper()
	return tokens.ExpectAssertion{Client: "client-1", Issuer: issuer, Keys: registered(t, keys...), Now: now}
}

func TestAssertionOfEachAlgorithm(t *testing.T) {
	t.Parallel()
	for algorithm, k := range clientKeys() {
		token := compact(t, k, assertionHeader(k), assertionPayload)
		got, err := tokens.VerifyAssertion(token, expectAssertion(t, k))
		if want := (tokens.Assertion{ID: "as_1", Expires: now.Add(time.Minute)}); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", algorithm, got, err, want)
		}
		if client, err := tokens.AssertionClient(token); client != "client-1" || err != nil {
			t.Errorf("%s: got client %q, %v; want client-1", algorithm, client, err)
		}
	}
}

// refusesAssertions signs each payload rightly and wants VerifyAssertion to refuse it with want.
func refusesAssertions(t *testing.T, want error, payloads map[string]string) {
	t.Helper()
	k := clientKey()
	expect := expectAssertion(t, k)
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tokens.VerifyAssertion(compact(t, k, assertionHeader(k), payload), expect)
			if !errors.Is(err, want) || got != (tokens.Assertion{}) {
				t.Fatalf("got %v, %v; want %v", got, err, want)
			}
			describes(t, err)
		})
	}
}

// Covers RFC7523-3-01.
func TestAssertionIsOfTheClient(t *testing.T) {
	t.Parallel()
	const iss, sub = `"iss":"client-1"`, `"sub":"client-1"`
	refusesAssertions(t, tokens.ErrClaims, map[string]string{
		"no iss":               with(t, assertionPayload, iss+`,`, ``),
		"no sub":               with(t, assertionPayload, sub+`,`, ``),
		"another iss":          with(t, assertionPayload, iss, `"iss":"client-2"`),
		"another sub":          with(t, assertionPayload, sub, `"sub":"client-2"`),
		"both of another":      strings.ReplaceAll(assertionPayload, "client-1", "client-2"),
		"iss in another case":  with(t, assertionPayload, iss, `"iss":"Client-1"`),
		"iss the issuer":       with(t, assertionPayload, iss, `"iss":"https://id.acme.test"`),
		"sub empty":            with(t, assertionPayload, sub, `"sub":""`),
		"sub in an array":      with(t, assertionPayload, sub, `"sub":["client-1"]`),
		"sub with NUL":         with(t, assertionPayload, sub, `"sub":"client-1\u0000"`),
		"sub under other name": with(t, assertionPayload, `"sub"`, `"SUB"`),
	})
}

// An expectation that was not filled in matches nothing.
func TestAssertionExpectationUnset(t *testing.T) {
	t.Parallel()
	k := clientKey()
	for name, c := range map[string]struct {
		payload string
		change  func(*tokens.ExpectAssertion)
	}{
		"no client": {with(t, assertionPayload, `"iss":"client-1","sub":"client-1",`, ``), func(e *tokens.ExpectAssertion) { e.Client = "" }},
		"no issuer": {with(t, assertionPayload, `"aud":"https://id.acme.test",`, ``), func(e *tokens.ExpectAssertion) { e.Issuer = "" }},
	} {
		expect := expectAssertion(t, k)
		c.change(&expect)
		if _, err := tokens.VerifyAssertion(compact(t, k, assertionHeader(k), c.payload), expect); !errors.Is(err, tokens.ErrClaims) {
			t.Errorf("%s: got %v, want ErrClaims", name, err)
		}
	}
	expect := expectAssertion(t, k)
	expect.Keys = nil
	if _, err := tokens.VerifyAssertion(compact(t, k, assertionHeader(k), assertionPayload), expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("no keys: got %v, want ErrSignature", err)
	}
}

// Covers RFC7523-3-02, RFC7519-4.1.3-01.
func TestAssertionAudience(t *testing.T) {
	t.Parallel()
	const aud = `"aud":"https://id.acme.test"`
	k := clientKey()
	one := with(t, assertionPayload, aud, `"aud":["https://id.acme.test"]`)
	if _, err := tokens.VerifyAssertion(compact(t, k, assertionHeader(k), one), expectAssertion(t, k)); err != nil {
		t.Errorf("an array of the issuer alone: %v", err)
	}
	payloads := make(map[string]string)
	for name, other := range map[string]string{
		"token URL":           `"https://id.acme.test/oauth2/token"`,
		"PAR URL":             `"https://id.acme.test/oauth2/par"`,
		"with a slash":        `"https://id.acme.test/"`,
		"in another case":     `"https://ID.acme.test"`,
		"a prefix of another": `"https://id.acme.test.evil"`,
		"a part of it":        `"https://id.acme"`,
		"another server":      `"https://evil.test"`,
		"empty":               `""`,
		"null":                `null`,
		"an object":           `{"https://id.acme.test":true}`,
		"array, empty":        `[]`,
		"array, another":      `["https://evil.test"]`,
		"array, two":          `["https://id.acme.test","https://evil.test"]`,
		"array, two, before":  `["https://evil.test","https://id.acme.test"]`,
		"array, twice":        `["https://id.acme.test","https://id.acme.test"]`,
		"array, nested":       `[["https://id.acme.test"]]`,
		"array, a number":     `[1]`,
	} {
		payloads[name] = with(t, assertionPayload, aud, `"aud":`+other)
	}
	payloads["absent"] = with(t, assertionPayload, aud+`,`, ``)
	refusesAssertions(t, tokens.ErrClaims, payloads)
}

// Covers RFC7523-3-03, RFC7519-4.1.4-01.
func TestAssertionTimes(t *testing.T) {
	t.Parallel()
	const exp, iat = `"exp":1800000120`, `"iat":1800000030`
	times := func(old string, others map[string]string) map[string]string {
		payloads := make(map[string]string)
		for name, other := range others {
			payloads[name] = with(t, assertionPayload, old, other)
		}
		return payloads
	}
	refusesAssertions(t, tokens.ErrClaims, times(exp, map[string]string{
		"no exp": `"x":1`, "exp null": `"exp":null`, "exp true": `"exp":true`, "exp a string": `"exp":"1800000120"`,
		"exp negative": `"exp":-1800000120`, "exp minus zero": `"exp":-0`, "exp in an array": `"exp":[1800000120]`,
		"exp 301 s ahead": `"exp":1800000361`, "exp in ten years": `"exp":2115360060`, "exp of 1e300": `"exp":1e300`,
		"exp beyond 40 bits": `"exp":1099511627776`, "exp in milliseconds": `"exp":1800000120000`,
	}))
	refusesAssertions(t, tokens.ErrClaims, times(iat, map[string]string{
		"iat 31 s ahead": `"iat":1800000091`, "iat an hour ahead": `"iat":1800003660`, "iat a string": `"iat":"1800000030"`,
		"nbf 31 s ahead": `"nbf":1800000091`, "nbf ten minutes ahead": `"nbf":1800000660`, "nbf null": `"nbf":null`,
	}))
	refusesAssertions(t, tokens.ErrMalformed, times(exp, map[string]string{
		"exp of 1e400": `"exp":1e400`, "exp of 1e999999999": `"exp":1e999999999`, "exp infinite": `"exp":Infinity`, "exp in hex": `"exp":0x6b49d278`,
	}))
	refusesAssertions(t, tokens.ErrExpired, times(exp, map[string]string{
		"exp ten minutes ago": `"exp":1799999460`, "exp now": `"exp":1800000060`, "exp of zero": `"exp":0`,
		"exp now with a fraction": `"exp":1800000060.9`, "exp of 1e-400": `"exp":1e-400`,
	}))
	accepted := times(exp, map[string]string{
		"exp next second": `"exp":1800000061`, "exp 300 s ahead": `"exp":1800000360`, "exp with a fraction": `"exp":1800000120.75`,
		"exp with an exponent": `"exp":1.80000012e9`,
	})
	for name, payload := range times(iat, map[string]string{
		"no iat": `"x":1`, "iat 30 s ahead": `"iat":1800000090`, "nbf 30 s ahead": `"nbf":1800000090`, "iat with a fraction": `"iat":1800000030.5`,
	}) {
		accepted[name] = payload
	}
	k := clientKey()
	for name, payload := range accepted {
		if _, err := tokens.VerifyAssertion(compact(t, k, assertionHeader(k), payload), expectAssertion(t, k)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What expired says so only if nothing else is wrong with it.
func TestAssertionExpiredIsSaidLast(t *testing.T) {
	t.Parallel()
	expired := with(t, assertionPayload, `1800000120`, `1800000060`)
	refusesAssertions(t, tokens.ErrClaims, map[string]string{
		"and for another server": with(t, expired, `https://id.acme.test`, `https://evil.test`),
		"and of another client":  strings.ReplaceAll(expired, "client-1", "client-2"),
		"and without jti":        with(t, expired, `"jti":"as_1",`, ``),
	})
	expect := expectAssertion(t, newKey(t))
	k := clientKey()
	if _, err := tokens.VerifyAssertion(compact(t, k, `{"alg":"ES256"}`, expired), expect); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("and signed by another: got %v, want ErrSignature", err)
	}
}

func TestAssertionID(t *testing.T) {
	t.Parallel()
	const jti = `"jti":"as_1"`
	refusesAssertions(t, tokens.ErrClaims, map[string]string{
		"none":          with(t, assertionPayload, jti+`,`, ``),
		"empty":         with(t, assertionPayload, jti, `"jti":""`),
		"a number":      with(t, assertionPayload, jti, `"jti":1`),
		"257 bytes":     with(t, assertionPayload, jti, `"jti":"`+strings.Repeat("x", 257)+`"`),
		"with NUL":      with(t, assertionPayload, jti, `"jti":"as\u0000"`),
		"with newline":  with(t, assertionPayload, jti, `"jti":"as\n"`),
		"with U+0085":   with(t, assertionPayload, jti, `"jti":"as\u0085"`),
		"in upper case": with(t, assertionPayload, jti, `"JTI":"as_1"`),
	})
	k := clientKey()
	long := with(t, assertionPayload, jti, `"jti":"`+strings.Repeat("x", 256)+`"`)
	if got, err := tokens.VerifyAssertion(compact(t, k, assertionHeader(k), long), expectAssertion(t, k)); err != nil || len(got.ID) != 256 {
		t.Errorf("256 bytes: got %v, %v", got, err)
	}
}

// Covers RFC7519-4-01.
func TestAssertionDuplicates(t *testing.T) {
	t.Parallel()
	const sub, aud = `"sub":"client-1"`, `"aud":"https://id.acme.test"`
	payloads := map[string]string{
		"sub twice":               with(t, assertionPayload, sub, sub+`,"sub":"client-2"`),
		"sub twice, the other":    with(t, assertionPayload, sub, `"sub":"client-2",`+sub),
		"sub twice, alike":        with(t, assertionPayload, sub, sub+`,`+sub),
		"sub escaped":             with(t, assertionPayload, sub, sub+`,"\u0073ub":"client-2"`),
		"SUB beside sub":          with(t, assertionPayload, sub, sub+`,"SUB":"client-2"`),
		"U+017F beside sub":       with(t, assertionPayload, sub, sub+`,"ſub":"client-2"`),
		"aud twice":               with(t, assertionPayload, aud, aud+`,"aud":"https://evil.test"`),
		"twice in another member": with(t, assertionPayload, aud, aud+`,"x":{"y":1,"y":2}`),
		"nested too deep":         with(t, assertionPayload, aud, aud+`,"x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)),
	}
	refusesAssertions(t, tokens.ErrMalformed, payloads)
	k := clientKey()
	for name, payload := range payloads {
		if client, err := tokens.AssertionClient(compact(t, k, assertionHeader(k), payload)); !errors.Is(err, tokens.ErrMalformed) || client != "" {
			t.Errorf("AssertionClient, %s: got %q, %v; want ErrMalformed", name, client, err)
		}
	}
	refusesAssertions(t, tokens.ErrClaims, map[string]string{
		"AUD alone": with(t, assertionPayload, `"aud"`, `"AUD"`),
		"Nbf":       with(t, assertionPayload, sub, sub+`,"Nbf":1`),
	})
}

// Covers RFC7523-3-04.
func TestAssertionKey(t *testing.T) {
	t.Parallel()
	mine, other := clientKey(), newKey(t)
	rsa, ed := clientKeys()[tokens.RS256], clientKeys()[tokens.EdDSA]
	expect := expectAssertion(t, mine, ed)
	for name, token := range map[string]string{
		"another client's key":               compact(t, other, assertionHeader(other), assertionPayload),
		"another client's key, our kid":      compact(t, other, assertionHeader(mine), assertionPayload),
		"another client's key, no kid":       compact(t, other, `{"alg":"ES256"}`, assertionPayload),
		"an algorithm that has no key":       compact(t, rsa, assertionHeader(rsa), assertionPayload),
		"one key under the kid of the other": compact(t, mine, `{"alg":"ES256","kid":"`+ed.ID+`"}`, assertionPayload),
		"a kid that nobody has":              compact(t, mine, `{"alg":"ES256","kid":"x"}`, assertionPayload),
	} {
		if _, err := tokens.VerifyAssertion(token, expect); !errors.Is(err, tokens.ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
	for name, token := range map[string]string{
		"first":          compact(t, mine, assertionHeader(mine), assertionPayload),
		"second":         compact(t, ed, assertionHeader(ed), assertionPayload),
		"second, no kid": compact(t, ed, `{"alg":"EdDSA"}`, assertionPayload),
	} {
		if _, err := tokens.VerifyAssertion(token, expect); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAssertionTyp(t *testing.T) {
	t.Parallel()
	k := clientKey()
	for typ, ok := range map[string]bool{
		``: true, `,"typ":"JWT"`: true, `,"typ":"client-authentication+jwt"`: true,
		`,"typ":"at+jwt"`: false, `,"typ":"dpop+jwt"`: false, `,"typ":"logout+jwt"`: false, `,"typ":"secevent+jwt"`: false,
		`,"typ":"application/at+jwt"`: false, `,"typ":"AT+JWT"`: false, `,"typ":""`: false, `,"typ":null`: false, `,"typ":["JWT"]`: false,
	} {
		token := compact(t, k, `{"alg":"ES256"`+typ+`}`, assertionPayload)
		_, err := tokens.VerifyAssertion(token, expectAssertion(t, k))
		if ok != (err == nil) || !ok && !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("%q: got %v, want accepted: %v", typ, err, ok)
		}
		if _, err := tokens.AssertionClient(token); ok != (err == nil) {
			t.Errorf("AssertionClient, %q: got %v, want accepted: %v", typ, err, ok)
		}
	}
}

// What AssertionClient gives goes into a look-up.
func TestAssertionClientIsAClientID(t *testing.T) {
	t.Parallel()
	k := clientKey()
	named := func(id string) string { return strings.ReplaceAll(assertionPayload, "client-1", id) }
	for name, payload := range map[string]string{
		"NUL": named(`client\u0000`), "newline": named(`client\n`), "not ASCII": named("clïent"), "257 bytes": named(strings.Repeat("x", 257)),
		"empty": named(""), "iss another": with(t, assertionPayload, `"iss":"client-1"`, `"iss":"client-2"`),
		"neither": with(t, assertionPayload, `"iss":"client-1","sub":"client-1",`, ``),
	} {
		if client, err := tokens.AssertionClient(compact(t, k, assertionHeader(k), payload)); !errors.Is(err, tokens.ErrClaims) || client != "" {
			t.Errorf("%s: got %q, %v; want ErrClaims", name, client, err)
		}
	}
}
