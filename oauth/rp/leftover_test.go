package rp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/rp"
)

// around puts another app behind the house's rp, and gives what answers for it.
func (h *house) around(f http.HandlerFunc) http.Handler {
	h.t.Helper()
	app, err := rp.New(h.t.Context(), h.config)
	h.must(err)
	return app.Handler(f)
}

// TestFilledJar: script can fill the browser's jar, and Stop still works.
func TestFilledJar(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		for i := range 170 {
			b.cookies(h.asUser)[fmt.Sprintf("f%03d", i)] = strings.Repeat("A", 3900)
		}
		b.one(http.MethodPost, h.asUser+"/.understudy/stop", nil)
		if n := h.live(); n != 0 {
			t.Errorf("%d sessions go on", n)
		}
		if left := len(b.cookies(h.asUser)); h.app != h.asUser && left != 0 {
			t.Errorf("%d cookies outlive it", left)
		}
	})
}

// TestUpgrade: what a WebSocket carries nobody sees, so it is refused in look mode, recorded in the other, and ends with
// the session.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"read", "write"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := setup(t, apart, nil)
			b := h.ann()
			b.impersonate("john", mode)
			got := make(chan string, 10)
			srv := httptest.NewServer(h.around(func(w http.ResponseWriter, _ *http.Request) {
				c, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				defer close(got)
				for {
					line, err := rw.ReadString('\n')
					if err != nil {
						return
					}
					got <- line
				}
			}))
			defer srv.Close()
			c, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			u, _ := url.Parse(h.asUser)
			fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: %s\r\n\r\n", u.Host, cookieHeader(b.cookies(h.asUser)))
			if mode == "read" {
				if line, _ := bufio.NewReader(c).ReadString('\n'); !strings.Contains(line, "403") {
					t.Errorf("look only: %q", line)
				}
				return
			}
			fmt.Fprintln(c, "hello")
			select {
			case line := <-got:
				if line != "hello\n" {
					t.Fatalf("got %q", line)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("nothing arrived")
			}
			if diff := cmp.Diff([]string{"before GET /ws"}, h.acts()); diff != "" {
				t.Errorf("on record (-want +got):\n%s", diff)
			}
			h.kill()
			h.clock.advance(time.Minute)
			select {
			case _, open := <-got:
				if open {
					t.Error("it went on")
				}
			case <-time.After(20 * time.Second):
				t.Error("the connection outlives the session")
			}
		})
	}
}

// TestAppsCookies: on an origin of its own nothing that the user's pages set leaves it, or outlives Stop; and nothing tells
// a shared cache to keep a page (RFC 9213).
func TestAppsCookies(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "read")
	app := h.around(func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range []string{"session=johns; Domain=app.localhost; Path=/; HttpOnly", "draft=johns; Path=/inbox", "plain=johns; Path=/", "__Host-understudy=planted; Path=/; Secure", "bad cookie"} {
			w.Header().Add("Set-Cookie", c)
		}
		for _, name := range []string{"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires"} {
			w.Header().Set(name, "max-age=600")
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path string) http.Header {
		r := b.request(method, h.asUser+path, nil)
		r.Host = r.URL.Host
		r.Header.Set("Cookie", cookieHeader(b.cookies(h.asUser)))
		secure, _ := url.Parse("https://" + r.URL.Hostname() + path)
		for _, c := range jar.Cookies(secure) {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		jar.SetCookies(secure, w.Result().Cookies())
		return w.Header()
	}
	header := do("GET", "/inbox/1")
	for name := range header {
		if strings.Contains(strings.ToLower(name), "cdn") || name == "Surrogate-Control" {
			t.Errorf("%s passed", name)
		}
	}
	if got := header.Values("X-Accel-Expires"); !slices.Equal(got, []string{"0"}) {
		t.Errorf("X-Accel-Expires: %q", got)
	}
	if got := header.Values("Set-Cookie"); len(got) != 3 || slices.ContainsFunc(got, func(c string) bool { return strings.Contains(c, "Domain") || !strings.Contains(c, "Path=/") }) {
		t.Errorf("set: %q", got)
	}
	do("POST", "/.understudy/stop")
	for _, at := range []string{"https://app.localhost/admin", "https://as-user.app.localhost/inbox/1"} {
		u, _ := url.Parse(at)
		if left := jar.Cookies(u); len(left) != 0 {
			t.Errorf("at %s: %v", at, left)
		}
	}
}

// TestLeftovers: the next user's pages get nothing of the last one's, also where nobody pressed Stop (CVE-2025-12390).
func TestLeftovers(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "read")
	b.cookies(h.asUser)["johns"] = "draft"
	h.clock.advance(31 * time.Minute)
	r := b.one(http.MethodGet, h.asUser+"/", nil)
	if r.status != http.StatusForbidden || !strings.Contains(r.header.Get("Clear-Site-Data"), "storage") || b.cookies(h.asUser)["johns"] != "" {
		t.Errorf("ended: %d %q, cookies %v", r.status, r.header.Get("Clear-Site-Data"), b.cookies(h.asUser))
	}
	b.cookies(h.asUser)["johns"] = "again"
	h.login(b, "ann")
	b.impersonate("eve", "read")
	if b.cookies(h.asUser)["johns"] != "" {
		t.Error("eve's pages get john's cookie")
	}
}

// TestLostSession: where no cookie tells what to stop, nobody says that it was stopped, and the issuer asks.
func TestLostSession(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		for name, lose := range map[string]func(jar map[string]string){
			"damaged": func(jar map[string]string) { jar[actingCookie], jar[heldCookie] = "x", "x" },
			"dropped": func(jar map[string]string) { delete(jar, actingCookie); delete(jar, heldCookie) },
		} {
			b := h.ann()
			_, rest, _ := strings.Cut(b.impersonate("john", "read").body, `name="understudy_session" value="`)
			id, _, _ := strings.Cut(rest, `"`)
			lose(b.cookies(h.asUser))
			req := b.request(http.MethodPost, h.asUser+"/.understudy/stop", values("understudy_session", id))
			req.Header.Set("Accept", "application/json")
			if r := b.send(req); r.status != http.StatusOK || !strings.Contains(r.body, `"stopped":false`) {
				t.Errorf("%s: a program is told %d %s", name, r.status, r.body)
			}
			lose(b.cookies(h.asUser))
			r := b.post(h.asUser+"/.understudy/stop", "understudy_session", id)
			if r.url.Path != "/sign-in/acting" || h.live() != 1 {
				t.Fatalf("%s: led to %s, %d live", name, r.url, h.live())
			}
			if r := b.post(r.url.String()); !strings.HasPrefix(r.url.String(), h.app) || !strings.Contains(r.body, "subject=ann") || h.live() != 0 {
				t.Errorf("%s: after the button %s, %d live", name, r.url, h.live())
			}
		}
	})
}

// TestStoppedAtOnce: a copy of the cookie is worth nothing from the stop on, whatever was believed a moment ago.
func TestStoppedAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		copied := cookieHeader(b.cookies(h.asUser))
		b.post(h.asUser + "/.understudy/stop")
		req := b.request(http.MethodGet, h.asUser+"/", nil)
		req.Header.Set("Cookie", copied)
		if r := h.browser().send(req); r.status != http.StatusForbidden {
			t.Errorf("a copy: %d, want 403", r.status)
		}
	})
}

// TestMethodField: a form does not pass for another method than what is recorded.
func TestMethodField(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "write")
	var mp bytes.Buffer
	form := multipart.NewWriter(&mp)
	h.must(form.WriteField("_method", "DELETE"))
	h.must(form.Close())
	upload := b.request(http.MethodPost, h.asUser+"/search", nil)
	upload.Body, upload.ContentLength = io.NopCloser(&mp), int64(mp.Len())
	upload.Header.Set("Content-Type", form.FormDataContentType())
	badly := b.request(http.MethodPost, h.asUser+"/search", values("_method", "DELETE"))
	badly.Header.Set("Content-Type", "application/x-www-form-urlencoded; x") // net/http reads it all the same
	h.taken(&h.seen)
	all := make(map[string]*http.Request)
	for _, name := range []string{" _method", "[_method]", "_method]", ".method", " .method", "_method\x00x"} {
		all["named "+name] = b.request(http.MethodPost, h.asUser+"/search", values("a", "b", name, "DELETE"))
		all["asked "+name] = b.request(http.MethodPost, h.asUser+"/search?"+values(name, "DELETE").Encode(), nil)
	}
	for _, kind := range []string{"application/x-www-form-urlencoded, x", "application/x-www-form-urlencoded; a=1; a=2", "APPLICATION/X-WWW-FORM-URLENCODED x"} {
		all[kind] = b.request(http.MethodPost, h.asUser+"/search", values("_method", "DELETE"))
		all[kind].Header.Set("Content-Type", kind)
	}
	cut := b.request(http.MethodPost, h.asUser+"/search", nil)
	cut.Body = io.NopCloser(strings.NewReader("a=1;_method=DELETE"))
	cut.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	all["behind a semicolon"] = cut
	maps.Copy(all, map[string]*http.Request{
		"query":     b.request(http.MethodPost, h.asUser+"/search?a=b&%5fmethod=DELETE", nil),
		"spelled":   b.request(http.MethodPost, h.asUser+"/search?_m%65thod=DELETE", nil),
		"loud":      b.request(http.MethodPost, h.asUser+"/search?_METHOD=DELETE", nil),
		"form":      b.request(http.MethodPost, h.asUser+"/search", values("_method", "DELETE")),
		"header":    b.request(http.MethodPost, h.asUser+"/search?x-http-method=DELETE", nil),
		"bad type":  badly,
		"multipart": upload,
	})
	for name, req := range all {
		if r := b.send(req); r.status != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, r.status)
		}
	}
	if seen := h.taken(&h.seen); len(seen) != 0 {
		t.Errorf("reached the app: %v", seen)
	}
	if r := b.post(h.asUser+"/search?payment_method=x", "payment_method", "card"); r.status != http.StatusOK {
		t.Errorf("another field: %d", r.status)
	}
}

// TestHiddenMethodField: where another method of the same path is blocked, or another than the allowed one only looks, a body that could hide one is refused.
// Elsewhere, and of what cannot hide any, nothing is.
func TestHiddenMethodField(t *testing.T) {
	t.Parallel()
	const form, json = "application/x-www-form-urlencoded", "application/json"
	h := setup(t, apart, nil)
	b := h.ann()
	large := strings.Repeat("x", 1<<20)
	for _, mode := range []string{"write", "read"} {
		b.impersonate("john", mode)
		app, err := rp.New(t.Context(), h.config)
		h.must(err)
		app.Block("DELETE /Users/{id}", "JOB /jobs/", "/own/")
		app.Allow("POST /users/", "PUT /users/", "POST /jobs/", "POST /search")
		unblocked := map[string]int{"write": 200, "read": 403}[mode]
		for _, c := range []struct {
			method, path, kind, body string
			want                     int
		}{
			{"POST", "/users/7", form, "a=b", 200}, {"POST", "/users/7", json, `{"a":1}`, 200}, {"PUT", "/users/7", json, `{"a":1}`, 200}, {"POST", "/users/7", "", "", 200},
			{"POST", "/users/7", "image/png", large + "x", 200}, {"POST", "/users/7/keys", form, "a=b", 200}, {"DELETE", "/users/7", "", "", 403},
			{"POST", "/users/7", json, `{"_method":"DELETE"}`, 403}, {"PUT", "/users/7", json, `{"_method":"DELETE"}`, 403}, {"POST", "/users/7", form, "a=" + large + "&_method=DELETE", 403}, {"POST", "/users/7", form, "a=" + large, 403},
			{"POST", "/users/7", "multipart/form-data; boundary=x", "--x\n\n", 403}, {"POST", "/users/7", "", "_method=DELETE", 403},
			{"POST", "/users/7.json", json, `{"_method":"DELETE"}`, 403}, {"POST", "/users/7%2f", form, "a=" + large, 403},
			{"POST", "/jobs/7", json, `{"_method":"JOB"}`, unblocked}, {"POST", "/search", json, `{"_method":"DELETE"}`, unblocked}, {"POST", "/search", form, "a=" + large, unblocked}, {"POST", "/search", json, `{"a":1}`, 200},
			{"POST", "/search", form, "_method=DELETE", 403},
		} {
			r := b.request(c.method, h.asUser+c.path, nil)
			if c.body != "" {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
			}
			r.Header.Del("Content-Type")
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			if w := serve(app, r, b.cookies(h.asUser)); w.Code != c.want {
				t.Errorf("%s: %s %s %s %.40s: %d, want %d", mode, c.method, c.path, c.kind, c.body, w.Code, c.want)
			}
		}
		b.post(h.asUser + "/.understudy/stop")
	}
}

// longRoutes are requests whose paths are too long for the trail, with what comes of them and what the trail must show.
func longRoutes() []longRoute {
	x := strings.Repeat("x", 600)
	return []longRoute{
		{"GET", "/signed/" + x + "/me.png", 200, "/me.png"}, {"GET", "/" + x + "/account/delete/" + x, 200, "x/account/delete/x"},
		{"GET", "/" + x + "%2Faccount%252fdelete%5C/" + x, 200, "x%2Faccount%252fdelete%5C/x"}, {"GET", "/account/delete;" + x, 200, "/account/delete;x"},
		{"GET", "/" + x + "/%2e%2e/account/./delete//" + x, 200, "/%2e%2e/account/./delete//"},
		{"GET", strings.Repeat("/", 600) + "account/delete", 414, "/account/delete"}, {"GET", "/account/delete" + strings.Repeat("/.", 400), 414, "/account/delete/"},
		{"GET", "/account/delete" + strings.Repeat("/%2e/%2E", 100), 414, "/account/delete/"}, {"GET", "/account/delete" + strings.Repeat("/"+x[:40], 20), 414, "/account/delete/"},
		{"GET", "/signed/" + strings.Repeat(x, 15) + "/delete", 414, "/delete"}, {"POST", "/" + x, 414, "/x"}, {"POST", "/account/" + x + "/delete", 414, "/delete"}, {"POST", "/account/" + x + "y/delete", 414, "/delete"},
	}
}

type longRoute struct {
	method, path string
	status       int
	shows        string
}

// onRecord reports whether told has c once, as it must.
func (c longRoute) onRecord(told []string) bool {
	sum := sha256.Sum256([]byte(c.path))
	end, n := fmt.Sprintf(" sha256:%x %d", sum, c.status), 0
	if c.status == 414 {
		end += " too_long"
	}
	for _, line := range told {
		if strings.HasPrefix(line, "after "+c.method+" "+c.path[:10]) && strings.HasSuffix(line, end) && strings.Contains(line, c.shows) && strings.Contains(line, "…") {
			n++
		}
	}
	return n == 1
}

// TestLongRoute: what could change something is not done where its path does not fit on record. What only looks is recorded by all of its
// segments, or not done either. No padding hides what ran, and no two paths are recorded alike.
func TestLongRoute(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	app, ask := h.actor(t.Context(), "write", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	for _, c := range longRoutes() {
		if w := ask(c.method, c.path); w.Code != c.status || c.status == 414 && !strings.Contains(w.Body.String(), "Not done: the address is too long") {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, w.Code, w.Body, c.status)
		}
	}
	fits := "/" + strings.Repeat("x", 502) + "/delete/"
	if w := ask(http.MethodPost, fits); w.Code != http.StatusOK {
		t.Errorf("of 512 characters: %d", w.Code)
	}
	if w := ask("PROPPATCHPROPPATCH", "/account"); w.Code != http.StatusForbidden {
		t.Errorf("a long method: %d", w.Code)
	}
	flushed(t, app)
	told := h.told()
	for _, c := range longRoutes() {
		if !c.onRecord(told) {
			t.Errorf("%s %s is not on record as it must be", c.method, c.path)
		}
	}
	if want := []string{"before POST " + fits, "after POST " + fits + " 200", "after PROPPATCHPROPPA~ /account 403 forbidden"}; !contains(told, want[:2]) || !slices.Contains(told, want[2]) {
		t.Errorf("got %q, want %q", told, want)
	}
}

// TestAllowedPattern: what a mux would only redirect is not allowed.
func TestAllowedPattern(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	app, err := rp.New(t.Context(), h.config)
	h.must(err)
	app.Allow("POST /tree/", "GET /ws")
	b := h.ann()
	b.impersonate("john", "read")
	for path, want := range map[string]int{"/tree/": http.StatusOK, "/tree/leaf": http.StatusOK, "/tree": http.StatusForbidden, "/tree//leaf": http.StatusForbidden} {
		if w := serve(app, b.request(http.MethodPost, h.asUser+path, nil), b.cookies(h.asUser)); w.Code != want {
			t.Errorf("POST %s: %d, want %d", path, w.Code, want)
		}
	}
	req := b.request(http.MethodGet, h.asUser+"/ws", nil)
	req.Header.Set("Upgrade", "websocket")
	if w := serve(app, req, b.cookies(h.asUser)); w.Code != http.StatusOK {
		t.Errorf("an upgrade by name: %d", w.Code)
	}
}

// TestRetryLink: "Try again" leads nowhere else.
func TestRetryLink(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "read")
	h.setDown(true)
	h.clock.advance(5 * time.Second)
	req := b.request(http.MethodGet, h.asUser+"//evil.test/login", nil)
	if r := b.send(req); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "evil.test") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := b.one(http.MethodGet, h.asUser+"/report?a=b", nil); !strings.Contains(r.body, `href="/report?a=b"`) {
		t.Errorf("no way to try again: %s", r.body)
	}
}

// TestStopsOnce: one session waits once for the issuer, however often its Stop is replayed.
func TestStopsOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := setup(t, apart, nil)
	app, err := rp.New(ctx, h.config)
	h.must(err)
	b := h.ann()
	b.impersonate("john", "read")
	h.setDown(true)
	for range 1100 {
		if w := serve(app, b.request(http.MethodPost, h.asUser+"/.understudy/stop", nil), b.cookies(h.asUser)); w.Code != http.StatusServiceUnavailable {
			t.Fatalf("stop: %d", w.Code)
		}
	}
	if strings.Contains(h.logs.String(), "too many stops") {
		t.Error("one session took all places")
	}
}
