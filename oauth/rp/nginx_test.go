package rp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// How an nginx in front of an app may cache. The first keeps what says that it may be kept. The second keeps all that does not forbid it,
// whoever asked, of whatever status, from whichever of the app's hosts. The third does not even hear what forbids it, as guides on the web
// have it: to ignore Set-Cookie and Cache-Control "so that it caches at last".
var caches = map[string]string{
	"plain": "",
	"greedy": `proxy_cache_key $request_uri; proxy_cache_valid any 10m; proxy_cache_methods GET HEAD POST;
		proxy_cache_use_stale error timeout updating http_403 http_404 http_500 http_503;`,
	"deaf": `proxy_cache_key $request_uri; proxy_cache_valid any 10m; proxy_cache_methods GET HEAD POST;
		proxy_cache_use_stale error timeout updating http_403 http_404 http_500 http_503; proxy_ignore_headers Cache-Control Expires Set-Cookie;`,
}

const nginxConfig = `daemon off; master_process off; pid nginx.pid; error_log stderr;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	proxy_cache_path cache keys_zone=pages:1m;
	server {
		listen unix:%s;
		location / {
			proxy_pass http://%s; proxy_set_header Host $http_host; proxy_http_version 1.1;
			proxy_cache pages; add_header X-Cache $upstream_cache_status always; %s
		}
	}
}
`

// nginxPath finds Debian's nginx, or skips t.
func nginxPath(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} { // the second is in no ordinary user's PATH
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "there is no nginx: install nginx-light"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// behindNginx is setup with an nginx between the app and whoever asks it.
func behindNginx(t testing.TB, which form, cache string) *house {
	path := nginxPath(t)
	return setup(t, which, func(h *house, _ *rp.Config) {
		app, err := url.Parse(h.app)
		h.must(err)
		front := startNginx(t, path, "127.0.0.1:"+app.Port(), cache)
		direct := h.client.Transport.(*http.Transport)
		h.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasSuffix(address, ":"+app.Port()) {
				return new(net.Dialer).DialContext(ctx, "unix", front)
			}
			return direct.DialContext(ctx, network, address)
		}}
		t.Cleanup(h.client.CloseIdleConnections)
	})
}

// startNginx starts one in front of the server at to, and answers on which socket it listens: one with a name, so that nobody else can be
// there first.
func startNginx(t testing.TB, path, to, cache string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "nginx") // shorter than the test's own: a socket's name has 107 bytes
	must(err)
	socket := filepath.Join(dir, "s")
	must(os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConfig, socket, to, cache), 0o600))
	var said bytes.Buffer
	cmd := exec.Command(path, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	cmd.Stderr = &said
	must(cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("nginx said:\n%s", said.String())
		}
	})
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return socket
		}
	}
	t.Fatal("nginx does not listen")
	return ""
}

// behind is a browser's view through the proxy: what the first person of a test got, the others must not.
type behind struct {
	*house
	secrets map[string]string // what nobody else may get, and where it came from
}

func (h *behind) get(b *browser, to string, more ...string) reply {
	h.t.Helper()
	req := b.request(http.MethodGet, to, nil)
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	return b.send(req)
}

// keep notes what r gave Ann alone: cookies, and the states of flows.
func (h *behind) keep(r reply) {
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.Name != "theme" && c.Value != "" {
			h.secrets[c.Value] = "cookie " + c.Name + " of " + r.url.String()
		}
	}
	if to, err := url.Parse(r.header.Get("Location")); err == nil && to.Query().Get("state") != "" {
		h.secrets[to.Query().Get("state")] = "state of " + r.url.String()
	}
}

// wantNothing reports what r, got by somebody else, holds of Ann or John.
func (h *behind) wantNothing(who string, r reply) {
	h.t.Helper()
	var all strings.Builder
	r.header.Write(&all)
	all.WriteString(r.body)
	for secret, from := range h.secrets {
		if strings.Contains(all.String(), secret) {
			h.t.Errorf("%s at %s got the %s", who, r.url, from)
		}
	}
	for _, words := range []string{"subject=john", "actor=john", "John Doe", "john@acme.test", "subject=ann", "actor=ann", "Ann Bell", "ann@acme.test", "<understudy-banner", `"impersonating":true`} {
		if strings.Contains(all.String(), words) {
			h.t.Errorf("%s at %s, %d: got %q in\n%s", who, r.url, r.status, words, all.String())
		}
	}
}

// TestNginx is CVE-2023-30861 with a real cache in front: what somebody got while they
// impersonate, nobody else gets, neither page nor banner, cookie, redirect or session; they themselves get it no more after the end; and
// what somebody else got before, is not shown to them as the user's.
func TestNginx(t *testing.T) {
	t.Parallel()
	for name, cache := range caches {
		for _, which := range []form{apart, over} {
			t.Run(name+", "+string(which), func(t *testing.T) {
				t.Parallel()
				throughNginx(t, &behind{behindNginx(t, which, cache), map[string]string{}})
			})
		}
	}
}

func throughNginx(t *testing.T, h *behind) {
	stranger, eve := h.browser(), h.browser()
	paths := []string{"/", "/open/", "/open/x.css", "/admin/x.png", "/blocked/x.css", "/.understudy/session", "/.understudy/stop", "/.understudy/start", "/.understudy/sign-in"}

	evil := stranger.request(http.MethodGet, h.app+"/open/", nil)
	evil.Host = "evil.test"
	stranger.send(evil)
	for range 2 {
		if r := h.get(stranger, h.app+"/open/"); r.status != http.StatusOK || !strings.Contains(r.body, "subject= ") {
			t.Fatalf("the open page: %d %s", r.status, r.body)
		}
	}
	if r := h.get(stranger, h.app+"/open/"); r.header.Get("X-Cache") != "HIT" {
		t.Errorf("the open page is not kept (%s): this tests nothing", r.header.Get("X-Cache"))
	}

	ann := h.ann()
	h.keep(ann.impersonate("john", "write"))
	for range 2 { // so that what is kept at a second request is kept too
		for _, path := range paths {
			h.keep(h.get(ann, h.asUser+path))
		}
	}
	for _, host := range []string{h.app, h.asUser} {
		for name, value := range ann.cookies(host) {
			if name != "theme" {
				h.secrets[value] = "cookie " + name + " at " + host
			}
		}
	}
	if r := h.get(ann, h.asUser+"/open/"); !strings.Contains(r.body, "subject=john ") || !strings.Contains(r.body, "<understudy-banner") {
		t.Errorf("impersonating, the open page is %s\n%v", r.body, r.header)
	}

	h.login(eve, "eve")
	if r := eve.get(h.app + "/"); !strings.Contains(r.body, "subject=eve actor=eve") {
		t.Fatalf("Eve signs in: %d %s", r.status, r.body)
	}
	visit := func() {
		t.Helper()
		for _, path := range paths {
			for _, origin := range []string{h.app, h.asUser} {
				h.wantNothing("a stranger", h.get(h.browser(), origin+path))
				h.wantNothing("Eve", h.get(eve, origin+path))
			}
		}
		if r := h.get(eve, h.app+"/open/"); !strings.Contains(r.body, "subject=eve actor=eve") {
			t.Errorf("to Eve the open page is %s", r.body)
		}
	}
	visit()

	stop := ann.one(http.MethodPost, h.asUser+"/.understudy/stop", nil)
	h.keep(stop)
	h.wantNothing("a stranger", h.browser().one(http.MethodPost, h.asUser+"/.understudy/stop", nil))
	h.wantNothing("Eve", eve.one(http.MethodPost, h.asUser+"/.understudy/stop", nil))
	visit()
	if r := ann.follow(stop); !strings.Contains(r.body, "subject=ann actor=ann") {
		t.Errorf("after Stop: %d %s", r.status, r.body)
	}
	for _, path := range []string{"/", "/open/"} {
		if r := ann.get(h.app + path); !strings.Contains(r.body, "subject=ann actor=ann") {
			t.Errorf("%s after Stop: %d %s", path, r.status, r.body)
		}
	}
}

// TestNginxAfterTheEnd: who impersonated keeps their cookies when an operator ends it, and gets no page of the user's for them.
func TestNginxAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := behindNginx(t, apart, cache)
			ann := h.ann()
			ann.impersonate("john", "read")
			paths := []string{"/", "/open/", "/.understudy/session"}
			for _, path := range append(paths, paths...) {
				if r := ann.one(http.MethodGet, h.asUser+path, nil); !strings.Contains(r.body, "john") {
					t.Errorf("%s: %d %s", path, r.status, r.body)
				}
			}
			h.kill()
			h.clock.advance(6 * time.Second)
			for _, path := range paths {
				if r := ann.one(http.MethodGet, h.asUser+path, nil); strings.Contains(r.body, "=john") || strings.Contains(r.body, "john@") {
					t.Errorf("%s after the end (%s): %d %s", path, r.header.Get("X-Cache"), r.status, r.body)
				}
			}
		})
	}
}

// TestNginxKeepsParts: what is the same for everybody is kept once, also of an app that people sign in to.
func TestNginxKeepsParts(t *testing.T) {
	t.Parallel()
	h := &behind{house: behindNginx(t, over, caches["plain"])}
	ann := h.ann()
	script := func(b *browser) reply {
		return h.get(b, h.app+"/open/app.js", "Sec-Fetch-Dest", "script", "Sec-Fetch-Mode", "no-cors")
	}
	script(h.browser())
	for who, b := range map[string]*browser{"a stranger": h.browser(), "Ann": ann} {
		if r := script(b); r.header.Get("X-Cache") != "HIT" {
			t.Errorf("for %s: %s", who, r.header.Get("X-Cache"))
		}
	}
}

// TestNginxBeforeAPI: what an API answers is for the token that it came with, though the API itself says that it is for all.
func TestNginxBeforeAPI(t *testing.T) {
	t.Parallel()
	path := nginxPath(t)
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			routes := a.routes()
			srv := httptest.NewServer(a.bearer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "public, max-age=600")
				routes.ServeHTTP(w, r)
			})))
			t.Cleanup(srv.Close)
			front := startNginx(t, path, srv.Listener.Addr().String(), cache)
			through := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", front)
			}}
			t.Cleanup(through.CloseIdleConnections)
			get := func(token string) (status int, body string) {
				r, err := http.NewRequest(http.MethodGet, "http://api.acme.test/v1/me", nil)
				a.must(err)
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				resp, err := through.RoundTrip(r)
				a.must(err)
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				a.must(err)
				return resp.StatusCode, string(b)
			}
			acting, john, eve := a.acting(), a.token(), a.token("sub", "eve")
			for range 2 {
				for _, c := range []struct{ token, want string }{
					{acting, "subject=john actor=ann impersonating=true"}, {john, "subject=john actor=john impersonating=false"}, {eve, "subject=eve actor=eve impersonating=false"},
				} {
					if _, body := get(c.token); body != c.want {
						t.Errorf("got %s, want %s", body, c.want)
					}
				}
				if status, body := get(""); status != http.StatusUnauthorized {
					t.Errorf("without a token: %d %s", status, body)
				}
			}
			a.set(func() { a.over["imp_1"] = true })
			a.clock.advance(6 * time.Second)
			if status, body := get(acting); status != http.StatusUnauthorized {
				t.Errorf("after the end: %d %s", status, body)
			}
		})
	}
}
