package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"`
	}
	junitCase struct {
		Name    string    `xml:"name,attr"`
		Class   string    `xml:"classname,attr"`
		Time    string    `xml:"time,attr"`
		Failure *junitEnd `xml:"failure"`
		Error   *junitEnd `xml:"error"`
		Skipped *junitEnd `xml:"skipped"`
	}
	junitEnd struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as JUnit's XML: a suite an area, a case a case. One that failed is a failure whose type is the Kind, one that could not be tried
// is an error.
func (r *Report) WriteJUnit(w io.Writer) error {
	out := junitSuites{Name: printable(r.Target), junitCounts: junitCount(r.Results)}
	out.Time = junitSeconds(r.Duration)
	for _, a := range r.areas() {
		s := junitSuite{Name: string(a.Name), junitCounts: junitCount(a.Results), Timestamp: r.Started.Format(time.RFC3339)}
		for _, result := range a.Results {
			s.Cases = append(s.Cases, junit(result))
		}
		out.Suites = append(out.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junit(r Result) junitCase {
	c := junitCase{Name: r.ID, Class: "conformance." + string(Case{ID: r.ID}.Area()), Time: junitSeconds(r.Duration)}
	switch r.Status {
	case Failed:
		var b strings.Builder
		explained(&b, r)
		evidence(&b, r.last(3), "  ")
		c.Failure = &junitEnd{string(r.Kind), printable(fmt.Sprintf("%s: want %s, got %s", r.Severity, r.Want, r.Got)), printable("\n" + b.String())}
	case Blocked:
		c.Error = &junitEnd{"not tried", printable(r.Reason), ""}
	case Skipped:
		c.Skipped = &junitEnd{"", printable(r.Reason), ""}
	}
	return c
}

func junitCount(results []Result) (n junitCounts) {
	var took Duration
	for _, r := range results {
		n.Tests++
		took += r.Duration
		switch r.Status {
		case Failed:
			n.Failures++
		case Blocked:
			n.Errors++
		case Skipped:
			n.Skipped++
		}
	}
	n.Time = junitSeconds(took)
	return n
}

func junitSeconds(d Duration) string { return fmt.Sprintf("%.3f", time.Duration(d).Seconds()) }
