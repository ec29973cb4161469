package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

const (
	sessionColumns = `s.id, s.audit, s.client, s.actor, s.subject, s.login, s.mode, s.scope, s.resource, s.reason, s.ticket_number, s.via, s.jti,
		s.policy, s.started_at, s.expires_at, s.last_active_at, s.login_expires_at, s.ended_at, s.end_reason, s.ended_by,
		s.before_jti, s.before_scope, s.before_audience, s.before_left, s.before_issued_at, s.before_expires_at,
		s.actor_kind, s.jkt, s.consent, s.once, s.token_sub, s.act_iss, s.act_sub, s.heard_at`

	selectSession = `SELECT ` + sessionColumns + ` FROM impersonation_session s WHERE s.id = $1`
)

func sessionDest(s *impersonation.Session, more ...any) []any {
	b := &s.Before
	return append([]any{text(&s.ID), text(&s.Audit), text(&s.Client), text(&s.Actor), text(&s.Subject), text(&s.Login), text(&s.Mode), items{&s.Scope},
		text(&s.Resource), text(&s.Reason), text(&s.TicketNumber), text(&s.Via), text(&s.JTI), text(&s.Policy), at{&s.Started}, at{&s.Expires},
		at{&s.LastActive}, at{&s.LoginExpires}, at{&s.Ended}, text(&s.EndReason), text(&s.EndedBy),
		text(&b.JTI), items{&b.Scope}, text(&b.Audience), span{&b.Left}, at{&b.Issued}, at{&b.Expires},
		text(&s.ActorKind), text(&s.Key), text(&s.Consent), text(&s.Once), text(&s.TokenSubject), text(&s.TokenActor.Issuer),
		text(&s.TokenActor.Subject), at{&s.Heard}}, more...)
}

// sessions reads whatever query selects, in its order.
func sessions(ctx context.Context, q querier, query string, args ...any) (out []impersonation.Session, err error) {
	err = each(ctx, q, query, args, func(r pgx.Rows) error {
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
	err = s.single(ctx, "reading a session", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectSession, []any{id}, sessionDest(&out))
	})
	return out, err
}
