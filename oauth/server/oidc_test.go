package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestUserinfoByBearer: userinfo answers GET and POST to a token in the header, and to one that is over, or is none, or has no openid as RFC
// 6750 says; not for a moment after a stop. Whom a token is for is no question here: it is about the person.
//
// Covers OIDC-5.3-01.
func TestUserinfoByBearer(t *testing.T) { onBoth(t, testUserinfoByBearer) }

func testUserinfoByBearer(t *testing.T, o options) {
	h := setup(t, o)
	ask := func(method, token string) reply {
		c := call{method: method, path: "/userinfo"}
		return h.send(c.with("Authorization", "Bearer "+token))
	}
	s, other := h.start("ann", "app", "john", "read"), h.start("bea", "app", "eve", "read")
	revoked, bare := h.token(s.cookie, "app", "openid"), h.token(s.cookie, "app", "profile")
	h.revoked("app", revoked, "")
	idToken := h.idTokenOf(s.cookie, "app")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for who, token := range map[string]string{"ann": s.actor, "john": s.token} {
			if r := ask(method, token); r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || r.str("sub") != who {
				t.Errorf("%s of %s: got %d %s", method, who, r.status, r.body)
			}
		}
	}
	h.post("/oauth2/token", "app", stopForm(s.ret))
	want := func(what, token string, status int, code string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := ask(method, token)
			challenge := r.header.Get("WWW-Authenticate")
			if r.status != status || r.str("sub") != "" || !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `error="`+code+`"`) {
				t.Errorf("%s by %s: got %d %q %s; want %d %s", what, method, r.status, challenge, r.body, status, code)
			}
		}
	}
	want("after the stop", s.token, http.StatusUnauthorized, "invalid_token")
	want("revoked", revoked, http.StatusUnauthorized, "invalid_token")
	want("no openid", bare, http.StatusForbidden, "insufficient_scope")
	want("an ID token", idToken, http.StatusUnauthorized, "invalid_token")
	want("a return token", other.ret, http.StatusUnauthorized, "invalid_token")
	h.clock.advance(601 * time.Second)
	want("expired", s.actor, http.StatusUnauthorized, "invalid_token")
}

// TestUserinfoSub: userinfo always tells whom its claims are about, and under impersonation who acts beside them, so that nobody takes the
// user's for the admin's. A start gives no ID token that they could be held against, and the admin's own answer stays the admin's.
//
// Covers OIDC-5.3.2-01.
func TestUserinfoSub(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	s := h.start("ann", "app", "john", "read")
	_, ann := claims(t, h.idTokenOf(s.cookie, "app"))
	if _, gave := s.reply.json["id_token"]; gave {
		t.Error("the start gave an ID token")
	}
	back := h.post("/oauth2/token", "app", stopForm(h.start("bea", "app", "eve", "read").ret))
	for what, c := range map[string]struct{ token, sub, email, act string }{
		"the admin's": {s.actor, ann["sub"].(string), "ann@acme.test", ""}, "impersonation": {s.token, "john", "john@acme.test", "ann"},
		"after a stop": {back.str("access_token"), "bea", "bea@acme.test", ""}, "openid alone": {h.token(s.cookie, "app", "openid"), "ann", "", ""},
	} {
		r := h.userinfo(c.token)
		act, _ := r.json["act"].(map[string]any)
		by, _ := act["sub"].(string)
		if r.status != http.StatusOK || r.str("sub") != c.sub || r.str("email") != c.email || by != c.act {
			t.Errorf("%s: got %d %s; want %s, by %q", what, r.status, r.body, c.sub, c.act)
		}
	}
}

// TestNothingOffline: asking for offline_access yields no refresh token anywhere. One is there beside a code at a client of that setting, and
// never at a start or a stop.
//
// Covers OIDC-11-01.
func TestNothingOffline(t *testing.T) {
	t.Parallel()
	reg := policy.Default()
	for i := range reg.Roles { // whatever an operator thinks that people could get
		reg.Roles[i].Scopes = append(reg.Roles[i].Scopes, "offline_access")
	}
	h := setup(t, options{registry: &reg})
	for id, refresh := range map[string]bool{"web": true, "plain": false} {
		h.newClient(id, func(c *store.Client) { c.Scopes, c.Settings.Refresh = append(c.Scopes, "offline_access"), refresh })
		cookie, _ := h.login("ann")
		code := h.post("/oauth2/token", id, redeem(h.code(cookie, id, actorScope+" offline_access")))
		start := func(scope string) reply {
			f := startForm(h.ticket(cookie, id, "john", "write"), code.str("access_token"))
			f.Set("scope", scope)
			return h.post("/oauth2/token", id, f)
		}
		refused(t, start("offline_access"), http.StatusBadRequest, "invalid_scope")
		started := start("app:read offline_access")
		stopped := h.post("/oauth2/token", id, stopForm(started.str("understudy_return_token")))
		for what, r := range map[string]reply{"code": code, "start": started, "stop": stopped} {
			_, c := claims(t, r.str("access_token"))
			if r.status != http.StatusOK || strings.Contains(r.str("scope"), "offline") || strings.Contains(c["scope"].(string), "offline") {
				t.Errorf("%s at %s: got %d %s", what, id, r.status, r.body)
			}
			if _, gave := r.json["refresh_token"]; gave != (refresh && what == "code") {
				t.Errorf("%s at %s: refresh token: %v", what, id, gave)
			}
		}
	}
}

// recorder keeps what proxies and logs on the way would keep of each request: its URL, and where the answer sends.
type recorder struct {
	next http.RoundTripper
	seen []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil {
		r.seen = append(r.seen, req.URL.String(), resp.Header.Get("Location"), req.Header.Get("Referer"))
	}
	return resp, err
}

// TestNoTokenInURL walks from the sign-in to the stop, with errors on the way: in no URL, no Location and no line of the log is a token; but
// for the code and the ticket, each good once, nothing of worth.
//
// Covers RFC9700-4.3.2-01.
func TestNoTokenInURL(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.setPassword()
	h.addClientAs("web", refreshing)
	rec := &recorder{next: h.http.Transport}
	h.http.Transport = rec
	signIn := h.authorize("", func(q url.Values) { q.Set("client_id", "web") })
	cookie := cookieOf(t, h.form(signIn.location.String(), "", url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}}))
	g := h.granted(h.post("/oauth2/token", "web", redeem(h.codeAt(h.get(h.push("web", authForm("web")), cookie)))))
	actor := h.token(cookie, "web", actorScope)
	ticket := h.ticket(cookie, "web", "john", "read")
	h.post("/oauth2/token", "web", startForm("x", actor))
	start := h.post("/oauth2/token", "web", startForm(ticket, actor))
	h.userinfo(start.str("access_token"))
	h.seen("web", start.str("access_token"))
	stop := h.post("/oauth2/token", "web", stopForm(start.str("understudy_return_token")))
	h.post("/oauth2/token", "web", stopForm(start.str("understudy_return_token")))
	h.post("/oauth2/token", "web", startForm(ticket, actor))
	h.revoked("web", g.refresh, "")
	h.get("/sign-out", cookie)
	h.form("/sign-out", cookie, nil)

	kept, log := strings.Join(rec.seen, "\n"), h.logs.String()
	for what, secret := range map[string]string{
		"access token": g.access, "refresh token": g.refresh, "ID token": g.id, "actor token": actor, "impersonation token": start.str("access_token"),
		"return token": start.str("understudy_return_token"), "token after the stop": stop.str("access_token"), "cookie": strings.TrimPrefix(cookie, "__Host-op="),
		"password": url.QueryEscape(annsPassword), "client secret": h.secrets["web"], "verifier": verifier,
	} {
		if secret == "" || strings.Contains(kept, secret) || strings.Contains(log, secret) {
			t.Errorf("the %s, %q, is in a URL or in the log", what, secret)
		}
	}
	if strings.Contains(kept, "token=") || strings.Contains(log, ticket) || !strings.Contains(kept, "ticket="+ticket) || len(rec.seen) < 45 {
		t.Errorf("of %d there are:\n%s", len(rec.seen), kept)
	}
}
