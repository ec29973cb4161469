package rp_test

import (
	"net/http"
	"testing"
)

// TestAside: the user's pages may live on one site with the app, and then all that script there asks carries the actor's
// sign-in. It counts for nothing, unless somebody opens the page in a tab.
func TestAside(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	for _, c := range []struct {
		name, method, origin, site, mode, dest string
		ann                                    bool
	}{
		{"a tab of its own", "GET", "", "none", "navigate", "document", true},
		{"its own page", "GET", "", "same-origin", "cors", "empty", true},
		{"its own form", "POST", "app", "same-origin", "navigate", "document", true},
		{"a link", "GET", "", "same-site", "navigate", "document", true},
		{"another origin, by name", "GET", "https://www.app.test", "same-site", "cors", "empty", true},
		{"a program", "GET", "", "", "", "", true},
		{"fetch", "GET", "as-user", "same-site", "cors", "empty", false},
		{"fetch that names nobody", "GET", "", "same-site", "no-cors", "empty", false},
		{"POST", "POST", "as-user", "same-site", "no-cors", "empty", false},
		{"form", "POST", "as-user", "same-site", "navigate", "document", false},
		{"form that names nobody", "POST", "null", "same-site", "navigate", "document", false},
		{"form of an old browser", "POST", "as-user", "", "", "", false},
		{"picture", "GET", "", "same-site", "no-cors", "image", false},
		{"frame", "GET", "", "same-site", "navigate", "iframe", false},
		{"frame that went by the issuer", "GET", "", "cross-site", "navigate", "iframe", false},
	} {
		req := b.request(c.method, h.app+"/admin", nil)
		for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode, "Sec-Fetch-Dest": c.dest,
			"Origin": map[string]string{"app": h.app, "as-user": h.asUser}[c.origin]} {
			if req.Header.Del(name); value != "" {
				req.Header.Set(name, value)
			}
		}
		if c.origin != "" && req.Header.Get("Origin") == "" {
			req.Header.Set("Origin", c.origin)
		}
		h.taken(&h.seen)
		r := b.send(req)
		if seen := len(h.taken(&h.seen)) > 0; seen != c.ann || !c.ann && r.status != http.StatusUnauthorized {
			t.Errorf("%s: %d, reached the app: %v, want %v", c.name, r.status, seen, c.ann)
		}
	}
}

// TestSevered is the other half: no tab of the one has a hold on a tab of the other. Over the app's own origin there is
// nothing to sever, and what the app says itself stands.
func TestSevered(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		want := ""
		if h.app != h.asUser {
			want = "same-origin"
		}
		const name = "Cross-Origin-Opener-Policy"
		if r := b.get(h.app + "/admin"); r.header.Get(name) != "" {
			t.Errorf("the actor's page: %q", r.header.Get(name))
		}
		if r := b.impersonate("john", "read"); r.header.Get(name) != want {
			t.Errorf("the user's page: got %q, want %q", r.header.Get(name), want)
		}
		if r := b.post(h.asUser + "/note"); r.status != http.StatusForbidden || r.header.Get(name) != want {
			t.Errorf("a notice: %d, got %q, want %q", r.status, r.header.Get(name), want)
		}
	})
}
