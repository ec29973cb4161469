package store_test

import (
	"errors"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
)

func TestMark(t *testing.T) {
	t.Parallel()
	for marker, want := range map[string]store.Mark{
		"copying:cpy_1": {State: store.Copying, Copy: "cpy_1"}, "moved:cpy_1": {State: store.Moved, Copy: "cpy_1"},
		"filling:cpy_1": {State: store.Filling, Copy: "cpy_1"}, "": {}, "demo": {}, "moved": {}, "moved:": {}, "removed:cpy_1": {},
	} {
		m, ok := store.MarkOf(marker)
		marked := want != store.Mark{}
		if m != want || ok != marked || ok && m.String() != marker {
			t.Errorf("%q: got %v, %v; want %v", marker, m, ok, want)
		}
		if err := store.CheckMark(marker); errors.Is(err, store.ErrUnavailable) != marked || !marked && err != nil {
			t.Errorf("%q: got %v, want ErrUnavailable: %v", marker, err, marked)
		}
	}
}
