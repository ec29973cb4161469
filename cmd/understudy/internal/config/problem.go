package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Where string // "understudy.yaml:3", "env UNDERSTUDY_LISTEN", "flag --listen"
	What  string
	Hint  string // what to do about it; may be ""
}

// Error is where and what.
func (p *Problem) Error() string { return p.Where + ": " + p.What }

// Problems are the Problems that were joined into err.
func Problems(err error) []*Problem {
	var p *Problem
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*Problem
		for _, e := range j.Unwrap() {
			out = append(out, Problems(e)...)
		}
		return out
	}
	if errors.As(err, &p) {
		return []*Problem{p}
	}
	return nil
}

var (
	unknownKey = regexp.MustCompile(`^line (\d+): field (\S+) not found in type`)
	wrongType  = regexp.MustCompile("^line (\\d+): cannot unmarshal !!(\\S+)(?: `(.*)`)? into (\\S+)$")
	atLine     = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
)

// yamlProblems puts what the YAML library says in words of the file instead of Go types.
func yamlProblems(name string, err error) error {
	texts := []string{err.Error()}
	var te *yaml.TypeError
	if errors.As(err, &te) {
		texts = te.Errors
	}
	var errs []error
	for _, t := range texts {
		errs = append(errs, yamlProblem(name, t))
	}
	return errors.Join(errs...)
}

func yamlProblem(name, text string) error {
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		return unknown(name+":"+m[1], "key", m[2], yamlNames())
	}
	if m := wrongType.FindStringSubmatch(text); m != nil {
		return &Problem{Where: name + ":" + m[1], What: fmt.Sprintf("%s is not %s", cmp.Or(m[3], "this"), wanted(m[4]))}
	}
	if m := atLine.FindStringSubmatch(text); m != nil {
		return &Problem{Where: name + ":" + m[1], What: m[2]}
	}
	return &Problem{Where: name, What: strings.TrimPrefix(text, "yaml: ")}
}

// wanted names a Go type to somebody who writes YAML.
func wanted(goType string) string {
	switch {
	case goType == "time.Duration":
		return "a duration such as 10m or 1h30m"
	case goType == "bool":
		return "true or false"
	case goType == "int":
		return "a whole number"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "string" || goType == "oauth.Secret" || goType == "oauth.Mode" || goType == "policy.ScopeClass":
		return "a text"
	}
	return "a group of keys"
}

// unknown is the problem of a name that nobody knows, with those it may have meant.
func unknown(where, what, name string, known []string) error {
	p := &Problem{Where: where, What: fmt.Sprintf("unknown %s %q", what, name), Hint: "understudy help configuration lists all"}
	if near := Near(name, known); len(near) > 0 {
		p.Hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return p
}

// yamlNames are all names of keys, of every depth.
func yamlNames() []string {
	var out []string
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return
		}
		for i := range t.NumField() {
			if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
				out = append(out, name)
				walk(t.Field(i).Type)
			}
		}
	}
	walk(reflect.TypeFor[Config]())
	slices.Sort(out)
	return slices.Compact(out)
}

// Near are the names of known that are at most a third of name's length away from it, nearest first, at most three.
// That all our variables begin alike makes none of them nearer.
func Near(name string, known []string) []string {
	type hit struct {
		name string
		far  int
	}
	var hits []hit
	short := strings.TrimPrefix(name, EnvPrefix)
	for _, k := range known {
		if d := distance(short, strings.TrimPrefix(k, EnvPrefix)); d <= max(1, len(short)/3) {
			hits = append(hits, hit{k, d})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return a.far - b.far })
	var out []string
	for _, h := range hits[:min(3, len(hits))] {
		out = append(out, h.name)
	}
	return out
}

// distance counts the letters to insert, drop or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
