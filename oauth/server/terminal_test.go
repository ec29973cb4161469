package server_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// tokenTypes are the token types that anybody may have heard of (RFC 8693 §3, our own, and two that nobody registered).
var tokenTypes = []string{
	"urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:refresh_token", "urn:ietf:params:oauth:token-type:id_token",
	"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:saml1", "urn:ietf:params:oauth:token-type:saml2",
	"urn:understudy:params:oauth:token-type:ticket", "urn:understudy:params:oauth:token-type:return_token",
	"urn:understudy:params:oauth:token-type:user_id", "urn:zitadel:params:oauth:token-type:user_id", "access_token", "",
}

// thief holds an impersonation token, and whatever else a test lends them.
type thief struct {
	h                   *house
	s                   started
	ticket, ret, actor  string // good ones, of ann
	subject, idToken    string // john's own tokens
	elsewhere, adminJar string // ann's token at the client other, her cookie
}

func newThief(h *house) *thief {
	th := &thief{h: h, s: h.start("ann", "app", "john", "write")}
	// A second login, so that its start ends nothing of the first.
	second := h.start("ann", "app", "eve", "read")
	th.ret, th.actor = second.ret, th.s.actor
	th.ticket = h.ticket(th.s.cookie, "app", "eve", "read")
	cookie, _ := h.login("john")
	own := h.post("/oauth2/token", "app", redeem(h.code(cookie, "app", "openid app:read")))
	th.subject, th.idToken = own.str("access_token"), own.str("id_token")
	th.elsewhere, th.adminJar = h.token(th.s.cookie, "other", actorScope), th.s.cookie
	return th
}

// stillGood demands that everything the thief was lent works as before: nothing was used up or ended on the way.
func (th *thief) stillGood(t *testing.T) {
	t.Helper()
	if !th.h.active("app", th.s.token) {
		t.Error("the impersonation token is not active: the test proved nothing after it died")
	}
	if r := th.h.post("/oauth2/token", "app", stopForm(th.ret)); r.status != http.StatusOK {
		t.Errorf("the return token is used up: %d %s", r.status, r.body)
	}
	if r := th.h.post("/oauth2/token", "app", startForm(th.ticket, th.actor)); r.status != http.StatusOK {
		t.Errorf("the ticket is used up: %d %s", r.status, r.body)
	}
}

// credentials are the ways in which a thief can authenticate: as the client of the token, as another, and as nobody.
func (th *thief) credentials() map[string]func(call) call {
	post := func(id, secret string) func(call) call {
		return func(c call) call {
			c = c.clone()
			c.body.Set("client_id", id)
			if secret != "" {
				c.body.Set("client_secret", secret)
			}
			return c
		}
	}
	bearer := "Bearer " + th.s.token
	return map[string]func(call) call{
		"its client":             func(c call) call { return th.h.as("app", c) },
		"its client, by post":    post("app", th.h.secrets["app"]),
		"another client":         func(c call) call { return th.h.as("other", c) },
		"nobody":                 func(c call) call { return c },
		"its client's name":      post("app", ""),
		"the token as secret":    post("app", th.s.token),
		"the token as bearer":    func(c call) call { return c.with("Authorization", bearer) },
		"the token as password":  func(c call) call { return c.with("Authorization", basicAuth("app", th.s.token)) },
		"the token as assertion": func(c call) call { return withAssertion(c, th.s.token) },
	}
}

func basicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func withAssertion(c call, token string) call {
	c = c.clone()
	c.body.Set("client_assertion", token)
	c.body.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	return c
}

func tokenCall(f url.Values) call {
	return call{method: http.MethodPost, path: "/oauth2/token", body: f}
}

// TestTerminalAtTheTokenEndpoint: whatever the place in which an impersonation token is presented, whatever else comes with it and
// whoever presents it, the token endpoint answers an error, and nothing that was lent to the thief is used up.
func TestTerminalAtTheTokenEndpoint(t *testing.T) { onBoth(t, testTerminalAtTheTokenEndpoint) }

func testTerminalAtTheTokenEndpoint(t *testing.T, o options) {
	h := setupSeen(t, o)
	th := newThief(h)
	forms := make(map[string]url.Values)
	th.asSubject(forms)
	th.asActor(forms)
	th.asGrant(forms)
	before := h.base.dump(t)
	for who, authenticate := range th.credentials() {
		for name, f := range forms {
			name := who + ", " + name
			r := h.send(authenticate(tokenCall(f)))
			gaveNothing(t, name, r, th.s.token)
			if r.status < 400 || r.str("error") == "" {
				t.Errorf("%s: got %d %s; want an error", name, r.status, r.body)
			}
		}
	}
	onlyAudit(t, "the thief", before, h.base.dump(t), "impersonation.refused", "impersonation.stop_refused")
	if n := len(forms) * len(th.credentials()); n < 1000 {
		t.Errorf("%d attempts; the table has lost some", n)
	}
	th.stillGood(t)
}

// asSubject is the token as subject_token of every type, alone and beside every good token there is.
func (th *thief) asSubject(forms map[string]url.Values) {
	beside := map[string]string{"": "", "itself": th.s.token, "the admin's token": th.actor, "the user's token": th.subject, "a ticket": th.ticket, "a return token": th.ret}
	for _, subjectType := range tokenTypes {
		for what, actor := range beside {
			f := startForm(th.s.token, actor)
			f.Set("subject_token_type", subjectType)
			if actor == "" {
				f.Del("actor_token")
				f.Del("actor_token_type")
			}
			forms[fmt.Sprintf("as subject of type %q, actor %q", subjectType, what)] = f
		}
	}
	for _, requested := range tokenTypes {
		f := startForm(th.s.token, th.actor)
		f.Set("subject_token_type", typeToken)
		f.Set("requested_token_type", requested)
		forms[fmt.Sprintf("as subject, for %q", requested)] = f
	}
}

// asActor is the token as actor_token of every type, for every good subject there is.
func (th *thief) asActor(forms map[string]url.Values) {
	subjects := map[string][2]string{
		"a ticket": {th.ticket, string(oauth.TokenTypeTicket)}, "a return token": {th.ret, string(oauth.TokenTypeReturnToken)},
		"the user's token": {th.subject, typeToken}, "the user's ID token": {th.idToken, string(oauth.TokenTypeIDToken)},
		"a user": {"eve", string(oauth.TokenTypeUserID)}, "the admin": {"ann", string(oauth.TokenTypeUserID)}, "the admin's token": {th.actor, typeToken},
	}
	for _, actorType := range tokenTypes {
		for what, subject := range subjects {
			f := startForm(subject[0], th.s.token)
			f.Set("subject_token_type", subject[1])
			f.Set("actor_token_type", actorType)
			forms[fmt.Sprintf("as actor of type %q for %s", actorType, what)] = f
		}
	}
}

// asGrant is the token in the place of every other credential that buys tokens somewhere.
func (th *thief) asGrant(forms map[string]url.Values) {
	forms["as code"] = redeem(th.s.token)
	for name, f := range map[string]url.Values{
		"as refresh token":           {"grant_type": {"refresh_token"}, "refresh_token": {th.s.token}},
		"as assertion":               {"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {th.s.token}},
		"as SAML":                    {"grant_type": {"urn:ietf:params:oauth:grant-type:saml2-bearer"}, "assertion": {th.s.token}},
		"as password":                {"grant_type": {"password"}, "username": {"ann@acme.test"}, "password": {th.s.token}},
		"as device code":             {"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {th.s.token}},
		"as CIBA":                    {"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {th.s.token}},
		"for the client":             {"grant_type": {"client_credentials"}, "scope": {"impersonate"}},
		"two grants":                 {"grant_type": {oauth.GrantTypeTokenExchange + " authorization_code"}, "code": {th.s.token}, "subject_token": {th.s.token}},
		"Keycloak's way":             {"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {th.s.token}, "requested_subject": {"ann"}},
		"as subject, without a type": {"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {th.s.token}},
	} {
		forms[name] = f
	}
}

// TestTerminalElsewhere: as bearer, cookie, hint or parameter, an impersonation token signs nobody in and opens nothing but userinfo,
// which tells of the user and never as the admin. It is zitadel PR #7516.
func TestTerminalElsewhere(t *testing.T) { onBoth(t, testTerminalElsewhere) }

func testTerminalElsewhere(t *testing.T, o options) {
	h := setupSeen(t, o)
	th := newThief(h)
	before := h.base.dump(t)
	for place, put := range th.places() {
		for _, c := range th.doors() {
			name := c.method + " " + c.path + ", " + place
			r := h.send(put(c))
			gaveNothing(t, name, r, th.s.token)
			th.notSignedIn(t, name, c, r)
		}
	}
	onlyAudit(t, "the thief", before, h.base.dump(t), "impersonation.refused")
	th.stillGood(t)
}

// places are where a token can be put in any request.
func (th *thief) places() map[string]func(call) call {
	token := th.s.token
	places := map[string]func(call) call{
		"as bearer": func(c call) call { return c.with("Authorization", "Bearer "+token) },
		"as DPoP":   func(c call) call { return c.with("Authorization", "DPoP "+token) },
		"as basic":  func(c call) call { return c.with("Authorization", basicAuth("ann@acme.test", token)) },
	}
	for _, cookie := range []string{"__Host-op", "__Host-op-pending", "__Host-understudy", "__Host-understudy-held", "__Host-understudy-signin"} {
		places["as cookie "+cookie] = func(c call) call { return c.with("Cookie", cookie+"="+token) }
	}
	// Of a length that the login cookie has.
	places["as cookie, cut off"] = func(c call) call { return c.with("Cookie", "__Host-op="+token[:oauth.SecretLength]) }
	for _, parameter := range []string{"access_token", "id_token_hint", "login_hint", "request", "token", "ticket", "sid"} {
		places["in the query as "+parameter] = func(c call) call {
			c = c.clone()
			c.query.Set(parameter, token)
			return c
		}
		places["in the body as "+parameter] = func(c call) call {
			if c = c.clone(); c.body != nil {
				c.body.Set(parameter, token)
			}
			return c
		}
	}
	return places
}

// doors are the requests that give something to who is entitled to it, without what entitles.
func (th *thief) doors() []call {
	wanted, err := url.ParseQuery(ask("app"))
	th.h.must(err)
	authorize := cloneValues(wanted)
	authorize.Set("response_type", "code")
	authorize.Set("scope", actorScope)
	silent := cloneValues(authorize)
	silent.Set("prompt", "none")
	return []call{
		{method: "GET", path: "/", query: url.Values{}},
		{method: "GET", path: "/oauth2/auth", query: authorize},
		{method: "GET", path: "/oauth2/auth", query: silent},
		{method: "GET", path: "/impersonate", query: wanted},
		{method: "POST", path: "/impersonate", query: wanted, body: why("eve", "read")},
		{method: "POST", path: "/oauth2/token", query: url.Values{}, body: startForm(th.ticket, th.actor)},
		{method: "POST", path: "/oauth2/token", query: url.Values{}, body: stopForm(th.ret)},
		{method: "POST", path: "/oauth2/introspect", query: url.Values{}, body: url.Values{"token": {th.actor}}},
		{method: "POST", path: "/oauth2/revoke", query: url.Values{}, body: url.Values{"token": {th.actor}}},
		{method: "POST", path: "/impersonation/actions", query: url.Values{}, body: url.Values{"sid": {th.s.sid}}},
		{method: "GET", path: "/audit", query: url.Values{}},
		{method: "GET", path: "/audit", query: url.Values{"session": {th.s.sid}}},
		{method: "GET", path: "/userinfo", query: url.Values{}},
		{method: "POST", path: "/userinfo", query: url.Values{}, body: url.Values{}},
		{method: "GET", path: "/sign-in", query: url.Values{}},
		{method: "GET", path: "/sign-in/code", query: url.Values{}},
		{method: "POST", path: "/sign-in/code", query: url.Values{}, body: url.Values{"code": {"000000"}}},
		{method: "GET", path: "/sign-in/second-factor", query: url.Values{}},
		{method: "POST", path: "/sign-in/second-factor", query: url.Values{}, body: url.Values{"code": {"000000"}}},
		{method: "GET", path: "/sign-out", query: url.Values{}},
		{method: "POST", path: "/sign-out", query: url.Values{}, body: url.Values{}},
		{method: "GET", path: "/oauth2/jwks", query: url.Values{}},
		{method: "GET", path: "/.well-known/openid-configuration", query: url.Values{}},
	}
}

// notSignedIn demands of each door that it stayed shut.
func (th *thief) notSignedIn(t *testing.T, name string, c call, r reply) {
	t.Helper()
	switch {
	case strings.Contains(r.body, "ann@acme.test") && c.path != "/userinfo":
		t.Errorf("%s: the page knows the admin: %d %s", name, r.status, r.body)
	case r.json["active"] == true:
		t.Errorf("%s: introspected without a client: %s", name, r.body)
	case c.path == "/userinfo" && r.status == http.StatusOK:
		if act, _ := r.json["act"].(map[string]any); r.str("sub") != "john" || act["sub"] != "ann" {
			t.Errorf("%s: got %s; want john's claims, by ann", name, r.body)
		}
	case slices.Contains([]string{"/", "/audit", "/impersonate", "/sign-in/second-factor"}, c.path):
		if r.status != http.StatusSeeOther && r.status < 400 || r.location != nil && r.location.Path != "/sign-in" {
			t.Errorf("%s: got %d to %v; want the sign-in", name, r.status, r.location)
		}
	case c.path == "/oauth2/auth":
		if r.status < 400 && r.location.Path != "/sign-in" && r.location.Query().Get("error") == "" {
			t.Errorf("%s: got %d to %v; want the sign-in or an error", name, r.status, r.location)
		}
	case (strings.HasPrefix(c.path, "/oauth2/") || c.path == "/impersonation/actions") && c.method == "POST" && r.status < 400:
		t.Errorf("%s: got %d %s; want an error", name, r.status, r.body)
	}
}

// TestActorTokenMustBeTheAdmins: nothing but a living access token of the admin's login, at this client, with the scope impersonate,
// serves as actor_token; everything else gets the same answer, byte for byte, and leaves the ticket as it was. It is CVE-2026-56668 and CVE-2026-9097.
func TestActorTokenMustBeTheAdmins(t *testing.T) { onBoth(t, testActorTokenMustBeTheAdmins) }

func testActorTokenMustBeTheAdmins(t *testing.T, o options) {
	h := setup(t, o)
	h.http.Transport = inProcess{h.handler}
	cookie, _ := h.login("ann")
	good := h.token(cookie, "app", actorScope)
	old := h.token(cookie, "app", actorScope)
	oldTicket := h.ticket(cookie, "app", "john", "read")
	h.clock.advance(59 * time.Second)
	if r := h.post("/oauth2/token", "app", startForm(oldTicket, old)); r.status != http.StatusOK {
		t.Fatalf("start just in time: %d %s", r.status, r.body)
	}
	h.clock.advance(10 * time.Minute)
	expired := good
	good = h.token(cookie, "app", actorScope)
	ticket := h.ticket(cookie, "app", "john", "read")
	otherCookie, _ := h.login("ann")
	revoked := h.token(cookie, "app", actorScope)
	if r := h.post("/oauth2/revoke", "app", url.Values{"token": {revoked}}); r.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", r.status, r.body)
	}
	imp := h.start("ann", "app", "eve", "read")
	answer := h.post("/oauth2/token", "app", redeem(h.code(cookie, "app", actorScope)))
	tampered := answer.str("access_token")
	tampered = strings.Replace(tampered, ".", ".e30", 1)

	want := `{"error":"invalid_request","error_description":"` + tokenexchange.RefusedText + `"}`
	for _, c := range []struct{ name, token string }{
		{"an impersonation token", imp.token},
		{"an ID token", answer.str("id_token")},
		{"a code", h.code(cookie, "app", actorScope)},
		{"the ticket itself", ticket},
		{"another ticket", h.ticket(cookie, "app", "eve", "read")},
		{"a return token", imp.ret},
		{"expired", expired},
		{"tampered", tampered},
		{"without its signature", answer.str("access_token")[:strings.LastIndexByte(answer.str("access_token"), '.')+1]},
		{"another client's", h.token(cookie, "other", actorScope)},
		{"without the scope impersonate", h.token(cookie, "app", "openid app:read")},
		{"another login's", h.token(otherCookie, "app", actorScope)},
		{"another admin's", h.adminsToken("bea")},
		{"the subject's own", h.adminsToken("john")},
		{"revoked", revoked},
		{"nonsense", "x"},
		{"the admin's name", "ann"},
	} {
		r := h.post("/oauth2/token", "app", startForm(ticket, c.token))
		if r.status != http.StatusBadRequest || r.body != want {
			t.Errorf("%s: got %d %s; want 400 %s", c.name, r.status, r.body, want)
		}
	}
	if r := h.post("/oauth2/token", "app", startForm(ticket, good)); r.status != http.StatusOK {
		t.Fatalf("the ticket did not outlive the refusals: %d %s", r.status, r.body)
	}
	ticket = h.ticket(cookie, "app", "john", "read")
	if r := h.form("/sign-out", cookie, url.Values{}); r.status != http.StatusOK {
		t.Fatalf("sign-out: %d", r.status)
	}
	if r := h.post("/oauth2/token", "app", startForm(ticket, good)); r.status != http.StatusBadRequest || r.body != want {
		t.Errorf("after sign-out: got %d %s; want 400 %s", r.status, r.body, want)
	}
}

// adminsToken is a token of user at app, in a login of its own.
func (h *house) adminsToken(user string) string {
	cookie, _ := h.login(user)
	return h.token(cookie, "app", actorScope)
}

// TestNested: where admins may impersonate support, the token that says so is no actor token of support, not even for a ticket
// that support got; the trail says why. It is better-auth#6448.
func TestNested(t *testing.T) { onBoth(t, testNested) }

func testNested(t *testing.T, o options) {
	reg := policy.Default()
	for i := range reg.Roles {
		if r := &reg.Roles[i]; r.Impersonate != nil && r.Name == "admin" {
			r.Impersonate.Privileged = true
		}
	}
	o.registry = &reg
	h := setup(t, o)
	u, err := h.store.Get(context.Background(), "ann")
	h.must(err)
	u.Roles = append(u.Roles, "support")
	h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))

	imp := h.start("ann", "app", "sue", "read")
	cookie, _ := h.login("sue")
	ticket := h.ticket(cookie, "app", "john", "read")
	refused(t, h.post("/oauth2/token", "app", startForm(ticket, imp.token)), http.StatusBadRequest, "invalid_request")
	page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: audit.KindRefused})
	h.must(err)
	if len(page) != 1 || !strings.Contains(page[0].Entry.Fields["rule"], "the token has act") {
		t.Errorf("entries of refusals = %+v; want one that says that the token has act", page)
	}
	if r := h.post("/oauth2/token", "app", startForm(ticket, h.token(cookie, "app", actorScope))); r.status != http.StatusOK {
		t.Errorf("the ticket did not outlive the refusal: %d %s", r.status, r.body)
	}
}
