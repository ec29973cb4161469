package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// The values of -o.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml" // config show only
)

func checkOutput(o string) error {
	if o != outputTable && o != outputJSON && o != outputYAML {
		return fmt.Errorf("-o %q: must be table or json (config show: also yaml)", o)
	}
	return nil
}

// table is what a list prints for people.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes v as one JSON object or t as columns.
func (a *app) print(v any, t table) error {
	if a.output == outputJSON {
		return a.printJSON(v)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, c := range row {
			if row[i] = clean(c); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// say prints v as JSON, or the sentence.
func (a *app) say(v any, format string, args ...any) error {
	if a.output == outputJSON {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintln(a.stdout, clean(fmt.Sprintf(format, args...)))
	return err
}

// clean keeps a stranger's name from moving the cursor or turning the text around: control and format characters
// become U+FFFD.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// stamp is a time as all output gives it: UTC, RFC 3339, "" for never.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
