package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// noticeEnded writes down that clients are to be told of what is in "ended": each sid once, however many rows have it. The name of
	// the setting with its quotes and colon stands in no text of JSON: there a quote has a backslash before it. Where it stands in a
	// JWK set, the notice is of a client without one. OFFSET is what it is in one.
	noticeEnded = `INSERT INTO logout_notice (client, sid, created_at, next_at)
		SELECT DISTINCT e.client, e.sid, e.at, e.at FROM ended e CROSS JOIN LATERAL (SELECT settings FROM client WHERE id = e.client OFFSET 0) c
		WHERE position('"backchannel_logout_uri":' IN c.settings) > 0`

	noticeLogin  = `WITH ended AS (` + knows + `l.id = $2 OFFSET 0) ` + noticeEnded
	noticeUser   = `WITH ended AS (` + knows + `l.user_id = $2 OFFSET 0) ` + noticeEnded
	noticeClient = `WITH ended AS (SELECT DISTINCT g.client, g.login AS sid, $1::bigint AS at FROM oauth_grant g
			CROSS JOIN LATERAL (SELECT 1 FROM login WHERE id = g.login AND ended_at IS NULL OFFSET 0) l
		WHERE g.client = $2 AND g.jti IS NOT NULL OFFSET 0) ` + noticeEnded

	// knows finds the clients that know of logins which live: so it comes before their end, but after they were locked. A grant that
	// was revoked counts too: the client has the person signed in all the same.
	knows = `SELECT DISTINCT g.client, l.id AS sid, $1::bigint AS at FROM login l
			CROSS JOIN LATERAL (SELECT client FROM oauth_grant WHERE login = l.id AND jti IS NOT NULL OFFSET 0) g
		WHERE l.ended_at IS NULL AND `

	anyNotice = `SELECT coalesce(min(next_at) <= $1, false) FROM logout_notice`

	// leaseNotices goes by the clients, which are few, so that one with many notices hides nobody's. What another
	// server is at work with is skipped.
	leaseNotices = `WITH due AS MATERIALIZED (SELECT d.seq, c.settings, d.next_at FROM client c CROSS JOIN LATERAL (
				SELECT x.seq, x.next_at FROM logout_notice x WHERE x.client = c.id AND x.next_at <= $1 ORDER BY x.next_at LIMIT 1 FOR UPDATE SKIP LOCKED) d
			WHERE c.id <> ALL ($3::text[])
			ORDER BY d.next_at, d.seq LIMIT $4),
		leased AS (UPDATE logout_notice SET next_at = $2 WHERE seq = ANY (ARRAY(SELECT due.seq FROM due)) RETURNING seq, client, sid, created_at)
		SELECT n.seq, n.client, due.settings, n.sid, n.created_at FROM leased n JOIN due ON due.seq = n.seq ORDER BY due.next_at, due.seq`

	delayNotice    = `UPDATE logout_notice SET next_at = $2 WHERE seq = $1`
	dropNotice     = `DELETE FROM logout_notice WHERE seq = $1`
	dropOldNotices = `DELETE FROM logout_notice WHERE client = $1 AND created_at <= $2`
)

// LeaseNotices implements store.Notices.
func (s *Store) LeaseNotices(ctx context.Context, now, until time.Time, busy []string, limit int) (out []store.Notice, err error) {
	if busy == nil {
		busy = []string{} // NULL would leave out everybody
	}
	err = s.single(ctx, "leasing notices", func(ctx context.Context, q querier) error {
		out = nil
		var due bool
		if err := row(ctx, q, anyNotice, []any{now.UnixMilli()}, []any{&due}); err != nil || !due {
			return err
		}
		return each(ctx, q, leaseNotices, []any{now.UnixMilli(), until.UnixMilli(), busy, limit}, func(r pgx.Rows) error {
			var n store.Notice
			err := r.Scan(&n.ID, text(&n.Client), clientSettings{&n.Settings}, text(&n.Session), at{&n.Created})
			out = append(out, n)
			return err
		})
	})
	return out, err
}

// DelayNotice implements store.Notices.
func (s *Store) DelayNotice(ctx context.Context, id int64, next time.Time) error {
	return s.single(ctx, "delaying a notice", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, delayNotice, id, next.UnixMilli())
		return err
	})
}

// DropNotice implements store.Notices.
func (s *Store) DropNotice(ctx context.Context, id int64) error {
	return s.single(ctx, "dropping a notice", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, dropNotice, id)
		return err
	})
}

// DropOldNotices implements store.Notices.
func (s *Store) DropOldNotices(ctx context.Context, client string, before time.Time) (n int64, err error) {
	err = s.single(ctx, "giving up notices", func(ctx context.Context, q querier) error {
		n, err = exec(ctx, q, dropOldNotices, client, before.UnixMilli())
		return err
	})
	return n, err
}
