package server_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// addClientAs adds a client that change makes other than those of addClient.
func (h *house) addClientAs(id string, change func(*store.Client)) {
	h.t.Helper()
	secret := oauth.NewSecret()
	c := store.Client{
		Client: policy.Client{ID: id, Exchange: true, Resources: []string{resource},
			Scopes: []string{"openid", "profile", "email", "roles", "app:read", "app:write", "impersonate"}},
		Name: "The " + id, SecretHash: secret.Hash(), RedirectURIs: []string{callback}, Created: time.Now(),
	}
	change(&c)
	if !c.Public {
		h.secrets[id] = string(secret)
	} else {
		c.SecretHash = oauth.Hash{}
	}
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: c}))
}

func service(c *store.Client) { c.Settings.Service = oauth.ActorService }

// own asks for a token of the client's own.
func (h *house) own(client string, more url.Values) reply {
	h.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, values := range more {
		form[name] = values
	}
	return h.post("/oauth2/token", client, form)
}

// A token of a client's own says so: it has the client as its sub, nobody's login and authentication, and nothing beside it that is a
// person's.
//
// Covers RFC9068-2.2-02.
func TestClientCredentials(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.addClientAs("bot", service)
		r := h.own("bot", nil)
		if r.status != http.StatusOK || r.str("token_type") != "Bearer" || r.str("scope") != "app:read app:write" || r.json["expires_in"] == nil {
			t.Fatalf("got %d %s", r.status, r.body)
		}
		for _, name := range []string{"refresh_token", "id_token", "issued_token_type"} {
			if _, ok := r.json[name]; ok {
				t.Errorf("the answer has %s", name)
			}
		}
		header, c := claims(t, r.str("access_token"))
		if header["typ"] != "at+jwt" || c["sub"] != "client:bot" || c["client_id"] != "bot" || c["aud"] != resource {
			t.Errorf("got %v %v", header, c)
		}
		for _, name := range []string{"sid", "auth_time", "acr", "amr", "act", "may_act"} {
			if _, ok := c[name]; ok {
				t.Errorf("the token has %s", name)
			}
		}
		// The client itself and the server of the resource see it; nobody else does.
		for client, want := range map[string]bool{"bot": true, "app": true, "other": false} {
			if got := h.active(client, r.str("access_token")); got != want {
				t.Errorf("active for %s: got %v, want %v", client, got, want)
			}
		}
		if got := h.post("/oauth2/introspect", "bot", url.Values{"token": {r.str("access_token")}}); got.str("sub") != "client:bot" || got.str("scope") != "app:read app:write" {
			t.Errorf("introspection: got %s", got.body)
		}
	})
}

func TestClientCredentialsScope(t *testing.T) {
	t.Parallel()
	reg := policy.Default()
	reg.Scopes = append(reg.Scopes, policy.Scope{Name: "app:purge", Class: policy.ScopeNever})
	h := setup(t, options{registry: &reg})
	h.addClientAs("bot", func(c *store.Client) {
		service(c)
		c.Scopes = append(c.Scopes, "offline_access", "impersonation:write", "app:purge")
	})
	h.addClientAs("mute", func(c *store.Client) { service(c); c.Scopes = []string{"openid"} })
	for name, c := range map[string]struct {
		client, asked string
		scope         string // granted
		code          string // or the error
	}{
		"one":                   {"bot", "app:read", "app:read", ""},
		"what makes an actor":   {"bot", "app:read impersonate", "app:read impersonate", ""},
		"beside a person's":     {"bot", "openid profile email roles app:read", "app:read", ""},
		"only a person's":       {"bot", "openid email", "", "invalid_scope"},
		"the marker":            {"bot", "impersonation:write", "", "invalid_scope"},
		"for later":             {"bot", "offline_access", "", "invalid_scope"},
		"of the never-list":     {"bot", "app:purge", "", "invalid_scope"},
		"all that can be":       {"bot", "", "app:read app:write", ""},
		"of somebody else":      {"bot", "admin", "", "invalid_scope"},
		"not a scope":           {"bot", `app:read "`, "", "invalid_scope"},
		"nothing, and has none": {"mute", "", "", ""},
	} {
		form := url.Values{}
		if c.asked != "" {
			form.Set("scope", c.asked)
		}
		r := h.own(c.client, form)
		if c.code != "" {
			refused(t, r, http.StatusBadRequest, c.code)
			continue
		}
		if r.status != http.StatusOK || r.str("scope") != c.scope {
			t.Errorf("%s: got %d %s; want scope %q", name, r.status, r.body, c.scope)
			continue
		}
		if _, payload := claims(t, r.str("access_token")); c.scope != "" && payload["scope"] != c.scope {
			t.Errorf("%s: the token says %v, want %q", name, payload["scope"], c.scope)
		}
	}
}

// Who is nobody, or may not prove who it is, gets no token of its own, and no row of one stays.
func TestClientCredentialsRefused(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", service)
	h.addClientAs("spa", func(c *store.Client) { service(c); c.Public, c.Exchange = true, false })
	h.addClientAs("none", func(c *store.Client) { service(c); c.Resources = nil })
	refused(t, h.own("app", nil), http.StatusBadRequest, "unauthorized_client")
	refused(t, h.own("none", nil), http.StatusBadRequest, "unauthorized_client")
	refused(t, h.form("/oauth2/token", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {"spa"}}), http.StatusBadRequest, "unauthorized_client")
	refused(t, h.form("/oauth2/token", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {"bot"}}), http.StatusUnauthorized, "invalid_client")
	refused(t, h.own("bot", url.Values{"resource": {"urn:other"}}), http.StatusBadRequest, "invalid_target")
	refused(t, h.own("bot", url.Values{"resource": {resource, resource}}), http.StatusBadRequest, "invalid_target")
	refused(t, h.own("bot", url.Values{"grant_type": {"client_credentials authorization_code"}}), http.StatusBadRequest, "unsupported_grant_type")
	var n int
	h.must(h.base.admin.QueryRow(`SELECT count(*) FROM oauth_grant WHERE user_id = ''`).Scan(&n))
	if n != 0 {
		t.Errorf("%d tokens are on record, want none", n)
	}
}

// What ends a client's own token: its revocation, a kill of the client, for good, and its removal.
func TestClientCredentialsEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.addClientAs("bot", service)
		token := func() string { return h.own("bot", nil).str("access_token") }
		mark := func(what, token string, want bool) {
			t.Helper()
			if got := h.active("app", token); got != want {
				t.Errorf("%s: active %v, want %v", what, got, want)
			}
		}
		revoked, kept := token(), token()
		if r := h.post("/oauth2/revoke", "other", url.Values{"token": {revoked}}); r.status != http.StatusBadRequest {
			t.Errorf("revoked by another client: got %d %s", r.status, r.body)
		}
		mark("revoked by another", revoked, true)
		if r := h.post("/oauth2/revoke", "bot", url.Values{"token": {revoked}}); r.status != http.StatusOK {
			t.Errorf("revoking: got %d %s", r.status, r.body)
		}
		mark("revoked", revoked, false)
		mark("its other one", kept, true)

		ctx := context.Background()
		kill := impersonation.EndWrite{Write: h.write(), Scope: impersonation.ScopeClient, ID: "bot", Reason: impersonation.EndKilled, Kill: true}
		_, err := h.store.End(ctx, kill)
		h.must(err)
		mark("killed", kept, false)
		refused(t, h.own("bot", nil), http.StatusBadRequest, "unauthorized_client")
		h.must(h.store.Lift(ctx, impersonation.LiftWrite{Write: h.write(), Scope: impersonation.ScopeClient, ID: "bot"}))
		mark("killed, and lifted", kept, false)

		last := token()
		mark("after that", last, true)
		h.must(h.store.DeleteClient(ctx, "bot", impersonation.EndWrite{Write: h.write(), Reason: impersonation.EndClient}))
		mark("removed", last, false)
	})
}

// A token of nobody opens nothing that is a person's, and cannot act with a ticket that a person got.
func TestClientCredentialsElsewhere(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", service)
	token := h.own("bot", url.Values{"scope": {"impersonate app:read"}}).str("access_token")
	req, err := http.NewRequest(http.MethodGet, h.url+"/userinfo", nil)
	h.must(err)
	req.Header.Set("Authorization", "Bearer "+token)
	if r := h.do(req); r.status != http.StatusForbidden || strings.Contains(r.body, "client:bot") {
		t.Errorf("userinfo: got %d %s; want 403", r.status, r.body)
	}
	cookie, _ := h.login("ann")
	refused(t, h.post("/oauth2/token", "bot", startForm(h.ticket(cookie, "bot", "john", "read"), token)), http.StatusBadRequest, "invalid_request")
}
