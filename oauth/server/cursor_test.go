package server_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

var olderLink = regexp.MustCompile(`href="(/impersonate\?[^"]*after=[^"]*)"`)

// The link to the next page of a search tells nothing of whom it goes on after: that may be somebody who was left out.
func TestSearchCursorTellsNothing(t *testing.T) { onBoth(t, testSearchCursorTellsNothing) }

func testSearchCursorTellsNothing(t *testing.T, o options) {
	h := setup(t, o)
	long := strings.Repeat("\U0001F600", directory.MaxName-10)
	for i := range 300 { // four reads of the page, and more: whom it goes on after is one of these
		u := directory.User{ID: fmt.Sprintf("lurker-%03d-", i) + strings.Repeat("x", 240), Name: fmt.Sprintf("Crowd %03d", i) + long, Organisation: "acme", Enabled: true, Protected: true}
		if i == 299 {
			u.Protected = false
		}
		h.must(h.store.CreateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
	}
	cookie, _ := h.login("sue")
	next := "/impersonate?" + ask("app") + "&q=crowd"
	for range 3 {
		r := h.get(next, cookie)
		m := olderLink.FindStringSubmatch(r.body)
		if r.status != http.StatusOK || m == nil {
			if !strings.Contains(r.body, "Crowd 299") {
				t.Fatalf("got %d without a next page, before the last:\n%s", r.status, r.body)
			}
			return
		}
		next = html.UnescapeString(m[1])
		u, err := url.Parse(next)
		h.must(err)
		text := r.body + unfolded(u.Query().Get("after"))
		if i := slices.IndexFunc([]string{"lurker", "Crowd "}, func(s string) bool { return strings.Contains(text, s) }); i >= 0 {
			t.Errorf("somebody who was left out is told of, from byte %d of\n%q", i, text)
		}
	}
	t.Error("the last page did not come")
}

// unfolded is a cursor, and what it says once and twice decoded.
func unfolded(cursor string) string {
	once, _ := base64.RawURLEncoding.DecodeString(cursor)
	twice, _ := base64.RawURLEncoding.DecodeString(string(once))
	return cursor + "\n" + string(once) + "\n" + string(twice)
}

// A cursor that the server did not give is a fault of who sent it, and none of the directory.
func TestSearchCursorRefused(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	cookie, _ := h.login("sue")
	for _, after := range []string{"x", "%", base64.RawURLEncoding.EncodeToString([]byte(`["A","usr_1"]`)), strings.Repeat("A", 100), strings.Repeat("A", 3000)} {
		r := h.get("/impersonate?"+ask("app")+"&q=john&after="+url.QueryEscape(after), cookie)
		if r.status != http.StatusBadRequest || !strings.Contains(r.body, "after") {
			t.Errorf("%.20q: got %d %s, want 400 about after", after, r.status, r.body)
		}
	}
}
