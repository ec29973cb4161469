package rp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/rp"
)

// guarded is an app in front of which somebody is impersonated with full access, and what it gives to a request of a method for a target, both byte by byte.
func guarded(t *testing.T, guard func(*rp.App)) func(method, target string) int {
	h := setup(t, apart, nil)
	app, err := rp.New(t.Context(), h.config)
	h.must(err)
	guard(app)
	b := h.ann()
	b.impersonate("john", "write")
	return func(method, target string) int {
		t.Helper()
		u, err := url.ParseRequestURI(target)
		h.must(err)
		r := b.request(method, h.asUser+"/", nil)
		u.Scheme, u.Host = r.URL.Scheme, r.URL.Host
		r.URL = u
		return serve(app, r, b.cookies(h.asUser)).Code
	}
}

// TestBlockedSpellings: however a path is spelled for which some router would take a blocked one, it is refused; others are not (CVE-2026-33494).
func TestBlockedSpellings(t *testing.T) {
	t.Parallel()
	ask := guarded(t, func(app *rp.App) {
		app.Block("/Account/delete", "POST /api/", "/users/{ID}/keys", "/feeds/john.doe", "AS-USER.app.localhost/hosted")
	})
	for _, target := range []string{
		"/Account/delete", "/account/delete", "/ACCOUNT/DELETE", "/Account/delete/", "//Account//delete", "/./Account/./delete", "/x/../Account/delete",
		"/%41ccount/%64elete", "/%2e/Account/delete", "/x/%2e%2e/Account/delete", "/Account%2fdelete", "/Account%5Cdelete", `/Account\delete`, "/Account/delete;x=1",
		"/Account;a=b/delete;c", "/x/..;/Account/delete", "/%2541ccount%252fdelete", "/x%252f..%252fAccount/delete", "/%252541ccount/delete", "/Account/delete?x=y",
		"/Account/delete%3b", "/Account/%64elete/%2e", "/users/7/keys", "/users/7/KEYS/", "/users/a%2Fb/keys", "/users/../keys", "/users//keys", "/users/7;v=1/keys",
		"/users/7%2Fx/keys/", "/users/7%2fx/KEYS", "/users/7%5Cx/keys/", "/users/7%2Fx/keys;a", "/users/7%2Fx/%6beys/",
		"/hosted", "/Hosted/",
		"/account/delete.json", "/Account/delete.JSON/", "/account/delete.a.b", "/account/delete%2ejson", "/account/delete.json;x", "/account/delete;x.json", "/account/delete.", "/users/7/keys.xml", "/feeds/john.doe.json",
		"/index.php/account/delete", "/INDEX.PHP/Account/delete.json", "/sub/app_dev.php/account/delete", "/index%2ephp%2faccount/delete", "/x.php/index.php/account/delete", "/index.php;a/account/delete",
		"/index.php/x/../account/delete", "/cgi-bin/app.fcgi/users/7/keys", "/index.php/account/x.php/../delete", "//index.php//account/delete", "/index.php/sub/b.php/account/delete", "/account/app.php/delete",
	} {
		if got := ask(http.MethodGet, target); got != http.StatusForbidden {
			t.Errorf("GET %s: %d, want 403", target, got)
		}
	}
	for _, target := range []string{"/api/", "/api", "/API/x", "/api/../x", "/api%2fx", "/api%2f..%2fx", "/index.php/api/x", "/index.php/api", "/api.json", `/api\..\x`, "/api/x;y", "/api;x/y", "/x;/../api/y"} {
		if got := ask(http.MethodPost, target); got != http.StatusForbidden {
			t.Errorf("POST %s: %d, want 403", target, got)
		}
	}
	if got := ask("post", "/Api/x"); got != http.StatusForbidden {
		t.Errorf("a method in lower case: %d, want 403", got)
	}
	for _, target := range []string{
		"/", "/account", "/account/deleted", "/x/account/delete", "/api/x", "/users/keys", "/users/7/8/keys", "/files/a%2Fb", "/100%25", "/a;b/c", "/a/../b", "/x?to=/account/delete",
		"/search/Account%20delete", "/account/deleted.json", "/account.delete", "/account/.delete", "/index.php", "/index.php.", "/index.html/account/delete", "/account/delete.d/x", "/.json", "/users/7.json", "/a.php/b.php/c",
	} {
		if got := ask(http.MethodGet, target); got != http.StatusOK {
			t.Errorf("GET %s: %d, want 200", target, got)
		}
	}
}

// TestAllowedSpellings: what Allow lets through means one thing only.
func TestAllowedSpellings(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	app, err := rp.New(t.Context(), h.config)
	h.must(err)
	app.Allow("POST /search/")
	b := h.ann()
	b.impersonate("john", "read")
	for target, want := range map[string]int{
		"/search/": 200, "/search/x/": 200, "/search/caf%C3%A9": 200, "/search/a%20b": 200,
		"/SEARCH/": 403, "/search//x": 403, "/search/./x": 403, "/search/../x": 403, "/search/%2e%2e/x": 403, "/search/..%2fx": 403, "/search/..%5cx": 403, `/search/..\x`: 403,
		"/search/..;/x": 403, "/search/%252e%252e/x": 403, "/search/%00": 403, "/search/x%0a": 403,
	} {
		u, err := url.ParseRequestURI(target)
		h.must(err)
		r := b.request(http.MethodPost, h.asUser+"/", nil)
		u.Scheme, u.Host = r.URL.Scheme, r.URL.Host
		r.URL = u
		if w := serve(app, r, b.cookies(h.asUser)); w.Code != want {
			t.Errorf("POST %s: %d, want %d", target, w.Code, want)
		}
	}
}

// TestTargets: the target of a request in absolute form (RFC 9112 §3.2.2), and headers that name another path or method, do not get past the guard. Nothing that
// asks for a connection of its own gets through where one only looks. It is CVE-2026-33494 and CVE-2026-33495.
func TestTargets(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "read")
	seen := make(chan http.Header, 10)
	srv := httptest.NewServer(h.around(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	defer srv.Close()
	u, err := url.Parse(h.asUser)
	h.must(err)
	say := func(line string, headers ...string) string {
		t.Helper()
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		h.must(err)
		defer c.Close()
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nCookie: %s\r\n%s\r\n", line, u.Host, cookieHeader(b.cookies(h.asUser)),
			strings.Join(append(headers, ""), "\r\n"))
		status, err := bufio.NewReader(c).ReadString('\n')
		if err != nil && err != io.EOF {
			t.Errorf("%s: %v", line, err)
		}
		return strings.TrimSpace(status)
	}
	for _, c := range [][]string{
		{"POST " + h.asUser + "/note"}, {"CONNECT " + u.Host}, {"PRI *"}, {"post /note"},
		{"GET /", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}, {"GET /", "Upgrade: websocket"}, {"GET /", "Upgrade: "}, {"GET /?_method=DELETE"},
		{"GET /?X-HTTP-Method-Override=DELETE"},
	} {
		if got := say(c[0], c[1:]...); !strings.Contains(got, "403") {
			t.Errorf("%s: %q, want 403", c, got)
		}
	}
	for _, line := range []string{"GET x:http://backend/account/delete", "POST x:http://backend/account/delete", "GET mailto:john@acme.test"} { // no path: a proxy sends such a target on as it is
		if got := say(line); !strings.Contains(got, "400") {
			t.Errorf("%s: %q, want 400", line, got)
		}
	}
	if len(seen) != 0 {
		t.Errorf("%d reached the app", len(seen))
	}
	names := []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "x_http_method_override", "X_Original-URL"}
	var headers []string
	for _, name := range names {
		headers = append(headers, name+": DELETE")
	}
	if got := say("GET "+h.asUser+"/", headers...); !strings.Contains(got, "200") {
		t.Fatalf("in absolute form: %q", got)
	}
	for name, values := range <-seen {
		if slices.Contains(values, "DELETE") {
			t.Errorf("the app sees %s", name)
		}
	}
}
