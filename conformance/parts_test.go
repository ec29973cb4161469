package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/conformance/internal/jws"
)

// TestTOTP is RFC 6238 appendix B, the last six digits.
func TestTOTP(t *testing.T) {
	t.Parallel()
	key, err := totpKey("gezd gnbv gy3t qojq gezd gnbv gy3t qojq")
	if err != nil || string(key) != "12345678901234567890" {
		t.Fatalf("%q, %v", key, err)
	}
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"} {
		if got := totp(key, at/30); got != want {
			t.Errorf("at %d: %s; want %s", at, got, want)
		}
	}
}

// TestS256 is RFC 7636 appendix B.
func TestS256(t *testing.T) {
	t.Parallel()
	if got := s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Error(got)
	}
}

// signer is a key that signs, and how it is published.
type signer struct {
	key
	sign func(signed string) []byte
}

func signers(t *testing.T) map[string]signer {
	t.Helper()
	sum := func(s string) []byte { b := sha256.Sum256([]byte(s)); return b[:] }
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]signer{
		"ES256": {key{KeyType: "EC", Curve: "P-256", X: b64.EncodeToString(point[1:33]), Y: b64.EncodeToString(point[33:])}, func(s string) []byte {
			r, ss, _ := ecdsa.Sign(rand.Reader, ec, sum(s))
			return append(r.FillBytes(make([]byte, 32)), ss.FillBytes(make([]byte, 32))...)
		}},
		"RS256": {key{KeyType: "RSA", N: b64.EncodeToString(rs.N.Bytes()), E: b64.EncodeToString(big.NewInt(int64(rs.E)).Bytes())}, func(s string) []byte {
			out, _ := rsa.SignPKCS1v15(nil, rs, crypto.SHA256, sum(s))
			return out
		}},
		"EdDSA": {key{KeyType: "OKP", Curve: "Ed25519", X: b64.EncodeToString(public)}, func(s string) []byte { return ed25519.Sign(private, []byte(s)) }},
	}
}

// TestVerify: a lax verifier would let a server's faults pass.
func TestVerify(t *testing.T) {
	t.Parallel()
	all := signers(t)
	for alg, s := range all {
		s.ID, s.Use, s.Algorithm = "k1", "sig", alg
		keys := []key{s.key, {ID: "k2", KeyType: "EC", Use: "sig"}}
		issue := func(header, claims string) string {
			signed := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
			return signed + "." + b64.EncodeToString(s.sign(signed))
		}
		good := issue(`{"alg":"`+alg+`","kid":"k1"}`, `{"sub":"u","act":{"sub":"a"}}`)
		if got, err := verify(good, keys); err != nil || got.text("sub") != "u" {
			t.Errorf("%s: %v, %v", alg, got, err)
		}
		for name, token := range map[string]string{
			"another key's":    issue(`{"alg":"`+alg+`","kid":"k2"}`, `{}`),
			"no kid of two":    issue(`{"alg":"`+alg+`"}`, `{}`),
			"crit":             issue(`{"alg":"`+alg+`","kid":"k1","crit":["exp"]}`, `{}`),
			"a key of its own": issue(`{"alg":"`+alg+`","kid":"k1","jwk":{}}`, `{}`),
			"none":             issue(`{"alg":"none","kid":"k1"}`, `{}`),
			"a shared secret":  issue(`{"alg":"HS256","kid":"k1"}`, `{}`),
			"twice":            issue(`{"alg":"`+alg+`","kid":"k1"}`, `{"sub":"u","sub":"v"}`),
			"twice, within":    issue(`{"alg":"`+alg+`","kid":"k1"}`, `{"act":{"sub":"u","sub":"v"}}`),
			"more behind it":   issue(`{"alg":"`+alg+`","kid":"k1"}`, `{} {}`),
			"an array":         issue(`{"alg":"`+alg+`","kid":"k1"}`, `[]`),
			"null":             issue(`{"alg":"`+alg+`","kid":"k1"}`, `null`),
			"padded":           good + "=",
			"four parts":       good + ".",
			"no signature":     good[:strings.LastIndexByte(good, '.')+1],
		} {
			if _, err := verify(token, keys); err == nil {
				t.Errorf("%s: %s passes", alg, name)
			}
		}
		for _, token := range changed(good) {
			if _, err := verify(token, keys); err == nil {
				t.Errorf("%s: changed, and passes", alg)
			}
		}
		for other, o := range all {
			o.ID = "k1"
			if _, err := verify(good, []key{o.key}); other != alg && err == nil {
				t.Errorf("%s: passes with a key of %s", alg, other)
			}
		}
	}
}

// TestThumbprint is the key of RFC 9449 §4 and its jkt (§6.1).
func TestThumbprint(t *testing.T) {
	t.Parallel()
	k := &keyPair{public: map[string]any{"kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}}
	if got := k.thumbprint(); got != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" {
		t.Error(got)
	}
}

// TestEvidence: no secret is in it, and what tells it from others is.
func TestEvidence(t *testing.T) {
	t.Parallel()
	var k keeper
	k.add("a/secret+of the client")
	if s := k.text("x a/secret+of the client y a%2Fsecret%2Bof+the+client z"); strings.Contains(s, "secret") {
		t.Error(s)
	}
	u, err := url.Parse("https://app.test/cb?code=abcdefgh&state=st#access_token=ijklmnop")
	if err != nil {
		t.Fatal(err)
	}
	if s := k.url(u); strings.Contains(s, "abcdefgh") || strings.Contains(s, "ijklmnop") || !strings.Contains(s, "state=st") {
		t.Error(s)
	}
	jwt := b64.EncodeToString([]byte(`{"alg":"ES256"}`)) + "." + b64.EncodeToString([]byte(`{"sub":"u"}`)) + "." + strings.Repeat("s", 86)
	if s := k.form("subject_token=" + jwt + "&subject_token_type=" + url.QueryEscape(typeAccess)); strings.Contains(s, "sssss") || !strings.Contains(s, "eyJ") || !strings.Contains(s, "access_token") {
		t.Error(s)
	}
	lines := strings.Join(k.header(http.Header{
		"Authorization": {"Basic YWJjZGVmZ2g="}, "Cookie": {"a=abcdefgh; b=ijklmnop"}, "Set-Cookie": {"s=qrstuvwx; Path=/"}, "Location": {"/cb?ticket=yzabcdef"},
	}), "\n")
	for _, secret := range []string{"YWJj", "abcdefgh", "ijklmnop", "qrstuvwx", "yzabcdef"} {
		if strings.Contains(lines, secret) {
			t.Errorf("%s is in %s", secret, lines)
		}
	}
	if s := maskMembers(`{"access_token":"opaque-value","token_type":"Bearer","understudy_return_token": "another-value"}`); strings.Contains(s, "value") || !strings.Contains(s, "Bearer") {
		t.Error(s)
	}
	if s := k.text(strings.Repeat("a", 10_000)); len(s) > shown+50 {
		t.Errorf("%d bytes are shown", len(s))
	}
}

// TestRepeated finds a member that comes twice wherever it is.
func TestRepeated(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		`{"a":1,"b":2}`: "", `{"a":1,"a":2}`: "a", `{"a":{"b":1},"b":1}`: "", `{"x":[{"a":1},{"a":1}]}`: "", `{"x":[{"a":1,"a":1}]}`: "a",
		`{"a":"b","b":"a"}`: "", `{"a":["a","a"]}`: "", `{"a":1,"\u0061":2}`: "a",
	} {
		if got := jws.Repeated([]byte(s)); got != want {
			t.Errorf("%s: %q; want %q", s, got, want)
		}
	}
}

// TestForms reads a page as a browser would.
func TestForms(t *testing.T) {
	t.Parallel()
	at, err := url.Parse("https://op.test/sign-in?x=1")
	if err != nil {
		t.Fatal(err)
	}
	found := forms(`<form role=search action="/find"><input name=q></form><form method=post action="?next=%2F"><input type=hidden name=csrf value="a&amp;b">
		<input name=email type=email><input name=password type=password><label><input type=radio name=mode value=read checked><input type=radio name=mode value=write></label>
		<textarea name=reason></textarea><button name=action value=go>Go</button><button name=action value=cancel>Cancel</button></form>
		<form id=out method=post></form><button form=out name=logout value=yes>Yes</button><button form=out>No</button><button form=nowhere name=x>X</button>`, at)
	if len(found) != 3 || found[0].method != "GET" || found[1].method != "POST" || found[1].action.String() != "https://op.test/sign-in?next=%2F" {
		t.Fatalf("%+v", found)
	}
	if got := found[1].values().Encode(); got != "action=go&csrf=a%26b&email=&mode=read&password=&reason=" {
		t.Error(got)
	}
	if got := found[2].values().Encode(); got != "logout=yes" { // buttons that stand elsewhere and name their form
		t.Error(got)
	}
	if !found[1].holds(map[string]string{"mode": "", "reason": ""}) || found[0].holds(map[string]string{"reason": ""}) {
		t.Error("which of the two has the fields?")
	}
}

// TestTargetCheck names everything that is wrong, by its field.
func TestTargetCheck(t *testing.T) {
	t.Parallel()
	err := (&Target{
		Issuer: "op.test", Clients: Clients{App: Client{ID: "app", Auth: "magic"}, Public: &Client{ID: "p", Secret: "s", RedirectURI: "https://p.test/"}},
		Accounts: Accounts{Actor: Account{Subject: "a", TOTP: "1"}, SecondFactor: &Account{Subject: "s"}}, Start: Start{By: "luck", ReadMode: "read", ReturnTokenType: "urn:x"}, Without: []Feature{"wings"},
		Agents: []Agent{{}},
	}).Check()
	for _, field := range []string{
		"issuer: ", "clients.app.secret: ", "clients.app.auth: ", "clients.app.redirect_uri: ", "clients.public.secret: ", "accounts.actor: ", "accounts.actor.totp: ",
		"accounts.second_factor: ", "accounts.second_factor.totp: ", "accounts.subject.sub: ", "start.by: ", "start: return_token_type", "start: read_mode", `without: "wings"`,
		"agents[0].client.id: ", "agents[0].client.secret: ", "agents[0].sub: ", "accounts.subject: ",
	} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+field) {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}

// TestDurationJSON: seconds, there and back.
func TestDurationJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(Duration(1234567890))
	var back Duration
	if err != nil || string(b) != "1.235" || json.Unmarshal(b, &back) != nil || back != Duration(1235000000) {
		t.Errorf("%s, %v, %v", b, back, err)
	}
}
