package server_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

const discoveryPath = "/.well-known/openid-configuration"

// TestMetadataIsTrue holds each member of the metadata to what the server does. A member that nothing here knows fails, and so does
// whatever of the wide world works and is not announced: a new feature needs its member, and a member its line below.
//
// Covers RFC8414-2-01, RFC8414-3-01, OIDCD-3-01, RFC9470-6-01, RFC9700-2.4-01, RFC9700-2.1.2-01.
func TestMetadataIsTrue(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	r := h.get(discoveryPath, "")
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", r.status, r.header.Get("Content-Type"))
	}
	m := newMetadata(h, r.json)
	for _, required := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"} {
		if _, ok := r.json[required]; !ok {
			t.Errorf("%s is missing (OpenID Connect Discovery §3)", required)
		}
	}
	m.endpoints()
	known := slices.Collect(maps.Keys(m.at))
	for member, set := range m.sets() {
		known = append(known, member)
		t.Run(member, func(t *testing.T) { m.set(t, member, set) })
	}
	for member, fact := range m.facts() {
		known = append(known, member)
		t.Run(member, func(t *testing.T) {
			if got := fact(); !reflect.DeepEqual(r.json[member], got) {
				t.Errorf("announced %v; the server does %v", r.json[member], got)
			}
		})
	}
	slices.Sort(known)
	if diff := cmp.Diff(known, slices.Sorted(maps.Keys(r.json))); diff != "" {
		t.Errorf("members (-held to the truth here +announced):\n%s", diff)
	}
}

// metadata is a house and what it announces.
type metadata struct {
	*house
	document map[string]any
	at       map[string]string // the path of each endpoint, by its member
	cookie   string            // ann's, by two factors
}

func newMetadata(h *house, document map[string]any) *metadata {
	m := &metadata{house: h, document: document, at: map[string]string{}}
	m.cookie, _ = h.login("ann")
	for member, value := range document {
		if strings.HasSuffix(member, "_endpoint") || strings.HasSuffix(member, "_uri") {
			path, ours := strings.CutPrefix(value.(string), h.issuer)
			if !ours {
				h.t.Errorf("%s is at %v; want one of this issuer's", member, value)
			}
			m.at[member] = path
		}
	}
	return m
}

// pagesOnly are the routes that people see, those at which the metadata themselves are, and those that only another provider is told of,
// by hand: all others must be announced.
var pagesOnly = []string{"/", "/{$}", "/.well-known/oauth-authorization-server", discoveryPath, ssfPath, "/audit", "/sign-in", "/sign-in/acting", "/sign-in/code",
	"/sign-in/second-factor", "/sign-in/upstream/{name}", "/sign-in/callback/{name}", "/sign-in/backchannel/{name}", "/sign-in/signed-out", "/sign-out", "/static/"}

// endpoints compares the routes with what is announced, both ways, and knocks at each.
func (m *metadata) endpoints() {
	source, err := os.ReadFile("server.go")
	m.must(err)
	var routes []string
	for _, match := range regexp.MustCompile(`mux\.Handle(?:Func)?\("(?:[A-Z]+ )?([^"]+)"`).FindAllSubmatch(source, -1) {
		routes = append(routes, string(match[1]))
	}
	if len(routes) < 20 {
		m.t.Fatalf("server.go has %d routes; are they still written as before?", len(routes))
	}
	announced, at := slices.Collect(maps.Values(m.at)), maps.Clone(m.at)
	for member, value := range m.get(ssfPath, "").json { // at which the receivers look
		if path, ours := strings.CutPrefix(fmt.Sprint(value), m.issuer); ours && path != "" {
			at["ssf "+member], announced = path, append(announced, path)
		}
	}
	for _, path := range routes {
		if !slices.Contains(announced, path) && !slices.Contains(pagesOnly, path) && path != "/ssf/poll/{stream}" { // which each stream announces

			m.t.Errorf("%s is a route, no page, and not announced", path)
		}
	}
	for member, path := range at {
		if !slices.Contains(routes, path) {
			m.t.Errorf("%s: there is no route %s", member, path)
		}
		if r := m.get(path, ""); r.status == http.StatusNotFound || r.status >= 500 {
			m.t.Errorf("%s: GET %s: got %d", member, path, r.status)
		}
	}
}

// choice is a member that lists values: those of all that work.
type choice struct {
	all   []string
	works func(value string) bool
}

func (m *metadata) set(t *testing.T, member string, c choice) {
	t.Helper()
	announced := []string{}
	for _, v := range m.document[member].([]any) {
		announced = append(announced, v.(string))
	}
	if len(announced) == 0 {
		t.Error("is empty; leave it out")
	}
	var working []string
	for _, value := range c.all {
		if c.works(value) {
			working = append(working, value)
		}
	}
	slices.Sort(announced)
	slices.Sort(working)
	if diff := cmp.Diff(working, announced); diff != "" {
		t.Errorf("-works +announced:\n%s", diff)
	}
}

var (
	jwsAlgorithms = []string{"none", "HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"}
	allMethods    = []string{"none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
)

func (m *metadata) sets() map[string]choice {
	asks := func(parameter string, values ...string) choice {
		return choice{values, func(v string) bool { return m.codeFor(parameter, v) != "" }}
	}
	out := map[string]choice{
		"response_types_supported":         asks("response_type", "code", "token", "id_token", "id_token token", "code token", "code id_token", "code id_token token", "none"),
		"response_modes_supported":         asks("response_mode", "query", "fragment", "form_post", "jwt", "query.jwt", "web_message"),
		"code_challenge_methods_supported": asks("code_challenge_method", "plain", "S256"),
		"prompt_values_supported":          {[]string{"none", "login", "consent", "select_account", "create"}, m.takesPrompt},
		"acr_values_supported":             {[]string{oauth.ACRMFA, oauth.ACRPassword, "0", "1", "phr", "phrh", "urn:mace:incommon:iap:silver"}, m.givesACR},
		"scopes_supported":                 {m.allScopes(), m.givesScope},
		"claims_supported":                 {m.allClaims(), func(string) bool { return true }},
		"subject_types_supported":          {[]string{"public", "pairwise"}, m.subjectsAre},
		"grant_types_supported": {[]string{"authorization_code", "implicit", "refresh_token", "password", "client_credentials", oauth.GrantTypeTokenExchange,
			"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer", "urn:ietf:params:oauth:grant-type:device_code",
			"urn:openid:params:grant-type:ciba", "urn:ietf:params:oauth:grant-type:uma-ticket"}, m.takesGrant},
		"understudy_subject_token_types_supported": {[]string{string(oauth.TokenTypeTicket), string(oauth.TokenTypeReturnToken), string(oauth.TokenTypeUserID),
			string(oauth.TokenTypeAccessToken), string(oauth.TokenTypeIDToken), string(oauth.TokenTypeRefreshToken), string(oauth.TokenTypeJWT)}, m.takesSubject},
		"understudy_actor_token_types_supported": {[]string{string(oauth.TokenTypeAccessToken), string(oauth.TokenTypeJWT), string(oauth.TokenTypeIDToken),
			string(oauth.TokenTypeRefreshToken), string(oauth.TokenTypeTicket), string(oauth.TokenTypeUserID)}, m.takesActor},
		"id_token_signing_alg_values_supported": {jwsAlgorithms, m.signsIDToken},
		"dpop_signing_alg_values_supported":     {jwsAlgorithms, m.takesProof},
	}
	key := m.addMethods()
	for endpoint, path := range map[string]string{"token": "/oauth2/token", "introspection": "/oauth2/introspect", "revocation": "/oauth2/revoke"} {
		out[endpoint+"_endpoint_auth_methods_supported"] = choice{allMethods, func(method string) bool {
			form := redeem("no-such-code")
			form.Set("token", "no.such.token")
			c, ok := m.ways(method, key, call{method: http.MethodPost, path: path, body: form})[store.AuthMethod(method)]
			return ok && m.send(c).str("error") != "invalid_client"
		}}
		out[endpoint+"_endpoint_auth_signing_alg_values_supported"] = choice{jwsAlgorithms, func(algorithm string) bool { return m.takesAssertion(path, algorithm) }}
	}
	return out
}

func (m *metadata) facts() map[string]func() any {
	return map[string]func() any{
		"issuer": func() any { return m.authorize(m.cookie, func(url.Values) {}).location.Query().Get("iss") },
		"authorization_response_iss_parameter_supported": func() any { return m.authorize(m.cookie, func(url.Values) {}).location.Query().Has("iss") },
		"require_pushed_authorization_requests":          func() any { return m.codeFor("nonce", "1") == "" },
		"request_parameter_supported":                    func() any { return m.errorFor("request", "x.y.z") != "request_not_supported" },
		"request_uri_parameter_supported":                func() any { return m.errorFor("request_uri", "https://x.test/") != "request_uri_not_supported" },
		"backchannel_logout_supported":                   func() any { return m.tellsLogout() != nil },
		"backchannel_logout_session_supported":           func() any { _, ok := m.tellsLogout()["sid"]; return ok },
		"understudy_exchange_back": func() any {
			if r := m.post("/oauth2/token", "app", stopForm(m.start("ann", "app", "john", "read").ret)); r.status != http.StatusOK {
				return r.body
			}
			return "return_token"
		},
		"understudy_exchange_refresh_token": func() any {
			m.addClientAs("renewing", refreshing)
			start := m.start("ann", "renewing", "john", "read")
			back := m.post("/oauth2/token", "renewing", stopForm(start.ret))
			return start.reply.json["refresh_token"] != nil || back.json["refresh_token"] != nil
		},
		"understudy_max_impersonation_lifetime": m.longest,
	}
}

// codeFor is the code that a good request gets with one parameter changed, "" for none; errorFor its error.
func (m *metadata) codeFor(parameter, value string) string {
	return m.answer(parameter, value).Get("code")
}

func (m *metadata) errorFor(parameter, value string) string {
	return m.answer(parameter, value).Get("error")
}

func (m *metadata) answer(parameter, value string) url.Values {
	r := m.authorize(m.cookie, func(q url.Values) { q.Set(parameter, value) })
	if r.location == nil {
		m.t.Fatalf("%s=%s: got %d %s", parameter, value, r.status, r.body)
	}
	return r.location.Query()
}

func (m *metadata) takesPrompt(prompt string) bool { return m.errorFor("prompt", prompt) == "" }

func (m *metadata) givesACR(acr string) bool {
	code := m.codeFor("acr_values", acr)
	if code == "" {
		return false
	}
	_, c := claims(m.t, m.post("/oauth2/token", "app", redeem(code)).str("id_token"))
	return c["acr"] == acr
}

func (m *metadata) allScopes() []string {
	out := []string{oauth.ScopeImpersonationWrite, oauth.ScopeOfflineAccess, "address", "phone", "nobody"}
	for _, s := range policy.Default().Scopes {
		if !slices.Contains(out, s.Name) {
			out = append(out, s.Name)
		}
	}
	m.newClient("everything", func(c *store.Client) { c.Scopes, c.Settings.Refresh = out, true })
	return out
}

func (m *metadata) givesScope(scope string) bool {
	r := m.authorize(m.cookie, func(q url.Values) { q.Set("client_id", "everything"); q.Set("scope", scope) })
	code := r.location.Query().Get("code")
	if code == "" {
		return false
	}
	return slices.Contains(strings.Fields(m.post("/oauth2/token", "everything", redeem(code)).str("scope")), scope)
}

// allClaims are those about the person, in an ID token or at userinfo, of themselves and of who is impersonated. What a token is
// made with is left out.
func (m *metadata) allClaims() []string {
	seen := map[string]bool{}
	cookie, _ := m.login("sue")
	tokens := m.signIn(cookie, "app", "n")
	_, id := claims(m.t, tokens.str("id_token"))
	for _, from := range []map[string]any{id, m.userinfo(tokens.str("access_token")).json, m.userinfo(m.start("ann", "app", "john", "read").token).json} {
		if from["sub"] == nil {
			m.t.Fatalf("got %v; want claims", from)
		}
		for name := range from {
			seen[name] = true
		}
	}
	for _, name := range []string{"iss", "aud", "exp", "iat", "nonce", "at_hash"} {
		delete(seen, name)
	}
	return slices.Collect(maps.Keys(seen))
}

func (m *metadata) subjectsAre(kind string) bool {
	_, here := claims(m.t, m.token(m.cookie, "app", "openid"))
	_, there := claims(m.t, m.token(m.cookie, "other", "openid"))
	return (here["sub"] == there["sub"]) == (kind == "public")
}

func (m *metadata) takesGrant(grant string) bool {
	return m.post("/oauth2/token", "app", url.Values{"grant_type": {grant}, "code": {"x"}}).str("error") != "unsupported_grant_type"
}

func (m *metadata) takesSubject(kind string) bool {
	f := startForm("x", m.token(m.cookie, "app", actorScope))
	f.Set("subject_token_type", kind)
	return !strings.HasPrefix(m.post("/oauth2/token", "app", f).str("error_description"), "subject_token_type:")
}

func (m *metadata) takesActor(kind string) bool {
	f := startForm(m.ticket(m.cookie, "app", "john", "read"), m.token(m.cookie, "app", actorScope))
	f.Set("actor_token_type", kind)
	return m.post("/oauth2/token", "app", f).status == http.StatusOK
}

func (m *metadata) signsIDToken(algorithm string) bool {
	m.newClient("alg "+algorithm, func(c *store.Client) { c.Settings.IDTokenAlg = algorithm })
	r := m.authorize(m.cookie, func(q url.Values) { q.Set("client_id", "alg "+algorithm) })
	id := m.post("/oauth2/token", "alg "+algorithm, redeem(r.location.Query().Get("code"))).str("id_token")
	if id == "" {
		return false
	}
	header, _ := claims(m.t, id)
	return header["alg"] == algorithm
}

// jws signs payload with a new key of algorithm, whose public half it gives; "" where that algorithm has none.
func (m *metadata) jws(algorithm, typ string, payload map[string]any, embed bool) (string, jose.JSONWebKey) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case "RS256", "PS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return "", jose.JSONWebKey{}
	}
	m.must(err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: private},
		(&jose.SignerOptions{EmbedJWK: embed}).WithType(jose.ContentType(typ)))
	m.must(err)
	body, err := json.Marshal(payload)
	m.must(err)
	signed, err := signer.Sign(body)
	m.must(err)
	out, err := signed.CompactSerialize()
	m.must(err)
	return out, jose.JSONWebKey{Key: private.Public(), Algorithm: algorithm, Use: "sig", KeyID: "k"}
}

func (m *metadata) takesProof(algorithm string) bool {
	claims := map[string]any{"htm": http.MethodPost, "htu": m.issuer + "/oauth2/token", "iat": m.clock.Now().Unix()}
	var r reply
	for range 2 { // the first answer gives the nonce
		claims["jti"] = oauth.NewID("jti")
		proof, _ := m.jws(algorithm, "dpop+jwt", claims, true)
		if proof == "" {
			return false
		}
		r = m.sent("/oauth2/token", "app", redeem(m.code(m.cookie, "app", "openid")), proof)
		claims["nonce"] = r.header.Get("DPoP-Nonce")
	}
	return r.str("token_type") == "DPoP"
}

func (m *metadata) takesAssertion(path, algorithm string) bool {
	now, id := m.clock.Now().Unix(), oauth.NewID("client")
	assertion, key := m.jws(algorithm, "JWT", map[string]any{"iss": id, "sub": id, "aud": m.issuer, "jti": oauth.NewID("jti"), "iat": now, "exp": now + 60}, false)
	if assertion == "" {
		return false
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	m.must(err)
	m.newClient(id, func(c *store.Client) { c.Settings.Auth, c.Settings.Keys = store.AuthPrivateKey, set })
	form := redeem("no-such-code")
	form.Set("token", "no.such.token")
	maps.Copy(form, asserting(assertion))
	return m.send(call{method: http.MethodPost, path: path, body: form}).str("error") != "invalid_client"
}

// tellsLogout is what a client is told when a person signs out, nil for nothing.
func (m *metadata) tellsLogout() (told map[string]any) {
	id := oauth.NewID("ear")
	e := m.ear(id)
	stop := m.running()
	defer stop()
	cookie, _ := m.login("sue")
	m.token(cookie, id, "openid")
	m.form("/sign-out", cookie, url.Values{})
	within(m.t, "a logout token", func() error {
		if heard := e.heard(); len(heard) > 0 {
			_, told = claims(m.t, heard[0])
			return nil
		}
		return os.ErrDeadlineExceeded
	})
	return told
}

// longest is for how many seconds an impersonation may be asked, of the times that the page has.
func (m *metadata) longest() any {
	actor := m.token(m.cookie, "app", actorScope)
	f := why("john", "read")
	f.Set("minutes", "60")
	r := m.form("/impersonate?"+ask("app"), m.cookie, f)
	if r.location == nil {
		return r.body
	}
	seconds, _ := m.post("/oauth2/token", "app", startForm(r.location.Query().Get("ticket"), actor)).json["expires_in"].(float64)
	return math.Ceil(seconds/60) * 60 // its end is a whole second
}

// TestMetadataAgrees: the documents of both standards are one, byte for byte.
//
// Covers RFC8414-2-03, OIDCD-3-01.
func TestMetadataAgrees(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	want := h.get(discoveryPath, "").body
	if got := h.get("/.well-known/oauth-authorization-server", "").body; got != want {
		t.Errorf("the documents differ:\n%s\n%s", want, got)
	}
}

// TestIssuerHasNoPath: the cookies' prefix allows no path, so no issuer has one, and no well-known address with one answers.
//
// Covers RFC8414-3-01.
func TestIssuerHasNoPath(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	for _, public := range []string{"https://id.acme.test/tenant", "https://id.acme.test/", "https://id.acme.test?x", "id.acme.test"} {
		if _, err := server.New(context.Background(), server.Config{PublicURL: public, Store: h.store, Registry: policy.Default(), Box: h.box}); err == nil {
			t.Errorf("an issuer %s was taken", public)
		}
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server/tenant", "/tenant" + discoveryPath, discoveryPath + "/"} {
		if r := h.get(path, ""); r.status != http.StatusNotFound {
			t.Errorf("%s: got %d; want 404", path, r.status)
		}
	}
}

// TestOnlyOverTLS: an issuer that is not on this machine is https, or there is no server. All that it announces is https, and every answer
// bids browsers to come by nothing else. Which way a request came it cannot know where TLS ends at a proxy, and whatever a header says of
// it counts for nothing: that nothing comes in plain there is the proxy's part. Where TLS ends here, cmd/understudy's TestServeTLS has it.
//
// Covers RFC8693-6-01.
func TestOnlyOverTLS(t *testing.T) {
	t.Parallel()
	h := setup(t, options{issuer: "https://id.acme.test"})
	for _, public := range []string{"http://id.acme.test", "HTTP://id.acme.test", "http://localhost.acme.test", "http://192.0.2.1", "ftp://id.acme.test"} {
		if _, err := server.New(context.Background(), server.Config{PublicURL: public, Store: h.store, Registry: policy.Default(), Box: h.box}); err == nil {
			t.Errorf("an issuer %s was taken", public)
		}
	}
	document := []byte(h.get(discoveryPath, "").body)
	if bytes.Contains(document, []byte(`"http:`)) || !bytes.Contains(document, []byte(`"issuer":"https://id.acme.test"`)) {
		t.Errorf("an https issuer announces %s", document)
	}
	for what, r := range map[string]reply{
		"metadata": h.get(discoveryPath, ""), "page": h.get("/sign-in", ""), "no route": h.get("/nowhere", ""),
		"token": h.post("/oauth2/token", "app", redeem("x")), "no client": h.form("/oauth2/token", "", redeem("x")),
	} {
		if got := r.header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
			t.Errorf("%s: Strict-Transport-Security is %q", what, got)
		}
	}
}
