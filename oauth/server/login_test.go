package server_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/store"
)

const annsPassword = "correct horse battery"

// setPassword gives ann hers.
func (h *house) setPassword() {
	h.t.Helper()
	phc, err := password.New(0, 0).Hash(context.Background(), annsPassword)
	h.must(err)
	h.must(h.store.SetCredentials(context.Background(), store.CredentialsWrite{Write: h.write(), UserID: "ann", Password: &phc}))
}

func (h *house) typed(email, pw string) reply {
	h.t.Helper()
	return h.form("/sign-in?return_to=%2Fimpersonate", "", url.Values{"email": {email}, "password": {pw}})
}

// cookie gives what Set-Cookie says of name, as a Cookie header; "" if it is not set or expired.
func (r reply) cookie(name string) string {
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.Name == name && c.MaxAge >= 0 {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

func TestSignIn(t *testing.T) { onBoth(t, testSignIn) }

func testSignIn(t *testing.T, o options) {
	h := setup(t, o)
	h.setPassword()
	r := h.typed(" ANN@acme.test ", annsPassword)
	if r.status != http.StatusSeeOther || r.location.String() != "/impersonate" {
		t.Fatalf("got %d to %v; want 303 to /impersonate", r.status, r.location)
	}
	set := r.header.Get("Set-Cookie")
	for _, want := range []string{"__Host-op=", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(set, want) {
			t.Errorf("Set-Cookie %q lacks %q", set, want)
		}
	}
	cookie := r.cookie("__Host-op")
	if r := h.get("/", cookie); r.status != http.StatusOK || !strings.Contains(r.body, "ann@acme.test") {
		t.Errorf("home: %d", r.status)
	}
	// Somebody who planted a second cookie of that name signs nobody in.
	if r := h.get("/", cookie+"; "+cookie); r.status != http.StatusSeeOther {
		t.Errorf("two cookies: got %d; want to be sent to the sign-in", r.status)
	}
	// A second sign-in in the same browser ends the first.
	again := h.form("/sign-in", cookie, url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}})
	if r := h.get("/", cookie); r.status != http.StatusSeeOther || again.cookie("__Host-op") == cookie {
		t.Error("the login of before the second sign-in still counts")
	}
	entries, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: audit.KindSignIn})
	h.must(err)
	if len(entries) != 2 || entries[0].Entry.Fields["amr"] != "pwd" || entries[0].Entry.Fields["address"] != "127.0.0.1" {
		t.Errorf("%d entries: %+v", len(entries), entries[0].Entry)
	}
}

// TestSignInTellsNothing: an unknown address, a wrong password, a disabled account and one without a password get the same answer.
func TestSignInTellsNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.setPassword()
	u, err := h.store.Get(context.Background(), "bea")
	h.must(err)
	u.Enabled = false
	h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
	bodies := map[string]string{}
	for name, email := range map[string]string{"wrong": "ann@acme.test", "unknown": "abc@acme.test", "disabled": "bea@acme.test", "no password": "eve@acme.test"} {
		r := h.typed(email, "wrong horse battery")
		if r.status != http.StatusUnauthorized || r.cookie("__Host-op") != "" {
			t.Errorf("%s: got %d", name, r.status)
		}
		bodies[strings.ReplaceAll(r.body, email, "E")] = name
	}
	if len(bodies) != 1 {
		t.Errorf("%d different answers: %v", len(bodies), bodies)
	}
}

func TestLockOut(t *testing.T) { onBoth(t, testLockOut) }

func testLockOut(t *testing.T, o options) {
	h := setup(t, o)
	h.setPassword()
	for _, email := range []string{"ann@acme.test", "nobody@acme.test"} { // known or not, the lock looks alike
		for i := range 10 {
			want := http.StatusUnauthorized
			if i == 9 {
				want = http.StatusTooManyRequests
			}
			if r := h.typed(email, "wrong"); r.status != want {
				t.Fatalf("%s, failure %d: got %d; want %d", email, i+1, r.status, want)
			}
		}
	}
	if r := h.typed("ann@acme.test", annsPassword); r.status != http.StatusTooManyRequests || r.cookie("__Host-op") != "" {
		t.Errorf("the right password while locked: got %d", r.status)
	}
	h.clock.advance(15*time.Minute + time.Second)
	if r := h.typed("ann@acme.test", annsPassword); r.status != http.StatusSeeOther {
		t.Errorf("the right password after the lock: got %d", r.status)
	}
}

// TestReturnTo: the sign-in leads to our own pages only.
func TestReturnTo(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.setPassword()
	for to, want := range map[string]string{
		"/impersonate?a=b": "/impersonate?a=b", "https://evil.test/": "/", "//evil.test/": "/", `/\evil.test`: "/", "javascript:alert(1)": "/",
		"/static/x": "/", "": "/", "/oauth2/auth?x=//y": "/oauth2/auth?x=//y", "/sign-out": "/",
	} {
		r := h.form("/sign-in?return_to="+url.QueryEscape(to), "", url.Values{"email": {"ann@acme.test"}, "password": {annsPassword}})
		if r.location == nil || r.location.String() != want {
			t.Errorf("return_to %q leads to %v; want %q", to, r.location, want)
		}
	}
}

// TestSecondFactor: enrolled on the page, asked for at the sign-in, good once, and compulsory for an impersonation.
func TestSecondFactor(t *testing.T) { onBoth(t, testSecondFactor) }

func testSecondFactor(t *testing.T, o options) {
	o.secondFactor = true
	h := setup(t, o)
	h.setPassword()
	cookie := h.typed("ann@acme.test", annsPassword).cookie("__Host-op")

	// By password alone: the token may be had, the impersonation may not.
	r := h.form("/impersonate?"+ask("app"), cookie, why("john", "read"))
	if r.status != http.StatusForbidden || !strings.Contains(r.body, "second factor") {
		t.Fatalf("impersonate by password alone: got %d", r.status)
	}

	if r := h.get("/impersonate?"+ask("app")+"&q=john", cookie); r.status != http.StatusForbidden || strings.Contains(r.body, "john@") {
		t.Errorf("search by password alone: got %d", r.status)
	}

	// The page leads to where one is set up, and that back to the form.
	enrol := html.UnescapeString(textBetween(r.body, `class="btn primary" href="`, `"`))
	if !strings.HasPrefix(enrol, "/sign-in/second-factor?return_to=%2Fimpersonate") {
		t.Fatalf("the page leads to %q", enrol)
	}
	page := h.get(enrol, cookie)
	secret := textBetween(page.body, "secret=", `"`)
	if page.status != http.StatusOK || secret == "" {
		t.Fatalf("enrol: got %d\n%s", page.status, page.body)
	}
	pending := page.cookie("__Host-op-pending")
	if r := h.form(enrol, cookie+"; "+pending, url.Values{"code": {"000000"}}); r.status != http.StatusUnprocessableEntity {
		t.Errorf("enrol with a wrong code: got %d", r.status)
	}
	now := func() string {
		code, err := totp.GenerateCode(secret, h.clock.Now())
		h.must(err)
		return code
	}
	first := now()
	r = h.form(enrol, cookie+"; "+pending, url.Values{"code": {first}})
	if r.status != http.StatusSeeOther || r.cookie("__Host-op") == "" || r.location.Path != "/impersonate" || !strings.Contains(r.location.RawQuery, "subject=john") {
		t.Fatalf("enrol: got %d\n%s", r.status, r.body)
	}
	upgraded := r.cookie("__Host-op")
	h.ticket(upgraded, "app", "john", "read") // now it may

	// The next sign-in asks for the code, and takes each once.
	r = h.typed("ann@acme.test", annsPassword)
	if r.location.Path != "/sign-in/code" || r.cookie("__Host-op") != "" {
		t.Fatalf("sign-in with a second factor: got %d to %v", r.status, r.location)
	}
	pending = r.cookie("__Host-op-pending")
	if r := h.form("/sign-in/code", pending, url.Values{"code": {first}}); r.status != http.StatusUnauthorized {
		t.Errorf("the code of the enrolment a second time: got %d; want 401 (RFC 6238 section 5.2)", r.status)
	}
	if r := h.form("/sign-in/code", "", url.Values{"code": {now()}}); r.status != http.StatusSeeOther || r.location.Path != "/sign-in" {
		t.Errorf("a code without the password: got %d to %v", r.status, r.location)
	}
	h.clock.advance(time.Minute)
	r = h.form("/sign-in/code?return_to=%2F", pending, url.Values{"code": {now()[:3] + " " + now()[3:]}})
	if r.status != http.StatusSeeOther || r.cookie("__Host-op") == "" {
		t.Fatalf("code: got %d\n%s", r.status, r.body)
	}
	fresh := r.cookie("__Host-op")
	h.ticket(fresh, "app", "john", "read")

	// A second factor that is set up is not replaced from the page.
	if r := h.get("/sign-in/second-factor", fresh); r.status != http.StatusConflict {
		t.Errorf("enrolling anew: got %d; want 409", r.status)
	}
	if strings.Contains(h.logs.String(), secret) {
		t.Error("the log holds the secret")
	}
}

func textBetween(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, found := strings.Cut(s, to)
	if !found {
		return ""
	}
	return s
}

// TestCrossOriginForms: a form on another site does nothing, at each route that the cookie authenticates.
func TestCrossOriginForms(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, login := h.login("ann")
	for _, path := range []string{"/impersonate?" + ask("app"), "/sign-in", "/sign-in/code", "/sign-in/second-factor", "/sign-out"} {
		req, err := http.NewRequest(http.MethodPost, h.url+path, strings.NewReader(why("john", "read").Encode()))
		h.must(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Cookie", cookie)
		req.Header.Set("Origin", "https://evil.test")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if r := h.do(req); r.status != http.StatusForbidden {
			t.Errorf("%s: got %d; want 403", path, r.status)
		}
	}
	l, err := h.store.Login(context.Background(), login)
	h.must(err)
	if !l.Ended.IsZero() {
		t.Error("another site signed ann out")
	}
	if n, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: audit.KindTicket}); err != nil || len(n) != 0 {
		t.Errorf("%d tickets, %v; want none", len(n), err)
	}
}
