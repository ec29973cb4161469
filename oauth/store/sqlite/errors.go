package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	code "modernc.org/sqlite/lib"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// Why a file cannot be opened, for who tells an operator what to do.
var (
	ErrCorrupt  = errors.New("not a database, or a damaged one")
	ErrReadOnly = errors.New("the file cannot be written")
	ErrBusy     = errors.New("another program has it locked")
)

// errRefused is for what a caller asked wrongly: it is not worth another try.
var errRefused = errors.New("refused")

// answers are the errors that tell the caller something about the data; everything else is the store's own failure.
var answers = []error{
	impersonation.ErrNotFound, impersonation.ErrSpent, impersonation.ErrChanged,
	store.ErrNotFound, store.ErrExists, store.ErrCursor, store.ErrTooLong, store.ErrTooMany, store.ErrMember, store.ErrClosed, store.ErrNaming, directory.ErrNotFound, errRefused,
}

func isAnswer(err error) bool {
	for _, a := range answers {
		if errors.Is(err, a) {
			return true
		}
	}
	return false
}

// failed wraps err with what we were doing. An answer keeps its identity, a context's error too; all but answers and
// broken constraints are ErrUnavailable.
func failed(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case isAnswer(err), errors.Is(err, store.ErrUnavailable), broken(err):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, store.ErrUnavailable, err)
}

// sqliteCode is the extended result code behind err, 0 if it is none of SQLite's.
func sqliteCode(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// taken reports that err is a UNIQUE or PRIMARY KEY constraint.
func taken(err error) bool {
	c := sqliteCode(err)
	return c == code.SQLITE_CONSTRAINT_UNIQUE || c == code.SQLITE_CONSTRAINT_PRIMARYKEY
}

// broken reports that one write broke a rule of the schema: its own fault, which does not touch its neighbours.
func broken(err error) bool {
	switch sqliteCode(err) & 0xff { // the primary code
	case code.SQLITE_CONSTRAINT, code.SQLITE_MISMATCH, code.SQLITE_TOOBIG:
		return true
	}
	return false
}

// full reports that there may be no room left. Some file systems tell it only at a sync, and shared memory has a code of its own.
func full(err error) bool {
	switch sqliteCode(err) {
	case code.SQLITE_FULL, code.SQLITE_IOERR_WRITE, code.SQLITE_IOERR_FSYNC, code.SQLITE_IOERR_SHMSIZE, code.SQLITE_IOERR_TRUNCATE:
		return true
	}
	return false
}

// refused names why a file cannot be opened, where there is a name.
func refused(err error) error {
	switch sqliteCode(err) & 0xff {
	case code.SQLITE_NOTADB, code.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case code.SQLITE_READONLY, code.SQLITE_CANTOPEN, code.SQLITE_PERM:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case code.SQLITE_BUSY, code.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}
