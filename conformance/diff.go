package conformance

import (
	"fmt"
	"io"
	"strings"
)

// Diff is what changed between two reports.
type Diff struct {
	// NewlyFailing are failures of the new report that were none in the old, as also a case that was not in it. NewlyPassing failed, or could not be tried,
	// in the old.
	NewlyFailing, NewlyPassing []Result
	// NotTried were tried in the old report, and in the new were left out or could not be tried.
	NotTried []Result
	// Added are in the new report only, Gone in the old only.
	Added, Gone []Result
}

// Compare tells what changed from one report to a later one. Cases are the same by their ids, which never change. Both reports stay as they are.
func Compare(before, after *Report) (d Diff) {
	had, has := before.byID(), after.byID()
	for _, r := range after.Results {
		was, known := had[r.ID]
		tried := was.Status == Passed || was.Status == Failed
		switch {
		case r.Status == Failed && was.Status != Failed:
			d.NewlyFailing = append(d.NewlyFailing, r)
		case r.Status == Passed && (was.Status == Failed || was.Status == Blocked):
			d.NewlyPassing = append(d.NewlyPassing, r)
		case tried && (r.Status == Skipped || r.Status == Blocked):
			d.NotTried = append(d.NotTried, r)
		}
		if !known {
			d.Added = append(d.Added, r)
		}
	}
	for _, r := range before.Results {
		if _, ok := has[r.ID]; !ok {
			d.Gone = append(d.Gone, r)
		}
	}
	return d
}

func (r *Report) byID() map[string]Result {
	all := make(map[string]Result)
	for _, result := range r.Results {
		all[result.ID] = result
	}
	return all
}

// WriteText writes what changed for people to read.
func (d Diff) WriteText(w io.Writer) error {
	var b strings.Builder
	tell := func(what string, all []Result, more func(Result) string) {
		if len(all) > 0 {
			fmt.Fprintf(&b, "%s: %d\n", what, len(all))
		}
		for _, r := range all {
			fmt.Fprintf(&b, "  %s  %s\n", r.ID, strings.ReplaceAll(more(r), "\n", " "))
		}
	}
	tell("newly failing", d.NewlyFailing, func(r Result) string { return fmt.Sprintf("%s %s: want %s, got %s", r.Severity, r.Kind, r.Want, r.Got) })
	tell("newly passing", d.NewlyPassing, func(r Result) string { return r.Requirement })
	tell("no longer tried", d.NotTried, func(r Result) string { return r.Reason })
	tell("added", d.Added, func(r Result) string { return string(r.Status) })
	tell("gone", d.Gone, func(r Result) string { return "was " + string(r.Status) })
	if len(d.NewlyFailing) == 0 {
		b.WriteString("nothing newly fails\n")
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}
