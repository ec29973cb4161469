// Command tests reads what "go test -json" wrote and tells people about it: a line a package, the output of what failed
// (-failed), or the slowest tests (-slowest N).
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of a build that failed
	Elapsed                       float64
}

func main() {
	log.SetFlags(0)
	failed := flag.Bool("failed", false, "print the output of what failed")
	slowest := flag.Int("slowest", 0, "print so many of the slowest tests only")
	flag.Parse()
	var all []event
	for _, name := range flag.Args() {
		events, err := read(name)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, events...)
	}
	if *slowest > 0 {
		printSlowest(os.Stdout, all, *slowest)
		return
	}
	printPackages(os.Stdout, all)
	if *failed {
		printFailed(os.Stdout, all)
	}
}

func read(name string) ([]event, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []event
	for d := json.NewDecoder(f); ; {
		var e event
		switch err := d.Decode(&e); err {
		case nil:
			all = append(all, e)
		case io.EOF:
			return all, nil
		default:
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// printPackages prints the line that go test itself would: "ok", "FAIL" or "?".
func printPackages(w io.Writer, all []event) {
	for _, e := range all {
		if e.Action != "output" || e.Test != "" {
			continue
		}
		for _, start := range []string{"ok  ", "FAIL\t", "?   "} {
			if strings.HasPrefix(e.Output, start) {
				fmt.Fprint(w, e.Output)
			}
		}
	}
}

func printFailed(w io.Writer, all []event) {
	bad := map[string]bool{}
	for _, e := range all {
		if e.Action == "fail" || e.Action == "build-fail" {
			bad[e.Package+e.ImportPath+" "+e.Test] = true
		}
	}
	for _, e := range all {
		if e.Output != "" && bad[e.Package+e.ImportPath+" "+e.Test] {
			fmt.Fprint(w, e.Output)
		}
	}
}

func printSlowest(w io.Writer, all []event, n int) {
	tests := slices.DeleteFunc(all, func(e event) bool { return e.Test == "" || e.Action != "pass" })
	slices.SortFunc(tests, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	for _, e := range tests[:min(n, len(tests))] {
		fmt.Fprintf(w, "%7.1f s  %s %s\n", e.Elapsed, e.Package, e.Test)
	}
}
