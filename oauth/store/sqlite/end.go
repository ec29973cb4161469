package sqlite

import (
	"context"
	"fmt"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// endQueries are the three statements that reach one scope.
type endQueries struct{ live, end, void string }

// within builds them from the condition on the session s, whose ?1 is the id of the scope. Return tokens are found from their
// side: those of a session that expired a minute ago must go too, and few are open at any time. The plus keeps SQLite from
// reading every session there ever was only because they would come in order.
func within(condition string) endQueries {
	return endQueries{
		live: `SELECT ` + sessionColumns + ` FROM impersonation_session AS s WHERE s.ended_at IS NULL AND ` + condition + ` ORDER BY +s.seq`,
		end: `UPDATE impersonation_session AS s SET ended_at = ?2, end_reason = ?3, ended_by = ?4
			WHERE s.ended_at IS NULL AND ` + condition,
		void: `UPDATE return_token SET void_at = ?2 WHERE used_at IS NULL AND void_at IS NULL
			AND EXISTS (SELECT 1 FROM impersonation_session s WHERE s.id = return_token.session AND ` + condition + `)`,
	}
}

var endings = map[impersonation.EpochScope]endQueries{
	impersonation.ScopeInstance: within(`?1 = ''`),
	impersonation.ScopeClient:   within(`s.client = ?1`),
	impersonation.ScopeActor:    within(`s.actor = ?1`),
	impersonation.ScopeSubject:  within(`s.subject = ?1`),
	impersonation.ScopeLogin:    within(`s.login = ?1`),
	impersonation.ScopeSession:  within(`s.id = ?1`),
	impersonation.ScopeOrganisation: within(`(s.actor IN (SELECT id FROM app_user WHERE organisation = ?1)
		OR s.subject IN (SELECT id FROM app_user WHERE organisation = ?1))`),
}

const (
	killEpoch = `INSERT INTO epoch (scope, id, n, killed_at, killed_by, reason) VALUES (?, ?, 1, ?, ?, ?)
		ON CONFLICT (scope, id) DO UPDATE SET n = n + 1, killed_at = excluded.killed_at, killed_by = excluded.killed_by, reason = excluded.reason`

	// bumpEpoch makes starts read again without killing anything.
	bumpEpoch = `INSERT INTO epoch (scope, id, n, killed_by, reason) VALUES (?, ?, 1, '', '') ON CONFLICT (scope, id) DO UPDATE SET n = n + 1`

	liftEpoch = `UPDATE epoch SET killed_at = NULL, killed_by = '', reason = '' WHERE scope = ? AND id = ?`
)

// End implements impersonation.Store.
func (s *Store) End(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	if err := store.CheckKeys(w.ID); err != nil {
		return nil, failed("ending", err)
	}
	return s.ending(ctx, "ending", func(ctx context.Context, c *conn) ([]impersonation.Ended, error) { return c.endAndRecord(ctx, w) })
}

// ending is an urgent write that answers what it ended.
func (s *Store) ending(ctx context.Context, doing string, f func(context.Context, *conn) ([]impersonation.Ended, error)) ([]impersonation.Ended, error) {
	var ended []impersonation.Ended
	err := s.updateUrgent(ctx, doing, func(ctx context.Context, c *conn) (err error) {
		ended, err = f(ctx, c)
		return err
	})
	if err != nil {
		return nil, err // ended may still be written to: a caller who left does not look at it
	}
	return ended, nil
}

func (c *conn) endAndRecord(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	ended, err := c.end(ctx, w)
	if err != nil {
		return nil, err
	}
	return ended, c.record(ctx, w.Entries, w.Events)
}

// end is what every end comes down to: the state first, so that no start can pass it, then the sessions, each with its
// entry and event. It does not write the entries and events of w itself.
func (c *conn) end(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	q, err := queriesFor(w)
	if err != nil {
		return nil, err
	}
	if w.Kill {
		if _, err := c.exec(ctx, killEpoch, string(w.Scope), w.ID, w.Now.UnixMilli(), w.By.Subject, w.Note); err != nil {
			return nil, err
		}
	}
	ended, err := c.endLive(ctx, q, w)
	if err != nil || w.KeepReturn {
		return ended, err
	}
	_, err = c.exec(ctx, q.void, w.ID, w.Now.UnixMilli())
	return ended, err
}

func (c *conn) endLive(ctx context.Context, q endQueries, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	live, err := c.sessions(ctx, q.live, w.ID)
	if err != nil || len(live) == 0 {
		return nil, err
	}
	if _, err := c.exec(ctx, q.end, w.ID, w.Now.UnixMilli(), string(w.Reason), endedBy(w)); err != nil {
		return nil, err
	}
	ended := make([]impersonation.Ended, 0, len(live))
	for _, s := range live {
		if err := c.addEntry(ctx, impersonation.EndEntry(w, s)); err != nil {
			return nil, err
		}
		if err := c.record(ctx, nil, []impersonation.Event{impersonation.EndEvent(w, s)}); err != nil {
			return nil, err
		}
		at{&s.Ended}.Scan(w.Now.UnixMilli()) // as it will be read back
		s.EndReason, s.EndedBy = w.Reason, endedBy(w)
		ended = append(ended, impersonation.Ended{Session: s})
	}
	return ended, nil
}

// queriesFor refuses what would reach nothing or, by an empty id, something else than was meant.
func queriesFor(w impersonation.EndWrite) (endQueries, error) {
	q, ok := endings[w.Scope]
	single := w.Scope == impersonation.ScopeSession || w.Scope == impersonation.ScopeLogin
	switch {
	case !ok:
		return q, fmt.Errorf("%w: no scope %q", errRefused, w.Scope)
	case (w.ID == "") != (w.Scope == impersonation.ScopeInstance):
		return q, fmt.Errorf("%w: scope %s with id %q", errRefused, w.Scope, w.ID)
	case w.Kill && single:
		return q, fmt.Errorf("%w: a kill of one %s", errRefused, w.Scope)
	}
	return q, nil
}

// endedBy is Session.EndedBy: a user ID, "cli", or "" for the clock.
func endedBy(w impersonation.EndWrite) string {
	if w.By.Issuer == "cli" {
		return "cli"
	}
	return w.By.Subject
}

// Lift implements impersonation.Store.
func (s *Store) Lift(ctx context.Context, w impersonation.LiftWrite) error {
	return s.update(ctx, "lifting a kill", func(ctx context.Context, c *conn) error {
		if _, err := c.exec(ctx, liftEpoch, string(w.Scope), w.ID); err != nil {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}
