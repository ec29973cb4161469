package server_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestBreakGlass: the form for a password is behind a step of its own; who has a password signs in by it, and each time raises an alarm in
// the log and in the trail. A wrong password is no use of it: it is told apart, and counted as ever.
func TestBreakGlass(t *testing.T) { onBoth(t, testBreakGlass) }

func testBreakGlass(t *testing.T, o options) {
	o.local = server.LocalBreakGlass
	h := setupAbroad(t, o, nil)
	h.setPassword()
	page := h.get("/sign-in?return_to=%2Faudit", "")
	if strings.Contains(page.body, `name="password"`) || !strings.Contains(page.body, "Continue with") || !strings.Contains(page.body, `href="/sign-in?return_to=%2Faudit&amp;local=1"`) {
		t.Errorf("the page is\n%s", page.body)
	}
	glass := h.get("/sign-in?return_to=%2Faudit&local=1", "")
	if !strings.Contains(glass.body, `name="password"`) || !strings.Contains(glass.body, "raises an alarm") || !strings.Contains(glass.body, `action="/sign-in?return_to=%2Faudit&amp;local=1"`) {
		t.Errorf("behind the step is\n%s", glass.body)
	}
	post := func(at, email, password string) reply {
		return h.form(at, "", url.Values{"email": {email}, "password": {password}})
	}
	if r := post("/sign-in?return_to=%2Faudit", "ann@acme.test", annsPassword); r.status != http.StatusForbidden || r.cookie("__Host-op") != "" {
		t.Errorf("without the step: got %d", r.status)
	}
	const at = "/sign-in?return_to=%2Faudit&local=1"
	for _, email := range []string{"ann@acme.test", "john@acme.test", "nobody@acme.test"} { // john has no password
		if r := post(at, email, "wrong"); r.status != http.StatusUnauthorized || r.cookie("__Host-op") != "" {
			t.Errorf("%s with a wrong password: got %d", email, r.status)
		}
	}
	if log := h.logs.String(); strings.Contains(log, `"break-glass sign-in`) || strings.Count(log, `level=WARN msg="a break-glass sign-in failed" address=127.0.0.1`) != 3 {
		t.Errorf("three tries that fail are told as\n%s", log)
	}
	r := post(at, "ann@acme.test", annsPassword)
	if r.status != http.StatusSeeOther || r.location.String() != "/audit" || !h.alive(r.cookie("__Host-op")) {
		t.Fatalf("got %d to %v\n%s", r.status, r.location, r.body)
	}
	log := h.logs.String()
	if !strings.Contains(log, `level=WARN msg="break-glass sign-in ann@acme.test" user=ann address=127.0.0.1`) || strings.Contains(log, annsPassword) {
		t.Errorf("the log is\n%s", log)
	}
	entries, _, err := h.store.Entries(t.Context(), store.EntryQuery{Kind: audit.KindSignIn})
	h.must(err)
	if len(entries) != 1 || entries[0].Entry.Fields["break_glass"] != "true" || entries[0].Entry.Fields["address"] == "" || entries[0].Entry.Actor.Subject != "ann" {
		t.Errorf("the trail has %+v", entries)
	}
	h.through(jar{}, "")
	if entries, _, err = h.store.Entries(t.Context(), store.EntryQuery{Kind: audit.KindSignIn}); err != nil || len(entries) != 2 || entries[0].Entry.Fields["break_glass"] != "" {
		t.Errorf("a sign-in upstream is recorded as %+v, %v", entries, err)
	}
	for i := range 10 {
		want := http.StatusUnauthorized
		if i == 9 {
			want = http.StatusTooManyRequests
		}
		if r := post(at, "ann@acme.test", "wrong"); r.status != want {
			t.Errorf("failure %d: got %d, want %d", i+1, r.status, want)
		}
	}
	if r := post(at, "ann@acme.test", annsPassword); r.status != http.StatusTooManyRequests {
		t.Errorf("the right password while locked: got %d", r.status)
	}
}

// TestBreakGlassFailed: who mistyped is shown the form again, with the alarm, and not the page without it.
func TestBreakGlassFailed(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{local: server.LocalBreakGlass}, nil)
	r := h.form("/sign-in?local=1", "", url.Values{"email": {"ann@acme.test"}, "password": {"wrong"}})
	if r.status != http.StatusUnauthorized || !strings.Contains(r.body, `name="password"`) || !strings.Contains(r.body, "raises an alarm") || strings.Contains(r.body, "Continue with") {
		t.Errorf("got %d\n%s", r.status, r.body)
	}
	if log := h.logs.String(); !strings.Contains(log, `level=WARN msg="a break-glass sign-in failed" address=127.0.0.1`) || strings.Contains(log, "ann@") {
		t.Errorf("the log has %s", log)
	}
}

// TestNoPasswords: where passwords are disabled no page has a form for one and no request gets anybody in by one, whatever its query says.
func TestNoPasswords(t *testing.T) {
	t.Parallel()
	other := newIDP(t)
	h := setupAbroad(t, options{local: server.LocalDisabled, upstreams: []server.Upstream{other.upstream("second")}}, nil)
	other.clock = h.clock
	h.setPassword()
	for _, at := range []string{"/sign-in", "/sign-in?local=1", "/sign-in?return_to=%2F&over=1"} {
		page := h.get(at, "")
		if page.status != http.StatusOK || strings.Contains(page.body, "password") || strings.Count(page.body, "Continue with") != 2 {
			t.Errorf("%s: got %d\n%s", at, page.status, page.body)
		}
		if r := h.form(at, "", url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}}); r.status != http.StatusForbidden || r.cookie("__Host-op") != "" {
			t.Errorf("POST %s: got %d", at, r.status)
		}
	}
	j := jar{}
	h.through(j, "")
	if r := h.get("/sign-in/second-factor?return_to=%2F", j.header()); r.status != http.StatusForbidden {
		t.Errorf("a second factor for a password: got %d", r.status)
	}
}

// TestOneWayIn: with one upstream and no passwords one goes on without a click; but not who has just signed out, who came back from there
// with nothing, or who is signed in, whose login a link from anywhere would replace.
func TestOneWayIn(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{local: server.LocalDisabled}, nil)
	j := jar{}
	r := h.get("/sign-in?return_to=%2Faudit", "")
	j.take(r)
	if r = h.back(j, h.idp.visit(h.leaves(r))); r.status != http.StatusSeeOther || r.location.String() != "/audit" {
		t.Fatalf("got %d to %v\n%s", r.status, r.location, r.body)
	}
	stays := func(what, at, cookie string) {
		t.Helper()
		if r := h.get(at, cookie); r.status != http.StatusOK || r.header.Get("Refresh") != "" || !strings.Contains(r.body, "Continue with") {
			t.Errorf("%s: got %d, on to %q\n%s", what, r.status, r.header.Get("Refresh"), r.body)
		}
	}
	stays("who is signed in", "/sign-in", j.header())
	out := h.form("/sign-out", j.header(), url.Values{})
	j.take(out)
	h.leaves(out)
	back := h.get("/sign-in/signed-out", j.header())
	stays("who signed out", html.UnescapeString(textBetween(back.body, `class="btn" href="`, `"`)), j.header())
	under := jar{}
	way := h.idp.visit(h.out(under, "return_to=%2Faudit"))
	h.idp.says(samWith(map[string]any{"email_verified": false, "sub": "nobody"}))
	failed := h.back(under, way)
	stays("who came to nothing", html.UnescapeString(textBetween(failed.body, `class="btn" href="`, `"`)), under.header())
	if r := h.get("/sign-in?max_age=0&acr_values="+url.QueryEscape("urn:understudy:acr:mfa"), ""); h.leaves(r).Query().Get("prompt") != "login" {
		t.Errorf("what is asked is lost: %v", r.header.Get("Refresh"))
	}
}
