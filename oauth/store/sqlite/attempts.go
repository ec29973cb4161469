package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectAttempt = `SELECT counting, locked_at FROM sign_in_attempt WHERE key = ?`

	putAttempt = `INSERT INTO sign_in_attempt (key, counting, locked_at, forget_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET counting = excluded.counting, locked_at = excluded.locked_at, forget_at = excluded.forget_at`

	deleteAttempt = `DELETE FROM sign_in_attempt WHERE key = ?`

	// sweepAttempts takes a hundred at most: a stranger decides how many there are.
	sweepAttempts = `DELETE FROM sign_in_attempt WHERE key IN (SELECT key FROM sign_in_attempt WHERE forget_at <= ? LIMIT 100)`

	insertSeen = `INSERT INTO jti_seen (space, value, until_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
)

// attempts is a row of sign_in_attempt: for each failure until when it counts, in milliseconds, and the lock.
type attempts struct {
	counting []int64
	locked   time.Time
}

func (c *conn) attempts(ctx context.Context, key oauth.Hash, now time.Time) (a attempts, err error) {
	var counting string
	err = c.row(ctx, selectAttempt, []any{key[:]}, []any{&counting, at{&a.locked}})
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	var all []int64
	if err := json.Unmarshal([]byte(counting), &all); err != nil {
		return a, err
	}
	for _, until := range all {
		if until > now.UnixMilli() {
			a.counting = append(a.counting, until)
		}
	}
	if !a.locked.After(now) {
		a.locked = time.Time{}
	}
	return a, nil
}

func (a attempts) answer() store.Attempt {
	return store.Attempt{Failures: len(a.counting), Locked: a.locked}
}

// Attempt implements store.Logins.
func (s *Store) Attempt(ctx context.Context, key oauth.Hash, now time.Time) (out store.Attempt, err error) {
	err = s.look(ctx, "reading sign-in failures", func(ctx context.Context, c *conn) error {
		a, err := c.attempts(ctx, key, now)
		out = a.answer()
		return err
	})
	return out, err
}

// Failed implements store.Logins.
func (s *Store) Failed(ctx context.Context, key oauth.Hash, now time.Time, window time.Duration, limit int, lock time.Duration) (store.Attempt, error) {
	var a attempts
	var refused bool
	err := s.update(ctx, "counting a sign-in failure", func(ctx context.Context, c *conn) (err error) {
		if _, err := c.exec(ctx, sweepAttempts, now.UnixMilli()); err != nil {
			return err
		}
		if a, err = c.attempts(ctx, key, now); err != nil {
			return err
		}
		if refused = !a.locked.IsZero(); refused {
			return nil
		}
		forget := a.fail(now, window, limit, lock)
		counting, _ := json.Marshal(a.counting) // numbers always marshal
		_, err = c.exec(ctx, putAttempt, key[:], string(counting), ms(a.locked), forget)
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
	return s.update(ctx, "forgetting sign-in failures", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, deleteAttempt, key[:])
		return err
	})
}

// UseOnce implements store.Logins.
func (s *Store) UseOnce(ctx context.Context, space, value string, _, until time.Time) error {
	if err := store.CheckKeys(space, value); err != nil {
		return failed("using a value once", err)
	}
	return s.update(ctx, "using a value once", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, insertSeen, space, value, ms(until))
		if err == nil && n == 0 {
			return store.ErrSpent
		}
		return err
	})
}
