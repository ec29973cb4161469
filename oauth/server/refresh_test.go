package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

func refreshing(c *store.Client) {
	c.Settings.Refresh, c.Serves = true, []string{resource}
}

// granted is what a sign-in or a refresh gave.
type granted struct{ access, refresh, id string }

func (h *house) granted(r reply) granted {
	h.t.Helper()
	if r.status != http.StatusOK || r.str("refresh_token") == "" {
		h.t.Fatalf("got %d %s; want a refresh token", r.status, r.body)
	}
	return granted{r.str("access_token"), r.str("refresh_token"), r.str("id_token")}
}

// enter redeems a code of user at client, in a login of its own.
func (h *house) enter(user, client string) (g granted, cookie, login string) {
	h.t.Helper()
	cookie, login = h.login(user)
	return h.granted(h.post("/oauth2/token", client, redeem(h.code(cookie, client, actorScope)))), cookie, login
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func (h *house) refresh(client, token string) granted {
	h.t.Helper()
	return h.granted(h.post("/oauth2/token", client, refreshForm(token)))
}

// dead demands that no token of a family counts.
func (h *house) dead(what, client string, all ...granted) {
	h.t.Helper()
	for i, g := range all {
		if h.active(client, g.access) {
			h.t.Errorf("%s: access token %d is active", what, i)
		}
		refused(h.t, h.post("/oauth2/token", client, refreshForm(g.refresh)), http.StatusBadRequest, "invalid_grant")
	}
}

// A refresh renews what the sign-in gave and says the same of it: who signed in, when and how. The ID token has no nonce of its own
// (OpenID Connect Core §12.2). So does the token that a stop gives back.
//
// Covers RFC9068-2.2.1-02.
func TestRefresh(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.addClientAs("web", refreshing)
		cookie := firstCookie(h)
		code := h.authorize(cookie, func(q url.Values) {
			q.Set("client_id", "web")
			q.Set("scope", actorScope)
			q.Set("nonce", "n-0S6_WzA2Mj")
		}).location.Query().Get("code")
		first := h.granted(h.post("/oauth2/token", "web", redeem(code)))
		h.clock.advance(2 * time.Minute)
		r := h.post("/oauth2/token", "web", refreshForm(first.refresh))
		second := h.granted(r)
		if r.str("token_type") != "Bearer" || r.str("scope") != "app:read email impersonate openid profile roles" {
			t.Errorf("got %s", r.body)
		}
		if second.refresh == first.refresh || !h.active("web", first.access) || !h.active("web", second.access) {
			t.Error("want a new refresh token, and both access tokens active")
		}

		started := h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), second.access))
		back := h.post("/oauth2/token", "web", stopForm(started.str("understudy_return_token")))
		if back.status != http.StatusOK || back.str("refresh_token") != "" {
			t.Fatalf("stop: got %d %s; want a token and no refresh token", back.status, back.body)
		}
		_, want := claims(t, first.access)
		for what, token := range map[string]string{"refreshed": second.access, "after the stop": back.str("access_token")} {
			_, got := claims(t, token)
			if got["jti"] == want["jti"] || got["iat"].(float64) < want["iat"].(float64)+100 {
				t.Errorf("%s: got jti %v of %v; want a token of its own", what, got["jti"], got["iat"])
			}
			for _, name := range []string{"jti", "iat", "exp", "scope"} {
				delete(got, name)
			}
			if diff := cmp.Diff(alike(want, got), got); diff != "" || got["auth_time"] == nil || got["amr"] == nil {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		_, wantID := claims(t, first.id)
		_, gotID := claims(t, second.id)
		for _, name := range []string{"iss", "sub", "aud", "auth_time", "amr", "sid"} {
			if diff := cmp.Diff(wantID[name], gotID[name]); diff != "" || gotID[name] == nil {
				t.Errorf("ID token: %s (-want +got):\n%s", name, diff)
			}
		}
		if _, ok := gotID["nonce"]; ok || wantID["nonce"] != "n-0S6_WzA2Mj" || gotID["iat"] == wantID["iat"] || gotID["at_hash"] == wantID["at_hash"] {
			t.Errorf("ID token: got %v; want it new, and no nonce", gotID)
		}
	})
}

// alike is want with the members of got.
func alike(want, got map[string]any) map[string]any {
	out := map[string]any{}
	for name := range got {
		out[name] = want[name]
	}
	return out
}

// A refresh takes less and never more, and the next one has all again (RFC 6749 §6, RFC 8707 §2.2).
func TestRefreshNarrows(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", func(c *store.Client) { refreshing(c); c.Resources = []string{resource, "urn:other"} })
	g, _, _ := h.enter("ann", "web")
	with := func(name string, values ...string) url.Values {
		form := refreshForm(g.refresh)
		form[name] = values
		return form
	}
	for what, c := range map[string]struct {
		form url.Values
		code string
	}{
		"a scope that was not granted":    {with("scope", "openid app:write"), "invalid_scope"},
		"the marker":                      {with("scope", "impersonation:write"), "invalid_scope"},
		"not a scope":                     {with("scope", "openid  email"), "invalid_scope"},
		"a resource that was not granted": {with("resource", "urn:other"), "invalid_target"},
		"two resources":                   {with("resource", resource, resource), "invalid_target"},
	} {
		if r := h.post("/oauth2/token", "web", c.form); r.status != http.StatusBadRequest || r.str("error") != c.code {
			t.Errorf("%s: got %d %s; want %s", what, r.status, r.body, c.code)
		}
	}
	// None of them has spent it.
	r := h.post("/oauth2/token", "web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.refresh}, "scope": {"app:read"}, "resource": {resource}})
	if r.str("scope") != "app:read" || r.str("id_token") != "" {
		t.Errorf("narrowed: got %d %s", r.status, r.body)
	}
	if next := h.post("/oauth2/token", "web", refreshForm(r.str("refresh_token"))); next.str("scope") != "app:read email impersonate openid profile roles" {
		t.Errorf("after that: got %d %s; want all that was granted", next.status, next.body)
	}
}

// A refresh gives no scope that the person has lost since they signed in.
func TestRefreshAfterDemotion(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	g, _, _ := h.enter("ann", "web")
	u, err := h.store.Get(context.Background(), "ann")
	h.must(err)
	u.Roles = nil
	h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
	r := h.post("/oauth2/token", "web", refreshForm(g.refresh))
	_, c := claims(t, r.str("access_token"))
	if r.str("scope") != c["scope"] || slices.Contains(append(splitScope(c), splitScope(r.json)...), "impersonate") {
		t.Errorf("got %s, the token says %v; want no scope impersonate", r.body, c["scope"])
	}
}

func TestRefreshRefused(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	h.addClientAs("web2", refreshing)
	g, _, _ := h.enter("ann", "web")
	for what, c := range map[string]struct {
		client string
		form   url.Values
		status int
		code   string
	}{
		"no token":               {"web", url.Values{"grant_type": {"refresh_token"}}, 400, "invalid_request"},
		"an unknown one":         {"web", refreshForm(verifier), 400, "invalid_grant"},
		"an access token":        {"web", refreshForm(g.access), 400, "invalid_grant"},
		"another client's":       {"web2", refreshForm(g.refresh), 400, "invalid_grant"},
		"a client without any":   {"app", refreshForm(g.refresh), 400, "unauthorized_client"},
		"nobody":                 {"", refreshForm(g.refresh), 401, "invalid_client"},
		"two grants at once":     {"web", url.Values{"grant_type": {"refresh_token client_credentials"}, "refresh_token": {g.refresh}}, 400, "unsupported_grant_type"},
		"the token given twice":  {"web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.refresh, g.refresh}}, 400, "invalid_request"},
		"a client of no setting": {"other", refreshForm(g.refresh), 400, "unauthorized_client"},
	} {
		if r := h.post("/oauth2/token", c.client, c.form); r.status != c.status || r.str("error") != c.code || r.str("access_token") != "" {
			t.Errorf("%s: got %d %s; want %d %s", what, r.status, r.body, c.status, c.code)
		}
	}
	h.refresh("web", g.refresh) // none of them has spent or ended it
	if r := h.post("/oauth2/token", "app", redeem(h.code(firstCookie(h), "app", "openid"))); r.status != http.StatusOK || r.str("refresh_token") != "" {
		t.Errorf("a sign-in at a client without the setting: got %d %s; want no refresh token", r.status, r.body)
	}
}

func firstCookie(h *house) string {
	h.t.Helper()
	cookie, _ := h.login("ann")
	return cookie
}

// A refresh token that comes again from its own client ends all that came of the same code, once and on record. From another client it
// does nothing, or one could end another's sign-ins.
func TestRefreshReuse(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.addClientAs("web", refreshing)
		h.addClientAs("web2", refreshing)
		first, cookie, _ := h.enter("ann", "web")
		elsewhere := h.granted(h.post("/oauth2/token", "web", redeem(h.code(cookie, "web", "openid"))))
		second := h.refresh("web", first.refresh)
		refused(t, h.post("/oauth2/token", "web2", refreshForm(first.refresh)), http.StatusBadRequest, "invalid_grant")
		third := h.refresh("web", second.refresh)
		if !h.active("web", first.access) {
			t.Error("another client ended the sign-in")
		}
		refused(t, h.post("/oauth2/token", "web", refreshForm(first.refresh)), http.StatusBadRequest, "invalid_grant")
		h.dead("reused", "web", first, second, third)
		if !h.active("web", elsewhere.access) {
			t.Error("another sign-in of the same login ended too")
		}
		h.refresh("web", elsewhere.refresh)
		page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: audit.KindReuse})
		h.must(err)
		if len(page) != 1 || page[0].Entry.Client != "web" || page[0].Entry.Actor.Subject != "ann" {
			t.Errorf("got %d entries of the reuse, %+v; want one, of ann at web", len(page), page)
		}
	})
}

// A code that comes again ends what its refresh token gave too (RFC 6749 §4.1.2).
func TestCodeReuseEndsRefreshed(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	code := h.code(firstCookie(h), "web", "openid")
	first := h.granted(h.post("/oauth2/token", "web", redeem(code)))
	second := h.refresh("web", first.refresh)
	refused(t, h.post("/oauth2/token", "web", redeem(code)), http.StatusBadRequest, "invalid_grant")
	h.dead("the code again", "web", second, first)
}

// What ends a sign-in ends its refresh token: the person's sign-out, a new password, their account's end, the client's removal, too long
// without use, and in the end the clock. The impersonation that stands on it ends with it.
//
// Covers RFC9700-4.14.2-02, BCL-2.7-01.
func TestRefreshEndsWithLogin(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		phrase := "a new phrase of four words"
		ctx := context.Background()
		for what, end := range map[string]func(h *house, cookie string){
			"signed out": func(h *house, cookie string) {
				if r := h.form("/sign-out", cookie, nil); r.status >= 400 {
					t.Fatalf("sign-out: got %d %s", r.status, r.body)
				}
			},
			"a new password": func(h *house, _ string) {
				h.must(h.store.SetCredentials(ctx, store.CredentialsWrite{Write: h.write(), UserID: "ann", Password: &phrase, EndLogins: true,
					Ends: []impersonation.EndWrite{{Scope: impersonation.ScopeActor, ID: "ann", Reason: impersonation.EndSignedOut}}}))
			},
			"disabled": func(h *house, _ string) {
				u, err := h.store.Get(ctx, "ann")
				h.must(err)
				u.Enabled = false
				h.must(h.store.UpdateUser(ctx, store.UserWrite{Write: h.write(), User: u, EndLogins: true,
					Ends: []impersonation.EndWrite{{Scope: impersonation.ScopeActor, ID: "ann", Reason: impersonation.EndDisabled}}}))
			},
			"idle": func(h *house, _ string) { h.clock.advance(time.Hour + time.Second) },
		} {
			h := setup(t, o)
			h.addClientAs("web", refreshing)
			g, cookie, _ := h.enter("ann", "web")
			g = h.refresh("web", g.refresh)
			s := h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), g.access))
			if !h.active("web", s.str("access_token")) {
				t.Fatalf("start: got %d %s", s.status, s.body)
			}
			end(h, cookie)
			h.dead(what, "web", g)
			if h.active("web", s.str("access_token")) {
				t.Errorf("%s: the impersonation goes on", what)
			}
		}
	})
}

// A refresh token that is used keeps its login from idling; unused for as long it ends by itself, though the login goes on; and none
// outlives the login.
func TestRefreshIdles(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	used, cookie, _ := h.enter("ann", "web")
	unused := h.granted(h.post("/oauth2/token", "web", redeem(h.code(cookie, "web", "openid"))))
	for range 9 {
		h.clock.advance(50 * time.Minute)
		used = h.refresh("web", used.refresh)
	}
	h.dead("unused", "web", unused)
	h.clock.advance(29 * time.Minute) // 7 h 59 min
	used = h.refresh("web", used.refresh)
	h.clock.advance(2 * time.Minute)
	h.dead("after the login", "web", used)
}

// What a client's removal leaves is nothing.
func TestRefreshEndsWithClient(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.addClientAs("web", refreshing)
		g, _, _ := h.enter("ann", "web")
		h.must(h.store.DeleteClient(context.Background(), "web", impersonation.EndWrite{Write: h.write(), Reason: impersonation.EndClient}))
		if h.active("app", g.access) {
			t.Error("the access token is active")
		}
		refused(t, h.post("/oauth2/token", "web", refreshForm(g.refresh)), http.StatusUnauthorized, "invalid_client")
	})
}

// A public client rotates like any other, and gives its id alone.
func TestRefreshOfPublicClient(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("spa", func(c *store.Client) { refreshing(c); c.Public, c.Exchange = true, false })
	ask := func(form url.Values) reply {
		form.Set("client_id", "spa")
		return h.form("/oauth2/token", "", form)
	}
	first := h.granted(ask(redeem(h.code(firstCookie(h), "spa", "openid"))))
	second := h.granted(ask(refreshForm(first.refresh)))
	refused(t, ask(refreshForm(first.refresh)), http.StatusBadRequest, "invalid_grant")
	refused(t, ask(refreshForm(second.refresh)), http.StatusBadRequest, "invalid_grant")
	if h.active("app", second.access) {
		t.Error("the family lives after a reuse")
	}
}

// Of many who redeem one refresh token at once one succeeds, and then all that came of the code is over: somebody has a copy.
func TestRefreshUnderRace(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	raceRefresh(t, h)
}

// TestRefreshAcrossReplicas is the same over two servers on one database. It is CVE-2026-1035.
func TestRefreshAcrossReplicas(t *testing.T) {
	t.Parallel()
	h := setup(t, options{on: onPostgres})
	raceRefresh(t, h, h.replica(options{}))
}

func raceRefresh(t *testing.T, servers ...*house) {
	h, n := servers[0], rounds
	if testing.Short() {
		n /= 10
	}
	last := servers[len(servers)-1]
	h.addClientAs("web", refreshing)
	cookie := firstCookie(h)
	for range n {
		g := h.granted(h.post("/oauth2/token", "web", redeem(h.code(cookie, "web", "openid"))))
		won := one(t, "refresh token", "invalid_grant", race(servers, func(h *house) reply { return h.post("/oauth2/token", "web", refreshForm(g.refresh)) }))
		last.dead("after the race", "web", g, granted{access: won.str("access_token"), refresh: won.str("refresh_token")})
	}
	h.sound()
}

func splitScope(claims map[string]any) []string {
	s, _ := claims["scope"].(string)
	return strings.Fields(s)
}

// TestRefreshNamesWhoMayAct: may_act follows the consent as it is at each refresh, not what the code's token said (RFC 8693 §4.4).
func TestRefreshNamesWhoMayAct(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", func(c *store.Client) { refreshing(c); agent(c) })
	consent := h.consent("client:bot", "bot", nil)
	first, _, _ := h.enter("john", "bot")
	second := h.refresh("bot", first.refresh)
	h.withdraw(consent.ID)
	third := h.refresh("bot", second.refresh)
	for name, c := range map[string]struct {
		token string
		named bool
	}{"the code's": {first.access, true}, "a refreshed one": {second.access, true}, "after the consent": {third.access, false}} {
		if _, said := claims(t, c.token); (said["may_act"] != nil) != c.named {
			t.Errorf("%s: may_act is %v", name, said["may_act"])
		}
	}
}
