package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// What becomes of a write that shares a statement with others.
const (
	outcomeDone    = "done"    // it was committed before: its answer was lost and the caller asks again
	outcomeSpent   = "spent"   // impersonation.ErrSpent
	outcomeChanged = "changed" // impersonation.ErrChanged
	outcomeOK      = "ok"
)

const startColumns = guardColumns + `, request text, now bigint, ticket bytea, return bytea, return_ends bigint,
	id text, audit text, client text, actor text, subject text, session_login text, mode text, scope text, resource text, reason text,
	ticket_number text, via text, session_jti text, policy text, started_at bigint, expires_at bigint, last_active_at bigint, login_expires_at bigint,
	before_jti text, before_scope text, before_audience text, before_left bigint, before_issued_at bigint, before_expires_at bigint,
	actor_kind text, jkt text, consent text, once text, token_sub text, act_iss text, act_sub text,
	heard_at bigint, foreign_token bytea, ask_at bigint, max_live bigint`

// insertStarts is the one write of any number of starts, after lockGuards. What each comes to is decided first, on rows that are
// locked, so that nothing which is written can fail to be all of it. Without the row of head nothing is written, so that nothing may be 'ok'.
//
// Two starts of one actor may not share it, nor two of what can start only once: neither would see the other.
var insertStarts = func() string {
	epochs := 1 + len(newTable(startColumns))
	entries := epochs + len(newTable(epochColumns)) + len(newTable(versionColumns))
	events := entries + 1 + len(newTable(entryColumns))
	return `WITH verdict AS MATERIALIZED (SELECT w.*, CASE
		WHEN EXISTS (SELECT 1 FROM impersonation_session s WHERE s.id = w.id AND s.request = w.request) THEN 'done'
		WHEN w.ticket IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ticket t WHERE t.hash = w.ticket AND t.used_at IS NULL) THEN 'spent'
		WHEN w.once <> '' AND EXISTS (SELECT 1 FROM impersonation_session s WHERE s.once = w.once AND s.once <> '') THEN 'spent'
		WHEN w.ord IN (` + anyMoved(epochs) + `) OR ` + isGone + ` OR EXISTS (SELECT 1 FROM impersonation_session s
			WHERE s.login = w.session_login AND s.login <> '' AND s.client = w.client AND s.ended_at IS NULL AND s.expires_at > w.now) THEN 'changed'
		WHEN w.max_live > 0 AND w.max_live <= (SELECT count(*) FROM (SELECT 1 FROM impersonation_session s WHERE s.actor = w.actor AND s.ended_at IS NULL
			AND s.expires_at > w.now AND NOT (s.login = w.session_login AND s.login <> '' AND s.client = w.client) LIMIT w.max_live) counted) THEN 'changed'
		WHEN EXISTS (SELECT 1 FROM installation i WHERE i.id = 1) THEN 'ok'
		ELSE 'no installation' END AS outcome FROM ` + unnested("w", startColumns, 1) + `),
	ok AS MATERIALIZED (SELECT v.* FROM verdict v CROSS JOIN ` + head + ` WHERE v.outcome = 'ok'),
	used AS (UPDATE ticket t SET used_at = ok.now, session = ok.id FROM ok WHERE t.hash = ok.ticket AND ` + among("t.hash", "ticket") + `),
	opened AS (INSERT INTO impersonation_session (request, id, audit, client, actor, subject, login, mode, scope, resource, reason, ticket_number,
			via, jti, policy, started_at, expires_at, last_active_at, login_expires_at, before_jti, before_scope, before_audience, before_left,
			before_issued_at, before_expires_at, actor_kind, jkt, consent, once, token_sub, act_iss, act_sub, heard_at, foreign_token, ask_at)
		SELECT ok.request, ok.id, ok.audit, ok.client, ok.actor, ok.subject, ok.session_login, ok.mode, ok.scope::jsonb, ok.resource, ok.reason, ok.ticket_number,
			ok.via, ok.session_jti, ok.policy, ok.started_at, ok.expires_at, ok.last_active_at, ok.login_expires_at, ok.before_jti, ok.before_scope::jsonb,
			ok.before_audience, ok.before_left, ok.before_issued_at, ok.before_expires_at,
			ok.actor_kind, ok.jkt, ok.consent, ok.once, ok.token_sub, ok.act_iss, ok.act_sub, ok.heard_at, ok.foreign_token, ok.ask_at
		FROM ok ORDER BY ok.ord),
	back AS (INSERT INTO return_token (hash, session, expires_at) SELECT ok.return, ok.id, ok.return_ends FROM ok WHERE ok.return IS NOT NULL),
	` + recordOf("ok", entries, events) + `
	SELECT outcome FROM verdict ORDER BY ord`
}()

// among is the condition that column is one that ok has: what is updated is looked up by it, and not read whole where the planner
// believes that there is little of it.
func among(column, of string) string { return column + ` = ANY (ARRAY(SELECT o.` + of + ` FROM ok o))` }

// recordOf are the parts of a statement that write the entries and events of the rows in ok.
func recordOf(ok string, entries, events int) string {
	return `logged AS (INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical, opening)
		SELECT e.id, e.time_at, e.kind, e.actor, e.subject, e.client, e.session, e.canonical, e.opening
		FROM ` + unnested("e", "of bigint, "+entryColumns, entries) + ` JOIN ` + ok + ` ON ` + ok + `.ord = e.of ORDER BY e.ord),
	told AS (INSERT INTO outbox (kind, session, actor, subject, client, reason, time_at)
		SELECT o.kind, o.session, o.actor, o.subject, o.client, o.reason, o.time_at
		FROM ` + unnested("o", "of bigint, "+eventColumns, events) + ` JOIN ` + ok + ` ON ` + ok + `.ord = o.of ORDER BY o.ord)`
}

// start is a StartWrite with its entries as they will be stored.
type start struct {
	impersonation.StartWrite
	entries [][]any
}

// alone are the names of what two starts in one statement may not share.
func (w start) alone() []string {
	s := w.Session
	names := []string{"session " + s.ID, "actor " + s.Actor}
	if s.Login != "" {
		names = append(names, "login "+s.Login+"\x00"+s.Client)
	}
	if s.Once != "" {
		names = append(names, "once "+s.Once)
	}
	if !w.Ticket.IsZero() {
		names = append(names, "ticket "+string(w.Ticket[:]))
	}
	return names
}

func (w start) rows() int { return len(w.entries) }

// Start implements impersonation.Store.
func (s *Store) Start(ctx context.Context, w impersonation.StartWrite) error {
	entries, err := entriesOf(w.Write)
	if err != nil {
		return failed("starting", err)
	}
	one := start{w, entries}
	if len(w.Supersedes) == 0 {
		return failed("starting", s.starts.do(ctx, one))
	}
	return s.update(ctx, "starting", func(ctx context.Context, t *tx) error { return t.startOver(ctx, one) })
}

func entriesOf(w impersonation.Write) (out [][]any, err error) {
	for _, e := range w.Entries {
		values, err := entryValues(e)
		if err != nil {
			return nil, err
		}
		out = append(out, values)
	}
	return out, nil
}

// startOver ends what w takes the place of, in its transaction.
func (t *tx) startOver(ctx context.Context, w start) error {
	p := planStarts([]start{w})
	var b pgx.Batch
	p.guards.locks.queue(&b)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	for _, id := range w.Supersedes {
		if _, err := t.end(ctx, superseded(w.StartWrite, id)); err != nil {
			return err
		}
	}
	return t.open(ctx, p)
}

// open writes what was recorded so far and the one start of p, in one round trip: from here on all writers of the trail wait.
func (t *tx) open(ctx context.Context, p *startPlan) error {
	var b pgx.Batch
	if err := t.queueRecord(&b); err != nil {
		return err
	}
	var outcome string
	b.Queue(insertStarts, p.args()...).QueryRow(func(r pgx.Row) error { return r.Scan(&outcome) })
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	return answer(outcome)
}

// runStarts writes many starts and gives each its answer.
func (s *Store) runStarts(ctx context.Context, writes []start) ([]error, error) {
	p := planStarts(writes)
	return s.runBatch(ctx, func(b *pgx.Batch) {
		p.guards.locks.queue(b)
		b.Queue(insertStarts, p.args()...)
	})
}

// runBatch runs what queue queues, which is one transaction in one round trip, and reads the answers that its last statement gives.
func (s *Store) runBatch(ctx context.Context, queue func(*pgx.Batch)) (answers []error, err error) {
	err = s.patiently(ctx, func(ctx context.Context) error {
		var b pgx.Batch
		queue(&b)
		answers, err = readBatch(s.pool.SendBatch(ctx, &b), b.Len())
		return err
	})
	return answers, err
}

func readBatch(results pgx.BatchResults, n int) ([]error, error) {
	defer results.Close()
	for range n - 1 {
		if _, err := results.Exec(); err != nil {
			return nil, err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	outcomes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	answers := make([]error, len(outcomes))
	for i, o := range outcomes {
		answers[i] = answer(o)
	}
	return answers, results.Close() // the commit's own error comes last
}

func answer(outcome string) error {
	switch outcome {
	case outcomeOK, outcomeDone:
		return nil
	case outcomeSpent:
		return impersonation.ErrSpent
	case outcomeChanged:
		return impersonation.ErrChanged
	}
	return fmt.Errorf("an outcome of %q", outcome)
}

// startPlan is the parameters of insertStarts.
type startPlan struct {
	guards                  *guards
	starts, entries, events table
}

func (p *startPlan) args() []any {
	return args(p.starts, p.guards.epochs, p.guards.versions, p.entries, p.events)
}

func planStarts(writes []start) *startPlan {
	p := &startPlan{guards: newGuards(), starts: newTable(startColumns), entries: newTable("of," + entryColumns), events: newTable("of," + eventColumns)}
	for i, w := range writes {
		p.guards.add(w.Guard)
		p.guards.locks.logins = append(p.guards.locks.logins, w.Session.Login)
		if !w.Ticket.IsZero() {
			p.guards.locks.tickets = append(p.guards.locks.tickets, w.Ticket[:])
		}
		s, b := w.Session, w.Session.Before
		p.starts.add(append(guarded(w.Guard), w.RequestID, w.Now.UnixMilli(), hashed(w.Ticket), hashed(w.Return), ms(w.ReturnEnds),
			s.ID, s.Audit, s.Client, s.Actor, s.Subject, s.Login, string(s.Mode), list(s.Scope), s.Resource, s.Reason, s.TicketNumber, string(s.Via), s.JTI,
			s.Policy, ms(s.Started), ms(s.Expires), ms(s.LastActive), ms(s.LoginExpires),
			b.JTI, list(b.Scope), b.Audience, b.Left.Milliseconds(), ms(b.Issued), ms(b.Expires), string(s.ActorKind), s.Key, s.Consent, s.Once,
			s.TokenSubject, s.TokenActor.Issuer, s.TokenActor.Subject,
			ms(s.Heard), w.ForeignToken, ms(w.AskAt), w.MaxLive)...)
		addRecord(p.entries, p.events, int64(i+1), w.entries, w.Events)
	}
	return p
}

// addRecord adds the entries and events of the write at the place of.
func addRecord(entries, events table, of int64, stored [][]any, told []impersonation.Event) {
	for _, e := range stored {
		entries.add(append([]any{of}, e...)...)
	}
	for _, e := range told {
		events.add(append([]any{of}, eventValues(e)...)...)
	}
}

// superseded is the end of session id by the start w. Who ended it is who starts, as the entry of the start names them.
func superseded(w impersonation.StartWrite, id string) impersonation.EndWrite {
	e := impersonation.EndWrite{Write: impersonation.Write{RequestID: w.RequestID, Now: w.Now},
		Scope: impersonation.ScopeSession, ID: id, Reason: impersonation.EndSuperseded, By: oauth.Party{Subject: w.Session.Actor}}
	if len(w.Entries) > 0 {
		e.By, e.Issuer = w.Entries[0].Actor, w.Entries[0].Subject.Issuer
	}
	return e
}
