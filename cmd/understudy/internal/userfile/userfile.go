// Package userfile reads files of users for an import: CSV with a header, or a JSON object on each line. Start with [Open]. It
// knows what a file may look like, and nothing of who is there already or may be: package admin does.
package userfile

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth/admin"
)

// Format is how a file is written.
type Format string

// The formats.
const (
	CSV  Format = "csv"  // RFC 4180: commas, double quotes, UTF-8, with or without a byte order mark
	JSON Format = "json" // an object on each line
)

// FormatOf is the format that the name of a file tells: .csv, or .json, .jsonl and .ndjson; "" for any other.
func FormatOf(name string) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV
	case ".json", ".jsonl", ".ndjson":
		return JSON
	}
	return ""
}

// maxRecord is how many bytes a row may have: far more than the longest user, and few enough to be held.
const maxRecord = 1 << 20

// errLong says that a row has more.
var errLong = fmt.Errorf("must have at most %d bytes", maxRecord)

// File is a file of users that can be read more than once. Close it. It serves one reader at a time.
type File struct {
	f      *os.File
	format Format
}

// Open opens the file of this name. What can be read only once, such as a pipe, is kept in a temporary file without a name until Close.
func Open(name string, format Format) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errors.Join(err, f.Close())
	case info.IsDir():
		return nil, errors.Join(fmt.Errorf("%s is a directory", name), f.Close())
	case info.Mode().IsRegular():
		return &File{f: f, format: format}, nil
	}
	file, err := Spool(f, format)
	return file, errors.Join(err, f.Close())
}

// Spool is Open for what is read already, such as the standard input.
func Spool(r io.Reader, format Format) (*File, error) {
	f, err := os.CreateTemp("", "understudy-import-*") // mode 0600
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name()) // at once: people shall not lie about after a crash
	if err == nil {
		_, err = io.Copy(f, r)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{f: f, format: format}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// Rows gives the users of the file from the first on, each time it is ranged over. What is wrong with parts of a row is in its Unread; a row of
// which nothing can be read is an *admin.RowError, and the next row follows; what is wrong with the header or the file ends them.
func (f *File) Rows() iter.Seq2[admin.Row, error] {
	return func(yield func(admin.Row, error) bool) {
		if _, err := f.f.Seek(0, io.SeekStart); err != nil {
			yield(admin.Row{}, err)
			return
		}
		if f.format == JSON {
			jsonRows(f.f, yield)
		} else {
			csvRows(f.f, yield)
		}
	}
}

// Column gives what the file calls a column that admin.ImportConfig calls name.
func (f *File) Column(name string) string {
	if f.format == JSON {
		return name
	}
	if name == "identities" {
		return "iss, sub"
	}
	if of, ok := strings.CutPrefix(name, "attributes"); ok {
		return attribute + strings.TrimPrefix(of, ".")
	}
	return strings.TrimPrefix(name, "identities.")
}

// broken is what is wrong with a row.
func broken(line int, column, format string, args ...any) *admin.RowError {
	return &admin.RowError{Line: line, Column: column, Rule: fmt.Sprintf(format, args...)}
}

// maxUnread is how many parts of a row are told of: a row may have any number.
const maxUnread = 20

// unread adds what could not be read of a row, of each column the first; nil is nothing.
func unread(row *admin.Row, wrong *admin.RowError) {
	told := func(e *admin.RowError) bool { return e.Column == wrong.Column }
	if wrong != nil && len(row.Unread) < maxUnread && !slices.ContainsFunc(row.Unread, told) {
		row.Unread = append(row.Unread, wrong)
	}
}
