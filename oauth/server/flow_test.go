package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestStartToStop is the whole story by plain HTTP.
func TestStartToStop(t *testing.T) { onBoth(t, testStartToStop) }

func testStartToStop(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")

	if got := s.reply.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q; want no-store (RFC 6749 §5.1)", got)
	}
	var members []string
	for name := range s.reply.json {
		members = append(members, name)
	}
	slices.Sort(members)
	want := []string{"access_token", "expires_in", "issued_token_type", "scope", "token_type", "understudy_return_token", "understudy_return_token_expires_in", "understudy_session"}
	if diff := cmp.Diff(want, members); diff != "" {
		t.Errorf("members of the answer, -want +got:\n%s", diff)
	}
	header, payload := claims(t, s.token)
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "" || len(header) != 3 {
		t.Errorf("header = %v; want typ, alg and kid", header)
	}
	var names []string
	for name := range payload {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"act", "aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sid", "sub", "txn"}, names); diff != "" {
		t.Errorf("claims, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"iss": h.url, "sub": "ann"}, payload["act"]); diff != "" {
		t.Errorf("act, -want +got:\n%s", diff)
	}
	if payload["sub"] != "john" || payload["aud"] != resource || payload["client_id"] != "app" || payload["scope"] != "app:read email openid profile roles" {
		t.Errorf("claims = %v", payload)
	}
	if life := payload["exp"].(float64) - payload["iat"].(float64); life > 1800 || life < 1798 {
		t.Errorf("life = %v s; want 30 minutes", life)
	}

	r := h.post("/oauth2/introspect", "app", url.Values{"token": {s.token}})
	if r.json["active"] != true || r.str("sub") != "john" || r.str("sid") != s.sid {
		t.Errorf("introspection = %s", r.body)
	}
	if diff := cmp.Diff(map[string]any{"iss": h.url, "sub": "ann"}, r.json["act"]); diff != "" {
		t.Errorf("act at introspection, -want +got:\n%s", diff)
	}
	req, _ := http.NewRequest(http.MethodGet, h.url+"/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+s.token)
	info := h.do(req)
	if diff := cmp.Diff(map[string]any{"iss": h.url, "sub": "ann", "name": "Ann Admin", "email": "ann@acme.test"}, info.json["act"]); diff != "" || info.str("name") != "John Doe" {
		t.Errorf("userinfo = %s\n%s", info.body, diff)
	}

	back := h.post("/oauth2/token", "app", stopForm(s.ret))
	if back.status != http.StatusOK {
		t.Fatalf("stop: got %d %s", back.status, back.body)
	}
	_, after := claims(t, back.str("access_token"))
	if after["sub"] != "ann" || after["act"] != nil || after["client_id"] != "app" || after["sid"] != s.login {
		t.Errorf("claims after the stop = %v", after)
	}
	if h.active("app", s.token) {
		t.Error("the impersonation token is active after the stop")
	}
	if !h.active("app", back.str("access_token")) {
		t.Error("the token that the stop gave is not active")
	}

	page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Session: s.sid})
	h.must(err)
	var kinds []audit.Kind
	for _, e := range page {
		kinds = append(kinds, e.Entry.Kind)
	}
	if diff := cmp.Diff([]audit.Kind{audit.KindStop, audit.KindStart}, kinds); diff != "" {
		t.Errorf("trail of the session, newest first, -want +got:\n%s", diff)
	}
	startEntry := page[len(page)-1].Entry
	if startEntry.Actor.Subject != "ann" || startEntry.Subject.Subject != "john" || startEntry.Fields["reason"] != "cannot find the report tab" ||
		startEntry.Fields["ticket_number"] != "SUP-1" || startEntry.ID != payload["txn"] {
		t.Errorf("start entry = %+v", startEntry)
	}
	if log := h.logs.String(); !strings.Contains(log, `msg="ann@acme.test impersonated john@acme.test"`) || strings.Contains(log, s.ret) || strings.Contains(log, s.token) {
		t.Errorf("log = %s", log)
	}
}

// TestTicketTwice: the second use ends what the first started, and only for those to whom the ticket belongs.
func TestTicketTwice(t *testing.T) { onBoth(t, testTicketTwice) }

func testTicketTwice(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	ticket := h.ticket(cookie, "app", "john", "read")
	first := h.post("/oauth2/token", "app", startForm(ticket, actor))
	if first.status != http.StatusOK {
		t.Fatalf("start: %s", first.body)
	}
	token := first.str("access_token")

	otherCookie, _ := h.login("bea")
	foreign := h.token(otherCookie, "app", actorScope)
	elsewhere := h.token(cookie, "other", actorScope)
	wrongVerifier := startForm(ticket, actor)
	wrongVerifier.Set("code_verifier", strings.Repeat("x", 43))
	for name, r := range map[string]reply{
		"another actor":  h.post("/oauth2/token", "app", startForm(ticket, foreign)),
		"another client": h.post("/oauth2/token", "other", startForm(ticket, elsewhere)),
		"wrong verifier": h.post("/oauth2/token", "app", wrongVerifier),
	} {
		if r.status != 400 || r.str("error") != "invalid_request" {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	if !h.active("app", token) {
		t.Fatal("somebody to whom the ticket does not belong ended the session")
	}
	refused(t, h.post("/oauth2/token", "app", startForm(ticket, actor)), 400, "invalid_request")
	if h.active("app", token) {
		t.Error("the session that the ticket opened is alive after its second use")
	}
	refused(t, h.post("/oauth2/token", "app", stopForm(first.str("understudy_return_token"))), 400, "invalid_request")
}

// TestReturnTokenTwice: within a double click nothing is lost, later what the first use gave is revoked.
func TestReturnTokenTwice(t *testing.T) { onBoth(t, testReturnTokenTwice) }

func testReturnTokenTwice(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	refused(t, h.post("/oauth2/token", "other", stopForm(s.ret)), 400, "invalid_request")
	if !h.active("app", s.token) {
		t.Fatal("another client ended the session by its return token")
	}
	back := h.post("/oauth2/token", "app", stopForm(s.ret)).str("access_token")
	refused(t, h.post("/oauth2/token", "app", stopForm(s.ret)), 400, "invalid_request")
	if !h.active("app", back) {
		t.Fatal("a double click revoked the admin's token")
	}
	h.clock.advance(61 * time.Second)
	refused(t, h.post("/oauth2/token", "app", stopForm(s.ret)), 400, "invalid_request")
	if h.active("app", back) {
		t.Error("a return token that came again after a minute left the first use's token active")
	}
}
