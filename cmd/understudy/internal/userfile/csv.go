package userfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
)

const (
	byteOrderMark = "\uFEFF"
	attribute     = "attr." // begins the column of an attribute; its name follows
	separator     = ";"     // of what a cell lists: names of groups may have commas
)

// Columns are those of a CSV file, beside one for each attribute. Any may be left out but for id or email.
var Columns = []string{"id", "email", "name", "organisation", "groups", "roles", "enabled", "protected", "iss", "sub"}

var unknownColumn = "is no column (columns: " + strings.Join(Columns, ", ") + ", attr.NAME; in JSON also attributes, identities)"

func csvRows(r io.Reader, yield func(admin.Row, error) bool) {
	limited := &limit{r: r}
	c := csv.NewReader(limited)
	c.ReuseRecord = true
	limited.left = maxRecord
	header, err := c.Read()
	if err == nil {
		header, err = columns(header)
	}
	if err != nil {
		yield(admin.Row{}, headerError(err))
		return
	}
	for line := 1; ; {
		limited.left = maxRecord
		cells, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.Is(err, errLong):
			yield(admin.Row{}, broken(line, "", "the row after this one %v: is a quote left open? No line after it was looked at", errLong))
			return
		case err != nil && !errors.As(err, new(*csv.ParseError)):
			yield(admin.Row{}, err)
			return
		}
		var row admin.Row
		if err == nil {
			line, _ = c.FieldPos(0)
			row = csvRow(header, cells, line)
		} else {
			err = csvError(err)
		}
		if !yield(row, err) {
			return
		}
	}
}

// columns gives the names of a header, and refuses one that is not known or comes twice.
func columns(header []string) ([]string, error) {
	var out []string
	for n, name := range header {
		if err := checkText(name, "", 1); err != nil { // before ToLower, which mends it
			return nil, err
		}
		if n == 0 {
			name = strings.TrimPrefix(name, byteOrderMark)
		}
		if name = strings.TrimSpace(name); !strings.HasPrefix(strings.ToLower(name), attribute) {
			name = strings.ToLower(name)
		}
		switch {
		case name == "":
			return nil, broken(1, fmt.Sprintf("column %d", n+1), "has no name")
		case slices.Contains(out, name):
			return nil, broken(1, name, "is there twice")
		case !slices.Contains(Columns, name) && (len(name) == len(attribute) || !strings.HasPrefix(strings.ToLower(name), attribute)):
			return nil, broken(1, name, "%s", unknownColumn)
		}
		out = append(out, name)
	}
	if slices.Contains(out, "iss") != slices.Contains(out, "sub") {
		return nil, broken(1, "iss", "and sub must both be there, or none")
	}
	if !slices.Contains(out, "id") && !slices.Contains(out, "email") {
		return nil, broken(1, "id", "or email must be there")
	}
	return out, nil
}

func headerError(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty: its first line names the columns")
	case errors.Is(err, errLong):
		return broken(1, "", "%v", errLong)
	}
	return csvError(err)
}

// csvError says what is wrong with a row that is none.
func csvError(err error) error {
	bad := new(csv.ParseError)
	switch {
	case !errors.As(err, &bad):
		return err
	case errors.Is(err, csv.ErrFieldCount):
		return broken(bad.StartLine, "", "must have as many cells as the first line")
	}
	return broken(bad.StartLine, "", "a cell with a quote must begin and end with one, and have it twice within")
}

// csvRow reads a row. An empty cell empties a text or a list, and is nothing for all else.
func csvRow(columns, cells []string, line int) admin.Row {
	row := admin.Row{Line: line}
	var p oauth.Party
	for n, name := range columns {
		cell := strings.Clone(cells[n])
		if wrong := checkText(cell, name, line); wrong != nil {
			unread(&row, wrong)
			continue
		}
		var err error
		switch name {
		case "id":
			row.ID = strings.TrimSpace(cell)
		case "email":
			row.Email = &cell
		case "name":
			row.Name = &cell
		case "organisation":
			row.Organisation = &cell
		case "groups":
			row.Groups = split(cell)
		case "roles":
			row.Roles = split(cell)
		case "enabled":
			row.Enabled, err = yes(cell)
		case "protected":
			row.Protected, err = yes(cell)
		case "iss":
			p.Issuer = cell
		case "sub":
			p.Subject = cell
		default:
			if row.Attributes == nil {
				row.Attributes = map[string]string{}
			}
			row.Attributes[name[len(attribute):]] = cell
		}
		if err != nil {
			unread(&row, broken(line, name, "%v", err))
		}
	}
	if !p.IsZero() {
		row.Identities = []oauth.Party{p}
	}
	return row
}

func split(cell string) *[]string {
	list := strings.Split(cell, separator)
	for n := range list {
		list[n] = strings.TrimSpace(list[n])
	}
	return &list
}

func yes(cell string) (*bool, error) {
	if cell = strings.TrimSpace(cell); cell == "" {
		return nil, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(cell))
	if err != nil {
		return nil, errors.New("must be true or false")
	}
	return &b, nil
}

// limit fails where a row is too long, before it is all in memory.
type limit struct {
	r    io.Reader
	left int // of this row
}

func (l *limit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.r.Read(p)
	l.left -= n
	return n, err
}
