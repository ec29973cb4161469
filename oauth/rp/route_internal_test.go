package rp

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
)

// TestRoute: a path is on record as it was sent. Of a long one each segment is there, whatever stands around it.
func TestRoute(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 600)
	for _, c := range []struct{ path, want string }{
		{"/", "/"}, {"/a/", "/a/"}, {"//a/./b/../c", "//a/./b/../c"}, {"/a%2Fb;c=d/%2e%2e", "/a%2Fb;c=d/%2e%2e"}, {"/caf%C3%A9", "/caf%C3%A9"},
		{"/" + long[:511], "/" + long[:511]},
		{"/" + long, "/" + long[:219] + "…" + long[:219]},
		{"/" + long + "/account/delete/" + long, "/" + long[:105] + "…" + long[:105] + "/account/delete/" + long[:105] + "…" + long[:105]},
		{"/" + long + "%2Faccount%252fdelete%5c" + long, "/" + long[:103] + "…" + long[:103] + "%2Faccount%252fdelete%5c" + long[:103] + "…" + long[:103]},
		{"/account;" + long + "/delete/..;/" + long, "/account;" + long[:98] + "…" + long[:106] + "/delete/..;/" + long[:106] + "…" + long[:106]},
	} {
		u, err := url.ParseRequestURI(c.path)
		if err != nil {
			t.Fatal(err)
		}
		want := c.want
		if len(c.path) > maxRoute {
			sum := sha256.Sum256([]byte(c.path))
			want += " sha256:" + hex.EncodeToString(sum[:])
		}
		if got, shown := routeOf(u); got != want || !shown {
			t.Errorf("%.60s…: got %q, %v, want %q", c.path, got, shown, want)
		}
	}
	for name, path := range map[string]string{
		"dots": "/account/delete" + strings.Repeat("/.", 400), "slashes": strings.Repeat("/", 600) + "account/delete", "escaped dots": "/account" + strings.Repeat("/%2e", 200) + "/delete",
		"escaped slashes": "/account" + strings.Repeat("%2F", 300) + "/delete", "long names": "/account/delete" + strings.Repeat("/"+long[:40], 20), "no end": "/" + strings.Repeat("/.", 1<<19),
	} {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, shown := routeOf(u); shown || !strings.Contains(got, " sha256:") || utf8.RuneCountInString(got) > maxRoute || !unrecordable(&http.Request{Method: "GET", URL: u}) {
			t.Errorf("%s: got %q, %v", name, got, shown)
		}
	}
	if got, _ := routeOf(&url.URL{Path: "*"}); got != "/*" {
		t.Errorf("the whole server: %q", got)
	}
	if got := methodOf(&http.Request{Method: "VERSION-CONTROL"}); got != "VERSION-CONTROL" {
		t.Errorf("method: %q", got)
	}
}

// TestTooLongFirst: whether a path fits on record is asked before all the ways to read it are tried, which costs a tenth of a second where it was made for that.
func TestTooLongFirst(t *testing.T) {
	t.Parallel()
	var g guard
	g.block([]string{"/account/delete"})
	for path, want := range map[string]string{"/account/delete": reasonForbidden, "/account/delete" + strings.Repeat("/.", 400): reasonTooLong} {
		for _, mode := range []oauth.Mode{oauth.ModeRead, oauth.ModeWrite} {
			r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}}
			if got := g.refuses(r, peek{}, mode); got != want {
				t.Errorf("%s, %.40s: got %q, want %q", mode, path, got, want)
			}
		}
	}
}

// FuzzRoute: the issuer takes what is told of any path, and no two paths are told alike. What lets the request be done shows each segment that is short,
// and both ends of the others, in their order.
func FuzzRoute(f *testing.F) {
	for _, path := range []string{"/", "*", "/a//b/./c", "/%2e%2e/x", "/caf\xc3\xa9", "/\x00\xff", "/a;b=c", `/a\b`} {
		f.Add(path, "/account/delete", 0)
		f.Add(path, "/account/delete"+path, 300)
	}
	f.Add("/x", strings.Repeat("/"+strings.Repeat("y", 60), 9), 1)
	f.Fuzz(func(t *testing.T, path, other string, times int) {
		if times > 0 && times <= 600 && len(path) < 100 {
			path = strings.Repeat(path, times) + other
		}
		one, two := parsed(path), parsed(other)
		route, shown := routeOf(one)
		if !strings.HasPrefix(route, "/") || strings.ContainsAny(route, "?#") || utf8.RuneCountInString(route) > maxRoute || strings.ContainsFunc(route, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Fatalf("the issuer would not take %q", route)
		}
		whole := "/" + strings.TrimPrefix(one.EscapedPath(), "/")
		if len(whole) <= maxRoute && (route != whole || !shown) {
			t.Fatalf("%q is told as %q", whole, route)
		}
		if again, _ := routeOf(two); again == route && "/"+strings.TrimPrefix(two.EscapedPath(), "/") != whole {
			t.Fatalf("%q and %q are told alike: %q", path, other, route)
		}
		if unsafe := unrecordable(&http.Request{Method: "POST", URL: one}); unsafe != (len(whole) > maxRoute) {
			t.Fatalf("%q: a POST is refused: %v", whole, unsafe)
		}
		if refused := unrecordable(&http.Request{Method: "GET", URL: one}); refused == shown {
			t.Fatalf("%q: a GET is refused: %v", whole, refused)
		}
		if !shown {
			return
		}
		rest := route
		for _, segment := range slashes.Split(whole, -1) {
			for _, piece := range []string{segment[:min(len(segment), leastShown/2)], segment[max(0, len(segment)-leastShown/2+1):]} {
				_, after, ok := strings.Cut(rest, piece)
				if !ok {
					t.Fatalf("%q does not show %q of %q", route, piece, whole)
				}
				if len(segment) <= leastShown {
					break
				}
				rest = after
			}
		}
	})
}

// parsed is the URL of a request for path, or one that a handler in front of ours has made.
func parsed(path string) *url.URL {
	if u, err := url.ParseRequestURI(path); err == nil && u.Opaque == "" {
		return u
	}
	return &url.URL{Path: path}
}
