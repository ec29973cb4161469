package postgres

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	grantColumns = `id, client, user_id, login, redirect_uri, scope, audience, nonce, code_hash, code_challenge, auth_time, acr, amr,
		created_at, code_expires_at, code_used_at, jti, issued_at, expires_at, revoked_at, jkt,
		family, refresh_hash, refresh_expires_at, refresh_used_at, token_sub`

	insertGrant = `INSERT INTO oauth_grant (` + grantColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
			$22, $23, $24, $25, $26)`

	// lockClient waits for a kill or a removal that is under way, and makes the next one wait: both change the epoch before they look
	// for grants.
	lockClient        = `SELECT 1 FROM epoch WHERE scope = 'client' AND id = $1 FOR SHARE`
	selectClientLives = `SELECT EXISTS (SELECT 1 FROM client WHERE id = $1 AND deleted_at IS NULL)
		AND NOT EXISTS (SELECT 1 FROM epoch WHERE scope = 'client' AND id = $1 AND killed_at IS NOT NULL)`

	selectGrantByCode    = `SELECT ` + grantColumns + ` FROM oauth_grant WHERE code_hash = $1`
	selectGrantByRefresh = `SELECT ` + grantColumns + ` FROM oauth_grant WHERE refresh_hash = $1`
	selectGrantByJTI     = `SELECT ` + grantColumns + ` FROM oauth_grant WHERE jti = $1`

	spendCode = `UPDATE oauth_grant SET code_used_at = $1 WHERE code_hash = $2 AND code_used_at IS NULL`
	countCode = `SELECT count(*) FROM oauth_grant WHERE code_hash = $1`

	// lockHolder waits for a sign-out or a change of the user that is under way, and makes the next one wait: it revokes the
	// grants by what it finds then.
	lockHolderUser  = `SELECT u.id FROM oauth_grant g JOIN app_user u ON u.id = g.user_id WHERE g.id = $1 FOR SHARE OF u`
	lockHolderLogin = `SELECT l.id FROM oauth_grant g JOIN login l ON l.id = g.login WHERE g.id = $1 FOR SHARE OF l`
	setToken        = `UPDATE oauth_grant SET jti = $1, issued_at = $2, expires_at = $3, jkt = $4, refresh_hash = $5, refresh_expires_at = $6 WHERE id = $7
		AND EXISTS (SELECT 1 FROM login l WHERE l.id = oauth_grant.login AND l.ended_at IS NULL)
		AND EXISTS (SELECT 1 FROM app_user u WHERE u.id = oauth_grant.user_id AND u.enabled)`
	revokeGrant = `UPDATE oauth_grant SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL`
)

// CreateGrant implements store.Grants. store.ErrExists if the id, the code or the token is there already.
func (s *Store) CreateGrant(ctx context.Context, g store.Grant) error {
	return s.single(ctx, "creating a grant", func(ctx context.Context, q querier) error {
		return writeGrant(ctx, q, g)
	})
}

func writeGrant(ctx context.Context, q querier, g store.Grant) error {
	_, err := exec(ctx, q, insertGrant, g.ID, g.Client, g.User, g.Login, g.RedirectURI, list(g.Scope), g.Audience, g.Nonce, hashed(g.CodeHash),
		g.CodeChallenge, ms(g.AuthTime), g.ACR, list(g.AMR), ms(g.Created), ms(g.CodeExpires), ms(g.CodeUsed), orNull(g.JTI), ms(g.Issued),
		ms(g.Expires), ms(g.Revoked), g.Key, g.Family, hashed(g.RefreshHash), ms(g.RefreshExpires), ms(g.RefreshUsed), g.Subject)
	return exists(err)
}

// CreateClientGrant implements store.Grants.
func (s *Store) CreateClientGrant(ctx context.Context, g store.Grant) error {
	return s.update(ctx, "creating a client's grant", func(ctx context.Context, t *tx) error {
		if _, err := exec(ctx, t, addEpochs, []string{string(impersonation.ScopeClient)}, []string{g.Client}); err != nil {
			return err
		}
		if _, err := exec(ctx, t, lockClient, g.Client); err != nil {
			return err
		}
		var lives bool
		if err := row(ctx, t, selectClientLives, []any{g.Client}, []any{&lives}); err != nil {
			return err
		}
		if !lives {
			return impersonation.ErrChanged
		}
		return writeGrant(ctx, t, g)
	})
}

// GrantByCode implements store.Grants.
func (s *Store) GrantByCode(ctx context.Context, code oauth.Hash) (store.Grant, error) {
	return s.findGrant(ctx, selectGrantByCode, code[:])
}

// GrantByJTI implements store.Grants.
func (s *Store) GrantByJTI(ctx context.Context, jti string) (store.Grant, error) {
	return s.findGrant(ctx, selectGrantByJTI, jti)
}

func (s *Store) findGrant(ctx context.Context, query string, key any) (g store.Grant, err error) {
	err = s.single(ctx, "reading a grant", func(ctx context.Context, q querier) error {
		return row(ctx, q, query, []any{key}, []any{&g.ID, &g.Client, &g.User, &g.Login, &g.RedirectURI, items{&g.Scope}, &g.Audience, &g.Nonce,
			hash{&g.CodeHash}, &g.CodeChallenge, at{&g.AuthTime}, &g.ACR, items{&g.AMR}, at{&g.Created}, at{&g.CodeExpires}, at{&g.CodeUsed},
			text(&g.JTI), at{&g.Issued}, at{&g.Expires}, at{&g.Revoked}, &g.Key,
			&g.Family, hash{&g.RefreshHash}, at{&g.RefreshExpires}, at{&g.RefreshUsed}, &g.Subject})
	})
	return g, err
}

// SpendCode implements store.Grants.
func (s *Store) SpendCode(ctx context.Context, code oauth.Hash, now time.Time) error {
	return s.update(ctx, "spending a code", func(ctx context.Context, t *tx) error {
		n, err := exec(ctx, t, spendCode, now.UnixMilli(), code[:])
		if err != nil || n > 0 {
			return err
		}
		var known int64
		if err := row(ctx, t, countCode, []any{code[:]}, []any{&known}); err != nil {
			return err
		}
		if known > 0 {
			return store.ErrSpent
		}
		return store.ErrNotFound
	})
}

// SetToken implements store.Grants.
func (s *Store) SetToken(ctx context.Context, grantID string, w store.Token) error {
	return s.update(ctx, "recording a token", func(ctx context.Context, t *tx) error {
		for _, q := range []string{lockHolderUser, lockHolderLogin} {
			if _, err := exec(ctx, t, q, grantID); err != nil {
				return err
			}
		}
		n, err := exec(ctx, t, setToken, orNull(w.JTI), ms(w.Issued), ms(w.Expires), w.Key, hashed(w.Refresh), ms(w.RefreshExpires), grantID)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return exists(err)
	})
}

// RevokeGrant implements store.Grants.
func (s *Store) RevokeGrant(ctx context.Context, grantID string, w impersonation.Write) (bool, error) {
	var n int64
	err := s.update(ctx, "revoking a grant", func(ctx context.Context, t *tx) (err error) {
		if n, err = exec(ctx, t, revokeGrant, w.Now.UnixMilli(), grantID); err != nil || n == 0 {
			return err
		}
		t.record(w.Entries, w.Events)
		return nil
	})
	return err == nil && n > 0, err
}
