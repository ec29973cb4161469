package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	consentColumns = `y.id, y.subject, y.actor, y.actor_kind, y.client, y.scopes, y.mode, y.reason, y.until_at, y.created_at, y.created_by, y.revoked_at`

	selectConsent     = `SELECT ` + consentColumns + ` FROM consent y WHERE y.id = $1`
	selectOpenConsent = `SELECT ` + consentColumns + ` FROM consent y WHERE y.subject = $1 AND y.client = $2 AND y.revoked_at IS NULL`
	selectConsents    = `SELECT ` + consentColumns + ` FROM consent y WHERE y.id > $1 AND ($2 = '' OR y.subject = $2) AND ($3 = '' OR y.actor = $3)
		AND ($4 = '' OR y.client = $4) AND ($5::bigint IS NULL OR y.revoked_at IS NULL AND y.until_at > $5) ORDER BY y.id LIMIT $6::bigint`

	insertConsent = `INSERT INTO consent (id, subject, actor, actor_kind, client, scopes, mode, reason, until_at, created_at, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	// closeConsent makes room for the next one after one that is over.
	closeConsent         = `UPDATE consent SET revoked_at = until_at WHERE subject = $1 AND client = $2 AND revoked_at IS NULL AND until_at <= $3`
	revokeConsent        = `UPDATE consent SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL`
	revokeClientConsents = `UPDATE consent SET revoked_at = $1 WHERE id = ANY (ARRAY(
		SELECT id FROM consent WHERE client = $2 AND revoked_at IS NULL ORDER BY id FOR NO KEY UPDATE))`
)

func consentDest(c *impersonation.Consent) []any {
	return []any{text(&c.ID), text(&c.Subject), text(&c.Actor), text(&c.ActorKind), text(&c.Client), items{&c.Scopes}, text(&c.Mode), text(&c.Reason),
		at{&c.Until}, at{&c.Created}, text(&c.CreatedBy), at{&c.Revoked}}
}

// AddConsent implements store.Consents.
func (s *Store) AddConsent(ctx context.Context, w store.ConsentWrite) error {
	n := w.Consent
	if err := store.CheckKeys(n.ID, n.Subject, n.Actor, n.Client); err != nil {
		return failed("adding a consent", err)
	}
	return s.update(ctx, "adding a consent", func(ctx context.Context, t *tx) error {
		if err := t.bumpOf(ctx, n.Subject); err != nil {
			return err
		}
		if _, err := exec(ctx, t, closeConsent, n.Subject, n.Client, w.Now.UnixMilli()); err != nil {
			return err
		}
		t.record(w.Entries, w.Events)
		_, err := exec(ctx, t, insertConsent, n.ID, n.Subject, n.Actor, string(n.ActorKind), n.Client, list(n.Scopes), string(n.Mode), n.Reason,
			ms(n.Until), ms(n.Created), n.CreatedBy)
		return exists(err)
	})
}

// bumpOf is bump for the organisation of a user, who is locked first as for a change of theirs; store.ErrNotFound.
func (t *tx) bumpOf(ctx context.Context, user string) error {
	var organisation string
	if err := row(ctx, t, lockUser, []any{user}, []any{&organisation}); err != nil {
		return missing(err)
	}
	return t.bump(ctx, organisation)
}

// RevokeConsent implements store.Consents.
func (s *Store) RevokeConsent(ctx context.Context, id string, end impersonation.EndWrite) ([]impersonation.Ended, error) {
	end.Scope, end.ID, end.Kill = impersonation.ScopeConsent, id, false
	return s.ending(ctx, "revoking a consent", func(ctx context.Context, t *tx) ([]impersonation.Ended, error) {
		var was impersonation.Consent
		if err := row(ctx, t, selectConsent, []any{id}, consentDest(&was)); err != nil {
			return nil, missing(err)
		}
		if err := t.bumpOf(ctx, was.Subject); err != nil {
			return nil, err
		}
		n, err := exec(ctx, t, revokeConsent, end.Now.UnixMilli(), id)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, store.ErrNotFound
		}
		return t.endAndRecord(ctx, end)
	})
}

// LivingConsent implements store.Consents.
func (s *Store) LivingConsent(ctx context.Context, subject, client string, now time.Time) (out impersonation.Consent, err error) {
	err = s.single(ctx, "reading a consent", func(ctx context.Context, q querier) error {
		out = impersonation.Consent{}
		err := row(ctx, q, selectOpenConsent, []any{subject, client}, consentDest(&out))
		if err == nil && !out.Lives(now) {
			return store.ErrNotFound
		}
		return err
	})
	return out, err
}

// Consents implements store.Consents.
func (s *Store) Consents(ctx context.Context, q store.ConsentQuery) (out []impersonation.Consent, err error) {
	var now any
	if q.Live {
		now = q.Now.UnixMilli()
	}
	args := []any{q.After, q.Subject, q.Actor, q.Client, now, pageSize(q.Limit, 1000)}
	err = s.list(ctx, "listing consents", selectConsents, args, func(r pgx.Rows) error {
		var one impersonation.Consent
		err := r.Scan(consentDest(&one)...)
		out = append(out, one)
		return err
	})
	return out, err
}
