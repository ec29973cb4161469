package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// from sends c from an address.
func (h *house) from(address string, c call) reply {
	h.t.Helper()
	r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body.Encode()))
	r.RemoteAddr = address
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range c.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	out := reply{status: w.Code, header: w.Header(), body: w.Body.String()}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		h.must(json.Unmarshal(w.Body.Bytes(), &out.json))
	}
	return out
}

// told demands the answer to who came too often: when to come again, in whole seconds.
func told(t *testing.T, what string, r reply, within int) {
	t.Helper()
	wait, err := strconv.Atoi(r.header.Get("Retry-After"))
	if r.status != http.StatusTooManyRequests || r.str("error") != "invalid_request" || err != nil || wait < 1 || wait > within {
		t.Errorf("%s: got %d %s, Retry-After %q; want 429 and 1 to %d", what, r.status, r.body, r.header.Get("Retry-After"), within)
	}
}

// TestGuessingIsThrottled: ten wrong secrets a minute under one client_id, thirty from one address; a further one is told to wait, for a
// client that exists and one that does not alike. Right credentials pass all the while: neighbours behind one proxy share an address.
//
// Covers RFC6749-2.3.1-03.
func TestGuessingIsThrottled(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: new(server.Limits{})})
	const here, there = "192.0.2.1:1111", "192.0.2.2:1111"
	guess := func(client string) call {
		return call{method: "POST", path: "/oauth2/token", body: redeem("x"), header: http.Header{"Authorization": {basicAuth(client, canary)}}}
	}
	alike := func() (known reply) {
		t.Helper()
		known, unknown := h.from(here, guess("app")), h.from(here, guess("nobody"))
		if known.status != unknown.status || known.body != unknown.body || known.header.Get("Retry-After") != unknown.header.Get("Retry-After") {
			t.Errorf("a client that exists got %d %s, one that does not %d %s", known.status, known.body, unknown.status, unknown.body)
		}
		return known
	}
	for range 10 {
		refused(t, alike(), 401, "invalid_client")
	}
	told(t, "the eleventh", alike(), 10)
	refused(t, h.from(there, guess("app")), 401, "invalid_client")
	h.passes(here)
	for range 10 { // its neighbour has the rest of the address
		refused(t, h.from(here, guess("third")), 401, "invalid_client")
	}
	told(t, "thirty from one address", h.from(here, guess("fourth")), 2)
	for _, path := range []string{"/oauth2/revoke", "/oauth2/introspect", "/oauth2/par"} {
		told(t, path, h.from(here, call{method: "POST", path: path, body: url.Values{"token": {"x"}}}.with("Authorization", basicAuth("fourth", canary))), 2)
	}
	h.passes(here)
	h.clock.advance(time.Minute)
	refused(t, alike(), 401, "invalid_client")
}

// passes demands that right credentials, of each kind, are heard from an address as from any.
func (h *house) passes(address string) {
	h.t.Helper()
	s := h.start("ann", "app", "john", "read")
	for path, form := range map[string]url.Values{
		"/oauth2/token": stopForm(s.ret), "/oauth2/introspect": {"token": {"x"}}, "/oauth2/revoke": {"token": {"x"}},
	} {
		if r := h.from(address, h.as("app", call{method: "POST", path: path, body: form})); r.status != http.StatusOK {
			h.t.Errorf("%s by who has the right secret: got %d %s", path, r.status, r.body)
		}
	}
	refused(h.t, h.from(address, h.as("other", call{method: "POST", path: "/oauth2/token", body: redeem("x")})), 400, "invalid_grant")
	cookie, _ := h.login("ann")
	form := redeem(h.code(cookie, "app", "openid"))
	if r := h.from(address, h.as("app", call{method: "POST", path: "/oauth2/token", body: form})); r.status != http.StatusOK {
		h.t.Errorf("a code by who has the right secret: got %d %s", r.status, r.body)
	}
}

// TestGuessingFromIPv6: whoever has one address there has all of its /64 (CVE-2026-45364).
func TestGuessingFromIPv6(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: &server.Limits{ClientFailures: 1}})
	guess := call{method: "POST", path: "/oauth2/token", body: redeem("x"), header: http.Header{"Authorization": {basicAuth("app", canary)}}}
	refused(t, h.from("[2001:db8::1]:1", guess), 401, "invalid_client")
	told(t, "its neighbour", h.from("[2001:db8::ffff:1]:1", guess), 60)
	refused(t, h.from("[2001:db8:0:1::1]:1", guess), 401, "invalid_client")
}

// TestClientRequestsAreLimited: a client may make so much in a minute; a public one is counted by address, since anybody has its id.
func TestClientRequestsAreLimited(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: &server.Limits{ClientRequests: 4}})
	h.addMethods()
	s := h.start("ann", "app", "john", "read") // two: the code and the start
	const here, there = "192.0.2.1:1111", "192.0.2.2:1111"
	redeems := h.as("app", call{method: "POST", path: "/oauth2/token", body: redeem("x")})
	pushes := h.as("app", call{method: "POST", path: "/oauth2/par", body: url.Values{"client_id": {"app"}}})
	refused(t, h.from(here, redeems), 400, "invalid_grant")
	if r := h.from(here, pushes); r.status == 429 {
		t.Errorf("the fourth: got %d %s", r.status, r.body)
	}
	told(t, "the fifth", h.from(there, redeems), 15)
	told(t, "a pushed request", h.from(there, pushes), 15)
	refused(t, h.from(here, h.as("other", redeems)), 400, "invalid_grant")
	if !h.active("app", s.token) {
		t.Error("introspection waits too")
	}
	if r := h.post("/oauth2/token", "app", stopForm(s.ret)); r.status != 200 {
		t.Errorf("a stop: got %d %s", r.status, r.body)
	}

	public := call{method: "POST", path: "/oauth2/token", body: redeem("x")}
	public.body.Set("client_id", string(store.AuthNone))
	for range 4 {
		refused(t, h.from(here, public), 400, "invalid_grant")
	}
	told(t, "a public client", h.from(here, public), 15)
	refused(t, h.from(there, public), 400, "invalid_grant")
}

// TestStopShapedFormsAreCounted: only a client that may exchange has something to stop. Of the others, whose id anybody may give, a form
// that looks like a stop is counted as any, and its proof is no row.
func TestStopShapedFormsAreCounted(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: &server.Limits{ClientRequests: 3}})
	h.addMethods()
	h.addPinned("reader", func(c *store.Client) { c.Exchange = false })
	p := newProver(h).learns()
	for client, c := range map[string]call{
		"public": {body: url.Values{"client_id": {string(store.AuthNone)}}},
		"reader": {body: url.Values{}, header: http.Header{"Authorization": {basicAuth("reader", h.secrets["reader"])}}},
	} {
		c.method, c.path = "POST", "/oauth2/token"
		for name, values := range stopForm("x") {
			c.body[name] = values
		}
		send := func() reply { return h.from("192.0.2.9:1", c.with("DPoP", p.proof("POST", "/oauth2/token", ""))) }
		before := h.base.dump(t)["jti_seen"]
		for range 3 {
			refused(t, send(), 400, "unauthorized_client")
		}
		told(t, client+", the fourth", send(), 20)
		if n := len(h.base.dump(t)["jti_seen"]) - len(before); n != 0 {
			t.Errorf("%s: %d proofs are on record", client, n)
		}
	}
}

// TestActorStartsAreLimited: an actor may start so often in a minute. What is told to wait uses up nothing and is on record, and
// stopping needs no room.
func TestActorStartsAreLimited(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: &server.Limits{ActorStarts: 2}})
	h.start("ann", "app", "john", "read")
	s := h.start("ann", "other", "john", "read")
	cookie, _ := h.login("ann")
	form := startForm(h.ticket(cookie, "app", "eve", "read"), h.token(cookie, "app", actorScope))
	before := h.base.dump(t)
	told(t, "the third", h.post("/oauth2/token", "app", form), 30)
	after := h.base.dump(t)
	onlyAudit(t, "the third", before, after, string(audit.KindRefused))
	if n := len(after["audit_entry"]) - len(before["audit_entry"]); n != 1 || !strings.Contains(after["audit_entry"][len(before["audit_entry"])], "limit.starts") {
		t.Errorf("%d entries; want one, by limit.starts", n)
	}
	if e := h.entry(audit.KindRefused); e.Actor.Subject != "ann" || e.Client != "app" {
		t.Errorf("on record is %+v; want ann's at app", e)
	}
	h.start("bea", "app", "john", "read")
	if r := h.post("/oauth2/token", "other", stopForm(s.ret)); r.status != 200 {
		t.Errorf("a stop: got %d %s", r.status, r.body)
	}
	h.clock.advance(31 * time.Second)
	if r := h.post("/oauth2/token", "app", form); r.status != 200 {
		t.Errorf("later: got %d %s; want the same ticket taken", r.status, r.body)
	}
}

// TestStartsTriedElsewhere: what one client tries with an actor's token, dead or without the scope, counts there and nowhere else.
func TestStartsTriedElsewhere(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: &server.Limits{ActorStarts: 2}})
	cookie, _ := h.login("ann")
	h.addClientAs("dead", func(*store.Client) {})
	h.addClientAs("narrow", func(*store.Client) {})
	h.addClientAs("guesses", func(*store.Client) {})
	tokens := map[string]string{
		"dead": h.token(cookie, "dead", actorScope), "narrow": h.token(cookie, "narrow", "openid"), "guesses": h.token(cookie, "guesses", actorScope),
	}
	if r := h.post("/oauth2/revoke", "dead", url.Values{"token": {tokens["dead"]}}); r.status != 200 {
		t.Fatal(r.body)
	}
	for client, token := range tokens {
		for range 2 {
			refused(t, h.post("/oauth2/token", client, startForm("no-such-ticket", token)), 400, "invalid_request")
		}
		told(t, client+", the third", h.post("/oauth2/token", client, startForm("no-such-ticket", token)), 30)
	}
	form := startForm(h.ticket(cookie, "app", "john", "read"), h.token(cookie, "app", actorScope))
	if r := h.post("/oauth2/token", "app", form); r.status != 200 {
		t.Errorf("ann's start at app: got %d %s", r.status, r.body)
	}
}

// TestSessionsAtOnce: the session too many is refused on the page in words, and at the token endpoint as everything else.
func TestSessionsAtOnce(t *testing.T) { onBoth(t, testSessionsAtOnce) }

func testSessionsAtOnce(t *testing.T, o options) {
	o.limits = &server.Limits{ActorSessions: 2}
	h := setup(t, o)
	h.start("ann", "app", "john", "read")
	cookie, _ := h.login("ann")
	late := startForm(h.ticket(cookie, "app", "eve", "read"), h.token(cookie, "app", actorScope))
	s := h.start("ann", "other", "john", "read")
	r := h.post("/oauth2/token", "app", late)
	if refused(t, r, 400, "invalid_request"); r.str("error_description") != tokenexchange.RefusedText {
		t.Errorf("got %s; want the one text", r.body)
	}
	cookie, _ = h.login("ann")
	r = h.form("/impersonate?"+ask("app"), cookie, why("eve", "read"))
	if r.status != http.StatusForbidden || !strings.Contains(r.body, "You already impersonate in 2 places; stop one first.") {
		t.Errorf("the page: got %d %s", r.status, r.body)
	}
	if r := h.post("/oauth2/revoke", "other", url.Values{"token": {s.token}}); r.status != 200 {
		t.Errorf("a stop: got %d %s", r.status, r.body)
	}
	h.ticket(cookie, "app", "eve", "read")
}

// TestMachineSessionsAtOnce: a client that acts for itself has room for so many too, and the one too many is refused as a person's is,
// and on record. What it stops makes room.
func TestMachineSessionsAtOnce(t *testing.T) { onBoth(t, testMachineSessionsAtOnce) }

func testMachineSessionsAtOnce(t *testing.T, o options) {
	o.limits = &server.Limits{ServiceSessions: 1}
	h := setup(t, o)
	h.addClientAs("bot", agent)
	h.consent("client:bot", "bot", nil)
	john, _ := h.own1("bot")
	first := h.post("/oauth2/token", "bot", ownForm(john, ""))
	if first.status != 200 {
		t.Fatalf("the first: got %d %s", first.status, first.body)
	}
	r := h.post("/oauth2/token", "bot", ownForm(john, ""))
	if refused(t, r, 400, "invalid_request"); r.str("error_description") != tokenexchange.RefusedText {
		t.Errorf("got %s; want the one text", r.body)
	}
	if e := h.entry(audit.KindRefused); e.Fields["rule"] != "limit.sessions" || e.Actor.Subject != "client:bot" || e.Subject.Subject != "john" || e.Client != "bot" {
		t.Errorf("on record is %+v; want bot's, by limit.sessions", e)
	}
	if r := h.post("/oauth2/revoke", "bot", url.Values{"token": {first.str("access_token")}}); r.status != 200 {
		t.Errorf("a stop: got %d %s", r.status, r.body)
	}
	if r := h.post("/oauth2/token", "bot", ownForm(john, "")); r.status != 200 {
		t.Errorf("after it: got %d %s", r.status, r.body)
	}
}

// TestNoLimit: a negative limit is none, and what nobody sets is one.
func TestNoLimit(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	for range 100 {
		refused(t, h.form("/oauth2/token", "", url.Values{"client_id": {"app"}, "client_secret": {canary}}), 401, "invalid_client")
	}
	if d := server.DefaultLimits(); d != (server.Limits{ClientFailures: 30, ClientRequests: 6000, ActorSearches: 30, ActorStarts: 30, ActorSessions: 10, ServiceSessions: 100}) {
		t.Errorf("defaults are %+v", d)
	}
}

// TestSearches: one actor looks so often at the page that finds users, and another as often.
func TestSearches(t *testing.T) {
	t.Parallel()
	limits := noLimits
	limits.ActorSearches = 2
	h := setup(t, options{limits: &limits})
	h.clock.stop()
	for _, who := range []string{"ann", "bea"} {
		cookie, _ := h.login(who)
		for i, want := range []int{200, 200, 429} {
			if r := h.get("/impersonate?"+ask("app")+"&q=doe", cookie); r.status != want {
				t.Errorf("%s, look %d: got %d; want %d", who, i+1, r.status, want)
			}
		}
	}
}
