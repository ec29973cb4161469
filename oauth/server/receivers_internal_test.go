package server

import (
	"slices"
	"testing"
	"time"
)

// TestReceivers: a client that fails is left alone for a second, then two, up to five minutes, is asked by one try at a time, and is as
// others are once it was reached.
func TestReceivers(t *testing.T) {
	t.Parallel()
	r, now := newReceivers(), time.Unix(1_800_000_000, 0)
	room := func(what string, want int, busy ...string) {
		t.Helper()
		if got, ids := r.room(now); got != want || !slices.Equal(ids, busy) {
			t.Errorf("%s: got room for %d, busy %q; want %d, %q", what, got, ids, want, busy)
		}
	}
	r.begin("rp")
	room("one try", 7)
	r.begin("rp")
	room("two tries", 6, "rp")
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		until, first := r.failed("rp", now)
		if again, _ := r.failed("rp", now); until != now.Add(want*time.Second) || again != until || first != (i == 0) {
			t.Errorf("failure %d: got %v, and %v for one beside it, first %v; want %v for both", i, until.Sub(now), again.Sub(now), first, want*time.Second)
		}
		if i == 0 {
			r.end("rp")
		}
		r.end("rp")
		room("left alone", 8, "rp")
		now = until
		room("asked again", 8)
		r.begin("rp")
		room("by one", 7, "rp")
	}
	r.reached("rp")
	room("reached", 7)
	if until, first := r.failed("rp", now); !first || until != now.Add(time.Second) {
		t.Errorf("after it was reached: got %v, %v; want it to begin again", until.Sub(now), first)
	}
	r.reached("rp")
	if r.end("rp"); len(r.clients) != 0 {
		t.Errorf("got %d clients to remember, want none", len(r.clients))
	}
}
