package scim_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// give changes a user as an operator would.
func (h *house) give(id string, change func(*directory.User)) {
	h.Helper()
	u := h.stored(id)
	change(&u)
	h.ok(h.store.UpdateUser(h.Context(), store.UserWrite{Write: h.write(), User: u}))
}

// TestPowerful: a source that may not grant can disable who is protected or has rights, and no more that matters. With the right it can.
func TestPowerful(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		for name, power := range map[string]func(*directory.User){
			"protected":                 func(u *directory.User) { u.Protected = true },
			"privileged":                func(u *directory.User) { u.Roles = []string{"root"} },
			"privileged-by-group":       func(u *directory.User) { u.Groups = []string{"Admins"} },
			"impersonates":              func(u *directory.User) { u.Roles = []string{"helper"} },
			"a-role-nobody-knows":       func(u *directory.User) { u.Roles = []string{"forgotten"} },
			"impersonates-and-disabled": func(u *directory.User) { u.Roles, u.Enabled, u.DisabledBy = []string{"helper"}, false, "scim:okta" },
		} {
			id := h.user("okta", name+"@acme.test", `,"emails":[{"value":"`+name+`@acme.test"}]`)
			path := "Users/" + id
			h.give(id, power)
			address, identity := `{"op":"replace","path":"emails","value":[{"value":"eve-`+name+`@acme.test"}]}`, `{"op":"replace","path":"externalId","value":"eve-`+name+`"}`
			disable, enable, title := `{"op":"replace","path":"active","value":false}`, `{"op":"replace","path":"active","value":true}`, `{"op":"replace","path":"title","value":"Boss"}`
			h.want(h.patch("okta", path, title), http.StatusOK)
			h.want(h.patch("okta", path, disable), http.StatusOK)
			for _, op := range []string{address, identity, enable} {
				h.want(h.patch("okta", path, op), http.StatusForbidden)
			}
			h.want(h.do("okta", "PUT", path, userBody("eve-"+name+"@acme.test")), http.StatusForbidden)
			h.want(h.do("okta", "DELETE", path, ""), http.StatusForbidden)
			h.changeSource("okta", func(s *store.Source) { s.Organisation = "initech" })
			h.want(h.do("okta", "PUT", path, userBody(name+"@acme.test")), http.StatusForbidden)
			h.want(h.patch("okta", path, title), http.StatusOK)
			h.changeSource("okta", func(s *store.Source) { s.Organisation, s.MayGrant = "acme", true })
			for _, op := range []string{address, identity, enable} {
				h.want(h.patch("okta", path, op), http.StatusOK)
			}
			h.want(h.do("okta", "DELETE", path, ""), http.StatusNoContent)
			h.changeSource("okta", func(s *store.Source) { s.MayGrant = false })
		}
	})
}

// TestRightsStay: what a source sends changes neither roles, groups nor protection, whatever it sends.
func TestRightsStay(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		id := h.user("okta", "ann@acme.test")
		h.group("okta", "Sales", id)
		h.give(id, func(u *directory.User) {
			u.Roles, u.Protected, u.Attributes = []string{"editor"}, true, map[string]string{"badge": "7", "scim:title": "Boss"}
		})
		h.want(h.do("okta", "PUT", "Users/"+id, userBody("ann@acme.test", `,"roles":[],"groups":[],"nickName":"A"`)), http.StatusOK)
		u := h.stored(id)
		if !slices.Equal(u.Roles, []string{"editor"}) || !u.Protected || !slices.Equal(u.Groups, []string{"Sales"}) || u.Attributes["badge"] != "7" {
			t.Errorf("got %+v, want roles, groups, protection and others' attributes as they were", u)
		}
		if u.Attributes["scim:title"] != "" || u.Attributes["scim:nickName"] != "A" {
			t.Errorf("got attributes %v, want those of the last PUT alone", u.Attributes)
		}
	})
}

// TestFlaggedGroups: a group that confers a role is closed to a source without the right, from whatever side.
func TestFlaggedGroups(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		ann := h.user("okta", "ann@acme.test")
		sales := h.group("okta", "Sales", ann)
		h.want(h.do("okta", "POST", "Groups", groupBody("Admins", ann)), http.StatusForbidden)
		h.want(h.patch("okta", "Groups/"+sales, `{"op":"replace","path":"displayName","value":"Helpers"}`), http.StatusForbidden)
		h.want(h.do("okta", "PUT", "Groups/"+sales, groupBody("Admins", ann)), http.StatusForbidden)

		h.changeSource("okta", func(s *store.Source) { s.MayGrant = true })
		admins := h.group("okta", "Admins")
		h.want(h.patch("okta", "Groups/"+admins, `{"op":"add","path":"members","value":[{"value":"`+ann+`"}]}`), http.StatusNoContent)
		if u := h.stored(ann); !slices.Equal(u.Groups, []string{"Sales", "Admins"}) {
			t.Errorf("got groups %v, want Sales and Admins", u.Groups)
		}
		h.changeSource("okta", func(s *store.Source) { s.MayGrant = false })
		for _, r := range []reply{
			h.patch("okta", "Groups/"+admins, `{"op":"remove","path":"members"}`),
			h.patch("okta", "Groups/"+admins, `{"op":"remove","path":"members[value eq \"`+ann+`\"]"}`),
			h.patch("okta", "Groups/"+admins, `{"op":"replace","path":"displayName","value":"Harmless"}`),
			h.do("okta", "PUT", "Groups/"+admins, groupBody("Admins")),
			h.do("okta", "DELETE", "Groups/"+admins, ""),
		} {
			h.want(r, http.StatusForbidden)
		}
		if u := h.stored(ann); !slices.Equal(u.Groups, []string{"Sales", "Admins"}) {
			t.Errorf("got groups %v, want them as they were", u.Groups)
		}
	})
}

// TestGroupGivenByHand: a name that somebody's users have already cannot be taken over.
func TestGroupGivenByHand(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.ok(h.store.CreateUser(t.Context(), store.UserWrite{Write: h.write(), User: directory.User{ID: "local", Email: "root@acme.test", Name: "Root", Groups: []string{"Board"}}}))
		h.want(h.do("okta", "POST", "Groups", groupBody("Board")), http.StatusConflict, "uniqueness")
		h.want(h.patch("okta", "Groups/"+h.group("okta", "Sales"), `{"op":"replace","path":"displayName","value":"Board"}`), http.StatusConflict, "uniqueness")
	})
}

// TestMembers: members are users of the same source, and come, go and are renamed with the group.
func TestMembers(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		ann, bob, eve := h.user("okta", "ann@acme.test"), h.user("okta", "bob@acme.test"), h.user("entra", "eve@globex.test")
		for _, stranger := range []string{eve, "usr_nobody", "", "x y\\u0000"} {
			h.want(h.do("okta", "POST", "Groups", groupBody("Sales", stranger)), http.StatusBadRequest, "invalidValue")
		}
		path := "Groups/" + h.group("okta", "Sales", ann)
		h.want(h.patch("okta", path, `{"op":"add","path":"members","value":[{"value":"`+eve+`"}]}`), http.StatusBadRequest, "invalidValue")
		h.want(h.patch("okta", path, `{"op":"add","path":"members","value":{"value":"`+bob+`"}}`, `{"op":"add","path":"members","value":[{"value":"`+ann+`"}]}`), http.StatusNoContent)
		h.wantMembers(path, ann, bob)
		h.want(h.patch("okta", path, `{"op":"remove","path":"members[value eq \"`+ann+`\" or value eq \"usr_nobody\"]"}`), http.StatusNoContent)
		h.wantMembers(path, bob)
		h.want(h.patch("okta", path, `{"op":"replace","path":"members","value":[{"value":"`+ann+`"}]}`, `{"op":"add","path":"members","value":[{"value":"`+bob+`"}]}`,
			`{"op":"remove","path":"members","value":[{"value":"`+ann+`"}]}`), http.StatusNoContent)
		h.wantMembers(path, bob)
		h.want(h.patch("okta", path, `{"op":"replace","value":{"displayName":"Marketing","externalId":"g1","members":[{"value":"`+ann+`"},{"value":"`+bob+`"}]}}`), http.StatusNoContent)
		h.wantMembers(path, ann, bob)
		if u := h.stored(bob); !slices.Equal(u.Groups, []string{"Marketing"}) {
			t.Errorf("got groups %v, want the new name", u.Groups)
		}
		if n := h.find("okta", "Groups", `members.value eq "`+bob+`" and externalId eq "g1"`).total(); n != 1 {
			t.Errorf("got %d groups of bob's, want 1", n)
		}
		h.want(h.patch("okta", path, `{"op":"remove","path":"members"}`), http.StatusNoContent)
		h.wantMembers(path)
		h.want(h.do("okta", "PUT", path, groupBody("Marketing", ann)), http.StatusOK)
		h.want(h.do("okta", "DELETE", path, ""), http.StatusNoContent)
		if u := h.stored(ann); len(u.Groups) > 0 {
			t.Errorf("got groups %v of a group that is deleted", u.Groups)
		}
		if kinds := h.kinds(ann); !slices.Contains(kinds, audit.KindUserRole) {
			t.Errorf("got entries %v, want one of what ann's membership changed", kinds)
		}
	})
}

func (h *house) wantMembers(path string, ids ...string) {
	h.Helper()
	got := []string{}
	for _, m := range h.want(h.do("okta", "GET", path, ""), http.StatusOK).json["members"].([]any) {
		got = append(got, m.(map[string]any)["value"].(string))
	}
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		h.Errorf("got members %v, want %v", got, ids)
	}
}

func TestGroupRefuses(t *testing.T) {
	t.Parallel()
	h := setup(t)
	path := "Groups/" + h.group("okta", "Sales")
	for op, want := range map[string]string{
		`{"op":"remove","path":"displayName"}`:                                  "invalidValue",
		`{"op":"replace","path":"displayName","value":""}`:                      "invalidValue",
		`{"op":"replace","path":"displayName","value":"a\u202eb"}`:              "invalidValue",
		`{"op":"replace","path":"externalId","value":7}`:                        "invalidValue",
		`{"op":"add","path":"members","value":[{"display":"x"}]}`:               "invalidValue",
		`{"op":"add","path":"members","value":"x"}`:                             "invalidValue",
		`{"op":"add","path":"members[value eq \"x\"]","value":{"value":"x"}}`:   "invalidPath",
		`{"op":"replace","path":"members[value eq \"x\"].value","value":"y"}`:   "invalidPath",
		`{"op":"remove","path":"members.value"}`:                                "invalidPath",
		`{"op":"remove","path":"members[value co \"x\"]"}`:                      "invalidFilter",
		`{"op":"remove","path":"members[type eq \"User\"]"}`:                    "invalidFilter",
		`{"op":"replace","path":"members[value eq \"x\"].display","value":"y"}`: "mutability",
		`{"op":"replace","path":"title","value":"y"}`:                           "invalidPath",
	} {
		h.want(h.patch("okta", path, op), http.StatusBadRequest, want)
	}
	h.want(h.do("okta", "POST", "Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]}`), http.StatusBadRequest, "invalidValue")
}
