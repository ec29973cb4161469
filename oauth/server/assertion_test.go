package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// forgeries are assertions that must not authenticate the client "keyed", by what is wrong. other is another client's key.
func forgeries(h *house, key, other *prover, trap string) map[string]string {
	now := h.clock.Now().Unix()
	head := func(name string, value any) twist { return func(header, _ map[string]any) { header[name] = value } }
	without := func(name string) twist { return func(_, payload map[string]any) { delete(payload, name) } }
	a := func(twists ...twist) string { return key.assertion("keyed", twists...) }
	raw := func(edit func(payload string) string) string {
		header, payload := key.assertionParts("keyed")
		return key.sign(encode(h.t, header), edit(encode(h.t, payload)))
	}
	out := map[string]string{
		"iss missing": a(without("iss")), "sub missing": a(without("sub")), "iss of another": a(claim("iss", "other-keyed")), "sub of another": a(claim("sub", "other-keyed")),
		"another client, this key": key.assertion("other-keyed"), "this client, another key": other.assertion("keyed"), "unknown client": key.assertion("nobody"),
		"aud missing": a(without("aud")), "aud the token URL": a(claim("aud", h.issuer+"/oauth2/token")), "aud the PAR URL": a(claim("aud", h.issuer+"/oauth2/par")),
		"aud with a slash": a(claim("aud", h.issuer+"/")), "aud two": a(claim("aud", []string{h.issuer, "https://evil.test"})), "aud empty": a(claim("aud", []string{})),
		"aud of another": a(claim("aud", "https://evil.test")), "aud twice the same": a(claim("aud", []string{h.issuer, h.issuer})),
		"exp missing": a(without("exp")), "exp past": a(claim("exp", now-1)), "exp in ten years": a(claim("exp", now+10*365*86400)), "exp a string": a(claim("exp", "x")),
		"iat an hour ahead": a(claim("iat", now+3600)), "nbf an hour ahead": a(claim("nbf", now+3600)), "no jti": a(without("jti")), "jti empty": a(claim("jti", "")),
		"alg ES384": a(head("alg", "ES384")), "alg RS256": a(head("alg", "RS256")), "crit": a(head("crit", []string{"exp"})), "typ of an access token": a(head("typ", "at+jwt")),
		"jwk of the attacker": other.assertion("keyed", head("jwk", other.jwk())), "jku of the attacker": other.assertion("keyed", head("jku", trap)), "x5u of the attacker": other.assertion("keyed", head("x5u", trap)),
		"x5c of the attacker": other.assertion("keyed", head("x5c", []string{"MIIB"})),
		"two sub":             raw(func(p string) string { return strings.Replace(p, "{", `{"sub":"other-keyed",`, 1) }),
		"SUB beside sub":      raw(func(p string) string { return strings.Replace(p, "{", `{"SUB":"other-keyed",`, 1) }),
		"two exp":             raw(func(p string) string { return strings.Replace(p, "{", fmt.Sprintf(`{"exp":%d,`, now+30), 1) }),
		"trailing data":       raw(func(p string) string { return p + "{}" }),
		"no object":           raw(func(string) string { return `[]` }),
		"not a JWT":           "x", "empty parts": "..",
	}
	for _, kid := range []string{"../../../../dev/null", "' OR 1=1 --", strings.Repeat("k", 4<<10), "nul\x00", trap, "key-of-other-keyed"} {
		out["kid "+clip(kid)] = a(head("kid", kid))
	}
	header, payload := key.assertionParts("keyed")
	for _, alg := range []any{"none", "NONE", "noNE", "", nil} {
		header["alg"] = alg
		if alg == nil {
			delete(header, "alg")
		}
		input := b64([]byte(encode(h.t, header))) + "." + b64([]byte(encode(h.t, payload)))
		out[fmt.Sprintf("alg %v", alg)] = input + "."
		out[fmt.Sprintf("alg %v, signed", alg)] = key.sign(encode(h.t, header), encode(h.t, payload))
	}
	for name, secret := range hmacKeys(h, key) {
		for _, alg := range []string{"HS256", "ES256"} {
			header["alg"] = alg
			out[alg+" by "+name] = signHMAC(encode(h.t, header), encode(h.t, payload), secret)
		}
	}
	return out
}

func clip(s string) string { return s[:min(len(s), 24)] }

// hmacKeys are what an attacker may hope to be taken for a shared secret: the public key in each of its forms, and guesses.
func hmacKeys(h *house, key *prover) map[string][]byte {
	der, err := x509.MarshalPKIXPublicKey(&key.key.PublicKey)
	h.must(err)
	return map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": []byte(encode(h.t, key.jwk())),
		"the client's old secret": []byte(h.secrets["keyed"]), "nothing": {}, "secret": []byte("secret"), "changeme": []byte("changeme"),
		"client_secret": []byte("client_secret"), "the issuer": []byte(h.issuer), "the client_id": []byte("keyed"),
	}
}

func signHMAC(header, payload string, key []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// TestForgedAssertions: whatever is wrong with an assertion, the answer is the one text of a failed client authentication, nothing
// is written, and nobody is asked. The assertion that they were made from is good, and stays so. It is CVE-2026-11800,
// CVE-2022-29217, CVE-2024-37568, CVE-2023-48223, CVE-2026-34950 and CVE-2026-22817 (a public key taken for a shared secret), and CVE-2026-32301 (a
// header that is fetched).
// Covers RFC7523-3-01, RFC7523-3-02, RFC7523-3-03, RFC7523-3-04, RFC7515-4.1.2-01, RFC8725-3.1-01, RFC8725-3.1-02, RFC8725-3.5-01,
// Covers RFC8725-3.10-01.
func TestForgedAssertions(t *testing.T) { onBoth(t, testForgedAssertions) }

func testForgedAssertions(t *testing.T, o options) {
	var asked atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(trap.Close)
	h := setupSeen(t, o)
	key, other := h.addKeyed("keyed"), h.addKeyed("other-keyed")
	good := key.assertion("keyed")
	before := h.base.dump(t)
	spoilt := forgeries(h, key, other, trap.URL)
	spoilt["a broken signature"] = good[:len(good)-8] + "AAAAAAAA"
	for name, assertion := range spoilt {
		for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"} {
			form := asserting(assertion)
			form.Set("grant_type", "authorization_code")
			form.Set("token", "x")
			r := h.form(path, "", form)
			if r.status != 401 || r.body != `{"error":"invalid_client","error_description":"Client authentication failed."}` {
				t.Errorf("%s: %s: got %d %s; want the one text", path, name, r.status, r.body)
			}
			gaveNothing(t, name, r, "")
		}
	}
	onlyAudit(t, "all of them", before, h.base.dump(t))
	if n := asked.Load(); n != 0 {
		t.Errorf("the attacker's listener was asked %d times", n)
	}
	form := asserting(good)
	form.Set("token", "x")
	if r := h.form("/oauth2/revoke", "", form); r.status != 200 {
		t.Errorf("the good one, afterwards: got %d %s; want it not burned", r.status, r.body)
	}
}

// TestAssertionForm: what goes with an assertion. client_id may repeat whose it is, and nothing else.
// Covers RFC7523-3.2-01, RFC6749-2.3-01.
func TestAssertionForm(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	key := h.addKeyed("keyed")
	h.addKeyed("other-keyed")
	for _, c := range []struct {
		name   string
		change func(call) call
		status int
		code   string
	}{
		{"alone", func(c call) call { return c }, 200, ""},
		{"with its client_id", func(c call) call { c.body.Set("client_id", "keyed"); return c }, 200, ""},
		{"with another's client_id", func(c call) call { c.body.Set("client_id", "other-keyed"); return c }, 401, "invalid_client"},
		{"with a public client's id", func(c call) call { c.body.Set("client_id", "nobody"); return c }, 401, "invalid_client"},
		{"without its type", func(c call) call { c.body.Del("client_assertion_type"); return c }, 400, "invalid_request"},
		{"the type alone", func(c call) call { c.body.Del("client_assertion"); return c }, 400, "invalid_request"},
		{"another type", func(c call) call { c.body.Set("client_assertion_type", assertionType+" "); return c }, 401, "invalid_client"},
		{"SAML", func(c call) call {
			c.body.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
			return c
		}, 401, "invalid_client"},
		{"and a secret", func(c call) call { c.body.Set("client_secret", h.secrets["keyed"]); return c }, 400, "invalid_request"},
		{"and Basic", func(c call) call { return h.as("keyed", c) }, 400, "invalid_request"},
		{"and Bearer", func(c call) call { return c.with("Authorization", "Bearer x") }, 400, "invalid_request"},
	} {
		form := asserting(key.assertion("keyed"))
		form.Set("token", "x")
		r := h.send(c.change(call{method: "POST", path: "/oauth2/revoke", body: form}))
		if r.status != c.status || r.str("error") != c.code {
			t.Errorf("%s: got %d %s; want %d %s", c.name, r.status, r.body, c.status, c.code)
		}
	}
}
