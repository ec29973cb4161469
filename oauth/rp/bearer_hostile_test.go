package rp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// hs256 signs with a secret.
func hs256(header, payload string, secret []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// refuseAll offers each token for a safe request and an unsafe one: 401 invalid_token, nobody reached, nothing asked and nothing on record.
func (a *api) refuseAll(forged map[string]string) {
	a.t.Helper()
	a.yes("the control", a.get("/me", a.token()), "john", "john")
	a.yes("the other control", a.post("/me", a.acting("scope", fullAccess)), "john", "ann")
	a.must(a.bearer.Flush(a.t.Context()))
	a.taken(&a.actions)
	for what, token := range forged {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a.no(what, a.do(a.request(method, "/me", "Bearer "+token)), http.StatusUnauthorized, "invalid_token")
		}
	}
	if n, got := a.asked("/introspect"), a.taken(&a.actions); n > 0 || len(got) > 0 {
		a.t.Errorf("liveness was asked for %d times, and on record is %q", n, got)
	}
}

// TestHostileTokens: whatever is not an access token of the issuer for here, in its one form, signed by a key that it publishes, is refused. One is
// of CVE-2025-30204: a header of dots.
//
// Covers RFC8693-4.1-06, RFC8693-5-03, RFC6750-3.1-01, RFC9068-4-01, RFC9068-4-02, RFC9068-4-03, RFC9068-4-04, RFC7519-4-01, RFC7519-4.1.4-01,
// Covers RFC7519-4.1.3-01, RFC7515-4.1.11-01, RFC8725-3.1-01, RFC8725-3.2-01, RFC8725-3.3-01, RFC8725-3.6-01, RFC8725-3.8-01, RFC8725-3.9-01,
// Covers RFC8725-3.10-01, RFC8725-3.12-01, RFC8725bis-01, RFC8705-3-01.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	good := a.claims()
	head := func(members string) string { return a.key.sign("{"+members+"}", good) }
	says := func(change ...any) string { return a.key.sign(header, a.claims(change...)) }
	swap := func(old, replacement string) string {
		if strings.Count(good, old) != 1 {
			t.Fatalf("%q does not stand in the payload once", old)
		}
		return a.key.sign(header, strings.Replace(good, old, replacement, 1))
	}
	token := a.token()
	h, p, s := strings.Split(token, ".")[0], strings.Split(token, ".")[1], strings.Split(token, ".")[2]
	other := newSigner(t, "k1")
	now := a.clock.Now().Unix()
	forged := map[string]string{
		// another kind of JWT, and another algorithm
		"typ JWT":            head(`"alg":"ES256","kid":"k1","typ":"JWT"`),
		"no typ":             head(`"alg":"ES256","kid":"k1"`),
		"logout token":       head(`"alg":"ES256","kid":"k1","typ":"logout+jwt"`),
		"security event":     head(`"alg":"ES256","kid":"k1","typ":"secevent+jwt"`),
		"DPoP proof":         head(`"alg":"ES256","kid":"k1","typ":"dpop+jwt"`),
		"introspection":      head(`"alg":"ES256","kid":"k1","typ":"token-introspection+jwt"`),
		"alg none":           b64([]byte(`{"alg":"none","kid":"k1","typ":"at+jwt"}`)) + "." + p + ".",
		"alg nOnE":           head(`"alg":"nOnE","kid":"k1","typ":"at+jwt"`),
		"alg empty":          head(`"alg":"","kid":"k1","typ":"at+jwt"`),
		"no alg":             head(`"kid":"k1","typ":"at+jwt"`),
		"alg ES384":          head(`"alg":"ES384","kid":"k1","typ":"at+jwt"`),
		"alg RS256":          head(`"alg":"RS256","kid":"k1","typ":"at+jwt"`),
		"alg HS256":          hs256(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, good, []byte("secret")),
		"alg HS256 with JWK": hs256(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, good, []byte(a.key.jwk(`"kid":"k1"`))),
		"alg is a list":      head(`"alg":["ES256"],"kid":"k1","typ":"at+jwt"`),
		// the header's own extensions
		"crit unknown":   head(`"alg":"ES256","kid":"k1","typ":"at+jwt","crit":["x"],"x":1`),
		"crit empty":     head(`"alg":"ES256","kid":"k1","typ":"at+jwt","crit":[]`),
		"b64 false":      head(`"alg":"ES256","kid":"k1","typ":"at+jwt","crit":["b64"],"b64":false`),
		"zip":            head(`"alg":"ES256","kid":"k1","typ":"at+jwt","zip":"DEF"`),
		"nested":         head(`"alg":"ES256","kid":"k1","typ":"at+jwt","cty":"JWT"`),
		"two algs":       head(`"alg":"none","alg":"ES256","kid":"k1","typ":"at+jwt"`),
		"two typs":       head(`"alg":"ES256","kid":"k1","typ":"JWT","typ":"at+jwt"`),
		"alg in capital": head(`"alg":"ES256","ALG":"none","kid":"k1","typ":"at+jwt"`),
		// the key
		"another's key, a known kid": other.sign(header, good),
		"no kid":                     head(`"alg":"ES256","typ":"at+jwt"`),
		"kid of a path":              head(`"alg":"ES256","kid":"../../../../dev/null","typ":"at+jwt"`),
		"kid of SQL":                 head(`"alg":"ES256","kid":"' OR 1=1 --","typ":"at+jwt"`),
		"kid with NUL":               head(`"alg":"ES256","kid":"k1\u0000","typ":"at+jwt"`),
		"kid of 64 KiB":              head(`"alg":"ES256","kid":"` + strings.Repeat("k", 64<<10) + `","typ":"at+jwt"`),
		"kid is a number":            head(`"alg":"ES256","kid":1,"typ":"at+jwt"`),
		// who, for whom and when
		"iss with a slash":     says("iss", a.issuer+"/"),
		"iss in capitals":      says("iss", strings.ToUpper(a.issuer)),
		"iss of https":         says("iss", strings.Replace(a.issuer, "http:", "https:", 1)),
		"iss of a tenant":      says("iss", a.issuer+"/tenant"),
		"iss a list":           says("iss", []string{a.issuer}),
		"no iss":               says("iss", nil),
		"aud of another":       says("aud", "https://other.acme.test"),
		"aud with a slash":     says("aud", audience+"/"),
		"aud with a port":      says("aud", audience+":443"),
		"aud in capitals":      says("aud", "https://API.acme.test"),
		"aud that begins so":   says("aud", audience+".evil.test"),
		"aud escaped":          says("aud", "https://api.acme.t%65st"),
		"aud empty":            says("aud", ""),
		"aud an empty list":    says("aud", []string{}),
		"aud a list without":   says("aud", []string{"https://other.acme.test"}),
		"aud of several":       says("aud", []string{audience, "https://other.acme.test"}),
		"aud an object":        says("aud", map[string]string{"x": audience}),
		"aud of the issuer":    says("aud", a.issuer),
		"no aud":               says("aud", nil),
		"expired":              says("iat", now-700, "exp", now-1),
		"expires now":          says("iat", now-700, "exp", now),
		"no exp":               says("exp", nil),
		"exp text":             says("exp", fmt.Sprint(now+500)),
		"exp negative":         says("exp", -1),
		"exp null":             swap(fmt.Sprintf(`"exp":%d`, now+540), `"exp":null`),
		"exp without end":      swap(fmt.Sprintf(`"exp":%d`, now+540), `"exp":1e400`),
		"exp beyond all years": swap(fmt.Sprintf(`"exp":%d`, now+540), `"exp":99999999999999999999`),
		"iat ahead":            says("iat", now+60),
		"no iat":               says("iat", nil),
		"nbf ahead":            says("nbf", now+600),
		"no sub":               says("sub", nil),
		"sub empty":            says("sub", ""),
		"no client_id":         says("client_id", nil),
		"no jti":               says("jti", nil),
		// two readings
		"two subs":           swap(`"sub":"john"`, `"sub":"eve","sub":"john"`),
		"two auds":           swap(`"aud":"`+audience+`"`, `"aud":"x","aud":"`+audience+`"`),
		"SUB":                swap(`"sub":"john"`, `"sub":"john","SUB":"eve"`),
		"sub with a long s":  swap(`"sub":"john"`, `"sub":"john","ſub":"eve"`),
		"sub escaped":        swap(`"sub":"john"`, `"sub":"john","\u0073ub":"eve"`),
		"half a surrogate":   swap(`"sub":"john"`, `"sub":"john\ud800"`),
		"not UTF-8":          a.key.sign(header, strings.Replace(good, "john", "jo\xffn", 1)),
		"two values":         a.key.sign(header, good+good),
		"an array":           a.key.sign(header, "["+good+"]"),
		"nested without end": swap(`"sub":"john"`, `"sub":"john","x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)),
		// who acts
		"act nested":          a.acting("act", map[string]any{"iss": a.issuer, "sub": "bob", "act": map[string]string{"iss": a.issuer, "sub": "ann"}}),
		"act null":            a.acting("act", json.RawMessage("null")),
		"act empty":           a.acting("act", map[string]string{}),
		"act a name":          a.acting("act", "ann"),
		"act a list":          a.acting("act", []any{map[string]string{"iss": a.issuer, "sub": "ann"}}),
		"act without iss":     a.acting("act", map[string]string{"sub": "ann"}),
		"act with more":       a.acting("act", map[string]string{"iss": a.issuer, "sub": "ann", "role": "admin"}),
		"act in capitals":     a.token("ACT", map[string]string{"iss": a.issuer, "sub": "ann"}),
		"act without sid":     a.acting("sid", nil),
		"act without txn":     a.acting("txn", nil),
		"act that may start":  a.acting("scope", "impersonate"),
		"full without act":    a.token("scope", fullAccess),
		"act beside may_act":  a.acting("may_act", map[string]string{"iss": a.issuer, "sub": "x"}),
		"scope with a gap":    a.token("scope", "orders  openid"),
		"scope a list":        a.token("scope", []string{"orders"}),
		"bound to a client's": a.token("cnf", map[string]string{"x5t#S256": b64(make([]byte, 32))}),
		"bound to both":       a.token("cnf", map[string]string{"x5t#S256": b64(make([]byte, 32)), "jkt": b64(make([]byte, 32))}),
		"bound to a short":    a.token("cnf", map[string]string{"jkt": "x"}),
		"cnf null":            a.token("cnf", json.RawMessage("null")),
		// another shape
		"empty parts":       "..",
		"a dot":             ".",
		"opaque":            "s3cr3t",
		"four parts":        token + ".x",
		"JWE":               "e30.e30.e30.e30.e30",
		"flattened JSON":    `{"protected":"` + h + `","payload":"` + p + `","signature":"` + s + `"}`,
		"no signature":      h + "." + p + ".",
		"signature of 0":    h + "." + p + "." + b64(make([]byte, 64)),
		"signature DER":     h + "." + p + "." + b64(der(t, s)),
		"signature short":   h + "." + p + "." + s[:len(s)-4],
		"payload changed":   h + "." + b64([]byte(strings.Replace(good, "john", "evee", 1))) + "." + s,
		"a padding":         token + "=",
		"a newline":         token + "\n",
		"a newline within":  h + "." + p[:8] + "\n" + p[8:] + "." + s,
		"trailing bits":     h + "." + p + "." + trailing(s),
		"a space before":    " " + token,
		"13 KiB":            token + strings.Repeat("A", 13<<10),
		"5 MiB of dots":     strings.Repeat(".", 5<<20),
		"longer than we do": a.token("x", strings.Repeat("x", tokens.MaxLength)),
	}
	a.refuseAll(forged)
	if n := a.asked("/jwks"); n > 2 {
		t.Errorf("the keys were asked for %d times", n)
	}
}

// der is a signature as X.509 writes it.
func der(t *testing.T, signature string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	integer := func(b []byte) []byte {
		b = new(big.Int).SetBytes(b).Bytes()
		if b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(integer(raw[:32]), integer(raw[32:])...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

// trailing sets bits that base64 does not use.
func trailing(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last^1])
}

// TestEveryBitOfATokenCounts: of one token that is remembered no other spelling is taken, be it by one bit or by what libraries overlook
// (trailing bits of base64, line breaks, s and n-s of ECDSA; GHSA-rp9m-7r4c-75qg); and none is refused because of another.
func TestEveryBitOfATokenCounts(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	token := a.token()
	a.yes("first", a.get("/me", token), "john", "john")
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		a.no(fmt.Sprint("byte ", i), a.get("/me", "Bearer "+string(changed)), http.StatusUnauthorized, "invalid_token")
		a.no(fmt.Sprint("cut to ", i), a.get("/me", "Bearer "+token[:i]), http.StatusUnauthorized, "invalid_token")
	}
	a.yes("last", a.get("/me", token), "john", "john")
}

// TestKeyInTheToken: no header makes the API take a key or fetch one.
//
// Covers RFC7515-4.1.2-01.
func TestKeyInTheToken(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer trap.Close()
	a := newAPI(t, nil)
	thief := newSigner(t, "k1")
	forged := map[string]string{}
	for name, member := range map[string]string{
		"jwk": `"jwk":` + thief.jwk(), "jku": `"jku":"` + trap.URL + `"`, "x5u": `"x5u":"` + trap.URL + `"`, "x5c": `"x5c":["MIIB"]`, "kid as a URL": `"kid":"` + trap.URL + `"`,
	} {
		kid := `"kid":"k1",`
		if strings.Contains(member, "kid") {
			kid = ""
		}
		forged[name] = thief.sign(`{"alg":"ES256",`+kid+`"typ":"at+jwt",`+member+`}`, a.claims())
		forged[name+", signed by the issuer"] = a.key.sign(`{"alg":"ES256",`+kid+`"typ":"at+jwt",`+member+`}`, a.claims())
	}
	a.refuseAll(forged)
	if n := fetched.Load(); n > 0 {
		t.Errorf("what the tokens named was fetched %d times", n)
	}
}

// TestOneKeyOneAlgorithm: a key verifies by its own algorithm, whatever the header says, and RSA and Ed25519 keys do verify by theirs.
//
// Covers RFC8725-3.1-02, RFC9068-2.1-02.
func TestOneKeyOneAlgorithm(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n, e := b64(rsaKey.N.Bytes()), b64(big.NewInt(int64(rsaKey.E)).Bytes())
	a.set(func() {
		a.jwks = `{"keys":[` + a.key.jwk(`"kid":"k1"`) + `,{"kty":"RSA","kid":"rsa","n":"` + n + `","e":"` + e + `"},{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"` + b64(edPublic) + `"}]}`
	})
	by := func(alg, kid string, sign func(input string) []byte) string {
		input := b64([]byte(`{"alg":"`+alg+`","kid":"`+kid+`","typ":"at+jwt"}`)) + "." + b64([]byte(a.claims()))
		return input + "." + b64(sign(input))
	}
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	digest := func(input string) []byte { d := sha256.Sum256([]byte(input)); return d[:] }
	rs256 := func(in string) []byte {
		return must(rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest(in)))
	}
	pss := func(in string) []byte {
		return must(rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, digest(in), &rsa.PSSOptions{SaltLength: 32}))
	}
	ed := func(in string) []byte { return ed25519.Sign(edPrivate, []byte(in)) }
	a.yes("RS256", a.get("/me", by("RS256", "rsa", rs256)), "john", "john")
	a.yes("EdDSA", a.get("/me", by("EdDSA", "ed", ed)), "john", "john")
	forged := map[string]string{
		"PS256 with an RSA key": by("PS256", "rsa", pss), "RS256 signed as PS256": by("RS256", "rsa", pss), "RS256 with an EC kid": by("RS256", "k1", rs256),
		"ES256 with an RSA kid": by("ES256", "rsa", rs256), "EdDSA with an EC kid": by("EdDSA", "k1", ed), "ES256 on P-384": by("ES256", "k1", func(in string) []byte {
			r, s, err := ecdsa.Sign(rand.Reader, p384, digest(in))
			return append(must(r.FillBytes(make([]byte, 48)), err), s.FillBytes(make([]byte, 48))...)
		}),
	}
	public := must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey))
	for name, secret := range map[string][]byte{"DER": public, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), "the modulus": rsaKey.N.Bytes(), "nothing": nil} {
		forged["HS256 by "+name] = hs256(`{"alg":"HS256","kid":"rsa","typ":"at+jwt"}`, a.claims(), secret)
	}
	a.refuseAll(forged)
}

// TestExpiry: a token that is remembered counts until its exp and no second longer.
//
// Covers RFC7662-4-03.
func TestExpiry(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	john, ann := a.token(), a.acting("scope", fullAccess)
	for range 2 {
		a.yes("own", a.get("/me", john), "john", "john")
		a.yes("ann", a.get("/me", ann), "john", "ann")
	}
	a.must(a.bearer.Flush(t.Context()))
	a.set(func() { a.over["imp_1"] = true })
	a.clock.advance(5 * time.Second)
	a.no("stopped 5 s ago", a.get("/me", ann), http.StatusUnauthorized, "invalid_token")
	a.set(func() { a.over["imp_1"] = false })
	a.clock.advance(534 * time.Second)
	a.yes("a second before", a.get("/me", john), "john", "john")
	a.clock.advance(time.Second)
	a.no("own, expired", a.get("/me", john), http.StatusUnauthorized, "invalid_token")
	a.asked("/introspect")
	a.taken(&a.actions)
	for _, r := range []reply{a.get("/me", ann), a.post("/me", ann)} {
		a.no("ann's, expired", r, http.StatusUnauthorized, "invalid_token")
	}
	if n, got := a.asked("/introspect"), a.taken(&a.actions); n > 0 || len(got) > 0 {
		t.Errorf("an expired token was asked about %d times, on record is %q", n, got)
	}
}

// FuzzAuthorization: whatever the Authorization header and the token's parts are, only what the issuer signed is served, and nothing makes the API
// answer anything but its own refusals.
func FuzzAuthorization(f *testing.F) {
	a := newAPI(f, nil)
	good, seed := a.claims(), a.token()
	f.Add("Bearer ", "", header, good, false)
	f.Add("Bearer ", seed, header, good, false)
	f.Add("Bearer ", "", header, strings.Replace(good, `"sub"`, `"SUB":"eve","sub"`, 1), true)
	f.Add("DPoP ", "", header, good, true)
	f.Add("bearer ", "\t", `{"alg":"none"}`, `{"act":{"act":{}}}`, true)
	f.Add("Bearer ", "", `{"alg":"ES256","kid":"k1","typ":"application/at+jwt"}`, good, true)
	f.Fuzz(func(t *testing.T, scheme, rest, header, payload string, signed bool) {
		authorization := scheme + rest
		if signed {
			authorization = scheme + a.key.sign(header, payload) + rest
		}
		r := httptest.NewRequest(http.MethodGet, "/me", nil)
		r.Header["Authorization"] = []string{authorization}
		got := a.do(r)
		switch {
		case got.status == http.StatusOK && !signed:
			if !strings.HasSuffix(authorization, " "+seed) {
				t.Errorf("%q was served", authorization)
			}
		case got.status == http.StatusOK:
			var c struct{ Sub, Iss, Aud string }
			if err := json.Unmarshal([]byte(payload), &c); err != nil || c.Iss != a.issuer || c.Aud != audience || !strings.HasPrefix(got.body, "subject="+c.Sub+" ") {
				t.Errorf("%s was served as %s", payload, got.body)
			}
		case got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "":
			t.Errorf("%q: %d %s", authorization, got.status, got.body)
		}
	})
}
