package scim_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// TestTwoAtOnce: of changes that come at once none is lost.
func TestTwoAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		attributes := []string{"title", "nickName", "userType", "locale", "timezone"}
		var members []string
		for i := range attributes {
			members = append(members, h.user("okta", fmt.Sprintf("m%d@acme.test", i)))
		}
		user, group := "Users/"+h.user("okta", "ann@acme.test"), "Groups/"+h.group("okta", "Sales")
		var all sync.WaitGroup
		for i, name := range attributes {
			all.Go(func() {
				if r := h.patch("okta", user, `{"op":"add","path":"`+name+`","value":"x"}`); r.status != http.StatusOK {
					t.Errorf("%s: got %d %s", name, r.status, r.body)
				}
				if r := h.patch("okta", group, `{"op":"add","path":"members","value":[{"value":"`+members[i]+`"}]}`); r.status != http.StatusNoContent {
					t.Errorf("member %d: got %d %s", i, r.status, r.body)
				}
			})
		}
		all.Wait()
		r := h.want(h.do("okta", "GET", user, ""), http.StatusOK)
		for _, name := range attributes {
			if r.str(name) != "x" {
				t.Errorf("%s is lost: %s", name, r.body)
			}
		}
		h.wantMembers(group, members...)
	})
}

// TestOneOfMany: a user who is made by many at once is made once.
func TestOneOfMany(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		var all sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for range 8 {
			all.Go(func() {
				r := h.do("okta", "POST", "Users", userBody("ann@acme.test"))
				mu.Lock()
				defer mu.Unlock()
				got[r.status]++
			})
		}
		all.Wait()
		if got[http.StatusCreated] != 1 || got[http.StatusConflict] != 7 {
			t.Errorf("got %v, want one 201 and seven 409", got)
		}
	})
}
