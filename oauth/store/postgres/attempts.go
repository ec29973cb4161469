package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectAttempt = `SELECT counting, locked_at FROM sign_in_attempt WHERE key = $1`

	// lockAttempt makes the row if there is none, and locks it.
	lockAttempt = `INSERT INTO sign_in_attempt AS a (key, counting, forget_at) VALUES ($1, '{}', $2)
		ON CONFLICT (key) DO UPDATE SET forget_at = a.forget_at RETURNING counting, locked_at`

	putAttempt = `UPDATE sign_in_attempt SET counting = $2, locked_at = $3, forget_at = $4 WHERE key = $1`

	deleteAttempt = `DELETE FROM sign_in_attempt WHERE key = $1`

	// sweepAttempts takes a hundred at most: a stranger decides how many there are.
	sweepAttempts = `DELETE FROM sign_in_attempt WHERE key = ANY (ARRAY(SELECT key FROM sign_in_attempt WHERE forget_at <= $1 LIMIT 100 FOR UPDATE SKIP LOCKED))`

	insertSeen = `INSERT INTO jti_seen (space, value, until_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
)

// attempts is a row of sign_in_attempt: for each failure until when it counts, in milliseconds, and the lock.
type attempts struct {
	counting []int64
	locked   time.Time
}

// readAttempts reads by query what still counts at now.
func readAttempts(ctx context.Context, q querier, now time.Time, query string, args ...any) (a attempts, err error) {
	var all []int64
	err = row(ctx, q, query, args, []any{&all, at{&a.locked}})
	if errors.Is(err, pgx.ErrNoRows) {
		return a, nil
	}
	for _, until := range all {
		if until > now.UnixMilli() {
			a.counting = append(a.counting, until)
		}
	}
	if !a.locked.After(now) {
		a.locked = time.Time{}
	}
	return a, err
}

func (a attempts) answer() store.Attempt {
	return store.Attempt{Failures: len(a.counting), Locked: a.locked}
}

// Attempt implements store.Logins.
func (s *Store) Attempt(ctx context.Context, key oauth.Hash, now time.Time) (out store.Attempt, err error) {
	err = s.single(ctx, "reading sign-in failures", func(ctx context.Context, q querier) error {
		a, err := readAttempts(ctx, q, now, selectAttempt, key[:])
		out = a.answer()
		return err
	})
	return out, err
}

// Failed implements store.Logins.
func (s *Store) Failed(ctx context.Context, key oauth.Hash, now time.Time, window time.Duration, limit int, lock time.Duration) (store.Attempt, error) {
	var a attempts
	var refused bool
	err := s.update(ctx, "counting a sign-in failure", func(ctx context.Context, t *tx) (err error) {
		if _, err := exec(ctx, t, sweepAttempts, now.UnixMilli()); err != nil {
			return err
		}
		if a, err = readAttempts(ctx, t, now, lockAttempt, key[:], now.UnixMilli()); err != nil {
			return err
		}
		if refused = !a.locked.IsZero(); refused {
			return nil
		}
		forget := a.fail(now, window, limit, lock)
		_, err = exec(ctx, t, putAttempt, key[:], append([]int64{}, a.counting...), ms(a.locked), forget)
		return err
	})
	if err != nil {
		return store.Attempt{}, err
	}
	out := a.answer()
	out.Refused = refused
	return out, nil
}

// fail adds a failure and gives when the row is of the past.
func (a *attempts) fail(now time.Time, window time.Duration, limit int, lock time.Duration) (forget int64) {
	until := now.Add(window).UnixMilli()
	if a.counting = append(a.counting, until); len(a.counting) >= limit {
		a.counting, a.locked = nil, now.Add(lock).UTC().Truncate(time.Millisecond)
	}
	if a.locked.IsZero() {
		return until
	}
	return max(until, a.locked.UnixMilli())
}

// Succeeded implements store.Logins.
func (s *Store) Succeeded(ctx context.Context, key oauth.Hash) error {
	return s.single(ctx, "forgetting sign-in failures", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, deleteAttempt, key[:])
		return err
	})
}

// UseOnce implements store.Logins.
func (s *Store) UseOnce(ctx context.Context, space, value string, _, until time.Time) error {
	if err := store.CheckKeys(space, value); err != nil {
		return failed("using a value once", err)
	}
	return s.single(ctx, "using a value once", func(ctx context.Context, q querier) error {
		n, err := exec(ctx, q, insertSeen, space, value, ms(until))
		if err == nil && n == 0 {
			return store.ErrSpent
		}
		return err
	})
}
