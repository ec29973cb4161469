package conformance

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Schema is the version of a Report's JSON. A member is never removed nor changed in meaning under the same version; one may be added.
const Schema = 1

// Status is what became of a case.
type Status string

// The outcomes.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"  // the target does not do what is required
	Skipped Status = "skipped" // it has not what the case needs, or the case was not asked for; Result.Reason says which
	Blocked Status = "blocked" // it could not be tried: what has to go before it failed
)

// Severity is what a failure lets happen.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // somebody gets a token or an answer that they must not have
	High     Severity = "high"     // who acts is hidden or wrong, or what ended goes on
	Medium   Severity = "medium"   // a protection behind another is missing
	Low      Severity = "low"      // refused as it must be, but said in the wrong way
)

// Kind is what a failure is called.
type Kind string

// The kinds. Only what breaks a MUST or a MUST NOT of a clause is called a violation of it.
const (
	Violation       Kind = "violation"        // of a MUST or MUST NOT of the clause
	Departure       Kind = "departure"        // from what the clause only recommends, or leaves open
	SecurityFinding Kind = "security finding" // of a profile case: the clause allows it, and impersonation is not safe by it
)

// kind gives what a failure of c is called.
func kind(c Case) Kind {
	switch {
	case c.Profile:
		return SecurityFinding
	case c.Level == Must || c.Level == MustNot:
		return Violation
	}
	return Departure
}

// Report is what came of a run.
type Report struct {
	Schema   int       `json:"schema"`
	Target   string    `json:"target"`
	Issuer   string    `json:"issuer"`
	Started  time.Time `json:"started"`  // RFC 3339
	Duration Duration  `json:"duration"` // seconds
	Requests int       `json:"requests"`
	Cases    int       `json:"cases"` // how many were chosen; as many as Results unless the run was ended
	// Without are the features that the target has not, sorted.
	Without []Feature `json:"without"`
	Results []Result  `json:"results"`
	// Interrupted tells that the run was ended before all cases were tried.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Result is what came of one case.
type Result struct {
	ID          string `json:"id"`
	Source      string `json:"source"`
	Level       Level  `json:"level"`
	Profile     bool   `json:"profile,omitempty"`
	Requirement string `json:"requirement"`
	Status      Status `json:"status"`
	// Kind and Severity are of a failure.
	Kind     Kind     `json:"kind,omitempty"`
	Severity Severity `json:"severity,omitempty"`
	// Want and Got are of a failure, Reason is of what was skipped or blocked.
	Want   string `json:"want,omitempty"`
	Got    string `json:"got,omitempty"`
	Reason string `json:"reason,omitempty"`
	// KnownFrom are, of a failure, the published weaknesses that the case would have found: see Case.KnownFrom.
	KnownFrom []string `json:"known_from,omitempty"`
	// Duration is in seconds.
	Duration Duration `json:"duration"`
	// Evidence is every request of the case and its answer, without secrets.
	Evidence []Exchange `json:"evidence,omitempty"`
}

// Duration is a time.Duration that is written in seconds.
type Duration time.Duration

// MarshalJSON gives seconds, to the millisecond.
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(d).Seconds(), 'f', 3, 64), nil
}

// UnmarshalJSON reads seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return err
	}
	*d = Duration(seconds * float64(time.Second))
	return nil
}

// Count gives how many cases ended so.
func (r *Report) Count(s Status) (n int) {
	for _, result := range r.Results {
		if result.Status == s {
			n++
		}
	}
	return n
}

// OK reports whether something was tried, and all of that held.
func (r *Report) OK() bool {
	return r.Count(Passed) > 0 && r.Count(Failed) == 0 && r.Count(Blocked) == 0 && !r.Interrupted
}

// WriteJSON writes the report as one JSON object, indented, of the members that Report, Result and Exchange document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// maxReport bounds what ReadReport takes: 40 exchanges of some KiB in each of some hundred cases.
const maxReport = 256 << 20

// ReadReport reads what WriteJSON has written, also by a later version of this package under the same Schema. Its errors tell what else was read.
func ReadReport(from io.Reader) (*Report, error) {
	d := json.NewDecoder(io.LimitReader(from, maxReport))
	r := new(Report)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("this is no report in JSON: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("this is no report of schema %d: its schema is %d", Schema, r.Schema)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the report")
	}
	return r, nil
}

// severities are those that there are, the worst first.
var severities = []Severity{Critical, High, Medium, Low}

// findings are the failures, the worst first.
func (r *Report) findings() []Result {
	failed := r.with(Failed)
	slices.SortStableFunc(failed, func(a, b Result) int {
		return cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity))
	})
	return failed
}

// with gives the results of a status.
func (r *Report) with(s Status) (found []Result) {
	for _, result := range r.Results {
		if result.Status == s {
			found = append(found, result)
		}
	}
	return found
}

// alike are cases that ended for one reason.
type alike struct {
	Reason string
	IDs    []string
}

// reasons gives the results of a status by their reason, in the order of the first of each: one wrong password stops a hundred cases.
func (r *Report) reasons(s Status) (all []alike) {
	for _, result := range r.with(s) {
		i := slices.IndexFunc(all, func(a alike) bool { return a.Reason == result.Reason })
		if i < 0 {
			i, all = len(all), append(all, alike{Reason: result.Reason})
		}
		all[i].IDs = append(all[i].IDs, result.ID)
	}
	return all
}

// area is a part of the results.
type area struct {
	Name    Area
	Results []Result
}

// areas gives the results by area, in the order of the first of each.
func (r *Report) areas() (all []area) {
	for _, result := range r.Results {
		name := Case{ID: result.ID}.Area()
		i := slices.IndexFunc(all, func(a area) bool { return a.Name == name })
		if i < 0 {
			i, all = len(all), append(all, area{Name: name})
		}
		all[i].Results = append(all[i].Results, result)
	}
	return all
}

// Summary is one sentence about the run, such as "2 findings: of 65 cases 60 passed, 2 failed, 0 could not be tried, 3 left out".
func (r *Report) Summary() string {
	found := "nothing found"
	switch n := r.Count(Failed); {
	case n == 1:
		found = "1 finding"
	case n > 1:
		found = fmt.Sprintf("%d findings", n)
	}
	s := fmt.Sprintf("%s: of %d cases %d passed, %d failed, %d could not be tried, %d left out", found, r.Cases, r.Count(Passed), r.Count(Failed), r.Count(Blocked), r.Count(Skipped))
	if r.Interrupted {
		s += fmt.Sprintf("; the run was ended after %d", len(r.Results))
	}
	return s
}

// Called tells what a failure is, and of what: a violation of a clause, a departure from it, or a security finding.
func (r Result) Called() string {
	switch r.Kind {
	case SecurityFinding:
		return fmt.Sprintf("security finding: this suite asks for it (%s), beside %s", r.Level, r.Source)
	case Departure:
		return fmt.Sprintf("departure from %s (%s)", r.Source, r.Level)
	}
	return fmt.Sprintf("violation of %s (%s)", r.Source, r.Level)
}

// last gives the end of the evidence, where a failure shows.
func (r Result) last(n int) []Exchange { return r.Evidence[max(0, len(r.Evidence)-n):] }

// printable keeps what a server says from moving the cursor or turning the text around: control and format characters, but for the end of a line and a tab,
// become U+FFFD. XML takes what is left.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) || c == 0xFFFE || c == 0xFFFF {
			return unicode.ReplacementChar
		}
		return c
	}, s)
}
