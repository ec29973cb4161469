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

const selectHeld = `SELECT EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ? AND revoked_at IS NULL)`

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
	if f.Client, f.Actor, f.Subject, err = c.parties(ctx, k.Client, k.Actor, k.Subject); err != nil {
		return f, err
	}
	if f.Login, err = optional(c.login(ctx, selectLogin, k.Login)); err != nil {
		return f, err
	}
	if f.Live, err = c.sessions(ctx, selectLive, k.Login, k.Client); err != nil {
		return f, err
	}
	if f.ActorToken, err = c.holdsToken(ctx, k.ActorJTI); err != nil {
		return f, err
	}
	f.Guard.Login, f.Guard.ActorJTI = k.Login, k.ActorJTI
	f.Guard.Epochs = reach(k.Client, k.Actor, k.Subject, f.Actor, f.Subject)
	if f.Kills, err = c.epochs(ctx, f.Guard.Epochs); err != nil {
		return f, err
	}
	f.Guard.Authz, err = c.authz(ctx, f.Actor, f.Subject)
	return f, err
}

// holdsToken tells whether a grant that is not revoked has the token jti.
func (c *conn) holdsToken(ctx context.Context, jti string) (held bool, err error) {
	return held, c.row(ctx, selectHeld, []any{jti}, []any{&held})
}

// parties reads who takes part; nil for who does not exist.
func (c *conn) parties(ctx context.Context, client, actor, subject string) (pc *policy.Client, pa, ps *policy.Person, err error) {
	registered, err := optional(c.client(ctx, client))
	if err != nil {
		return nil, nil, nil, err
	}
	if registered != nil {
		pc = &registered.Client
	}
	pa, ps, err = c.people(ctx, actor, subject)
	return pc, pa, ps, err
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
	if err := c.row(ctx, selectReturn, []any{h[:]}, []any{&sid, at{&f.Expires}, at{&f.Used}, &f.Void, &f.Given}); err != nil {
		return f, err
	}
	if f.Session, err = c.session(ctx, sid); err != nil {
		return f, err
	}
	if f.Login, err = optional(c.login(ctx, selectLogin, f.Session.Login)); err != nil {
		return f, err
	}
	f.Actor, f.Subject, err = c.people(ctx, f.Session.Actor, f.Session.Subject)
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
	if l.Client, l.Actor, l.Subject, err = c.parties(ctx, l.Session.Client, l.Session.Actor, l.Session.Subject); err != nil {
		return l, err
	}
	if l.Login, err = optional(c.login(ctx, selectLogin, l.Session.Login)); err != nil {
		return l, err
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
