package tokens_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// foreignPayload is a good one, 60 s old, for ten minutes more.
const foreignPayload = `{"iss":"https://corp.test/realms/a","sub":"f-17","aud":["account","https://api.acme.test"],"azp":"crm","scope":"openid act-as",` +
	`"iat":1800000000,"exp":1800000660,"jti":"ft_1","sid":"s-1","acr":"2","groups":["staff","helpdesk"],"level":"gold"}`

func foreignHeader(k tokens.Key) string {
	return `{"alg":"` + k.Algorithm + `","kid":"` + k.ID + `","typ":"at+jwt"}`
}

func expectForeign(t testing.TB, keys ...tokens.Key) tokens.ExpectForeign {
	t.Helper()
	return tokens.ExpectForeign{
		Issuer: "https://corp.test/realms/a", Audience: "https://api.acme.test", Clients: []string{"crm", "crm-2"}, Algorithms: tokens.Algorithms(),
		Keys: registered(t, keys...), MaxAge: tokens.MaxForeignAge, Now: now,
	}
}

func TestForeignToken(t *testing.T) {
	t.Parallel()
	for algorithm, k := range clientKeys() {
		token := compact(t, k, foreignHeader(k), foreignPayload)
		got, err := tokens.VerifyForeign(token, expectForeign(t, k))
		want := tokens.Foreign{
			Party: oauth.Party{Issuer: "https://corp.test/realms/a", Subject: "f-17"}, Client: "crm", ID: "ft_1", IssuedAt: now.Add(-time.Minute), Expires: now.Add(10 * time.Minute),
			Scope: []string{"act-as", "openid"}, Session: "s-1", ACR: "2",
		}
		if err != nil || fmt.Sprintf("%+v", plain(got)) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: got %+v, %v; want %+v", algorithm, got, err, want)
		}
		for claim, values := range map[string]map[string]bool{
			"groups": {"staff": true, "helpdesk": true, "staf": false, "": false}, "level": {"gold": true, "Gold": false, "": false}, "LEVEL": {"gold": false}, "none": {"": false}, "iat": {"1800000000": false},
		} {
			for value, want := range values {
				if got.Says(claim, value) != want {
					t.Errorf("%s: says %s %q: got %t", algorithm, claim, value, !want)
				}
			}
		}
		if issuer, kid, err := tokens.ForeignIssuer(token); issuer != want.Issuer || kid != k.ID || err != nil {
			t.Errorf("%s: got issuer %q, kid %q, %v", algorithm, issuer, kid, err)
		}
	}
}

// plain is f without what is not exported.
func plain(f tokens.Foreign) tokens.Foreign {
	return tokens.Foreign{Party: f.Party, Client: f.Client, ID: f.ID, IssuedAt: f.IssuedAt, Expires: f.Expires, Scope: f.Scope, Session: f.Session, ACR: f.ACR, Key: f.Key}
}

// foreignFor verifies payload, signed rightly.
func foreignFor(t *testing.T, payload string, change func(*tokens.ExpectForeign)) (tokens.Foreign, error) {
	t.Helper()
	k := clientKey()
	e := expectForeign(t, k)
	if change != nil {
		change(&e)
	}
	return tokens.VerifyForeign(compact(t, k, foreignHeader(k), payload), e)
}

// refusesForeign wants each payload refused with want, and with nothing of it in the error.
func refusesForeign(t *testing.T, want error, payloads map[string]string) {
	t.Helper()
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := foreignFor(t, payload, nil)
			if !errors.Is(err, want) || !reflect.DeepEqual(got, tokens.Foreign{}) {
				t.Fatalf("got %+v, %v; want %v", got, err, want)
			}
			describes(t, err)
		})
	}
}

// claim puts another spelling in the place of one claim of foreignPayload.
func claim(t *testing.T, old string, others map[string]string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for name, other := range others {
		out[old+" "+name] = with(t, foreignPayload, old, other)
	}
	return out
}

// The issuer is compared byte by byte (CVE-2024-5037): no slash, case, port or path makes another one it.
func TestForeignIssuerIsExact(t *testing.T) {
	t.Parallel()
	refusesForeign(t, tokens.ErrClaims, claim(t, `"iss":"https://corp.test/realms/a"`, map[string]string{
		"slash": `"iss":"https://corp.test/realms/a/"`, "case": `"iss":"https://Corp.test/realms/a"`, "port": `"iss":"https://corp.test:443/realms/a"`,
		"http": `"iss":"http://corp.test/realms/a"`, "path": `"iss":"https://corp.test/realms/ab"`, "prefix": `"iss":"https://corp.test/realms"`, "array": `"iss":["https://corp.test/realms/a"]`,
		"number": `"iss":1`, "null": `"iss":null`, "empty": `"iss":""`, "other name": `"Iss":"https://corp.test/realms/a"`, "dot": `"iss":"https://corp.test/realms/./a"`,
		"punycode": `"iss":"https://xn--corp-.test/realms/a"`, "space": `"iss":"https://corp.test/realms/a "`,
	}))
	refusesForeign(t, tokens.ErrClaims, map[string]string{"none": with(t, foreignPayload, `"iss":"https://corp.test/realms/a",`, ``)})
}

func TestForeignAudience(t *testing.T) {
	t.Parallel()
	refusesForeign(t, tokens.ErrClaims, claim(t, `"aud":["account","https://api.acme.test"]`, map[string]string{
		"another": `"aud":"account"`, "slash": `"aud":"https://api.acme.test/"`, "case": `"aud":"https://API.acme.test"`, "prefix": `"aud":"https://api.acme"`, "none in it": `"aud":[]`, "null": `"aud":null`,
		"object": `"aud":{"https://api.acme.test":1}`, "array with a number": `"aud":["https://api.acme.test",1]`, "joined": `"aud":"account https://api.acme.test"`, "nested": `"aud":[["https://api.acme.test"]]`,
	}))
	refusesForeign(t, tokens.ErrClaims, map[string]string{"none": with(t, foreignPayload, `"aud":["account","https://api.acme.test"],`, ``)})
	if _, err := foreignFor(t, with(t, foreignPayload, `["account","https://api.acme.test"]`, `"https://api.acme.test"`), nil); err != nil {
		t.Errorf("as a string: %v", err)
	}
}

// A token counts only for the client that it names: each of azp and client_id that is there.
func TestForeignClient(t *testing.T) {
	t.Parallel()
	refusesForeign(t, tokens.ErrClaims, claim(t, `"azp":"crm"`, map[string]string{
		"another": `"azp":"shop"`, "case": `"azp":"CRM"`, "array": `"azp":["crm"]`, "empty": `"azp":""`, "null": `"azp":null`, "client_id another": `"azp":"crm","client_id":"shop"`,
		"azp another": `"azp":"shop","client_id":"crm"`, "in disguise": `"AZP":"crm"`, "none": `"cid":"crm"`,
	}))
	for name, other := range map[string]string{"client_id": `"client_id":"crm"`, "both": `"azp":"crm","client_id":"crm"`, "two that count": `"azp":"crm-2"`} {
		if _, err := foreignFor(t, with(t, foreignPayload, `"azp":"crm"`, other), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cid := func(e *tokens.ExpectForeign) { e.ClientClaim = "cid" }
	if f, err := foreignFor(t, with(t, foreignPayload, `"azp":"crm"`, `"azp":"any","cid":"crm-2"`), cid); err != nil || f.Client != "crm-2" {
		t.Errorf("by a claim of its own: got %q, %v", f.Client, err)
	}
	if _, err := foreignFor(t, foreignPayload, cid); !errors.Is(err, tokens.ErrClaims) {
		t.Errorf("without the claim of its own: %v", err)
	}
}

func TestForeignTimes(t *testing.T) {
	t.Parallel()
	iat, exp := `"iat":1800000000`, `"exp":1800000660`
	refused := claim(t, exp, map[string]string{
		"null": `"exp":null`, "a string": `"exp":"1800000660"`, "huge": `"exp":1e300`, "beyond a float": `"exp":1e400`, "negative": `"exp":-1800000660`, "an array": `"exp":[1800000660]`, "true": `"exp":true`, "in disguise": `"EXP":1800000660`,
	})
	for name, p := range claim(t, iat, map[string]string{
		"null": `"iat":null`, "a string": `"iat":"1800000000"`, "ahead": `"iat":1800000121`, "too old": `"iat":1799999759`, "huge": `"iat":1e300`,
		"nbf ahead": `"iat":1800000000,"nbf":1800000121`, "nbf a string": `"iat":1800000000,"nbf":"0"`,
	}) {
		refused[name] = p
	}
	refused["no exp"], refused["no iat"] = with(t, foreignPayload, exp+`,`, ``), with(t, foreignPayload, iat+`,`, ``)
	malformed := map[string]string{"beyond a float": refused[exp+" beyond a float"]}
	delete(refused, exp+" beyond a float")
	refusesForeign(t, tokens.ErrClaims, refused)
	refusesForeign(t, tokens.ErrMalformed, malformed)
	refusesForeign(t, tokens.ErrExpired, claim(t, exp, map[string]string{"over": `"exp":1800000059`, "now": `"exp":1800000060`})) // no leeway
	for name, p := range map[string]string{
		"iat a minute ahead": with(t, foreignPayload, iat, `"iat":1800000120`), "nbf a minute ahead": with(t, foreignPayload, iat, `"iat":1800000000,"nbf":1800000120`),
		"iat five minutes ago": with(t, foreignPayload, iat, `"iat":1799999760`), "a second left": with(t, foreignPayload, exp, `"exp":1800000061`),
	} {
		if _, err := foreignFor(t, p, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A shorter age holds, a longer one than MaxForeignAge does not.
	for age, old := range map[time.Duration]string{59 * time.Second: foreignPayload, time.Hour: refused[iat+" too old"]} {
		if _, err := foreignFor(t, old, func(e *tokens.ExpectForeign) { e.MaxAge = age }); !errors.Is(err, tokens.ErrClaims) {
			t.Errorf("at most %s old: got %v", age, err)
		}
	}
}

func TestForeignSubjectAndID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	refusesForeign(t, tokens.ErrClaims, claim(t, `"sub":"f-17"`, map[string]string{"empty": `"sub":""`, "null": `"sub":null`, "array": `"sub":["f-17"]`, "long": `"sub":"` + long + `"`, "NUL": `"sub":"f\u0000"`, "none": `"x":1`}))
	refusesForeign(t, tokens.ErrClaims, claim(t, `"jti":"ft_1"`, map[string]string{"empty": `"jti":""`, "null": `"jti":null`, "array": `"jti":["ft_1"]`, "long": `"jti":"` + long + `"`, "none": `"x":1`}))
	const bound = `"cnf":{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`
	f, err := foreignFor(t, with(t, foreignPayload, `"jti":"ft_1"`, bound), nil)
	if err != nil || f.ID != "" || f.Key != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("bound to a key: got %+v, %v", plain(f), err)
	}
	uti := func(e *tokens.ExpectForeign) { e.IDClaim = "uti" }
	if f, err := foreignFor(t, with(t, foreignPayload, `"jti":"ft_1"`, `"uti":"u-1"`), uti); err != nil || f.ID != "u-1" {
		t.Errorf("by a claim of its own: got %q, %v", f.ID, err)
	}
	if _, err := foreignFor(t, foreignPayload, uti); !errors.Is(err, tokens.ErrClaims) {
		t.Errorf("without the claim of its own: got %v", err)
	}
	for name, other := range map[string]string{"empty": `"cnf":{}`, "null": `"cnf":null`, "a certificate's": `"cnf":{"x5t#S256":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`,
		"both": `"cnf":{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","x5t#S256":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`} {
		if _, err := foreignFor(t, with(t, foreignPayload, `"jti":"ft_1"`, `"jti":"ft_1",`+other), nil); !errors.Is(err, tokens.ErrClaims) {
			t.Errorf("cnf %s: got %v", name, err)
		}
	}
}

// Another kind of JWT of the same issuer, rightly signed, is no access token; nor is one that says that somebody acts.
func TestForeignKind(t *testing.T) {
	t.Parallel()
	k := clientKey()
	e := expectForeign(t, k)
	for typ, ok := range map[string]bool{
		"at+jwt": true, "AT+JWT": true, "application/at+jwt": true, "JWT": true, "jwt": true, "logout+jwt": false, "dpop+jwt": false, "client-authentication+jwt": false, "secevent+jwt": false,
		"id_token+jwt": false, "JOSE": false, "at+jwt ": false, "application/application/jwt": false,
	} {
		header := with(t, foreignHeader(k), `"typ":"at+jwt"`, `"typ":"`+typ+`"`)
		if _, err := tokens.VerifyForeign(compact(t, k, header, foreignPayload), e); (err == nil) != ok || err != nil && !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("typ %q: got %v", typ, err)
		}
	}
	if _, err := tokens.VerifyForeign(compact(t, k, `{"alg":"ES256"}`, foreignPayload), e); err != nil {
		t.Errorf("without typ and kid: %v", err)
	}
	for _, member := range []string{
		`"act":{"sub":"x"}`, `"act":null`, `"act":{}`, `"nonce":"n"`, `"at_hash":"h"`, `"c_hash":"h"`, `"s_hash":"h"`, `"events":{"http://schemas.openid.net/event/backchannel-logout":{}}`, `"typ":"ID"`, `"typ":"Refresh"`,
		`"typ":"Logout"`, `"ACT":{"sub":"x"}`, `"sub":"other"`, `"\u0073ub":"other"`, `"ſub":"other"`,
	} {
		if _, err := foreignFor(t, extend(foreignPayload, member), nil); !errors.Is(err, tokens.ErrClaims) && !errors.Is(err, tokens.ErrMalformed) {
			t.Errorf("%s: got %v", member, err)
		}
	}
	if _, err := foreignFor(t, extend(foreignPayload, `"typ":"Bearer"`), nil); err != nil {
		t.Errorf("a typ that is an access token's: %v", err)
	}
}

// Only the algorithms of the issuer's own list verify, whatever its keys could do (CVE-2026-11800).
func TestForeignAlgorithms(t *testing.T) {
	t.Parallel()
	for algorithm, k := range clientKeys() {
		token := compact(t, k, foreignHeader(k), foreignPayload)
		for _, allowed := range [][]string{nil, {tokens.ES256}, {tokens.EdDSA, tokens.RS256}} {
			e := expectForeign(t, k)
			e.Algorithms = allowed
			_, err := tokens.VerifyForeign(token, e)
			if want := strings.Contains(strings.Join(allowed, " "), algorithm); (err == nil) != want || err != nil && !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("%s where %v may sign: got %v", algorithm, allowed, err)
			}
		}
	}
}

// An expectation that was not filled in matches nothing.
func TestForeignExpectationUnset(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*tokens.ExpectForeign){
		"issuer": func(e *tokens.ExpectForeign) { e.Issuer = "" }, "audience": func(e *tokens.ExpectForeign) { e.Audience = "" }, "clients": func(e *tokens.ExpectForeign) { e.Clients = nil },
		"algorithms": func(e *tokens.ExpectForeign) { e.Algorithms = nil }, "keys": func(e *tokens.ExpectForeign) { e.Keys = nil }, "age": func(e *tokens.ExpectForeign) { e.MaxAge = 0 },
	} {
		if _, err := foreignFor(t, foreignPayload, change); err == nil {
			t.Errorf("without %s: got no error", name)
		}
	}
}

func TestForeignScope(t *testing.T) {
	t.Parallel()
	for spelled, want := range map[string]string{
		`"scope":"b a"`: "[a b]", `"scope":""`: "[]", `"scp":"b a"`: "[a b]", `"scp":["b","a"]`: "[b a]", `"scp":[]`: "[]", `"scope":"a","scp":["b"]`: "[a]", `"x":1`: "[]",
	} {
		if f, err := foreignFor(t, with(t, foreignPayload, `"scope":"openid act-as"`, spelled), nil); err != nil || fmt.Sprint(f.Scope) != want {
			t.Errorf("%s: got %v, %v; want %s", spelled, f.Scope, err, want)
		}
	}
	refusesForeign(t, tokens.ErrClaims, claim(t, `"scope":"openid act-as"`, map[string]string{"array": `"scope":["act-as"]`, "null": `"scope":null`, "scp null": `"scp":null`, "scp numbers": `"scp":[1]`, "tab": `"scope":"a\tb"`}))
}

// What VerifyForeign accepts is what the one who expects it said, and others read it alike.
func FuzzForeign(f *testing.F) {
	k := clientKey()
	for _, payload := range []string{
		foreignPayload, strings.Replace(foreignPayload, `"azp"`, `"client_id"`, 1), strings.Replace(foreignPayload, `1800000660`, `1.80000066e9`, 1), strings.Replace(foreignPayload, `"sub"`, `"SUB":"x","sub"`, 1),
		strings.Replace(foreignPayload, `"jti":"ft_1"`, `"cnf":{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`, 1), strings.Replace(foreignPayload, `"scope":"openid act-as"`, `"scp":["act-as"],"typ":"Bearer"`, 1),
		extend(foreignPayload, `"act":{"sub":"x"}`), extend(foreignPayload, `"nbf":1e300`), `{}`, `[]`,
	} {
		f.Add(foreignHeader(k), payload)
	}
	for _, header := range []string{`{"alg":"none"}`, `{"alg":"ES256","typ":"logout+jwt"}`, `{"alg":"ES256","cty":"JWT"}`, `{"alg":"ES256","typ":"JWT","x":1}`} {
		f.Add(header, foreignPayload)
	}
	expect := expectForeign(f, k)
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := compact(t, k, header, payload)
		got, err := tokens.VerifyForeign(token, expect)
		issuer, _, peekErr := tokens.ForeignIssuer(token)
		if err != nil {
			if !reflect.DeepEqual(got, tokens.Foreign{}) {
				t.Fatalf("%+v with an error", got)
			}
			return
		}
		if peekErr != nil || issuer != expect.Issuer {
			t.Fatalf("ForeignIssuer gives %q, %v", issuer, peekErr)
		}
		if got.Issuer != expect.Issuer || got.Subject == "" || got.ID == "" && got.Key == "" || !expect.Now.Before(got.Expires) || expect.Now.Sub(got.IssuedAt) > expect.MaxAge {
			t.Fatalf("took %+v", plain(got))
		}
		c := jwt.MapClaims{}
		if _, err := trusting.ParseWithClaims(compact(t, k, `{"alg":"ES256"}`, payload), c, keyFunc(k)); err != nil {
			t.Fatalf("golang-jwt does not read it: %v", err)
		}
		sub, _ := c.GetSubject()
		var fold struct{ Sub, Iss, Act any }
		if err := json.Unmarshal([]byte(payload), &fold); err != nil || fold.Act != nil || fold.Sub != got.Subject || sub != got.Subject || fold.Iss != got.Issuer {
			t.Fatalf("others read %+v, %q, %v; we read %+v", fold, sub, err, plain(got))
		}
	})
}
