package sqlite

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	pushedColumns = `hash, client, form, created_at, expires_at, used_at`

	insertPushed = `INSERT INTO pushed_request (` + pushedColumns + `) VALUES (?, ?, ?, ?, ?, ?)`
	selectPushed = `SELECT ` + pushedColumns + ` FROM pushed_request WHERE hash = ?`
	usePushed    = `UPDATE pushed_request SET used_at = ?1 WHERE hash = ?2 AND used_at IS NULL AND expires_at > ?1`
	countUsed    = `SELECT count(*) FROM pushed_request WHERE hash = ? AND used_at IS NOT NULL`
	sweepPushed  = `DELETE FROM pushed_request WHERE hash IN (SELECT hash FROM pushed_request WHERE expires_at < ? LIMIT ?)`
)

// PushRequest implements store.Pushed.
func (s *Store) PushRequest(ctx context.Context, p store.PushedRequest) error {
	return s.update(ctx, "pushing a request", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, insertPushed, p.Hash[:], p.Client, p.Form, ms(p.Created), ms(p.Expires), ms(p.Used))
		return exists(err)
	})
}

// PushedRequest implements store.Pushed.
func (s *Store) PushedRequest(ctx context.Context, key oauth.Hash) (p store.PushedRequest, err error) {
	err = s.look(ctx, "reading a pushed request", func(ctx context.Context, c *conn) error {
		return c.row(ctx, selectPushed, []any{key[:]}, []any{hash{&p.Hash}, &p.Client, &p.Form, at{&p.Created}, at{&p.Expires}, at{&p.Used}})
	})
	return p, err
}

// UsePushedRequest implements store.Pushed.
func (s *Store) UsePushedRequest(ctx context.Context, key oauth.Hash, now time.Time) error {
	return s.update(ctx, "using a pushed request", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, usePushed, now.UnixMilli(), key[:])
		if err != nil || n > 0 {
			return err
		}
		var used int64
		if err := c.row(ctx, countUsed, []any{key[:]}, []any{&used}); err != nil {
			return err
		}
		if used > 0 {
			return store.ErrSpent
		}
		return store.ErrNotFound
	})
}

// SweepPushedRequests implements store.Pushed.
func (s *Store) SweepPushedRequests(ctx context.Context, before time.Time, limit int) error {
	return s.update(ctx, "sweeping pushed requests", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, sweepPushed, before.UnixMilli(), limit)
		return err
	})
}
