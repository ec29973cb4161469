package admin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
)

// TestWriters: a number that is not there is missing, in the middle and at the beginning; each process counts for itself, also beside one of
// another client that has its name, and a page of the trail ends nothing.
func TestWriters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, sid := b.staged()
	telling := func(server, writer string, numbers ...int64) {
		var entries []audit.Entry
		for _, n := range numbers {
			e := audit.New(audit.KindAction, time.Now())
			e.Session = sid
			e.Set("server", server)
			e.Set("writer", writer)
			e.Set("seq", fmt.Sprint(n))
			entries = append(entries, e)
		}
		if err := b.Store.RecordOnce(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(writer string, numbers ...int64) { telling("", writer, numbers...) }
	if got, err := admin.Writers(t.Context(), b.Store, sid); err != nil || len(got) != 0 {
		t.Errorf("before anything was told: %+v, %v", got, err)
	}
	tell("b", 4, 2, 9, 4, 4)
	tell("a", 1, 2, 3)
	tell("", 0, 0)
	var many []int64
	for n := range int64(1500) {
		if n != 700 {
			many = append(many, n+1)
		}
	}
	tell("c", many...)
	telling("orders", "b", 1, 3, 5, 1<<53)
	telling("orders", "a", 1)
	got, err := admin.Writers(t.Context(), b.Store, sid)
	want := []admin.Writer{
		{"", "", 2, 0, []admin.Span{}, []int64{}},
		{"", "a", 3, 3, []admin.Span{}, []int64{}},
		{"", "b", 5, 9, []admin.Span{{1, 1}, {3, 3}, {5, 8}}, []int64{4}},
		{"", "c", 1499, 1500, []admin.Span{{701, 701}}, []int64{}},
		{"orders", "a", 1, 1, []admin.Span{}, []int64{}},
		{"orders", "b", 4, 1 << 53, []admin.Span{{2, 2}, {4, 4}, {6, 1<<53 - 1}}, []int64{}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}
