package scim_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/scim"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestRefusalIsOnRecord: each 403 and 409 names the source, what it asked, of whom and by which rule, and no value that was sent. What is
// no rule's is not there.
func TestRefusalIsOnRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.changeSource("entra", func(s *store.Source) { s.Organisation, s.OrganisationAttribute = "", "userType" })
		h.user("okta", "ann@acme.test")
		root, sales := h.user("okta", "root@acme.test"), h.group("okta", "Sales")
		h.give(root, func(u *directory.User) { u.Protected = true })
		for _, c := range []struct {
			source, method, path, body string
			status                     int
			resource, rule, subject    string
		}{
			{"okta", "POST", "Users", userBody("ann@acme.test"), 409, "User", "source.taken", ""},
			{"okta", "PUT", "Users/" + root, userBody("ann@acme.test"), 403, "User", "source.powerful_user", root},
			{"okta", "PATCH", "Users/" + root, patchOf(`{"op":"replace","path":"externalId","value":"SENT"}`), 403, "User", "source.powerful_user", root},
			{"okta", "DELETE", "Users/" + root, "", 403, "User", "source.powerful_user", root},
			{"entra", "POST", "Users", userBody("bob@globex.test"), 403, "User", "source.no_organisation", ""},
			{"okta", "POST", "Groups", groupBody("Sales"), 409, "Group", "source.taken", ""},
			{"okta", "POST", "Groups", groupBody("Admins"), 403, "Group", "source.closed_group", ""},
			{"okta", "PATCH", "Groups/" + sales, patchOf(`{"op":"replace","path":"displayName","value":"Helpers"}`), 403, "Group", "source.closed_group", ""},
			{"okta", "PATCH", "Users/" + root, patchOf(`{"op":"replace","path":"title","value":7}`), 400, "", "", ""},
			{"okta", "PUT", "Users/usr_nobody", userBody("x@acme.test"), 404, "", "", ""},
			{"okta", "GET", "Schemas?filter=x", "", 403, "", "", ""},
		} {
			h.want(h.do(c.source, c.method, c.path, c.body), c.status)
			got := h.refusals()
			if c.rule == "" {
				if len(got) > 0 {
					t.Errorf("%s %s: got %+v on record, want nothing", c.method, c.path, got)
				}
				continue
			}
			want := impersonation.SourceRefusal{Source: c.source, Method: c.method, Resource: c.resource, Subject: c.subject, Rule: c.rule, RequestID: "req_1"}
			if len(got) != 1 || !strings.HasPrefix(got[0].Token, "sct_") {
				t.Fatalf("%s %s: got %+v on record, want one with its token", c.method, c.path, got)
			}
			if got[0].Token = ""; got[0] != want {
				t.Errorf("%s %s: got %+v on record, want %+v", c.method, c.path, got[0], want)
			}
		}
	})
}

// counting is a store that counts who asks it to write.
type counting struct {
	store.Store
	asked atomic.Int64
}

func (c *counting) CreateUser(ctx context.Context, w store.UserWrite) error {
	c.asked.Add(1)
	return c.Store.CreateUser(ctx, w)
}

func (c *counting) CreateGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error) {
	c.asked.Add(1)
	return c.Store.CreateGroup(ctx, w)
}

func (c *counting) Group(ctx context.Context, source, id string) (store.Group, error) {
	c.asked.Add(1)
	return c.Store.Group(ctx, source, id)
}

func (c *counting) Get(ctx context.Context, id string) (directory.User, error) {
	c.asked.Add(1)
	return c.Store.Get(ctx, id)
}

// TestRefusedTooOften: a source that is refused again and again is told to wait, and asks the store for no other write meanwhile; but who
// is let go is out, and other sources do not wait.
func TestRefusedTooOften(t *testing.T) {
	t.Parallel()
	h := setup(t)
	st, now := &counting{Store: h.store}, time.Now()
	h.open(func(c *scim.Config) { c.Store, c.Now = st, func() time.Time { return now } })
	ann, bob, root := h.user("okta", "ann@acme.test"), h.user("okta", "bob@acme.test"), h.user("okta", "root@acme.test")
	h.give(root, func(u *directory.User) { u.Protected = true })
	sales := h.group("okta", "Sales", ann)
	for i := range 300 {
		if r := h.do("okta", "POST", "Groups", groupBody("Sales")); r.status != http.StatusConflict {
			t.Fatalf("after %d: got %d %s, want 409", i, r.status, r.body)
		}
	}
	h.refusals()
	st.asked.Store(0)
	title, whole := `{"op":"replace","path":"title","value":"Boss"}`, userBody("eve@acme.test")
	for what, ask := range map[string]func() reply{
		"POST Users":   func() reply { return h.do("okta", "POST", "Users", whole) },
		"PUT Users":    func() reply { return h.do("okta", "PUT", "Users/"+ann, whole) },
		"PATCH Users":  func() reply { return h.patch("okta", "Users/"+ann, title) },
		"POST Groups":  func() reply { return h.do("okta", "POST", "Groups", groupBody("New")) },
		"PUT Groups":   func() reply { return h.do("okta", "PUT", "Groups/"+sales, groupBody("Sale")) },
		"PATCH Groups": func() reply { return h.patch("okta", "Groups/"+sales, `{"op":"remove","path":"members"}`) },
		"DELETE Group": func() reply { return h.do("okta", "DELETE", "Groups/"+sales, "") },
	} {
		r := h.want(ask(), http.StatusTooManyRequests)
		if s, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || s < 1 || s > 60 {
			t.Errorf("%s: got Retry-After %q, want some seconds", what, r.header.Get("Retry-After"))
		}
		if got := h.refusals(); len(got) != 1 || got[0].Rule != "limit.source" {
			t.Errorf("%s: got %+v on record, want limit.source", what, got)
		}
	}
	if n := st.asked.Load(); n != 0 {
		t.Errorf("the store was asked %d times, want not at all", n)
	}
	h.want(h.do("okta", "GET", "Users/"+ann, ""), http.StatusOK)
	h.want(h.patch("okta", "Users/"+ann, off, `{"op":"replace","path":"userName","value":"bob@acme.test"}`), http.StatusOK)
	h.wantDisabled("patch", ann, "scim:okta")
	h.want(h.patch("okta", "Users/"+ann, off, title), http.StatusTooManyRequests) // which puts nobody out
	h.want(h.do("okta", "DELETE", "Users/"+root, ""), http.StatusForbidden)
	h.wantDisabled("delete of one with rights", root, "scim:okta")
	h.want(h.do("okta", "DELETE", "Users/"+bob, ""), http.StatusNoContent)
	h.user("entra", "eve@globex.test")
	now = now.Add(2 * time.Second) // but for five a second it is refused no less
	h.want(h.do("okta", "POST", "Users", whole), http.StatusCreated)
}
