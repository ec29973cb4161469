package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// endQueries are the statements that reach one scope.
type endQueries struct{ live, void string }

// within builds them from the condition on the session s, whose $1 is the id of the scope. Return tokens are found from their
// side: those of a session that expired a minute ago must go too, and few are open at any time.
func within(condition string) endQueries {
	return endQueries{
		live: `SELECT ` + sessionColumns + ` FROM impersonation_session s WHERE s.ended_at IS NULL AND ` + condition + ` ORDER BY s.seq FOR NO KEY UPDATE OF s`,
		void: `UPDATE return_token SET void_at = $2 WHERE hash = ANY (ARRAY(SELECT r.hash FROM return_token r JOIN impersonation_session s ON s.id = r.session
			WHERE r.used_at IS NULL AND r.void_at IS NULL AND ` + condition + ` ORDER BY r.hash FOR NO KEY UPDATE OF r))`,
	}
}

var endings = map[impersonation.EpochScope]endQueries{
	impersonation.ScopeInstance: within(`$1::text = ''`),
	impersonation.ScopeClient:   within(`s.client = $1`),
	impersonation.ScopeActor:    within(`s.actor = $1`),
	impersonation.ScopeSubject:  within(`s.subject = $1`),
	impersonation.ScopeLogin:    within(`s.login = $1`),
	impersonation.ScopeSession:  within(`s.id = $1`),
	impersonation.ScopeOrganisation: within(`(s.actor IN (SELECT u.id FROM app_user u WHERE u.organisation = $1)
		OR s.subject IN (SELECT u.id FROM app_user u WHERE u.organisation = $1))`),
}

const (
	endSessions = `UPDATE impersonation_session SET ended_at = $2, end_reason = $3, ended_by = $4 WHERE id = ANY ($1::text[])`

	killEpoch = `INSERT INTO epoch AS e (scope, id, n, killed_at, killed_by, reason) VALUES ($1, $2, 1, $3, $4, $5)
		ON CONFLICT (scope, id) DO UPDATE SET n = e.n + 1, killed_at = excluded.killed_at, killed_by = excluded.killed_by, reason = excluded.reason`

	// bumpEpoch makes starts read again without killing anything.
	bumpEpoch = `INSERT INTO epoch AS e (scope, id, n, killed_by, reason) VALUES ($1, $2, 1, '', '') ON CONFLICT (scope, id) DO UPDATE SET n = e.n + 1`

	liftEpoch = `UPDATE epoch SET killed_at = NULL, killed_by = '', reason = '' WHERE scope = $1 AND id = $2`
)

// End implements impersonation.Store.
func (s *Store) End(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	if err := store.CheckKeys(w.ID); err != nil {
		return nil, failed("ending", err)
	}
	return s.ending(ctx, "ending", func(ctx context.Context, t *tx) ([]impersonation.Ended, error) { return t.endAndRecord(ctx, w) })
}

// ending is a write that answers what it ended.
func (s *Store) ending(ctx context.Context, doing string, f func(context.Context, *tx) ([]impersonation.Ended, error)) ([]impersonation.Ended, error) {
	var ended []impersonation.Ended
	err := s.update(ctx, doing, func(ctx context.Context, t *tx) (err error) {
		ended, err = f(ctx, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func (t *tx) endAndRecord(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	ended, err := t.end(ctx, w)
	t.record(w.Entries, w.Events)
	return ended, err
}

// end is what every end comes down to: the state first, so that no start can pass it, then the sessions, each with its
// entry and event. It does not record the entries and events of w itself.
func (t *tx) end(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	q, err := queriesFor(w)
	if err != nil {
		return nil, err
	}
	if w.Kill {
		if _, err := exec(ctx, t, killEpoch, string(w.Scope), w.ID, w.Now.UnixMilli(), w.By.Subject, w.Note); err != nil {
			return nil, err
		}
	}
	ended, err := t.endLive(ctx, q, w)
	if err != nil || w.KeepReturn {
		return ended, err
	}
	_, err = exec(ctx, t, q.void, w.ID, w.Now.UnixMilli())
	return ended, err
}

func (t *tx) endLive(ctx context.Context, q endQueries, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	live, err := sessions(ctx, t, q.live, w.ID)
	if err != nil || len(live) == 0 {
		return nil, err
	}
	ended := make([]impersonation.Ended, 0, len(live))
	ids := make([]string, 0, len(live))
	for _, s := range live {
		t.entries = append(t.entries, impersonation.EndEntry(w, s))
		t.events = append(t.events, impersonation.EndEvent(w, s))
		s.Ended = time.UnixMilli(w.Now.UnixMilli()).UTC() // as it will be read back
		s.EndReason, s.EndedBy = w.Reason, endedBy(w)
		ended, ids = append(ended, impersonation.Ended{Session: s}), append(ids, s.ID)
	}
	_, err = exec(ctx, t, endSessions, ids, w.Now.UnixMilli(), string(w.Reason), endedBy(w))
	return ended, err
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
	return s.update(ctx, "lifting a kill", func(ctx context.Context, t *tx) error {
		t.record(w.Entries, w.Events)
		_, err := exec(ctx, t, liftEpoch, string(w.Scope), w.ID)
		return err
	})
}
