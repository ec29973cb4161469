package scim_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const on = `{"op":"replace","path":"active","value":true}`

// bar has whoever works here disable a user, as the command line does.
func (h *house) bar(id string) {
	h.Helper()
	h.give(id, func(u *directory.User) { u.Enabled, u.DisabledBy = false, "" })
}

// wantDisabled demands that a user is disabled, and by whom.
func (h *house) wantDisabled(what, id, by string) {
	h.Helper()
	if u := h.stored(id); u.Enabled || u.DisabledBy != by {
		h.Errorf("%s: got enabled %v, disabled by %q; want disabled by %q", what, u.Enabled, u.DisabledBy, by)
	}
}

// TestBarred: whom the operator disabled stays so, whatever the source sends and whatever it may, also where it had disabled them before.
func TestBarred(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		for name, mayGrant := range map[string]bool{"ann@acme.test": false, "bob@acme.test": true} {
			h.changeSource("okta", func(s *store.Source) { s.MayGrant = mayGrant })
			id := h.user("okta", name)
			path := "Users/" + id
			h.want(h.patch("okta", path, off), http.StatusOK)
			h.wantDisabled("by the source", id, "scim:okta")
			h.bar(id)
			for what, ask := range map[string]func() reply{
				"patch": func() reply { return h.patch("okta", path, on) },
				"put":   func() reply { return h.do("okta", "PUT", path, userBody(name, `,"active":true`)) },
				"off":   func() reply { return h.patch("okta", path, off) },
				"off and on": func() reply {
					return h.patch("okta", path, off, `{"op":"add","value":{"active":"True"}}`)
				},
			} {
				if r := h.want(ask(), http.StatusOK); r.json["active"] != false {
					t.Errorf("%s: answered %s, want active as it is", what, r.body)
				}
				h.wantDisabled(what, id, "")
			}
			h.want(h.do("okta", "DELETE", path, ""), http.StatusForbidden)
			h.wantDisabled("delete", id, "")
			h.give(id, func(u *directory.User) { u.Enabled = true })
			h.want(h.patch("okta", path, off), http.StatusOK)
			h.wantDisabled("by the source, of who was let in again", id, "scim:okta")
			h.want(h.patch("okta", path, on), http.StatusOK)
			if u := h.stored(id); !u.Enabled || u.DisabledBy != "" {
				t.Errorf("got enabled %v, disabled by %q; want what the source did lifted by it", u.Enabled, u.DisabledBy)
			}
		}
	})
}

// TestBarredAnew: nobody comes in as somebody else by the address or the identity of whom the operator disabled.
func TestBarredAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.changeSource("okta", func(s *store.Source) { s.MayGrant = true })
		id := h.user("okta", "ann@acme.test", `,"emails":[{"value":"ann@acme.test"}]`)
		h.bar(id)
		path := "Users/" + id
		for what, ask := range map[string]func() reply{
			"address": func() reply {
				return h.patch("okta", path, `{"op":"remove","path":"emails"}`, `{"op":"replace","path":"userName","value":"x@acme.test"}`)
			},
			"identity":    func() reply { return h.patch("okta", path, `{"op":"replace","path":"externalId","value":"x"}`) },
			"no identity": func() reply { return h.patch("okta", path, `{"op":"remove","path":"externalId"}`) },
			"put":         func() reply { return h.do("okta", "PUT", path, userBody("x@acme.test", `,"active":true`)) },
			"delete":      func() reply { return h.do("okta", "DELETE", path, "") },
		} {
			h.want(ask(), http.StatusForbidden)
			if got, want := h.refusals(), "source.disabled_user"; len(got) != 1 || got[0].Rule != want || got[0].Subject != id {
				t.Errorf("%s: got %+v on record, want %s of the user", what, got, want)
			}
		}
		h.want(h.patch("okta", path, `{"op":"replace","path":"userName","value":"another"}`), http.StatusOK)
		h.want(h.do("okta", "POST", "Users", strings.Replace(userBody("ann@acme.test"), "ext-", "", 1)), http.StatusConflict)
		if u := h.stored(id); u.Email != "ann@acme.test" || len(u.Identities) != 1 {
			t.Errorf("got %+v, want address and identity as they were", u)
		}
	})
}

// TestBarredExternalID: nor by the externalId, also where no identity holds it: taken away by hand, or of a source that has no issuer.
func TestBarredExternalID(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		forget := `{"op":"remove","path":"externalId"}`
		refused := func(what string, r reply) {
			t.Helper()
			h.want(r, http.StatusForbidden)
			if got := h.refusals(); len(got) != 1 || got[0].Rule != "source.disabled_user" {
				t.Errorf("%s: got %+v on record", what, got)
			}
		}
		dan := h.user("okta", "dan@acme.test")
		h.give(dan, func(u *directory.User) { u.Enabled, u.Identities = false, nil })
		refused("unlinked, forgotten", h.patch("okta", "Users/"+dan, forget))
		refused("unlinked, added", h.do("okta", "POST", "Users", strings.Replace(userBody("new@acme.test"), "ext-new", "ext-dan", 1)))

		h.changeSource("okta", func(s *store.Source) { s.Issuer = "" })
		gus := h.user("okta", "gus@acme.test")
		h.bar(gus)
		refused("of no issuer, forgotten", h.patch("okta", "Users/"+gus, forget))
		h.changeSource("okta", func(s *store.Source) { s.Issuer = "https://late.okta.test" })
		refused("of no issuer, added", h.do("okta", "POST", "Users", strings.Replace(userBody("new@acme.test"), "ext-new", "ext-gus", 1)))
		eve := h.user("okta", "eve@acme.test")
		refused("taken over", h.patch("okta", "Users/"+eve, `{"op":"replace","path":"externalId","value":"ext-gus@acme.test"}`))
		if u := h.stored(eve); u.ExternalID != "ext-eve@acme.test" {
			t.Errorf("got externalId %q", u.ExternalID)
		}
		h.want(h.patch("okta", "Users/"+eve, off, `{"op":"replace","path":"externalId","value":"ext-gus@acme.test"}`), http.StatusOK)
		h.wantDisabled("with another's externalId", eve, "scim:okta")
		h.give(gus, func(u *directory.User) { u.Enabled = true })
		h.want(h.patch("okta", "Users/"+gus, `{"op":"replace","path":"externalId","value":"ext-2"}`), http.StatusOK)
	})
}

// TestBarredIsTold: that a source would let somebody in is in the trail and in the log, with what it changed beside or alone.
func TestBarredIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		id := h.user("okta", "ann@acme.test")
		h.bar(id)
		path, before := "Users/"+id, len(h.entries(id))
		r := h.want(h.patch("okta", path, on, `{"op":"replace","path":"displayName","value":"Ann Roe"}`), http.StatusOK)
		entries := h.entries(id)
		if len(entries) != before+1 || r.str("displayName") != "Ann Roe" || h.stored(id).Name != "Ann Roe" {
			t.Fatalf("got %s and entries %v, want the rest done, in one", r.body, h.kinds(id))
		}
		if e := entries[0]; e.Kind != audit.KindUserChange || e.Fields["left_out"] != "active" || e.Fields["left_out_by"] != "source.disabled_user" {
			t.Errorf("got %s %v, want what was left out", e.Kind, e.Fields)
		}
		if got := h.refusals(); len(got) != 0 {
			t.Errorf("got %+v on record beside the change", got)
		}
		h.want(h.patch("okta", path, on), http.StatusOK)
		want := impersonation.SourceRefusal{Source: "okta", Token: entries[0].Fields["token"], Method: "PATCH", Resource: "User", Subject: id, Rule: "source.disabled_user", RequestID: "req_1"}
		if got := h.refusals(); !slices.Equal(got, []impersonation.SourceRefusal{want}) {
			t.Errorf("got %+v on record, want %+v", got, want)
		}
		if n := strings.Count(h.logs.String(), `level=WARN msg="left out a part of a SCIM request" request_id=req_1 source=okta user=`+id+` left_out=active rule=source.disabled_user`); n != 2 {
			t.Errorf("got %d lines in\n%s\nwant 2", n, h.logs)
		}
		h.want(h.patch("okta", path, off), http.StatusOK)
		if got := h.refusals(); len(got) != 0 || len(h.entries(id)) != before+1 {
			t.Errorf("got %+v and entries %v of a disabling that is done already, want none", got, h.kinds(id))
		}
	})
}

// TestBarredFromTheStart: whom a source adds disabled, it may let in.
func TestBarredFromTheStart(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		id := h.user("okta", "ann@acme.test", `,"active":false`)
		h.wantDisabled("added", id, "scim:okta")
		if e := h.entries(id)[0]; e.Fields["enabled"] != "false" || e.Fields["disabled_by"] != "scim:okta" {
			t.Errorf("got %v, want who disabled them", e.Fields)
		}
		h.want(h.do("okta", "PUT", "Users/"+id, userBody("ann@acme.test", `,"active":true`)), http.StatusOK)
		if u := h.stored(id); !u.Enabled || u.DisabledBy != "" {
			t.Errorf("got %+v, want them enabled", u)
		}
	})
}

// TestBarredBySomebodyElse: a source lifts its own disabling alone, and one that is removed lifts none.
func TestBarredBySomebodyElse(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		id := h.user("okta", "ann@acme.test")
		h.give(id, func(u *directory.User) { u.Enabled, u.DisabledBy = false, "scim:entra" })
		h.want(h.patch("okta", "Users/"+id, on), http.StatusOK)
		h.wantDisabled("another source's", id, "scim:entra")
		h.give(id, func(u *directory.User) { u.DisabledBy = "scim:okta" })
		h.ok(h.store.RemoveSource(t.Context(), store.SourceWrite{Write: h.write(), Source: store.Source{Name: "okta"}}))
		h.want(h.patch("okta", "Users/"+id, on), http.StatusUnauthorized)
		h.wantDisabled("of a source that is removed", id, "scim:okta")
	})
}

// TestLeftOutIsTold: where a disabling was done and the rest refused, its entry says so, and by which rule.
func TestLeftOutIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.user("okta", "bob@acme.test")
		for rule, more := range map[string]string{
			"source.taken":         `{"op":"replace","path":"userName","value":"bob@acme.test"}`,
			"source.powerful_user": `{"op":"replace","path":"externalId","value":"x"}`,
			"invalidValue":         `{"op":"replace","path":"title","value":7}`,
		} {
			id := h.user("okta", rule+"@acme.test")
			h.give(id, func(u *directory.User) {
				if rule == "source.powerful_user" {
					u.Protected = true
				}
			})
			h.want(h.patch("okta", "Users/"+id, off, more), http.StatusOK)
			h.wantDisabled(rule, id, "scim:okta")
			if e := h.entries(id)[0]; e.Kind != audit.KindUserDisable || e.Fields["left_out"] != "rest" || e.Fields["left_out_by"] != rule {
				t.Errorf("%s: got %s %v, want that the rest was left out", rule, e.Kind, e.Fields)
			}
			if !strings.Contains(h.logs.String(), "user="+id+" left_out=rest rule="+rule) {
				t.Errorf("%s: no line of it in\n%s", rule, h.logs)
			}
		}
		id := h.user("okta", "ann@acme.test")
		h.want(h.patch("okta", "Users/"+id, off, `{"op":"replace","path":"title","value":"Boss"}`), http.StatusOK)
		for _, e := range h.entries(id) {
			if e.Fields["left_out"] != "" {
				t.Errorf("got %v where all was done", e.Fields)
			}
		}
	})
}
