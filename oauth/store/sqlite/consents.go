package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	consentColumns = `id, subject, actor, actor_kind, client, scopes, mode, reason, until_at, created_at, created_by, revoked_at`

	selectConsent     = `SELECT ` + consentColumns + ` FROM consent WHERE id = ?`
	selectOpenConsent = `SELECT ` + consentColumns + ` FROM consent WHERE subject = ? AND client = ? AND revoked_at IS NULL`
	selectConsents    = `SELECT ` + consentColumns + ` FROM consent WHERE id > ?1 AND (?2 = '' OR subject = ?2) AND (?3 = '' OR actor = ?3)
		AND (?4 = '' OR client = ?4) AND (?5 IS NULL OR revoked_at IS NULL AND until_at > ?5) ORDER BY id LIMIT ?6`

	insertConsent = `INSERT INTO consent (` + consentColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)`
	// closeConsent makes room for the next one after one that is over.
	closeConsent         = `UPDATE consent SET revoked_at = until_at WHERE subject = ? AND client = ? AND revoked_at IS NULL AND until_at <= ?`
	revokeConsent        = `UPDATE consent SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`
	revokeClientConsents = `UPDATE consent SET revoked_at = ? WHERE client = ? AND revoked_at IS NULL`
)

func consentDest(c *impersonation.Consent) []any {
	return []any{&c.ID, &c.Subject, &c.Actor, &c.ActorKind, &c.Client, items{&c.Scopes}, &c.Mode, &c.Reason, at{&c.Until}, at{&c.Created},
		&c.CreatedBy, at{&c.Revoked}}
}

// consent finds one; sql.ErrNoRows.
func (c *conn) consent(ctx context.Context, query string, args ...any) (*impersonation.Consent, error) {
	out := new(impersonation.Consent)
	return out, c.row(ctx, query, args, consentDest(out))
}

// AddConsent implements store.Consents.
func (s *Store) AddConsent(ctx context.Context, w store.ConsentWrite) error {
	n := w.Consent
	if err := store.CheckKeys(n.ID, n.Subject, n.Actor, n.Client); err != nil {
		return failed("adding a consent", err)
	}
	return s.update(ctx, "adding a consent", func(ctx context.Context, c *conn) error {
		if err := c.bumpOf(ctx, n.Subject); err != nil {
			return err
		}
		if _, err := c.exec(ctx, closeConsent, n.Subject, n.Client, w.Now.UnixMilli()); err != nil {
			return err
		}
		if _, err := c.exec(ctx, insertConsent, n.ID, n.Subject, n.Actor, string(n.ActorKind), n.Client, list(n.Scopes), string(n.Mode), n.Reason,
			ms(n.Until), ms(n.Created), n.CreatedBy); err != nil {
			return exists(err)
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}

// bumpOf is bump for the organisation of a user; store.ErrNotFound.
func (c *conn) bumpOf(ctx context.Context, user string) error {
	var organisation string
	if err := c.row(ctx, selectOrganisation, []any{user}, []any{&organisation}); err != nil {
		return missing(err)
	}
	return c.bump(ctx, organisation)
}

// RevokeConsent implements store.Consents.
func (s *Store) RevokeConsent(ctx context.Context, id string, end impersonation.EndWrite) ([]impersonation.Ended, error) {
	end.Scope, end.ID, end.Kill = impersonation.ScopeConsent, id, false
	return s.ending(ctx, "revoking a consent", func(ctx context.Context, c *conn) ([]impersonation.Ended, error) {
		was, err := c.consent(ctx, selectConsent, id)
		if err != nil {
			return nil, missing(err)
		}
		if err := c.bumpOf(ctx, was.Subject); err != nil {
			return nil, err
		}
		n, err := c.exec(ctx, revokeConsent, end.Now.UnixMilli(), id)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, store.ErrNotFound
		}
		return c.endAndRecord(ctx, end)
	})
}

// LivingConsent implements store.Consents.
func (s *Store) LivingConsent(ctx context.Context, subject, client string, now time.Time) (out impersonation.Consent, err error) {
	err = s.look(ctx, "reading a consent", func(ctx context.Context, c *conn) error {
		found, err := c.consent(ctx, selectOpenConsent, subject, client)
		if err == nil && !found.Lives(now) {
			return store.ErrNotFound
		}
		out = *found
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
	err = s.list(ctx, "listing consents", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectConsents, []any{q.After, q.Subject, q.Actor, q.Client, now, pageSize(q.Limit, 1000)}, func(r *sql.Rows) error {
			var one impersonation.Consent
			err := r.Scan(consentDest(&one)...)
			out = append(out, one)
			return err
		})
	})
	return out, err
}
