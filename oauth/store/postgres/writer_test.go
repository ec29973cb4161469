package postgres

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// gate holds each statement up until it is let go, and notes how many writes each had.
type gate struct {
	begun chan int
	let   chan struct{}
}

func (g gate) run(_ context.Context, writes []record) ([]error, error) {
	g.begun <- len(writes)
	<-g.let
	return make([]error, len(writes)), nil
}

// Writes that wait share a statement, but not more rows than a disk takes while the others wait.
func TestBatches(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		writes, rows int
		want         []int // writes by statement, after the first
	}{
		"small ones all at once": {100, 1, []int{100}},
		"as many as share one":   {maxBatch + 10, 1, []int{maxBatch, 10}},
		"long ones apart":        {25, 100, []int{11, 11, 3}},
		"longer than allowed":    {2, 2 * maxRows, []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gate{make(chan int, tc.writes+1), make(chan struct{})}
			w := newWriter(g.run, record.alone, record.rows)
			var all sync.WaitGroup
			do := func(r record) { all.Go(func() { _ = w.do(t.Context(), r) }) }
			do(nil)
			<-g.begun
			for range tc.writes {
				do(make(record, tc.rows))
			}
			for len(w.jobs) < tc.writes {
				runtime.Gosched()
			}
			close(g.let)
			all.Wait()
			w.close()
			close(g.begun)
			var got []int
			for n := range g.begun {
				got = append(got, n)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("statements of %d writes; want %d", got, tc.want)
			}
		})
	}
}
