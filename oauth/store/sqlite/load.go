package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// selectHolder reads a login, and whether a grant that is not revoked has the token jti.
const selectHolder = `SELECT ` + loginColumns + `, EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ?2 AND revoked_at IS NULL) FROM login WHERE id = ?1`

const selectHeld = `SELECT EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ? AND revoked_at IS NULL)`

const selectSubjectToken = `SELECT EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ?1 AND revoked_at IS NULL)
	AND (?2 = '' OR EXISTS (SELECT 1 FROM login WHERE id = ?2 AND ended_at IS NULL))`

// selectProvisioned finds who a user is to their source, while it could tell of them.
const selectProvisioned = `SELECT o.issuer, u.external_id FROM app_user u JOIN source o ON o.name = substr(u.source, 6)
	WHERE u.id = ?1 AND substr(u.source, 1, 5) = '` + store.SourceSCIM + `' AND u.external_id <> '' AND o.issuer <> '' AND o.removed_at IS NULL
		AND EXISTS (SELECT 1 FROM source_token k WHERE k.source = o.name AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?2))`

// LoadStart implements impersonation.Store.
func (s *Store) LoadStart(ctx context.Context, k impersonation.StartKey) (f impersonation.Facts, err error) {
	err = s.view(ctx, "reading a start", func(ctx context.Context, c *conn) error {
		f, err = c.loadStart(ctx, k)
		return err
	})
	return f, err
}

func (c *conn) loadStart(ctx context.Context, k impersonation.StartKey) (f impersonation.Facts, err error) {
	if !k.Ticket.IsZero() {
		if f.Ticket, err = optional(c.ticket(ctx, k.Ticket)); err != nil || f.Ticket == nil {
			return f, err // without the ticket nobody knows who is meant
		}
		k.Client, k.Actor, k.Subject, k.Login = f.Ticket.Client, f.Ticket.Actor, f.Ticket.Subject, f.Ticket.Login
	}
	if f.Client, err = c.registered(ctx, k.Client); err != nil {
		return f, err
	}
	if f.Actor, f.Subject, f.Guard.Authz, err = c.people(ctx, k.Actor, k.Subject); err != nil {
		return f, err
	}
	if f.Login, f.ActorToken, err = c.holder(ctx, k.Login, k.ActorJTI); err != nil {
		return f, err
	}
	if err := c.each(ctx, selectLive, []any{k.Login, k.Client}, func(r *sql.Rows) error {
		var id string
		err := r.Scan(&id)
		f.Live = append(f.Live, id)
		return err
	}); err != nil {
		return f, err
	}
	if k.Most > 0 {
		if err := c.row(ctx, countLive, []any{k.Actor, k.Now.UnixMilli(), k.Login, k.Client, k.Most}, []any{&f.Elsewhere}); err != nil {
			return f, err
		}
	}
	if k.Consent {
		if f.Consent, err = optional(c.consent(ctx, selectOpenConsent, k.Subject, k.Client)); err != nil {
			return f, err
		}
	}
	if k.Provisioned {
		dest := []any{&f.Provisioned.Issuer, &f.Provisioned.Subject}
		if _, err := optional(&f.Provisioned, c.row(ctx, selectProvisioned, []any{k.Actor, k.Now.UnixMilli()}, dest)); err != nil {
			return f, err
		}
	}
	if k.SubjectJTI != "" {
		if err := c.row(ctx, selectSubjectToken, []any{k.SubjectJTI, k.SubjectLogin}, []any{&f.SubjectToken}); err != nil {
			return f, err
		}
	}
	f.Guard.Login, f.Guard.ActorJTI, f.Guard.SubjectLogin, f.Guard.SubjectJTI = k.Login, k.ActorJTI, k.SubjectLogin, k.SubjectJTI
	f.Guard.Epochs = reach(k.Client, k.Actor, k.Subject, f.Actor, f.Subject)
	f.Kills, err = c.epochs(ctx, f.Guard.Epochs)
	return f, err
}

// holder reads a login, nil if there is none, and whether it still holds the token jti.
func (c *conn) holder(ctx context.Context, login, jti string) (l *impersonation.Login, held bool, err error) {
	if login == "" { // a service has tokens and no login
		err = c.row(ctx, selectHeld, []any{jti}, []any{&held})
		return nil, held, err
	}
	l = new(impersonation.Login)
	l, err = optional(l, c.row(ctx, selectHolder, []any{login, jti}, append(loginDest(l), &held)))
	return l, held, err
}

// registered reads a client, nil if it does not exist.
func (c *conn) registered(ctx context.Context, id string) (*policy.Client, error) {
	found, err := optional(c.client(ctx, id))
	if err != nil || found == nil {
		return nil, err
	}
	return found.Deciding(), nil
}

// optional turns a missing row into nil.
func optional[T any](v *T, err error) (*T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return v, err
}

// LoadStop implements impersonation.Store.
func (s *Store) LoadStop(ctx context.Context, returnToken oauth.Hash) (f impersonation.StopFacts, err error) {
	err = s.view(ctx, "reading a stop", func(ctx context.Context, c *conn) error {
		f, err = c.loadStop(ctx, returnToken)
		return err
	})
	return f, ours(err)
}

func (c *conn) loadStop(ctx context.Context, h oauth.Hash) (f impersonation.StopFacts, err error) {
	var sid string
	if err := c.row(ctx, selectReturn, []any{h[:]}, []any{&sid, at{&f.Expires}, at{&f.Used}, &f.Void, &f.Given, &f.Revoked}); err != nil {
		return f, err
	}
	if f.Session, err = c.session(ctx, sid); err != nil {
		return f, err
	}
	if f.Login, err = optional(c.login(ctx, selectLogin, f.Session.Login)); err != nil {
		return f, err
	}
	f.Actor, f.Subject, _, err = c.people(ctx, f.Session.Actor, f.Session.Subject)
	return f, err
}

// LoadSession implements impersonation.Store.
func (s *Store) LoadSession(ctx context.Context, sid string) (l impersonation.Live, err error) {
	err = s.view(ctx, "reading a session", func(ctx context.Context, c *conn) error {
		l, err = c.loadSession(ctx, sid)
		return err
	})
	return l, ours(err)
}

func (c *conn) loadSession(ctx context.Context, sid string) (l impersonation.Live, err error) {
	if l.Session, err = c.session(ctx, sid); err != nil {
		return l, err
	}
	if l.Client, err = c.registered(ctx, l.Session.Client); err != nil {
		return l, err
	}
	if l.Actor, l.Subject, _, err = c.people(ctx, l.Session.Actor, l.Session.Subject); err != nil {
		return l, err
	}
	if l.Login, err = optional(c.login(ctx, selectLogin, l.Session.Login)); err != nil {
		return l, err
	}
	if l.Session.Consent != "" {
		if l.Consent, err = optional(c.consent(ctx, selectConsent, l.Session.Consent)); err != nil {
			return l, err
		}
	}
	l.Kills, err = c.epochs(ctx, reach(l.Session.Client, l.Session.Actor, l.Session.Subject, l.Actor, l.Subject))
	return l, err
}

// ours gives a missing row the name that package impersonation has for it.
func ours(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return impersonation.ErrNotFound
	}
	return err
}
