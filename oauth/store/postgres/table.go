package postgres

import (
	"fmt"
	"strings"
)

// table is rows column by column, as unnest takes them: many rows are as many parameters as one.
type table [][]any

func newTable(columns string) table { return make(table, len(strings.Split(columns, ","))) }

func (t table) add(values ...any) {
	for i, v := range values {
		t[i] = append(t[i], v)
	}
}

// args are the parameters of the tables, one array for each column.
func args(tables ...table) (out []any) {
	for _, t := range tables {
		for _, column := range t {
			out = append(out, column)
		}
	}
	return out
}

// unnested is a table as an item of FROM. Its columns are "name type, name type" and take the parameters from first on; the
// column ord counts its rows from 1.
func unnested(alias, columns string, first int) string {
	var arrays, names []string
	for i, c := range strings.Split(columns, ",") {
		name, kind, _ := strings.Cut(strings.TrimSpace(c), " ")
		arrays, names = append(arrays, fmt.Sprintf("$%d::%s[]", first+i, kind)), append(names, name)
	}
	return fmt.Sprintf("unnest(%s) WITH ORDINALITY AS %s(%s, ord)", strings.Join(arrays, ", "), alias, strings.Join(names, ", "))
}
