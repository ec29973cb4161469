// Package findings compares what the suite finds at a server that others wrote with what was found before: [Check] is all that a test of such a server needs.
// A line that is new or gone tells that the server has changed, or that the suite has become less fair to it, or more.
package findings

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/conformance"
)

var update = flag.Bool("update", false, "rewrite testdata/findings.txt")

// Check runs the suite, but what waits for something to run out, against a target and demands that its findings are those of testdata/findings.txt: a line each, of id, severity and kind, or of id and blocked
// for what could not be tried. Nothing may be missing, and the run ends by itself. With -update it writes the file, and with -v it tells what was wanted and what came.
// The cases called unsteady find something in one run and nothing in the next, by chance or by a race: they are left out.
func Check(t *testing.T, target conformance.Target, unsteady ...string) {
	t.Helper()
	report, err := conformance.Run(t.Context(), target, conformance.Options{Destructive: true, RequestTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if report.Interrupted || len(report.Results) != report.Cases {
		t.Fatalf("the run ended after %d of %d cases", len(report.Results), report.Cases)
	}
	got := list(t, report, unsteady)
	file := filepath.Join("testdata", "findings.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, now := lines(string(want)), lines(got)
	for line := range before {
		if !now[line] {
			t.Errorf("no longer found: %s", line)
		}
	}
	for line := range now {
		if !before[line] {
			t.Errorf("newly found: %s", line)
		}
	}
	t.Logf("%s: %d cases, %d passed, %d failed, %d skipped, %d could not be tried; %d requests; without %q", report.Target, report.Cases, report.Count(conformance.Passed),
		report.Count(conformance.Failed), report.Count(conformance.Skipped), report.Count(conformance.Blocked), report.Requests, report.Without)
}

// list is the findings, in the order of the cases.
func list(t *testing.T, report *conformance.Report, unsteady []string) string {
	t.Helper()
	var b strings.Builder
	for _, r := range report.Results {
		switch r.Status {
		case conformance.Failed:
			t.Logf("%s %s: %s\n\twant %s\n\tgot  %s", r.Severity, r.ID, r.Requirement, r.Want, r.Got)
			if slices.Contains(unsteady, r.ID) {
				continue
			}
			fmt.Fprintf(&b, "%s %s %s\n", r.ID, r.Severity, r.Kind)
		case conformance.Blocked:
			fmt.Fprintf(&b, "%s blocked\n", r.ID)
			t.Logf("blocked %s: %s", r.ID, r.Reason)
		}
	}
	return b.String()
}

func lines(s string) map[string]bool {
	all := make(map[string]bool)
	for line := range strings.Lines(s) {
		all[strings.TrimSpace(line)] = true
	}
	return all
}
