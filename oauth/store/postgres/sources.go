package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	sourceColumns = `s.name, s.organisation, s.organisation_attribute, s.issuer, s.may_grant, s.may_staff, s.created_at, s.updated_at, s.removed_at`
	tokenColumns  = `k.id, k.source, k.hash, k.created_at, k.expires_at, k.last_used_at, k.revoked_at`

	selectSources = `SELECT ` + sourceColumns + ` FROM source s WHERE s.removed_at IS NULL ORDER BY s.name`
	selectSource  = `SELECT ` + sourceColumns + ` FROM source s WHERE s.name = $1`

	// insertSource takes up the row of one that was removed: rows affected tell whether it did.
	insertSource = `INSERT INTO source AS s (name, organisation, organisation_attribute, issuer, may_grant, may_staff, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO UPDATE SET organisation = excluded.organisation,
			organisation_attribute = excluded.organisation_attribute, issuer = excluded.issuer, may_grant = excluded.may_grant,
			may_staff = excluded.may_staff, created_at = excluded.created_at, updated_at = excluded.updated_at, removed_at = NULL
		WHERE s.removed_at IS NOT NULL`
	updateSource = `UPDATE source SET organisation = $2, organisation_attribute = $3, issuer = $4, may_grant = $5, may_staff = $6, updated_at = $7
		WHERE name = $1 AND removed_at IS NULL AND ($8::bigint IS NULL OR updated_at = $8)`
	// removeSource comes before revokeSourceTokens: insertSourceToken waits for it, or is seen by the other.
	removeSource       = `UPDATE source SET removed_at = $1 WHERE name = $2 AND removed_at IS NULL`
	revokeSourceTokens = `UPDATE source_token SET revoked_at = $1 WHERE source = $2 AND revoked_at IS NULL`

	selectByToken = `SELECT ` + sourceColumns + `, ` + tokenColumns + ` FROM source_token k JOIN source s ON s.name = k.source
		WHERE k.hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2) AND s.removed_at IS NULL`
	selectSourceTokens = `SELECT ` + tokenColumns + ` FROM source_token k WHERE k.source = $1 ORDER BY k.created_at, k.id`
	insertSourceToken  = `INSERT INTO source_token (id, source, hash, created_at, expires_at)
		SELECT $1, s.name, $3, $4, $5 FROM source s WHERE s.name = $2 AND s.removed_at IS NULL FOR NO KEY UPDATE OF s`
	revokeSourceToken = `UPDATE source_token SET revoked_at = $1 WHERE id = $2 AND source = $3 AND revoked_at IS NULL`
	touchSourceToken  = `UPDATE source_token SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)`
)

func sourceDest(s *store.Source) []any {
	return []any{text(&s.Name), text(&s.Organisation), text(&s.OrganisationAttribute), text(&s.Issuer), flag{&s.MayGrant}, flag{&s.MayStaff}, at{&s.Created}, at{&s.Updated}, at{&s.Removed}}
}

func tokenDest(t *store.SourceToken) []any {
	return []any{text(&t.ID), text(&t.Source), hash{&t.Hash}, at{&t.Created}, at{&t.Expires}, at{&t.LastUsed}, at{&t.Revoked}}
}

// Sources implements store.Provisioning.
func (s *Store) Sources(ctx context.Context) (out []store.Source, err error) {
	err = s.single(ctx, "listing sources", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectSources, nil, func(r pgx.Rows) error {
			var one store.Source
			err := r.Scan(sourceDest(&one)...)
			out = append(out, one)
			return err
		})
	})
	return out, err
}

// Source implements store.Provisioning.
func (s *Store) Source(ctx context.Context, name string) (out store.Source, err error) {
	err = s.single(ctx, "reading a source", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectSource, []any{name}, sourceDest(&out))
	})
	return out, err
}

// CreateSource implements store.Provisioning.
func (s *Store) CreateSource(ctx context.Context, w store.SourceWrite) error {
	n := w.Source
	if err := store.CheckKeys(n.Name); err != nil {
		return failed("adding a source", err)
	}
	return s.guarded(ctx, "adding a source", w.Write, store.ErrExists, func(ctx context.Context, t *tx) (int64, error) {
		return exec(ctx, t, insertSource, n.Name, n.Organisation, n.OrganisationAttribute, n.Issuer, n.MayGrant, n.MayStaff, ms(n.Created), ms(n.Updated))
	})
}

// ChangeSource implements store.Provisioning.
func (s *Store) ChangeSource(ctx context.Context, w store.SourceWrite) error {
	n := w.Source
	return s.guarded(ctx, "changing a source", w.Write, store.ErrNotFound, func(ctx context.Context, t *tx) (int64, error) {
		changed, err := exec(ctx, t, updateSource, n.Name, n.Organisation, n.OrganisationAttribute, n.Issuer, n.MayGrant, n.MayStaff, ms(n.Updated), ms(w.Was))
		if err != nil || changed > 0 {
			return changed, err
		}
		var is store.Source
		if err := row(ctx, t, selectSource, []any{n.Name}, sourceDest(&is)); err != nil {
			return 0, missing(err)
		}
		if is.Removed.IsZero() {
			return 0, impersonation.ErrChanged
		}
		return 0, nil
	})
}

// RemoveSource implements store.Provisioning.
func (s *Store) RemoveSource(ctx context.Context, w store.SourceWrite) error {
	return s.guarded(ctx, "removing a source", w.Write, store.ErrNotFound, func(ctx context.Context, t *tx) (int64, error) {
		n, err := exec(ctx, t, removeSource, w.Now.UnixMilli(), w.Source.Name)
		if err != nil || n == 0 {
			return n, err
		}
		_, err = exec(ctx, t, revokeSourceTokens, w.Now.UnixMilli(), w.Source.Name)
		return n, err
	})
}

// SourceByToken implements store.Provisioning.
func (s *Store) SourceByToken(ctx context.Context, token oauth.Hash, now time.Time) (source store.Source, k store.SourceToken, err error) {
	err = s.single(ctx, "reading whose token it is", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectByToken, []any{hashed(token), now.UnixMilli()}, append(sourceDest(&source), tokenDest(&k)...))
	})
	return source, k, err
}

// SourceTokens implements store.Provisioning.
func (s *Store) SourceTokens(ctx context.Context, source string) (out []store.SourceToken, err error) {
	err = s.single(ctx, "listing a source's tokens", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectSourceTokens, []any{source}, func(r pgx.Rows) error {
			var one store.SourceToken
			err := r.Scan(tokenDest(&one)...)
			out = append(out, one)
			return err
		})
	})
	return out, err
}

// AddSourceToken implements store.Provisioning.
func (s *Store) AddSourceToken(ctx context.Context, w store.SourceTokenWrite) error {
	n := w.Token
	if err := store.CheckKeys(n.ID); err != nil {
		return failed("adding a source's token", err)
	}
	return s.guarded(ctx, "adding a source's token", w.Write, store.ErrNotFound, func(ctx context.Context, t *tx) (int64, error) {
		return exec(ctx, t, insertSourceToken, n.ID, n.Source, hashed(n.Hash), ms(n.Created), ms(n.Expires))
	})
}

// RevokeSourceToken implements store.Provisioning.
func (s *Store) RevokeSourceToken(ctx context.Context, w store.SourceTokenWrite) error {
	return s.guarded(ctx, "revoking a source's token", w.Write, store.ErrNotFound, func(ctx context.Context, t *tx) (int64, error) {
		return exec(ctx, t, revokeSourceToken, w.Now.UnixMilli(), w.Token.ID, w.Token.Source)
	})
}

// TouchSourceToken implements store.Provisioning.
func (s *Store) TouchSourceToken(ctx context.Context, id string, now time.Time) error {
	return s.single(ctx, "noting the use of a source's token", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, touchSourceToken, now.UnixMilli(), id, now.Add(-store.TouchEvery).UnixMilli())
		return err
	})
}

// guarded is a write of one statement, recorded with w, and answers none where that statement changed no row.
func (s *Store) guarded(ctx context.Context, doing string, w impersonation.Write, none error, f func(context.Context, *tx) (int64, error)) error {
	return s.update(ctx, doing, func(ctx context.Context, t *tx) error {
		n, err := f(ctx, t)
		if err != nil {
			return exists(err)
		}
		if n == 0 {
			return none
		}
		t.record(w.Entries, w.Events)
		return nil
	})
}
