package server_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// registered are the claims of the IANA registry that a token of ours may have. None of them is a right by itself.
var registered = []string{"iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "sid", "txn", "act", "may_act", "cnf", "auth_time", "acr", "amr"}

// TestClaims: every token has the seven claims that RFC 9068 demands, each of its JSON type and of today, and none that is not registered.
// Only a token of who signed in tells of a sign-in.
//
// Covers RFC9068-2.2-01, RFC9068-2.2.1-01, RFC9068-2.2.2-01.
func TestClaims(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", service)
	p := newProver(h).learns()
	john, _ := h.login("john") // by two factors, of which the impersonation must say nothing
	h.token(john, "app", "openid")
	s := h.start("ann", "app", "john", "write")
	bound := p.start("bea", "app", "eve")
	all := map[string]string{
		"user": s.actor, "impersonation": s.token, "bound impersonation": bound.token, "a client's own": h.own("bot", nil).str("access_token"),
		"after a stop": h.post("/oauth2/token", "app", stopForm(h.start("sue", "app", "john", "read").ret)).str("access_token"),
	}
	for what, token := range all {
		_, c := claims(t, token)
		for _, name := range []string{"iss", "sub", "aud", "client_id", "jti"} {
			if text, ok := c[name].(string); !ok || text == "" {
				t.Errorf("%s: %s is %#v; want a string", what, name, c[name])
			}
		}
		now := float64(h.clock.Now().Unix())
		for name, at := range map[string]float64{"iat": now, "exp": now + 1800} {
			if n, ok := c[name].(float64); !ok || n != math.Trunc(n) || n < now-60 || n > at+60 {
				t.Errorf("%s: %s is %#v; want whole seconds about %v", what, name, c[name], at)
			}
		}
		for name := range c {
			if !slices.Contains(registered, name) {
				t.Errorf("%s: has the claim %s, which nobody registered", what, name)
			}
		}
		seen := h.seen("app", token).json
		signedIn := what == "user" || what == "after a stop"
		for _, name := range []string{"auth_time", "acr", "amr"} {
			if _, ok := c[name]; ok != signedIn {
				t.Errorf("%s: %s is %v", what, name, c[name])
			}
			if _, ok := seen[name]; ok != signedIn {
				t.Errorf("%s: %s at introspection is %v", what, name, seen[name])
			}
		}
	}
}

// TestEveryTokenItsOwn: no two tokens share a jti, whatever one was made from.
//
// Covers RFC9068-2.2-03.
func TestEveryTokenItsOwn(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("web", refreshing)
	seen := map[string]string{}
	note := func(what, token string) {
		_, c := claims(t, token)
		if was := seen[c["jti"].(string)]; was != "" {
			t.Errorf("the jti of a token by %s is that of one by %s", what, was)
		}
		seen[c["jti"].(string)] = what
	}
	for range 10 {
		g, cookie, _ := h.enter("ann", "web")
		note("code", g.access)
		start := h.post("/oauth2/token", "web", startForm(h.ticket(cookie, "web", "john", "read"), g.access))
		note("start", start.str("access_token"))
		note("stop", h.post("/oauth2/token", "web", stopForm(start.str("understudy_return_token"))).str("access_token"))
		for range 2 {
			g = h.refresh("web", g.refresh)
			note("refresh", g.access)
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d jti of 50 tokens", len(seen))
	}
}

// TestRolesAreTheSubjects: wherever an impersonation tells of roles, they are those of the subject: nothing of the actor's is in the token, at
// introspection, at userinfo or in the answer to the start.
//
// Covers RFC9068-2.2.3.1-01.
func TestRolesAreTheSubjects(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	s := h.start("ann", "app", "john", "write") // ann is an admin, john a user
	if own := h.userinfo(s.actor).body; !strings.Contains(own, `"admin"`) {
		t.Fatalf("ann's own userinfo has no admin: %s", own)
	}
	_, token := claims(t, s.token)
	for what, found := range map[string]map[string]any{"token": token, "introspection": h.seen("app", s.token).json} {
		for _, name := range []string{"roles", "groups", "entitlements"} {
			if found[name] != nil {
				t.Errorf("%s: %s is %v; want none", what, name, found[name])
			}
		}
		if strings.Contains(fmt.Sprint(found), "admin") {
			t.Errorf("%s: %v knows of an admin", what, found)
		}
	}
	for what, roles := range map[string]any{
		"userinfo": h.userinfo(s.token).json["roles"], "answer": s.reply.json["understudy_session"].(map[string]any)["subject"].(map[string]any)["roles"],
	} {
		if fmt.Sprint(roles) != "[user]" {
			t.Errorf("%s: roles are %v; want john's", what, roles)
		}
	}
}
