package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

const requestURI = "urn:ietf:params:oauth:request_uri:"

// authForm is a good authorization request of client.
func authForm(client string) url.Values {
	return url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"12345678"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
}

// newClient registers a client like app, with changes.
func (h *house) newClient(id string, change func(*store.Client)) {
	h.t.Helper()
	secret := oauth.NewSecret()
	h.secrets[id] = string(secret)
	c := store.Client{
		Client: policy.Client{ID: id, Exchange: true, Resources: []string{resource},
			Scopes: []string{"openid", "profile", "email", "roles", "app:read", "app:write", "impersonate"}},
		Name: "The " + id, SecretHash: secret.Hash(), RedirectURIs: []string{callback}, Created: time.Now(),
	}
	change(&c)
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: c}))
}

// push pushes a request of client and gives the path to send the browser to.
func (h *house) push(client string, f url.Values) string {
	h.t.Helper()
	r := h.post("/oauth2/par", client, f)
	if r.status != http.StatusCreated {
		h.t.Fatalf("push: got %d %s", r.status, r.body)
	}
	return pushedAt(client, r.str("request_uri"))
}

func pushedAt(client, uri string) string {
	return "/oauth2/auth?" + url.Values{"client_id": {client}, "request_uri": {uri}}.Encode()
}

// codeAt demands a code, with state and iss.
func (h *house) codeAt(r reply) string {
	h.t.Helper()
	if r.status != http.StatusSeeOther || r.location == nil || !strings.HasPrefix(r.location.String(), callback) {
		h.t.Fatalf("got %d %v %s; want a code", r.status, r.location, r.body)
	}
	q := r.location.Query()
	if q.Get("code") == "" || q.Get("state") != "12345678" || q.Get("iss") != h.issuer {
		h.t.Errorf("got %v; want a code with state and iss", q)
	}
	return q.Get("code")
}

// onPage demands a page of ours that says no, and no redirect.
func onPage(t *testing.T, what string, r reply) {
	t.Helper()
	if r.status != http.StatusBadRequest || r.location != nil || !strings.Contains(r.header.Get("Content-Type"), "text/html") {
		t.Errorf("%s: got %d to %v; want a page that says no", what, r.status, r.location)
	}
}

// TestPush goes from a pushed request to a token, and looks at what is handed out on the way.
// Covers RFC9126-2.2-01, RFC9207-2-01.
func TestPush(t *testing.T) { onBoth(t, testPush) }

func testPush(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("ann")
	seen := make(map[string]bool)
	for range 20 {
		r := h.post("/oauth2/par", "app", authForm("app"))
		secret, ours := strings.CutPrefix(r.str("request_uri"), requestURI)
		if r.status != http.StatusCreated || r.json["expires_in"] != 600.0 || r.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("got %d %s %v", r.status, r.body, r.header)
		}
		if !ours || len(secret) != oauth.SecretLength || seen[secret] {
			t.Errorf("request_uri %q; want 256 bits of its own", r.str("request_uri"))
		}
		seen[secret] = true
	}
	for name, lines := range h.base.dump(t) {
		for secret := range seen {
			if strings.Contains(strings.Join(lines, "\n"), secret) {
				t.Errorf("the table %s holds the secret of a request_uri", name)
			}
		}
	}
	at := h.push("app", authForm("app"))
	if r := h.post("/oauth2/token", "app", redeem(h.codeAt(h.get(at, cookie)))); r.status != http.StatusOK || r.str("id_token") == "" {
		t.Errorf("got %d %s; want tokens", r.status, r.body)
	}
	onPage(t, "after a completed flow", h.get(at, cookie))

	at = h.push("app", authForm("app"))
	theirs := strings.Replace(at, "client_id=app", "client_id=other", 1)
	onPage(t, "as another client", h.get(theirs, cookie))
	h.codeAt(h.get(at, cookie))
}

// TestPushRefused: whatever the authorization endpoint would refuse is refused before the browser is sent, as JSON, and leaves
// nothing.
// Covers RFC9126-2.1-01, RFC9126-2.3-01, RFC7636-4.3-01, RFC8707-2-02.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	h := setupSeen(t, options{})
	cookie, _ := h.login("ann")
	token := h.token(cookie, "app", "openid")
	h.newClient("bare", func(c *store.Client) { c.Resources = nil })
	before := h.base.dump(t)
	good := h.as("app", call{method: http.MethodPost, path: "/oauth2/par", body: authForm("app")})
	set := func(name string, values ...string) call {
		c := good.clone()
		c.body[name] = values
		return c
	}
	without := func(name string) call {
		c := good.clone()
		c.body.Del(name)
		return c
	}
	inQuery := good.clone()
	inQuery.query, inQuery.body = inQuery.body, url.Values{}
	get := good.clone()
	get.method = http.MethodGet
	anonymous := good.clone()
	anonymous.header.Del("Authorization")
	wrong := h.as("other", good)
	wrong.header.Set("Authorization", good.header.Get("Authorization")[:20]+"AAAA")
	bare := h.as("bare", set("client_id", "bare"))
	for name, c := range map[string]struct {
		call   call
		status int
		code   string
	}{
		"nobody":                     {anonymous, 401, "invalid_client"},
		"wrong secret":               {wrong, 401, "invalid_client"},
		"another's client_id":        {set("client_id", "other"), 400, "invalid_request"},
		"no client_id":               {without("client_id"), 400, "invalid_request"},
		"request_uri":                {set("request_uri", requestURI+"x"), 400, "invalid_request"},
		"request":                    {set("request", "x.y.z"), 400, "request_not_supported"},
		"registration":               {set("registration", "{}"), 400, "registration_not_supported"},
		"in the query":               {inQuery, 400, "invalid_request"},
		"GET":                        {get, 405, "invalid_request"},
		"JSON":                       {good.with("Content-Type", "application/json"), 415, "invalid_request"},
		"one value too long":         {set("nonce", strings.Repeat("x", 9000)), 413, "invalid_request"},
		"all too long":               {set("resource", strings.Repeat("x", 8000), strings.Repeat("y", 8000), strings.Repeat("x", 8000), strings.Repeat("x", 8000), strings.Repeat("z", 8000)), 413, "invalid_request"},
		"redirect_uri of nobody":     {set("redirect_uri", "https://evil.test/"), 400, "invalid_request"},
		"no redirect_uri":            {without("redirect_uri"), 400, "invalid_request"},
		"repeated":                   {set("state", "12345678", "12345678"), 400, "invalid_request"},
		"scope of nobody":            {set("scope", "openid admin"), 400, "invalid_scope"},
		"scope broken":               {set("scope", "openid  email"), 400, "invalid_scope"},
		"the marker":                 {set("scope", "openid impersonation:write"), 400, "invalid_scope"},
		"plain":                      {set("code_challenge_method", "plain"), 400, "invalid_request"},
		"plain by omission":          {without("code_challenge_method"), 400, "invalid_request"},
		"no challenge":               {without("code_challenge"), 400, "invalid_request"},
		"token":                      {set("response_type", "token"), 400, "unsupported_response_type"},
		"fragment":                   {set("response_mode", "fragment"), 400, "invalid_request"},
		"resource of nobody":         {set("resource", "https://api.evil.test/"), 400, "invalid_target"},
		"two resources":              {set("resource", resource, resource), 400, "invalid_target"},
		"client without resource":    {bare, 400, "unauthorized_client"},
		"prompt":                     {set("prompt", "none login"), 400, "invalid_request"},
		"max_age":                    {set("max_age", "-1"), 400, "invalid_request"},
		"acr of nobody":              {set("acr_values", "urn:example:gold"), 400, "unmet_authentication_requirements"},
		"hint that is no ID token":   {set("id_token_hint", token), 400, "invalid_request"},
		"state too long":             {set("state", strings.Repeat("x", 513)), 400, "invalid_request"},
		"state that can be guessed":  {set("state", "1"), 400, "invalid_request"},
		"not impersonating, perhaps": {set(oauth.ParamNotImpersonating, "maybe"), 400, "invalid_request"},
	} {
		r := h.send(c.call)
		if r.status != c.status || r.str("error") != c.code || r.json["request_uri"] != nil || r.location != nil {
			t.Errorf("%s: got %d %s; want %d %s", name, r.status, r.body, c.status, c.code)
		}
		if r.status == http.StatusMethodNotAllowed && r.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: Allow %q", name, r.header.Get("Allow"))
		}
	}
	onlyAudit(t, "refused pushes", before, h.base.dump(t))
	if r := h.send(good); r.status != http.StatusCreated {
		t.Errorf("the good one: got %d %s", r.status, r.body)
	}
}

// TestPushedOnce: of many browsers that come with one request_uri, one gets a code; nobody does once it has expired.
// Covers RFC9126-4-01.
func TestPushedOnce(t *testing.T) { onBoth(t, testPushedOnce) }

func testPushedOnce(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("ann")
	at := h.push("app", authForm("app"))
	for range 2 { // reloading the sign-in page is no use of it
		if r := h.get(at, ""); r.location == nil || r.location.Path != "/sign-in" {
			t.Fatalf("got %d %v; want the sign-in", r.status, r.location)
		}
	}
	var codes, pages atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			switch r := h.get(at, cookie); {
			case r.location != nil && r.location.Query().Get("code") != "":
				codes.Add(1)
			case r.status == http.StatusBadRequest && r.location == nil:
				pages.Add(1)
			}
		})
	}
	all.Wait()
	if codes.Load() != 1 || pages.Load() != 15 {
		t.Errorf("%d codes and %d pages; want 1 and 15", codes.Load(), pages.Load())
	}

	late := h.push("app", authForm("app"))
	h.clock.advance(9 * time.Minute)
	if r := h.get(late, ""); r.location == nil || r.location.Path != "/sign-in" {
		t.Errorf("within its life: got %d %v", r.status, r.location)
	}
	h.clock.advance(time.Minute)
	onPage(t, "expired", h.get(late, cookie))
	onPage(t, "expired, and nobody signed in", h.get(late, ""))
	onPage(t, "of nobody", h.get(pushedAt("app", requestURI+string(oauth.NewSecret())), cookie))
}

// TestPushedStands: what was pushed counts, and nothing that stands in the URL beside it.
// Covers RFC9126-4-01.
func TestPushedStands(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	f := authForm("app")
	f.Set("prompt", "login")
	at := h.push("app", f)
	evil := "&" + url.Values{"redirect_uri": {"https://evil.test/"}, "state": {"87654321"}, "scope": {"openid app:write"}, "prompt": {"none"},
		"code_challenge": {strings.Repeat("x", 43)}, "max_age": {"-1"}}.Encode()
	r := h.get(at+evil, cookie)
	if r.location == nil || r.location.Path != "/sign-in" {
		t.Fatalf("got %d %v; want the sign-in that was asked for", r.status, r.location)
	}
	back := r.location.Query().Get("return_to")
	if u, err := url.Parse(back); err != nil || len(u.Query()) != 2 || !u.Query().Has("request_uri") {
		t.Errorf("return_to is %q; want the request_uri and nothing that can be bent", back)
	}
	if r := h.get(back, cookie); r.location == nil || r.location.Path != "/sign-in" {
		t.Errorf("back without signing in: got %d %v; want the sign-in again", r.status, r.location)
	}
	h.clock.advance(time.Second)
	again, _ := h.login("ann")
	code := h.codeAt(h.get(back+evil, again))
	if r := h.post("/oauth2/token", "app", redeem(code)); r.status != http.StatusOK || r.str("scope") != "openid" {
		t.Errorf("got %d %s; want the scope that was pushed", r.status, r.body)
	}
}

// TestPushByPublicClient: who has no secret pushes too, and no more often than an address may.
// Covers RFC9126-2.3-01.
func TestPushByPublicClient(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	h.newClient("spa", func(c *store.Client) { c.Public, c.Exchange, c.SecretHash = true, false, oauth.Hash{} })
	at := h.push("", authForm("spa"))
	h.codeAt(h.get(strings.Replace(at, "client_id=", "client_id=spa", 1), cookie))
	for range 1000 {
		r := h.post("/oauth2/par", "", authForm("spa"))
		if r.status == http.StatusCreated {
			continue
		}
		if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
			t.Errorf("got %d %s; want 429 with Retry-After", r.status, r.body)
		}
		return
	}
	t.Error("a thousand pushes went through")
}

// TestPushesFromIPv6: whoever has one address there has all of its /64, and pushes no more often by that. A client that authenticates is
// not held to what strangers may.
func TestPushesFromIPv6(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addMethods()
	push := call{method: "POST", path: "/oauth2/par", body: authForm(string(store.AuthNone))}
	h.clock.stop()
	for i := range 120 {
		if r := h.from(fmt.Sprintf("[2001:db8::%x]:1", i+1), push); r.status != http.StatusCreated {
			t.Fatalf("%d: got %d %s", i, r.status, r.body)
		}
	}
	told(t, "a neighbour", h.from("[2001:db8::ffff:1]:1", push), 1)
	if r := h.from("[2001:db8:0:1::1]:1", push); r.status != http.StatusCreated {
		t.Errorf("another network: got %d %s", r.status, r.body)
	}
	keyed := h.as("app", call{method: "POST", path: "/oauth2/par", body: authForm("app")})
	for i := range 130 {
		if r := h.from("[2001:db8::1]:1", keyed); r.status != http.StatusCreated {
			t.Fatalf("a client that authenticates, %d: got %d %s", i, r.status, r.body)
		}
	}
}

// TestRequirePAR: a client that is registered so is refused without pushing.
// Covers RFC9126-4-01.
func TestRequirePAR(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	h.newClient("strict", func(c *store.Client) { c.Settings.RequirePAR = true })
	r := h.get("/oauth2/auth?"+authForm("strict").Encode(), cookie)
	if r.location == nil || r.location.Query().Get("error") != "invalid_request" || r.location.Query().Get("iss") != h.issuer {
		t.Errorf("got %d %v; want invalid_request", r.status, r.location)
	}
	h.codeAt(h.get(h.push("strict", authForm("strict")), cookie))
}
