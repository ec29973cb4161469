package conformance

import (
	"strconv"
	"time"
)

// Schema is the version of a Report's JSON. A member is never removed nor changed in meaning under the same version.
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
