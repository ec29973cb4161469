package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/server"
)

// over is what a logout token says, with changes.
func (h *abroad) over(changes map[string]any) string {
	now := h.clock.Now().Unix()
	claims := map[string]any{"iss": h.idp.url, "aud": "understudy", "iat": now, "exp": now + 120, "jti": oauth.NewID("jti"), "sid": "sid-1",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	maps.Copy(claims, changes)
	return h.idp.sign(claims)
}

func (h *abroad) told(token string) reply {
	h.t.Helper()
	return h.form("/sign-in/backchannel/corp", "", url.Values{"logout_token": {token}})
}

// TestUpstreamLogout: what an upstream says is over ends with its tokens and impersonations, once; a token that is not its own ends nothing.
//
// Covers BCL-2.7-01.
func TestUpstreamLogout(t *testing.T) { onBoth(t, testUpstreamLogout) }

func testUpstreamLogout(t *testing.T, o options) {
	h := setupAbroad(t, o, func(u *server.Upstream) { u.CreateUsers = false })
	h.edit("ann", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: h.idp.url, Subject: "sam-there"}} })
	j := jar{}
	h.through(j, "")
	cookie := "__Host-op=" + j["__Host-op"]
	actor := h.token(cookie, "app", actorScope)
	started := h.post("/oauth2/token", "app", startForm(h.ticket(cookie, "app", "john", "read"), actor))
	if started.status != http.StatusOK {
		t.Fatalf("start: got %d %s", started.status, started.body)
	}
	token := started.str("access_token")
	for name, changes := range map[string]map[string]any{
		"no events": {"events": nil}, "a nonce": {"nonce": "n"}, "another audience": {"aud": "other"}, "another issuer": {"iss": "https://other.test"},
		"over": {"exp": 1}, "neither sid nor sub": {"sid": nil}, "no jti": {"jti": nil}, "an ID token": {"events": nil, "sub": "sam-there"},
	} {
		if r := h.told(h.over(changes)); r.status != http.StatusBadRequest || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	for _, bad := range []string{"", "x", "a.b.c"} {
		if r := h.told(bad); r.status != http.StatusBadRequest {
			t.Errorf("%q: got %d", bad, r.status)
		}
	}
	if !h.active("app", token) || h.get("/", cookie).status != http.StatusOK {
		t.Fatal("a token that counts for nothing ended something")
	}
	under := jar{}
	way := h.idp.visit(h.out(under, ""))
	good := h.over(nil)
	if r := h.told(good); r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" || r.body != "" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	if h.active("app", token) || h.active("app", actor) || h.get("/", cookie).status != http.StatusSeeOther {
		t.Error("something outlived the sign-in upstream")
	}
	if h.back(under, way); under["__Host-op"] != "" {
		t.Error("a sign-in that was under way outlived its session")
	}
	if r := h.told(good); r.status != http.StatusBadRequest {
		t.Errorf("a second time: got %d", r.status)
	}
	h.sound(token)
}

// TestUpstreamLogoutComesAgain: where the keys cannot be had, or may be newer than those at hand, the sender is told to come again, and the log tells
// of it; a token that is none is refused for good.
func TestUpstreamLogoutComesAgain(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"a page":    func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"an error":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setupAbroad(t, options{}, nil)
			token := h.over(nil)
			h.idp.breaks(broken)
			if r := h.told(token); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
				t.Errorf("got %d %v; want 503 and when to come again", r.status, r.header)
			}
			if !strings.Contains(h.logs.String(), "a logout token of Acme corp came to nothing") {
				t.Errorf("the log has %s", h.logs)
			}
			h.idp.breaks(nil)
			h.clock.advance(11 * time.Second)
			if r := h.told(token); r.status != http.StatusOK {
				t.Errorf("when it came again: got %d %s", r.status, r.body)
			}
			if r := h.told(h.over(map[string]any{"aud": "other"})); r.status != http.StatusBadRequest {
				t.Errorf("one for somebody else: got %d", r.status)
			}
		})
	}
}
