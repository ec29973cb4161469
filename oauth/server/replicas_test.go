package server_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// killed is the kill switch, as the command line turns it, with the entry that it writes.
func (h *house) killed(scope impersonation.EpochScope, id string) {
	h.t.Helper()
	w := impersonation.EndWrite{Write: h.write(), Scope: scope, ID: id, Reason: impersonation.EndKilled, By: oauth.Party{Issuer: "cli", Subject: "op"}, Issuer: h.issuer, Kill: true}
	w.Entries = []audit.Entry{audit.New(audit.KindKill, w.Now)}
	_, err := h.store.End(context.Background(), w)
	h.must(err)
}

func (h *house) lifted(scope impersonation.EpochScope, id string) {
	h.t.Helper()
	w := impersonation.LiftWrite{Write: h.write(), Scope: scope, ID: id}
	w.Entries = []audit.Entry{audit.New(audit.KindLift, w.Now)}
	h.must(h.store.Lift(context.Background(), w))
}

// disabled disables a user with all that an operator's act ends.
func (h *house) disabled(id string) {
	h.t.Helper()
	u, err := h.store.Get(context.Background(), id)
	h.must(err)
	w := store.UserWrite{Write: h.write(), User: u, EndLogins: true}
	w.User.Enabled, w.User.Updated = false, w.Now
	for _, scope := range []impersonation.EpochScope{impersonation.ScopeActor, impersonation.ScopeSubject} {
		w.Ends = append(w.Ends, impersonation.EndWrite{Scope: scope, ID: id, Reason: impersonation.EndDisabled, By: oauth.Party{Issuer: "cli", Subject: "op"}, Issuer: h.issuer})
	}
	h.must(h.store.UpdateUser(context.Background(), w))
}

func (h *house) demoted(id string) { h.change(id, func(u *directory.User) { u.Roles = nil }) }

// userinfo asks with a token, as whoever holds it.
func (h *house) userinfo(token string) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+"/userinfo", nil)
	h.must(err)
	req.Header.Set("Authorization", "Bearer "+token)
	return h.do(req)
}

// dead are the calls that must know of an end, each as the first one after it.
var dead = map[string]func(t *testing.T, h *house, s started){
	"introspection": func(t *testing.T, h *house, s started) {
		if h.active("app", s.token) {
			t.Error("introspection says active")
		}
	},
	"userinfo": func(t *testing.T, h *house, s started) {
		if r := h.userinfo(s.token); r.status != http.StatusUnauthorized || r.str("error") != "invalid_token" {
			t.Errorf("userinfo: got %d %s; want 401 invalid_token", r.status, r.body)
		}
	},
	"actions": func(t *testing.T, h *house, s started) {
		wantSessions(t, h.act("app", batch(h.action(s.sid))), `"`+s.sid+`":{"active":false}`)
	},
}

// TestEndedOnOne: what ends sessions on one server has ended them on the other at the very next call, whichever call that is. On
// SQLite the one is a command line beside the other.
func TestEndedOnOne(t *testing.T) { onBoth(t, testEndedOnOne) }

func testEndedOnOne(t *testing.T, o options) {
	ok := func(h *house, r reply) {
		if r.status != http.StatusOK {
			h.t.Errorf("the end: got %d %s; want 200", r.status, r.body)
		}
	}
	for name, c := range map[string]struct {
		end  func(h *house, s started) // of one session, or of all
		stop bool                      // the return token still gives the actor's own token
	}{
		"stop":                 {end: func(h *house, s started) { ok(h, h.post("/oauth2/token", "app", stopForm(s.ret))) }},
		"revoked token":        {end: func(h *house, s started) { ok(h, h.post("/oauth2/revoke", "app", url.Values{"token": {s.token}})) }},
		"revoked return token": {end: func(h *house, s started) { ok(h, h.post("/oauth2/revoke", "app", url.Values{"token": {s.ret}})) }},
		"sign-out":             {end: func(h *house, s started) { ok(h, h.form("/sign-out", s.cookie, url.Values{})) }},
		"kill, instance":       {end: func(h *house, s started) { h.killed(impersonation.ScopeInstance, "") }},
		"kill, client":         {end: func(h *house, s started) { h.killed(impersonation.ScopeClient, "app") }},
		"kill, actor":          {end: func(h *house, s started) { h.killed(impersonation.ScopeActor, "ann") }},
		"kill, subject":        {end: func(h *house, s started) { h.killed(impersonation.ScopeSubject, "john") }},
		"kill, organisation":   {end: func(h *house, s started) { h.killed(impersonation.ScopeOrganisation, "acme") }},
		"disabled actor":       {end: func(h *house, s started) { h.disabled("ann") }},
		"disabled subject":     {end: func(h *house, s started) { h.disabled("john") }},
		"demotion":             {end: func(h *house, s started) { h.demoted("ann") }, stop: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := setup(t, o)
			other := one.replica(options{})
			running := map[string]started{"stop": other.start("ann", "app", "john", "read")}
			for call := range dead {
				running[call] = other.start("ann", "app", "john", "read")
			}
			for _, s := range running {
				if !other.active("app", s.token) {
					t.Fatal("a session that just started is inactive")
				}
			}
			for _, s := range running {
				c.end(one, s)
			}
			for call, look := range dead {
				look(t, other, running[call])
			}
			wantStop(t, other.post("/oauth2/token", "app", stopForm(running["stop"].ret)), c.stop)
			one.sound()
		})
	}
}

// wantStop demands of a stop that it gave a token, or that it was refused as any spent or void one is.
func wantStop(t *testing.T, r reply, gives bool) {
	t.Helper()
	if !gives {
		refused(t, r, http.StatusBadRequest, "invalid_request")
		return
	}
	if _, c := claims(t, r.str("access_token")); r.status != http.StatusOK || c["act"] != nil {
		t.Errorf("stop: got %d %v; want a token without act", r.status, c)
	}
}
