package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// unseen fails to read some sessions.
type unseen struct {
	store.Store
	mu   sync.Mutex
	sids map[string]bool
}

func (u *unseen) LoadSession(ctx context.Context, sid string) (impersonation.Live, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sids[sid] {
		return impersonation.Live{}, errors.New("the row cannot be read")
	}
	return u.Store.LoadSession(ctx, sid)
}

func (u *unseen) set(sids ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sids = make(map[string]bool)
	for _, sid := range sids {
		u.sids[sid] = true
	}
}

// TestStreamRecheckMisses: a session that cannot be looked at keeps no other from being found, and until it can be nobody vouches for any.
func TestStreamRecheckMisses(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		u := new(unseen)
		h := setup(t, o.wrapped(func(s store.Store) store.Store { u.Store = s; return u }))
		h.running()
		r := h.receive("app")
		first, live, last := h.start("ann", "app", "eve", "read"), h.start("ann", "app", "john", "read"), h.start("ann", "app", "eve", "read")
		u.set(first.sid, last.sid) // whichever way they are gone through
		h.change("john", func(u *directory.User) { u.Protected = true })
		r.hears(live.sid)
		vouches := func(want bool) {
			t.Helper()
			within(t, fmt.Sprintf("to vouch: %v", want), func() error {
				if a := r.now(); *a.State.Vouches != want {
					return fmt.Errorf("vouches: %v", !want)
				}
				return nil
			})
		}
		vouches(false)
		u.set()
		vouches(true)
		if got := r.call(http.MethodGet, "/ssf/status?stream_id="+r.id, ""); got.str("status") != "enabled" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}
