package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const okta = "scim:okta"

func (k *kit) sales() store.Group {
	return store.Group{ID: "grp_sales", Source: okta, Name: "sales", ExternalID: "ext-g", Created: k.now, Updated: k.now}
}

// groupWrite writes g over what it was by its Updated, a second later.
func (k *kit) groupWrite(kind audit.Kind, g store.Group) store.GroupWrite {
	w := store.GroupWrite{Write: k.write(), Group: g, Was: g.Updated, By: oauth.Party{Issuer: "scim", Subject: "okta"}, Issuer: issuer}
	e := audit.New(kind, k.now)
	e.Actor = w.By
	w.Entries = []audit.Entry{e}
	if kind != audit.KindGroupAdd {
		w.Group.Updated = g.Updated.Add(time.Second)
	}
	return w
}

// people adds n users of source, usr_<name>0 and so on, and gives their IDs.
func (k *kit) people(source, name string, n int) (ids []string) {
	k.Helper()
	for i := range n {
		id := fmt.Sprint("usr_", name, i)
		k.ok(k.create(directory.User{ID: id, Email: id + "@acme.test", Source: source, UserName: fmt.Sprint(name, i), Name: "P " + name, Organisation: fmt.Sprint("org-", name), Enabled: true, Updated: k.now}))
		ids = append(ids, id)
	}
	return ids
}

func (k *kit) addGroup(g store.Group, members ...string) store.Group {
	k.Helper()
	w := k.groupWrite(audit.KindGroupAdd, g)
	w.Add = members
	c, err := k.store.CreateGroup(k.Context(), w)
	k.ok(err)
	return c.Group
}

// wantMembers checks who is in a group, in the order of their IDs.
func (k *kit) wantMembers(group string, want ...string) {
	k.Helper()
	all, err := k.store.Members(k.Context(), group, "", 100)
	k.ok(err)
	var got []string
	for _, m := range all {
		got = append(got, m.ID)
	}
	if !slices.Equal(got, want) {
		k.Errorf("members of %s: got %v, want %v", group, got, want)
	}
}

func (k *kit) groupsOf(id string) []string {
	k.Helper()
	u, err := k.store.Get(k.Context(), id)
	k.ok(err)
	return u.Groups
}

// theirs makes ann and john users of okta, so that it can have them in its groups.
func (k *kit) theirs() {
	k.Helper()
	for i, id := range []string{ann, john} {
		k.change(id, func(u *directory.User) { u.Source, u.UserName = okta, fmt.Sprint("n", i) })
	}
}

var groupCases = []testCase{
	{"group/round-trip", "a group is read as it was written, by its source alone", func(k *kit) {
		ids := k.people(okta, "a", 3)
		want := k.sales()
		w := k.groupWrite(audit.KindGroupAdd, want)
		w.Add = []string{ids[2], ids[0]}
		c, err := k.store.CreateGroup(k.Context(), w)
		k.ok(err)
		k.same("the change", c, store.GroupChange{Group: want, Changed: true, Added: []string{ids[0], ids[2]}})
		got, err := k.store.Group(k.Context(), okta, want.ID)
		k.ok(err)
		k.same("Group", got, want)
		_, err = k.store.Group(k.Context(), "scim:entra", want.ID)
		k.wantErr("Group of another source", err, store.ErrNotFound)
		k.wantMembers(want.ID, ids[0], ids[2])
		some, err := k.store.Members(k.Context(), want.ID, ids[0], 1)
		k.ok(err)
		k.same("Members behind the first", some, []store.Member{{ID: ids[2], UserName: "a2", Name: "P a"}})
		k.same("groups of a member", k.groupsOf(ids[0]), []string{"sales"})
		k.wantEntries(audit.KindGroupAdd, 1)
	}},
	{"group/list", "groups are found by what a source calls them, and by who is in them", func(k *kit) {
		ids := k.people(okta, "a", 2)
		var all []store.Group
		for i, name := range []string{"alpha", "beta", "gamma"} {
			all = append(all, k.addGroup(store.Group{ID: fmt.Sprint("grp_", i), Source: okta, Name: name, ExternalID: fmt.Sprint("e", i), Created: k.now, Updated: k.now}, ids[:i/2+1]...))
		}
		other := k.addGroup(store.Group{ID: "grp_other", Source: "scim:entra", Name: "delta", ExternalID: "e0", Created: k.now, Updated: k.now})
		for _, c := range []struct {
			name string
			q    store.GroupQuery
			want []store.Group
			of   int
		}{
			{"all", store.GroupQuery{Source: okta, Limit: 10}, all, 3},
			{"a page", store.GroupQuery{Source: okta, Offset: 1, Limit: 1}, all[1:2], 3},
			{"only how many", store.GroupQuery{Source: okta}, nil, 3},
			{"by name", store.GroupQuery{Source: okta, Name: "beta", Limit: 10}, all[1:2], 1},
			{"by name in another case", store.GroupQuery{Source: okta, Name: "Beta", Limit: 10}, nil, 0},
			{"by external id", store.GroupQuery{Source: okta, ExternalID: "e0", Limit: 10}, all[:1], 1},
			{"by id", store.GroupQuery{Source: okta, ID: "grp_2", Limit: 10}, all[2:], 1},
			{"another's", store.GroupQuery{Source: okta, ID: other.ID, Limit: 10}, nil, 0},
			{"by member", store.GroupQuery{Source: okta, Member: ids[1], Limit: 10}, all[2:], 1},
			{"by who is in all", store.GroupQuery{Source: okta, Member: ids[0], Limit: 10}, all, 3},
			{"of any source", store.GroupQuery{Name: "delta", Limit: 10}, []store.Group{other}, 1},
			{"what no column holds", store.GroupQuery{Source: okta, Name: "a\x00", Limit: 10}, nil, 0},
		} {
			page, total, err := k.store.GroupsOf(k.Context(), c.q)
			k.ok(err)
			if !slices.Equal(page, c.want) || total != c.of {
				k.Errorf("%s: got %v of %d, want %v of %d", c.name, page, total, c.want, c.of)
			}
		}
	}},
	{"group/member-deleted", "a group of whom one is deleted is another than before, and no other group is", func(k *kit) {
		ids := k.people(okta, "a", 3)
		group := func(name, source string, members ...string) store.Group {
			return k.addGroup(store.Group{ID: "grp_" + name, Source: source, Name: name, Created: k.now, Updated: k.now}, members...)
		}
		both, one := group("both", okta, ids[0], ids[1]), group("one", okta, ids[0])
		without := []store.Group{group("without", okta, ids[1]), group("empty", okta), group("theirs", "scim:entra")}
		moved := func(what string, g store.Group, want time.Time) {
			k.Helper()
			got, err := k.store.Group(k.Context(), g.Source, g.ID)
			k.ok(err)
			k.same(what+" "+g.Name, got.Updated, want)
		}
		k.change(ids[1], func(u *directory.User) { u.Groups = append(u.Groups, "theirs") }) // by hand: no member
		gone := store.UserWrite{Write: k.write(), User: directory.User{ID: ids[0]}}
		gone.Was = k.now.Add(-time.Hour)
		k.wantErr("as they never were", k.store.DeleteUser(k.Context(), gone), impersonation.ErrChanged)
		moved("what did not happen", one, k.now)
		gone.Was = time.Time{}
		k.ok(k.store.DeleteUser(k.Context(), gone))
		moved("at the same time", both, k.now.Add(time.Millisecond))
		moved("at the same time", one, k.now.Add(time.Millisecond))
		gone.User.ID, gone.Now = ids[1], k.now.Add(time.Minute)
		k.ok(k.store.DeleteUser(k.Context(), gone))
		moved("later", both, gone.Now)
		moved("later", one, k.now.Add(time.Millisecond))
		moved("later", without[0], gone.Now)
		moved("another", without[1], k.now)
		moved("another", without[2], k.now)
	}},
	{"group/name", "a name is one group's, and no source takes up one that was given by hand", func(k *kit) {
		k.addGroup(k.sales())
		k.change(john, func(u *directory.User) { u.Groups = []string{"by-hand"} })
		for _, name := range []string{"sales", "by-hand"} {
			w := k.groupWrite(audit.KindGroupAdd, store.Group{ID: "grp_2", Source: "scim:entra", Name: name})
			_, err := k.store.CreateGroup(k.Context(), w)
			k.wantErr("a second "+name, err, store.ErrExists)
		}
		k.addGroup(store.Group{ID: "grp_2", Source: okta, Name: "Sales", Updated: k.now})
		w := k.groupWrite(audit.KindGroupChange, store.Group{ID: "grp_2", Source: okta, Updated: k.now})
		for _, w.Group.Name = range []string{"sales", "by-hand"} {
			_, err := k.store.ChangeGroup(k.Context(), w)
			k.wantErr("a change to "+w.Group.Name, err, store.ErrExists)
		}
		w.Group.ID, w.Group.Name = "grp_sales", "sales"
		_, err := k.store.CreateGroup(k.Context(), w)
		k.wantErr("the same id", err, store.ErrExists)
		k.wantEntries(audit.KindGroupAdd, 2)
		k.wantEntries(audit.KindGroupChange, 0)
	}},
	{"group/members", "members come and go, each once, and what changes nothing writes nothing", func(k *kit) {
		ids := k.people(okta, "a", 5)
		k.change(ids[0], func(u *directory.User) { u.Groups = []string{"z", "y"} })
		g := k.addGroup(k.sales(), ids[0], ids[1])
		for _, c := range []struct {
			name           string
			edit           func(*store.GroupWrite)
			added, removed []string
			want           []string
		}{
			{"add", func(w *store.GroupWrite) { w.Add = []string{ids[2], ids[1], ids[2]} }, ids[2:3], nil, ids[:3]},
			{"add again", func(w *store.GroupWrite) { w.Add = ids[:3] }, nil, nil, ids[:3]},
			{"remove", func(w *store.GroupWrite) { w.Remove = []string{ids[0], ids[4], "usr_none", john} }, nil, ids[:1], ids[1:3]},
			{"both", func(w *store.GroupWrite) { w.Add, w.Remove = ids[:1], []string{ids[0], ids[1]} }, nil, ids[1:2], ids[2:3]},
			{"set", func(w *store.GroupWrite) { w.Members = &[]string{ids[4], ids[3], ids[2]} }, ids[3:], nil, ids[2:]},
			{"set and add", func(w *store.GroupWrite) { w.Members, w.Add = &[]string{ids[4]}, ids[:1] }, ids[:1], ids[2:4], []string{ids[0], ids[4]}},
			{"set the same", func(w *store.GroupWrite) { w.Members = &[]string{ids[4], ids[0]} }, nil, nil, []string{ids[0], ids[4]}},
			{"set to none", func(w *store.GroupWrite) { w.Members = new([]string) }, nil, []string{ids[0], ids[4]}, nil},
		} {
			w := k.groupWrite(audit.KindGroupChange, g)
			c.edit(&w)
			recorded, moved := len(k.entries(store.EntryQuery{Limit: 1000})), len(c.added)+len(c.removed)
			got, err := k.store.ChangeGroup(k.Context(), w)
			k.ok(err)
			want := store.GroupChange{Group: w.Group, Changed: moved > 0, Added: c.added, Removed: c.removed}
			if !want.Changed {
				want.Group = g
			}
			k.same(c.name, got, want)
			k.wantMembers(g.ID, c.want...)
			if n := len(k.entries(store.EntryQuery{Limit: 1000})) - recorded; n != moved+min(moved, 1) {
				k.Errorf("%s: got %d entries for %d members", c.name, n, moved)
			}
			g, err = k.store.Group(k.Context(), okta, g.ID)
			k.ok(err)
			k.same("Group after "+c.name, g, want.Group)
		}
		k.same("other groups of who was a member", k.groupsOf(ids[0]), []string{"z", "y"})
	}},
	{"group/foreign", "nobody becomes a member but a user of the same source, and then nothing is written", func(k *kit) {
		ids, others := k.people(okta, "a", 1), k.people("scim:entra", "b", 1)
		g := k.addGroup(k.sales())
		for _, id := range []string{others[0], john, "usr_none", "a\x00", "\xff"} {
			for _, edit := range []func(*store.GroupWrite){
				func(w *store.GroupWrite) { w.Add = []string{ids[0], id} },
				func(w *store.GroupWrite) { w.Members = &[]string{ids[0], id} },
			} {
				w := k.groupWrite(audit.KindGroupChange, g)
				edit(&w)
				_, err := k.store.ChangeGroup(k.Context(), w)
				k.wantErr(fmt.Sprintf("%q", id), err, store.ErrMember)
			}
			w := k.groupWrite(audit.KindGroupAdd, store.Group{ID: "grp_2", Source: okta, Name: "new"})
			w.Add = []string{id}
			_, err := k.store.CreateGroup(k.Context(), w)
			k.wantErr(fmt.Sprintf("a new group with %q", id), err, store.ErrMember)
		}
		k.wantMembers(g.ID)
		k.wantEntries(audit.KindGroupChange, 0)
		w := k.groupWrite(audit.KindGroupChange, g)
		w.Group.Source = "scim:entra"
		_, err := k.store.ChangeGroup(k.Context(), w)
		k.wantErr("a change by another source", err, store.ErrNotFound)
		_, err = k.store.DeleteGroup(k.Context(), w)
		k.wantErr("a deletion by another source", err, store.ErrNotFound)
	}},
	{"group/by-hand", "who has the name of a source's group without being its user is no member, and keeps it", func(k *kit) {
		ids := k.people(okta, "a", 1)
		g := k.addGroup(k.sales(), ids...)
		k.change(john, func(u *directory.User) { u.Groups = []string{"sales"} })
		k.wantMembers(g.ID, ids...)
		w := k.groupWrite(audit.KindGroupChange, g)
		w.Remove = []string{john}
		c, err := k.store.ChangeGroup(k.Context(), w)
		k.ok(err)
		if c.Changed {
			k.Error("a user of nobody's was removed")
		}
		_, err = k.store.DeleteGroup(k.Context(), k.groupWrite(audit.KindGroupRemove, g))
		k.ok(err)
		k.same("john's groups", k.groupsOf(john), []string{"sales"})
	}},
	{"group/delete-empty", "to delete a group without members is on record too", func(k *kit) {
		g := k.addGroup(k.sales())
		c, err := k.store.DeleteGroup(k.Context(), k.groupWrite(audit.KindGroupRemove, g))
		k.ok(err)
		k.same("the change", c, store.GroupChange{Group: g, Changed: true})
		k.wantEntries(audit.KindGroupRemove, 1)
	}},
	{"group/guard", "who changes or deletes a group as it no longer is does nothing", func(k *kit) {
		g := k.addGroup(k.sales())
		w := k.groupWrite(audit.KindGroupChange, g)
		w.Group.ExternalID = ""
		c, err := k.store.ChangeGroup(k.Context(), w)
		k.ok(err)
		k.same("the change", c, store.GroupChange{Group: w.Group, Changed: true})
		_, err = k.store.ChangeGroup(k.Context(), w)
		k.wantErr("a late change", err, impersonation.ErrChanged)
		_, err = k.store.DeleteGroup(k.Context(), w)
		k.wantErr("a late deletion", err, impersonation.ErrChanged)
		k.wantEntries(audit.KindGroupChange, 1)
	}},
	{"group/closed", "a group that is closed to a source is neither made, filled, emptied, renamed to or from, nor deleted", func(k *kit) {
		ids := k.people(okta, "a", 2)
		admins := k.addGroup(store.Group{ID: "grp_admins", Source: okta, Name: "admins", Created: k.now, Updated: k.now}, ids[0])
		sales := k.addGroup(k.sales())
		before := k.authz()
		closed := []string{"bosses", "admins"}
		write := func(kind audit.Kind, g store.Group, edit func(*store.GroupWrite)) store.GroupWrite {
			w := k.groupWrite(kind, g)
			w.Closed = closed
			edit(&w)
			return w
		}
		for name, w := range map[string]store.GroupWrite{
			"fill":        write(audit.KindGroupChange, admins, func(w *store.GroupWrite) { w.Add = ids[1:] }),
			"empty":       write(audit.KindGroupChange, admins, func(w *store.GroupWrite) { w.Members = new([]string) }),
			"rename from": write(audit.KindGroupChange, admins, func(w *store.GroupWrite) { w.Group.Name = "others" }),
			"rename to":   write(audit.KindGroupChange, sales, func(w *store.GroupWrite) { w.Group.Name = "bosses" }),
		} {
			_, err := k.store.ChangeGroup(k.Context(), w)
			k.wantErr(name, err, store.ErrClosed)
		}
		_, err := k.store.DeleteGroup(k.Context(), write(audit.KindGroupRemove, admins, func(*store.GroupWrite) {}))
		k.wantErr("delete", err, store.ErrClosed)
		_, err = k.store.CreateGroup(k.Context(), write(audit.KindGroupAdd, store.Group{ID: "grp_3", Source: okta, Name: "bosses"}, func(*store.GroupWrite) {}))
		k.wantErr("create", err, store.ErrClosed)
		k.wantMembers(admins.ID, ids[0])
		k.same("authz", k.authz(), before)
		_, err = k.store.ChangeGroup(k.Context(), write(audit.KindGroupChange, sales, func(w *store.GroupWrite) { w.Add = ids }))
		k.ok(err)
	}},
	{"group/rename", "a new name of a group is that of all its members", func(k *kit) {
		ids, others := k.people(okta, "a", 3), k.people("scim:entra", "b", 1)
		k.change(ids[0], func(u *directory.User) { u.Groups = []string{"z"} })
		g := k.addGroup(k.sales(), ids[0], ids[1])
		k.change(ids[0], func(u *directory.User) { u.Groups = append(u.Groups, "y") })
		k.change(others[0], func(u *directory.User) { u.Groups = []string{"sales"} })
		w := k.groupWrite(audit.KindGroupChange, g)
		w.Group.Name, w.Add, w.Remove = "sellers", ids[2:], ids[1:2]
		c, err := k.store.ChangeGroup(k.Context(), w)
		k.ok(err)
		k.same("the change", c, store.GroupChange{Group: w.Group, Changed: true, Added: ids[2:], Removed: ids[1:2], Renamed: ids[:1]})
		for id, want := range map[string][]string{ids[0]: {"z", "sellers", "y"}, ids[1]: nil, ids[2]: {"sellers"}, others[0]: {"sales"}} {
			k.same("groups of "+id, k.groupsOf(id), want)
		}
		for id, want := range map[string]map[string]string{
			ids[0]: {"membership": "renamed", "was_group": "sales", "group": "sellers"},
			ids[1]: {"membership": "removed", "was_group": "sales"},
			ids[2]: {"membership": "added", "group": "sellers"},
		} {
			e := k.entries(store.EntryQuery{Kind: audit.KindUserRole, Person: id})[0].Entry
			k.same("entry of "+id, e.Fields, want)
			if e.Actor != w.By || e.Request != w.RequestID || e.Subject != (oauth.Party{Issuer: issuer, Subject: id}) {
				k.Errorf("entry of %s: got %v to %v in %q", id, e.Actor, e.Subject, e.Request)
			}
		}
	}},
	{"group/delete", "the members of a group that is deleted are in it no more", func(k *kit) {
		ids := k.people(okta, "a", 2)
		g := k.addGroup(k.sales(), ids...)
		w := k.groupWrite(audit.KindGroupRemove, g)
		w.Group.Name, w.Add = "ignored", ids
		c, err := k.store.DeleteGroup(k.Context(), w)
		k.ok(err)
		k.same("the change", c, store.GroupChange{Group: g, Changed: true, Removed: ids})
		for _, id := range ids {
			k.same("groups of "+id, k.groupsOf(id), []string(nil))
		}
		_, err = k.store.Group(k.Context(), okta, g.ID)
		k.wantErr("Group", err, store.ErrNotFound)
		_, err = k.store.DeleteGroup(k.Context(), w)
		k.wantErr("again", err, store.ErrNotFound)
		k.wantEntries(audit.KindGroupRemove, 1)
		k.addGroup(store.Group{ID: "grp_2", Source: "scim:entra", Name: g.Name})
	}},
	{"group/rights", "whose membership changes may do other things: the next start reads again, and their sessions end, on both sides", func(k *kit) {
		k.theirs()
		ids := k.people(okta, "a", 1)
		g := k.addGroup(k.sales(), ids...)
		for name, edit := range map[string]func(*store.GroupWrite){
			"the actor is added":     func(w *store.GroupWrite) { w.Add = []string{ann} },
			"the subject is added":   func(w *store.GroupWrite) { w.Add = []string{john} },
			"both are removed":       func(w *store.GroupWrite) { w.Members = &ids },
			"the group is renamed":   func(w *store.GroupWrite) { w.Group.Name += "x" },
			"the subject is removed": func(w *store.GroupWrite) { w.Remove = []string{john} },
		} {
			if name != "the actor is added" && name != "the subject is added" {
				w := k.groupWrite(audit.KindGroupChange, g)
				w.Add = []string{ann, john}
				c, err := k.store.ChangeGroup(k.Context(), w)
				k.ok(err)
				g = c.Group
			}
			start := k.start()
			guard := k.load(k.key()).Guard
			w := k.groupWrite(audit.KindGroupChange, g)
			edit(&w)
			c, err := k.store.ChangeGroup(k.Context(), w)
			k.ok(err)
			g = c.Group
			if s := k.stored(start.Session.ID); s.EndReason != impersonation.EndChanged || s.EndedBy != "scim:okta" || len(c.Ended) != 1 || c.Ended[0].Session.ID != s.ID {
				k.Errorf("%s: session ended by %q since %q, and %d were named", name, s.EndedBy, s.EndReason, len(c.Ended))
			}
			if n := len(k.entries(store.EntryQuery{Kind: audit.KindEnd, Session: start.Session.ID})); n != 1 {
				k.Errorf("%s: got %d entries of the end", name, n)
			}
			late := k.startOn(impersonation.Facts{Guard: guard}, k.ticket())
			late.Ticket = oauth.Hash{}
			k.wantErr(name+": a start that was decided before", k.store.Start(k.Context(), late), impersonation.ErrChanged)
			w = k.groupWrite(audit.KindGroupChange, g)
			w.Remove = []string{ann, john}
			c, err = k.store.ChangeGroup(k.Context(), w)
			k.ok(err)
			g = c.Group
		}
		start := k.start()
		w := k.groupWrite(audit.KindGroupChange, g)
		w.Remove = ids
		_, err := k.store.ChangeGroup(k.Context(), w)
		k.ok(err)
		if s := k.stored(start.Session.ID); !s.Ended.IsZero() {
			k.Errorf("a session of others ended: %q", s.EndReason)
		}
	}},
	{"group/was", "who changes a user as they were before a group changed does not undo it", func(k *kit) {
		id := k.people(okta, "a", 1)[0]
		u, err := k.store.Get(k.Context(), id)
		k.ok(err)
		g := k.addGroup(k.sales(), id) // at the very millisecond at which the user was written
		late := store.UserWrite{Write: k.write(), User: u, Was: u.Updated}
		k.wantErr("the late one", k.store.UpdateUser(k.Context(), late), impersonation.ErrChanged)
		k.wantMembers(g.ID, id)
	}},
	{"group/member-gone", "who is deleted is no member", func(k *kit) {
		ids := k.people(okta, "a", 2)
		g := k.addGroup(k.sales(), ids...)
		k.ok(k.store.DeleteUser(k.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: ids[0]}}))
		k.wantMembers(g.ID, ids[1])
		g, err := k.store.Group(k.Context(), okta, g.ID)
		k.ok(err)
		w := k.groupWrite(audit.KindGroupChange, g)
		w.Members = &ids
		_, err = k.store.ChangeGroup(k.Context(), w)
		k.wantErr("who is gone", err, store.ErrMember)
	}},
}

var groupRaces = []testCase{
	{"group/at-once", "of many who change a group as it was, one does; those who only add lose nobody", func(k *kit) {
		name := oauth.NewID("g")[2:12]
		ids := k.people(okta, name, crowd/4)
		g := store.Group{ID: oauth.NewID("grp"), Source: okta, Name: name, Created: k.now, Updated: k.now}
		g = k.addGroup(g)
		k.one(impersonation.ErrChanged, func(i int) error {
			w := k.groupWrite(audit.KindGroupChange, g)
			w.Members = &[]string{ids[i%len(ids)]}
			_, err := k.store.ChangeGroup(k.Context(), w)
			return err
		})
		k.all(func(i int) error {
			w := k.groupWrite(audit.KindGroupChange, g)
			w.Was, w.Add = time.Time{}, []string{ids[i%len(ids)]}
			_, err := k.store.ChangeGroup(k.Context(), w)
			return err
		})
		k.wantMembers(g.ID, slices.Sorted(slices.Values(ids))...)
	}},
	{"group/and-users", "groups and users that change at once lose nothing of each other", func(k *kit) {
		name := oauth.NewID("g")[2:12]
		id := k.people(okta, name, 1)[0]
		k.all(func(i int) error {
			if i%2 == 0 {
				w := k.groupWrite(audit.KindGroupAdd, store.Group{ID: oauth.NewID("grp"), Source: okta, Name: fmt.Sprint(name, i), Created: k.now, Updated: k.now})
				w.Add = []string{id}
				_, err := k.store.CreateGroup(k.Context(), w)
				return err
			}
			for {
				u, err := k.store.Get(k.Context(), id)
				if err != nil {
					return err
				}
				w := store.UserWrite{Write: k.write(), User: u, Was: u.Updated}
				w.User.Roles, w.User.Updated = append(u.Roles, fmt.Sprint(i)), u.Updated.Add(time.Millisecond)
				if err := k.store.UpdateUser(k.Context(), w); !errors.Is(err, impersonation.ErrChanged) {
					return err
				}
			}
		})
		u, err := k.store.Get(k.Context(), id)
		k.ok(err)
		if len(u.Groups) != crowd/2 || len(u.Roles) != crowd/2 {
			k.Errorf("got %d groups and %d roles, want %d of each", len(u.Groups), len(u.Roles), crowd/2)
		}
	}},
	{"race/group", "no start passes a change of a group that forbids it", func(k *kit) {
		name := oauth.NewID("g")[2:12]
		k.change(john, func(u *directory.User) { u.Source, u.UserName, u.Groups = okta, "john", nil })
		g := k.addGroup(store.Group{ID: oauth.NewID("grp"), Source: okta, Name: offLimits + name, Created: k.now, Updated: k.now})
		k.race(func() error {
			w := k.groupWrite(audit.KindGroupChange, g)
			w.Add = []string{john}
			_, err := k.store.ChangeGroup(k.Context(), w)
			return err
		})
	}},
	{"race/source", "no token outlives the removal of its source", func(k *kit) {
		source := store.Source{Name: oauth.NewID("s")[2:12], Created: k.now, Updated: k.now}
		k.addSource(source)
		var hashes [crowd]oauth.Hash
		k.all(func(i int) error {
			if i == crowd/2 {
				return k.store.RemoveSource(k.Context(), k.sourceWrite(audit.KindSourceRemove, source))
			}
			hashes[i] = oauth.NewSecret().Hash()
			err := k.store.AddSourceToken(k.Context(), store.SourceTokenWrite{Write: k.write(), Token: store.SourceToken{ID: oauth.NewID("sct"), Source: source.Name, Hash: hashes[i]}})
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		})
		k.addSource(source) // it comes back
		for i, h := range hashes {
			_, _, err := k.store.SourceByToken(k.Context(), h, k.now)
			k.wantErr(fmt.Sprint("token ", i), err, store.ErrNotFound)
		}
	}},
}
