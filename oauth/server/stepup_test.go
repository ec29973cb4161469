package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestStepUpAtStart: an actor who signed in too long ago is told how to sign in, and starts once they have; nothing is spent meanwhile.
//
// Covers RFC8693-2.2.2-07, RFC9470-5-01.
func TestStepUpAtStart(t *testing.T) { onBoth(t, testStepUpAtStart) }

func testStepUpAtStart(t *testing.T, o options) {
	o.maxAuthAge, o.secondFactor = 5*time.Minute, true
	h := setup(t, o)
	cookie, _ := h.login("ann")
	h.clock.advance(5*time.Minute - 2*time.Second)
	actor, ticket := h.token(cookie, "app", actorScope), h.ticket(cookie, "app", "john", "read")
	h.clock.advance(10 * time.Second)
	r := h.post("/oauth2/token", "app", startForm(ticket, actor))
	refused(t, r, http.StatusBadRequest, "insufficient_user_authentication")
	if r.json["max_age"] != 300.0 || r.json["acr_values"] != oauth.ACRMFA || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s; want what to ask for", r.body)
	}
	if live := h.base.dump(t)["impersonation_session"]; len(live) > 0 {
		t.Errorf("a session was opened: %v", live)
	}
	h.start("ann", "app", "john", "read")
}

// TestStepUpTellsNothing: to an actor whose sign-in does not do, everybody looks alike, whether or not they exist.
//
// Covers RFC8693-2.2.2-06, RFC8693-2.2.2-07.
func TestStepUpTellsNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.newClient("tool", func(c *store.Client) { c.Settings.UserID = true })
	h.must(h.store.CreateUser(t.Context(), store.UserWrite{Write: h.write(), User: directory.User{ID: "off", Email: "off@acme.test", Organisation: "acme", Created: time.Now()}}))
	_, err := h.store.End(t.Context(), impersonation.EndWrite{Write: h.write(), Scope: impersonation.ScopeSubject, ID: "zoe", Reason: impersonation.EndKilled, Kill: true})
	h.must(err)
	cookie, _ := h.login("sue")
	ask := func(subject string) reply {
		r := h.post("/oauth2/token", "tool", url.Values{
			"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {subject}, "subject_token_type": {string(oauth.TokenTypeUserID)},
			"actor_token": {h.token(cookie, "tool", actorScope)}, "actor_token_type": {typeToken}, oauth.ParamReason: {"cannot find the report tab"},
		})
		r.header.Del("X-Request-Id")
		r.header.Del("Date")
		return r
	}
	h.clock.advance(6 * time.Minute)
	stale := ask("john")
	refused(t, stale, http.StatusBadRequest, "insufficient_user_authentication")
	if stale.json["max_age"] != 300.0 || stale.json["acr_values"] != nil {
		t.Errorf("got %s; want max_age alone", stale.body)
	}
	for _, subject := range []string{"ghost", "pat", "bea", "off", "zoe", "sue"} {
		if r := ask(subject); r.body != stale.body || !maps.EqualFunc(r.header, stale.header, slices.Equal) {
			t.Errorf("%s, too long ago: got %d %v %s; want what john gives: %s", subject, r.status, r.header, r.body, stale.body)
		}
	}
}
