package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store"
)

const (
	anyAsked = `SELECT EXISTS (SELECT 1 FROM impersonation_session WHERE act_iss = $1 AND ask_at <= $2)`

	// leaseAsked skips what another server is at work with. The order is that of the wait before the lease.
	leaseAsked = `WITH due AS MATERIALIZED (SELECT x.seq, x.ask_at FROM impersonation_session x WHERE x.act_iss = $1 AND x.ask_at <= $2
			ORDER BY x.ask_at LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED),
		leased AS (UPDATE impersonation_session SET ask_at = $3 WHERE seq = ANY (ARRAY(SELECT due.seq FROM due)) RETURNING seq, id, act_iss, act_sub, foreign_token)
		SELECT l.id, l.act_iss, l.act_sub, l.foreign_token FROM leased l JOIN due ON due.seq = l.seq ORDER BY due.ask_at`

	noteHeard = `UPDATE impersonation_session SET heard_at = greatest(heard_at, $2), ask_at = $3 WHERE id = $1 AND ask_at IS NOT NULL`
)

// LeaseAsked implements store.Asking.
func (s *Store) LeaseAsked(ctx context.Context, issuer string, now, until time.Time, limit int) (out []store.Asked, err error) {
	err = s.single(ctx, "leasing who is asked about", func(ctx context.Context, q querier) error {
		out = nil
		var due bool
		if err := row(ctx, q, anyAsked, []any{issuer, now.UnixMilli()}, []any{&due}); err != nil || !due {
			return err
		}
		return each(ctx, q, leaseAsked, []any{issuer, now.UnixMilli(), until.UnixMilli(), limit}, func(r pgx.Rows) error {
			var a store.Asked
			err := r.Scan(text(&a.Session), text(&a.Actor.Issuer), text(&a.Actor.Subject), &a.Token)
			out = append(out, a)
			return err
		})
	})
	return out, err
}

// Heard implements store.Asking.
func (s *Store) Heard(ctx context.Context, session string, at, next time.Time) error {
	return s.single(ctx, "noting what an issuer said", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, noteHeard, session, at.UnixMilli(), next.UnixMilli())
		return err
	})
}
