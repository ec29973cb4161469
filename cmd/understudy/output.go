package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// The values of -o.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml" // config show only
)

// outputs names, as an annotation of a command, the forms that it has beside table and json.
const outputs = "outputs"

func checkOutput(cmd *cobra.Command, o string) error {
	forms := []string{outputTable, outputJSON}
	if more := cmd.Annotations[outputs]; more != "" {
		forms = append(forms, more)
	}
	if !slices.Contains(forms, o) {
		return fmt.Errorf("-o %q: %s has the forms %s", o, cmd.CommandPath(), strings.Join(forms, ", "))
	}
	return nil
}

// maxLimit is the longest page that a store gives.
const maxLimit = 1000

func checkLimit(n int) error {
	if n < 1 || n > maxLimit {
		return misuse{fmt.Errorf("--limit %d: must be 1 to %d", n, maxLimit)}
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

// printLines prints names and values, and leaves out those without a value.
func (a *app) printLines(lines [][2]string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		if line[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", line[0], clean(line[1]))
		}
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

// users counts them in words.
func users(n int) string {
	if n == 1 {
		return "1 user"
	}
	return fmt.Sprintf("%d users", n)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// stamp is a time as all output gives it: UTC, RFC 3339, "" for never.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
