package tokens_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// The tests of this file carry the numbers of our list of flaws: what JWT libraries were seen to let pass.

// refusesPayloads signs each payload rightly and wants Verify to refuse it with one of errs.
func refusesPayloads(t *testing.T, payloads map[string]string, errs ...error) {
	t.Helper()
	key := newKey(t)
	set := newKeySet(t, key)
	if _, err := set.Verify(forge(t, key, header(key), payload), expect); err != nil {
		t.Fatalf("the payload without a fault: %v", err)
	}
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := set.Verify(forge(t, key, header(key), payload), expect)
			for _, want := range errs {
				if errors.Is(err, want) {
					return
				}
			}
			t.Errorf("got %v, want one of %v", err, errs)
		})
	}
}

func TestLAB10DuplicateClaims(t *testing.T) {
	t.Parallel()
	const act = `"act":{"iss":"https://id.acme.test","sub":"admin-17"}`
	const sub = `"sub":"user-42"`
	refusesPayloads(t, map[string]string{
		"sub twice":                   swap(t, sub, sub+`,"sub":"admin-17"`),
		"sub twice, alike":            swap(t, sub, sub+`,`+sub),
		"sub twice, one escaped":      swap(t, sub, sub+`,"\u0073ub":"admin-17"`),
		"SUB beside sub":              swap(t, sub, sub+`,"SUB":"admin-17"`),
		"SUB before sub":              swap(t, sub, `"SUB":"admin-17",`+sub),
		"U+017F beside sub":           swap(t, sub, sub+`,"ſub":"admin-17"`),
		"U+017F, escaped, beside sub": swap(t, sub, sub+`,"\u017Fub":"admin-17"`),
		"act twice":                   swap(t, act, act+`,"act":{"iss":"https://id.acme.test","sub":"x"}`),
		"ACT beside act":              swap(t, act, act+`,"ACT":{"iss":"https://id.acme.test","sub":"x"}`),
		"sub twice in act":            swap(t, `"admin-17"}`, `"admin-17","sub":"x"}`),
		"Sub beside sub in act":       swap(t, `"admin-17"}`, `"admin-17","Sub":"x"}`),
		"exp twice":                   swap(t, `"exp":1800000600`, `"exp":1800000600,"exp":1900000000`),
		"twice in an unknown claim":   swap(t, sub, sub+`,"x":[{"y":1,"y":2}]`),
		"lone surrogate in a name":    swap(t, sub, sub+`,"\ud800":1`),
		"lone surrogate in a value":   swap(t, `"user-42"`, `"user-42\udc00"`),
	}, tokens.ErrMalformed)
}

func TestLAB10CaseVariants(t *testing.T) {
	t.Parallel()
	payloads := map[string]string{
		"ACT instead of act":   swap(t, `"act":`, `"ACT":`),
		"Act instead of act":   swap(t, `"act":`, `"Act":`),
		"U+017F for sub's s":   swap(t, `"sub":"user-42"`, `"ſub":"user-42"`),
		"U+017F for iss's s":   swap(t, `"iss":"https://id.acme.test","sub":"user-42"`, `"isſ":"https://id.acme.test","sub":"user-42"`),
		"U+017F for scope's s": swap(t, `"scope":`, `"ſcope":`),
		"EXP instead of exp":   swap(t, `"exp":`, `"EXP":`),
		"Client_ID":            swap(t, `"client_id":`, `"Client_ID":`),
		"Nbf":                  swap(t, `"txn":"aud_1"`, `"txn":"aud_1","Nbf":1`),
	}
	for _, name := range []string{"ACR", "Amr", "AUTH_TIME", "May_Act", "CNF"} {
		payloads[name] = swap(t, `"txn":"aud_1"`, `"txn":"aud_1","`+name+`":"x"`)
	}
	refusesPayloads(t, payloads, tokens.ErrClaims)
}

func TestLAB11Times(t *testing.T) {
	t.Parallel()
	refusesPayloads(t, map[string]string{
		"no exp":                swap(t, `"exp":1800000600,`, ``),
		"exp null":              swap(t, `"exp":1800000600`, `"exp":null`),
		"exp text":              swap(t, `"exp":1800000600`, `"exp":"1800000600"`),
		"exp with a fraction":   swap(t, `"exp":1800000600`, `"exp":1800000600.5`),
		"exp with an exponent":  swap(t, `"exp":1800000600`, `"exp":1.8000006e9`),
		"exp beyond 40 bits":    swap(t, `"exp":1800000600`, `"exp":1099511627776`),
		"exp negative":          swap(t, `"exp":1800000600`, `"exp":-1`),
		"exp true":              swap(t, `"exp":1800000600`, `"exp":true`),
		"exp before iat":        swap(t, `"exp":1800000600`, `"exp":1799999999`),
		"no iat":                swap(t, `"iat":1800000000,`, ``),
		"iat null":              swap(t, `"iat":1800000000`, `"iat":null`),
		"iat a minute ahead":    swap(t, `"iat":1800000000`, `"iat":1800000120`),
		"iat and exp far ahead": strings.NewReplacer(`"iat":1800000000`, `"iat":1900000000`, `"exp":1800000600`, `"exp":1900000600`).Replace(payload),
		"nbf":                   swap(t, `"iat":`, `"nbf":1800000000,"iat":`),
	}, tokens.ErrClaims)
}

func TestLAB11Members(t *testing.T) {
	t.Parallel()
	const aud = `"aud":"https://api.acme.test"`
	refusesPayloads(t, map[string]string{
		"no aud":                 swap(t, aud+`,`, ``),
		"aud of one in an array": swap(t, aud, `"aud":["https://api.acme.test"]`),
		"aud of two":             swap(t, aud, `"aud":["https://api.acme.test","x"]`),
		"aud null":               swap(t, aud, `"aud":null`),
		"aud empty":              swap(t, aud, `"aud":""`),
		"aud of another":         swap(t, aud, `"aud":"https://api.acme.test/"`),
		"no iss":                 swap(t, `"iss":"https://id.acme.test","sub":"user-42"`, `"sub":"user-42"`),
		"iss null":               swap(t, `"iss":"https://id.acme.test","sub":"user-42"`, `"iss":null,"sub":"user-42"`),
		"sub a number":           swap(t, `"sub":"user-42"`, `"sub":42`),
		"no client_id":           swap(t, `"client_id":"rp1",`, ``),
		"no jti":                 swap(t, `"jti":"jti_2",`, ``),
		"no sid beside act":      swap(t, `"sid":"ims_1",`, ``),
		"no txn beside act":      swap(t, `"txn":"aud_1",`, ``),
		"scope an array":         swap(t, `"scope":"orders"`, `"scope":["orders"]`),
		"scope with two spaces":  swap(t, `"scope":"orders"`, `"scope":"orders  openid"`),
		"scope with impersonate": swap(t, `"scope":"orders"`, `"scope":"orders impersonate"`),
		"auth_time beside act":   swap(t, `"txn":"aud_1"`, `"txn":"aud_1","auth_time":1800000000`),
		"auth_time zero":         swap(t, `"txn":"aud_1"`, `"txn":"aud_1","auth_time":0`),
		"acr beside act":         swap(t, `"txn":"aud_1"`, `"txn":"aud_1","acr":"2"`),
		"acr empty":              swap(t, `"txn":"aud_1"`, `"txn":"aud_1","acr":""`),
		"amr beside act":         swap(t, `"txn":"aud_1"`, `"txn":"aud_1","amr":["otp"]`),
		"amr empty":              swap(t, `"txn":"aud_1"`, `"txn":"aud_1","amr":[]`),
		"may_act":                swap(t, `"txn":"aud_1"`, `"txn":"aud_1","may_act":{"sub":"x"}`),
		"may_act beside act":     swap(t, `"txn":"aud_1"`, `"txn":"aud_1","may_act":{"iss":"https://id.acme.test","sub":"x"}`),
		"sub_id null":            swap(t, `"txn":"aud_1"`, `"txn":"aud_1","sub_id":null`),
		"sub_id empty":           swap(t, `"txn":"aud_1"`, `"txn":"aud_1","sub_id":{}`),
		"sub_id a string":        swap(t, `"txn":"aud_1"`, `"txn":"aud_1","sub_id":"x"`),
		"sub_id of no format":    swap(t, `"txn":"aud_1"`, `"txn":"aud_1","sub_id":{"iss":"https://corp.test","sub":"x"}`),
		"sub_id opaque":          swap(t, `"txn":"aud_1"`, `"txn":"aud_1","sub_id":{"format":"opaque","iss":"https://corp.test","sub":"x"}`),
		"sub_id with more":       swap(t, `"txn":"aud_1"`, `"txn":"aud_1","sub_id":{"format":"iss_sub","iss":"https://corp.test","sub":"x","id":"y"}`),
		"sub_id in disguise":     swap(t, `"txn":"aud_1"`, `"txn":"aud_1","SUB_ID":{"format":"iss_sub","iss":"https://corp.test","sub":"x"}`),
		"sub_id without act":     strings.Replace(payload, `"act":{"iss":"https://id.acme.test","sub":"admin-17"}`, `"sub_id":{"format":"iss_sub","iss":"https://corp.test","sub":"x"}`, 1),
		"act of an unknown kind": swap(t, `"sub":"admin-17"`, `"sub":"admin-17","sub_profile":"robot"`),
		"cnf that is no hash":    swap(t, `"txn":"aud_1"`, `"txn":"aud_1","cnf":{"jkt":"x"}`),
		"cnf of a certificate":   swap(t, `"txn":"aud_1"`, `"txn":"aud_1","cnf":{"x5t#S256":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`),
		"cnf of two": swap(t, `"txn":"aud_1"`,
			`"txn":"aud_1","cnf":{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","x5t#S256":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`),
		"cnf empty": swap(t, `"txn":"aud_1"`, `"txn":"aud_1","cnf":{}`),
	}, tokens.ErrClaims)
}

func TestLAB11Shapes(t *testing.T) {
	t.Parallel()
	refusesPayloads(t, map[string]string{
		"empty":                   "",
		"an array":                "[" + payload + "]",
		"null":                    "null",
		"a string":                `"` + issuer + `"`,
		"two objects":             payload + payload,
		"something after":         payload + "x",
		"byte order mark":         "\uFEFF" + payload,
		"not UTF-8":               swap(t, `user-42`, "user-42\xff"),
		"a comma at the end":      strings.TrimSuffix(payload, "}") + ",}",
		"a comment":               "/**/" + payload,
		"NUL in a string":         swap(t, `user-42`, "user-42\x00"),
		"nested beyond the depth": swap(t, `"txn":"aud_1"`, `"txn":"aud_1","x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)),
		"nested 2,500 deep":       swap(t, `"txn":"aud_1"`, `"txn":"aud_1","x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)),
		"nested 9,000 deep":       swap(t, `{"iss":"https://id.acme.test","sub":"admin-17"}`, strings.Repeat(`{"act":`, 9000)+"1"+strings.Repeat("}", 9000)),
		"a number of 1e400":       swap(t, `"txn":"aud_1"`, `"txn":"aud_1","x":1e400`),
		"65 members":              swap(t, `"txn":"aud_1"`, `"txn":"aud_1"`+members(55)),
	}, tokens.ErrMalformed)
}

// members gives n members of different names.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"` + strings.Repeat("x", i+1) + `":1`)
	}
	return b.String()
}

// Every header here is signed rightly, by a key that we trust.
func TestLAB11Headers(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	with := func(members string) string { return strings.TrimSuffix(header(key), "}") + "," + members + "}" }
	headers := map[string]string{
		"unknown crit":            with(`"crit":["x"],"x":1`),
		"crit of b64":             with(`"crit":["b64"],"b64":true`),
		"b64 false":               with(`"b64":false`),
		"b64 false with crit":     with(`"b64":false,"crit":["b64"]`),
		"alg twice":               `{"alg":"none",` + strings.TrimPrefix(header(key), "{"),
		"alg twice, alike":        with(`"alg":"ES256"`),
		"ALG beside alg":          with(`"ALG":"none"`),
		"alg none":                `{"alg":"none","kid":"` + key.ID + `","typ":"at+jwt"}`,
		"alg es256":               `{"alg":"es256","kid":"` + key.ID + `","typ":"at+jwt"}`,
		"alg HS256":               `{"alg":"HS256","kid":"` + key.ID + `","typ":"at+jwt"}`,
		"no alg":                  `{"kid":"` + key.ID + `","typ":"at+jwt"}`,
		"no kid":                  `{"alg":"ES256","typ":"at+jwt"}`,
		"kid null":                `{"alg":"ES256","kid":null,"typ":"at+jwt"}`,
		"kid of no key":           `{"alg":"ES256","kid":"x","typ":"at+jwt"}`,
		"kid that climbs":         `{"alg":"ES256","kid":"../../../dev/null","typ":"at+jwt"}`,
		"kid with SQL":            `{"alg":"ES256","kid":"x' OR '1'='1","typ":"at+jwt"}`,
		"no typ":                  `{"alg":"ES256","kid":"` + key.ID + `"}`,
		"typ JWT":                 `{"alg":"ES256","kid":"` + key.ID + `","typ":"JWT"}`,
		"typ in capitals":         `{"alg":"ES256","kid":"` + key.ID + `","typ":"AT+JWT"}`,
		"typ application/at+jwt":  `{"alg":"ES256","kid":"` + key.ID + `","typ":"application/at+jwt"}`,
		"cty":                     with(`"cty":"JWT"`),
		"jwk":                     with(`"jwk":{"kty":"EC"}`),
		"jku":                     with(`"jku":"https://evil.test/jwks"`),
		"x5u":                     with(`"x5u":"https://evil.test/x5u"`),
		"x5c":                     with(`"x5c":["AA"]`),
		"enc":                     with(`"enc":"A256GCM"`),
		"zip":                     with(`"zip":"DEF"`),
		"white space":             strings.Replace(header(key), ",", ", ", 1),
		"another order":           `{"typ":"at+jwt","kid":"` + key.ID + `","alg":"ES256"}`,
		"not JSON":                `{`,
		"empty":                   ``,
		"members nested 900 deep": with(`"x":` + strings.Repeat("[", 900) + strings.Repeat("]", 900)),
	}
	for name, header := range headers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := set.Verify(forge(t, key, header, payload), expect); !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("got %v, want ErrSignature", err)
			}
		})
	}
}

// One token, many spellings: each of these verifies in some library.
func TestLAB12Spellings(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	token := forge(t, key, header(key), payload)
	if _, err := set.Verify(token, expect); err != nil {
		t.Fatal(err)
	}
	i, j := strings.Index(token, "."), strings.LastIndex(token, ".")
	head, body, signature := token[:i], token[i+1:j], token[j+1:]
	spellings := map[string]string{
		"newline after":             token + "\n",
		"CR LF after":               token + "\r\n",
		"newline before":            "\n" + token,
		"space before":              " " + token,
		"space after":               token + " ",
		"newline in the signature":  head + "." + body + "." + signature[:40] + "\n" + signature[40:],
		"newline in the payload":    head + "." + body[:40] + "\n" + body[40:] + "." + signature,
		"newline in the header":     head[:20] + "\n" + head[20:] + "." + body + "." + signature,
		"trailing bits":             token[:len(token)-1] + nextLetter(token[len(token)-1]),
		"padding":                   token + "==",
		"standard base64":           head + "." + body + "." + standard(t, signature),
		"twin of s":                 head + "." + body + "." + twin(t, signature),
		"a fourth part":             token + ".",
		"an empty part in front":    "." + token,
		"Bearer in front":           "Bearer " + token,
		"signature with a zero":     head + "." + body + "." + b64(append(unb64(t, signature), 0)),
		"signature as ASN.1":        head + "." + body + "." + b64(append([]byte{0x30, 0x44, 2, 32}, unb64(t, signature)...)),
		"quoted":                    `"` + token + `"`,
		"percent-encoded":           head + "%2E" + body + "%2E" + signature,
		"JSON serialisation":        `{"payload":"` + body + `","protected":"` + head + `","signature":"` + signature + `"}`,
		"general JSON":              `{"payload":"` + body + `","signatures":[{"protected":"` + head + `","signature":"` + signature + `"}]}`,
		"NUL after":                 token + "\x00",
		"wide full stops":           head + "．" + body + "．" + signature,
		"payload in another's case": head + "." + strings.ToLower(body) + "." + signature,
	}
	for name, spelling := range spellings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if spelling == token {
				t.Fatal("not another spelling")
			}
			if _, err := set.Verify(spelling, expect); !errors.Is(err, tokens.ErrMalformed) && !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("got %v, want ErrMalformed or ErrSignature", err)
			}
		})
	}
}

func unb64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// standard spells s in the alphabet of plain base64. 86 random letters have a "-" or "_" but once in 15; then it is padded.
func standard(t *testing.T, s string) string {
	return base64.StdEncoding.EncodeToString(unb64(t, s))
}

// nextLetter is c with the lowest of its unused bits set: 512 bits leave four in the last of 86 letters.
func nextLetter(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

// twin is (r, n-s), which ecdsa.Verify takes as it takes (r, s).
func twin(t *testing.T, signature string) string {
	raw := unb64(t, signature)
	s := new(big.Int).SetBytes(raw[32:])
	new(big.Int).Sub(elliptic.P256().Params().N, s).FillBytes(raw[32:])
	return b64(raw)
}

// Half of all signatures come out with the higher s; none of ours may.
func TestLAB12SignsLowS(t *testing.T) {
	t.Parallel()
	set := newKeySet(t, newKey(t))
	half := new(big.Int).Rsh(elliptic.P256().Params().N, 1)
	for range 64 {
		token := mustSign(t, set, ordinary())
		raw := unb64(t, token[strings.LastIndex(token, ".")+1:])
		if new(big.Int).SetBytes(raw[32:]).Cmp(half) > 0 {
			t.Fatal("signed a high s")
		}
		if _, err := set.Verify(token, expect); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMalformedMayAct: in a token without act, rightly signed, a may_act that is not plainly an identity fails the whole token and
// widens nothing. Times in it would mean nothing (RFC 8693 §4.4), so that they are refused as any member that is unknown.
//
// Covers RFC8693-4.4-01, RFC8693-4.4-05.
func TestMalformedMayAct(t *testing.T) {
	t.Parallel()
	bad := make(map[string]string)
	for _, v := range []string{
		`"x"`, `["x"]`, `{}`, `null`, `true`, `{"sub":[]}`, `{"sub":null}`, `{"sub":"x"}`, `{"iss":"https://id.acme.test"}`,
		`{"iss":"https://id.acme.test","sub":["x"]}`, `{"iss":"https://id.acme.test","sub":"x","exp":1}`,
		`{"iss":"https://id.acme.test","sub":"x","client_id":""}`, `{"iss":"https://id.acme.test","sub":"x","SUB":"y"}`,
	} {
		bad[v] = strings.Replace(payload, `"act":{"iss":"https://id.acme.test","sub":"admin-17"}`, `"may_act":`+v, 1)
	}
	key := newKey(t)
	set := newKeySet(t, key)
	good := strings.Replace(payload, `"act":{`, `"may_act":{`, 1)
	if c, err := set.Verify(forge(t, key, header(key), good), expect); err != nil || c.MayAct == nil || c.MayAct.Subject != "admin-17" {
		t.Errorf("a good one: got %+v, %v", c.MayAct, err)
	}
	for name, p := range bad {
		if c, err := set.Verify(forge(t, key, header(key), p), expect); err == nil {
			t.Errorf("%s: got %+v, want an error", name, c.MayAct)
		}
	}
}
