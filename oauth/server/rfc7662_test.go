package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/directory"
)

// seen is the answer to an introspection by client.
func (h *house) seen(client, token string) reply {
	h.t.Helper()
	r := h.post("/oauth2/introspect", client, url.Values{"token": {token}})
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		h.t.Fatalf("introspect: got %d %s", r.status, r.body)
	}
	return r
}

// TestActiveWhileItLasts: an impersonation is active from its start to its end, whatever ended it, as a boolean and never from memory; an
// inactive answer has nothing else in it.
//
// Covers RFC7662-2.2-01, RFC7662-2.2-02.
func TestActiveWhileItLasts(t *testing.T) { onBoth(t, testActiveWhileItLasts) }

func testActiveWhileItLasts(t *testing.T, o options) {
	for name, end := range map[string]func(h *house, s started){
		"stop":       func(h *house, s started) { h.post("/oauth2/token", "app", stopForm(s.ret)) },
		"revocation": func(h *house, s started) { h.post("/oauth2/revoke", "app", url.Values{"token": {s.token}}) },
		"sign-out":   func(h *house, s started) { h.form("/sign-out", s.cookie, nil) },
		"its end": func(h *house, s started) {
			for range 6 { // or it would be idle first
				h.clock.advance(5 * time.Minute)
				h.seen("app", s.token)
			}
		},
		"idleness":         func(h *house, _ started) { h.clock.advance(11 * time.Minute) },
		"disabled admin":   func(h *house, _ started) { h.disabled("ann") },
		"disabled subject": func(h *house, _ started) { h.disabled("john") },
		"demoted admin":    func(h *house, _ started) { h.demoted("ann") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, o)
			s := h.start("ann", "app", "john", "read")
			for range 2 { // the second is no older than the first
				if got := h.seen("app", s.token); got.json["active"] != true {
					t.Fatalf("during: got %s; want true", got.body)
				}
			}
			end(h, s)
			if got := h.seen("app", s.token); got.body != `{"active":false}` {
				t.Errorf("after: got %s; want nothing but active", got.body)
			}
		})
	}
}

// TestInactiveTellsNothing: whatever is wrong with a token, of whomever and in front of whomever, the answer is the same 200. A client is
// told of the tokens that were issued to it and of those for the resource that it serves, and of no others.
//
// Covers RFC7662-2.2-02, RFC7662-2.2-03, RFC7662-4-01.
func TestInactiveTellsNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, twoResources())
	h.addAPIs()
	s := h.start("ann", "web", "john", "read")
	expired := h.token(s.cookie, "web", "openid")
	h.clock.advance(601 * time.Second)
	s = h.start("ann", "web", "john", "read")
	revoked := h.token(s.cookie, "web", "openid")
	h.post("/oauth2/revoke", "web", url.Values{"token": {revoked}})
	elsewhere := setup(t, options{}).start("ann", "app", "john", "read") // another issuer's
	for name, c := range map[string]struct{ client, token string }{
		"nonsense": {"web", "x"}, "a ticket": {"web", h.ticket(s.cookie, "web", "eve", "read")}, "a return token": {"web", s.ret},
		"expired": {"web", expired}, "revoked": {"web", revoked}, "another issuer's": {"web", elsewhere.token},
		"without its signature": {"web", s.token[:len(s.token)-86]}, "with another's": {"web", s.token[:len(s.token)-86] + s.actor[len(s.actor)-86:]},
		"another client": {"other", s.token}, "another resource's server": {"api-2", s.token}, "the admin's, at that server": {"api-2", s.actor},
	} {
		if got := h.seen(c.client, c.token); got.body != `{"active":false}` {
			t.Errorf("%s: got %s; want nothing but active", name, got.body)
		}
	}
	for _, client := range []string{"web", "api-1"} {
		if !h.active(client, s.token) {
			t.Errorf("%s, for whom it is, got an inactive answer", client)
		}
	}
}

// TestHintsAtIntrospection: a hint changes nothing, right, wrong or unheard of.
//
// Covers RFC7662-2.1-02.
func TestHintsAtIntrospection(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	s := h.start("ann", "app", "john", "read")
	for what, token := range map[string]string{"impersonation": s.token, "the admin's": s.actor} {
		want := h.seen("app", token).body
		for _, hint := range []string{"access_token", "refresh_token", "foo", "urn:understudy:params:oauth:token-type:ticket"} {
			r := h.post("/oauth2/introspect", "app", url.Values{"token": {token}, "token_type_hint": {hint}})
			if r.json["active"] != true || r.body != want {
				t.Errorf("%s, hint %s: got %s; want %s", what, hint, r.body, want)
			}
		}
	}
}

// TestIntrospectionSaysWhatTheTokenSays: all that the token says, unchanged, and of the server's own only active and token_type. Nothing
// that a user is called or has attached to them takes the place of a member.
//
// Covers RFC7662-2.2-04, RFC7662-2.2-05.
func TestIntrospectionSaysWhatTheTokenSays(t *testing.T) {
	onBoth(t, testIntrospectionSaysWhatTheTokenSays)
}

func testIntrospectionSaysWhatTheTokenSays(t *testing.T, o options) {
	h := setup(t, o)
	shadow := map[string]string{}
	for _, name := range []string{"active", "act", "sub", "exp", "iss", "jti", "scope", "aud", "client_id", "cnf", "token_type"} {
		shadow[name] = "shadow"
	}
	for _, who := range []string{"ann", "john"} {
		h.change(who, func(u *directory.User) {
			u.Attributes, u.Groups, u.Name = shadow, []string{"active", "act"}, `","active":false,"act":{"sub":"eve`
		})
	}
	s := h.start("ann", "app", "john", "read")
	back := h.post("/oauth2/token", "app", stopForm(h.start("bea", "app", "eve", "read").ret))
	for _, name := range []string{"sub", "act", "client_id", "scope", "aud", "iss", "exp", "iat", "jti"} {
		if _, c := claims(t, s.token); c[name] == nil {
			t.Errorf("the impersonation token has no %s", name)
		}
	}
	for what, token := range map[string]string{"impersonation": s.token, "the admin's": s.actor, "after a stop": back.str("access_token")} {
		_, want := claims(t, token)
		maps.Copy(want, map[string]any{"active": true, "token_type": "Bearer"})
		if diff := cmp.Diff(want, h.seen("app", token).json); diff != "" {
			t.Errorf("%s, -token +introspection:\n%s", what, diff)
		}
	}
}
