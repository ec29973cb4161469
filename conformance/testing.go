package conformance

import (
	"strings"
	"testing"
)

// Test tries every case against a target as a subtest of its own, called by the case's id, so that -run and t.Skip reach it. A case that failed or could not be tried
// fails its subtest; one that the target has not what it needs for is skipped with the reason. It uses t.Context.
func Test(t *testing.T, target Target, o Options) {
	t.Helper()
	report, err := Run(t.Context(), target, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		t.Run(r.ID, func(t *testing.T) {
			switch r.Status {
			case Failed:
				t.Errorf("%s (%s, %s)\nwant %s\ngot  %s%s", r.Requirement, r.Source, r.Severity, r.Want, r.Got, told(r.Evidence))
			case Blocked:
				t.Errorf("could not be tried: %s%s", r.Reason, told(r.Evidence))
			case Skipped:
				t.Skip(r.Reason)
			}
		})
	}
}

// told is the last of the evidence.
func told(evidence []Exchange) string {
	var b strings.Builder
	for _, e := range evidence[max(0, len(evidence)-3):] {
		b.WriteString("\n" + e.Method + " " + e.URL + "\n  " + e.Body + "\n  " + e.Answer + e.Error)
	}
	return b.String()
}
