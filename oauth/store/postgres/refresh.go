package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// queueRefresh has a refresh wait behind whoever waits to remove the client or to change the user. Locks on rows alone would not: who
	// shares one lets others share it, past whoever waits to have it alone, and a busy client or somebody who refreshes all the time could
	// keep themselves from being put out. queueClient and queueUser are what those wait in; all are the transaction's.
	queueRefresh = `SELECT pg_advisory_xact_lock_shared(hashtextextended('client ' || client, 0)), pg_advisory_xact_lock_shared(hashtextextended('user ' || user_id, 0))
		FROM oauth_grant WHERE refresh_hash = $1`
	queueClient = `SELECT pg_advisory_xact_lock(hashtextextended('client ' || $1::text, 0))`
	queueUser   = `SELECT pg_advisory_xact_lock(hashtextextended('user ' || $1::text, 0))`

	// lockRefreshClient, and the two after it, wait for a removal of the client, a change of the user or an end of the login that is
	// under way, and make the next one wait: it revokes the grants that it finds then, the new one among them. The login is locked
	// against other refreshes too, and so the family: lockFamily waits for the same row.
	lockRefreshClient = `SELECT c.id FROM oauth_grant g JOIN client c ON c.id = g.client WHERE g.refresh_hash = $1 FOR SHARE OF c`
	lockRefreshUser   = `SELECT u.id FROM oauth_grant g JOIN app_user u ON u.id = g.user_id WHERE g.refresh_hash = $1 FOR SHARE OF u`
	lockRefreshLogin  = `SELECT l.id FROM oauth_grant g JOIN login l ON l.id = g.login WHERE g.refresh_hash = $1 FOR NO KEY UPDATE OF l`

	useRefresh = `UPDATE oauth_grant SET refresh_used_at = $1 WHERE refresh_hash = $2 AND refresh_used_at IS NULL AND revoked_at IS NULL
		AND EXISTS (SELECT 1 FROM login l WHERE l.id = oauth_grant.login AND l.ended_at IS NULL)
		AND EXISTS (SELECT 1 FROM app_user u WHERE u.id = oauth_grant.user_id AND u.enabled)`

	selectRefreshUsed = `SELECT refresh_used_at IS NOT NULL FROM oauth_grant WHERE refresh_hash = $1`

	lockFamily = `SELECT l.id FROM login l WHERE l.id = ANY (ARRAY(SELECT g.login FROM oauth_grant g WHERE g.family = $1 AND g.family <> ''))
		ORDER BY l.id FOR NO KEY UPDATE`
	revokeFamily = `UPDATE oauth_grant SET revoked_at = $1 WHERE id = ANY (ARRAY(
		SELECT id FROM oauth_grant WHERE family = $2 AND family <> '' AND revoked_at IS NULL ORDER BY id FOR NO KEY UPDATE))`
)

// GrantByRefresh implements store.Grants.
func (s *Store) GrantByRefresh(ctx context.Context, refresh oauth.Hash) (store.Grant, error) {
	return s.findGrant(ctx, selectGrantByRefresh, refresh[:])
}

// Refresh implements store.Grants.
func (s *Store) Refresh(ctx context.Context, w store.RefreshWrite) error {
	return s.update(ctx, "refreshing", func(ctx context.Context, t *tx) error {
		for _, q := range []string{queueRefresh, lockRefreshClient, lockRefreshUser, lockRefreshLogin} {
			if _, err := exec(ctx, t, q, w.Refresh[:]); err != nil {
				return err
			}
		}
		n, err := exec(ctx, t, useRefresh, w.Now.UnixMilli(), w.Refresh[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return t.whyNot(ctx, w.Refresh)
		}
		if err := writeGrant(ctx, t, w.Next); err != nil {
			return err
		}
		t.record(w.Entries, w.Events)
		_, err = exec(ctx, t, touchLogin, w.Next.Login, w.Now.UnixMilli())
		return err
	})
}

// whyNot tells why a refresh token could not be spent.
func (t *tx) whyNot(ctx context.Context, refresh oauth.Hash) error {
	var used bool
	err := row(ctx, t, selectRefreshUsed, []any{refresh[:]}, []any{&used})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
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
	var n int64
	err := s.update(ctx, "revoking a family", func(ctx context.Context, t *tx) (err error) {
		if _, err = exec(ctx, t, lockFamily, family); err != nil {
			return err
		}
		if n, err = exec(ctx, t, revokeFamily, w.Now.UnixMilli(), family); err != nil || n == 0 {
			return err
		}
		t.record(w.Entries, w.Events)
		return nil
	})
	return err == nil && n > 0, err
}
