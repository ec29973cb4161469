package tokens_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// reading is what somebody understood of a token.
type reading struct {
	Issuer, Subject, Audience, ID, Client string
	Expires                               int64
	Act                                   map[string]any
}

// structClaims is how most programs in Go read a token: encoding/json fills it, folding case, the last one winning.
type structClaims struct {
	jwt.RegisteredClaims
	Client string         `json:"client_id"`
	Act    map[string]any `json:"act"`
}

func audience(s []string) string {
	if len(s) != 1 {
		return ""
	}
	return s[0]
}

func readStruct(t *testing.T, token string, key tokens.Key) reading {
	var c structClaims
	if _, err := parser.ParseWithClaims(token, &c, keyFunc(key)); err != nil {
		t.Fatalf("golang-jwt with a struct refuses it: %v", err)
	}
	return reading{c.Issuer, c.Subject, audience(c.Audience), c.ID, c.Client, c.ExpiresAt.Unix(), c.Act}
}

func readMap(t *testing.T, token string, key tokens.Key) reading {
	c := jwt.MapClaims{}
	if _, err := parser.ParseWithClaims(token, c, keyFunc(key)); err != nil {
		t.Fatalf("golang-jwt with a map refuses it: %v", err)
	}
	text := func(name string) string { s, _ := c[name].(string); return s }
	act, _ := c["act"].(map[string]any)
	exp, _ := c["exp"].(float64)
	return reading{text("iss"), text("sub"), text("aud"), text("jti"), text("client_id"), int64(exp), act}
}

func readJose(t *testing.T, token string, key tokens.Key) reading {
	parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("go-jose refuses it: %v", err)
	}
	var c josejwt.Claims
	var own struct {
		Client string         `json:"client_id"`
		Act    map[string]any `json:"act"`
	}
	if err := parsed.Claims(&key.Private().PublicKey, &c, &own); err != nil {
		t.Fatalf("go-jose refuses it: %v", err)
	}
	return reading{c.Issuer, c.Subject, audience(c.Audience), c.ID, own.Client, c.Expiry.Time().Unix(), own.Act}
}

var parser = jwt.NewParser(jwt.WithTimeFunc(func() time.Time { return now }))

func keyFunc(key tokens.Key) jwt.Keyfunc {
	return func(*jwt.Token) (any, error) { return &key.Private().PublicKey, nil }
}

func readOurs(c tokens.Claims) reading {
	r := reading{c.Issuer, c.Subject, c.Audience, c.ID, c.ClientID, c.Expires.Unix(), nil}
	if c.Act != nil {
		r.Act = map[string]any{"iss": c.Act.Issuer, "sub": c.Act.Subject}
		if c.ActKind != "" {
			r.Act["sub_profile"] = string(c.ActKind)
		}
	}
	return r
}

// What Verify accepts, the libraries that resource servers use read alike.
func FuzzVerifyAgreesWithOthers(f *testing.F) {
	f.Add(payload)
	for _, v := range vectors(f) {
		f.Add(v.payload)
	}
	f.Add(swap(f, `"sub":"user-42"`, `"sub":"user-42","SUB":"admin-17"`))
	f.Add(swap(f, `"sub":"user-42"`, `"sub":"user-42","ſub":"admin-17"`))
	f.Add(swap(f, `"sub":"user-42"`, `"sub":"user-42","sub":"admin-17"`))
	f.Add(swap(f, `"sub":"user-42"`, `"\u0073ub":"user\u002d\ud83d\ude00" , "x":[{"y":1e9}]`))
	f.Add(swap(f, `"exp":1800000600`, `"exp":1099511627775`))
	f.Add(swap(f, `"sub":"admin-17"`, `"sub":"admin-17","sub_profile":"ai_agent"`))
	key := newKey(f)
	set := newKeySet(f, key)
	f.Fuzz(func(t *testing.T, payload string) {
		token := forge(t, key, header(key), payload)
		claims, err := set.Verify(token, expect)
		if err != nil {
			return
		}
		want := readOurs(claims)
		for name, read := range map[string]func(*testing.T, string, tokens.Key) reading{
			"golang-jwt with a struct": readStruct, "golang-jwt with a map": readMap, "go-jose": readJose,
		} {
			if diff := cmp.Diff(want, read(t, token, key)); diff != "" {
				t.Errorf("%s reads it otherwise (-ours +theirs):\n%s", name, diff)
			}
		}
	})
}

// What the strict reader accepts is an object that survives encoding/json unchanged, however it is read.
func FuzzParseObject(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.payload)
	}
	for _, s := range []string{`{}`, ` { } `, `{"a":[]}`, `{"a":[1,"\"",{}],"b":-0.1e+9}`, `{"a":"\\"}`, `[1]`, `"`, `{"a":1,"A":2}`, `{"a":"\ud800"}`, `{"a":1e400}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ours, err := tokens.ParseObject([]byte(s))
		if err != nil {
			return
		}
		var first, second map[string]any
		if err := json.Unmarshal([]byte(s), &first); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if diff := cmp.Diff(first, ours); diff != "" {
			t.Fatalf("read otherwise than by encoding/json (-it +ours):\n%s", diff)
		}
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.ParseObject(again); err != nil {
			t.Fatalf("refused after a round trip: %v", err)
		}
		if err := json.Unmarshal(again, &second); err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%v: %v became %v", err, first, second)
		}
	})
}
