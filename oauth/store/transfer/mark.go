package transfer

import (
	"errors"
	"fmt"
	"strings"
)

// State is what a database is in the middle of.
type State string

// The states. A database that no copy has to do with has none of them.
const (
	// Copying is a source whose copy is not done. Nobody may change it.
	Copying State = "copying"
	// Moved is a source whose copy is the installation now.
	Moved State = "moved"
	// Filling is a target whose copy is not done.
	Filling State = "filling"
)

// Mark is what a copy writes into installation.marker of both sides.
type Mark struct {
	State State
	Copy  string // "cpy_" and 26 characters: the same on both sides
}

// String is the marker as stored.
func (m Mark) String() string { return string(m.State) + ":" + m.Copy }

// MarkOf reads a marker. ok is false for one that no copy has written, such as that of an ordinary or a demo database.
func MarkOf(marker string) (m Mark, ok bool) {
	state, id, _ := strings.Cut(marker, ":")
	m = Mark{State(state), id}
	switch m.State {
	case Copying, Moved, Filling:
		return m, id != ""
	}
	return Mark{}, false
}

var (
	// ErrSource: the file cannot be copied: it is a demo database, the target of a copy, or has moved elsewhere.
	ErrSource = errors.New("the source cannot be copied")
	// ErrTarget: the database is not empty and does not hold this copy. Nothing was changed in it.
	ErrTarget = errors.New("the target is not empty")
	// ErrOwner: the role of the connection does not own the tables.
	ErrOwner = errors.New("the role does not own the tables")
	// ErrBusy: another copy writes to the target, or somebody has locked its tables.
	ErrBusy = errors.New("the target is busy")
	// ErrNotMarked: no copy has begun, so there is nothing to reopen or to compare.
	ErrNotMarked = errors.New("no copy was begun")
	// ErrMoved: the installation lives in Postgres now. To reopen the file would make it two.
	ErrMoved = errors.New("the installation has moved")
)

// next is what a run has to do, from where the sides stand.
type next struct {
	id    string
	fresh bool // both sides are to be marked
	done  bool // an earlier run did everything
}

// plan decides by the markers and by whether both sides have the name of one installation. id is for a fresh copy. A target is
// cleared after its source has moved, so of a source that is Copying no target is alive. One that finds its target unmarked was cut
// short between the two marks, or has another target now: a fresh ID makes sure that the earlier target is never finished too.
func plan(source, target string, sameName bool, id string) (next, error) {
	from, marked := MarkOf(source)
	into, filling := MarkOf(target)
	switch {
	case source != "" && !marked:
		return next{}, fmt.Errorf("%w: it is marked %q", ErrSource, source)
	case marked && from.State == Filling:
		return next{}, fmt.Errorf("%w: it is itself the target of a copy", ErrSource)
	case target != "" && !filling:
		return next{}, fmt.Errorf("%w: it is marked %q", ErrTarget, target)
	case filling && into != Mark{Filling, from.Copy}:
		return next{}, fmt.Errorf("%w: it holds another copy, which was not finished: %s", ErrTarget, into.Copy)
	case filling:
		return next{id: from.Copy}, nil
	case from.State == Moved && sameName:
		return next{id: from.Copy, done: true}, nil
	case from.State == Moved:
		return next{}, fmt.Errorf("%w to another database: %w", ErrMoved, ErrSource)
	}
	return next{id: id, fresh: true}, nil
}
