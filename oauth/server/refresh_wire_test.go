package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

const typeSpace = "urn:ietf:params:oauth:token-type:"

// Each one-time value is good in its own place and in no other, and does not suffer by having been there.
//
// Covers RFC8693-2.1-26.
func TestEachInItsPlace(t *testing.T) { onBoth(t, testEachInItsPlace) }

func testEachInItsPlace(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("web", refreshing)
	g, cookie, _ := h.enter("ann", "web")
	pushed := h.post("/oauth2/par", "web", authForm("web")).str("request_uri")
	// The impersonation that has the return token is of another login: the ticket's start would end it.
	other, second, _ := h.enter("bea", "web")
	acting := h.post("/oauth2/token", "web", startForm(h.ticket(second, "web", "john", "read"), other.access))
	ticket := h.ticket(cookie, "web", "john", "read")
	values := map[string]string{
		"code": h.code(cookie, "web", "openid"), "refresh": g.refresh, "ticket": ticket, "return": acting.str("understudy_return_token"),
		"pushed": pushed, "secret of pushed": pushed[len(requestURI):],
	}
	subject := func(token, kind string) url.Values {
		form := startForm(token, g.access)
		form.Set("subject_token_type", typeSpace+kind)
		return form
	}
	places := map[string]func(string) url.Values{
		"code": redeem, "refresh": refreshForm, "return": stopForm,
		"ticket":                         func(v string) url.Values { return startForm(v, g.access) },
		"actor_token":                    func(v string) url.Values { return startForm(ticket, v) },
		"subject_token as access_token":  func(v string) url.Values { return subject(v, "access_token") },
		"subject_token as refresh_token": func(v string) url.Values { return subject(v, "refresh_token") },
	}
	for what, value := range values {
		for where, form := range places {
			if what == where {
				continue
			}
			want := "invalid_request"
			if where == "code" || where == "refresh" {
				want = "invalid_grant"
			}
			if r := h.post("/oauth2/token", "web", form(value)); r.status != http.StatusBadRequest || r.str("error") != want || r.str("access_token") != "" {
				t.Errorf("%s as %s: got %d %s; want 400 %s", what, where, r.status, r.body, want)
			}
		}
		if what != "pushed" {
			onPage(t, what+" as request_uri", h.get(pushedAt("web", value), cookie))
		}
		if what != "pushed" && what != "secret of pushed" {
			onPage(t, what+" as the secret of request_uri", h.get(pushedAt("web", requestURI+value), cookie))
		}
		if r := h.userinfo(value); r.status != http.StatusUnauthorized {
			t.Errorf("%s as bearer token: got %d %s", what, r.status, r.body)
		}
		if h.active("web", value) {
			t.Errorf("%s is an active token", what)
		}
	}
	for what, form := range map[string]url.Values{
		"code": redeem(values["code"]), "refresh": refreshForm(g.refresh), "ticket": startForm(ticket, g.access), "return": stopForm(values["return"]),
	} {
		if r := h.post("/oauth2/token", "web", form); r.status != http.StatusOK {
			t.Errorf("%s in its place, after that: got %d %s", what, r.status, r.body)
		}
	}
	h.codeAt(h.get(pushedAt("web", pushed), cookie))
}

// A refresh token is nobody's subject_token and actor_token, whatever type it is said to be.
//
// Covers RFC8693-3-03.
func TestRefreshTokenIsNotExchanged(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	h.addClientAs("web2", refreshing)
	g, cookie, _ := h.enter("ann", "web")
	for _, client := range []string{"web", "web2"} {
		for _, kind := range []string{"refresh_token", "access_token", "jwt"} {
			as := startForm(g.refresh, g.access)
			as.Set("subject_token_type", typeSpace+kind)
			refused(t, h.post("/oauth2/token", client, as), http.StatusBadRequest, "invalid_request")
			as = startForm(h.ticket(cookie, client, "john", "read"), g.refresh)
			as.Set("actor_token_type", typeSpace+kind)
			refused(t, h.post("/oauth2/token", client, as), http.StatusBadRequest, "invalid_request")
		}
	}
	h.refresh("web", g.refresh)
}

// To renew the actor's token changes nothing of the impersonation that it started: that ends when it would have. Stop gives back what
// was there before, unless that was revoked.
//
// Covers RFC8693-2.1-27.
func TestRefreshDuringImpersonation(t *testing.T) { onBoth(t, testRefreshDuringImpersonation) }

func testRefreshDuringImpersonation(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("web", refreshing)
	act := func() (g granted, start reply) {
		t.Helper()
		g, cookie, _ := h.enter("ann", "web")
		h.clock.advance(4 * time.Minute)
		start = h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), g.access))
		if start.status != http.StatusOK {
			t.Fatalf("start: got %d %s", start.status, start.body)
		}
		return g, start
	}
	expires := func(token string) any {
		t.Helper()
		return h.post("/oauth2/introspect", "web", url.Values{"token": {token}}).json["exp"]
	}

	g, start := act()
	token := start.str("access_token")
	want := expires(token)
	for range 5 {
		h.clock.advance(5 * time.Minute)
		g = h.refresh("web", g.refresh)
		if got := expires(token); got != want || got == nil {
			t.Fatalf("after a refresh the impersonation ends at %v, want %v", got, want)
		}
	}
	h.clock.advance(5*time.Minute + time.Second)
	if h.active("web", token) {
		t.Error("the impersonation is there after its time, though only the actor's token was renewed")
	}

	// The token from before had 6 minutes left, whatever was renewed since.
	g, start = act()
	h.refresh("web", h.refresh("web", g.refresh).refresh)
	back := h.post("/oauth2/token", "web", stopForm(start.str("understudy_return_token")))
	if left, _ := back.json["expires_in"].(float64); back.status != http.StatusOK || left < 350 || left > 360 || !h.active("web", back.str("access_token")) {
		t.Errorf("stop: got %d %s; want a token of 6 minutes", back.status, back.body)
	}

	// Where the sign-in was revoked, by its newest refresh token or by a reuse, there is nothing to give back.
	for what, end := range map[string]func(old, now granted){
		"revoked": func(_, now granted) { h.post("/oauth2/revoke", "web", url.Values{"token": {now.refresh}}) },
		"reused":  func(old, _ granted) { h.post("/oauth2/token", "web", refreshForm(old.refresh)) },
	} {
		g, start := act()
		end(g, h.refresh("web", g.refresh))
		r := h.post("/oauth2/token", "web", stopForm(start.str("understudy_return_token")))
		if refused(t, r, http.StatusBadRequest, "invalid_request"); h.active("web", start.str("access_token")) {
			t.Errorf("%s: the impersonation goes on after its stop", what)
		}
	}
}

// To revoke a refresh token, used or not, ends all that came of the same code; to revoke an access token ends that and the refresh token
// beside it. A hint changes nothing, and another client can do neither.
//
// Covers RFC7009-2.1-02, RFC7009-2.1-03.
func TestRevokeRefreshToken(t *testing.T) { onBoth(t, testRevokeRefreshToken) }

func testRevokeRefreshToken(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("web", refreshing)
	revoke := func(client, token, hint string) reply {
		return h.post("/oauth2/revoke", client, url.Values{"token": {token}, "token_type_hint": {hint}})
	}
	for _, hint := range []string{"refresh_token", "access_token", "foo"} {
		first, cookie, _ := h.enter("ann", "web")
		second := h.refresh("web", first.refresh)
		start := h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), second.access))
		back := h.post("/oauth2/token", "web", stopForm(start.str("understudy_return_token")))
		third := h.refresh("web", second.refresh)
		if r := revoke("app", third.refresh, hint); r.status != http.StatusBadRequest || !h.active("web", third.access) {
			t.Errorf("by another client: got %d %s; want it refused and without effect", r.status, r.body)
		}
		if r := revoke("web", map[string]string{"refresh_token": third.refresh, "access_token": third.refresh, "foo": first.refresh}[hint], hint); r.status != http.StatusOK {
			t.Errorf("hint %s: got %d %s", hint, r.status, r.body)
		}
		h.dead("hint "+hint, "web", third, second, first)
		if h.active("web", back.str("access_token")) {
			t.Errorf("hint %s: what the stop gave back is active", hint)
		}
	}

	first, _, _ := h.enter("ann", "web")
	second := h.refresh("web", first.refresh)
	if r := revoke("web", first.access, "refresh_token"); r.status != http.StatusOK || h.active("web", first.access) || !h.active("web", second.access) {
		t.Errorf("an access token that was renewed: got %d; want it alone inactive", r.status)
	}
	third := h.refresh("web", second.refresh)
	revoke("web", third.access, "")
	h.dead("an access token, and the refresh token beside it", "web", third)
	if !h.active("web", second.access) {
		t.Error("the access token before it is inactive")
	}
}

// The scope offline_access is not announced and gives nobody anything: at the authorization endpoint it is refused or left out, and a
// start has neither it nor a refresh token. The metadata say that no exchange gives one.
//
// Covers OIDC-11-01, RFC8693-2.2.1-12.
func TestOfflineAccess(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", func(c *store.Client) { refreshing(c); c.Scopes = append(c.Scopes, oauth.ScopeOfflineAccess) })
	cookie, _ := h.login("ann")
	r := h.post("/oauth2/token", "web", redeem(h.code(cookie, "web", actorScope+" offline_access")))
	g := h.granted(r)
	if _, c := claims(t, g.access); slices.Contains(append(splitScope(r.json), splitScope(c)...), "offline_access") {
		t.Errorf("got %s; want no such scope", r.body)
	}
	for _, scope := range []string{"openid offline_access", "offline_access"} {
		form := startForm(h.ticket(cookie, "web", "john", "read"), g.access)
		form.Set("scope", scope)
		r := h.post("/oauth2/token", "web", form)
		if _, ok := r.json["refresh_token"]; ok || slices.Contains(splitScope(r.json), "offline_access") {
			t.Errorf("start with %s: got %s", scope, r.body)
		}
		if r.status != http.StatusOK && r.str("error") != "invalid_scope" {
			t.Errorf("start with %s: got %d %s", scope, r.status, r.body)
		}
		if ret := r.str("understudy_return_token"); ret != "" {
			h.post("/oauth2/token", "web", stopForm(ret))
		}
	}
	meta := h.get("/.well-known/oauth-authorization-server", "")
	if listed, _ := meta.json["scopes_supported"].([]any); meta.json["understudy_exchange_refresh_token"] != false || len(listed) == 0 || slices.Contains(listed, any("offline_access")) {
		t.Errorf("metadata: got %v and scopes %v", meta.json["understudy_exchange_refresh_token"], listed)
	}
}

// No two tokens have one jti, whatever they came of.
//
// Covers RFC9068-2.2-03.
func TestEveryTokenHasAnID(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", func(c *store.Client) { refreshing(c); service(c) })
	g, cookie, _ := h.enter("ann", "web")
	seen := map[string]bool{}
	note := func(token string) {
		t.Helper()
		_, c := claims(t, token)
		if id, _ := c["jti"].(string); id == "" || seen[id] {
			t.Fatalf("jti %q is missing or was there before", id)
		} else {
			seen[id] = true
		}
	}
	note(g.access)
	for range 13 {
		start := h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), g.access))
		note(start.str("access_token"))
		note(h.post("/oauth2/token", "web", stopForm(start.str("understudy_return_token"))).str("access_token"))
		g = h.refresh("web", g.refresh)
		note(g.access)
		note(h.own("web", nil).str("access_token"))
	}
}

// A refresh token of a public client is bound to the key that its sign-in proved, and to spend it without that key ends nothing. A client
// that authenticates may come with a new key, and never with none (RFC 9449 §5).
func TestRefreshBound(t *testing.T) { onBoth(t, testRefreshBound) }

func testRefreshBound(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("spa", func(c *store.Client) { refreshing(c); c.Public, c.Exchange = true, false })
	h.addClientAs("web", refreshing)
	mine, thief := newProver(h).learns(), newProver(h).learns()
	cookie, _ := h.login("ann")
	for client, rotates := range map[string]bool{"spa": false, "web": true} {
		auth := client
		if client == "spa" {
			auth = ""
		}
		form := func(f url.Values) url.Values {
			if auth == "" {
				f.Set("client_id", client)
			}
			return f
		}
		first := h.granted(mine.post(auth, form(redeem(h.code(cookie, client, "openid")))))
		refused(t, h.sent("/oauth2/token", auth, form(refreshForm(first.refresh))), http.StatusBadRequest, "invalid_dpop_proof")
		r := thief.post(auth, form(refreshForm(first.refresh)))
		if !rotates {
			refused(t, r, http.StatusBadRequest, "invalid_grant")
			r = mine.post(auth, form(refreshForm(first.refresh)))
		}
		second := h.granted(r)
		holder := mine
		if rotates {
			holder = thief
		}
		if _, c := claims(t, second.access); r.str("token_type") != "DPoP" || c["cnf"].(map[string]any)["jkt"] != holder.jkt {
			t.Errorf("%s: got %s %v; want it bound to the key that was proved", client, r.str("token_type"), c["cnf"])
		}
		// Spent, and without the key that is no sign of anything.
		refused(t, h.sent("/oauth2/token", auth, form(refreshForm(first.refresh))), http.StatusBadRequest, "invalid_dpop_proof")
		if !h.active("app", second.access) {
			t.Errorf("%s: a reuse without the key ended the sign-in", client)
		}
		refused(t, mine.post(auth, form(refreshForm(first.refresh))), http.StatusBadRequest, "invalid_grant")
		if h.active("app", second.access) {
			t.Errorf("%s: the sign-in lives after a reuse", client)
		}
	}
}

// An answer that the store lost is looked up: the client must not be told to come again with what is spent.
func TestRefreshOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	h := setup(t, options{}.wrapped(func(s store.Store) store.Store { return &forgetful{Store: s} }))
	h.addClientAs("web", refreshing)
	g, _, _ := h.enter("ann", "web")
	h.refresh("web", h.refresh("web", g.refresh).refresh)
}

// forgetful is a store whose refreshes happen and are not answered.
type forgetful struct{ store.Store }

func (f *forgetful) Refresh(ctx context.Context, w store.RefreshWrite) error {
	if err := f.Store.Refresh(ctx, w); err != nil {
		return err
	}
	return store.ErrUnavailable
}
