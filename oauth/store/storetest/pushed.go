package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// pushed writes a request that lives for a minute.
func (k *kit) pushed() store.PushedRequest {
	k.Helper()
	p := store.PushedRequest{Hash: oauth.NewSecret().Hash(), Client: app, Form: "scope=openid+profile&state=%C3%A4%26", Created: k.now, Expires: k.now.Add(time.Minute)}
	k.ok(k.store.PushRequest(k.Context(), p))
	return p
}

var pushedCases = []testCase{
	{"pushed/round-trip", "a pushed request comes back as it was, by the hash of its secret alone", func(k *kit) {
		p := k.pushed()
		got, err := k.store.PushedRequest(k.Context(), p.Hash)
		k.ok(err)
		k.same("PushedRequest", got, p)
		_, err = k.store.PushedRequest(k.Context(), oauth.NewSecret().Hash())
		k.wantErr("unknown", err, store.ErrNotFound)
		k.wantErr("the same again", k.store.PushRequest(k.Context(), p), store.ErrExists)
	}},
	{"pushed/once", "a pushed request is used once, and whoever comes again is told so", func(k *kit) {
		p := k.pushed()
		k.ok(k.store.UsePushedRequest(k.Context(), p.Hash, k.now))
		k.wantErr("again", k.store.UsePushedRequest(k.Context(), p.Hash, k.now), store.ErrSpent)
		k.wantErr("again, later", k.store.UsePushedRequest(k.Context(), p.Hash, p.Expires), store.ErrSpent)
		k.wantErr("unknown", k.store.UsePushedRequest(k.Context(), oauth.NewSecret().Hash(), k.now), store.ErrNotFound)
		if got, err := k.store.PushedRequest(k.Context(), p.Hash); err != nil || got.Used != k.now {
			k.Errorf("got %v, %v; want used", got.Used, err)
		}
	}},
	{"pushed/expired", "a pushed request cannot be used from the moment of its end on", func(k *kit) {
		p := k.pushed()
		k.wantErr("at its end", k.store.UsePushedRequest(k.Context(), p.Hash, p.Expires), store.ErrNotFound)
		k.ok(k.store.UsePushedRequest(k.Context(), p.Hash, p.Expires.Add(-time.Millisecond)))
	}},
	{"pushed/race", "of many who use a pushed request at once, one succeeds", func(k *kit) {
		p := k.pushed()
		var won, lost atomic.Int32
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				switch err := k.store.UsePushedRequest(k.Context(), p.Hash, k.now); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, store.ErrSpent):
					lost.Add(1)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || lost.Load() != 15 {
			k.Errorf("%d won and %d found it spent; want 1 and 15", won.Load(), lost.Load())
		}
	}},
	{"pushed/sweep", "a sweep takes requests that are past, used or not, as many as asked", func(k *kit) {
		p, q := k.pushed(), k.pushed()
		k.ok(k.store.UsePushedRequest(k.Context(), p.Hash, k.now))
		k.ok(k.store.SweepPushedRequests(k.Context(), p.Expires, 100))
		left := func() (n int) {
			for _, hash := range []oauth.Hash{p.Hash, q.Hash} {
				if _, err := k.store.PushedRequest(k.Context(), hash); err == nil {
					n++
				}
			}
			return n
		}
		if n := left(); n != 2 {
			k.Errorf("a sweep at their end left %d, want both", n)
		}
		for _, want := range []int{1, 0} {
			k.ok(k.store.SweepPushedRequests(k.Context(), p.Expires.Add(time.Second), 1))
			if n := left(); n != want {
				k.Errorf("a sweep of one left %d, want %d", n, want)
			}
		}
	}},
}
