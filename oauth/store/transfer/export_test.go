package transfer

// Column is one that is copied.
type Column struct{ Table, Column, Type string }

// Columns are all that are copied.
func Columns() (out []Column) {
	for _, t := range tables {
		for _, c := range t.columns {
			out = append(out, Column{t.name, c.name, string(c.kind)})
		}
	}
	return out
}

// OnlyOne is the lock of a copy.
const OnlyOne = onlyOne
