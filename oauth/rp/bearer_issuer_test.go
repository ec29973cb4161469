package rp_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/store"
)

// realAPI is an API of its own, registered at h's real issuer as the server of what tokens are for.
type realAPI struct {
	*house
	bearer *rp.Bearer
	serve  http.Handler
	apiKey oauth.Secret
}

func (h *house) api() *realAPI {
	h.t.Helper()
	a := &realAPI{house: h, apiKey: oauth.NewSecret()}
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: "api"}, Name: "Orders", SecretHash: a.apiKey.Hash(), Serves: []string{resource}, Created: time.Now(),
	}}))
	a.bearer = a.newBearer(resource)
	a.serve = a.bearer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := rp.Subject(r.Context())
		by, _ := rp.Actor(r.Context())
		io.WriteString(w, p.Subject+" by "+by.Subject)
	}))
	return a
}

func (a *realAPI) newBearer(audience string) *rp.Bearer {
	a.t.Helper()
	b, err := rp.NewBearer(a.t.Context(), rp.BearerConfig{
		Issuer: a.issuer, Audience: audience, ClientID: "api", ClientSecret: a.apiKey, Client: a.client, Now: a.clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	a.must(err)
	return b
}

func (a *realAPI) send(method string, token oauth.Secret) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+string(token))
	w := httptest.NewRecorder()
	a.serve.ServeHTTP(w, r)
	return w
}

// TestBearerAtIssuer: an API takes the real issuer's tokens, of people and of impersonations, puts on record what is done with the latter though they were given to
// another client, and refuses one at once that was stopped, where it could do anything.
func TestBearerAtIssuer(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	a := h.api()
	b := h.ann()
	own, err := h.token("ann")
	h.must(err)
	if w := a.send("POST", own); w.Code != http.StatusOK || w.Body.String() != "ann by ann" {
		t.Errorf("ann's own: %d %s", w.Code, w.Body)
	}
	b.impersonate("john", "write")
	_, s := h.inside(b)
	before := len(h.actions())
	for _, method := range []string{"GET", "POST"} {
		if w := a.send(method, s.Token); w.Code != http.StatusOK || w.Body.String() != "john by ann" {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	// The first in any case: from then on it is known that they are taken. Answers come when they come.
	got := slices.DeleteFunc(h.actions()[before:], func(a string) bool { return strings.HasPrefix(a, "after ") })
	if !slices.Equal(got, []string{"before GET /orders", "before POST /orders"}) {
		t.Errorf("on record: %q", got)
	}
	entries := slices.DeleteFunc(h.entries(), func(e audit.Entry) bool { return e.Fields["route"] != "/orders" }) // and none of the app's own
	if e := entries[len(entries)-1]; e.Client != "app" || e.Fields["server"] != "api" || e.Session != s.ID {
		t.Errorf("the entry is of client %q, told by %q", e.Client, e.Fields["server"])
	}
	b.post(h.asUser + "/.understudy/stop")
	if w := a.send("POST", s.Token); w.Code != http.StatusUnauthorized {
		t.Errorf("after the stop: %d %s", w.Code, w.Body)
	}
	h.clock.advance(5 * time.Second)
	if w := a.send("GET", s.Token); w.Code != http.StatusUnauthorized {
		t.Errorf("5 s after the stop: %d %s", w.Code, w.Body)
	}
}

// TestNothingUnrecordedIsServed: an API whose registration also starts impersonations tells of its own alone, so of what is done with others' tokens nothing can be put
// on record: nothing is served either, not even what only looks.
func TestNothingUnrecordedIsServed(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	key := oauth.NewSecret()
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: "both", Exchange: true, Resources: []string{resource}}, Name: "Orders", SecretHash: key.Hash(), Serves: []string{resource}, Created: time.Now(),
	}}))
	bearer, err := rp.NewBearer(t.Context(), rp.BearerConfig{
		Issuer: h.issuer, Audience: resource, ClientID: "both", ClientSecret: key, Client: h.client, Now: h.clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	h.must(err)
	served := 0
	serve := bearer.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	b := h.ann()
	b.impersonate("john", "write")
	_, s := h.inside(b)
	for range 2 {
		for _, method := range []string{"GET", "POST", "GET"} {
			r := httptest.NewRequest(method, "/orders", nil)
			r.Header.Set("Authorization", "Bearer "+string(s.Token))
			w := httptest.NewRecorder()
			serve.ServeHTTP(w, r)
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %d", method, w.Code)
			}
		}
		h.must(bearer.Flush(t.Context())) // then the issuer's refusals are known
	}
	told := slices.DeleteFunc(h.actions(), func(a string) bool { return !strings.Contains(a, "/orders") }) // the app's own come when they come
	if served > 0 || len(told) > 0 {
		t.Errorf("served %d, on record: %q", served, told)
	}
}

// TestTokenIsUselessElsewhere: what an API sees opens nothing but the API: no token of the actor comes of it, nor one for anything else, with
// the API's own registration or another's.
//
// Covers RFC9700-4.9.3-01.
func TestTokenIsUselessElsewhere(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	a := h.api()
	other := oauth.NewSecret()
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: "other", Exchange: true, Resources: []string{resource}, Scopes: []string{"openid", "impersonate"}}, Name: "Other", SecretHash: other.Hash(), Created: time.Now(),
	}}))
	b := h.ann()
	b.impersonate("john", "write")
	_, s := h.inside(b)
	token := string(s.Token)
	exchange := func(kind oauth.TokenType, more ...string) url.Values {
		return values(append([]string{"grant_type", oauth.GrantTypeTokenExchange, "subject_token", token, "subject_token_type", string(kind)}, more...)...)
	}
	tries := map[string]struct {
		path string
		form url.Values
	}{
		"start":        {"/oauth2/token", exchange(oauth.TokenTypeTicket, "actor_token", token, "actor_token_type", string(oauth.TokenTypeAccessToken), "code_verifier", strings.Repeat("v", 43))},
		"exchange":     {"/oauth2/token", exchange(oauth.TokenTypeAccessToken)},
		"exchange jwt": {"/oauth2/token", exchange(oauth.TokenTypeJWT, "actor_token", token, "actor_token_type", string(oauth.TokenTypeJWT))},
		"stop":         {"/oauth2/token", exchange(oauth.TokenTypeReturnToken)},
		"refresh":      {"/oauth2/token", values("grant_type", "refresh_token", "refresh_token", token)},
		"code":         {"/oauth2/token", values("grant_type", "authorization_code", "code", token, "redirect_uri", h.app+"/.understudy/callback")},
		"assertion":    {"/oauth2/token", values("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", token)},
		"introspect":   {"/oauth2/introspect", values("token", token)},
		"revoke":       {"/oauth2/revoke", values("token", token)},
	}
	for client, secret := range map[string]oauth.Secret{"api": a.apiKey, "other": other} {
		for what, try := range tries {
			req := h.browser().request(http.MethodPost, h.issuer+try.path, try.form)
			req.SetBasicAuth(client, string(secret))
			r := h.browser().send(req)
			if strings.Contains(r.body, "_token\":") || what != "introspect" && what != "revoke" && r.status < 400 || client == "other" && strings.Contains(r.body, "true") {
				t.Errorf("%s as %s: %d %s", what, client, r.status, r.body)
			}
		}
	}
	w := httptest.NewRecorder()
	elsewhere := httptest.NewRequest(http.MethodGet, "/me", nil)
	elsewhere.Header.Set("Authorization", "Bearer "+token)
	a.newBearer(resource+"2").Handler(a.serve).ServeHTTP(w, elsewhere)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("another API: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/oauth2/auth", "/sessions", "/account", "/audit", "/impersonate"} {
		req := h.browser().request(http.MethodGet, h.issuer+path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		if r := h.browser().send(req); r.status == http.StatusOK && strings.Contains(r.body, "ann@acme.test") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	req := h.browser().request(http.MethodGet, h.issuer+"/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	if r := h.browser().send(req); r.status == http.StatusOK && !strings.Contains(r.body, `"sub":"john"`) {
		t.Errorf("userinfo: %s", r.body)
	}
}
