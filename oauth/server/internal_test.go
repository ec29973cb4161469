package server

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/store"
)

// X-Forwarded-For counts only from a trusted proxy, and only up to the first hop that is none: the rest anybody could have written.
func TestAddress(t *testing.T) {
	t.Parallel()
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	cases := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "192.0.2.1:1", nil, "192.0.2.1"},
		{"a stranger's header", "192.0.2.1:1", []string{"198.51.100.7"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"what the client wrote before", "10.0.0.1:1", []string{"1.2.3.4, 198.51.100.7"}, "198.51.100.7"},
		{"two proxies", "10.0.0.1:1", []string{"198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		{"two headers", "10.0.0.1:1", []string{"1.2.3.4", "198.51.100.7"}, "198.51.100.7"},
		{"no address", "10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		{"only proxies", "10.0.0.1:1", []string{"10.0.0.3"}, "10.0.0.3"},
		{"IPv6", "[::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"mapped", "[::ffff:10.0.0.1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			for _, f := range c.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if got := trusted.address(r); got != c.want {
				t.Errorf("address = %q; want %q", got, c.want)
			}
		})
	}
}

// used is a store that has so many used values.
type used struct {
	store.Store
	left   int
	before time.Time
}

func (u *used) SweepUsed(_ context.Context, before time.Time, limit int) (int, error) {
	n := min(u.left, limit)
	u.left, u.before = u.left-n, before
	return n, nil
}

// A sweep of used values takes all of them, however many came since the last, but none that a replica with a slower clock could still
// be asked about.
func TestSweepUsed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, n := range []int{0, 1, 3000, 12345} {
		u := &used{left: n}
		s := &Server{store: u, now: func() time.Time { return now }}
		if err := s.sweepUsed(t.Context()); err != nil || u.left != 0 || u.before.After(now.Add(-2*time.Second)) {
			t.Errorf("%d of %d values are left after a sweep to %s, %v", u.left, n, u.before, err)
		}
	}
}
