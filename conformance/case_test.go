package conformance

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCases: each case says all that a report needs, under an id of its own, and covers rows that there are.
func TestCases(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("testdata/rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Fields(string(list))
	id := regexp.MustCompile(`^[a-z]+(-[a-z]+)*/[a-z0-9]+(-[a-z0-9]+)*$`)
	levels := []Level{Must, MustNot, Should, ShouldNot, May}
	seen := make(map[string]bool)
	for _, c := range Cases() {
		switch {
		case !id.MatchString(c.ID):
			t.Errorf("%q is no id", c.ID)
		case seen[c.ID]:
			t.Errorf("%s comes twice", c.ID)
		case c.Source == "" || !slices.Contains(levels, c.Level):
			t.Errorf("%s has no source, or no level", c.ID)
		case !strings.HasSuffix(c.Requirement, ".") || !strings.HasSuffix(c.Why, "."):
			t.Errorf("%s: requirement and reason are sentences", c.ID)
		case c.try == nil:
			t.Errorf("%s tries nothing", c.ID)
		}
		seen[c.ID] = true
		for _, row := range c.Rows {
			if !slices.Contains(rows, row) {
				t.Errorf("%s covers %s, which is no row", c.ID, row)
			}
		}
		for _, f := range c.Needs {
			if !slices.Contains(features(), f) {
				t.Errorf("%s needs %s, which is no feature", c.ID, f)
			}
		}
	}
}
