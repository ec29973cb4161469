package rp_test

import (
	"net/http"
	"strings"
	"testing"
)

// These are flaws that others had with cookies and sessions, by their public numbers. More of them are in attack_test.go.

// TestIdentityInRequest is vulns.csv CVE-2025-61928: nothing that a request says of who makes it makes anybody somebody.
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
					for _, name := range []string{"X-User-Id", "X-Forwarded-User", "Remote-User", "X-Understudy-Subject", "X-Understudy-Actor", "On-Behalf-Of"} {
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

// TestSharedCache is vulns.csv CVE-2023-30861 and threatmodel T18: of what is served under impersonation, or about one,
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
