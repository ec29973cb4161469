package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

func TestMain(m *testing.M) { os.Exit(chaos.Main(m)) }

// over are the rows that each store has for each number of connections.
var over = []string{workFloor, workStart, workStop, workIntrospect, workAction, workBatch}

// TestMeasure runs everything with little of it: no figure may be missing and nothing may have been refused.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for store, raw := range map[string]string{"postgres": rawPgx, "sqlite": rawSQLite} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			r := measure(t, options{stores: []string{store}, conns: []int{1, 3}, length: 200 * time.Millisecond, runs: 1, accounts: 100, starts: 250}, t.Output())
			complete(t, r, store, raw, 1)
			for _, conns := range []int{1, 3} {
				for _, work := range over {
					complete(t, r, store, work, conns)
				}
			}
			var server, database float64
			for _, w := range r.Rows {
				server, database = server+w.Server, database+w.Database
			}
			if server <= 0 || (database > 0) != (store == "postgres") {
				t.Errorf("processor time: %g µs of the server, %g of the database", server, database)
			}
			if len(r.Memory) != 2 || r.Memory[0].RSS <= 1 || r.Memory[1].Starts != 300 || r.Memory[1].Live != 100 || r.Memory[1].Peak < r.Memory[1].RSS {
				t.Errorf("memory = %+v; want it idle and after 300 starts", r.Memory)
			}
			saved(t, r)
		})
	}
}

func complete(t *testing.T, r *report, store, work string, conns int) {
	t.Helper()
	w := r.find(store, work, conns)
	if w == nil || w.Errors != 0 || w.Calls == 0 || w.Rate <= 0 || w.P50 <= 0 || w.P99 < w.P50 || w.Generator <= 0 {
		t.Errorf("%s over %d: got %+v; want every figure and no errors", work, conns, w)
	}
}

// saved demands that what is printed and what is written both hold what was measured.
func saved(t *testing.T, r *report) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "load.json")
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, work := range over {
		if !strings.Contains(out.String(), work) || !strings.Contains(string(text), `"`+work+`"`) {
			t.Errorf("%s is missing in\n%s\nor in\n%s", work, &out, text)
		}
	}
}

// TestProfile runs the server in this process, and looks at what a turn leaves: the profile of each half, and an actor token that was
// not used before.
func TestProfile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, options{conns: []int{2}, length: time.Millisecond, accounts: 5, profiles: dir}, "sqlite", t.Output())
	used := map[string]bool{}
	for range 2 {
		for _, a := range b.accounts {
			if used[a.token] {
				t.Error("an actor token comes a second time")
			}
			used[a.token] = true
		}
		b.startAll()
		b.stopAll()
	}
	b.startsAndStops(2)
	for _, name := range []string{"sqlite-start-2-1.pprof", "sqlite-stop-2-1.pprof"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
