package page_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
)

var nextLink = regexp.MustCompile(`<nav[^>]*><p><a class="btn" href="([^"]*)"`)

// TestSearchPages walks 230 users of whom a third may not be seen: each who may is shown once, none else, and no
// page has more than 50 rows.
func TestSearchPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users.all = nil
	want := make(map[string]bool)
	for i := range 230 {
		u := user(fmt.Sprintf("usr_%03d", i), fmt.Sprintf("Person %03d", i), fmt.Sprintf("p%03d@acme.test", i))
		u.Protected = i%3 == 1 || i > 150 && i < 200
		want[u.Email] = !u.Protected
		b.users.all = append(b.users.all, u)
	}
	seen := make(map[string]bool)
	r := get("q", "person", "reason", "kept on the way")
	for n := 1; ; n++ {
		text := body(t, b.serve(t, r))
		rows := strings.Count(text, `role="rowheader"`)
		if rows > 50 || n > 10 {
			t.Fatalf("page %d has %d rows", n, rows)
		}
		for email := range want {
			if strings.Contains(text, ">"+email+"<") {
				if seen[email] && strings.Contains(text, "<td role=\"cell\"><bdi>"+email) {
					t.Errorf("%s is shown on a second page", email)
				}
				seen[email] = true
			}
		}
		next := nextLink.FindStringSubmatch(text)
		if next == nil {
			break
		}
		r = httptest.NewRequest(http.MethodGet, html.UnescapeString(next[1]), nil)
		if r.URL.Query().Get("reason") != "kept on the way" {
			t.Errorf("the next page forgets the reason: %s", r.URL)
		}
	}
	for email, allowed := range want {
		if seen[email] != allowed {
			t.Errorf("%s shown: %v, want %v", email, seen[email], allowed)
		}
	}
}

// TestSearchTellsNotOfWhoIsLeftOut: a list is the same, to the byte, whether or not there are people whom its reader may not have, before, among and behind
// those whom they may. Only hundreds in a row make it say that it has not looked at all, and then the next page goes on.
func TestSearchTellsNotOfWhoIsLeftOut(t *testing.T) {
	t.Parallel()
	shown := func(n int, before, among, behind int) string {
		b := setup(t)
		b.users.all = nil
		add := func(kind string, n int, protected bool) {
			for i := range n {
				u := user(fmt.Sprintf("usr_%s%03d", kind, i), fmt.Sprintf("Person %s%03d", kind, i), fmt.Sprintf("%s%03d@acme.test", kind, i))
				u.Protected = protected
				b.users.all = append(b.users.all, u)
			}
		}
		add("a", before, true)
		add("b", n, false)
		add("c", among, true)
		add("d", n, false)
		add("e", behind, true)
		return body(t, b.serve(t, get("q", "person")))
	}
	for _, n := range []int{0, 1, 24, 25, 26} {
		want := shown(n, 0, 0, 0)
		for _, left := range [][3]int{{300, 0, 0}, {0, 300, 0}, {0, 0, 300}, {0, 0, 1}, {200, 200, 200}} {
			if got := shown(n, left[0], left[1], left[2]); got != want {
				t.Errorf("twice %d, and %v others (-without +with):\n%s", n, left, cmp.Diff(want, got))
			}
		}
	}
	if text := shown(25, 0, 0, 0); !strings.Contains(text, "50 users match") || nextLink.MatchString(text) {
		t.Error("a page that is just full says that there are more, or not how many")
	}
	if text := shown(26, 0, 0, 0); !strings.Contains(text, "These are 50 users") || !nextLink.MatchString(text) {
		t.Error("a page that is more than full does not say so")
	}
	b := setup(t)
	b.users.all = nil
	for i := range 1000 {
		u := user(fmt.Sprintf("usr_%04d", i), fmt.Sprintf("Person %04d", i), fmt.Sprintf("p%04d@acme.test", i))
		u.Protected = i < 990
		b.users.all = append(b.users.all, u)
	}
	text := body(t, b.serve(t, get("q", "person")))
	next := nextLink.FindStringSubmatch(text)
	if len(b.users.seen) != 5 || !strings.Contains(text, "Too many match") || next == nil {
		t.Fatalf("%d reads, next page %v: %s", len(b.users.seen), next, text)
	}
	r := httptest.NewRequest(http.MethodGet, html.UnescapeString(next[1]), nil)
	if text := body(t, b.serve(t, r)); !strings.Contains(text, "10 users match") || strings.Count(text, `role="rowheader"`) != 10 {
		t.Errorf("the next page: %s", text)
	}
}

func TestSearchScope(t *testing.T) {
	t.Parallel()
	for _, anywhere := range []bool{false, true} {
		b := setup(t)
		b.cfg.AnyOrganisation = func(policy.Person) bool { return anywhere }
		b.serve(t, get("q", "  mar "))
		want := []directory.Query{{Organisation: "Acme Ltd", AnyOrganisation: anywhere, Text: "mar", Limit: 50}}
		if diff := cmp.Diff(want, b.users.seen); diff != "" {
			t.Errorf("anywhere %v: directory was asked (-want +got):\n%s", anywhere, diff)
		}
		if diff := cmp.Diff([]string{"mar"}, b.queries); diff != "" {
			t.Errorf("recorded searches (-want +got):\n%s", diff)
		}
	}
}

// TestNoSearchUnrecorded holds that no search runs that is not on record, and none for whoever may not search.
func TestNoSearchUnrecorded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bend   func(*bench)
		q      string
		status int
	}{
		"too many": {func(b *bench) {
			b.cfg.Searched = func(context.Context, page.Who, string) error { return fmt.Errorf("ann: %w", page.ErrTooMany) }
		}, "mar", 429},
		"not recorded": {func(b *bench) {
			b.cfg.Searched = func(context.Context, page.Who, string) error { return errDown }
		}, "mar", 503},
		"not staff":  {func(b *bench) { b.who.User.Roles = nil }, "mar", 403},
		"signed out": {func(b *bench) { b.signed = false }, "mar", 303},
		"too short":  {func(*bench) {}, "é", 422},
		"too long":   {func(*bench) {}, strings.Repeat("é", 101), 422},
	} {
		b := setup(t)
		c.bend(b)
		got := b.serve(t, get("q", c.q))
		if got.StatusCode != c.status || b.users.seen != nil {
			t.Errorf("%s: got %s and %d reads of the directory, want %d and none", name, got.Status, len(b.users.seen), c.status)
		}
		if c.status == 429 && got.Header.Get("Retry-After") != "60" {
			t.Errorf("%s: Retry-After %q", name, got.Header.Get("Retry-After"))
		}
	}
}
