package scim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

const off = `{"op":"replace","path":"active","value":false}`

// edited are users and sources after somebody else changed them, so that the next write of the source's own view would be refused.
var edited = map[string]struct {
	user   func(*directory.User)
	source func(*store.Source)
}{
	"moved-by-hand":    {user: func(u *directory.User) { u.Organisation = "" }},
	"unlinked-by-hand": {user: func(u *directory.User) { u.Identities = nil }},
	"linked-by-hand": {user: func(u *directory.User) {
		u.Identities = []oauth.Party{{Issuer: "https://acme.okta.test", Subject: "other"}}
	}},
	"in-many-groups": {user: func(u *directory.User) { // more than an entry has room for
		for i := range 300 {
			u.Groups = append(u.Groups, fmt.Sprintf("a group with a long name, number %d", i))
		}
	}},
	"address-by-hand": {user: func(u *directory.User) { u.Email = "hand@acme.test" }},
	"issuer-changed":  {source: func(s *store.Source) { s.Issuer = "https://new.okta.test" }},
	"staff-withdrawn": {source: func(s *store.Source) { s.Organisation, s.OrganisationAttribute = "", "userType" }},
	"attribute-slip":  {source: func(s *store.Source) { s.Organisation, s.OrganisationAttribute = "", "emails" }},
}

// edited gives a user with rights after an edit, and puts the source back when the test is over.
func (h *house) edited(name string) (id string) {
	h.Helper()
	h.changeSource("okta", func(s *store.Source) {
		s.Organisation, s.OrganisationAttribute, s.Issuer = "acme", "", "https://acme.okta.test"
	})
	id = h.user("okta", name+"@acme.test")
	h.give(id, func(u *directory.User) {
		u.Roles = []string{"root"}
		if change := edited[name].user; change != nil {
			change(u)
		}
	})
	if change := edited[name].source; change != nil {
		h.changeSource("okta", change)
	}
	return id
}

// TestDisableIsNeverRefused: whatever else became of a user or the source, who is let go is out, by each way to say so.
func TestDisableIsNeverRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		for name := range edited {
			for how, ask := range map[string]func(string) reply{
				"patch": func(id string) reply { return h.patch("okta", "Users/"+id, off) },
				"put": func(id string) reply {
					return h.do("okta", "PUT", "Users/"+id, userBody(name+"@acme.test", `,"active":false`))
				},
				"delete": func(id string) reply { return h.do("okta", "DELETE", "Users/"+id, "") },
			} {
				id := h.edited(name)
				r := ask(id)
				if u := h.stored(id); u.Enabled {
					t.Errorf("%s, %s: still enabled: %d %s", name, how, r.status, r.body)
				}
				h.give(id, func(u *directory.User) {
					u.Email, u.Identities, u.UserName, u.ExternalID = id+"@gone.test", nil, id, id
				})
			}
		}
	})
}

// TestDisableLeavesTheRest: what is refused beside a disabling is left out, and the answer shows the user as they are.
func TestDisableLeavesTheRest(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.user("okta", "bob@acme.test")
		for name, ask := range map[string]func(path string) reply{
			"guarded address": func(p string) reply {
				return h.patch("okta", p, `{"op":"replace","path":"emails","value":[{"value":"eve@acme.test"}]}`, off)
			},
			"guarded identity": func(p string) reply {
				return h.patch("okta", p, off, `{"op":"replace","path":"externalId","value":"eve"}`)
			},
			"taken name": func(p string) reply {
				return h.patch("okta", p, `{"op":"replace","path":"userName","value":"bob@acme.test"}`, off)
			},
			"no target": func(p string) reply {
				return h.patch("okta", p, off, `{"op":"replace","path":"emails[type eq \"home\"].value","value":"a@acme.test"}`)
			},
			"unknown attribute": func(p string) reply { return h.patch("okta", p, off, `{"op":"replace","path":"shoeSize","value":"7"}`) },
			"another type": func(p string) reply {
				return h.patch("okta", p, `{"op":"replace","value":{"active":"False","title":7}}`)
			},
			"put of another type": func(p string) reply {
				return h.do("okta", "PUT", p, userBody("ann@acme.test", `,"active":false,"title":7`))
			},
			"put of a taken name": func(p string) reply { return h.do("okta", "PUT", p, userBody("bob@acme.test", `,"active":false`)) },
		} {
			id := h.user("okta", "ann@acme.test")
			h.give(id, func(u *directory.User) { u.Roles = []string{"root"} })
			before := h.stored(id)
			r := h.want(ask("Users/"+id), http.StatusOK)
			u := h.stored(id)
			if u.Enabled || u.Email != before.Email || u.UserName != before.UserName || u.ExternalID != before.ExternalID {
				t.Errorf("%s: got %+v, want them disabled and else as they were", name, u)
			}
			if r.json["active"] != false || r.str("userName") != before.UserName {
				t.Errorf("%s: answered %s, want the user as they are", name, r.body)
			}
			h.give(id, func(u *directory.User) {
				u.Email, u.Identities, u.UserName, u.ExternalID = id+"@gone.test", nil, id, id
			})
		}
	})
}

// TestDisableOfAnotherVersion: a message of another version means something else, and an error of the store is none of the request.
func TestDisableOfAnotherVersion(t *testing.T) {
	t.Parallel()
	h := setup(t)
	id := h.user("okta", "ann@acme.test")
	later := strings.ReplaceAll(patchOf(off), "2.0:PatchOp", "3.0:PatchOp")
	h.want(h.do("okta", "PATCH", "Users/"+id, later), http.StatusBadRequest, "invalidSyntax")
	h.want(h.patch("okta", "Users/"+id, off, `{"op":"replace","path":"active","value":true}`, `{"op":"remove","path":"shoeSize"}`), http.StatusBadRequest)
	h.want(h.do("okta", "PATCH", "Users/"+id, patchOf(off), `If-Match: W/"0"`), http.StatusPreconditionFailed)
	if !h.stored(id).Enabled {
		t.Error("disabled by what does not say so")
	}
}

// TestPatchLeavesTheRest: what a PATCH is not about is not computed anew.
func TestPatchLeavesTheRest(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		for name := range edited {
			id := h.edited(name)
			before := h.stored(id)
			h.want(h.patch("okta", "Users/"+id, `{"op":"replace","path":"title","value":"Boss"}`), http.StatusOK)
			u := h.stored(id)
			if u.Email != before.Email || u.Organisation != before.Organisation || len(u.Identities) != len(before.Identities) || u.Attributes["scim:title"] != "Boss" {
				t.Errorf("%s: got %+v, was %+v", name, u, before)
			}
			h.give(id, func(u *directory.User) {
				u.Email, u.Identities, u.UserName, u.ExternalID = id+"@gone.test", nil, id, id
			})
			if kinds := h.kinds(id); kinds[0] != audit.KindUserChange {
				t.Errorf("%s: got entries %v, want the last of a change alone", name, kinds)
			}
		}
	})
}
