package server_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// authorize sends an authorization request with changes.
func (h *house) authorize(cookie string, change func(url.Values)) reply {
	h.t.Helper()
	q := url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"12345678"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	change(q)
	return h.get("/oauth2/auth?"+q.Encode(), cookie)
}

// TestAuthorize: every answer of the endpoint, and where it goes.
//
// Covers OIDC-3.1.2.1-01, OIDC-3.1.2.1-02, RFC7636-4.4.1-01.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	john, _ := h.login("john")
	tokens := h.post("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid")))
	hint, access := tokens.str("id_token"), tokens.str("access_token")
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }

	// Answers at the redirect_uri, with state and iss (RFC 9207).
	for name, c := range map[string]struct {
		cookie string
		change func(url.Values)
		want   string // the error, "" for a code
	}{
		"good":                     {cookie, func(url.Values) {}, ""},
		"silent":                   {cookie, set("prompt", "none"), ""},
		"silent, nobody signed in": {"", set("prompt", "none"), "login_required"},
		"silent, too long ago":     {cookie, func(q url.Values) { q.Set("prompt", "none"); q.Set("max_age", "0") }, "login_required"},
		"hint at ann":              {cookie, func(q url.Values) { q.Set("prompt", "none"); q.Set("id_token_hint", hint) }, ""},
		"hint at ann, as john":     {john, func(q url.Values) { q.Set("prompt", "none"); q.Set("id_token_hint", hint) }, "login_required"},
		"hint by an access token":  {cookie, set("id_token_hint", access), "invalid_request"},
		"max_age is no number":     {cookie, set("max_age", "soon"), "invalid_request"},
		"other prompt":             {cookie, set("prompt", "consent"), "invalid_request"},
		"implicit":                 {cookie, set("response_type", "token"), "unsupported_response_type"},
		"fragment":                 {cookie, set("response_mode", "fragment"), "invalid_request"},
		"request object":           {cookie, set("request", "x.y.z"), "request_not_supported"},
		"request_uri":              {cookie, set("request_uri", "https://evil.test/"), "request_uri_not_supported"},
		"scope of nobody":          {cookie, set("scope", "openid admin"), "invalid_scope"},
		"the marker":               {cookie, set("scope", "openid impersonation:write"), "invalid_scope"},
		"short state":              {cookie, set("state", "1"), "invalid_request"},
		"no challenge":             {cookie, func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
	} {
		h.clock.advance(time.Second)
		r := h.authorize(c.cookie, c.change)
		if r.location == nil || !strings.HasPrefix(r.location.String(), callback) {
			t.Errorf("%s: got %d %v", name, r.status, r.location)
			continue
		}
		q := r.location.Query()
		if q.Get("error") != c.want || (q.Get("code") != "") != (c.want == "") || q.Get("iss") != h.url || q.Get("state") == "" {
			t.Errorf("%s: got %v; want error %q", name, q, c.want)
		}
	}

	// Never a redirect to where nobody registered.
	for name, change := range map[string]func(url.Values){
		"unknown client": set("client_id", "nobody"), "no client": func(q url.Values) { q.Del("client_id") }, "other port": set("redirect_uri", "http://127.0.0.1:9998/callback"),
		"query added": set("redirect_uri", callback+"?x"), "case": set("redirect_uri", "HTTP://127.0.0.1:9999/callback"), "no redirect_uri": func(q url.Values) { q.Del("redirect_uri") },
	} {
		if r := h.authorize(cookie, change); r.status != http.StatusBadRequest || r.location != nil {
			t.Errorf("%s: got %d to %v; want a page that says so", name, r.status, r.location)
		}
	}

	// A request_uri of elsewhere is the fault, whether or not the rest came beside it.
	for _, uri := range []string{"urn:x", "https://evil.test/"} {
		r := h.get("/oauth2/auth?"+url.Values{"client_id": {"app"}, "request_uri": {uri}}.Encode(), cookie)
		if r.status != http.StatusBadRequest || r.location != nil || !strings.Contains(r.body, "request_uri: only one that was pushed here") {
			t.Errorf("request_uri %s alone: got %d %v %s; want a page that names request_uri", uri, r.status, r.location, r.body)
		}
	}

	// Nobody signed in, or to be asked again: the sign-in, and back without prompt.
	for name, c := range map[string]struct {
		cookie string
		change func(url.Values)
	}{"nobody": {"", func(url.Values) {}}, "again": {cookie, set("prompt", "login")}, "too old": {cookie, set("max_age", "1")}} {
		r := h.authorize(c.cookie, c.change)
		if r.location == nil || r.location.Path != "/sign-in" || strings.Contains(r.location.Query().Get("return_to"), "prompt") {
			t.Errorf("%s: got %d %v; want the sign-in", name, r.status, r.location)
		}
	}
}

// TestScopesOfPeople: a token has what its person could get, and impersonate only for those whom some role lets.
func TestScopesOfPeople(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	for user, want := range map[string]string{"ann": "app:write impersonate openid", "john": "app:write openid"} {
		cookie, _ := h.login(user)
		_, c := claims(t, h.token(cookie, "app", "openid impersonate app:write"))
		if c["scope"] != want || c["aud"] != resource || c["act"] != nil {
			t.Errorf("%s: scope %v; want %q", user, c["scope"], want)
		}
	}
}

func TestUserinfo(t *testing.T) { onBoth(t, testUserinfo) }

func testUserinfo(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("sue")
	ask := func(token string) reply {
		req, err := http.NewRequest(http.MethodGet, h.url+"/userinfo", nil)
		h.must(err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return h.do(req)
	}
	r := ask(h.token(cookie, "app", "openid profile email roles"))
	if r.status != http.StatusOK || r.str("sub") != "sue" || r.str("name") != "Sue Support" || r.str("email") != "sue@acme.test" || r.str("organisation") != "acme" || r.json["act"] != nil {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := ask(h.token(cookie, "app", "openid")); r.str("sub") != "sue" || len(r.json) != 1 {
		t.Errorf("with openid alone: got %s", r.body)
	}
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"no token":   {"", 401, `Bearer realm="understudy"`},
		"garbage":    {"x", 401, `error="invalid_token"`},
		"no openid":  {h.token(cookie, "app", "profile"), 403, `error="insufficient_scope"`},
		"signed out": {h.token(cookie, "app", "openid"), 401, `error="invalid_token"`},
	} {
		if name == "signed out" {
			defer func() {
				h.form("/sign-out", cookie, nil)
				if r := ask(c.token); r.status != c.status || !strings.Contains(r.header.Get("WWW-Authenticate"), c.code) {
					t.Errorf("signed out: got %d %s", r.status, r.body)
				}
			}()
			continue
		}
		if r := ask(c.token); r.status != c.status || !strings.Contains(r.header.Get("WWW-Authenticate"), c.code) {
			t.Errorf("%s: got %d, WWW-Authenticate %q", name, r.status, r.header.Get("WWW-Authenticate"))
		}
	}
}

func TestRevoke(t *testing.T) { onBoth(t, testRevoke) }

func testRevoke(t *testing.T, o options) {
	h := setup(t, o)
	revoke := func(client, token string) reply {
		return h.post("/oauth2/revoke", client, url.Values{"token": {token}, "token_type_hint": {"refresh_token"}})
	}
	s := h.start("ann", "app", "john", "read")
	for name, token := range map[string]string{"garbage": "x", "unknown secret": strings.Repeat("x", 43)} {
		if r := revoke("app", token); r.status != http.StatusOK || r.body != "" {
			t.Errorf("%s: got %d %s; want 200 (RFC 7009 section 2.2)", name, r.status, r.body)
		}
	}
	for name, token := range map[string]string{"impersonation": s.token, "return token": s.ret, "admin's": s.actor} {
		if r := revoke("other", token); r.status != http.StatusBadRequest {
			t.Errorf("%s, by another client: got %d %s; want 400 (RFC 7009 section 2.1)", name, r.status, r.body)
		}
	}
	if !h.active("app", s.token) || !h.active("app", s.actor) {
		t.Fatal("another client revoked")
	}
	if r := revoke("app", s.ret); r.status != http.StatusOK || h.active("app", s.token) {
		t.Errorf("revoking the return token: got %d, and the session goes on", r.status)
	}
	refused(t, h.post("/oauth2/token", "app", stopForm(s.ret)), 400, "invalid_request")

	// An expired token is ours all the same: a stop that comes late is on record as one.
	s = h.start("ann", "app", "john", "read")
	h.clock.advance(31 * time.Minute)
	if r := revoke("app", s.token); r.status != http.StatusOK {
		t.Errorf("expired: got %d", r.status)
	}
	got, err := h.store.Session(context.Background(), s.sid)
	h.must(err)
	if got.EndReason != impersonation.EndRevoked {
		t.Errorf("ended by %q; want revoked", got.EndReason)
	}
	if r := revoke("app", s.actor); r.status != http.StatusOK || h.active("app", s.actor) {
		t.Errorf("the admin's own: got %d", r.status)
	}
}

// skewed is a store whose clock is off.
type skewed struct {
	store.Store
	by time.Duration
}

func (s *skewed) Ready(ctx context.Context) (time.Time, error) {
	now, err := s.Store.Ready(ctx)
	return now.Add(s.by), err
}

func TestHealth(t *testing.T) { onBoth(t, testHealth) }

func testHealth(t *testing.T, o options) {
	var k *skewed
	h := setup(t, o.wrapped(func(s store.Store) store.Store { k = &skewed{Store: s}; return k }))
	get := func(path string) int {
		r := recorded(h.private, path)
		return r.Code
	}
	if got := get("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz = %d", got)
	}
	if got := get("/readyz"); got != http.StatusOK {
		t.Errorf("/readyz = %d", got)
	}
	for _, k.by = range []time.Duration{3 * time.Second, -3 * time.Second} {
		if got := get("/readyz"); got != http.StatusServiceUnavailable {
			t.Errorf("/readyz with a clock off by %v = %d; want 503", k.by, got)
		}
	}
	k.by = 0
	h.must(h.store.Close())
	if got := get("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz without a store = %d; want 503", got)
	}
	if got := get("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz without a store = %d; want 200: a restart would not help", got)
	}
}
