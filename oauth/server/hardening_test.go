package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// Each test here was an attack that worked once.

// TestCodeAfterTheEnd: a code is worth nothing once its person signed out or was disabled.
func TestCodeAfterTheEnd(t *testing.T) { onBoth(t, testCodeAfterTheEnd) }

func testCodeAfterTheEnd(t *testing.T, o options) {
	ends := map[string]func(h *house, cookie string){
		"signed out": func(h *house, cookie string) { h.form("/sign-out", cookie, nil) },
		"disabled":   func(h *house, _ string) { h.change("ann", func(u *directory.User) { u.Enabled = false }) },
		"expired":    func(h *house, _ string) { h.clock.advance(15 * time.Second) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, o)
			cookie, _ := h.login("ann")
			for range 9 { // use keeps it from being idle until 5 seconds before its end
				h.clock.advance(53*time.Minute + 19*time.Second)
				h.get("/", cookie)
			}
			code := h.code(cookie, "app", "openid impersonate")
			end(h, cookie)
			r := h.post("/oauth2/token", "app", redeem(code))
			refused(t, r, http.StatusBadRequest, "invalid_grant")
			if r.str("id_token") != "" {
				t.Error("an ID token signs them in")
			}
		})
	}
}

func (h *house) change(id string, f func(*directory.User)) {
	h.t.Helper()
	u, err := h.store.Get(context.Background(), id)
	h.must(err)
	f(&u)
	h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
}

// enrolled gives ann a password and a second factor, and the codes of it.
func (h *house) enrolled() (code func() string) {
	h.t.Helper()
	h.setPassword()
	cookie := h.typed("ann@acme.test", annsPassword).cookie("__Host-op")
	page := h.get("/sign-in/second-factor", cookie)
	secret := textBetween(page.body, "secret=", `"`)
	code = func() string {
		c, err := totp.GenerateCode(secret, h.clock.Now())
		h.must(err)
		return c
	}
	if r := h.form("/sign-in/second-factor", cookie+"; "+page.cookie("__Host-op-pending"), url.Values{"code": {code()}}); r.status != http.StatusSeeOther {
		h.t.Fatalf("enrol: got %d", r.status)
	}
	h.clock.advance(time.Minute) // the next code
	return code
}

// TestPendingSignIn is GHSA-xg6x-h9c9-2m83: who has typed the password alone is nobody yet, under whichever name
// the cookie comes. Protected pages answer 401 elsewhere; ours lead people to the sign-in. And a password that was changed
// before the code opens nothing any more.
func TestPendingSignIn(t *testing.T) { onBoth(t, testPendingSignIn) }

func testPendingSignIn(t *testing.T, o options) {
	h := setup(t, o)
	code := h.enrolled()
	pending := h.typed("ann@acme.test", annsPassword).cookie("__Host-op-pending")
	_, value, _ := strings.Cut(pending, "=")
	for _, cookie := range []string{pending, "__Host-op=" + value} {
		for _, path := range []string{"/", "/audit", "/impersonate?" + ask("app")} {
			if r := h.get(path, cookie); r.status != http.StatusSeeOther || r.location.Path != "/sign-in" {
				t.Errorf("%s before the code: got %d to %v; want the sign-in", path, r.status, r.location)
			}
		}
	}
	phc, err := password.New(0, 0).Hash(context.Background(), "another horse battery")
	h.must(err)
	h.must(h.store.SetCredentials(context.Background(), store.CredentialsWrite{Write: h.write(), UserID: "ann", Password: &phc, EndLogins: true}))
	r := h.form("/sign-in/code", pending, url.Values{"code": {code()}})
	if r.cookie("__Host-op") != "" || r.location == nil || r.location.Path != "/sign-in" {
		t.Errorf("got %d to %v; want the sign-in anew", r.status, r.location)
	}
}

// TestBurstOfCodes: parallel guesses are bounded as those one after the other are.
func TestBurstOfCodes(t *testing.T) { onBoth(t, testBurstOfCodes) }

func testBurstOfCodes(t *testing.T, o options) {
	h := setup(t, o)
	code := h.enrolled()
	pending := h.typed("ann@acme.test", annsPassword).cookie("__Host-op-pending")
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { h.form("/sign-in/code", pending, url.Values{"code": {"000000"}}) })
	}
	wg.Wait()
	if r := h.form("/sign-in/code", pending, url.Values{"code": {code()}}); r.status != http.StatusTooManyRequests || r.cookie("__Host-op") != "" {
		t.Errorf("the right code after a burst: got %d; want 429", r.status)
	}
	a, err := h.store.Attempt(context.Background(), store.AttemptKey("ann@acme.test"), h.clock.Now())
	h.must(err)
	if a.Locked.IsZero() || a.Failures != 0 {
		t.Errorf("after 40 guesses: %+v; want locked by the tenth, and the others not counted", a)
	}
}

// noTouch is a store on a full disk: what stops something still commits.
type noTouch struct{ store.Store }

var errFull = errors.Join(store.ErrUnavailable, errors.New("full"))

func (noTouch) TouchLogin(context.Context, string, time.Time) error { return errFull }

// TestSignOutOnAFullDisk: signing out ends, whatever else cannot be written.
func TestSignOutOnAFullDisk(t *testing.T) { onBoth(t, testSignOutOnAFullDisk) }

func testSignOutOnAFullDisk(t *testing.T, o options) {
	h := setup(t, o.wrapped(func(s store.Store) store.Store { return noTouch{s} }))
	s := h.start("ann", "app", "john", "read")
	h.clock.advance(2 * time.Minute)
	if r := h.form("/sign-out", s.cookie, nil); r.status != http.StatusOK {
		t.Errorf("sign-out: got %d", r.status)
	}
	if h.active("app", s.token) || h.active("app", s.actor) {
		t.Error("the impersonation or the admin's token is alive after the sign-out")
	}
}

// TestReuseIsAlwaysOnRecord: noise of the same client hides neither a revocation for reuse nor what the page refused.
func TestReuseIsAlwaysOnRecord(t *testing.T) { onBoth(t, testReuseIsAlwaysOnRecord) }

func testReuseIsAlwaysOnRecord(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	h.post("/oauth2/token", "app", stopForm(s.ret))
	h.clock.advance(2 * time.Minute)
	for range 70 {
		h.post("/oauth2/token", "app", stopForm("x"))
	}
	h.post("/oauth2/token", "app", stopForm(s.ret))
	if n := h.count(audit.KindReuse); n != 1 {
		t.Errorf("%d entries of the reuse; want 1", n)
	}
	h.form("/impersonate?"+ask("app"), s.cookie, why("pat", "read"))
	entries, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: audit.KindRefused, Person: "pat"})
	h.must(err)
	if len(entries) != 1 {
		t.Errorf("%d entries of ann's try at pat; want 1", len(entries))
	}

	// A code that comes again, and a plain revocation, are on record too.
	code := h.code(s.cookie, "app", "openid")
	token := h.post("/oauth2/token", "app", redeem(code)).str("access_token")
	h.post("/oauth2/token", "app", redeem(code))
	if n := h.count(audit.KindReuse); n != 2 || h.active("app", token) {
		t.Errorf("%d entries of reuse, active %v; want 2 and the token dead", n, h.active("app", token))
	}
	h.post("/oauth2/revoke", "app", url.Values{"token": {h.token(s.cookie, "app", "openid")}})
	if n := h.count(audit.KindRevoke); n != 1 {
		t.Errorf("%d entries of the revocation; want 1", n)
	}
}

func (h *house) count(kind audit.Kind) int {
	h.t.Helper()
	page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: kind, Limit: 1000})
	h.must(err)
	return len(page)
}

// TestPublicClientsWriteNothing: anybody can give the id of a public client.
func TestPublicClientsWriteNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: "public", Public: true, Resources: []string{resource}, Scopes: []string{"openid"}}, RedirectURIs: []string{callback},
	}}))
	f := startForm("x", "y")
	f.Set("client_id", "public")
	refused(t, h.form("/oauth2/token", "", f), http.StatusBadRequest, "unauthorized_client")
	if n := h.count(audit.KindRefused); n != 0 {
		t.Errorf("%d entries; want none", n)
	}
}

// TestStopAfterRevocation: a stop ends, and gives nothing back where the admin's token was revoked.
func TestStopAfterRevocation(t *testing.T) { onBoth(t, testStopAfterRevocation) }

func testStopAfterRevocation(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("ann", "app", "john", "read")
	h.post("/oauth2/revoke", "app", url.Values{"token": {s.actor}})
	refused(t, h.post("/oauth2/token", "app", stopForm(s.ret)), http.StatusBadRequest, "invalid_request")
	if h.active("app", s.token) {
		t.Error("the stop did not end the session")
	}
}

// faster is an operator who enrols a second factor just before the page does.
type faster struct{ store.Store }

func (f faster) SetCredentials(ctx context.Context, w store.CredentialsWrite) error {
	theirs := []byte("the operator's")
	if err := f.Store.SetCredentials(ctx, store.CredentialsWrite{Write: impersonation.Write{Now: w.Now}, UserID: w.UserID, TOTP: &theirs}); err != nil {
		return err
	}
	return f.Store.SetCredentials(ctx, w)
}

// TestEnrolmentReplacesNothing: the page sets a first second factor up and never another.
func TestEnrolmentReplacesNothing(t *testing.T) { onBoth(t, testEnrolmentReplacesNothing) }

func testEnrolmentReplacesNothing(t *testing.T, o options) {
	h := setup(t, o.wrapped(func(s store.Store) store.Store { return faster{s} }))
	cookie, _ := h.login("ann")
	page := h.get("/sign-in/second-factor", cookie)
	code, err := totp.GenerateCode(textBetween(page.body, "secret=", `"`), h.clock.Now())
	h.must(err)
	if r := h.form("/sign-in/second-factor", cookie+"; "+page.cookie("__Host-op-pending"), url.Values{"code": {code}}); r.status != http.StatusSeeOther || r.cookie("__Host-op") != "" {
		t.Errorf("got %d and a login", r.status)
	}
	if c, err := h.store.Credentials(context.Background(), "ann"); err != nil || string(c.TOTP) != "the operator's" {
		t.Errorf("the operator's second factor was replaced: %v", err)
	}
}
