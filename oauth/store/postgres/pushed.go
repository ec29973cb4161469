package postgres

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	pushedColumns = `hash, client, form, created_at, expires_at, used_at`

	insertPushed = `INSERT INTO pushed_request (` + pushedColumns + `) VALUES ($1, $2, $3, $4, $5, $6)`
	selectPushed = `SELECT ` + pushedColumns + ` FROM pushed_request WHERE hash = $1`
	usePushed    = `UPDATE pushed_request SET used_at = $1 WHERE hash = $2 AND used_at IS NULL AND expires_at > $1`
	countUsed    = `SELECT count(*) FROM pushed_request WHERE hash = $1 AND used_at IS NOT NULL`
	sweepPushed  = `DELETE FROM pushed_request WHERE hash = ANY (ARRAY(
		SELECT hash FROM pushed_request WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`
)

// PushRequest implements store.Pushed.
func (s *Store) PushRequest(ctx context.Context, p store.PushedRequest) error {
	return s.single(ctx, "pushing a request", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, insertPushed, p.Hash[:], p.Client, p.Form, ms(p.Created), ms(p.Expires), ms(p.Used))
		return exists(err)
	})
}

// PushedRequest implements store.Pushed.
func (s *Store) PushedRequest(ctx context.Context, key oauth.Hash) (p store.PushedRequest, err error) {
	err = s.single(ctx, "reading a pushed request", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectPushed, []any{key[:]}, []any{hash{&p.Hash}, &p.Client, &p.Form, at{&p.Created}, at{&p.Expires}, at{&p.Used}})
	})
	return p, err
}

// UsePushedRequest implements store.Pushed.
func (s *Store) UsePushedRequest(ctx context.Context, key oauth.Hash, now time.Time) error {
	return s.update(ctx, "using a pushed request", func(ctx context.Context, t *tx) error {
		n, err := exec(ctx, t, usePushed, now.UnixMilli(), key[:])
		if err != nil || n > 0 {
			return err
		}
		var used int64
		if err := row(ctx, t, countUsed, []any{key[:]}, []any{&used}); err != nil {
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
	return s.single(ctx, "sweeping pushed requests", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, sweepPushed, before.UnixMilli(), limit)
		return err
	})
}
