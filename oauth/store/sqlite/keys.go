package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectKeys = `SELECT id, algorithm, sealed, created_at, activates_at, retires_at, revoked_at FROM signing_key ORDER BY created_at DESC, rowid DESC`
	selectKey  = `SELECT algorithm FROM signing_key WHERE id = ?`
	insertKey  = `INSERT INTO signing_key (id, algorithm, sealed, created_at, activates_at) VALUES (?, ?, ?, ?, ?)`
	revokeKey  = `UPDATE signing_key SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`

	isCurrent     = `algorithm = ? AND retires_at IS NULL AND revoked_at IS NULL`
	selectCurrent = `SELECT id FROM signing_key WHERE ` + isCurrent
	retireCurrent = `UPDATE signing_key SET retires_at = ? WHERE ` + isCurrent
	// hastenCurrent lets it sign now where nothing else does.
	hastenCurrent = `UPDATE signing_key SET activates_at = ?1 WHERE algorithm = ?2 AND retires_at IS NULL AND revoked_at IS NULL AND activates_at > ?1
		AND NOT EXISTS (SELECT 1 FROM signing_key WHERE algorithm = ?2 AND revoked_at IS NULL AND activates_at <= ?1 AND retires_at >= ?3)`

	selectNewestPolicy = `SELECT version FROM policy_version ORDER BY seq DESC LIMIT 1`
	insertPolicy       = `INSERT INTO policy_version (version, document, created_at) VALUES (?, ?, ?)`

	// bumpAllAuthz reaches every organisation that has users: each got its row with its first one.
	bumpAllAuthz = `UPDATE authz_version SET n = n + 1`
)

// SigningKeys implements store.Keys.
func (s *Store) SigningKeys(ctx context.Context) (out []store.SigningKey, err error) {
	err = s.view(ctx, "reading signing keys", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectKeys, nil, func(r *sql.Rows) error {
			var k store.SigningKey
			err := r.Scan(&k.ID, &k.Algorithm, &k.Sealed, at{&k.Created}, at{&k.Activates}, at{&k.Retires}, at{&k.Revoked})
			out = append(out, k)
			return err
		})
	})
	return out, err
}

// RotateSigningKey implements store.Keys.
func (s *Store) RotateSigningKey(ctx context.Context, w store.KeyRotation) error {
	return s.update(ctx, "rotating a signing key", func(ctx context.Context, c *conn) error {
		current, err := c.currentKey(ctx, w.Key.Algorithm)
		if err != nil {
			return err
		}
		if current != w.Was {
			return impersonation.ErrChanged
		}
		if _, err := c.exec(ctx, retireCurrent, ms(w.WasRetires), w.Key.Algorithm); err != nil {
			return err
		}
		if err := c.addKey(ctx, w.Key); err != nil {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}

// currentKey gives the id of the one key of algorithm that nothing takes the place of, "" if there is none.
func (c *conn) currentKey(ctx context.Context, algorithm string) (id string, err error) {
	err = c.row(ctx, selectCurrent, []any{algorithm}, []any{&id})
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

func (c *conn) addKey(ctx context.Context, k store.SigningKey) error {
	_, err := c.exec(ctx, insertKey, k.ID, k.Algorithm, k.Sealed, ms(k.Created), ms(k.Activates))
	return exists(err)
}

// RevokeSigningKey implements store.Keys. It stops something, so a full disk does not keep it from committing.
func (s *Store) RevokeSigningKey(ctx context.Context, w store.KeyRevocation) (bool, error) {
	var replaced bool
	err := s.updateUrgent(ctx, "revoking a signing key", func(ctx context.Context, c *conn) (err error) {
		replaced, err = c.revokeKey(ctx, w)
		return err
	})
	return err == nil && replaced, err
}

func (c *conn) revokeKey(ctx context.Context, w store.KeyRevocation) (replaced bool, err error) {
	var algorithm string
	if err := c.row(ctx, selectKey, []any{w.ID}, []any{&algorithm}); err != nil {
		return false, missing(err)
	}
	if n, err := c.exec(ctx, revokeKey, ms(w.Now), w.ID); err != nil || n == 0 {
		return false, cmp.Or(err, impersonation.ErrChanged)
	}
	if _, err := c.exec(ctx, hastenCurrent, ms(w.Now), algorithm, ms(w.Outlives)); err != nil {
		return false, err
	}
	entries := w.Entries
	current, err := c.currentKey(ctx, algorithm)
	if err == nil && current == "" && w.Replacement.ID != "" {
		entries, replaced = append(slices.Clip(entries), w.Replaced), true
		err = c.addKey(ctx, w.Replacement)
	}
	if err != nil {
		return false, err
	}
	return replaced, c.record(ctx, entries, w.Events)
}

// PutPolicy implements store.Policies.
func (s *Store) PutPolicy(ctx context.Context, version string, document []byte, w impersonation.Write) (bool, error) {
	var wrote bool
	err := s.update(ctx, "writing a policy", func(ctx context.Context, c *conn) (err error) {
		wrote, err = c.putPolicy(ctx, version, document, w)
		return err
	})
	return err == nil && wrote, err
}

func (c *conn) putPolicy(ctx context.Context, version string, document []byte, w impersonation.Write) (bool, error) {
	var newest string
	err := c.row(ctx, selectNewestPolicy, nil, []any{&newest})
	if err == nil && newest == version {
		return false, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if document == nil {
		document = []byte{} // an empty document is one
	}
	if _, err := c.exec(ctx, insertPolicy, version, document, ms(w.Now)); err != nil {
		return false, err
	}
	if _, err := c.exec(ctx, bumpAllAuthz); err != nil {
		return false, err
	}
	return true, c.record(ctx, w.Entries, w.Events)
}
