package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	useRefresh = `UPDATE oauth_grant SET refresh_used_at = ? WHERE refresh_hash = ? AND refresh_used_at IS NULL AND revoked_at IS NULL
		AND EXISTS (SELECT 1 FROM login l WHERE l.id = oauth_grant.login AND l.ended_at IS NULL)
		AND EXISTS (SELECT 1 FROM app_user u WHERE u.id = oauth_grant.user_id AND u.enabled)`

	selectRefreshUsed = `SELECT refresh_used_at IS NOT NULL FROM oauth_grant WHERE refresh_hash = ?`

	revokeFamily = `UPDATE oauth_grant SET revoked_at = ? WHERE family = ? AND family <> '' AND revoked_at IS NULL`
)

// GrantByRefresh implements store.Grants.
func (s *Store) GrantByRefresh(ctx context.Context, refresh oauth.Hash) (store.Grant, error) {
	return s.findGrant(ctx, selectGrantByRefresh, refresh[:])
}

// Refresh implements store.Grants.
func (s *Store) Refresh(ctx context.Context, w store.RefreshWrite) error {
	return s.update(ctx, "refreshing", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, useRefresh, w.Now.UnixMilli(), w.Refresh[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return c.whyNot(ctx, w.Refresh)
		}
		if err := c.insertGrant(ctx, w.Next); err != nil {
			return err
		}
		if _, err := c.exec(ctx, touchLogin, w.Next.Login, w.Now.UnixMilli()); err != nil {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}

// whyNot tells why a refresh token could not be spent.
func (c *conn) whyNot(ctx context.Context, refresh oauth.Hash) error {
	var used bool
	err := c.row(ctx, selectRefreshUsed, []any{refresh[:]}, []any{&used})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	case used:
		return store.ErrSpent
	}
	return impersonation.ErrChanged
}

// RevokeFamily implements store.Grants.
func (s *Store) RevokeFamily(ctx context.Context, family string, w impersonation.Write) (bool, error) {
	return s.revoke(ctx, revokeFamily, family, w)
}
