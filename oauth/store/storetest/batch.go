package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

var batchCases = []testCase{
	{"batch/among", "an import finds at once whom its rows may mean, by ID, address or identity, and which IDs are not free", func(k *kit) {
		u := k.whole()
		k.ok(k.create(u))
		k.ok(k.create(directory.User{ID: "usr_gone", Email: "gone@acme.test"}))
		k.ok(k.store.DeleteUser(k.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: "usr_gone"}}))
		for _, c := range []struct {
			q          store.UserKeys
			want, gone []string
		}{
			{store.UserKeys{}, nil, nil},
			{store.UserKeys{IDs: []string{john, ann, "usr_gone", "USR_JOHN", ""}}, []string{ann, john}, []string{"usr_gone"}},
			{store.UserKeys{Emails: []string{"ZOE@acme.test", "gone@acme.test", ""}}, []string{u.ID}, nil},
			{store.UserKeys{Identities: u.Identities}, []string{u.ID}, nil},
			{store.UserKeys{Identities: []oauth.Party{{Issuer: "https://a.test", Subject: "00u1"}, {Issuer: "https://b.test/x", Subject: "zoe 1"}}}, nil, nil},
			{store.UserKeys{IDs: []string{u.ID}, Emails: []string{u.Email, "john@globex.test"}, Identities: u.Identities}, []string{john, u.ID}, nil},
		} {
			found, gone, err := k.store.AmongUsers(k.Context(), c.q)
			k.ok(err)
			k.same(fmt.Sprintf("%+v", c.q), ids(found), c.want)
			k.same(fmt.Sprintf("gone of %+v", c.q), gone, c.gone)
			for _, f := range found {
				if f.ID == u.ID {
					k.same("all of them", f, u)
				}
			}
		}
	}},
	{"batch/round-trip", "many users are added and changed as one by one, with what each change ends and its record", func(k *kit) {
		w, g := k.start(), k.grant()
		u := k.whole()
		k.change(john, func(u *directory.User) { u.Updated = k.now.Add(-time.Hour) })
		was, err := k.store.Get(k.Context(), john)
		k.ok(err)
		other := directory.User{ID: "usr_2", Email: "two@acme.test", Name: "Two", Organisation: "acme", Groups: []string{"z-team"},
			Identities: []oauth.Party{{Issuer: "https://a.test", Subject: "2"}}, Created: k.now, Updated: k.now}
		changed := was
		changed.Enabled, changed.DisabledBy, changed.Organisation, changed.Groups, changed.Updated = false, "scim:okta", "", []string{"b", "a"}, k.now
		end := k.endWrite(impersonation.ScopeSubject, john)
		end.Reason = impersonation.EndDisabled
		before := k.authz()
		k.ok(k.store.PutUsers(k.Context(), []store.UserWrite{
			{Write: k.recorded(audit.KindUserAdd), User: u}, {Write: k.recorded(audit.KindUserAdd), User: other},
			{Write: k.recorded(audit.KindUserDisable), User: changed, Was: was.Updated, Ends: []impersonation.EndWrite{end}, EndLogins: true},
		}))
		for _, want := range []directory.User{u, other, changed} {
			got, err := k.store.Get(k.Context(), want.ID)
			k.ok(err)
			want.LastSignIn = got.LastSignIn
			k.same(want.ID, got, want)
		}
		if after := k.authz(); after[""] != before[""]+1 { // john is of the staff now, as ann is
			k.Errorf("authz_version: got %v after %v, want one more", after, before)
		}
		k.same("session", k.stored(w.Session.ID).EndReason, impersonation.EndDisabled)
		k.same("entries of adding", len(k.entries(store.EntryQuery{Kind: audit.KindUserAdd})), 2)
		k.same("entries of disabling", len(k.entries(store.EntryQuery{Kind: audit.KindUserDisable})), 1)
		k.same("entries of ends", len(k.entries(store.EntryQuery{Kind: audit.KindEnd})), 1)
		if g, err := k.store.GrantByJTI(k.Context(), g.JTI); err != nil || !g.Revoked.IsZero() {
			k.Errorf("ann's grant: got %v, %v; want it alive", g.Revoked, err)
		}
		k.ok(k.store.PutUsers(k.Context(), nil))
	}},
	{"batch/whole", "of many users all are written or none, with no record of what did not happen", func(k *kit) {
		u := k.whole()
		k.ok(k.create(u))
		k.ok(k.create(directory.User{ID: "usr_gone"}))
		k.ok(k.store.DeleteUser(k.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: "usr_gone"}}))
		good := directory.User{ID: "usr_good", Email: "good@acme.test", Organisation: "globex", Groups: []string{"g"}, Identities: []oauth.Party{{Issuer: "https://a.test", Subject: "good"}}}
		before := k.authz()
		for _, c := range []struct {
			name string
			bad  store.UserWrite
			want error
		}{
			{"an ID that is taken", store.UserWrite{User: directory.User{ID: u.ID}}, store.ErrExists},
			{"an ID that is not free again", store.UserWrite{User: directory.User{ID: "usr_gone"}}, store.ErrExists},
			{"an address of somebody else", store.UserWrite{User: directory.User{ID: "usr_bad", Email: "ZOE@acme.test"}}, store.ErrExists},
			{"an address of the same batch", store.UserWrite{User: directory.User{ID: "usr_bad", Email: "Good@acme.test"}}, store.ErrExists},
			{"an identity of somebody else", store.UserWrite{User: directory.User{ID: "usr_bad", Identities: u.Identities[:1]}}, store.ErrExists},
			{"an identity of the same batch", store.UserWrite{User: directory.User{ID: "usr_bad", Identities: good.Identities}}, store.ErrExists},
			{"a change of nobody", store.UserWrite{User: directory.User{ID: "usr_bad"}, Was: k.now}, store.ErrNotFound},
			{"a change of who has changed", store.UserWrite{User: u, Was: k.now.Add(-time.Hour)}, impersonation.ErrChanged},
			{"an ID that is too long", store.UserWrite{User: directory.User{ID: fmt.Sprintf("%0300d", 1)}}, store.ErrTooLong},
		} {
			c.bad.Write = k.recorded(audit.KindUserAdd)
			for _, batch := range [][]store.UserWrite{{{Write: k.recorded(audit.KindUserAdd), User: good}, c.bad}, {c.bad, {Write: k.recorded(audit.KindUserAdd), User: good}}} {
				k.wantErr(c.name, k.store.PutUsers(k.Context(), batch), c.want)
				found, _, err := k.store.AmongUsers(k.Context(), store.UserKeys{IDs: []string{"usr_good", "usr_bad"}, Identities: good.Identities})
				k.ok(err)
				k.same(c.name+": found", len(found), 0)
			}
		}
		k.same("entries", len(k.entries(store.EntryQuery{Kind: audit.KindUserAdd})), 0)
		k.same("authz_version", k.authz(), before)
	}},
	{"batch/once", "of several who add the same users at once, one does, and whoever comes late adds nobody", func(k *kit) {
		var all sync.WaitGroup
		var won atomic.Int32
		for range 8 {
			all.Go(func() {
				var writes []store.UserWrite
				for i := range 20 {
					u := directory.User{ID: fmt.Sprintf("usr_%02d", i), Email: fmt.Sprintf("u%d@acme.test", 20-i), Organisation: fmt.Sprintf("o%d", i%3)}
					writes = append(writes, store.UserWrite{Write: k.recorded(audit.KindUserAdd), User: u})
				}
				if err := k.store.PutUsers(k.Context(), writes); err == nil {
					won.Add(1)
				} else {
					k.wantErr("the others", err, store.ErrExists)
				}
			})
		}
		all.Wait()
		k.same("how many did", won.Load(), int32(1))
		k.same("entries", len(k.entries(store.EntryQuery{Kind: audit.KindUserAdd, Limit: 1000})), 20)
	}},
}
