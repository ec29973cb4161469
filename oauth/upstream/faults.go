package upstream

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// faults are the rules that a configuration breaks: who mends one wants to know of all.
type faults []error

// add notes a rule, which begins with the name of its field, where it is broken.
func (f *faults) add(broken bool, rule string, args ...any) {
	if broken {
		*f = append(*f, fmt.Errorf("upstream: "+rule, args...))
	}
}

// algorithms notes those that nobody may sign with.
func (f *faults) algorithms(have []string) {
	known := func(a string) bool { return slices.Contains(tokens.Algorithms(), a) }
	f.add(len(have) == 0 || slices.ContainsFunc(have, func(a string) bool { return !known(a) }), "algorithms must be some of %s", strings.Join(tokens.Algorithms(), ", "))
}

// join is nil where nothing is broken.
func (f faults) join() error { return errors.Join(f...) }
