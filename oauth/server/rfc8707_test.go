package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	api1 = "https://api-1.acme.test/"
	api2 = "https://api-2.acme.test/"
)

// twoResources registers two APIs, each with a scope of its own beside what both know.
func twoResources() options {
	reg := policy.Default()
	own := []string{"one:read", "two:read"}
	for i, uri := range []string{api1, api2} {
		reg.Scopes = append(reg.Scopes, policy.Scope{Name: own[i], Class: policy.ScopeRead})
		reg.Resources = append(reg.Resources, policy.Resource{URI: uri, AcceptsAct: true, Scopes: []string{"app:read", own[i]}})
	}
	for i := range reg.Roles {
		r := &reg.Roles[i]
		r.Scopes = slices.Concat(own, r.Scopes)
		if r.Impersonate != nil {
			r.Impersonate.Scopes = slices.Concat(own, r.Impersonate.Scopes)
		}
	}
	return options{registry: &reg}
}

// addAPIs registers web and bot, which may ask for tokens for both, and the servers api-1 and api-2.
func (h *house) addAPIs() {
	h.t.Helper()
	both := func(c *store.Client) {
		c.Resources, c.Scopes = []string{api1, api2}, append(c.Scopes, "one:read", "two:read")
		c.Settings.Refresh = true
	}
	h.newClient("web", both)
	h.newClient("bot", func(c *store.Client) { both(c); service(c) })
	h.newClient("api-1", func(c *store.Client) { c.Serves = []string{api1} })
	h.newClient("api-2", func(c *store.Client) { c.Serves = []string{api2} })
}

// targeting is f, for a resource with a scope; "" leaves either out.
func targeting(f url.Values, resource, scope string) url.Values {
	for name, value := range map[string]string{"resource": resource, "scope": scope} {
		if value != "" {
			f.Set(name, value)
		}
	}
	return f
}

// asking redeems the code that cookie gets at web. An error at the redirect_uri is given as if the token endpoint had said it.
func (h *house) asking(cookie, resource, scope string) reply {
	h.t.Helper()
	r := h.authorize(cookie, func(q url.Values) { targeting(q, resource, scope).Set("client_id", "web") })
	if r.location == nil {
		h.t.Fatalf("authorization: got %d %s", r.status, r.body)
	}
	if q := r.location.Query(); q.Has("error") {
		return reply{status: http.StatusBadRequest, json: map[string]any{"error": q.Get("error")}}
	}
	return h.post("/oauth2/token", "web", redeem(r.location.Query().Get("code")))
}

// targeted are the ways to a token for a resource with a scope.
var targeted = map[string]func(h *house, resource, scope string) reply{
	"code": func(h *house, resource, scope string) reply {
		cookie, _ := h.login("ann")
		return h.asking(cookie, resource, scope)
	},
	"start": func(h *house, resource, scope string) reply {
		cookie, _ := h.login("ann")
		page, err := url.ParseQuery(ask("web"))
		h.must(err)
		ticket := h.form("/impersonate?"+targeting(page, resource, "").Encode(), cookie, why("john", "read")).location.Query().Get("ticket")
		actor := h.asking(cookie, resource, "openid impersonate").str("access_token")
		return h.post("/oauth2/token", "web", targeting(startForm(ticket, actor), resource, scope))
	},
	"a client's own": func(h *house, resource, scope string) reply {
		return h.own("bot", targeting(url.Values{}, resource, scope))
	},
}

// TestTokensAreForOneResource: aud is the resource that was asked for, as one string, or the client's first where none was; the server of
// that knows the token, and the server of the other does not.
//
// Covers RFC8707-2-01, RFC9068-3-01, RFC9068-3-02, RFC6750-5.2-01.
func TestTokensAreForOneResource(t *testing.T) {
	t.Parallel()
	h := setup(t, twoResources())
	h.addAPIs()
	for name, get := range targeted {
		for asked, want := range map[string]string{api1: api1, api2: api2, "": api1} {
			r := get(h, asked, "app:read")
			_, c := claims(t, r.str("access_token"))
			life, _ := c["exp"].(float64)
			if c["aud"] != want || life < float64(h.clock.Now().Unix()) || life > float64(h.clock.Now().Unix()+3600) {
				t.Errorf("%s for %q: aud is %v, exp %v; want %s, within an hour", name, asked, c["aud"], c["exp"], want)
			}
			for server, resource := range map[string]string{"api-1": api1, "api-2": api2} {
				if got := h.active(server, r.str("access_token")); got != (resource == want) {
					t.Errorf("%s for %q: active at %s is %v", name, asked, server, got)
				}
			}
		}
	}
}

// TestNotBeyondTheFirstResource: what was approved for one resource yields no token for another, nor does a stop or a refresh.
//
// Covers RFC8707-2.2-01.
func TestNotBeyondTheFirstResource(t *testing.T) {
	t.Parallel()
	h := setup(t, twoResources())
	h.addAPIs()
	cookie, _ := h.login("ann")
	first := h.asking(cookie, "", "openid impersonate")
	for approved, other := range map[string]string{"": api2, api1: api2, api2: api1} {
		page, err := url.ParseQuery(ask("web"))
		h.must(err)
		ticket := h.form("/impersonate?"+targeting(page, approved, "").Encode(), cookie, why("john", "read")).location.Query().Get("ticket")
		form := startForm(ticket, first.str("access_token"))
		for _, name := range []string{"resource", "audience"} {
			wrong := cloneValues(form)
			wrong.Set(name, other)
			refused(t, h.post("/oauth2/token", "web", wrong), http.StatusBadRequest, "invalid_target")
		}
		started := h.post("/oauth2/token", "web", form) // the ticket is as it was
		if started.status != http.StatusOK {
			t.Fatalf("approved for %q: got %d %s", approved, started.status, started.body)
		}
		_, acting := claims(t, started.str("access_token"))
		stop := targeting(stopForm(started.str("understudy_return_token")), api2, "") // a stop stops, whatever is asked beside
		_, back := claims(t, h.post("/oauth2/token", "web", stop).str("access_token"))
		if back["aud"] != api1 || acting["aud"] == other {
			t.Errorf("approved for %q: aud is %v, and after the stop %v", approved, acting["aud"], back["aud"])
		}
	}
	code := redeem(h.authorize(cookie, func(q url.Values) { targeting(q, api1, "openid").Set("client_id", "web") }).location.Query().Get("code"))
	refused(t, h.post("/oauth2/token", "web", targeting(cloneValues(code), api2, "")), http.StatusBadRequest, "invalid_target")
	if r := h.post("/oauth2/token", "web", targeting(code, api1, "")); r.status != http.StatusOK { // the code is as it was
		t.Errorf("a code with its own resource: got %d %s", r.status, r.body)
	}
	refresh := refreshForm(first.str("refresh_token"))
	refused(t, h.post("/oauth2/token", "web", targeting(refresh, api2, "")), http.StatusBadRequest, "invalid_target")
}

// TestScopesMeanSomethingThere: a token has a scope claim when one was asked for, of nothing that its resource does not know; the answer
// says what is left. Where no resource is named and the scopes are of two, or nothing is left, there is no token.
//
// Covers RFC8693-2.1.1-01, RFC9068-2.2.3-01, RFC9068-2.2.3-02, RFC9068-3-03, RFC6749-5.2-04.
func TestScopesMeanSomethingThere(t *testing.T) {
	t.Parallel()
	h := setup(t, twoResources())
	h.addAPIs()
	for _, c := range []struct{ resource, asked, want string }{ // "" for invalid_scope
		{"", "app:read one:read", "app:read one:read"},
		{api1, "app:read one:read", "app:read one:read"},
		{api1, "app:read two:read", "app:read"},
		{api2, "one:read two:read", "two:read"},
		{api1, "two:read", ""},
		{"", "two:read", ""},
		{"", "one:read two:read", ""},
		{"", "app:read one:read two:read", ""},
		{"", "no:such", ""},
		{api1, "no:such", ""},
		{"", "impersonation:write", ""},
	} {
		for name, get := range targeted {
			r := get(h, c.resource, c.asked)
			if c.want == "" {
				refused(t, r, http.StatusBadRequest, "invalid_scope")
				continue
			}
			_, payload := claims(t, r.str("access_token"))
			if payload["scope"] != c.want || r.str("scope") != c.want || payload["scp"] != nil {
				t.Errorf("%s for %q with %s: scope %v, in the answer %s; want %s", name, c.resource, c.asked, payload["scope"], r.str("scope"), c.want)
			}
		}
	}
	// What is for the issuer itself stands beside any resource's, in a token of one's own, and stays there.
	cookie, _ := h.login("ann")
	r := h.asking(cookie, api1, "openid email impersonate one:read two:read")
	for what, r := range map[string]reply{"code": r, "refresh": h.post("/oauth2/token", "web", refreshForm(r.str("refresh_token")))} {
		if got := r.str("scope"); got != "email impersonate one:read openid" {
			t.Errorf("%s: scope %q", what, got)
		}
	}
	if !strings.Contains(h.get(discoveryPath, "").body, `"one:read"`) {
		t.Error("the metadata do not announce the scope of a resource")
	}
}
