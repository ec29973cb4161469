package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/understudy-id/understudy/oauth"
)

// LAB-1 to LAB-12 are weaknesses that were measured in the libraries underneath; each has its test here, in package
// tokens (10, 11, 12) or, for LAB-3, in TestOnceUnderRace.

// TestLAB1ExactAudience: fosite's default matcher compares prefixes, and lets every urn: match every other. It is GHSA-75p6-52g3-rqc8 too.
func TestLAB1ExactAudience(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	for _, target := range []string{
		"urn:understudy:resource:other", resource + "/sub", resource + "?x", "mailto:a@b.test", "https://api.test/", "https://user@api.test/",
		"https://api.test/a/../b", strings.ToUpper(resource), resource + "%20",
	} {
		q := ask("app") + "&response_type=code&scope=openid&resource=" + url.QueryEscape(target)
		if r := h.get("/oauth2/auth?"+q, cookie); r.location == nil || r.location.Query().Get("error") != "invalid_target" {
			t.Errorf("auth, resource %q: got %d %v; want invalid_target", target, r.status, r.location)
		}
		f := startForm(h.ticket(cookie, "app", "john", "read"), actor)
		f.Set("resource", target)
		refused(t, h.post("/oauth2/token", "app", f), 400, "invalid_target")
		f.Del("resource")
		f.Set("audience", target)
		refused(t, h.post("/oauth2/token", "app", f), 400, "invalid_target")
	}
	for name, set := range map[string]func(url.Values){
		"fragment":           func(f url.Values) { f.Set("resource", resource+"#y") },
		"empty fragment":     func(f url.Values) { f.Set("resource", resource+"#") },
		"relative":           func(f url.Values) { f.Set("resource", "/api") },
		"two":                func(f url.Values) { f["resource"] = []string{resource, "https://b.test/"} },
		"the same twice":     func(f url.Values) { f["resource"] = []string{resource, resource} },
		"resource, audience": func(f url.Values) { f.Set("resource", resource); f.Set("audience", resource) },
	} {
		f := startForm(h.ticket(cookie, "app", "john", "read"), actor)
		set(f)
		r := h.post("/oauth2/token", "app", f)
		if r.status != 400 || r.str("error") != "invalid_target" {
			t.Errorf("%s: got %d %s; want invalid_target", name, r.status, r.body)
		}
	}
}

// TestLAB2PKCEBurn: on fosite's own storage a wrong verifier strips the code of its challenge, and a second try without one passes. It is CVE-2026-16089
// and CVE-2026-32245 too; these want the code dead after a stranger's try, by which anybody could spoil the sign-ins of others.
//
// Covers RFC7636-4.6-01.
func TestLAB2PKCEBurn(t *testing.T) { onBoth(t, testLAB2PKCEBurn) }

func testLAB2PKCEBurn(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("ann")
	for _, first := range []func(url.Values){
		func(f url.Values) { f.Set("code_verifier", strings.Repeat("w", 43)) },
		func(f url.Values) { f.Del("code_verifier") },
		func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:9999/other") },
		func(f url.Values) { f.Del("redirect_uri") },
	} {
		code := h.code(cookie, "app", "openid")
		wrong, none := redeem(code), redeem(code)
		first(wrong)
		none.Del("code_verifier")
		refused(t, h.post("/oauth2/token", "app", wrong), 400, "invalid_grant")
		refused(t, h.post("/oauth2/token", "app", none), 400, "invalid_grant")
		refused(t, h.post("/oauth2/token", "app", redeem(code)), 400, "invalid_grant")
	}
	// A stranger to the code cannot kill it.
	code := h.code(cookie, "app", "openid")
	refused(t, h.post("/oauth2/token", "other", redeem(code)), 400, "invalid_grant")
	if r := h.post("/oauth2/token", "app", redeem(code)); r.status != http.StatusOK {
		t.Errorf("the client's own code after another client tried it: %d %s", r.status, r.body)
	}
	for _, method := range []string{"plain", ""} {
		q := url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"12345678"}, "code_challenge": {challenge}}
		if method != "" {
			q.Set("code_challenge_method", method)
		}
		if r := h.get("/oauth2/auth?"+q.Encode(), cookie); r.location.Query().Get("error") != "invalid_request" {
			t.Errorf("code_challenge_method %q: got %v; want invalid_request", method, r.location)
		}
	}
}

// TestLAB4RepeatedParameters: fosite takes the first of two; a proxy in front may read the last.
func TestLAB4RepeatedParameters(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier", "client_id"} {
		f := redeem(h.code(cookie, "app", "openid"))
		f.Set("client_id", "app")
		f.Add(name, f.Get(name))
		r := h.post("/oauth2/token", "app", f)
		refused(t, r, 400, "invalid_request")
		if !strings.HasPrefix(r.str("error_description"), name+": ") {
			t.Errorf("error_description = %q; want it to name %s", r.str("error_description"), name)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, h.url+"/oauth2/token", strings.NewReader(`{"grant_type":"authorization_code"}`))
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("app", h.secrets["app"])
	refused(t, h.do(req), http.StatusUnsupportedMediaType, "invalid_request")
	refused(t, h.post("/oauth2/token?grant_type=authorization_code", "app", redeem("x")), 400, "invalid_request")
}

// TestLAB5IntrospectionNeedsTheRightClient: fosite answers whoever has any active token. It is
// CVE-2026-37979 and CVE-2026-58425 too.
func TestLAB5IntrospectionNeedsTheRightClient(t *testing.T) {
	onBoth(t, testLAB5IntrospectionNeedsTheRightClient)
}

func testLAB5IntrospectionNeedsTheRightClient(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	for name, bearer := range map[string]string{"admin's token": s.actor, "impersonation token": s.token} {
		req, _ := http.NewRequest(http.MethodPost, h.url+"/oauth2/introspect", strings.NewReader("token="+s.token))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "Bearer "+bearer)
		if r := h.do(req); r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" || r.json["active"] != nil {
			t.Errorf("%s as authorization: got %d %s; want 401", name, r.status, r.body)
		}
	}
	if r := h.post("/oauth2/introspect", "other", url.Values{"token": {s.token}}); r.body != `{"active":false}` {
		t.Errorf("a client that is neither owner nor server: got %s", r.body)
	}
	// The server of the resource sees it, also when another client owns it.
	elsewhere := h.start("bea", "other", "eve", "read")
	if !h.active("app", elsewhere.token) {
		t.Error("the server of the resource got no active answer")
	}
}

// TestLAB6TokenInQuery: fosite's reader falls back to ?access_token= and the form, where logs keep it.
func TestLAB6TokenInQuery(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	s := h.start("ann", "app", "john", "read")
	if r := h.get("/userinfo?access_token="+s.token, ""); r.status != 400 || r.str("error") != "invalid_request" || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), `Bearer realm="understudy", error="invalid_request"`) {
		t.Errorf("userinfo with the token in the query: got %d %s", r.status, r.body)
	}
	if r := h.form("/userinfo", "", url.Values{"access_token": {s.token}}); r.status != 400 || r.str("error") != "invalid_request" {
		t.Errorf("userinfo with the token in the body: got %d %s", r.status, r.body)
	}
	if r := h.post("/oauth2/introspect?token="+s.token, "app", url.Values{}); r.status != 400 {
		t.Errorf("introspection with the token in the query: got %d %s", r.status, r.body)
	}
	if strings.Contains(h.logs.String(), s.token) {
		t.Error("the log holds a token")
	}
}

// TestLAB7Floors: fosite v0.49.0 pins modules with known vulnerabilities; ours may not sink below these again.
func TestLAB7Floors(t *testing.T) {
	t.Parallel()
	floors := map[string]string{
		"github.com/go-jose/go-jose/v3": "v3.0.5", "github.com/go-jose/go-jose/v4": "v4.1.8", "github.com/golang-jwt/jwt/v5": "v5.3.1",
		"github.com/jackc/pgx/v5": "v5.12.0",
		"google.golang.org/grpc":  "v1.85.0", "go.opentelemetry.io/otel/sdk": "v1.47.0", "github.com/hashicorp/go-retryablehttp": "v0.7.8",
		"github.com/sirupsen/logrus": "v1.10.2", "google.golang.org/protobuf": "v1.36.12",
	}
	raw, err := os.ReadFile("../../go.mod") // with pruning it names every module that is linked, at the version that is selected
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]string)
	for _, r := range mod.Require {
		have[r.Mod.Path] = r.Mod.Version
	}
	for path, floor := range floors {
		if v := have[path]; v == "" {
			t.Errorf("%s has a floor and is not required: the list is out of date", path)
		} else if semver.Compare(v, floor) < 0 {
			t.Errorf("%s is %s; the floor is %s", path, v, floor)
		}
	}
}

// TestLAB9OwnLives: a token exchanged under the request id of another shares its revocation.
func TestLAB9OwnLives(t *testing.T) { onBoth(t, testLAB9OwnLives) }

func testLAB9OwnLives(t *testing.T, o options) {
	h := setup(t, o)

	s := h.start("ann", "app", "john", "read")
	if r := h.post("/oauth2/revoke", "app", url.Values{"token": {s.token}}); r.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", r.status, r.body)
	}
	if h.active("app", s.token) || !h.active("app", s.actor) {
		t.Error("revoking the impersonation must end it, and only it")
	}

	// The admin's sign-out ends what stands on it.
	s = h.start("ann", "app", "john", "read")
	if r := h.form("/sign-out", s.cookie, nil); r.status != http.StatusOK {
		t.Fatalf("sign-out: %d %s", r.status, r.body)
	}
	if h.active("app", s.token) || h.active("app", s.actor) {
		t.Error("the admin's sign-out must end the impersonation and the admin's token")
	}

	// The subject's own sign-out ends nothing of the admin's.
	cookie, _ := h.login("john")
	own := h.token(cookie, "app", "openid")
	s = h.start("ann", "app", "john", "read")
	h.form("/sign-out", cookie, nil)
	if h.active("app", own) || !h.active("app", s.token) || !h.active("app", s.actor) {
		t.Error("the subject's sign-out must end their own token and nothing else")
	}
}

// TestLAB12OneSpelling: a token that was ended is inactive in every spelling that a lax reader would take.
func TestLAB12OneSpelling(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	s := h.start("ann", "app", "john", "read")
	other := h.start("bea", "app", "eve", "read")
	h.post("/oauth2/token", "app", stopForm(s.ret))
	parts := strings.Split(s.token, ".")
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	h.must(err)
	last := parts[2][len(parts[2])-1]
	for name, token := range map[string]string{
		"as it was":     s.token,
		"trailing bits": s.token[:len(s.token)-1] + string(rune(last^1)),
		"padding":       s.token + "==",
		"mirrored s":    parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(mirror(sig)),
	} {
		if h.active("app", token) {
			t.Errorf("%s: active after the stop", name)
		}
	}
	if !h.active("app", other.token) {
		t.Error("another session's token is inactive")
	}
	if len(s.ret) != oauth.SecretLength {
		t.Errorf("the return token has %d characters; want %d", len(s.ret), oauth.SecretLength)
	}
}
