package store

import (
	"fmt"
	"strings"
)

// CopyState is what a database is in the middle of while an installation moves from one to another.
type CopyState string

// The states. A database that no copy has to do with has none of them.
const (
	// Copying is a source whose copy is not done. Nobody may change it.
	Copying CopyState = "copying"
	// Moved is a source whose copy is the installation now.
	Moved CopyState = "moved"
	// Filling is a target whose copy is not done.
	Filling CopyState = "filling"
)

// Mark is what a copy writes into installation.marker of both sides. The zero value is no mark.
type Mark struct {
	State CopyState
	Copy  string // "cpy_" and 26 characters: the same on both sides
}

// String is the marker as stored.
func (m Mark) String() string { return string(m.State) + ":" + m.Copy }

// MarkOf reads a marker. ok is false for one that no copy has written, such as that of an ordinary or a demo database.
func MarkOf(marker string) (m Mark, ok bool) {
	state, id, _ := strings.Cut(marker, ":")
	m = Mark{CopyState(state), id}
	switch {
	case id == "":
	case m.State == Copying, m.State == Moved, m.State == Filling:
		return m, true
	}
	return Mark{}, false
}

// CheckMark is ErrUnavailable where a copy is under way or the installation has moved, whoever had opened the database before;
// nil for any other marker. Ready of a backend asks it.
func CheckMark(marker string) error {
	if m, ok := MarkOf(marker); ok {
		return fmt.Errorf("%w: the database is marked %q: a copy has to do with it", ErrUnavailable, m)
	}
	return nil
}
