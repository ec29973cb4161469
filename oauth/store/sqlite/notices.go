package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/understudy-id/understudy/oauth/store"
)

const (
	insertNotices = `INSERT INTO logout_notice (client, sid, created_at, next_at) `

	// listens tells whether client c wants to be told. The name with its quotes and colon stands in no text of JSON: there a quote has
	// a backslash before it. Where it stands in a JWK set, the notice is of a client without one.
	listens = `instr(c.settings, '"backchannel_logout_uri":') > 0`

	noticeSessions = insertNotices + `SELECT s.client, s.id, ?1, ?1 FROM impersonation_session s JOIN client c ON c.id = s.client
		WHERE s.id IN (SELECT value FROM json_each(?2)) AND ` + listens

	// noticeGrants goes by the logins that live, so it comes before their end and before any deletion of grants. A grant that was revoked
	// counts too: the client has the person signed in all the same.
	noticeGrants = insertNotices + `SELECT DISTINCT g.client, g.login, ?1, ?1 FROM login l JOIN oauth_grant g ON g.login = l.id JOIN client c ON c.id = g.client
		WHERE l.ended_at IS NULL AND g.jti IS NOT NULL AND ` + listens + ` AND `
	noticeLogin  = noticeGrants + `l.id = ?2`
	noticeUser   = noticeGrants + `l.user_id = ?2`
	noticeClient = noticeGrants + `g.client = ?2`

	anyNotice = `SELECT EXISTS (SELECT 1 FROM logout_notice WHERE next_at <= ?)`

	// dueNotices goes by the clients, which are few, so that one with many notices hides nobody's.
	dueNotices = `SELECT n.seq, n.client, c.settings, n.sid, n.created_at FROM client c JOIN logout_notice n ON n.seq =
			(SELECT x.seq FROM logout_notice x WHERE x.client = c.id AND x.next_at <= ?1 ORDER BY x.next_at LIMIT 1)
		WHERE c.id NOT IN (SELECT value FROM json_each(?2)) ORDER BY n.next_at, n.seq LIMIT ?3`

	delayNotice    = `UPDATE logout_notice SET next_at = ?2 WHERE seq = ?1`
	dropNotice     = `DELETE FROM logout_notice WHERE seq = ?`
	dropOldNotices = `DELETE FROM logout_notice WHERE client = ? AND created_at <= ?`
)

// noticeSessions writes down that the clients of sessions are to be told of their end.
func (c *conn) noticeSessions(ctx context.Context, now time.Time, ids ...string) error {
	_, err := c.exec(ctx, noticeSessions, now.UnixMilli(), list(ids))
	return err
}

// LeaseNotices implements store.Notices.
func (s *Store) LeaseNotices(ctx context.Context, now, until time.Time, busy []string, limit int) ([]store.Notice, error) {
	var due bool
	err := s.look(ctx, "looking for notices", func(ctx context.Context, c *conn) error {
		return c.row(ctx, anyNotice, []any{now.UnixMilli()}, []any{&due})
	})
	if err != nil || !due {
		return nil, err
	}
	var out []store.Notice
	err = s.update(ctx, "leasing notices", func(ctx context.Context, c *conn) (err error) {
		if out, err = c.notices(ctx, now.UnixMilli(), list(busy), limit); err != nil {
			return err
		}
		for _, n := range out {
			if _, err := c.exec(ctx, delayNotice, n.ID, until.UnixMilli()); err != nil {
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

func (c *conn) notices(ctx context.Context, args ...any) (out []store.Notice, err error) {
	err = c.each(ctx, dueNotices, args, func(r *sql.Rows) error {
		var n store.Notice
		err := r.Scan(&n.ID, &n.Client, clientSettings{&n.Settings}, &n.Session, at{&n.Created})
		out = append(out, n)
		return err
	})
	return out, err
}

// DelayNotice implements store.Notices.
func (s *Store) DelayNotice(ctx context.Context, id int64, next time.Time) error {
	return s.update(ctx, "delaying a notice", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, delayNotice, id, next.UnixMilli())
		return err
	})
}

// DropNotice implements store.Notices.
func (s *Store) DropNotice(ctx context.Context, id int64) error {
	return s.update(ctx, "dropping a notice", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, dropNotice, id)
		return err
	})
}

// DropOldNotices implements store.Notices.
func (s *Store) DropOldNotices(ctx context.Context, client string, before time.Time) (int64, error) {
	var n int64
	err := s.update(ctx, "giving up notices", func(ctx context.Context, c *conn) (err error) {
		n, err = c.exec(ctx, dropOldNotices, client, before.UnixMilli())
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
