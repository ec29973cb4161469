package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

var (
	// errRefused is for what a caller asked wrongly: it is not worth another try.
	errRefused = errors.New("refused")
	errClosed  = errors.New("closed")
)

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
	case code(err) == insufficientPrivilege:
		return fmt.Errorf("%s: %w: %w: %w", doing, store.ErrUnavailable, ErrPrivilege, err) // also a grant that a newer schema asks for
	}
	return fmt.Errorf("%s: %w: %w", doing, store.ErrUnavailable, err)
}

// The codes that mean something of their own, from appendix A of Postgres' manual.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
	readOnlyTransaction  = "25006"
	notInRepertoire      = "22021"
)

// code is the SQLSTATE behind err, "" if it is none of Postgres'.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// taken reports that err is a UNIQUE or PRIMARY KEY constraint.
func taken(err error) bool { return code(err) == uniqueViolation }

// broken reports that one write broke a rule of the schema, or has a value that no column can hold: its own fault, which does
// not touch its neighbours. The classes are: data exception, integrity constraint, program limit.
func broken(err error) bool {
	c := code(err)
	return c != "" && (c[:2] == "22" || c[:2] == "23" || c[:2] == "54")
}

// again reports that nothing happened and that the same call may well succeed now: two met crosswise, somebody held a lock for
// longer than a second, or the connection was dead before anything was sent.
func again(err error) bool {
	c := code(err)
	return c == serializationFailure || c == deadlockDetected || c == lockNotAvailable || c == "" && pgconn.SafeToRetry(err)
}

// tries is how often a call runs at most. Who loses twice against others that lock in the same order is unlucky, not stuck.
const tries = 3

// unheard of: text with a zero byte or that is no UTF-8 is in no column, so a search for it has found nothing.
func unheard(err error) error {
	if code(err) == notInRepertoire {
		return pgx.ErrNoRows
	}
	return err
}

// exists turns a broken uniqueness into its answer.
func exists(err error) error {
	if taken(err) {
		return store.ErrExists
	}
	return err
}

// missing turns a missing row into its answer.
func missing(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// ours gives a missing row the name that package impersonation has for it.
func ours(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return impersonation.ErrNotFound
	}
	return err
}
