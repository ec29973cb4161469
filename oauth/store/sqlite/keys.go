package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectKeys = `SELECT id, algorithm, sealed, created_at FROM signing_key ORDER BY created_at DESC, rowid DESC`
	countKeys  = `SELECT count(*) FROM signing_key`
	insertKey  = `INSERT INTO signing_key (id, algorithm, sealed, created_at) VALUES (?, ?, ?, ?)`

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
			err := r.Scan(&k.ID, &k.Algorithm, &k.Sealed, at{&k.Created})
			out = append(out, k)
			return err
		})
	})
	return out, err
}

// AddSigningKey implements store.Keys.
func (s *Store) AddSigningKey(ctx context.Context, k store.SigningKey, onlyFirst bool, w impersonation.Write) error {
	return s.update(ctx, "adding a signing key", func(ctx context.Context, c *conn) error {
		var keys int64
		if err := c.row(ctx, countKeys, nil, []any{&keys}); err != nil {
			return err
		}
		if onlyFirst && keys > 0 {
			return store.ErrExists
		}
		if _, err := c.exec(ctx, insertKey, k.ID, k.Algorithm, k.Sealed, ms(k.Created)); err != nil {
			return exists(err)
		}
		return c.record(ctx, w.Entries, w.Events)
	})
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
