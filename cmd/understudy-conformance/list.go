package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/conformance"
)

// caseOut is a case as JSON.
type caseOut struct {
	ID          string                `json:"id"`
	Area        conformance.Area      `json:"area"`
	Source      string                `json:"source"`
	Level       conformance.Level     `json:"level"`
	Profile     bool                  `json:"profile"`
	Requirement string                `json:"requirement"`
	Why         string                `json:"why"`
	Mend        string                `json:"mend,omitempty"`
	Rows        []string              `json:"rows"`
	KnownFrom   []string              `json:"known_from"`
	Needs       []conformance.Feature `json:"needs"`
	Slow        bool                  `json:"slow"`
	Destructive bool                  `json:"destructive"`
}

func caseOf(c conformance.Case) caseOut {
	return caseOut{ // lists are never null
		c.ID, c.Area(), c.Source, c.Level, c.Profile, c.Requirement, c.Why, c.Mend, append([]string{}, c.Rows...), known(c), append([]conformance.Feature{}, c.Needs...), c.Slow, c.Destructive,
	}
}

// known are the published weaknesses that a case would have found; the list is never nil.
func known(c conformance.Case) []string {
	all := []string{}
	for _, w := range c.KnownFrom() {
		all = append(all, w.String())
	}
	return all
}

func (a *app) listCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list [PATTERN...]", Short: "List the cases by area: id, level and requirement",
		Long: "List the cases by area: id, level and requirement. A pattern is an area, or an id in which * stands for anything but a slash. A level with a + is asked for by this suite and not by the clause itself.",
		RunE: a.does(func(_ context.Context, args []string) error {
			cases, err := chosen(args)
			if err != nil {
				return err
			}
			if asJSON {
				out := []caseOut{}
				for _, c := range cases {
					out = append(out, caseOf(c))
				}
				return a.printJSON(out)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			var area conformance.Area
			for _, c := range cases {
				if c.Area() != area {
					if area != "" {
						fmt.Fprintln(w)
					}
					area = c.Area()
					fmt.Fprintln(w, strings.ToUpper(string(area)))
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", c.ID, level(c), c.Requirement)
			}
			return w.Flush()
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as an array of objects")
	return cmd
}

// level is how strongly it is asked for, with a plus where the clause does not ask so itself.
func level(c conformance.Case) string {
	if c.Profile {
		return string(c.Level) + " +"
	}
	return string(c.Level)
}

// chosen gives the cases that fit one of the patterns, all if there are none.
func chosen(patterns []string) (cases []conformance.Case, err error) {
	used := make(map[string]bool)
	for _, c := range conformance.Cases() {
		fits := len(patterns) == 0
		for _, p := range patterns {
			ok, err := path.Match(p, c.ID)
			if err != nil {
				return nil, fmt.Errorf("%q is no pattern", p)
			}
			if ok || p == string(c.Area()) {
				fits, used[p] = true, true
			}
		}
		if fits {
			cases = append(cases, c)
		}
	}
	for _, p := range patterns {
		if !used[p] {
			return nil, fmt.Errorf("no case is called %q; understudy-conformance list has them all", p)
		}
	}
	return cases, nil
}

func (a *app) explainCmd() *cobra.Command {
	return &cobra.Command{
		Use: "explain ID", Short: "Say what a case asks for, why, and how to mend it", Args: cobra.ExactArgs(1),
		RunE: a.does(func(_ context.Context, args []string) error {
			c, ok := conformance.Find(args[0])
			if !ok {
				return fmt.Errorf("no case is called %q%s", args[0], near(args[0]))
			}
			lines := [][2]string{{"", c.ID}, {"requirement", c.Requirement}, {"source", c.Source}, {"level", string(c.Level)}}
			if c.Profile {
				lines = append(lines, [2]string{"profile", "The clause does not say so itself: this suite asks for it, since impersonation is not safe otherwise. Missing it is a security finding, and no violation of the standard."})
			}
			lines = append(lines, [2]string{"why", c.Why}, [2]string{"mend", c.Mend}, [2]string{"rows", strings.Join(c.Rows, ", ")}, [2]string{"known from", strings.Join(known(c), "; ")}, [2]string{"needs", needs(c)})
			for _, line := range lines {
				if line[0] == "" {
					fmt.Fprintln(a.stdout, line[1])
				} else if line[1] != "" {
					fmt.Fprintf(a.stdout, "  %-12s %s\n", line[0], line[1])
				}
			}
			return nil
		}),
	}
}

// needs tells what a case cannot be tried without, the switches of run too.
func needs(c conformance.Case) string {
	var all []string
	for _, f := range c.Needs {
		all = append(all, string(f))
	}
	if c.Slow {
		all = append(all, "--slow")
	}
	if c.Destructive {
		all = append(all, "--allow-destructive")
	}
	return strings.Join(all, ", ")
}

// near proposes cases of which a part of the id is like that of another.
func near(id string) string {
	_, name, _ := strings.Cut(id, "/")
	var found []string
	for _, c := range conformance.Cases() {
		_, its, _ := strings.Cut(c.ID, "/")
		if strings.Contains(c.ID, id) || name != "" && (strings.Contains(its, name) || strings.Contains(name, its)) {
			found = append(found, c.ID)
		}
	}
	if len(found) == 0 || len(found) > 5 {
		return "; understudy-conformance list has them all"
	}
	return "; did you mean " + strings.Join(found, " or ") + "?"
}
