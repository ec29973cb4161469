package sqlite

import (
	"context"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

const (
	useReturn = `UPDATE return_token SET used_at = ?, given = ? WHERE hash = ? AND session = ? AND used_at IS NULL AND void_at IS NULL`

	stopSession = `UPDATE impersonation_session SET ended_at = ?, end_reason = ?, ended_by = actor, foreign_token = NULL, ask_at = NULL WHERE id = ? AND ended_at IS NULL`

	// insertNext gives the actor a token of their own again: the grant takes its people from the session, how they signed
	// in from the login, and its family from the token of before, with which it is revoked.
	insertNext = `INSERT INTO oauth_grant (id, client, user_id, login, redirect_uri, scope, audience, nonce, code_challenge,
			auth_time, acr, amr, created_at, jti, issued_at, expires_at, family, token_sub)
		SELECT ?, s.client, s.actor, s.login, '', ?, ?, '', '', l.auth_time, coalesce(l.acr, ''), coalesce(l.amr, '[]'), ?, ?, ?, ?,
			coalesce((SELECT g.family FROM oauth_grant g WHERE g.jti = s.before_jti), ''), s.act_sub
		FROM impersonation_session s LEFT JOIN login l ON l.id = s.login WHERE s.id = ?`

	// wasRevoked tells whether the actor's token of before a session was revoked. A grant that was swept counts as not revoked.
	wasRevoked = `EXISTS (SELECT 1 FROM impersonation_session s JOIN oauth_grant g ON g.jti = s.before_jti WHERE s.id = r.session AND g.revoked_at IS NOT NULL)`

	selectReturn = `SELECT r.session, r.expires_at, r.used_at, r.void_at IS NOT NULL, r.given, ` + wasRevoked + ` FROM return_token r WHERE r.hash = ?`

	selectRevoked = `SELECT ` + wasRevoked + ` FROM return_token r WHERE r.hash = ?`
)

// Stop implements impersonation.Store.
func (s *Store) Stop(ctx context.Context, w impersonation.StopWrite) error {
	rows, err := entriesOf(w.Entries)
	if err != nil {
		return failed("stopping", err)
	}
	return s.updateUrgent(ctx, "stopping", func(ctx context.Context, c *conn) error { return c.stop(ctx, w, rows) })
}

func (c *conn) stop(ctx context.Context, w impersonation.StopWrite, entries [][]any) error {
	grant := nextGrant(w.Next)
	n, err := c.exec(ctx, useReturn, w.Now.UnixMilli(), grant, w.Return[:], w.Session)
	if err != nil {
		return err
	}
	if n == 0 {
		return impersonation.ErrSpent
	}
	if n, err = c.exec(ctx, stopSession, w.Now.UnixMilli(), string(impersonation.EndStopped), w.Session); err != nil {
		return err
	}
	if n > 0 {
		if err := c.noticeSessions(ctx, w.Now, w.Session); err != nil {
			return err
		}
	}
	if next := w.Next; next != nil {
		var revoked bool
		if err := c.row(ctx, selectRevoked, []any{w.Return[:]}, []any{&revoked}); err != nil {
			return err
		}
		if revoked {
			return impersonation.ErrChanged
		}
		if _, err := c.exec(ctx, insertNext, grant, list(next.Scope), next.Audience, w.Now.UnixMilli(), orNull(next.JTI),
			ms(next.Issued), ms(next.Expires), w.Session); err != nil {
			return err
		}
	}
	return c.recordRows(ctx, entries, w.Events)
}

// nextGrant is the id of the row that next becomes, "" without one.
func nextGrant(next *impersonation.ActorToken) string {
	if next == nil {
		return ""
	}
	if next.Grant == "" {
		return oauth.NewID("grt")
	}
	return next.Grant
}
