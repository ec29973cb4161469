package server_test

import (
	"context"
	"fmt"
	goversion "go/version"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

// These are flaws that others had with cookies and sessions, by their public numbers.

// TestIdentityInRequest is CVE-2025-61928: with no session but a user's id in the body, a handler took that for the
// caller. Whatever a request says of who makes it, the actor on record is who signed in, and nobody is nobody.
func TestIdentityInRequest(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	claims := url.Values{}
	for _, name := range []string{"actor", "act", "admin_id", "user_id", "userId", "sub", "login_hint", "on_behalf_of"} {
		claims.Set(name, "bea")
	}
	claimed := func(method, path, cookie string, form url.Values) reply {
		t.Helper()
		if strings.Contains(path, "?") {
			path += "&"
		} else {
			path += "?"
		}
		for name := range claims {
			form.Set(name, "bea")
		}
		req, err := http.NewRequest(method, h.url+path+claims.Encode(), strings.NewReader(form.Encode()))
		h.must(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, name := range []string{"X-User-Id", "X-Forwarded-User", "X-Remote-User", "Remote-User", "On-Behalf-Of", "From"} {
			req.Header.Set(name, "bea")
		}
		if cookie != "" {
			req.Header.Set("Cookie", cookie)
		}
		return h.do(req)
	}
	for _, path := range []string{"/", "/impersonate?" + ask("app"), "/audit", "/oauth2/auth?" + ask("app") + "&response_type=code"} {
		if r := claimed(http.MethodGet, path, "", url.Values{}); r.status < 300 || r.status == http.StatusSeeOther && r.location.Query().Get("code") != "" {
			t.Errorf("GET %s: got %d to %v; nobody signed in", path, r.status, r.location)
		}
	}
	if r := claimed(http.MethodPost, "/impersonate?"+ask("app"), "", why("john", "read")); r.location != nil && r.location.Query().Get("ticket") != "" {
		t.Errorf("POST /impersonate: got a ticket; nobody signed in")
	}
	for _, path := range []string{"/userinfo", "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/impersonation/actions"} {
		if r := claimed(http.MethodPost, path, "", url.Values{}); r.status < 400 || r.status > 499 {
			t.Errorf("POST %s: got %d %s", path, r.status, r.body)
		}
	}

	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	claimed(http.MethodPost, "/impersonate?"+ask("app"), cookie, why("john", "read"))
	form := startForm(h.ticket(cookie, "app", "john", "read"), actor)
	for name := range claims {
		form.Set(name, "bea")
	}
	h.post("/oauth2/token", "app", form)
	h.start("ann", "app", "john", "read")
	entries, _, err := h.store.Entries(context.Background(), store.EntryQuery{Limit: 1000})
	h.must(err)
	starts := 0
	for _, e := range entries {
		if e.Entry.Actor.Subject == "bea" {
			t.Errorf("%s is on record as bea's", e.Entry.Kind)
		}
		if e.Entry.Kind == audit.KindStart {
			starts++
		}
	}
	if starts == 0 {
		t.Error("no start is on record: this tests nothing")
	}
}

// TestHiddenFields is CVE-2026-7571: what a form's page was given is forged between GET and POST. Elsewhere
// an opaque id of a flow mends that, which the server keeps; by our design nothing is kept before the POST, and every parameter is
// validated anew there, so that a forged one gets what it would have got at the GET.
func TestHiddenFields(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("ann")
	for name, value := range map[string]string{
		"client_id": "nobody", "redirect_uri": "https://evil.test/cb", "code_challenge": "short", "code_challenge_method": "plain",
	} {
		q, err := url.ParseQuery(ask("app"))
		h.must(err)
		q.Set(name, value)
		get, post := h.get("/impersonate?"+q.Encode(), cookie), h.form("/impersonate?"+q.Encode(), cookie, why("john", "read"))
		for method, r := range map[string]reply{"GET": get, "POST": post} {
			if r.location != nil && (r.location.Query().Get("ticket") != "" || r.location.Host == "evil.test") || r.status == http.StatusOK {
				t.Errorf("%s with %s=%s: got %d to %v", method, name, value, r.status, r.location)
			}
		}
		// In the body the names mean nothing: only what the page's address says counts.
		form := why("john", "read")
		form.Set(name, value)
		if r := h.form("/impersonate?"+ask("app"), cookie, form); r.location != nil && !strings.HasPrefix(r.location.String(), callback) {
			t.Errorf("%s=%s in the body: led to %v", name, value, r.location)
		}
	}
	// A ticket is of the client that it was asked for, whoever brings it.
	sue, _ := h.login("ann")
	refused(t, h.post("/oauth2/token", "other", startForm(h.ticket(cookie, "app", "john", "read"), h.token(sue, "other", actorScope))), http.StatusBadRequest, "invalid_request")
	for _, kind := range []string{"token", "id_token", "code token", "code id_token", "id_token token", "code id_token token", "none"} {
		q, err := url.ParseQuery(ask("app"))
		h.must(err)
		q.Set("response_type", kind)
		q.Set("scope", "openid")
		q.Set("nonce", "12345678")
		r := h.get("/oauth2/auth?"+q.Encode(), cookie)
		if got := r.body; r.location != nil {
			got = r.location.String()
			if r.location.Query().Get("error") != "unsupported_response_type" {
				t.Errorf("response_type %s: got %s", kind, got)
			}
		} else if r.status != http.StatusBadRequest {
			t.Errorf("response_type %s: got %d %s", kind, r.status, got)
		}
		if r.location != nil && strings.Contains(r.location.String(), "token=") {
			t.Errorf("response_type %s: a token in %s", kind, r.location)
		}
	}
}

// TestNextPerson is CVE-2025-12390: who signs out without cookies, or with some, leaves nothing to the next
// person at the same browser.
func TestNextPerson(t *testing.T) { onBoth(t, testNextPerson) }

func testNextPerson(t *testing.T, o options) {
	for _, cookies := range []string{"whole", "missing", "damaged", "expired"} {
		h := setup(t, o)
		h.setPassword()
		johns, _ := h.login("john")
		sent := map[string]string{"whole": johns, "damaged": johns[:len(johns)-1], "expired": johns}[cookies]
		if cookies == "expired" {
			h.clock.advance(9 * time.Hour)
		}
		h.form("/sign-out", sent, nil)
		r := h.form("/sign-in", sent, url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}})
		anns := r.cookie("__Host-op")
		if anns == "" || anns == johns {
			t.Fatalf("%s: got %d, cookie %q; want a sign-in of its own", cookies, r.status, anns)
		}
		if r := h.get("/", anns); !strings.Contains(r.body, "ann@acme.test") || strings.Contains(r.body, "John") {
			t.Errorf("%s: the home page is %s", cookies, r.body)
		}
		if r := h.get("/", anns+"; "+johns); r.status == http.StatusOK {
			t.Errorf("%s: both cookies at once sign somebody in", cookies)
		}
	}
}

// TestOldCookies is CVE-2026-34454 and CVE-2026-56750: sign-out expires the sign-in's cookie with the attributes
// that it was set with, and what it stood for is over for who kept a copy. TestSignIn shows the same of a sign-in in place
// of another, package rp's TestCookieFlags of a stop. Of the flaws that rotated cookies have there is nothing to test: no cookie
// of ours renews itself.
func TestOldCookies(t *testing.T) { onBoth(t, testOldCookies) }

func testOldCookies(t *testing.T, o options) {
	h := setup(t, o)
	cookie, login := h.login("ann")
	r := h.form("/sign-out", cookie, nil)
	if got := r.header.Values("Set-Cookie"); !slices.Contains(got, "__Host-op=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("sign-out sets %q; want the cookie expired", got)
	} else if !slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "__Host-op-pending=; Path=/; Max-Age=0;") }) {
		t.Errorf("sign-out sets %q; want a sign-in that was begun forgotten too", got)
	}
	if r := h.get("/", cookie); r.status != http.StatusSeeOther || r.location.Path != "/sign-in" {
		t.Errorf("a copy of the cookie: got %d to %v; want the sign-in", r.status, r.location)
	}
	if l, err := h.store.Login(context.Background(), login); err != nil || l.Ended.IsZero() {
		t.Errorf("the login: %+v, %v; want it ended", l, err)
	}
}

// TestPlantedCookie is CVE-2024-28197, CVE-2023-45128 and "Cookie Chaos" (names that only look like a prefixed one): an id that the browser was given by
// somebody else is never taken over, and a name that only looks like ours is not ours. Quotes around the right value are
// none of its business: RFC 6265 §4.1.1 has them, and who knows the value is who signed in.
func TestPlantedCookie(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.setPassword()
	planted := "__Host-op=" + string(oauth.NewSecret())
	r := h.form("/sign-in", planted, url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}})
	if got := r.cookie("__Host-op"); got == "" || got == planted {
		t.Errorf("the sign-in has cookie %q", got)
	}
	if r := h.get("/", planted); r.status != http.StatusSeeOther {
		t.Errorf("the planted cookie: got %d; want to be sent to the sign-in", r.status)
	}
	good := r.cookie("__Host-op")
	name, value, _ := strings.Cut(good, "=")
	for what, cookie := range map[string]string{
		"leading space of Unicode": "\u2000" + good, "no-break space": "\u00a0" + good, "$Version": `$Version=1; ` + name + `-x=` + value,
		"other case": strings.ToLower(name) + "=" + value, "without the prefix": "op=" + value, "doubled": good + "; " + good,
		"planted first": planted + "; " + good, "planted last": good + "; " + planted, "longer": good + "A", "shorter": good[:len(good)-1],
	} {
		if r := h.get("/", cookie); r.status == http.StatusOK {
			t.Errorf("%s: it signs somebody in", what)
		}
	}
	if r := h.get("/", good); r.status != http.StatusOK {
		t.Errorf("the cookie itself: %d", r.status)
	}
}

// TestReplayAfterRestart is GO-2026-5815: what may be used once is a row, so that neither a restart nor a flood of
// others forgets that it was.
func TestReplayAfterRestart(t *testing.T) { onBoth(t, testReplayAfterRestart) }

func testReplayAfterRestart(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("ann")
	actor, code := h.token(cookie, "app", actorScope), h.code(cookie, "app", "openid")
	ticket := h.ticket(cookie, "app", "john", "read")
	first := h.post("/oauth2/token", "app", startForm(ticket, actor))
	ret := first.str("understudy_return_token")
	if h.post("/oauth2/token", "app", stopForm(ret)).status != http.StatusOK || h.post("/oauth2/token", "app", redeem(code)).status != http.StatusOK {
		t.Fatal("the first use was refused")
	}
	again, err := server.New(context.Background(), server.Config{
		PublicURL: h.url, Store: h.store, Registry: policy.Default(), Box: h.box, Now: h.clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	h.must(err)
	for what, form := range map[string]url.Values{"ticket": startForm(ticket, actor), "return token": stopForm(ret), "code": redeem(code)} {
		r := httptest.NewRequest(http.MethodPost, h.url+"/oauth2/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("app", h.secrets["app"])
		w := httptest.NewRecorder()
		if again.Handler().ServeHTTP(w, r); w.Code != http.StatusBadRequest {
			t.Errorf("%s after a restart: got %d %s; want 400", what, w.Code, w.Body)
		}
	}
}

// TestRetryAfterFailure is keycloak#49213: what failed has used nothing up. The same ticket, the same return token
// and the same code are good once the store answers. TestLostCommit is its other half: a commit whose answer was lost.
func TestRetryAfterFailure(t *testing.T) { onBoth(t, testRetryAfterFailure) }

func testRetryAfterFailure(t *testing.T, o options) {
	var b *broken
	h := setup(t, o.wrapped(func(s store.Store) store.Store { b = &broken{Store: s}; return b }))
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	form := startForm(h.ticket(cookie, "app", "john", "read"), actor)
	b.start = store.ErrUnavailable
	for range 3 {
		if r := h.post("/oauth2/token", "app", form); r.status != http.StatusServiceUnavailable {
			t.Fatalf("start without a store: %d %s", r.status, r.body)
		}
	}
	b.start = nil
	r := h.post("/oauth2/token", "app", form)
	if r.status != http.StatusOK {
		t.Fatalf("the same ticket afterwards: %d %s", r.status, r.body)
	}
	b.stop = store.ErrUnavailable
	stop := stopForm(r.str("understudy_return_token"))
	for range 3 {
		if r := h.post("/oauth2/token", "app", stop); r.status != http.StatusServiceUnavailable {
			t.Fatalf("stop without a store: %d %s", r.status, r.body)
		}
	}
	b.stop = nil
	if r := h.post("/oauth2/token", "app", stop); r.status != http.StatusOK || r.str("access_token") == "" {
		t.Errorf("the same return token afterwards: %d %s", r.status, r.body)
	}
}

// TestGoFloor is CVE-2023-44487, CVE-2024-24785, CVE-2026-39826, CVE-2026-42507, CVE-2025-61726 and
// their like: HTTP/2, html/template, net/textproto, crypto/tls and net/url are mended in the Go that builds this.
func TestGoFloor(t *testing.T) {
	t.Parallel()
	const floor = "go1.26"
	raw, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	if goversion.Compare("go"+mod.Go.Version, floor) < 0 {
		t.Errorf("go.mod asks for Go %s; the floor is %s", mod.Go.Version, floor)
	}
	if v := runtime.Version(); goversion.IsValid(v) && goversion.Compare(v, floor) < 0 {
		t.Errorf("built by %s; the floor is %s", v, floor)
	}
}

// TestFloods is CVE-2025-61726, CVE-2025-58186, CVE-2023-24534 and CVE-2026-39825: parameters and cookies without number or end are refused, or passed over, by
// every endpoint that takes a form, before anybody is known; a body in another form than that is not read at all.
func TestFloods(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	flood := func(f func(i int) string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	names := func(i int) string { return fmt.Sprintf("p%d=1&", i) }
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/par", "/sign-in", "/impersonate?" + ask("app")} {
		for what, c := range map[string]struct{ media, body, cookie string }{
			"a long value":       {"application/x-www-form-urlencoded", "grant_type=" + strings.Repeat("x", 1<<20), ""},
			"many names":         {"application/x-www-form-urlencoded", flood(names, 100_000), ""},
			"one name, often":    {"application/x-www-form-urlencoded", strings.Repeat("grant_type=x&", 100_000), ""},
			"a multipart":        {"multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n", 20_000) + "--b--\r\n", ""},
			"a thousand cookies": {"application/x-www-form-urlencoded", "grant_type=x", strings.Repeat("x=y; ", 1000) + "a=b"},
		} {
			req, err := http.NewRequest(http.MethodPost, h.url+path, strings.NewReader(c.body))
			h.must(err)
			req.Header.Set("Content-Type", c.media)
			if c.cookie != "" {
				req.Header.Set("Cookie", c.cookie)
			}
			if r := h.do(req); r.status < 300 || r.status > 499 || len(r.header.Get("Location")) > 4000 {
				t.Errorf("POST %s with %s: got %d; want a refusal", path, what, r.status)
			}
		}
	}
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/par", "/sign-in"} {
		for _, media := range []string{"application/x-www-form-urlencoded", "multipart/form-data; boundary=b"} {
			sent := &endless{left: 64 << 20}
			req, err := http.NewRequest(http.MethodPost, h.url+path, sent)
			h.must(err)
			req.Header.Set("Content-Type", media)
			resp, err := h.http.Do(req)
			if err == nil { // otherwise the connection was closed on it, as it may be
				resp.Body.Close()
				if resp.StatusCode < 300 || resp.StatusCode > 499 {
					t.Errorf("POST %s, without end: got %d; want a refusal", path, resp.StatusCode)
				}
			}
			if n := sent.read.Load(); n > 16<<20 { // what lies in the buffers between the two is some megabytes
				t.Errorf("POST %s of %s: %d bytes were taken", path, media, n)
			}
		}
	}
	if r := h.get("/oauth2/auth?"+flood(names, 5000), ""); r.status < 400 || r.status > 499 {
		t.Errorf("a query of 5000 names: got %d; want a refusal", r.status)
	}
	h.start("ann", "app", "john", "read") // it goes on serving
}

// endless is a body that goes on.
type endless struct {
	left int
	read atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= n
	e.read.Add(int64(n))
	return n, nil
}
