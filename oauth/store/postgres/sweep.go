package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// selectExpired asks for each limit by itself, so that each has its index. They hold what has no reason of its end yet.
	selectExpired = `SELECT ` + sessionColumns + ` FROM (
			(SELECT x.seq FROM impersonation_session x WHERE x.ended_at IS NULL AND x.end_reason = '' AND x.expires_at <= $1 ORDER BY x.expires_at LIMIT $4)
			UNION (SELECT x.seq FROM impersonation_session x WHERE x.ended_at IS NULL AND x.end_reason = '' AND x.last_active_at <= $2 ORDER BY x.last_active_at LIMIT $4)
			UNION (SELECT x.seq FROM impersonation_session x WHERE x.ended_at IS NULL AND x.end_reason = '' AND x.heard_at <= $3 ORDER BY x.heard_at LIMIT $4)
		) k CROSS JOIN LATERAL (SELECT * FROM impersonation_session WHERE seq = k.seq OFFSET 0) s
		ORDER BY s.expires_at LIMIT $4`

	touchSession = `UPDATE impersonation_session SET last_active_at = $2 WHERE id = $1 AND ended_at IS NULL AND coalesce(last_active_at, 0) < $2`

	touchItsLogin = `UPDATE login SET last_used_at = $2 WHERE id = (SELECT login FROM impersonation_session WHERE id = $1 AND ended_at IS NULL)
		AND ended_at IS NULL AND coalesce(last_used_at, 0) < $2`

	// What somebody is at work with is left for the next sweep.
	sweepGrants = `DELETE FROM oauth_grant WHERE id = ANY (ARRAY(
		SELECT id FROM oauth_grant WHERE coalesce(refresh_expires_at, expires_at, code_expires_at) < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`
	sweepTickets      = `DELETE FROM ticket WHERE hash = ANY (ARRAY(SELECT hash FROM ticket WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`
	sweepReturns      = `DELETE FROM return_token WHERE hash = ANY (ARRAY(SELECT hash FROM return_token WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`
	sweepLogins       = `DELETE FROM login WHERE id = ANY (ARRAY(SELECT id FROM login WHERE coalesce(ended_at, expires_at) < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`
	sweepUpstreamEnds = `DELETE FROM upstream_end WHERE (upstream, what, value) IN (SELECT upstream, what, value FROM upstream_end WHERE until_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`
	sweepSeen         = `DELETE FROM jti_seen WHERE (space, value) IN (SELECT space, value FROM jti_seen WHERE until_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`
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
	return s.update(ctx, "touching a session", func(ctx context.Context, t *tx) error {
		for _, q := range []string{touchItsLogin, touchSession} {
			if _, err := exec(ctx, t, q, sid, now.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Expired implements impersonation.Store.
func (s *Store) Expired(ctx context.Context, now, idle, silent time.Time, limit int) (out []impersonation.Session, err error) {
	err = s.single(ctx, "listing expired sessions", func(ctx context.Context, q querier) error {
		out, err = sessions(ctx, q, selectExpired, now.UnixMilli(), idle.UnixMilli(), silent.UnixMilli(), limit)
		return err
	})
	return out, err
}

// Sweep implements store.Grants.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) error {
	for _, q := range []string{sweepGrants, sweepTickets, sweepReturns, sweepLogins, sweepUpstreamEnds} {
		if err := s.single(ctx, "sweeping", func(ctx context.Context, c querier) error {
			_, err := exec(ctx, c, q, before.UnixMilli(), limit)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// SweepUsed implements store.Logins.
func (s *Store) SweepUsed(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.single(ctx, "sweeping used values", func(ctx context.Context, q querier) error {
		deleted, err := exec(ctx, q, sweepSeen, before.UnixMilli(), limit)
		n = int(deleted)
		return err
	})
	return n, err
}
