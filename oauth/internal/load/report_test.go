package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	r := report{Runs: []row{
		{Store: "postgres", Work: workStart, Conns: 16, Rate: 1, P50: 30, Errors: 1}, {Store: "postgres", Work: workStart, Conns: 64, Rate: 7},
		{Store: "postgres", Work: workStart, Conns: 16, Rate: 5, P50: 10}, {Store: "postgres", Work: workStart, Conns: 16, Rate: 3, P50: 20, Errors: 1},
	}}
	r.sum()
	want := []row{{Store: "postgres", Work: workStart, Conns: 16, Rate: 3, P50: 20, Errors: 2}, {Store: "postgres", Work: workStart, Conns: 64, Rate: 7}}
	if diff := cmp.Diff(want, r.Rows); diff != "" {
		t.Errorf("medians, -want +got:\n%s", diff)
	}
}

// TestVerdicts holds the bounds from both sides.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, met := range []bool{true, false} {
		t.Run(fmt.Sprint(met), func(t *testing.T) {
			t.Parallel()
			off := 1.01 // worse
			if met {
				off = 0.99
			}
			pg := func(work string, conns int, rate, p50, p99 float64) row {
				return row{Store: "postgres", Work: work, Conns: conns, Calls: 1, Rate: rate / off, P50: p50 * off, P99: p99 * off}
			}
			start := func(conns int) row {
				w := pg(workStart, conns, 200, 0, 40)
				w.Server, w.Database = 300*off, 100*off
				return w
			}
			raw := func(conns int) row { return row{Store: "postgres", Work: rawPgbench, Conns: conns, Rate: 1000} }
			stop := func(conns int) row { return pg(workStop, conns, 200/off, 0, 0) }
			r := report{
				Runs: []row{raw(16), raw(64), pg(workStart, 1, 1, 1.2, 9), start(16), start(64), {Store: "sqlite", Work: workStart, Conns: 64, Calls: 1, Rate: 3000 / off},
					stop(16), stop(64), pg(workIntrospect, 64, 9000, 0, 25), pg(workBatch, 64, 10_000, 0, 0), pg(workAction, 1, 0, 0, 8)},
				Memory: []held{{Store: "postgres", memory: memory{RSS: 40 * off}}, {Store: "postgres", Starts: 1, memory: memory{RSS: 96 * off}}},
			}
			if !met {
				r.Runs[0].Errors = 1 // raw's own: it shows in the last verdict alone
			}
			r.sum()
			if len(r.Verdicts) != 16 {
				t.Errorf("%d verdicts; want 16", len(r.Verdicts))
			}
			for _, v := range r.Verdicts {
				if v.Met != met {
					t.Errorf("got %+v; want met %t", v, met)
				}
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var m meter
	for i := range 101 {
		m.took = append(m.took, time.Duration(100-i)*time.Millisecond)
	}
	m.elapsed, m.things, m.cpu.server, m.cpu.machine = time.Second, 3, 101*time.Millisecond, 351*time.Millisecond
	got := m.row("sqlite")
	if got.P50 != 50 || got.P99 != 99 || got.Rate != 303 || got.Server != 1000 || got.Others != 0.25 {
		t.Errorf("got %+v; want p50 50 ms, p99 99 ms, 303 a second, 1000 µs of the server, a quarter of a core of others", got)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"-store=oracle", "-conns=1,,2", "-conns=0", "-runs=0", "-accounts=0", "-seconds=0s", "-starts=-1", "more"} {
		if o, err := parse([]string{bad}); err == nil {
			t.Errorf("%s: got %+v; want an error", bad, o)
		}
	}
	o, err := parse([]string{"-store=sqlite", "-conns=2,9", "-seconds=1m", "-runs=5"})
	if err != nil || len(o.conns) != 2 || o.conns[1] != 9 || o.stores[0] != "sqlite" || o.length != time.Minute || o.runs != 5 || o.accounts != 10_000 {
		t.Errorf("got %+v, %v", o, err)
	}
}
