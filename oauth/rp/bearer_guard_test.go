package rp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// recorded demands what was put on record since the last time.
func (a *api) recorded(what string, want ...string) {
	a.t.Helper()
	if err := a.bearer.Flush(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	if got := a.taken(&a.actions); !slices.Equal(got, want) {
		a.t.Errorf("%s: on record is %q, want %q", what, got, want)
	}
}

// TestGuardAtAPIs: a look-only token reaches no handler that could change anything but those that Allow names, nobody's token one that is forbidden, and every
// attempt is on record.
func TestGuardAtAPIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	look, full := a.acting(), a.acting("scope", fullAccess)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "get", "PURGE"} {
		a.no("look only: "+method, a.do(a.request(method, "/me", look)), http.StatusForbidden, "impersonation_blocked")
		a.recorded("look only: "+method, "after "+method+" /me 403 read_only")
		a.yes("full: "+method, a.do(a.request(method, "/me", full)), "john", "ann")
		a.recorded("full: "+method, "before "+method+" /me", "after "+method+" /me 200")
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		if r := a.do(a.request(method, "/me", look)); r.status != http.StatusOK {
			t.Errorf("look only: %s: %d", method, r.status)
		}
	}
	a.taken(&a.reached)
	a.recorded("safe methods", "after GET /me 200", "after HEAD /me 200", "after OPTIONS /me 200")
	a.yes("allowed", a.post("/search", look), "john", "ann")
	a.recorded("allowed", "before POST /search", "after POST /search 200")
	for _, path := range []string{"/search/", "//search", "/./search", "/%73earch", "/x/../search"} {
		a.no("allowed, spelled "+path, a.post(path, look), http.StatusForbidden, "impersonation_blocked")
	}
	opaque := a.request("GET", "/me", full)
	opaque.URL = &url.URL{Scheme: "x", Opaque: "http://backend/blocked/x"}
	a.no("no path", a.do(opaque), http.StatusBadRequest, "invalid_request")
	a.taken(&a.actions)
	a.no("upgrade", a.get("/me", look, "Upgrade", "websocket", "Connection", "Upgrade"), http.StatusForbidden, "impersonation_blocked")
	a.recorded("upgrade", "after GET /me 403 read_only")
	for who, token := range map[string]string{"look only": look, "full": full} {
		a.no(who+": forbidden, safe", a.get("/delete", token), http.StatusForbidden, "impersonation_blocked")
		a.no(who+": blocked", a.get("/blocked/x", token), http.StatusForbidden, "impersonation_blocked")
		a.no(who+": method in the query", a.do(a.request("POST", "/me?_method=DELETE", token)), http.StatusForbidden, "impersonation_blocked")
	}
	a.recorded("forbidden", slices.Repeat([]string{"after GET /delete 403 forbidden", "after GET /blocked/x 403 forbidden", "after POST /me 403 forbidden"}, 2)...)
	a.taken(&a.ids)
	a.no("full: forbidden", a.post("/delete", full), http.StatusForbidden, "impersonation_blocked")
	a.recorded("full: forbidden", "before POST /delete", "after POST /delete 403 forbidden")
	if ids := a.taken(&a.ids); ids[0] != ids[1] {
		t.Errorf("one request has two IDs on record: %q", ids)
	}
	form := httptest.NewRequest(http.MethodPost, "/me", strings.NewReader("a=b&_method=DELETE"))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header.Set("Authorization", "Bearer "+full)
	a.no("method in the form", a.do(form), http.StatusForbidden, "impersonation_blocked")
	for what, r := range map[string]reply{
		"own": a.post("/delete", a.token()), "blocked": a.post("/blocked/x", a.token()), "method": a.do(a.request("POST", "/me?_method=DELETE", a.token())),
	} {
		a.yes("john's own: "+what, r, "john", "john")
	}
}

// TestHiddenMethodAtAPIs: JSON does not hide another method where that is blocked, and reaches the handler whole where it hides none.
func TestHiddenMethodAtAPIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.bearer.Block("DELETE /users/{id}")
	a.serve = a.bearer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	full := a.acting("scope", fullAccess)
	send := func(token, body string) reply {
		r := httptest.NewRequest(http.MethodPost, "/users/7", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		return a.do(r)
	}
	for _, body := range []string{`{"_method":"DELETE"}`, `{"a":"` + strings.Repeat("x", 1<<20) + `"}`} {
		a.no("hidden", send(full, body), http.StatusForbidden, "impersonation_blocked")
		if r := send(a.token(), body); r.status != http.StatusOK || r.body != body {
			t.Errorf("john's own: %d %.80s", r.status, r.body)
		}
	}
	a.recorded("hidden", "after POST /users/7 403 forbidden", "after POST /users/7 403 forbidden")
	if body := `{"a":"` + strings.Repeat("x", 100<<10) + `"}`; send(full, body).body != body {
		t.Error("what hides nothing does not arrive whole")
	}
}

// TestLongRouteAtAPIs: the trail of an API hides nothing behind padding either, also where there is no HTTP.
func TestLongRouteAtAPIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.serve = a.bearer.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	full := a.acting("scope", fullAccess)
	for _, c := range longRoutes() {
		if r := a.do(a.request(c.method, c.path, full)); r.status != c.status || c.status == 414 && !strings.Contains(r.body, `"reason":"too_long"`) {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, r.status, r.body, c.status)
		}
	}
	long := longRoute{"CALL", "/pkg.Service/" + strings.Repeat("x", 600), 414, "/pkg.Service/x"}
	_, err := a.bearer.Authenticate(t.Context(), "Bearer "+full, "", long.method, long.path)
	var refused *rp.BearerError
	if !errors.As(err, &refused) || refused.Status != 414 || refused.Reason != "too_long" {
		t.Errorf("without HTTP: %v", err)
	}
	if err := a.bearer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := a.taken(&a.actions)
	for _, c := range append(longRoutes(), long) {
		if !c.onRecord(told) {
			t.Errorf("%s %s is not on record as it must be", c.method, c.path)
		}
	}
}

// TestMethodOverrideAtAPIs: no header makes a handler see another method than the guard did; of who is nobody else it is left alone.
func TestMethodOverrideAtAPIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.serve = a.bearer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-HTTP-Method-Override")) }))
	for token, want := range map[string]string{a.acting(): "", a.token(): "DELETE"} {
		if r := a.get("/me", token, "X-HTTP-Method-Override", "DELETE"); r.body != want {
			t.Errorf("the handler sees %q, want %q", r.body, want)
		}
	}
}

// TestEndedAtAPIs: a session that is over is refused at once where something could change, within the time that liveness is believed
// where nothing can, and at once again after somebody has noticed.
func TestEndedAtAPIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	look, full := a.acting(), a.acting("scope", fullAccess)
	a.yes("before", a.get("/me", look), "john", "ann")
	a.set(func() { a.over["imp_1"] = true })
	a.yes("safe, within the time", a.get("/me", look), "john", "ann")
	r := a.post("/me", full)
	a.no("unsafe", r, http.StatusUnauthorized, "invalid_token")
	if !strings.Contains(r.body, `"reason":"ended"`) {
		t.Errorf("ended: %s", r.body)
	}
	a.no("safe, after that", a.get("/me", look), http.StatusUnauthorized, "invalid_token")
	a.no("refused anyway", a.post("/me", look), http.StatusUnauthorized, "invalid_token")
	a.yes("john's own", a.get("/me", a.token()), "john", "john")
}

// TestIssuerAwayFromAPIs: while nobody knows whether a session goes on, what could change something is not done, and the rest for 5 s; ordinary
// tokens count on.
func TestIssuerAwayFromAPIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	look, full := a.acting(), a.acting("scope", fullAccess)
	a.yes("before", a.get("/me", look), "john", "ann")
	a.set(func() { a.down["*"] = true })
	a.no("unsafe", a.post("/me", full), http.StatusServiceUnavailable, "unavailable")
	a.no("unsafe, look only", a.post("/me", look), http.StatusServiceUnavailable, "unavailable")
	a.no("forbidden", a.get("/delete", look), http.StatusServiceUnavailable, "unavailable")
	a.yes("safe", a.get("/me", look), "john", "ann")
	a.clock.advance(5 * time.Second)
	r := a.get("/me", look)
	a.no("safe, later", r, http.StatusServiceUnavailable, "unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	a.yes("john's own", a.post("/me", a.token()), "john", "john")
	_, err := a.bearer.Authenticate(t.Context(), "Bearer "+look, "", "GET", "/me")
	if err == nil || errors.Unwrap(err) == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("without HTTP: %v", err)
	}
	a.set(func() { a.down["*"] = false })
	a.yes("again", a.get("/me", look), "john", "ann")
	if logs := a.logs.String(); strings.Contains(logs, look) || strings.Contains(logs, "secret") {
		t.Error("the log tells a token or a secret")
	}
}
