package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// abroadIDP is somebody else's provider, on loopback: it signs in at once whomever claims says.
type abroadIDP struct {
	t      testing.TB
	url    string
	clock  *clock
	key    *ecdsa.PrivateKey
	ending bool // it has an end_session_endpoint

	mu     sync.Mutex
	claims map[string]any
	codes  map[string]url.Values // what was asked for it
	asked  []url.Values          // by browsers, oldest first
	broken http.HandlerFunc      // answers everything, where it is set
}

const secretAtIDP = "secret at the idp"

func newIDP(t testing.TB) *abroadIDP {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &abroadIDP{t: t, key: key, ending: true, codes: map[string]url.Values{}, claims: map[string]any{}}
	srv := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

// says is who signs in there from now on. A claim of nil is left out.
func (p *abroadIDP) says(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = claims
}

func (p *abroadIDP) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	broken := p.broken
	p.mu.Unlock()
	if broken != nil {
		broken(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{
			"issuer": p.url, "authorization_endpoint": p.url + "/auth", "token_endpoint": p.url + "/token", "jwks_uri": p.url + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
			"authorization_response_iss_parameter_supported": true,
		}
		if p.ending {
			doc["end_session_endpoint"] = p.url + "/end"
		}
		p.json(w, doc)
	case "/keys":
		p.json(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	case "/token":
		p.token(w, r)
	case "/auth":
		p.asks(w, r, "redirect_uri", "Sign in there", func(q url.Values) url.Values {
			return p.visit(&url.URL{Scheme: "http", Host: r.Host, Path: "/auth", RawQuery: q.Encode()})
		})
	case "/end":
		p.asks(w, r, "post_logout_redirect_uri", "Sign out there", func(q url.Values) url.Values { return url.Values{"state": q["state"]} })
	default:
		http.NotFound(w, r)
	}
}

// asks shows a browser a form, and sends it on to the URL in the parameter back. Its form-action names that URL's origin and no further one.
func (p *abroadIDP) asks(w http.ResponseWriter, r *http.Request, back, title string, answer func(url.Values) url.Values) {
	q := r.URL.Query()
	to, err := url.Parse(q.Get(back))
	if err != nil || to.Host == "" {
		http.Error(w, back, http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodPost {
		to.RawQuery = answer(q).Encode()
		http.Redirect(w, r, to.String(), http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self' "+to.Scheme+"://"+to.Host)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><title>%[1]s</title><h1>%[1]s</h1><form method="post"><button>Yes</button></form>`, title)
}

func (p *abroadIDP) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (p *abroadIDP) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	secret, _ = url.QueryUnescape(secret)
	p.mu.Lock()
	q, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	claims := maps.Clone(p.claims)
	p.mu.Unlock()
	if !ok || id != "understudy" || secret != secretAtIDP || r.PostFormValue("redirect_uri") != q.Get("redirect_uri") ||
		challengeOf(r.PostFormValue("code_verifier")) != q.Get("code_challenge") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		p.json(w, map[string]any{"error": "invalid_grant"})
		return
	}
	now := p.clock.Now().Unix()
	all := map[string]any{"iss": p.url, "aud": "understudy", "iat": now, "exp": now + 300, "nonce": q.Get("nonce"), "auth_time": now}
	maps.Copy(all, claims)
	p.json(w, map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": p.sign(all)})
}

// sign gives claims as a JWT, without those that are nil.
func (p *abroadIDP) sign(claims map[string]any) string {
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(claims))
	token.Header["kid"] = "k1"
	delete(token.Header, "typ")
	s, err := token.SignedString(p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// visit is what a browser does that is sent to u: it gives the query of the way back.
func (p *abroadIDP) visit(u *url.URL) url.Values {
	p.t.Helper()
	q := u.Query()
	if !strings.HasPrefix(u.String(), p.url+"/auth?") {
		p.t.Fatalf("the browser was sent to %s", u)
	}
	code := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[code], p.asked = q, append(p.asked, q)
	return url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.url}}
}

// last is what was asked at the last visit.
func (p *abroadIDP) last() url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

func (p *abroadIDP) breaks(with http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = with
}

// upstream is p as a server knows it, under name.
func (p *abroadIDP) upstream(name string) server.Upstream {
	return server.Upstream{
		Provider: upstream.Config{Name: name, Label: "Acme " + name, Issuer: upstream.IssuerConfig{URL: p.url}, ClientID: "understudy", ClientSecret: secretAtIDP,
			GroupsClaim: "groups", RolesClaim: "roles"},
		CreateUsers: true, Staff: true, MFA: []string{"urn:idp:mfa", "hwk"},
	}
}

// sam is somebody whom only the upstream knows.
func sam() map[string]any {
	return map[string]any{"sub": "sam-there", "email": "Sam@acme.test", "email_verified": true, "name": "Sam There", "sid": "sid-1"}
}

// abroad is a house with one upstream, "corp".
type abroad struct {
	*house
	idp *abroadIDP
}

func setupAbroad(t testing.TB, o options, change func(*server.Upstream)) *abroad {
	t.Helper()
	p := newIDP(t)
	p.clock = new(clock)
	u := p.upstream("corp")
	if change != nil {
		change(&u)
	}
	u.Staff = u.Organisation == "" && u.Provider.OrganisationClaim == ""
	o.upstreams = append(o.upstreams, u)
	h := setup(t, o)
	p.clock = h.clock
	p.says(sam())
	return &abroad{h, p}
}

// jar is what a browser keeps between answers.
type jar map[string]string

func (j jar) header() string {
	var all []string
	for name, value := range j {
		all = append(all, name+"="+value)
	}
	return strings.Join(all, "; ")
}

func (j jar) take(r reply) {
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if j[c.Name] = c.Value; c.MaxAge < 0 {
			delete(j, c.Name)
		}
	}
}

// leaves gives where a page goes on to by itself.
func (h *house) leaves(r reply) *url.URL {
	h.t.Helper()
	to, ok := strings.CutPrefix(r.header.Get("Refresh"), "0; url=")
	if r.status != http.StatusOK || !ok {
		h.t.Fatalf("got %d, Refresh %q; want a page that goes on\n%s", r.status, r.header.Get("Refresh"), r.body)
	}
	u, err := url.Parse(to)
	h.must(err)
	return u
}

// out sends the browser to the upstream by its button.
func (h *abroad) out(j jar, query string) *url.URL {
	h.t.Helper()
	r := h.form("/sign-in/upstream/corp?"+query, j.header(), url.Values{})
	j.take(r)
	return h.leaves(r)
}

// back is the browser at the callback.
func (h *abroad) back(j jar, q url.Values) reply {
	h.t.Helper()
	r := h.get("/sign-in/callback/corp?"+q.Encode(), j.header())
	j.take(r)
	return r
}

// through is a whole sign-in with a query of the sign-in page.
func (h *abroad) through(j jar, query string) reply {
	h.t.Helper()
	return h.back(j, h.idp.visit(h.out(j, query)))
}

// loginOf is the login that the browser has.
func (h *house) loginOf(j jar) string {
	h.t.Helper()
	l, err := h.store.LoginByCookie(h.t.(*testing.T).Context(), oauth.Secret(j["__Host-op"]).Hash())
	h.must(err)
	return l.ID
}

// failed demands a page that says so, and that nobody is signed in.
func (h *abroad) failed(j jar, r reply, status int, words string) {
	h.t.Helper()
	if r.status != status || !strings.Contains(r.body, words) {
		h.t.Errorf("got %d, want %d and %q\n%s", r.status, status, words, r.body)
	}
	if j["__Host-op"] != "" || r.cookie("__Host-op") != "" {
		h.t.Error("somebody was signed in")
	}
}

// recordedWith is a GET without a socket, by a browser with cookies.
func recordedWith(h http.Handler, path, cookies string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
