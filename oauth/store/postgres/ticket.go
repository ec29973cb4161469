package postgres

import (
	"context"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

const (
	insertTicket = `INSERT INTO ticket (hash, client, redirect_uri, actor, subject, login, mode, scope, resource, duration, reason,
		ticket_number, code_challenge, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

	ticketColumns = `t.hash, t.client, t.redirect_uri, t.actor, t.subject, t.login, t.mode, t.scope, t.resource, t.duration, t.reason,
		t.ticket_number, t.code_challenge, t.created_at, t.expires_at, t.used_at, t.session`
)

// IssueTicket implements impersonation.Store.
func (s *Store) IssueTicket(ctx context.Context, w impersonation.TicketWrite) error {
	return s.update(ctx, "issuing a ticket", func(ctx context.Context, c *tx) error {
		if err := c.hold(ctx, w.Guard); err != nil {
			return err
		}
		t := w.Ticket
		c.record(w.Entries, w.Events)
		_, err := exec(ctx, c, insertTicket, t.Hash[:], t.Client, t.RedirectURI, t.Actor, t.Subject, t.Login, string(t.Mode), list(t.Scope),
			t.Resource, t.Duration.Milliseconds(), t.Reason, t.TicketNumber, t.CodeChallenge, ms(t.Created), ms(t.Expires))
		return err
	})
}

func ticketDest(t *impersonation.Ticket) []any {
	return []any{hash{&t.Hash}, text(&t.Client), text(&t.RedirectURI), text(&t.Actor), text(&t.Subject), text(&t.Login), text(&t.Mode),
		items{&t.Scope}, text(&t.Resource), span{&t.Duration}, text(&t.Reason), text(&t.TicketNumber), text(&t.CodeChallenge), at{&t.Created},
		at{&t.Expires}, at{&t.Used}, text(&t.Session)}
}
