package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// selectExpired asks for each limit by itself, so that each has its index. The plus keeps SQLite from going through all that live in order.
	selectExpired = `SELECT ` + sessionColumns + ` FROM impersonation_session WHERE seq IN (
			SELECT * FROM (SELECT seq FROM impersonation_session WHERE ended_at IS NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?4)
			UNION SELECT * FROM (SELECT seq FROM impersonation_session WHERE ended_at IS NULL AND last_active_at <= ?2 ORDER BY last_active_at LIMIT ?4)
			UNION SELECT * FROM (SELECT seq FROM impersonation_session WHERE ended_at IS NULL AND heard_at <= ?3 ORDER BY heard_at LIMIT ?4)
		) ORDER BY +expires_at LIMIT ?4`

	touchSession = `UPDATE impersonation_session SET last_active_at = ?2 WHERE id = ?1 AND ended_at IS NULL AND coalesce(last_active_at, 0) < ?2`

	touchItsLogin = `UPDATE login SET last_used_at = ?2 WHERE id = (SELECT login FROM impersonation_session WHERE id = ?1 AND ended_at IS NULL)
		AND ended_at IS NULL AND coalesce(last_used_at, 0) < ?2`

	sweepGrants = `DELETE FROM oauth_grant WHERE id IN
		(SELECT id FROM oauth_grant WHERE coalesce(refresh_expires_at, expires_at, code_expires_at) < ? LIMIT ?)`
	sweepTickets      = `DELETE FROM ticket WHERE hash IN (SELECT hash FROM ticket WHERE expires_at < ? LIMIT ?)`
	sweepReturns      = `DELETE FROM return_token WHERE hash IN (SELECT hash FROM return_token WHERE expires_at < ? LIMIT ?)`
	sweepLogins       = `DELETE FROM login WHERE id IN (SELECT id FROM login WHERE coalesce(ended_at, expires_at) < ? LIMIT ?)`
	sweepUpstreamEnds = `DELETE FROM upstream_end WHERE (upstream, what, value) IN (SELECT upstream, what, value FROM upstream_end WHERE until_at < ? LIMIT ?)`
	sweepSeen         = `DELETE FROM jti_seen WHERE (space, value) IN (SELECT space, value FROM jti_seen WHERE until_at < ? LIMIT ?)`
)

// Touch implements impersonation.Store.
func (s *Store) Touch(ctx context.Context, sid string, now time.Time) error {
	one, err := s.Session(ctx, sid)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !one.Ended.IsZero(), !moved(one.LastActive, now):
		return nil
	}
	return s.update(ctx, "touching a session", func(ctx context.Context, c *conn) error {
		for _, q := range []string{touchItsLogin, touchSession} {
			if _, err := c.exec(ctx, q, sid, now.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Expired implements impersonation.Store.
func (s *Store) Expired(ctx context.Context, now, idle, silent time.Time, limit int) (out []impersonation.Session, err error) {
	err = s.list(ctx, "listing expired sessions", func(ctx context.Context, c *conn) error {
		out, err = c.sessions(ctx, selectExpired, now.UnixMilli(), idle.UnixMilli(), silent.UnixMilli(), limit)
		return err
	})
	return out, err
}

// Sweep implements store.Grants.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) error {
	return s.update(ctx, "sweeping", func(ctx context.Context, c *conn) error {
		for _, q := range []string{sweepGrants, sweepTickets, sweepReturns, sweepLogins, sweepUpstreamEnds} {
			if _, err := c.exec(ctx, q, before.UnixMilli(), limit); err != nil {
				return err
			}
		}
		return nil
	})
}

// SweepUsed implements store.Logins.
func (s *Store) SweepUsed(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := s.update(ctx, "sweeping used values", func(ctx context.Context, c *conn) (err error) {
		n, err = c.exec(ctx, sweepSeen, before.UnixMilli(), limit)
		return err
	})
	if err != nil {
		return 0, err // n may still be written to: a caller who left does not look at it
	}
	return int(n), nil
}
