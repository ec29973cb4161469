package transfer

import (
	"fmt"
	"strings"
)

// Problem is a value that cannot be copied, or that was not copied as it is. It names where, and never the value.
type Problem struct {
	Table  string
	Key    string // of the row: IDs in quotes, numbers, hashes in hexadecimal
	Column string // "" for the whole row
	Rule   error  // what is wrong with it
}

// Error is the problem on one line.
func (p *Problem) Error() string {
	where := p.Table + " (" + p.Key + ")"
	if p.Column != "" {
		where += "." + p.Column
	}
	return where + " " + p.Rule.Error()
}

// Unwrap gives the rule.
func (p *Problem) Unwrap() error { return p.Rule }

// ProblemsError is what Copy and Verify answer when the two sides are, or would be, different.
type ProblemsError struct {
	// What was found first; at most 20 of them.
	Problems []*Problem
	// Count is how many there are.
	Count int
	// Changed reports that the copy had begun: both sides are marked. Otherwise nothing was changed.
	Changed bool
	// Moved reports that the copy was finished: whoever serves the target makes it differ, which is no fault.
	Moved bool

	what string
}

// Error is what was found, a line each.
func (e *ProblemsError) Error() string {
	lines := []string{fmt.Sprintf("%s: %d", e.what, e.Count)}
	for _, p := range e.Problems {
		lines = append(lines, p.Error())
	}
	if e.Count > len(e.Problems) {
		lines = append(lines, "and more")
	}
	return strings.Join(lines, "\n")
}

// maxProblems is what a person reads before mending the first ones.
const maxProblems = 20

func (e *ProblemsError) add(p *Problem) {
	if e.Count++; len(e.Problems) < maxProblems {
		e.Problems = append(e.Problems, p)
	}
}

// orNil is e if there is any problem.
func (e *ProblemsError) orNil() error {
	if e.Count == 0 {
		return nil
	}
	return e
}
