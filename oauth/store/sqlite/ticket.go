package sqlite

import (
	"context"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

const (
	insertTicket = `INSERT INTO ticket (hash, client, redirect_uri, actor, subject, login, mode, scope, resource, duration, reason,
		ticket_number, code_challenge, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	selectTicket = `SELECT hash, client, redirect_uri, actor, subject, login, mode, scope, resource, duration, reason,
		ticket_number, code_challenge, created_at, expires_at, used_at, session FROM ticket WHERE hash = ?`
)

// IssueTicket implements impersonation.Store.
func (s *Store) IssueTicket(ctx context.Context, w impersonation.TicketWrite) error {
	return s.update(ctx, "issuing a ticket", func(ctx context.Context, c *conn) error {
		if err := c.hold(ctx, countChanged, w.Guard); err != nil {
			return err
		}
		t := w.Ticket
		if _, err := c.exec(ctx, insertTicket, t.Hash[:], t.Client, t.RedirectURI, t.Actor, t.Subject, t.Login, string(t.Mode), list(t.Scope),
			t.Resource, t.Duration.Milliseconds(), t.Reason, t.TicketNumber, t.CodeChallenge, ms(t.Created), ms(t.Expires)); err != nil {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}

// ticket finds by hash; sql.ErrNoRows.
func (c *conn) ticket(ctx context.Context, h oauth.Hash) (*impersonation.Ticket, error) {
	t := new(impersonation.Ticket)
	err := c.row(ctx, selectTicket, []any{h[:]}, []any{hash{&t.Hash}, &t.Client, &t.RedirectURI, &t.Actor, &t.Subject, &t.Login, &t.Mode,
		items{&t.Scope}, &t.Resource, span{&t.Duration}, &t.Reason, &t.TicketNumber, &t.CodeChallenge, at{&t.Created}, at{&t.Expires},
		at{&t.Used}, &t.Session})
	return t, err
}
