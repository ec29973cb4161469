package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// TestStream goes the whole way of a receiver: a token, a stream, the snapshot, a stop, its SET, the acknowledgement.
//
// Covers RFC8936-2.4-01.
func TestStream(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.running()
		before := h.start("ann", "app", "john", "read")
		h.post("/oauth2/token", "app", stopForm(before.ret))

		r := h.receiverOf("app")
		r.openStream()
		first := r.poll(`{"understudy_snapshot":true}`)
		if len(first.Ended) != 1 || first.Ended[0].Session != before.sid || first.Ended[0].Expires < time.Now().Unix() || !*first.State.Vouches || len(first.State.Epochs) > 0 {
			t.Fatalf("got %+v; want the end of %s", first, before.sid)
		}
		live := h.start("ann", "app", "john", "read")
		if a := r.now(); len(a.Sets) > 0 || a.Ended != nil {
			t.Errorf("with nothing to tell: got %+v", a)
		}
		h.post("/oauth2/token", "app", stopForm(live.ret))
		a := r.poll(`{"understudy_wait":10}`)
		if got := r.sessions(a); !slices.Equal(got, []string{live.sid}) || *a.MoreAvailable {
			t.Fatalf("got %v of %+v; want %s", got, a, live.sid)
		}
		if again := r.now(); !cmp.Equal(again.Sets, a.Sets) {
			t.Errorf("not acknowledged: got %v, want %v again", again.Sets, a.Sets)
		}
		if after := r.ack(a); len(after.Sets) > 0 {
			t.Errorf("acknowledged: got %v", after.Sets)
		}
		if after := r.now(); len(after.Sets) > 0 {
			t.Errorf("and later: got %v", after.Sets)
		}
		// To acknowledge it once more is no fault: the answer to the first time may have been lost.
		if after := r.ack(a); len(after.Sets) > 0 {
			t.Errorf("acknowledged twice: got %v", after.Sets)
		}
	})
}

// TestSET holds a SET to the letter, for each way in which a session ends.
//
// Covers RFC8417-2.2-01, RFC8417-2.2-02, SSF-4.1-01, SSF-4.1.8-01, CAEP-3.1-01, CAEP-2-01, CAEP-3.1-02.
func TestSET(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.running()
		r, sibling, other := h.receive("app"), h.receive("app"), h.receive("other")
		jtis := map[string]bool{}
		for _, end := range []struct {
			name, by string
			run      func(started)
		}{
			{"stop", "user", func(s started) { h.post("/oauth2/token", "app", stopForm(s.ret)) }},
			{"revocation", "system", func(s started) { h.post("/oauth2/revoke", "app", url.Values{"token": {s.token}}) }},
			{"operator", "admin", func(s started) { h.endSessions(impersonation.ScopeSession, s.sid) }},
			{"kill", "admin", func(s started) {
				h.killed(impersonation.ScopeSubject, "john")
				h.lifted(impersonation.ScopeSubject, "john")
			}},
			{"lost permission", "admin", func(s started) { h.disabled("john") }},
			{"expiry", "policy", func(s started) { h.clock.advance(31 * time.Minute); r.renew(); sibling.renew(); other.renew() }},
		} {
			s := h.start("ann", "app", "john", "read")
			at := h.clock.Now()
			end.run(s)
			c := r.hears(s.sid)
			want := map[string]any{"format": "complex", "session": map[string]any{"format": "opaque", "id": s.sid},
				"user": map[string]any{"format": "iss_sub", "iss": h.issuer, "sub": "john"}}
			if diff := cmp.Diff(want, c["sub_id"]); diff != "" {
				t.Errorf("%s: sub_id (-want +got):\n%s", end.name, diff)
			}
			_, token := claims(t, s.token)
			if c["iss"] != h.issuer || c["aud"] != "app" || c["txn"] != token["txn"] || jtis[c["jti"].(string)] {
				t.Errorf("%s: got %v; want iss, aud, the txn of the token, and a jti of its own", end.name, c)
			}
			jtis[c["jti"].(string)] = true
			for _, name := range []string{"sub", "exp"} {
				if _, ok := c[name]; ok {
					t.Errorf("%s: the SET has %s", end.name, name)
				}
			}
			event := revokedEvent(t, c)
			stamp := time.Unix(int64(event["event_timestamp"].(float64)), 0)
			if end.name != "expiry" && (stamp.Before(at.Add(-5*time.Second)) || stamp.After(at.Add(5*time.Second))) {
				t.Errorf("%s: event_timestamp %v, want %v", end.name, stamp, at)
			}
			reason, _ := event["reason_admin"].(map[string]any)["en"].(string)
			if event["initiating_entity"] != end.by || reason == "" || event["reason_user"] != nil || len(event) != 3 {
				t.Errorf("%s: got %v; want initiating_entity %s, reason_admin, and no more", end.name, event, end.by)
			}
			// Another process of the client is told the very same, and another client nothing.
			if same := sibling.hears(s.sid); !cmp.Equal(same, c) {
				t.Errorf("%s: another process is told %v; want %v", end.name, same, c)
			}
			if a := other.now(); len(a.Sets) > 0 {
				t.Errorf("%s: another client is told %v", end.name, a.Sets)
			}
			if end.name == "lost permission" {
				h.change("john", func(u *directory.User) { u.Enabled = true })
			}
		}
		for _, set := range func() map[string]string {
			s := h.start("ann", "app", "john", "read")
			h.endSessions(impersonation.ScopeSession, s.sid)
			return r.poll(`{"understudy_wait":10}`).Sets
		}() {
			r.verifiedBy(set, "RS256")
		}
	})
}

func (h *house) endSessions(scope impersonation.EpochScope, id string) {
	h.t.Helper()
	_, err := h.store.End(h.t.Context(), impersonation.EndWrite{Write: h.write(), Scope: scope, ID: id, Reason: impersonation.EndOperator, By: oauth.Party{Issuer: "cli", Subject: "op"}, Issuer: h.issuer})
	h.must(err)
}

// renew takes another token, where time has passed.
func (r *receiver) renew() {
	r.t.Helper()
	r.token = r.receiverOf(r.client).token
	r.openStream()
	r.poll(`{"understudy_snapshot":true}`)
}

// Each route for receivers wants a token that is the client's own, for us, and for this.
//
// Covers SSF-8.1-01.
func TestStreamAuthority(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", service)
	r, mine := h.receive("app"), h.receive("other")
	cookie, _ := h.login("ann")
	person := h.token(cookie, "app", actorScope)
	acting := h.start("ann", "app", "john", "read").token
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "/ssf/streams", ""}, {http.MethodGet, "/ssf/streams?stream_id=" + r.id, ""}, {http.MethodPost, "/ssf/streams", `{}`},
		{http.MethodPatch, "/ssf/streams", `{"stream_id":"` + r.id + `"}`}, {http.MethodPut, "/ssf/streams", `{"stream_id":"` + r.id + `"}`},
		{http.MethodDelete, "/ssf/streams?stream_id=" + r.id, ""}, {http.MethodGet, "/ssf/status?stream_id=" + r.id, ""},
		{http.MethodPost, "/ssf/status", `{"stream_id":"` + r.id + `","status":"disabled"}`},
		{http.MethodPost, "/ssf/subjects/add", `{"stream_id":"` + r.id + `","subject":{"format":"opaque","id":"x"}}`},
		{http.MethodPost, "/ssf/subjects/remove", `{"stream_id":"` + r.id + `","subject":{"format":"opaque","id":"x"}}`},
		{http.MethodPost, "/ssf/verify", `{"stream_id":"` + r.id + `"}`}, {http.MethodPost, r.url, `{"returnImmediately":true}`},
	} {
		for name, try := range map[string]struct {
			authorization string
			status        int
			code          string
		}{
			"nobody":               {"", 401, "invalid_token"},
			"a secret":             {"Basic " + base64.StdEncoding.EncodeToString([]byte("app:"+h.secrets["app"])), 401, "invalid_token"},
			"garbage":              {"Bearer x.y.z", 401, "invalid_token"},
			"a person":             {"Bearer " + person, 403, "insufficient_scope"},
			"who impersonates":     {"Bearer " + acting, 403, "insufficient_scope"},
			"a client for its own": {"Bearer " + h.own("bot", nil).str("access_token"), 403, "insufficient_scope"},
		} {
			got := r.callAs(try.authorization, c.method, c.path, c.body)
			if got.status != try.status || got.str("error") != try.code || got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s by %s: got %d %s, WWW-Authenticate %q; want %d %s", c.method, c.path, name, got.status, got.body, got.header.Get("WWW-Authenticate"), try.status, try.code)
			}
		}
		got := mine.call(c.method, c.path, c.body)
		switch {
		case c.method == http.MethodGet && c.path == "/ssf/streams":
			if got.status != http.StatusOK || !strings.Contains(got.body, mine.id) || strings.Contains(got.body, r.id) {
				t.Errorf("the streams of another client: got %d %s", got.status, got.body)
			}
		case c.method == http.MethodPost && c.path == "/ssf/streams":
		default:
			if got.status != http.StatusNotFound {
				t.Errorf("%s %s by another client: got %d %s; want 404", c.method, c.path, got.status, got.body)
			}
		}
	}
	if got := r.call(http.MethodGet, "/ssf/status?stream_id="+r.id, ""); got.str("status") != "enabled" {
		t.Errorf("after all that: got %d %s; want it enabled", got.status, got.body)
	}
}

// TestStreamRecheck: what only a question would find is found for who asks none: a user who was changed past all that ends sessions. And to be
// looked at is no activity.
func TestStreamRecheck(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		h.running()
		r := h.receive("app")
		live := h.start("ann", "app", "john", "read")
		h.change("john", func(u *directory.User) { u.Protected = true })
		event := revokedEvent(t, r.hears(live.sid))
		if event["initiating_entity"] != "policy" {
			t.Errorf("got %v", event)
		}
		other := h.start("ann", "app", "eve", "read")
		before, err := h.store.Session(t.Context(), other.sid)
		h.must(err)
		h.clock.advance(2 * time.Minute)
		r.renew()
		h.change("eve", func(u *directory.User) { u.Protected = true })
		r.hears(other.sid)
		if after, err := h.store.Session(t.Context(), other.sid); err != nil || !after.LastActive.Equal(before.LastActive) {
			t.Errorf("last active %v, was %v, %v; want it unmoved", after.LastActive, before.LastActive, err)
		}
	})
}
