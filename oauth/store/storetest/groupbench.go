package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// BenchmarkGroup fills a group with store.MaxMembers and empties it again, each as one write: nobody else writes to SQLite meanwhile.
func BenchmarkGroup(b *testing.B, s store.Store) {
	k := &kit{store: s, now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	ok := func(err error) {
		if err != nil {
			b.Helper()
			b.Fatal(err)
		}
	}
	ids := make([]string, store.MaxMembers)
	for i := range ids {
		ids[i] = fmt.Sprintf("usr_%026d", i)
		u := directory.User{ID: ids[i], Email: ids[i] + "@acme.test", Name: ids[i], Source: okta, UserName: ids[i], Enabled: true}
		ok(s.CreateUser(b.Context(), store.UserWrite{Write: k.write(), User: u}))
	}
	w := store.GroupWrite{Write: k.write(), Group: k.sales(), By: oauth.Party{Issuer: "scim", Subject: "okta"}, Issuer: issuer}
	_, err := s.CreateGroup(b.Context(), w)
	ok(err)
	for b.Loop() {
		for _, members := range [][]string{ids, nil} {
			w.Write, w.Members = impersonation.Write{RequestID: oauth.NewID("req"), Now: k.now}, &members
			c, err := s.ChangeGroup(b.Context(), w)
			ok(err)
			if len(c.Added)+len(c.Removed) != len(ids) {
				b.Fatalf("%d came and %d went, of %d", len(c.Added), len(c.Removed), len(ids))
			}
		}
	}
}
