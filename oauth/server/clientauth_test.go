package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"

	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// addKeyed adds a client that authenticates by private_key_jwt, and gives its key. It has a secret on record too, from before.
func (h *house) addKeyed(id string) *prover {
	h.t.Helper()
	p := newProver(h)
	jwk := p.jwk()
	jwk["kid"] = "key-of-" + id
	set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	h.must(err)
	h.addPinned(id, func(c *store.Client) { c.Settings.Auth, c.Settings.Keys = store.AuthPrivateKey, set })
	return p
}

// addPinned adds a client like app, but for what change does.
func (h *house) addPinned(id string, change func(*store.Client)) {
	h.t.Helper()
	c, err := h.store.Client(context.Background(), "app")
	h.must(err)
	secret := oauth.NewSecret()
	h.secrets[id] = string(secret)
	c.ID, c.SecretHash, c.Created = id, secret.Hash(), h.clock.Now()
	change(&c)
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: c}))
}

// addMethods adds a client of each method, by the method's name, and gives the key of the one that has one.
func (h *house) addMethods() *prover {
	h.t.Helper()
	h.addPinned(string(store.AuthBasic), func(*store.Client) {})
	h.addPinned(string(store.AuthPost), func(c *store.Client) { c.Settings.Auth = store.AuthPost })
	h.addPinned(string(store.AuthNone), func(c *store.Client) { c.Public, c.Exchange = true, false })
	return h.addKeyed(string(store.AuthPrivateKey))
}

// assertion is a good one of client, but for what twists do.
func (p *prover) assertion(client string, twists ...twist) string {
	header, payload := p.assertionParts(client)
	for _, twist := range twists {
		twist(header, payload)
	}
	return p.sign(encode(p.h.t, header), encode(p.h.t, payload))
}

func (p *prover) assertionParts(client string) (header, payload map[string]any) {
	now := p.h.clock.Now().Unix()
	return map[string]any{"alg": "ES256", "typ": "client-authentication+jwt"},
		map[string]any{"iss": client, "sub": client, "aud": p.h.issuer, "jti": oauth.NewID("jti"), "iat": now, "exp": now + 60}
}

func asserting(assertion string) url.Values {
	return url.Values{"client_assertion": {assertion}, "client_assertion_type": {assertionType}}
}

// ways gives c with the authentication of each method, rightly done for client. The assertion is by key.
func (h *house) ways(client string, key *prover, c call) map[store.AuthMethod]call {
	with := func(more url.Values) call {
		c := c.clone()
		maps.Copy(c.body, more)
		return c
	}
	return map[store.AuthMethod]call{
		store.AuthBasic:      h.as(client, c),
		store.AuthPost:       with(url.Values{"client_id": {client}, "client_secret": {h.secrets[client]}}),
		store.AuthPrivateKey: with(asserting(key.assertion(client))),
		store.AuthNone:       with(url.Values{"client_id": {client}}),
	}
}

var authMethods = []store.AuthMethod{store.AuthBasic, store.AuthPost, store.AuthPrivateKey, store.AuthNone}

// TestClientAuthIsPinned: of all ways to authenticate, rightly done, each client may use the one that it is registered for, and all
// others look like a wrong secret. A secret of before is worth nothing to a client that has a key now.
// Covers RFC9700-2.5-01, RFC6749-2.3-01, RFC7662-2.1-01.
func TestClientAuthIsPinned(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	key := h.addMethods()
	for path, want := range map[string]reply{
		"/oauth2/token": {status: 400, json: map[string]any{"error": "invalid_grant"}}, "/oauth2/introspect": {status: 200}, "/oauth2/revoke": {status: 200},
		"/oauth2/par": {status: 400, json: map[string]any{"error": "unsupported_response_type"}},
	} {
		form := redeem("no-such-code")
		form.Set("token", "no.such.token")
		form.Set("response_type", "token")
		for _, pinned := range authMethods {
			for way, c := range h.ways(string(pinned), key, call{method: "POST", path: path, body: form}) {
				if path == "/oauth2/par" { // RFC 9126 §2.1 wants it beside whatever authenticates
					c.body.Set("client_id", string(pinned))
				}
				r := h.send(c)
				if way != pinned || way == store.AuthNone && path == "/oauth2/introspect" {
					refused(t, r, 401, "invalid_client")
					if _, ok := r.json["active"]; ok {
						t.Errorf("%s: a client of %s came by %s and was told %s", path, pinned, way, r.body)
					}
				} else if r.status != want.status || r.str("error") != want.str("error") {
					t.Errorf("%s: a client of %s got %d %s; want it authenticated", path, pinned, r.status, r.body)
				}
			}
		}
	}
	if !strings.Contains(h.logs.String(), "came by client_secret_basic, is registered for private_key_jwt") {
		t.Error("the log does not say which rule it was")
	}
}

// TestActionsByAssertion: an app with a key puts its assertion beside its actions; no other way of the body counts there.
func TestActionsByAssertion(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	key := h.addKeyed("keyed")
	body := func(members ...string) string {
		return `{"actions":[],` + strings.Join(members, ",") + `}`
	}
	kind := `"client_assertion_type":"` + assertionType + `"`
	fresh := func() string { return `"client_assertion":"` + key.assertion("keyed") + `"` }
	used := fresh()
	for _, c := range []struct {
		name, client, body string
		status             int
	}{
		{"an assertion", "", body(kind, used), 400}, // authenticated: an empty list is refused
		{"the same again", "", body(kind, used), 401},
		{"without its type", "", body(fresh()), 400},
		{"its type alone", "", body(kind), 400},
		{"of another type", "", body(fresh(), `"client_assertion_type":"x"`), 401},
		{"twice", "", body(fresh(), fresh(), kind), 400},
		{"with a secret", "keyed", body(fresh(), kind), 400},
		{"no string", "", body(`"client_assertion":{}`, kind), 400},
		{"a secret in JSON", "", body(`"client_secret":"` + h.secrets["app"] + `"`), 400},
	} {
		r := h.act(c.client, c.body)
		if r.status != c.status || (c.status == 401) != (r.str("error") == "invalid_client") {
			t.Errorf("%s: got %d %s; want %d", c.name, r.status, r.body, c.status)
		}
		if authenticated := strings.Contains(r.str("error_description"), "actions: must be"); authenticated != (c.name == "an assertion") {
			t.Errorf("%s: got %d %s; authenticated: %t", c.name, r.status, r.body, authenticated)
		}
	}
}

// TestEncodedSecrets: both halves of Basic are form-encoded before they are joined, so an id or a secret may have any character.
// Covers RFC6749-2.3.1-01.
func TestEncodedSecrets(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	const id, secret = "a:b %+c", "p:a%ss+w rd%41ß=&"
	h.secrets[id] = secret
	h.addPinned(id, func(c *store.Client) { c.SecretHash = oauth.Secret(secret).Hash() })
	for _, c := range []struct {
		name, user, password string
		ok                   bool
	}{
		{"encoded", url.QueryEscape(id), url.QueryEscape(secret), true},
		{"space as %20", url.PathEscape(strings.ReplaceAll(id, ":", "%3A")), strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"), false}, // %3A became %253A
		{"secret with %20 for the space", url.QueryEscape(id), strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"), true},
		{"raw", id, secret, false},
		{"raw secret", url.QueryEscape(id), secret, false},
		{"encoded twice", url.QueryEscape(id), url.QueryEscape(url.QueryEscape(secret)), false},
	} {
		req := httptest.NewRequest(http.MethodPost, h.url+"/oauth2/revoke", strings.NewReader("token=x"))
		req.RequestURI = ""
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(c.user, c.password)
		if r := h.do(req); (r.status == 200) != c.ok || !c.ok && r.str("error") != "invalid_client" {
			t.Errorf("%s: got %d %s; want authenticated: %t", c.name, r.status, r.body, c.ok)
		}
	}
}

// TestCredentialsInURL: nowhere do credentials count that stand in the URL.
// Covers RFC6749-2.3.1-02.
func TestCredentialsInURL(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	key := h.addMethods()
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/par"} {
		form := redeem("no-such-code")
		form.Set("token", "no.such.token")
		for _, query := range []url.Values{
			{"client_id": {string(store.AuthPost)}, "client_secret": {h.secrets[string(store.AuthPost)]}},
			{"client_id": {string(store.AuthNone)}}, asserting(key.assertion(string(store.AuthPrivateKey))),
		} {
			refused(t, h.send(call{method: "POST", path: path, query: query, body: form}), 400, "invalid_request")
			in := cloneValues(form)
			in.Set("client_id", string(store.AuthPost))
			refused(t, h.send(call{method: "POST", path: path, query: query, body: in}), 400, "invalid_request")
		}
	}
}

// TestAuthMethodsAnnounced: the methods that the metadata name are those that work, with the algorithms of assertions.
// Covers RFC8414-2-02.
func TestAuthMethodsAnnounced(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	document := h.get("/.well-known/oauth-authorization-server", "").json
	confidential := []any{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	for endpoint, want := range map[string][]any{
		"token": append(slices.Clone(confidential), "none"), "revocation": append(slices.Clone(confidential), "none"), "introspection": confidential,
	} {
		if diff := cmp.Diff(want, document[endpoint+"_endpoint_auth_methods_supported"]); diff != "" {
			t.Errorf("%s, methods (-want +got):\n%s", endpoint, diff)
		}
		if diff := cmp.Diff([]any{"ES256", "EdDSA", "RS256"}, document[endpoint+"_endpoint_auth_signing_alg_values_supported"]); diff != "" {
			t.Errorf("%s, algorithms (-want +got):\n%s", endpoint, diff)
		}
	}
}

// TestAssertionIsNoGrant: what authenticates a client is not what a grant wants, nor the reverse.
// Covers RFC7523-3.1-01.
func TestAssertionIsNoGrant(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	key := h.addKeyed("keyed")
	refused(t, h.post("/oauth2/token", "app", url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {key.assertion("keyed")},
	}), 400, "unsupported_grant_type")
	form := startForm(key.assertion("keyed"), key.assertion("keyed"))
	form.Set("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
	refused(t, h.post("/oauth2/token", "app", form), 400, "invalid_request")

	s := h.start("ann", "app", "john", "read")
	for name, token := range map[string]string{"an access token": s.actor, "an impersonation token": s.token} {
		form := redeem("no-such-code")
		maps.Copy(form, asserting(token))
		if r := h.send(call{method: "POST", path: "/oauth2/token", body: form}); r.status != 401 {
			t.Errorf("%s as assertion: got %d %s", name, r.status, r.body)
		}
	}
}

// TestExchangeNeedsItsClient: a client that authenticates by nothing, or is not registered for the grant, is told so whatever its
// tokens are.
// Covers RFC8693-2.1-15, RFC8693-2.1-16.
func TestExchangeNeedsItsClient(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addMethods()
	h.addPinned("reader", func(c *store.Client) { c.Exchange = false })
	h.addPinned("liar", func(c *store.Client) { c.Public = true }) // an exchange that no registration of ours can have
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	ticket := h.ticket(cookie, "app", "john", "read")

	good := startForm(ticket, actor)
	for _, form := range []url.Values{good, startForm("x", "y"), {"grant_type": {oauth.GrantTypeTokenExchange}}} {
		refused(t, h.form("/oauth2/token", "", form), 401, "invalid_client")
		public := cloneValues(form)
		for _, id := range []string{string(store.AuthNone), "liar"} {
			public.Set("client_id", id)
			refused(t, h.form("/oauth2/token", "", public), 400, "unauthorized_client")
		}
		refused(t, h.post("/oauth2/token", "reader", form), 400, "unauthorized_client")
	}
	if r := h.post("/oauth2/token", "app", good); r.status != 200 {
		t.Errorf("the client itself, afterwards: got %d %s", r.status, r.body)
	}
}

// TestAssertionOnceUnderRace: of 32 uses of one assertion at once, at four endpoints, exactly one authenticates.
// Covers RFC7523-3-05.
func TestAssertionOnceUnderRace(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		assertOnce(t, h)
	})
}

// TestAssertionOnceAcrossReplicas is the same where the uses are spread over two servers on one database.
// Covers RFC7523-3-05.
func TestAssertionOnceAcrossReplicas(t *testing.T) {
	t.Parallel()
	h := setup(t, options{on: onPostgres})
	assertOnce(t, h, h.replica(options{}))
}

func assertOnce(t *testing.T, servers ...*house) {
	h, n := servers[0], rounds
	if testing.Short() {
		n /= 10
	}
	key := h.addKeyed("keyed")
	paths := []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/par", "/oauth2/revoke"}
	for round := range n {
		form := redeem("no-such-code")
		form.Set("token", "no.such.token")
		maps.Copy(form, asserting(key.assertion("keyed")))
		var mu sync.Mutex
		var next int
		found := raceOnce(servers, func(h *house) reply {
			mu.Lock()
			path := paths[next%len(paths)]
			next++
			mu.Unlock()
			return h.send(call{method: "POST", path: path, body: form})
		})
		counts := make(map[int]int)
		for _, r := range found {
			counts[r.status]++
			if r.status == 401 && r.str("error") != "invalid_client" {
				t.Errorf("a loser got %s", r.body)
			}
		}
		if won := racers - counts[401] - counts[503]; won != 1 && (counts[503] == 0 || won > 1) {
			t.Fatalf("round %d: got %v; want one that authenticated, and all others 401", round, counts)
		}
	}
}

// raceOnce is race without asking again: who is told 503 does not know whether the jti is spent, and makes another.
func raceOnce(servers []*house, f func(*house) reply) []reply {
	var wg sync.WaitGroup
	gate, found := make(chan struct{}), make([]reply, racers)
	for i := range racers {
		wg.Go(func() {
			<-gate
			found[i] = f(servers[i%len(servers)])
		})
	}
	close(gate)
	wg.Wait()
	return found
}

// TestAssertionSpaces: a jti is one client's own: two clients may use the same, and neither burns the other's.
// Covers RFC7523-3-05.
func TestAssertionSpaces(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	for _, id := range []string{"one", "two"} {
		form := asserting(h.addKeyed(id).assertion(id, claim("jti", "the same")))
		form.Set("token", "x")
		if r := h.form("/oauth2/revoke", "", form); r.status != 200 {
			t.Errorf("%s: got %d %s", id, r.status, r.body)
		}
		refused(t, h.form("/oauth2/revoke", "", form), 401, "invalid_client")
	}
}

// TestAssertionAndStore: a store that cannot say whether a jti was used is 503, never a wrong client.
func TestAssertionAndStore(t *testing.T) {
	t.Parallel()
	down := new(noUseOnce)
	h := setup(t, options{}.wrapped(func(s store.Store) store.Store { down.Store = s; return down }))
	form := asserting(h.addKeyed("keyed").assertion("keyed"))
	form.Set("token", "x")
	r := h.form("/oauth2/revoke", "", form)
	refused(t, r, 503, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

type noUseOnce struct{ store.Store }

func (noUseOnce) UseOnce(context.Context, string, string, time.Time, time.Time) error {
	return fmt.Errorf("using a value once: %w", store.ErrUnavailable)
}

// TestClientNamedAsUser: a client whose id is a user's has a sub that no user has, so its own token is nobody's: neither the actor of
// an admin's ticket, nor a user at userinfo.
// Covers RFC9068-5-01.
func TestClientNamedAsUser(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addPinned("ann", func(c *store.Client) { c.Settings.Service = oauth.ActorService })
	r := h.post("/oauth2/token", "ann", url.Values{"grant_type": {"client_credentials"}, "scope": {"app:read impersonate"}})
	if r.status != 200 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	own := r.str("access_token")
	if _, payload := claims(t, own); payload["sub"] != "client:ann" {
		t.Errorf("sub is %v; want one that no user can have", payload["sub"])
	}
	if r := h.userinfo(own); r.status == 200 {
		t.Errorf("userinfo took it for a user's: %s", r.body)
	}
	cookie, _ := h.login("ann")
	refused(t, h.post("/oauth2/token", "ann", startForm(h.ticket(cookie, "ann", "john", "read"), own)), 400, "invalid_request")
	u := directory.User{ID: "client:ann", Email: "x@acme.test", Name: "X", Enabled: true, Created: h.clock.Now()}
	if err := u.Validate(); err == nil {
		t.Error("a user may be named as a client's own sub")
	}
}
