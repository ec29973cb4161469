package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// okta is a source with every field that a caller sets.
func (k *kit) okta() store.Source {
	return store.Source{Name: "okta", Organisation: "globex", OrganisationAttribute: "urn:x:User:organization", Issuer: "https://idp.acme.test",
		MayGrant: true, MayStaff: true, Created: k.now, Updated: k.now}
}

func (k *kit) sourceWrite(kind audit.Kind, s store.Source) store.SourceWrite {
	return store.SourceWrite{Write: k.recorded(kind), Source: s, Was: s.Updated}
}

func (k *kit) addSource(s store.Source) {
	k.Helper()
	k.ok(k.store.CreateSource(k.Context(), k.sourceWrite(audit.KindSourceAdd, s)))
}

// addToken gives the source one.
func (k *kit) addToken(source string, expires time.Time) store.SourceToken {
	k.Helper()
	t := store.SourceToken{ID: oauth.NewID("sct"), Source: source, Hash: oauth.NewSecret().Hash(), Created: k.now, Expires: expires}
	k.ok(k.store.AddSourceToken(k.Context(), store.SourceTokenWrite{Write: k.recorded(audit.KindSourceChange), Token: t}))
	return t
}

// wantEntries checks how many entries of kind there are.
func (k *kit) wantEntries(kind audit.Kind, want int) {
	k.Helper()
	if got := len(k.entries(store.EntryQuery{Kind: kind})); got != want {
		k.Errorf("entries of %s: got %d, want %d", kind, got, want)
	}
}

var sourceCases = []testCase{
	{"source/round-trip", "a source is read as it was written, and a name is given once", func(k *kit) {
		want := k.okta()
		k.addSource(want)
		k.addSource(store.Source{Name: "entra", Created: k.now, Updated: k.now})
		got, err := k.store.Source(k.Context(), want.Name)
		k.ok(err)
		k.same("Source", got, want)
		k.wantErr("again", k.store.CreateSource(k.Context(), k.sourceWrite(audit.KindSourceAdd, store.Source{Name: want.Name})), store.ErrExists)
		k.wantEntries(audit.KindSourceAdd, 2)
		all, err := k.store.Sources(k.Context())
		k.ok(err)
		if len(all) != 2 || all[0].Name != "entra" || all[1] != want {
			k.Errorf("Sources: got %v", all)
		}
		_, err = k.store.Source(k.Context(), "OKTA")
		k.wantErr("in another case", err, store.ErrNotFound)
	}},
	{"source/change", "who changes a source as it no longer is changes nothing", func(k *kit) {
		was := k.okta()
		k.addSource(was)
		w := k.sourceWrite(audit.KindSourceChange, store.Source{Name: was.Name, Organisation: "acme", Updated: k.now.Add(time.Second)})
		w.Was = was.Updated
		k.ok(k.store.ChangeSource(k.Context(), w))
		want := w.Source
		want.Created = was.Created
		got, err := k.store.Source(k.Context(), was.Name)
		k.ok(err)
		k.same("Source", got, want)
		k.wantErr("as it was", k.store.ChangeSource(k.Context(), w), impersonation.ErrChanged)
		w.Source.Name = "entra"
		k.wantErr("of none", k.store.ChangeSource(k.Context(), w), store.ErrNotFound)
		k.wantEntries(audit.KindSourceChange, 1)
	}},
	{"source/remove", "a source that is removed is out at once, and what it comes back with are new tokens", func(k *kit) {
		was := k.okta()
		k.addSource(was)
		old := k.addToken(was.Name, time.Time{})
		u := k.whole()
		k.ok(k.create(u))
		w := k.sourceWrite(audit.KindSourceRemove, store.Source{Name: was.Name})
		k.ok(k.store.RemoveSource(k.Context(), w))
		k.wantErr("again", k.store.RemoveSource(k.Context(), w), store.ErrNotFound)
		k.wantErr("a change", k.store.ChangeSource(k.Context(), k.sourceWrite(audit.KindSourceChange, was)), store.ErrNotFound)
		k.wantErr("a token", k.store.AddSourceToken(k.Context(), store.SourceTokenWrite{Token: store.SourceToken{ID: "sct_2", Source: was.Name, Hash: oauth.NewSecret().Hash()}}), store.ErrNotFound)
		_, _, err := k.store.SourceByToken(k.Context(), old.Hash, k.now)
		k.wantErr("its token", err, store.ErrNotFound)
		all, err := k.store.Sources(k.Context())
		k.ok(err)
		if len(all) != 0 {
			k.Errorf("Sources: got %v, want none", all)
		}
		if got, err := k.store.Source(k.Context(), was.Name); err != nil || got.Removed != k.now {
			k.Errorf("Source: got %v, %v; want it removed", got.Removed, err)
		}
		k.wantEntries(audit.KindSourceRemove, 1)
		if got, err := k.store.Get(k.Context(), u.ID); err != nil || !got.Enabled || got.Source != was.ID() {
			k.Errorf("its user: got %v, %v; want them as they were", got, err)
		}
		again := store.Source{Name: was.Name, Issuer: "https://new.acme.test", Created: k.now.Add(time.Hour), Updated: k.now.Add(time.Hour)}
		k.addSource(again)
		got, err := k.store.Source(k.Context(), was.Name)
		k.ok(err)
		k.same("the source that came back", got, again)
		_, _, err = k.store.SourceByToken(k.Context(), old.Hash, k.now)
		k.wantErr("a token of before", err, store.ErrNotFound)
	}},
	{"source/token", "a token finds its source while it lives, and no other", func(k *kit) {
		k.addSource(k.okta())
		k.addSource(store.Source{Name: "entra"})
		first, second := k.addToken("okta", time.Time{}), k.addToken("okta", k.now.Add(time.Hour))
		source, got, err := k.store.SourceByToken(k.Context(), second.Hash, k.now.Add(time.Hour-time.Millisecond))
		k.ok(err)
		k.same("the source", source, k.okta())
		k.same("the token", got, second)
		_, _, err = k.store.SourceByToken(k.Context(), second.Hash, k.now.Add(time.Hour))
		k.wantErr("one that is over", err, store.ErrNotFound)
		for _, h := range []oauth.Hash{{}, oauth.NewSecret().Hash()} {
			_, _, err = k.store.SourceByToken(k.Context(), h, k.now)
			k.wantErr("none", err, store.ErrNotFound)
		}
		k.wantErr("the same hash", k.store.AddSourceToken(k.Context(), store.SourceTokenWrite{Token: store.SourceToken{ID: "sct_2", Source: "entra", Hash: first.Hash}}), store.ErrExists)
		revoke := func(t store.SourceToken) error {
			return k.store.RevokeSourceToken(k.Context(), store.SourceTokenWrite{Write: k.recorded(audit.KindSourceChange), Token: t})
		}
		k.wantErr("revoked as another's", revoke(store.SourceToken{ID: first.ID, Source: "entra"}), store.ErrNotFound)
		k.ok(revoke(first))
		k.wantErr("revoked again", revoke(first), store.ErrNotFound)
		k.wantEntries(audit.KindSourceChange, 3)
		_, _, err = k.store.SourceByToken(k.Context(), first.Hash, k.now)
		k.wantErr("one that was revoked", err, store.ErrNotFound)
		_, _, err = k.store.SourceByToken(k.Context(), second.Hash, k.now)
		k.ok(err)
		all, err := k.store.SourceTokens(k.Context(), "okta")
		k.ok(err)
		if len(all) != 2 || all[slices.IndexFunc(all, func(t store.SourceToken) bool { return t.ID == first.ID })].Revoked != k.now {
			k.Errorf("SourceTokens: got %v", all)
		}
	}},
	{"source/touch", "the last use of a token moves once a minute, and never back", func(k *kit) {
		k.addSource(k.okta())
		t := k.addToken("okta", time.Time{})
		for _, c := range []struct{ touch, want time.Duration }{
			{0, 0}, {store.TouchEvery - time.Millisecond, 0}, {store.TouchEvery, store.TouchEvery}, {time.Second, store.TouchEvery},
		} {
			k.ok(k.store.TouchSourceToken(k.Context(), t.ID, k.now.Add(c.touch)))
			_, got, err := k.store.SourceByToken(k.Context(), t.Hash, k.now)
			k.ok(err)
			if got.LastUsed != k.now.Add(c.want) {
				k.Errorf("touched at %v: got %v, want %v", c.touch, got.LastUsed.Sub(k.now), c.want)
			}
		}
		k.ok(k.store.TouchSourceToken(k.Context(), "sct_none", k.now))
	}},
	{"source/users", "a source finds its own users by what it calls them, page by page, and nobody else's", func(k *kit) {
		var want []string
		for i := range 5 {
			u := directory.User{ID: fmt.Sprint("usr_", i), Email: fmt.Sprintf("U%d@acme.test", i), Source: "scim:okta", UserName: fmt.Sprint("USER-", i), ExternalID: fmt.Sprint("ext-", i%4), Enabled: i != 3}
			k.ok(k.create(u))
			want = append(want, u.ID)
		}
		for i, source := range []string{"scim:entra", ""} {
			k.ok(k.create(directory.User{ID: fmt.Sprint("usr_other", i), Email: fmt.Sprint("other", i, "@acme.test"), Source: source, UserName: "user-0", ExternalID: "ext-0", Enabled: true}))
		}
		yes, no := true, false
		for _, c := range []struct {
			name string
			q    store.UserQuery
			want []string
			of   int
		}{
			{"all", store.UserQuery{Limit: 100}, want, 5},
			{"a page", store.UserQuery{Offset: 1, Limit: 2}, want[1:3], 5},
			{"a page behind the last", store.UserQuery{Offset: 9, Limit: 2}, nil, 5},
			{"only how many", store.UserQuery{}, nil, 5},
			{"by name without case", store.UserQuery{UserName: "user-1", Limit: 10}, want[1:2], 1},
			{"by external id", store.UserQuery{ExternalID: "ext-0", Limit: 10}, []string{want[0], want[4]}, 2},
			{"by external id in another case", store.UserQuery{ExternalID: "EXT-0", Limit: 10}, nil, 0},
			{"by address without case", store.UserQuery{Email: "u2@ACME.test", Limit: 10}, want[2:3], 1},
			{"another's address", store.UserQuery{Email: "other0@acme.test", Limit: 10}, nil, 0},
			{"by id", store.UserQuery{ID: "usr_2", Limit: 10}, want[2:3], 1},
			{"another's id", store.UserQuery{ID: "usr_other0", Limit: 10}, nil, 0},
			{"who is active", store.UserQuery{Active: &yes, Limit: 10}, []string{want[0], want[1], want[2], want[4]}, 4},
			{"who is not", store.UserQuery{Active: &no, Limit: 10}, want[3:4], 1},
			{"both", store.UserQuery{UserName: "user-3", Active: &yes, Limit: 10}, nil, 0},
			{"what no column holds", store.UserQuery{UserName: "a\x00", Limit: 10}, nil, 0},
		} {
			c.q.Source = "scim:okta"
			page, total, err := k.store.UsersOf(k.Context(), c.q)
			k.ok(err)
			var got []string
			for _, u := range page {
				got = append(got, u.ID)
			}
			if !slices.Equal(got, c.want) || total != c.of {
				k.Errorf("%s: got %v of %d, want %v of %d", c.name, got, total, c.want, c.of)
			}
		}
		page, _, err := k.store.UsersOf(k.Context(), store.UserQuery{Source: "scim:okta", ID: "usr_2", Limit: 1})
		k.ok(err)
		whole, err := k.store.Get(k.Context(), "usr_2")
		k.ok(err)
		k.same("a user on a page", page[0], whole)
	}},
	{"source/user-name", "a source has a user name once, without case; another source may have it too", func(k *kit) {
		k.ok(k.create(directory.User{ID: "usr_1", Source: "scim:okta", UserName: "Zoë"}))
		k.wantErr("in another case", k.create(directory.User{ID: "usr_2", Source: "scim:okta", UserName: "ZOË"}), store.ErrExists)
		k.ok(k.create(directory.User{ID: "usr_2", Source: "scim:entra", UserName: "Zoë"}))
		moved := directory.User{ID: "usr_2", Source: "scim:okta", UserName: "zoë"}
		k.wantErr("by a change", k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: moved}), store.ErrExists)
		for i := range 2 {
			k.ok(k.create(directory.User{ID: fmt.Sprint("usr_none", i), Source: "upstream:corp"}))
		}
	}},
	{"source/long", "a text that no index holds is refused", func(k *kit) {
		long := strings.Repeat("x", store.MaxKey+1)
		err := k.store.CreateSource(k.Context(), store.SourceWrite{Write: k.write(), Source: store.Source{Name: long}})
		k.wantErr("a source", err, store.ErrTooLong)
		w := k.groupWrite(audit.KindGroupAdd, k.sales())
		w.Group.Name = long
		_, err = k.store.CreateGroup(k.Context(), w)
		k.wantErr("a group", err, store.ErrTooLong)
		w = k.groupWrite(audit.KindGroupAdd, k.sales())
		w.Add = make([]string, store.MaxMembers+1)
		_, err = k.store.CreateGroup(k.Context(), w)
		k.wantErr("too many members", err, store.ErrTooLong)
	}},
}
