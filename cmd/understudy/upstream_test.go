package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// somebodysIDP is an OpenID provider at which Ann is always signed in, with a second factor where that is asked for.
type somebodysIDP struct {
	url, secret string
	key         *ecdsa.PrivateKey
	mu          sync.Mutex
	codes       map[string]url.Values // what was asked for each
}

func startIDP(t *testing.T, secret string) *somebodysIDP {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &somebodysIDP{secret: secret, key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /auth", p.auth)
	mux.HandleFunc("POST /token", p.token)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

func (p *somebodysIDP) discovery(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(map[string]any{
		"issuer": p.url, "authorization_endpoint": p.url + "/auth", "token_endpoint": p.url + "/token", "jwks_uri": p.url + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}, "authorization_response_iss_parameter_supported": true,
	})
}

func (p *somebodysIDP) keys(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
}

func (p *somebodysIDP) auth(w http.ResponseWriter, r *http.Request) {
	q, code := r.URL.Query(), rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[code] = q
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.url}}.Encode(), http.StatusFound)
}

func (p *somebodysIDP) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	q, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || id != "understudy" || secret != p.secret || base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	claims := jwt.MapClaims{
		"iss": p.url, "aud": "understudy", "sub": "ann-there", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "auth_time": time.Now().Unix(),
		"nonce": q.Get("nonce"), "email": "ann@acme.test", "email_verified": true, "name": "Ann Bell", "realm_access": map[string]any{"roles": []string{"support-team", "of no matter"}},
	}
	if q.Get("acr_values") != "" {
		claims["acr"] = q.Get("acr_values")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "k1"
	signed, err := token.SignedString(p.key)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": signed})
}

// TestUpstreamByHand runs the README's first block with its configuration for Keycloak: Ann, whom only the other provider knows, signs in
// through it, first without and then with a second factor, impersonates John by it, and stops. Our own passwords are behind glass.
func TestUpstreamByHand(t *testing.T) {
	t.Parallel()
	const ours, change = "curl -s -c jar -d email=ann@acme.test -d password=correct+horse+battery $op/sign-in", `
echo "password: $(curl -s -o page -w '%{http_code}' -d email=ann@acme.test -d password=x $op/sign-in) glass: $(curl -s -o page -w '%{http_code}' -d email=ann@acme.test -d password=x "$op/sign-in?local=1")"
through() { curl -s -b jar -c jar -L -o page "$(curl -s -b jar -c jar -o page -D - -d '' "$op/sign-in/upstream/keycloak$1" | tr -d '\r' | sed -n 's/^Refresh: 0; url=//p')"; }
page() { curl -s -b jar "$op/impersonate?$app&subject=john"; }
through '' && echo "weak: $(page | grep -c 'name="minutes"')"
through '?acr_values=urn:understudy:acr:mfa' && echo "strong: $(page | grep -c 'name="minutes"')"; :`
	idp := startIDP(t, "hush")
	replace := func(text, old, with string) string {
		if strings.Count(text, old) != 1 {
			t.Fatalf("README.md has %q not once in\n%s", old, text)
		}
		return strings.Replace(text, old, with, 1)
	}
	settings := replace(block(t, "../../README.md", "upstream"), "https://sso.example/realms/staff", idp.url)
	_, out := byHand(t, func(script string) string {
		script = replace(script, " --sign-in-second-factor optional", "")
		script = replace(script, "echo 'correct horse battery' | understudy user add --email ann@acme.test --name 'Ann Bell' --role admin --password-stdin\n", "")
		script = replace(script, "user add --email john@acme.test", "user add --organisation acme --email john@acme.test")
		script = replace(script, ours, change)
		script = replace(script, "&& kill %1", "&& understudy user show ann@acme.test && kill %1")
		return "(umask 077 && echo hush >keycloak.secret) && cat >understudy.yaml <<'EOF'\n" + settings + "EOF\n" + script
	})
	wantAll(t, out, []string{
		`password: 403 glass: 401`, `weak: 0\nstrong: [1-9]`,
		`(?s)"active":true[^\n]*"sub":"john"[^\n]*"act":\{"iss":"http://localhost:\d+","sub":"usr_.*\{"active":false\}`,
		`impersonation.stop +ann@acme.test +john@acme.test +app +imp_`, `msg="ann@acme.test impersonated john@acme.test"`,
		`msg="added a user who signed in" upstream=keycloak user=usr_`, `upstream:keycloak`, `ann-there`,
	})
	if strings.Contains(string(out), "hush") {
		t.Errorf("the secret is in\n%s", out)
	}
}
