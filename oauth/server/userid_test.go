package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// tool is a client that may start by a bare user id.
func tool(c *store.Client) { c.Settings.UserID = true }

func userIDForm(user, actor string) url.Values {
	return url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {user}, "subject_token_type": {string(oauth.TokenTypeUserID)},
		"actor_token": {actor}, "actor_token_type": {typeToken}, "understudy_reason": {"cannot find the report tab"}, "understudy_ticket_number": {"SUP-1"},
	}
}

// A back-office tool names the user, and gets a token to look with and no way back: revoking it is the stop.
//
// Covers RFC8693-3-06, RFC8693-2.2.1-07.
func TestStartByUserID(t *testing.T) { onBoth(t, testStartByUserID) }

func testStartByUserID(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("tool", tool)
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "tool", actorScope)
	r := h.post("/oauth2/token", "tool", userIDForm("john", actor))
	if r.status != http.StatusOK || r.str("issued_token_type") != typeToken || r.str("token_type") != "Bearer" {
		t.Fatalf("start: got %d %s", r.status, r.body)
	}
	for name := range r.json {
		if strings.HasPrefix(name, "understudy_return_token") || name == "refresh_token" || name == "id_token" {
			t.Errorf("the answer has %s", name)
		}
	}
	_, c := claims(t, r.str("access_token"))
	act, _ := c["act"].(map[string]any)
	if c["sub"] != "john" || len(act) != 2 || act["sub"] != "ann" || act["iss"] != h.issuer || strings.Contains(r.str("scope"), "write") {
		t.Errorf("the token says %v", c)
	}
	if s, _ := r.json["understudy_session"].(map[string]any); s["mode"] != "read" || s["id"] != c["sid"] {
		t.Errorf("understudy_session: got %v", s)
	}
	if e := h.entry(audit.KindStart); e.Fields["via"] != "user_id" || e.Fields["reason"] != "cannot find the report tab" || e.Fields["ticket_number"] != "SUP-1" || e.Actor.Subject != "ann" {
		t.Errorf("the entry says %v", e.Fields)
	}
	// The actor's token opened one session, and opens no second.
	for _, user := range []string{"john", "eve"} {
		again := h.post("/oauth2/token", "tool", userIDForm(user, actor))
		refused(t, again, http.StatusBadRequest, "invalid_request")
		if again.str("error_description") != tokenexchange.RefusedText {
			t.Errorf("again: got %s", again.body)
		}
	}
	if e := h.entry(audit.KindRefused); e.Fields["rule"] != "actor_token.used" || e.Fields["via"] != "user_id" {
		t.Errorf("the entry of the refusal says %v", e.Fields)
	}
	if !h.active("tool", r.str("access_token")) || !h.active("tool", actor) {
		t.Error("a start, or a refused one, ended something")
	}
	if other := h.post("/oauth2/token", "tool", userIDForm("eve", h.token(cookie, "tool", actorScope))); other.status != http.StatusOK {
		t.Errorf("with a fresh token: got %d %s", other.status, other.body)
	}
	if got := h.post("/oauth2/revoke", "tool", url.Values{"token": {r.str("access_token")}}); got.status != http.StatusOK || h.active("tool", r.str("access_token")) {
		t.Errorf("revocation: got %d, or it is still active", got.status)
	}
}

// entry is the newest of a kind.
func (h *house) entry(kind audit.Kind) audit.Entry {
	h.t.Helper()
	page, _, err := h.store.Entries(h.t.Context(), store.EntryQuery{Kind: kind, Limit: 1})
	h.must(err)
	if len(page) == 0 {
		h.t.Fatalf("no entry of kind %s", kind)
	}
	return page[0].Entry
}

// Whoever cannot be reached is refused in the same words, whether they exist or not, and whatever else is wrong with the request; and
// nothing is used up.
//
// Covers RFC8693-2.2.2-03, RFC8693-2.2.2-06, RFC8693-4.1-14.
func TestUserIDTellsNothing(t *testing.T) { onBoth(t, testUserIDTellsNothing) }

func testUserIDTellsNothing(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("tool", tool)
	eve, err := h.store.Get(t.Context(), "eve")
	h.must(err)
	eve.Enabled = false
	h.must(h.store.UpdateUser(t.Context(), store.UserWrite{Write: h.write(), User: eve}))
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "tool", actorScope)
	before := h.base.dump(t)
	who := []string{"nobody", "pat", "eve", "ann", "bea", "sue", "JOHN", "john@acme.test", "john ", " john", "jo\u200bhn", "client:tool", strings.Repeat("j", 300), "john\n"}
	for _, change := range []url.Values{{}, {"resource": {"https://elsewhere.example/"}}, {"scope": {"app:write"}}} {
		want := ""
		for _, user := range who {
			form := userIDForm(user, actor)
			for name, values := range change {
				form[name] = values
			}
			if strings.Contains(user, "\n") && len(change) > 0 {
				continue
			}
			r := h.post("/oauth2/token", "tool", form)
			if r.status != http.StatusBadRequest || r.str("access_token") != "" {
				t.Errorf("%q: got %d %s", user, r.status, r.body)
			}
			if strings.Contains(user, "\n") {
				continue // a control character is a fault of the form
			}
			if want == "" {
				want = r.body
			}
			if r.body != want {
				t.Errorf("%q, %v: got %s, where another user gets %s", user, change, r.body, want)
			}
		}
		if code := "invalid_target"; change.Has("resource") != strings.Contains(want, code) {
			t.Errorf("%v: got %s", change, want)
		}
	}
	onlyAudit(t, "refusals", before, h.base.dump(t), string(audit.KindRefused))
	if r := h.post("/oauth2/token", "tool", userIDForm("john", actor)); r.status != http.StatusOK {
		t.Errorf("after all refusals: got %d %s", r.status, r.body)
	}
}

// What a start by user id needs beside the user.
func TestUserIDRefused(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("tool", tool)
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "tool", actorScope)
	sue, _ := h.login("john")
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	for name, c := range map[string]struct {
		change func(url.Values)
		code   string
		text   string
	}{
		"no reason":             {func(f url.Values) { f.Del("understudy_reason") }, "invalid_request", "understudy_reason: "},
		"a short reason":        {set("understudy_reason", "because"), "invalid_request", "understudy_reason: "},
		"a long reason":         {set("understudy_reason", strings.Repeat("x", 501)), "invalid_request", "understudy_reason: "},
		"a long ticket number":  {set("understudy_ticket_number", strings.Repeat("x", 65)), "invalid_request", "understudy_ticket_number: "},
		"no actor":              {func(f url.Values) { f.Del("actor_token"); f.Del("actor_token_type") }, "invalid_request", "actor_token: "},
		"no subject":            {set("subject_token", ""), "invalid_request", "subject_token: "},
		"an actor without role": {set("actor_token", h.token(sue, "tool", "openid app:read")), "invalid_request", tokenexchange.RefusedText},
		"an actor's token without the scope": {set("actor_token", h.token(cookie, "tool", "openid app:read")), "invalid_request",
			tokenexchange.RefusedText},
		"a token of another client": {set("actor_token", h.token(cookie, "app", actorScope)), "invalid_request", tokenexchange.RefusedText},
		"only what changes things":  {set("scope", "app:write"), "invalid_scope", ""},
	} {
		form := userIDForm("john", actor)
		c.change(form)
		r := h.post("/oauth2/token", "tool", form)
		refused(t, r, http.StatusBadRequest, c.code)
		if !strings.HasPrefix(r.str("error_description"), c.text) {
			t.Errorf("%s: got %s", name, r.body)
		}
	}
	ticketed := h.token(cookie, "app", actorScope)
	refused(t, h.post("/oauth2/token", "app", userIDForm("john", ticketed)), http.StatusBadRequest, "unauthorized_client")
	refused(t, h.post("/oauth2/token", "app", userIDForm("nobody", ticketed)), http.StatusBadRequest, "unauthorized_client")
}

// A start by a user id answers a scope alike for who is there and for who is not: one that the client cannot have, and one that the
// client has but this person could not get.
func TestUserIDTellsNoScopes(t *testing.T) {
	t.Parallel()
	reg := policy.Default()
	reg.Scopes = append(reg.Scopes, policy.Scope{Name: "app:ledger", Class: policy.ScopeRead}) // of no role
	h := setup(t, options{registry: &reg})
	h.addClientAs("tool", func(c *store.Client) { tool(c); c.Scopes = append(c.Scopes, "app:ledger") })
	cookie, _ := h.login("ann")
	for scope, want := range map[string]string{"no-such-scope": "invalid_scope", "app:ledger": "invalid_request"} {
		var bodies []string
		for _, user := range []string{"john", "nobody"} {
			f := userIDForm(user, h.token(cookie, "tool", actorScope))
			f.Set("scope", scope)
			r := h.post("/oauth2/token", "tool", f)
			refused(t, r, http.StatusBadRequest, want)
			bodies = append(bodies, r.body)
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s: known: %s; unknown: %s", scope, bodies[0], bodies[1])
		}
	}
}

// The actor signed in just now, or signs in again: and is told so in the same words, whoever is asked for.
//
// Covers RFC8693-2.2.2-07.
func TestUserIDNeedsAFreshSignIn(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("tool", tool)
	cookie, _ := h.login("ann")
	h.clock.advance(5*time.Minute + time.Second)
	actor := h.token(cookie, "tool", actorScope)
	for _, subject := range []string{"john", "pat", "ann", "nobody"} { // whoever is asked for, and whether they exist
		r := h.post("/oauth2/token", "tool", userIDForm(subject, actor))
		refused(t, r, http.StatusBadRequest, "insufficient_user_authentication")
		if r.json["max_age"] != 300.0 {
			t.Errorf("%s: got %s; want max_age 300", subject, r.body)
		}
		if e := h.entry(audit.KindRefused); e.Fields["rule"] != "need.fresh_sign_in" {
			t.Errorf("%s: refused by %v", subject, e.Fields)
		}
	}
	again, _ := h.login("ann")
	h.clock.advance(4 * time.Minute)
	if r := h.post("/oauth2/token", "tool", userIDForm("john", h.token(again, "tool", actorScope))); r.status != http.StatusOK {
		t.Errorf("signed in four minutes ago: got %d %s", r.status, r.body)
	}
}

// Of many starts by one actor's token at once, one opens a session.
func TestUserIDOnceUnderRace(t *testing.T) { onBoth(t, testUserIDOnceUnderRace) }

func testUserIDOnceUnderRace(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("tool", tool)
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "tool", actorScope)
	replies := make([]reply, 16)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() { replies[i] = h.post("/oauth2/token", "tool", userIDForm([]string{"john", "zoe"}[i%2], actor)) })
	}
	all.Wait()
	ok := 0
	for _, r := range replies {
		switch r.status {
		case http.StatusOK:
			ok++
		case http.StatusBadRequest, http.StatusServiceUnavailable:
		default:
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
	if ok != 1 {
		t.Errorf("%d sessions were opened, want 1", ok)
	}
}
