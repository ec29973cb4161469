package postgres

import (
	"cmp"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// lockInstallation lets those who look for the newest before they add one go one by one.
	lockInstallation = `SELECT id FROM installation WHERE id = 1 FOR NO KEY UPDATE`

	selectKeys = `SELECT id, algorithm, sealed, created_at, activates_at, retires_at, revoked_at FROM signing_key ORDER BY created_at DESC NULLS LAST, seq DESC`
	selectKey  = `SELECT algorithm FROM signing_key WHERE id = $1`
	insertKey  = `INSERT INTO signing_key (id, algorithm, sealed, created_at, activates_at) VALUES ($1, $2, $3, $4, $5)`
	revokeKey  = `UPDATE signing_key SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL`

	isCurrent     = `algorithm = $1 AND retires_at IS NULL AND revoked_at IS NULL`
	selectCurrent = `SELECT id FROM signing_key WHERE ` + isCurrent
	retireCurrent = `UPDATE signing_key SET retires_at = $2 WHERE ` + isCurrent
	// hastenCurrent lets it sign now where nothing else does.
	hastenCurrent = `UPDATE signing_key SET activates_at = $2 WHERE ` + isCurrent + ` AND activates_at > $2
		AND NOT EXISTS (SELECT 1 FROM signing_key WHERE algorithm = $1 AND revoked_at IS NULL AND activates_at <= $2 AND retires_at >= $3)`

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
			err := r.Scan(&k.ID, &k.Algorithm, &k.Sealed, at{&k.Created}, at{&k.Activates}, at{&k.Retires}, at{&k.Revoked})
			out = append(out, k)
			return err
		})
	})
	return out, err
}

// RotateSigningKey implements store.Keys.
func (s *Store) RotateSigningKey(ctx context.Context, w store.KeyRotation) error {
	return s.update(ctx, "rotating a signing key", func(ctx context.Context, t *tx) error {
		if _, err := exec(ctx, t, lockInstallation); err != nil {
			return err
		}
		current, err := t.currentKey(ctx, w.Key.Algorithm)
		if err != nil {
			return err
		}
		if current != w.Was {
			return impersonation.ErrChanged
		}
		if _, err := exec(ctx, t, retireCurrent, w.Key.Algorithm, ms(w.WasRetires)); err != nil {
			return err
		}
		t.record(w.Entries, w.Events)
		return t.addKey(ctx, w.Key)
	})
}

// currentKey gives the id of the one key of algorithm that nothing takes the place of, "" if there is none.
func (t *tx) currentKey(ctx context.Context, algorithm string) (id string, err error) {
	err = row(ctx, t, selectCurrent, []any{algorithm}, []any{&id})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return id, err
}

func (t *tx) addKey(ctx context.Context, k store.SigningKey) error {
	_, err := exec(ctx, t, insertKey, k.ID, k.Algorithm, k.Sealed, ms(k.Created), ms(k.Activates))
	return exists(err)
}

// RevokeSigningKey implements store.Keys.
func (s *Store) RevokeSigningKey(ctx context.Context, w store.KeyRevocation) (replaced bool, err error) {
	err = s.update(ctx, "revoking a signing key", func(ctx context.Context, t *tx) (err error) {
		replaced, err = t.revokeKey(ctx, w)
		return err
	})
	return err == nil && replaced, err
}

func (t *tx) revokeKey(ctx context.Context, w store.KeyRevocation) (replaced bool, err error) {
	if _, err := exec(ctx, t, lockInstallation); err != nil {
		return false, err
	}
	var algorithm string
	if err := row(ctx, t, selectKey, []any{w.ID}, []any{&algorithm}); err != nil {
		return false, missing(err)
	}
	if n, err := exec(ctx, t, revokeKey, ms(w.Now), w.ID); err != nil || n == 0 {
		return false, cmp.Or(err, impersonation.ErrChanged)
	}
	if _, err := exec(ctx, t, hastenCurrent, algorithm, ms(w.Now), ms(w.Outlives)); err != nil {
		return false, err
	}
	t.record(w.Entries, w.Events)
	current, err := t.currentKey(ctx, algorithm)
	if err != nil || current != "" || w.Replacement.ID == "" {
		return false, err
	}
	t.record([]audit.Entry{w.Replaced}, nil)
	return true, t.addKey(ctx, w.Replacement)
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
