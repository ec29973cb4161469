package sqlite

import (
	"context"
	"database/sql"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

const (
	sessionColumns = `id, audit, client, actor, subject, login, mode, scope, resource, reason, ticket_number, via, jti, policy,
		started_at, expires_at, last_active_at, login_expires_at, ended_at, end_reason, ended_by,
		before_jti, before_scope, before_audience, before_left, before_issued_at, before_expires_at, actor_kind, jkt, consent, once,
		token_sub, act_iss, act_sub, heard_at`

	insertSession = `INSERT INTO impersonation_session (request, ` + sessionColumns + `, foreign_token, ask_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, '', '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	selectSession = `SELECT ` + sessionColumns + ` FROM impersonation_session WHERE id = ?`

	selectLive = `SELECT id FROM impersonation_session WHERE login = ? AND login <> '' AND client = ? AND ended_at IS NULL ORDER BY seq`

	// countLive counts the living sessions of an actor up to a number, but for those that a start at the same login and client takes
	// the place of.
	countLive = `SELECT count(*) FROM (SELECT 1 FROM impersonation_session WHERE actor = ?1 AND ended_at IS NULL AND expires_at > ?2
		AND NOT (login = ?3 AND login <> '' AND client = ?4) LIMIT ?5)`
)

func sessionDest(s *impersonation.Session, more ...any) []any {
	b := &s.Before
	return append([]any{&s.ID, &s.Audit, &s.Client, &s.Actor, &s.Subject, &s.Login, &s.Mode, items{&s.Scope}, &s.Resource, &s.Reason,
		&s.TicketNumber, &s.Via, &s.JTI, &s.Policy, at{&s.Started}, at{&s.Expires}, at{&s.LastActive}, at{&s.LoginExpires},
		at{&s.Ended}, &s.EndReason, &s.EndedBy,
		&b.JTI, items{&b.Scope}, &b.Audience, span{&b.Left}, at{&b.Issued}, at{&b.Expires},
		&s.ActorKind, &s.Key, &s.Consent, &s.Once, &s.TokenSubject, &s.TokenActor.Issuer, &s.TokenActor.Subject, at{&s.Heard}}, more...)
}

func (c *conn) addSession(ctx context.Context, w impersonation.StartWrite) error {
	s, b := w.Session, w.Session.Before
	_, err := c.exec(ctx, insertSession, w.RequestID, s.ID, s.Audit, s.Client, s.Actor, s.Subject, s.Login, string(s.Mode), list(s.Scope), s.Resource,
		s.Reason, s.TicketNumber, string(s.Via), s.JTI, s.Policy, ms(s.Started), ms(s.Expires), ms(s.LastActive), ms(s.LoginExpires),
		b.JTI, list(b.Scope), b.Audience, b.Left.Milliseconds(), ms(b.Issued), ms(b.Expires),
		string(s.ActorKind), s.Key, s.Consent, s.Once, s.TokenSubject, s.TokenActor.Issuer, s.TokenActor.Subject,
		ms(s.Heard), w.ForeignToken, ms(w.AskAt))
	return err
}

// session finds by ID; sql.ErrNoRows.
func (c *conn) session(ctx context.Context, id string) (s impersonation.Session, err error) {
	return s, c.row(ctx, selectSession, []any{id}, sessionDest(&s))
}

// sessions reads whatever query selects, in its order.
func (c *conn) sessions(ctx context.Context, query string, args ...any) (out []impersonation.Session, err error) {
	err = c.each(ctx, query, args, func(r *sql.Rows) error {
		var s impersonation.Session
		if err := r.Scan(sessionDest(&s)...); err != nil {
			return err
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// Session implements store.Trail.
func (s *Store) Session(ctx context.Context, id string) (out impersonation.Session, err error) {
	err = s.view(ctx, "reading a session", func(ctx context.Context, c *conn) error {
		out, err = c.session(ctx, id)
		return err
	})
	return out, err
}
