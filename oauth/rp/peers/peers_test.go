package peers

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/jwks"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const audience = "https://api.acme.test"

// api is one handler, behind each of the four, and an issuer of its tokens.
type api struct {
	keys    *tokens.KeySet
	public  crypto.PublicKey
	issuer  string
	handler http.Handler
}

func newAPI(t testing.TB) *api {
	t.Helper()
	key, err := tokens.Generate(tokens.ES256)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })}
	if a.keys, err = tokens.NewKeySet(key); err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(a.keys.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	a.public = set.Keys[0].Key
	srv := httptest.NewServer(http.HandlerFunc(a.serveIssuer))
	t.Cleanup(srv.Close)
	a.issuer = srv.URL
	return a
}

func (a *api) serveIssuer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/jwks" {
		w.Write(a.keys.JWKS())
		return
	}
	metadata := map[string]string{"issuer": a.issuer, "jwks_uri": a.issuer + "/jwks"}
	for _, name := range []string{"authorization", "token", "introspection", "revocation", "userinfo", "understudy_impersonation", "understudy_actions"} {
		metadata[name+"_endpoint"] = a.issuer + "/" + name
	}
	json.NewEncoder(w).Encode(metadata)
}

// token is john's own, or one with which ann acts as him; it is over after minutes.
func (a *api) token(t testing.TB, acting bool, minutes int) string {
	t.Helper()
	now := time.Now()
	c := tokens.Claims{
		Issuer: a.issuer, Subject: "john", Audience: audience, ClientID: "app", Scope: []string{"openid", "orders"}, IssuedAt: now.Add(-time.Hour),
		Expires: now.Add(time.Duration(minutes) * time.Minute), ID: oauth.NewID("jti"), Session: oauth.NewID("imp"),
	}
	if acting {
		c.Audit, c.Act = oauth.NewID("aud"), &oauth.Party{Issuer: a.issuer, Subject: "ann"}
	}
	token, err := a.keys.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// alive answers as a stream of what ended would: at once.
type alive struct{}

func (alive) Alive(context.Context, string, oauth.Secret) (bool, error) { return true, nil }
func (alive) Record(context.Context, rp.Action) (bool, error)           { return true, nil }
func (alive) RecordAll(context.Context, []rp.Action) ([]string, error)  { return nil, nil }

func (a *api) ours(t testing.TB) http.Handler {
	b, err := rp.NewBearer(t.Context(), rp.BearerConfig{
		Issuer: a.issuer, Audience: audience, ClientID: "api", ClientSecret: "secret", Liveness: alive{}, Recorder: alive{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Handler(a.handler)
}

// bearer is how their manuals read the header, for the two that do not.
func bearer(verify func(ctx context.Context, token string) error, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || verify(r.Context(), token) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) golangJWT(testing.TB) http.Handler {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(a.issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	return bearer(func(_ context.Context, token string) error {
		_, err := parser.ParseWithClaims(token, &jwt.RegisteredClaims{}, func(*jwt.Token) (any, error) { return a.public, nil })
		return err
	}, a.handler)
}

func (a *api) goOIDC(t testing.TB) http.Handler {
	verifier := oidc.NewVerifier(a.issuer, oidc.NewRemoteKeySet(t.Context(), a.issuer+"/jwks"), &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"ES256"}})
	return bearer(func(ctx context.Context, token string) error {
		_, err := verifier.Verify(ctx, token)
		return err
	}, a.handler)
}

func (a *api) auth0(t testing.TB) http.Handler {
	u, err := url.Parse(a.issuer)
	if err != nil {
		t.Fatal(err)
	}
	provider := jwks.NewCachingProvider(u, 5*time.Minute)
	v, err := validator.New(provider.KeyFunc, validator.ES256, a.issuer, []string{audience})
	if err != nil {
		t.Fatal(err)
	}
	return jwtmiddleware.New(v.ValidateToken).CheckJWT(a.handler)
}

// peers are the four, in the order of their figures.
var peers = []struct {
	name string
	make func(*api, testing.TB) http.Handler
}{
	{"rp.Bearer", (*api).ours}, {"golang-jwt", (*api).golangJWT}, {"go-oidc", (*api).goOIDC}, {"auth0", (*api).auth0},
}

func request(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/me", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// TestPeers: all four take the tokens that the benchmarks send, and refuse one that has expired and one that is changed: they are measured at their work.
func TestPeers(t *testing.T) {
	a := newAPI(t)
	for _, p := range peers {
		h := p.make(a, t)
		good := a.token(t, false, 10)
		for what, c := range map[string]struct {
			token string
			want  int
		}{
			"own": {good, 200}, "acting": {a.token(t, true, 10), 200}, "expired": {a.token(t, false, -10), 401}, "changed": {good[:len(good)-8] + "AAAAAAAA", 401},
		} {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, request(c.token)); w.Code != c.want {
				t.Errorf("%s: %s: got %d, want %d", p.name, what, w.Code, c.want)
			}
		}
	}
}

// discard is an answer that nobody reads.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header       { return d.h }
func (*discard) WriteHeader(status int)      { panic(fmt.Sprint("answered ", status)) }
func (*discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkSameToken is a token that comes again and again, as an app's does. What stands in front of an API costs that much beyond "nothing".
func BenchmarkSameToken(b *testing.B) {
	a := newAPI(b)
	for name, acting := range map[string]bool{"own": false, "impersonating": true} {
		for _, p := range peers {
			b.Run(name+"/"+p.name, func(b *testing.B) { run(b, p.make(a, b), []string{a.token(b, acting, 60)}) })
		}
	}
	b.Run("nothing", func(b *testing.B) { run(b, a.handler, []string{""}) })
}

// BenchmarkNewTokens is a token that was not seen before, each time but for one in many.
func BenchmarkNewTokens(b *testing.B) {
	a := newAPI(b)
	many := make([]string, 10_000) // more than any of them remembers
	for i := range many {
		many[i] = a.token(b, false, 60)
	}
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) { run(b, p.make(a, b), many) })
	}
}

func run(b *testing.B, h http.Handler, tokens []string) {
	w := &discard{http.Header{}}
	requests := make([]*http.Request, len(tokens))
	for i, token := range tokens {
		requests[i] = request(token)
	}
	h.ServeHTTP(w, requests[0]) // has the keys fetched
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		clear(w.h)
		h.ServeHTTP(w, requests[i%len(requests)])
	}
}
