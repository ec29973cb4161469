package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

const (
	stopColumns = `hash bytea, session text, now bigint, given text, next boolean, scope text, audience text, jti text, issued_at bigint, expires_at bigint`

	// lockStops locks as lockGuards does, for the same reason: who signs the actor out changes the login first, and then
	// revokes its grants, so it finds the one that a stop adds.
	lockStops = `SELECT count(*) FROM (
		SELECT 1 FROM (SELECT 1 FROM login WHERE id = ANY (ARRAY(SELECT s.login FROM impersonation_session s WHERE s.id = ANY ($1::text[])))
			ORDER BY id FOR SHARE) l
		UNION ALL SELECT 1 FROM (SELECT 1 FROM oauth_grant WHERE jti = ANY (ARRAY(SELECT s.before_jti FROM impersonation_session s WHERE s.id = ANY ($1::text[])))
			ORDER BY id FOR SHARE) g
		UNION ALL SELECT 1 FROM (SELECT 1 FROM impersonation_session WHERE id = ANY ($1::text[]) ORDER BY seq FOR NO KEY UPDATE) s
		UNION ALL SELECT 1 FROM (SELECT 1 FROM return_token WHERE hash = ANY ($2::bytea[]) ORDER BY hash FOR NO KEY UPDATE) r
	) locked`

	// wasRevoked tells whether the actor's token of before session s was revoked. A grant that was swept counts as not revoked.
	wasRevoked = `EXISTS (SELECT 1 FROM oauth_grant g WHERE g.jti = s.before_jti AND g.revoked_at IS NOT NULL)`
)

// insertStops is the one write of any number of stops, after lockStops. A grant that a stop gives takes its people from the session,
// how they signed in from the login, and its family from the token of before, with which it is revoked. Whether a session lives is asked by coalesce, so that the index of those that do, which the
// planner may take for small, is not read whole.
var insertStops = func() string {
	entries := 1 + len(newTable(stopColumns))
	events := entries + 1 + len(newTable(entryColumns))
	return `WITH verdict AS MATERIALIZED (SELECT w.*, CASE
		WHEN NOT EXISTS (SELECT 1 FROM return_token r WHERE r.hash = w.hash AND r.session = w.session AND coalesce(r.used_at, r.void_at) IS NULL) THEN 'spent'
		WHEN w.next AND EXISTS (SELECT 1 FROM impersonation_session s WHERE s.id = w.session AND ` + wasRevoked + `) THEN 'changed'
		WHEN EXISTS (SELECT 1 FROM installation i WHERE i.id = 1) THEN 'ok'
		ELSE 'no installation' END AS outcome FROM ` + unnested("w", stopColumns, 1) + `),
	ok AS MATERIALIZED (SELECT v.* FROM verdict v CROSS JOIN ` + head + ` WHERE v.outcome = 'ok'),
	used AS (UPDATE return_token r SET used_at = ok.now, given = ok.given FROM ok WHERE r.hash = ok.hash AND ` + among("r.hash", "hash") + `),
	ended AS (UPDATE impersonation_session s SET ended_at = ok.now, end_reason = 'stopped', ended_by = s.actor, foreign_token = NULL, ask_at = NULL
		FROM ok WHERE s.id = ok.session AND ` + among("s.id", "session") + ` AND coalesce(s.ended_at, 0) = 0 RETURNING s.client, s.id AS sid, s.ended_at AS at),
	noticed AS (` + noticeEnded + `),
	back AS (INSERT INTO oauth_grant (id, client, user_id, login, redirect_uri, scope, audience, nonce, code_challenge,
			auth_time, acr, amr, created_at, jti, issued_at, expires_at, family, token_sub)
		SELECT ok.given, s.client, s.actor, s.login, '', ok.scope::jsonb, ok.audience, '', '',
			l.auth_time, coalesce(l.acr, ''), coalesce(l.amr, '[]'), ok.now, ok.jti, ok.issued_at, ok.expires_at, coalesce(g.family, ''), s.act_sub
		FROM ok` + one("impersonation_session", "s", "id = ok.session") + one("login", "l", "id = s.login") + one("oauth_grant", "g", "jti = s.before_jti") + ` WHERE ok.next AND s.id IS NOT NULL),
	` + recordOf("ok", entries, events) + `
	SELECT outcome FROM verdict ORDER BY ord`
}()

// stop is a StopWrite with its entries as they will be stored.
type stop struct {
	impersonation.StopWrite
	entries [][]any
}

// alone are the names of what two stops in one statement may not share.
func (w stop) alone() []string {
	return []string{"return " + string(w.Return[:]), "session " + w.Session}
}

func (w stop) rows() int { return len(w.entries) }

// Stop implements impersonation.Store.
func (s *Store) Stop(ctx context.Context, w impersonation.StopWrite) error {
	entries, err := entriesOf(w.Write)
	if err != nil {
		return failed("stopping", err)
	}
	return failed("stopping", s.stops.do(ctx, stop{w, entries}))
}

// runStops writes many stops and gives each its answer.
func (s *Store) runStops(ctx context.Context, writes []stop) ([]error, error) {
	stops, entries, events := newTable(stopColumns), newTable("of,"+entryColumns), newTable("of,"+eventColumns)
	var sessions []string
	var hashes [][]byte
	for i, w := range writes {
		next := w.Next
		if next == nil {
			next = new(impersonation.ActorToken)
		}
		stops.add(w.Return[:], w.Session, w.Now.UnixMilli(), nextGrant(w.Next), w.Next != nil, list(next.Scope), next.Audience, orNull(next.JTI),
			ms(next.Issued), ms(next.Expires))
		sessions, hashes = append(sessions, w.Session), append(hashes, w.Return[:])
		addRecord(entries, events, int64(i+1), w.entries, w.Events)
	}
	return s.runBatch(ctx, func(b *pgx.Batch) {
		b.Queue(lockStops, sessions, hashes)
		b.Queue(insertStops, args(stops, entries, events)...)
	})
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
