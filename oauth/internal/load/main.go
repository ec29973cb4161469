// Command load measures a server of ours: how many starts, stops, introspections and records of actions it answers in a second,
// how long each takes, what processor time and memory that costs, and how far all that is from what the database could do.
//
//	go run ./oauth/internal/load -runs 5
//
// It starts a Postgres and a server of its own, as processes, and removes them. Progress goes to stderr, the table to stdout. What it
// prints holds for this machine while nothing else works on it; quote ratios of one run. It reads /proc, so it needs Linux. It is
// no test of what the answers say, beyond that none may be a refusal.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

// options are what can be chosen.
type options struct {
	stores   []string
	conns    []int
	length   time.Duration // of each measurement
	runs     int
	accounts int
	starts   int    // before memory is looked at
	json     string // file, or ""
	profiles string // directory, or ""
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	h := &host{ctx: ctx}
	err = h.run(func(t testing.TB) {
		if o.profiles == "" {
			defer os.RemoveAll(filepath.Dir(chaos.Binary(t)))
		}
		r := measure(t, o, os.Stderr)
		if o.json != "" {
			if err := r.save(o.json); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.print(os.Stdout); err != nil {
			t.Fatal(err)
		}
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// long is what starts are without a flag, where UNDERSTUDY_LONG is set and where not.
const long, short = 1_000_000, 100_000

func parse(args []string) (options, error) {
	var o options
	starts := short
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		starts = long
	}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	stores := f.String("store", "both", "sqlite, postgres or both")
	conns := f.String("conns", "1,16,64", "how many connections at once, one measurement each")
	f.DurationVar(&o.length, "seconds", 5*time.Second, "how long a measurement lasts")
	f.IntVar(&o.runs, "runs", 1, "how many runs; the table has the median of each figure")
	f.IntVar(&o.accounts, "accounts", 10_000, "how many actors, each with a login and tokens, and how many sessions can live at once")
	f.IntVar(&o.starts, "starts", starts, "how many starts before memory is looked at; 0 leaves that out")
	f.StringVar(&o.json, "json", "", "a `file` for all figures of all runs")
	f.StringVar(&o.profiles, "cpuprofile", "", "a `directory` for profiles; the server then runs in this process, which costs it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch *stores {
	case "both":
		o.stores = []string{"postgres", "sqlite"}
	case "postgres", "sqlite":
		o.stores = []string{*stores}
	default:
		return o, fmt.Errorf("-store %q must be sqlite, postgres or both", *stores)
	}
	for s := range strings.SplitSeq(*conns, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-conns %q must be numbers with commas between them", *conns)
		}
		o.conns = append(o.conns, n)
	}
	if o.runs < 1 || o.accounts < 1 || o.starts < 0 || o.length <= 0 || f.NArg() > 0 {
		return o, fmt.Errorf("-runs, -accounts and -seconds must be positive, -starts not negative, and there are no other arguments")
	}
	return o, nil
}

// measure does all that o asks for.
func measure(t testing.TB, o options, progress io.Writer) *report {
	r := &report{}
	for _, store := range o.stores {
		b := newBench(t, o, store, progress)
		r.Memory = append(r.Memory, held{store, 0, 0, b.idle})
		for run := range o.runs {
			b.say("run %d of %d", run+1, o.runs)
			r.Runs = append(r.Runs, b.run(run)...)
		}
		if o.starts > 0 {
			r.Memory = append(r.Memory, b.memoryAfter(o.starts))
		}
	}
	r.sum()
	return r
}
