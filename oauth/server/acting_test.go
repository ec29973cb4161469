package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestNotImpersonating: an app that holds an actor's sign-in can ask that nobody is signed in behind its back.
func TestNotImpersonating(t *testing.T) { onBoth(t, testNotImpersonating) }

func testNotImpersonating(t *testing.T, o options) {
	h := setup(t, o)
	st := h.start("ann", "app", "john", "read")
	other := h.start("bea", "app", "eve", "read")
	auth := func(cookie, client, value, prompt string) reply {
		q := url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"12345678"},
			"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "prompt": {prompt}, "understudy_not_impersonating": {value}}
		for name := range q {
			if q.Get(name) == "" {
				q.Del(name)
			}
		}
		return h.get("/oauth2/auth?"+q.Encode(), cookie)
	}
	param := func(r reply, name string) string { return r.location.Query().Get(name) }

	if got := param(auth(st.cookie, "app", "true", "none"), "error"); got != "interaction_required" {
		t.Errorf("silently: %q, want interaction_required", got)
	}
	if got := param(auth(st.cookie, "app", "yes", ""), "error"); got != "invalid_request" {
		t.Errorf("another value: %q, want invalid_request", got)
	}
	for name, r := range map[string]reply{
		"not asked": auth(st.cookie, "app", "", "none"), "another client": auth(st.cookie, "other", "true", "none"),
	} {
		if param(r, "code") == "" {
			t.Errorf("%s: no code in %v", name, r.location)
		}
	}
	r := auth(st.cookie, "app", "true", "")
	if r.location.Path != "/sign-in/acting" {
		t.Fatalf("led to %v, want the page that asks", r.location)
	}
	page := h.get(r.location.String(), st.cookie)
	if page.status != http.StatusOK || !strings.Contains(page.body, "John Doe") || strings.Contains(page.body, "Eve Doe") {
		t.Errorf("the page: %d %s", page.status, page.body)
	}
	foreign, err := http.NewRequest(http.MethodPost, h.url+r.location.String(), nil)
	h.must(err)
	foreign.Header.Set("Cookie", st.cookie)
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := h.do(foreign); got.status != http.StatusForbidden || !h.active("app", st.token) {
		t.Errorf("a foreign page's POST: %d", got.status)
	}
	on := h.form(r.location.String(), st.cookie, nil)
	if on.status != http.StatusSeeOther || on.location.Path != "/oauth2/auth" {
		t.Fatalf("the button led to %d %v", on.status, on.location)
	}
	if param(h.get(on.location.String(), st.cookie), "code") == "" {
		t.Error("no code after the button")
	}
	if h.active("app", st.token) || !h.active("app", other.token) {
		t.Error("it did not end ann's session and hers alone")
	}
	if got := h.post("/oauth2/token", "app", stopForm(st.ret)); got.status != http.StatusBadRequest {
		t.Errorf("the return token afterwards: %d", got.status)
	}
	ends, _, err := h.store.Entries(t.Context(), store.EntryQuery{Kind: audit.KindEnd})
	h.must(err)
	if len(ends) != 1 || ends[0].Entry.Actor.Subject != "ann" || ends[0].Entry.Fields["reason"] != string(impersonation.EndStopped) {
		t.Errorf("on record: %+v", ends)
	}
	if r := h.get("/sign-in/acting?return_to=%2Faudit", st.cookie); r.status != http.StatusSeeOther || r.location.Path != "/audit" {
		t.Errorf("nothing to stop: %d %v", r.status, r.location)
	}
	if r := h.get("/sign-in/acting?return_to=//evil.test", ""); r.status != http.StatusSeeOther || r.location.String() != "/" {
		t.Errorf("elsewhere: %d %v", r.status, r.location)
	}
}
