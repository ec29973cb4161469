package upstream_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// TestAuthURL: the code flow with PKCE by S256, state and nonce, in the query, and what was asked beside.
func TestAuthURL(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.change("authorization_endpoint", f.url+"/auth?tenant=1")
	p := f.provider(nil)
	r := request()
	challenge := sha256.Sum256([]byte(r.Verifier))
	want := url.Values{
		"tenant": {"1"}, "response_type": {"code"}, "response_mode": {"query"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"openid email profile"},
		"state": {r.State}, "nonce": {r.Nonce}, "code_challenge": {b64(challenge[:])}, "code_challenge_method": {"S256"},
	}
	check := func() {
		t.Helper()
		got, err := p.AuthURL(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(got)
		if err != nil || !strings.HasPrefix(got, f.url+"/auth?") {
			t.Fatalf("got %s, %v", got, err)
		}
		if diff := cmp.Diff(want, u.Query()); diff != "" {
			t.Errorf("parameters, -want +got:\n%s", diff)
		}
	}
	check()
	r.MaxAge, r.ACRValues, r.Prompt, r.LoginHint = 90*time.Second, []string{"mfa", "phr"}, "login", "ann@acme.test"
	want["max_age"], want["acr_values"], want["prompt"], want["login_hint"] = []string{"90"}, []string{"mfa phr"}, []string{"login"}, []string{"ann@acme.test"}
	check()
	r.MaxAge = 0
	want["max_age"] = []string{"0"}
	check()
	for name, bad := range map[string]upstream.AuthRequest{"state": {Nonce: "n", Verifier: "v"}, "nonce": {State: "s", Verifier: "v"}, "verifier": {State: "s", Nonce: "n"}} {
		if _, err := p.AuthURL(t.Context(), bad); err == nil {
			t.Errorf("no %s is taken", name)
		}
	}
	f.change("authorization_endpoint", nil)
	if _, err := f.provider(nil).AuthURL(t.Context(), r); !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("without authorization_endpoint: got %v; want ErrDocument", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := upstream.Config{Name: "idp", Issuer: upstream.IssuerConfig{URL: "https://idp.test"}, ClientID: "c", RedirectURI: "https://id.test/cb"}
	p, err := upstream.New(good)
	if err != nil || p.Name() != "idp" || p.Label() != "idp" || p.Issuer().URL() != "https://idp.test" {
		t.Fatalf("got %v, %v", p, err)
	}
	for word, change := range map[string]func(*upstream.Config){
		"name":          func(c *upstream.Config) { c.Name = "" },
		"a-z":           func(c *upstream.Config) { c.Name = "../x" },
		"1 to 32":       func(c *upstream.Config) { c.Name = strings.Repeat("a", 33) },
		"issuer":        func(c *upstream.Config) { c.Issuer.URL = "http://idp.test" },
		"client_id":     func(c *upstream.Config) { c.ClientID = "" },
		"redirect URI":  func(c *upstream.Config) { c.RedirectURI = "" },
		"scopes":        func(c *upstream.Config) { c.Scopes = []string{"email profile"} },
		"algorithms":    func(c *upstream.Config) { c.Algorithms = []string{"HS256"} },
		"some of ES256": func(c *upstream.Config) { c.Algorithms = []string{"none"} },
		"sign-out":      func(c *upstream.Config) { c.PostLogoutURI = "/bye" },
	} {
		c := good
		change(&c)
		if _, err := upstream.New(c); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %v", word, err)
		}
	}
}

// TestRedeem (OpenID Connect Core §3.1.3.7): a good answer, by each algorithm and way to authenticate, gives who signed in.
func TestRedeem(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		for _, methods := range [][]string{nil, {"client_secret_post"}, {"private_key_jwt", "client_secret_basic"}} {
			f := newFake(t)
			f.publish(newKey(t, alg))
			f.change("token_endpoint_auth_methods_supported", methods)
			if methods == nil {
				f.change("token_endpoint_auth_methods_supported", nil)
			}
			r := request()
			idToken := jwt(t, f.signer(), map[string]any{"typ": "JWT"}, with(f.honest(r), map[string]any{"groups": []string{"a", "b"}, "roles": "one", "org": "acme"}))
			p := f.provider(func(c *upstream.Config) { c.GroupsClaim, c.RolesClaim, c.OrganisationClaim = "groups", "roles", "org" })
			got, err := f.redeem(p, r, idToken)
			if err != nil {
				t.Fatalf("%s, %v: %v", alg, methods, err)
			}
			want := &upstream.Identity{
				Party: oauth.Party{Issuer: f.url, Subject: "ann-there"}, Session: "session-1", Email: "ann@acme.test", EmailVerified: true, Name: "Ann Admin",
				Organisation: "acme", Groups: []string{"a", "b"}, Roles: []string{"one"}, AuthTime: got.AuthTime, ACR: "mfa", AMR: []string{"pwd", "otp"}, IDToken: oauth.Secret(idToken),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", alg, diff)
			}
			if since := f.clk.now().Sub(got.AuthTime); since < 29*time.Second || since > time.Minute || f.asked("/userinfo") != 0 {
				t.Errorf("%s: signed in %s ago, userinfo asked %d times", alg, since, f.asked("/userinfo"))
			}
		}
	}
}

// TestAnswer (RFC 9207 §2.4, RFC 9700 §4.4.2): iss is held against the issuer before the code goes anywhere, and before an error is believed.
func TestAnswer(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(nil)
	announced := newFake(t)
	announced.change("authorization_response_iss_parameter_supported", true)
	pa := announced.provider(nil)
	for name, c := range map[string]struct {
		p    *upstream.Provider
		a    upstream.Answer
		want error
		code string
	}{
		"another issuer":                   {p, upstream.Answer{Code: "c", Iss: "https://other.test"}, upstream.ErrAnswer, ""},
		"a slash more":                     {p, upstream.Answer{Code: "c", Iss: f.url + "/"}, upstream.ErrAnswer, ""},
		"upper case":                       {p, upstream.Answer{Code: "c", Iss: strings.ToUpper(f.url)}, upstream.ErrAnswer, ""},
		"an error of another issuer":       {p, upstream.Answer{Error: "access_denied", Iss: "https://other.test"}, upstream.ErrAnswer, ""},
		"announced and missing":            {pa, upstream.Answer{Code: "c"}, upstream.ErrAnswer, ""},
		"announced and missing with error": {pa, upstream.Answer{Error: "access_denied"}, upstream.ErrAnswer, ""},
		"nothing":                          {p, upstream.Answer{}, upstream.ErrAnswer, ""},
		"denied":                           {p, upstream.Answer{Error: "access_denied"}, nil, "access_denied"},
		"denied, with iss":                 {pa, upstream.Answer{Error: "login_required", Iss: announced.url}, nil, "login_required"},
		"an error nobody knows":            {p, upstream.Answer{Error: "<script>alert(1)</script>", Code: "c"}, nil, ""},
	} {
		_, err := c.p.Redeem(t.Context(), c.a, request())
		var no *upstream.Refused
		if c.want != nil && !errors.Is(err, c.want) || c.want == nil && (!errors.As(err, &no) || no.Code != c.code) {
			t.Errorf("%s: got %v; want %v %q", name, err, c.want, c.code)
		}
		if strings.Contains(err.Error(), "script") || strings.Contains(err.Error(), "other.test") {
			t.Errorf("%s: %v shows what was sent", name, err)
		}
	}
	if n := f.asked("/token") + announced.asked("/token"); n != 0 {
		t.Errorf("the code was sent %d times", n)
	}
}

// TestRefusedByTheTokenEndpoint: another verifier, code or secret, and what the endpoint says about it.
func TestRefusedByTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := request()
	good := f.gives(r, f.idToken(r, nil))
	for want, c := range map[string]struct {
		change func(*upstream.Config)
		a      upstream.Answer
		r      upstream.AuthRequest
	}{
		"invalid_client": {func(c *upstream.Config) { c.ClientSecret = "another" }, good, r},
		"invalid_grant":  {nil, upstream.Answer{Code: "another"}, r},
		"":               {nil, good, request()},
	} {
		_, err := f.provider(c.change).Redeem(t.Context(), c.a, c.r)
		var no *upstream.Refused
		if want == "" {
			want = "invalid_grant" // another verifier
		}
		if !errors.As(err, &no) || no.Code != want || strings.Contains(err.Error(), "script") {
			t.Errorf("got %v; want %s", err, want)
		}
	}
	f.change("token_endpoint_auth_methods_supported", []string{"private_key_jwt"})
	if _, err := f.redeem(f.provider(nil), r, f.idToken(r, nil)); !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("no way to send a secret: got %v; want ErrDocument", err)
	}
	f.change("token_endpoint", nil)
	if _, err := f.redeem(f.provider(nil), r, f.idToken(r, nil)); !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("no token_endpoint: got %v; want ErrDocument", err)
	}
}

// TestHostileEndpoints: whatever the token endpoint and userinfo answer, Redeem fails in time, and a good one goes on beside.
func TestHostileEndpoints(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	good := newFake(t)
	beside := good.provider(nil)
	more := hostile(stop)
	more["id_token a number"] = says(`{"access_token":"a","id_token":7}`)
	more["no id_token"] = says(`{"access_token":"a","token_type":"bearer"}`)
	more["no access_token"] = says(`{"id_token":"a.b.c"}`)
	more["a form"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		w.Write([]byte("access_token=a&id_token=1"))
	}
	for name, answer := range more {
		for _, path := range []string{"/token", "/userinfo"} {
			t.Run(name+" at "+path, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				r := request()
				f.answer(path, answer)
				p := f.provider(nil)
				begun := time.Now()
				got, err := f.redeem(p, r, f.idToken(r, map[string]any{"email": nil}))
				if took := time.Since(begun); err == nil || got != nil || took > patience+time.Second {
					t.Errorf("got %v, %v after %s", got, err, took)
				}
				if strings.Contains(err.Error(), "10.0.0.1") || len(err.Error()) > 300 {
					t.Errorf("%v shows what was sent", err)
				}
				r = request()
				if _, err := good.redeem(beside, r, good.idToken(r, nil)); err != nil {
					t.Errorf("the provider beside: %v", err)
				}
			})
		}
	}
}
