package rp_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// These are flaws that others had with cookies and sessions, by their public numbers. More of them are in attack_test.go.

// TestIdentityInRequest is CVE-2025-61928, and CVE-2025-64484, CVE-2026-40575, CVE-2026-34457 and CVE-2026-20896, which are about headers of a proxy: nothing
// that a request says of who makes it makes anybody somebody.
func TestIdentityInRequest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		john := h.ann()
		john.impersonate("john", "write")
		h.taken(&h.seen)
		claims := values("subject", "eve", "actor", "eve", "sub", "eve", "user_id", "eve", "act", "eve", "on_behalf_of", "eve")
		for who, b := range map[string]*browser{"": h.browser(), "john": john} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				for _, path := range []string{"/", "/note", "/.understudy/session", "/.understudy/stop"} {
					if path == "/.understudy/stop" && method == http.MethodPost {
						continue // that is for the actor to do, and says nothing of who they are
					}
					req := b.request(method, h.asUser+path+"?"+claims.Encode(), claims)
					for _, name := range []string{"X-User-Id", "X-Forwarded-User", "Remote-User", "X-Understudy-Subject", "X-Understudy-Actor", "On-Behalf-Of",
						"X_Forwarded_User", "X-Forwarded-Email", "X_USER_ID", "X-Webauth-User", "X-Forwarded-Preferred-Username"} {
						req.Header.Set(name, "eve")
					}
					if r := b.send(req); strings.Contains(r.body, "=eve") || strings.Contains(r.body, `"eve"`) {
						t.Errorf("%s %s as %q: %s", method, path, who, r.body)
					}
				}
			}
			for _, seen := range h.taken(&h.seen) {
				if got, _, _ := strings.Cut(seen, " "); got != who {
					t.Errorf("reached the app: %q, want as %q", seen, who)
				}
			}
		}
	})
}

// sharedCache is a cache before the app, as greedy as RFC 9111 §3 lets one be: it keeps each 200 that is not marked, under
// its address and what Vary names, and its neighbours' style sheets whatever they hold.
type sharedCache map[string][]kept

type kept struct {
	sent http.Header
	reply
}

func (c sharedCache) get(b *browser, to string) reply {
	b.h.t.Helper()
	req := b.request(http.MethodGet, to, nil)
	req.Header.Set("Cookie", cookieHeader(b.cookies(to)))
	for _, k := range c[to] {
		if k.serves(req.Header) {
			return k.reply
		}
	}
	r := b.send(req)
	if control := r.header.Get("Cache-Control"); r.status == http.StatusOK && !strings.Contains(control, "no-store") && !strings.Contains(control, "private") {
		c[to] = append(c[to], kept{req.Header, r})
	}
	return r
}

// serves is RFC 9111 §4.1.
func (k kept) serves(sent http.Header) bool {
	for _, line := range k.header.Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || k.sent.Get(name) != sent.Get(name) {
				return false
			}
		}
	}
	return true
}

// TestSharedCache is CVE-2023-30861, nextcloud passwords#116 and web cache deception: of what is served under impersonation, or about one,
// a cache keeps nothing for the next person, also where the address looks like a style sheet's.
func TestSharedCache(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		cache := sharedCache{}
		b, next := h.ann(), h.browser()
		b.impersonate("john", "read")
		paths := []string{"/", "/x.css", "/admin/x.png", "/.understudy/session", "/.understudy/stop", "/blocked/x.css", "/.understudy/start"}
		for _, path := range paths {
			cache.get(b, h.asUser+path)
		}
		for _, path := range paths {
			if r := cache.get(next, h.asUser+path); strings.Contains(r.body, "john") || strings.Contains(r.body, "John") || strings.Contains(r.body, "banner") {
				t.Errorf("%s: the next person sees %s", path, r.body)
			}
		}
		if len(cache[h.asUser+"/"]) > 0 && h.app != h.asUser {
			t.Error("a page under impersonation is kept")
		}
		cache.get(b, h.asUser+"/.understudy/banner.css")
		if len(cache) == 0 {
			t.Error("the cache has kept nothing at all: this tests nothing")
		}
	})
}

// TestRawRequests is CVE-2025-22871, CVE-2023-39326 and CVE-2022-1705: what two servers in a row could cut in two places is refused, and its connection
// closed. Where it is not, what comes behind stands on its own: nobody's cookie is carried over to it.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "write")
	h.taken(&h.seen)
	u, err := url.Parse(h.asUser)
	h.must(err)
	next := "GET /smuggled HTTP/1.1\r\nHost: " + u.Host + "\r\n\r\n"
	say := func(name, request string) string {
		c, err := net.Dial("tcp", "127.0.0.1:"+u.Port())
		h.must(err)
		defer c.Close()
		h.must(c.SetDeadline(time.Now().Add(30 * time.Second)))
		io.WriteString(c, request) // it may be closed before all is written
		answer, err := io.ReadAll(c)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: the connection stays open", name)
		}
		return string(answer)
	}
	start := "POST /note HTTP/1.1\r\nHost: " + u.Host + "\r\nCookie: " + cookieHeader(b.cookies(h.asUser)) + "\r\n"
	chunked := start + "Transfer-Encoding: chunked\r\n\r\n"
	heads := map[string]string{
		"two codings":          start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"chunked twice":        start + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		"another coding":       start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a vertical tab":       start + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"two lengths":          start + "Content-Length: 4\r\nContent-Length: 0\r\n\r\n",
		"a list of lengths":    start + "Content-Length: 0, 4\r\n\r\n",
		"a signed length":      start + "Content-Length: +0\r\n\r\n",
		"a negative length":    start + "Content-Length: -1\r\n\r\n",
		"a hexadecimal length": start + "Content-Length: 0x0\r\n\r\n",
		"a space before :":     start + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"a NUL":                start + "X: \x00\r\n\r\n",
		"a line without :":     start + "Transfer-Encoding\r\n\r\n",
		"two hosts":            start + "Host: evil.test\r\n\r\n",
		"HTTP/2":               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"no version":           "GET /note\r\n\r\n",
	}
	bodies := map[string]string{
		"bare LF in a size":     chunked + "1;\n0\r\n\r\n\r\n0\r\n\r\n",
		"a size too large":      chunked + "ffffffffffffffff1\r\nx",
		"no size":               chunked + "\r\n\r\n",
		"a signed size":         chunked + "+0\r\n\r\n",
		"a flood of extensions": chunked + strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\nx\r\n", 1000) + "0\r\n\r\n",
	}
	for name, request := range heads {
		if status, _, _ := strings.Cut(say(name, request+next+next), "\r\n"); status != "" && !strings.HasPrefix(status, "HTTP/1.1 4") && !strings.HasPrefix(status, "HTTP/1.1 5") {
			t.Errorf("%s: got %s", name, status)
		}
	}
	if seen := h.taken(&h.seen); len(seen) > 0 {
		t.Errorf("reached the app: %q", seen)
	}
	for name, request := range bodies {
		if answer := say(name, request+next+next); strings.Count(answer, "HTTP/1.1 ") > 1 {
			t.Errorf("%s: what is behind it was answered: %s", name, answer)
		}
	}
	last := strings.Replace(next, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
	if answer := say("both", start+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+last); strings.Count(answer, "HTTP/1.1 ") != 2 {
		t.Errorf("a length and chunks, which is no fault (RFC 9112 §6.1): got %s; want this answer, and that to the next", answer)
	}
	for _, seen := range h.taken(&h.seen) {
		if strings.Contains(seen, "/smuggled") {
			t.Errorf("reached the app: %q", seen)
		}
	}
}
