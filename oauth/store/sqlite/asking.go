package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/understudy-id/understudy/oauth/store"
)

const (
	anyAsked = `SELECT EXISTS (SELECT 1 FROM impersonation_session WHERE act_iss = ? AND ask_at <= ?)`

	selectAsked = `SELECT id, act_iss, act_sub, foreign_token FROM impersonation_session WHERE act_iss = ? AND ask_at <= ? ORDER BY ask_at LIMIT ?`

	leaseAsked = `UPDATE impersonation_session SET ask_at = ?2 WHERE id = ?1 AND ask_at IS NOT NULL`

	noteHeard = `UPDATE impersonation_session SET heard_at = max(heard_at, ?2), ask_at = ?3 WHERE id = ?1 AND ask_at IS NOT NULL`
)

// LeaseAsked implements store.Asking.
func (s *Store) LeaseAsked(ctx context.Context, issuer string, now, until time.Time, limit int) ([]store.Asked, error) {
	var due bool
	err := s.look(ctx, "looking for who is asked about", func(ctx context.Context, c *conn) error {
		return c.row(ctx, anyAsked, []any{issuer, now.UnixMilli()}, []any{&due})
	})
	if err != nil || !due {
		return nil, err
	}
	var out []store.Asked
	err = s.update(ctx, "leasing who is asked about", func(ctx context.Context, c *conn) (err error) {
		if out, err = c.asked(ctx, issuer, now.UnixMilli(), limit); err != nil {
			return err
		}
		for _, a := range out {
			if _, err := c.exec(ctx, leaseAsked, a.Session, until.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err // out may still be written to: a caller who left does not look at it
	}
	return out, nil
}

func (c *conn) asked(ctx context.Context, args ...any) (out []store.Asked, err error) {
	err = c.each(ctx, selectAsked, args, func(r *sql.Rows) error {
		var a store.Asked
		err := r.Scan(&a.Session, &a.Actor.Issuer, &a.Actor.Subject, &a.Token)
		out = append(out, a)
		return err
	})
	return out, err
}

// Heard implements store.Asking.
func (s *Store) Heard(ctx context.Context, session string, at, next time.Time) error {
	return s.update(ctx, "noting what an issuer said", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, noteHeard, session, at.UnixMilli(), next.UnixMilli())
		return err
	})
}
