package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// lockInstallation lets those who look for the newest before they add one go one by one.
	lockInstallation = `SELECT id FROM installation WHERE id = 1 FOR NO KEY UPDATE`

	selectKeys = `SELECT id, algorithm, sealed, created_at FROM signing_key ORDER BY created_at DESC NULLS LAST, seq DESC`
	countKeys  = `SELECT count(*) FROM signing_key`
	insertKey  = `INSERT INTO signing_key (id, algorithm, sealed, created_at) VALUES ($1, $2, $3, $4)`

	selectNewestPolicy = `SELECT version FROM policy_version ORDER BY seq DESC LIMIT 1`
	insertPolicy       = `INSERT INTO policy_version (version, document, created_at) VALUES ($1, $2, $3)`

	// bumpAllAuthz reaches every organisation that has users: each got its row with its first one.
	bumpAllAuthz = `UPDATE authz_version SET n = n + 1 WHERE organisation = ANY (ARRAY(SELECT organisation FROM authz_version ORDER BY organisation FOR NO KEY UPDATE))`
)

// SigningKeys implements store.Keys.
func (s *Store) SigningKeys(ctx context.Context) (out []store.SigningKey, err error) {
	err = s.single(ctx, "reading signing keys", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectKeys, nil, func(r pgx.Rows) error {
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
	return s.update(ctx, "adding a signing key", func(ctx context.Context, t *tx) error {
		if _, err := exec(ctx, t, lockInstallation); err != nil {
			return err
		}
		var keys int64
		if err := row(ctx, t, countKeys, nil, []any{&keys}); err != nil {
			return err
		}
		if onlyFirst && keys > 0 {
			return store.ErrExists
		}
		t.record(w.Entries, w.Events)
		_, err := exec(ctx, t, insertKey, k.ID, k.Algorithm, k.Sealed, ms(k.Created))
		return exists(err)
	})
}

// errSame: the policy is the newest already.
var errSame = errors.New("the same")

// PutPolicy implements store.Policies.
func (s *Store) PutPolicy(ctx context.Context, version string, document []byte, w impersonation.Write) (bool, error) {
	err := s.update(ctx, "writing a policy", func(ctx context.Context, t *tx) error {
		if err := t.differs(ctx, version); err != nil {
			return err
		}
		// The versions before the installation: others have one of them already and wait for it.
		for _, q := range []string{bumpAllAuthz, lockInstallation} {
			if _, err := exec(ctx, t, q); err != nil {
				return err
			}
		}
		if err := t.differs(ctx, version); err != nil { // somebody else may have written it just now
			return err
		}
		t.record(w.Entries, w.Events)
		_, err := exec(ctx, t, insertPolicy, version, append([]byte{}, document...), ms(w.Now)) // an empty document is one
		return err
	})
	if errors.Is(err, errSame) {
		return false, nil
	}
	return err == nil, err
}

// differs answers errSame if version is the newest.
func (t *tx) differs(ctx context.Context, version string) error {
	var newest string
	err := row(ctx, t, selectNewestPolicy, nil, []any{&newest})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err == nil && newest == version:
		return errSame
	}
	return err
}
