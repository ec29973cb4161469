package sqlite

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

	insertGrant = `INSERT INTO oauth_grant (` + grantColumns + `) VALUES
		(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	selectClientLives = `SELECT EXISTS (SELECT 1 FROM client WHERE id = ?1 AND deleted_at IS NULL)
		AND NOT EXISTS (SELECT 1 FROM epoch WHERE scope = 'client' AND id = ?1 AND killed_at IS NOT NULL)`

	selectGrantByCode    = `SELECT ` + grantColumns + ` FROM oauth_grant WHERE code_hash = ?`
	selectGrantByRefresh = `SELECT ` + grantColumns + ` FROM oauth_grant WHERE refresh_hash = ?`
	selectGrantByJTI     = `SELECT ` + grantColumns + ` FROM oauth_grant WHERE jti = ?`

	spendCode = `UPDATE oauth_grant SET code_used_at = ? WHERE code_hash = ? AND code_used_at IS NULL`
	countCode = `SELECT count(*) FROM oauth_grant WHERE code_hash = ?`
	setToken  = `UPDATE oauth_grant SET jti = ?, issued_at = ?, expires_at = ?, jkt = ?, refresh_hash = ?, refresh_expires_at = ? WHERE id = ?
		AND EXISTS (SELECT 1 FROM login l WHERE l.id = oauth_grant.login AND l.ended_at IS NULL)
		AND EXISTS (SELECT 1 FROM app_user u WHERE u.id = oauth_grant.user_id AND u.enabled)`
	revokeGrant = `UPDATE oauth_grant SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`
)

// CreateGrant implements store.Grants. store.ErrExists if the id, the code or the token is there already.
func (s *Store) CreateGrant(ctx context.Context, g store.Grant) error {
	return s.update(ctx, "creating a grant", func(ctx context.Context, c *conn) error {
		return c.insertGrant(ctx, g)
	})
}

func (c *conn) insertGrant(ctx context.Context, g store.Grant) error {
	_, err := c.exec(ctx, insertGrant, g.ID, g.Client, g.User, g.Login, g.RedirectURI, list(g.Scope), g.Audience, g.Nonce, hashed(g.CodeHash),
		g.CodeChallenge, ms(g.AuthTime), g.ACR, list(g.AMR), ms(g.Created), ms(g.CodeExpires), ms(g.CodeUsed), orNull(g.JTI), ms(g.Issued),
		ms(g.Expires), ms(g.Revoked), g.Key, g.Family, hashed(g.RefreshHash), ms(g.RefreshExpires), ms(g.RefreshUsed), g.Subject)
	return exists(err)
}

// CreateClientGrant implements store.Grants.
func (s *Store) CreateClientGrant(ctx context.Context, g store.Grant) error {
	return s.update(ctx, "creating a client's grant", func(ctx context.Context, c *conn) error {
		var lives bool
		if err := c.row(ctx, selectClientLives, []any{g.Client}, []any{&lives}); err != nil {
			return err
		}
		if !lives {
			return impersonation.ErrChanged
		}
		return c.insertGrant(ctx, g)
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
	err = s.look(ctx, "reading a grant", func(ctx context.Context, c *conn) error {
		return c.row(ctx, query, []any{key}, []any{&g.ID, &g.Client, &g.User, &g.Login, &g.RedirectURI, items{&g.Scope}, &g.Audience, &g.Nonce,
			hash{&g.CodeHash}, &g.CodeChallenge, at{&g.AuthTime}, &g.ACR, items{&g.AMR}, at{&g.Created}, at{&g.CodeExpires}, at{&g.CodeUsed},
			text{&g.JTI}, at{&g.Issued}, at{&g.Expires}, at{&g.Revoked}, &g.Key,
			&g.Family, hash{&g.RefreshHash}, at{&g.RefreshExpires}, at{&g.RefreshUsed}, &g.Subject})
	})
	return g, err
}

// SpendCode implements store.Grants.
func (s *Store) SpendCode(ctx context.Context, code oauth.Hash, now time.Time) error {
	return s.update(ctx, "spending a code", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, spendCode, now.UnixMilli(), code[:])
		if err != nil || n > 0 {
			return err
		}
		var known int64
		if err := c.row(ctx, countCode, []any{code[:]}, []any{&known}); err != nil {
			return err
		}
		if known > 0 {
			return store.ErrSpent
		}
		return store.ErrNotFound
	})
}

// SetToken implements store.Grants.
func (s *Store) SetToken(ctx context.Context, grantID string, t store.Token) error {
	return s.update(ctx, "recording a token", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, setToken, orNull(t.JTI), ms(t.Issued), ms(t.Expires), t.Key, hashed(t.Refresh), ms(t.RefreshExpires), grantID)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return exists(err)
	})
}

// RevokeGrant implements store.Grants.
func (s *Store) RevokeGrant(ctx context.Context, grantID string, w impersonation.Write) (bool, error) {
	return s.revoke(ctx, revokeGrant, grantID, w)
}

// revoke runs query, and reports whether it revoked anything.
func (s *Store) revoke(ctx context.Context, query, id string, w impersonation.Write) (bool, error) {
	var n int64
	err := s.updateUrgent(ctx, "revoking a grant", func(ctx context.Context, c *conn) (err error) {
		if n, err = c.exec(ctx, query, w.Now.UnixMilli(), id); err != nil || n == 0 {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
	if err != nil {
		return false, err
	}
	return n > 0, nil
}
