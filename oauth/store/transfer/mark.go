package transfer

import (
	"errors"
	"fmt"

	"github.com/understudy-id/understudy/oauth/store"
)

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
	from, marked := store.MarkOf(source)
	into, filling := store.MarkOf(target)
	switch {
	case source != "" && !marked:
		return next{}, fmt.Errorf("%w: it is marked %q", ErrSource, source)
	case marked && from.State == store.Filling:
		return next{}, fmt.Errorf("%w: it is itself the target of a copy", ErrSource)
	case target != "" && !filling:
		return next{}, fmt.Errorf("%w: it is marked %q", ErrTarget, target)
	case filling && into != (store.Mark{State: store.Filling, Copy: from.Copy}):
		return next{}, fmt.Errorf("%w: it holds another copy, which was not finished: %s", ErrTarget, into.Copy)
	case filling:
		return next{id: from.Copy}, nil
	case from.State == store.Moved && sameName:
		return next{id: from.Copy, done: true}, nil
	case from.State == store.Moved:
		return next{}, fmt.Errorf("%w to another database: %w", ErrMoved, ErrSource)
	}
	return next{id: id, fresh: true}, nil
}
