package sqlite

import (
	"context"
	"fmt"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// endQueries are the statements that reach one scope.
type endQueries struct{ live, void string }

// within builds them from the condition on the session s, whose ?1 is the id of the scope; the last parameter is how many at most,
// -1 for all. Return tokens are found from their
// side: those of a session that expired a minute ago must go too, and few are open at any time. The plus keeps SQLite from
// reading every session there ever was only because they would come in order.
func within(condition string) endQueries {
	return endQueries{
		live: `SELECT ` + sessionColumns + ` FROM impersonation_session AS s WHERE s.ended_at IS NULL AND ` + condition + ` ORDER BY +s.seq LIMIT ?2`,
		void: `UPDATE return_token SET void_at = ?2 WHERE hash IN (SELECT r.hash FROM return_token r WHERE r.used_at IS NULL AND r.void_at IS NULL
			AND EXISTS (SELECT 1 FROM impersonation_session s WHERE s.id = r.session AND ` + condition + `) LIMIT ?3)`,
	}
}

var endings = map[impersonation.EpochScope]endQueries{
	impersonation.ScopeInstance: within(`?1 = ''`),
	impersonation.ScopeClient:   within(`s.client = ?1`),
	impersonation.ScopeActor:    within(`s.actor = ?1`),
	impersonation.ScopeSubject:  within(`s.subject = ?1`),
	impersonation.ScopeLogin:    within(`s.login = ?1`),
	impersonation.ScopeSession:  within(`s.id = ?1`),
	impersonation.ScopeConsent:  within(`s.consent = ?1 AND s.consent <> ''`),
	impersonation.ScopeOrganisation: within(`(s.actor IN (SELECT id FROM app_user WHERE organisation = ?1)
		OR s.subject IN (SELECT id FROM app_user WHERE organisation = ?1))`),
}

const (
	endSession = `UPDATE impersonation_session SET ended_at = ?, end_reason = ?, ended_by = ?, foreign_token = NULL, ask_at = NULL WHERE id = ?`

	killEpoch = `INSERT INTO epoch (scope, id, n, killed_at, killed_by, reason) VALUES (?, ?, 1, ?, ?, ?)
		ON CONFLICT (scope, id) DO UPDATE SET n = n + 1, killed_at = excluded.killed_at, killed_by = excluded.killed_by, reason = excluded.reason`

	// bumpEpoch makes starts read again without killing anything.
	bumpEpoch = `INSERT INTO epoch (scope, id, n, killed_by, reason) VALUES (?, ?, 1, '', '') ON CONFLICT (scope, id) DO UPDATE SET n = n + 1`

	// revokeOwn takes from a client what it has of its own; people's tokens there stay theirs.
	revokeOwn = `UPDATE oauth_grant SET revoked_at = ? WHERE client = ? AND user_id = '' AND revoked_at IS NULL`

	liftEpoch = `UPDATE epoch SET killed_at = NULL, killed_by = '', reason = '' WHERE scope = ? AND id = ?`
)

// killBatch is how many sessions a kill ends in a transaction: all others wait meanwhile.
const killBatch = 1000

// End implements impersonation.Store.
func (s *Store) End(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	if err := store.CheckKeys(w.ID); err != nil {
		return nil, failed("ending", err)
	}
	if w.Kill {
		return s.kill(ctx, w)
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

// kill sets the state with the first sessions, and then ends the others: from its first commit on the state alone keeps them from
// going on, and starts from passing.
func (s *Store) kill(ctx context.Context, w impersonation.EndWrite) (all []impersonation.Ended, err error) {
	for more := true; more; {
		now := w // of this transaction
		some, err := s.ending(ctx, "killing", func(ctx context.Context, c *conn) (ended []impersonation.Ended, err error) {
			if ended, more, err = c.endSome(ctx, now, killBatch); err != nil {
				return nil, err
			}
			return ended, c.record(ctx, now.Entries, now.Events)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		w.Kill, w.Entries, w.Events = false, nil, nil
	}
	return all, nil
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
	ended, _, err := c.endSome(ctx, w, -1)
	return ended, err
}

// endSome is end for at most so many sessions, and tells whether there may be more; -1 is all.
func (c *conn) endSome(ctx context.Context, w impersonation.EndWrite, most int64) (ended []impersonation.Ended, more bool, err error) {
	q, err := queriesFor(w)
	if err != nil {
		return nil, false, err
	}
	if w.Kill {
		if err := c.switchOn(ctx, w); err != nil {
			return nil, false, err
		}
	}
	return c.endBy(ctx, q, w, most)
}

// endBy ends what q finds by the ID of w, which stands for many where q says so.
func (c *conn) endBy(ctx context.Context, q endQueries, w impersonation.EndWrite, most int64) (ended []impersonation.Ended, more bool, err error) {
	if ended, err = c.endLive(ctx, q, w, most); err != nil || w.KeepReturn {
		return ended, int64(len(ended)) == most, err
	}
	voided, err := c.exec(ctx, q.void, w.ID, w.Now.UnixMilli(), most)
	return ended, max(int64(len(ended)), voided) == most, err
}

func (c *conn) endLive(ctx context.Context, q endQueries, w impersonation.EndWrite, most int64) ([]impersonation.Ended, error) {
	live, err := c.sessions(ctx, q.live, w.ID, most)
	if err != nil || len(live) == 0 {
		return nil, err
	}
	ended := make([]impersonation.Ended, 0, len(live))
	ids := make([]string, 0, len(live))
	for _, s := range live {
		if _, err := c.exec(ctx, endSession, w.Now.UnixMilli(), string(w.Reason), w.EndedBy(), s.ID); err != nil {
			return nil, err
		}
		if err := c.addEntry(ctx, impersonation.EndEntry(w, s)); err != nil {
			return nil, err
		}
		if err := c.record(ctx, nil, []impersonation.Event{impersonation.EndEvent(w, s)}); err != nil {
			return nil, err
		}
		ids = append(ids, s.ID)
		at{&s.Ended}.Scan(w.Now.UnixMilli()) // as it will be read back
		s.EndReason, s.EndedBy = w.Reason, w.EndedBy()
		ended = append(ended, impersonation.Ended{Session: s})
	}
	return ended, c.noticeSessions(ctx, w.Now, ids...)
}

// queriesFor refuses what would reach nothing or, by an empty id, something else than was meant.
func queriesFor(w impersonation.EndWrite) (endQueries, error) {
	q, ok := endings[w.Scope]
	single := w.Scope == impersonation.ScopeSession || w.Scope == impersonation.ScopeLogin || w.Scope == impersonation.ScopeConsent
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

// switchOn sets the state of a kill, and then ends what a client has of its own.
func (c *conn) switchOn(ctx context.Context, w impersonation.EndWrite) error {
	_, err := c.exec(ctx, killEpoch, string(w.Scope), w.ID, w.Now.UnixMilli(), w.By.Subject, w.Note)
	if err != nil || w.Scope != impersonation.ScopeClient {
		return err
	}
	_, err = c.exec(ctx, revokeOwn, w.Now.UnixMilli(), w.ID)
	return err
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
