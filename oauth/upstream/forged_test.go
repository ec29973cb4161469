package upstream_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/upstream"
)

// forgery is an ID token, or logout token, that must be refused.
type forgery struct {
	name, token string
	want        error
}

// outsides forges what is around the claims: header, key and form. claims are good ones, typ that of the kind.
func (f *fake) outsides(typ string, claims map[string]any) (all []forgery) {
	k, payload := f.signer(), string(marshal(f.t, claims))
	header := func(members string) string {
		return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q%s}`, k.alg, k.ID, typ, members)
	}
	good := compact(f.t, k, header(""), payload)
	parts := strings.Split(good, ".")
	add := func(name, token string) { all = append(all, forgery{name, token, upstream.ErrAnswer}) }

	add("alg none", b64([]byte(`{"alg":"none"}`))+"."+parts[1]+".")
	add("alg None", b64([]byte(`{"alg":"None"}`))+"."+parts[1]+".")
	add("alg none with the signature", b64([]byte(`{"alg":"none"}`))+"."+parts[1]+"."+parts[2])
	add("no alg", compact(f.t, k, `{}`, payload))
	add("HS256 with the public key", hs256(jwks(f.t, k), `{"alg":"HS256"}`, payload))
	add("HS256 with the public key in PEM", hs256(publicPEM(f.t, k), `{"alg":"HS256"}`, payload))
	add("HS256 with the client secret", hs256([]byte(secret), `{"alg":"HS256"}`, payload))
	add("HS256 with nothing", hs256(nil, `{"alg":"HS256","kid":""}`, payload))
	add("alg of another key", compact(f.t, k, strings.Replace(header(""), k.alg, "RS256", 1), payload))
	add("alg PS256", compact(f.t, k, strings.Replace(header(""), k.alg, "PS256", 1), payload))
	stranger := newKey(f.t, k.alg)
	add("a stranger's key", compact(f.t, stranger, header(""), payload))
	add("a stranger's key under its own kid", compact(f.t, stranger, strings.Replace(header(""), k.ID, stranger.ID, 1), payload))
	add("a stranger's key without kid", compact(f.t, stranger, `{"alg":"ES256"}`, payload))
	add("a stranger's key in jwk", compact(f.t, stranger, header(`,"jwk":`+string(jwkOf(f.t, stranger))), payload))
	add("a good one with jwk", compact(f.t, k, header(`,"jwk":`+string(jwkOf(f.t, k))), payload))
	add("jku", compact(f.t, k, header(`,"jku":"https://evil.test/keys"`), payload))
	add("x5u", compact(f.t, k, header(`,"x5u":"https://evil.test/cert"`), payload))
	add("crit", compact(f.t, k, header(`,"crit":["exp"],"exp":1`), payload))
	add("b64", compact(f.t, k, header(`,"b64":false`), payload))
	add("zip", compact(f.t, k, header(`,"zip":"DEF"`), payload))
	add("nested", compact(f.t, k, header(`,"cty":"JWT"`), good))
	add("two kids", compact(f.t, k, header(`,"kid":"x"`), payload))
	add("an empty kid", compact(f.t, k, strings.Replace(header(""), k.ID, "", 1), payload))
	add("a kid of 1 KiB", compact(f.t, k, strings.Replace(header(""), k.ID, strings.Repeat("k", 1024), 1), payload))
	for _, other := range []string{"at+jwt", "application/at+jwt", "dpop+jwt", "client-authentication+jwt", "secevent+jwt"} {
		add("typ "+other, compact(f.t, k, strings.Replace(header(""), typ, other, 1), payload))
	}
	add("one bit of the signature", parts[0]+"."+parts[1]+"."+flip(parts[2]))
	add("no signature", parts[0]+"."+parts[1]+".")
	add("one bit of the claims", parts[0]+"."+flip(parts[1])+"."+parts[2])
	add("padding", good+"=")
	add("a line break", good[:40]+"\n"+good[40:])
	add("two parts", parts[0]+"."+parts[1])
	add("five parts", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AA.AA.AA")
	add("JSON form", `{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`)
	add("nothing", "")
	add("claims an array", compact(f.t, k, header(""), `[`+payload+`]`))
	add("claims null", compact(f.t, k, header(""), `null`))
	add("claims no JSON", compact(f.t, k, header(""), payload[1:]))
	add("claims deep", compact(f.t, k, header(""), `{"x":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`,`+payload[1:]))
	for name, member := range map[string]string{"sub twice": `"sub":"admin"`, "SUB too": `"SUB":"admin"`, "iss twice": `"iss":"x"`, "Nonce too": `"Nonce":"x"`, "ſub too": `"ſub":"admin"`} {
		add(name, compact(f.t, k, header(""), `{`+member+`,`+payload[1:]))
		add(name+", last", compact(f.t, k, header(""), payload[:len(payload)-1]+`,`+member+`}`))
	}
	return append(all, forgery{"huge", compact(f.t, k, header(""), `{"x":"`+strings.Repeat("x", 100<<10)+`",`+payload[1:]), upstream.ErrAnswer})
}

// insides forges claims that an ID token and a logout token have both.
func (f *fake) insides(sign func(changes map[string]any) string) (all []forgery) {
	for name, c := range map[string]struct {
		claim string
		value any
		want  error
	}{
		"no iss":                  {"iss", nil, upstream.ErrAnswer},
		"another iss":             {"iss", "https://other.test", upstream.ErrAnswer},
		"iss with a slash":        {"iss", f.url + "/", upstream.ErrAnswer},
		"iss in upper case":       {"iss", strings.ToUpper(f.url), upstream.ErrAnswer},
		"iss with a port":         {"iss", f.url + ":443", upstream.ErrAnswer},
		"iss a number":            {"iss", 1, upstream.ErrDocument},
		"iss an array":            {"iss", []string{f.url}, upstream.ErrDocument},
		"no aud":                  {"aud", nil, upstream.ErrAnswer},
		"another aud":             {"aud", "another", upstream.ErrAnswer},
		"aud a prefix":            {"aud", clientID + "2", upstream.ErrAnswer},
		"aud in upper case":       {"aud", strings.ToUpper(clientID), upstream.ErrAnswer},
		"aud empty":               {"aud", []string{}, upstream.ErrAnswer},
		"aud of numbers":          {"aud", []any{clientID, 1}, upstream.ErrDocument},
		"aud an object":           {"aud", map[string]string{"x": clientID}, upstream.ErrDocument},
		"several aud without azp": {"aud", []string{clientID, "another"}, upstream.ErrAnswer},
		"another azp":             {"azp", "another", upstream.ErrAnswer},
		"azp empty":               {"azp", "", upstream.ErrAnswer},
		"azp a number":            {"azp", 7, upstream.ErrDocument},
		"no exp":                  {"exp", nil, upstream.ErrAnswer},
		"exp null":                {"exp", noValue{}, upstream.ErrAnswer},
		"exp over":                {"exp", f.seconds(-time.Second), upstream.ErrAnswer},
		"exp a string":            {"exp", fmt.Sprint(f.seconds(time.Minute)), upstream.ErrDocument},
		"exp 1e300":               {"exp", 1e300, upstream.ErrDocument},
		"exp negative":            {"exp", -1, upstream.ErrDocument},
		"no iat":                  {"iat", nil, upstream.ErrAnswer},
		"iat a string":            {"iat", "now", upstream.ErrDocument},
		"iat ahead":               {"iat", f.seconds(2 * time.Minute), upstream.ErrAnswer},
		"iat eleven minutes ago":  {"iat", f.seconds(-11 * time.Minute), upstream.ErrAnswer},
		"nbf ahead":               {"nbf", f.seconds(2 * time.Minute), upstream.ErrAnswer},
		"sub a number":            {"sub", 7, upstream.ErrDocument},
		"sid an object":           {"sid", map[string]any{}, upstream.ErrDocument},
		"sid far too long":        {"sid", strings.Repeat("s", 257), upstream.ErrDocument},
		"sid with a NUL":          {"sid", "a\x00b", upstream.ErrDocument},
	} {
		all = append(all, forgery{name, sign(map[string]any{c.claim: c.value}), c.want})
	}
	return all
}

// noValue is null in JSON, which with does not take for "no such member".
type noValue struct{}

func (noValue) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// TestForgedIDTokens: nothing but what the issuer signed for this request, now and for us, says who signed in.
//
// Covers RFC8725-3.12-01.
func TestForgedIDTokens(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(func(c *upstream.Config) { c.GroupsClaim, c.RolesClaim, c.OrganisationClaim = "groups", "roles", "org" })
	f.userinfo(map[string]any{"sub": "ann-there"})
	r := request()
	sign := func(changes map[string]any) string { return f.idToken(r, changes) }
	all := append(f.outsides("JWT", f.honest(r)), f.insides(sign)...)
	for name, c := range map[string]struct {
		changes map[string]any
		want    error
	}{
		"iat six minutes ago":        {map[string]any{"iat": f.seconds(-6 * time.Minute)}, upstream.ErrAnswer},
		"no nonce":                   {map[string]any{"nonce": nil}, upstream.ErrAnswer},
		"an empty nonce":             {map[string]any{"nonce": ""}, upstream.ErrAnswer},
		"another request's nonce":    {map[string]any{"nonce": request().Nonce}, upstream.ErrAnswer},
		"nonce an array":             {map[string]any{"nonce": []string{r.Nonce}}, upstream.ErrDocument},
		"no sub":                     {map[string]any{"sub": nil}, upstream.ErrDocument},
		"an empty sub":               {map[string]any{"sub": ""}, upstream.ErrDocument},
		"a sub of 256 bytes":         {map[string]any{"sub": strings.Repeat("a", 256)}, upstream.ErrDocument},
		"a sub beyond ASCII":         {map[string]any{"sub": "änn"}, upstream.ErrDocument},
		"a sub with a line break":    {map[string]any{"sub": "ann\nbob"}, upstream.ErrDocument},
		"another at_hash":            {map[string]any{"at_hash": atHash("ES256", "another")}, upstream.ErrAnswer},
		"at_hash of another length":  {map[string]any{"at_hash": b64([]byte("x"))}, upstream.ErrAnswer},
		"auth_time ahead":            {map[string]any{"auth_time": f.seconds(2 * time.Minute)}, upstream.ErrAnswer},
		"auth_time a string":         {map[string]any{"auth_time": "now"}, upstream.ErrDocument},
		"email a list":               {map[string]any{"email": []string{"ann@acme.test"}}, upstream.ErrDocument},
		"email far too long":         {map[string]any{"email": strings.Repeat("a", 400) + "@acme.test"}, upstream.ErrDocument},
		"email_verified in capitals": {map[string]any{"email_verified": "TRUE"}, upstream.ErrDocument},
		"email_verified yes":         {map[string]any{"email_verified": "yes"}, upstream.ErrDocument},
		"email_verified empty":       {map[string]any{"email_verified": ""}, upstream.ErrDocument},
		"email_verified a number":    {map[string]any{"email_verified": 1}, upstream.ErrDocument},
		"name an object":             {map[string]any{"name": map[string]any{"x": 1}}, upstream.ErrDocument},
		"name with controls":         {map[string]any{"name": "Ann\u0000\u001b[31m"}, upstream.ErrDocument},
		"amr an object":              {map[string]any{"amr": map[string]any{}}, upstream.ErrDocument},
		"amr of 33":                  {map[string]any{"amr": strings.Split(strings.Repeat("x,", 32)+"x", ",")}, upstream.ErrDocument},
		"acr a number":               {map[string]any{"acr": 2}, upstream.ErrDocument},
		"groups an object":           {map[string]any{"groups": map[string]bool{"admin": true}}, upstream.ErrDocument},
		"groups of numbers":          {map[string]any{"groups": []int{1}}, upstream.ErrDocument},
		"groups of groups":           {map[string]any{"groups": [][]string{{"a"}}}, upstream.ErrDocument},
		"an empty group":             {map[string]any{"groups": []string{""}}, upstream.ErrDocument},
		"1001 groups":                {map[string]any{"groups": strings.Split(strings.Repeat("x,", 1000)+"x", ",")}, upstream.ErrDocument},
		"a group of 257 bytes":       {map[string]any{"groups": []string{strings.Repeat("g", 257)}}, upstream.ErrDocument},
		"roles true":                 {map[string]any{"roles": true}, upstream.ErrDocument},
		"organisation a list":        {map[string]any{"org": []string{"acme"}}, upstream.ErrDocument},
		"groups elsewhere":           {map[string]any{"_claim_names": map[string]string{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.test"}}}, upstream.ErrDocument},
		"elsewhere without a source": {map[string]any{"_claim_names": map[string]string{"x": "src1"}}, upstream.ErrAnswer},
		"a logout token's events":    {map[string]any{"nonce": nil, "events": map[string]any{logoutEvent: map[string]any{}}}, upstream.ErrAnswer},
	} {
		all = append(all, forgery{name, sign(c.changes), c.want})
	}
	if len(all) < 90 {
		t.Fatalf("%d forgeries; the table is broken", len(all))
	}
	for _, c := range all {
		got, err := f.redeem(p, r, c.token)
		if !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
			continue
		}
		shows(t, c.name, err)
		if _, err := f.redeem(p, r, sign(nil)); err != nil {
			t.Fatalf("the good one, after %s: %v", c.name, err)
		}
	}
	if n := f.asked(keysPath); n > 2 {
		t.Errorf("the keys were asked for %d times", n)
	}
}

// shows wants an error that shows nothing of what was sent.
func shows(t *testing.T, name string, err error) {
	t.Helper()
	for _, mark := range []string{"test", "http", "<", "\n", "\x00", "ann-there", "acme", "eyJ"} {
		if strings.Contains(err.Error(), mark) {
			t.Errorf("%s: %q shows %q", name, err, mark)
		}
	}
	if len(err.Error()) > 300 {
		t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
	}
}

// What is good in another form is still taken.
func TestGoodIDTokens(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(nil)
	for name, changes := range map[string]map[string]any{
		"aud an array":          {"aud": []string{clientID}},
		"several aud and azp":   {"aud": []string{"another", clientID}, "azp": clientID},
		"no at_hash":            {"at_hash": nil},
		"a clock a bit ahead":   {"iat": f.seconds(30 * time.Second), "nbf": f.seconds(30 * time.Second), "auth_time": f.seconds(30 * time.Second)},
		"exp with a fraction":   {"exp": float64(f.seconds(time.Minute)) + 0.5},
		"no sid, acr, amr":      {"sid": nil, "acr": nil, "amr": nil, "auth_time": nil},
		"claims nobody knows":   {"x": map[string]any{"y": []any{1, "2", nil}}},
		"not verified":          {"email_verified": false},
		"name with an umlaut":   {"name": "Änn Ådmin"},
		"groups nobody asked":   {"groups": 7},
		"a token of many bytes": {"x": strings.Repeat("x", 20<<10)},
	} {
		r := request()
		got, err := f.redeem(p, r, f.idToken(r, changes))
		if err != nil || got.Subject != "ann-there" {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	r := request()
	for name, header := range map[string]map[string]any{"no typ": nil, "no kid": {"kid": nil}, "typ jwt": {"typ": "jwt"}, "a full typ": {"typ": "application/JWT"}} {
		if _, err := f.redeem(p, r, jwt(t, f.signer(), header, f.honest(r))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An algorithm that the configuration does not name is refused though the issuer has a key for it.
//
// Covers RFC8725-3.1-01.
func TestAlgorithmsArePinned(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	es, rs := newKey(t, "ES256"), newKey(t, "RS256")
	f.publish(es, rs)
	f.change("id_token_signing_alg_values_supported", []string{"RS256", "ES256", "HS256", "none"})
	p := f.provider(func(c *upstream.Config) { c.Algorithms = []string{"RS256"} })
	r := request()
	claims := with(f.honest(r), map[string]any{"at_hash": nil})
	if _, err := f.redeem(p, r, jwt(t, rs, nil, claims)); err != nil {
		t.Errorf("RS256: %v", err)
	}
	if _, err := f.redeem(p, r, jwt(t, es, nil, claims)); !errors.Is(err, upstream.ErrAnswer) {
		t.Errorf("ES256: got %v; want ErrAnswer", err)
	}
}

// TestMaxAge (OpenID Connect Core §3.1.3.7): who signed in longer ago than was asked is refused, and so is an issuer that does not say when.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(nil)
	for name, c := range map[string]struct {
		asked, ago time.Duration // of the request, and of the sign-in; negative: the token does not say
		max        time.Duration
		ok         bool
	}{
		"fresh":                         {0, 10 * time.Second, 5 * time.Minute, true},
		"not asked":                     {0, time.Hour, -1, true},
		"not asked, not said":           {0, -1, -1, true},
		"not said":                      {0, -1, 5 * time.Minute, false},
		"not said, for a fresh one":     {0, -1, 0, false},
		"too long ago":                  {0, 7 * time.Minute, 5 * time.Minute, false},
		"long ago, for a fresh one":     {0, 2 * time.Minute, 0, false},
		"fresh, and then a long form":   {10 * time.Minute, 9 * time.Minute, 0, true},
		"before the request":            {10 * time.Minute, 12 * time.Minute, 0, false},
		"before the request, but young": {10 * time.Minute, 12 * time.Minute, 5 * time.Minute, true},
	} {
		r := request()
		r.MaxAge = c.max
		if c.asked > 0 {
			r.Asked = f.clk.now().Add(-c.asked)
		}
		changes := map[string]any{"auth_time": f.seconds(-c.ago)}
		if c.ago < 0 {
			changes["auth_time"] = nil
		}
		_, err := f.redeem(p, r, f.idToken(r, changes))
		if c.ok && err != nil || !c.ok && !errors.Is(err, upstream.ErrAnswer) {
			t.Errorf("%s: got %v; want it taken: %v", name, err, c.ok)
		}
	}
}

func publicPEM(t testing.TB, k key) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// jwkOf is the JWK alone.
func jwkOf(t testing.TB, k key) []byte {
	set := jwks(t, k)
	return set[len(`{"keys":[`) : len(set)-len(`]}`)]
}

// flip changes one bit in the middle of base64url.
func flip(part string) string {
	b, _ := base64.RawURLEncoding.DecodeString(part)
	b[len(b)/2] ^= 1
	return b64(b)
}
