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

// within builds them from the condition on the session s, whose $1 is the id of the scope; the last parameter is how many at most,
// NULL for all. The empty string keeps Postgres from going through all hashes, in their order, for the few. Return tokens are found from their
// side: those of a session that expired a minute ago must go too, and few are open at any time.
func within(condition string) endQueries {
	return endQueries{
		live: `SELECT ` + sessionColumns + ` FROM impersonation_session s WHERE s.ended_at IS NULL AND ` + condition + ` ORDER BY s.seq LIMIT $2::bigint FOR NO KEY UPDATE OF s`,
		void: `UPDATE return_token SET void_at = $2 WHERE hash = ANY (ARRAY(SELECT r.hash FROM return_token r JOIN impersonation_session s ON s.id = r.session
			WHERE r.used_at IS NULL AND r.void_at IS NULL AND ` + condition + ` ORDER BY r.hash || '' LIMIT $3::bigint FOR NO KEY UPDATE OF r))`,
	}
}

var endings = map[impersonation.EpochScope]endQueries{
	impersonation.ScopeInstance: within(`$1::text = ''`),
	impersonation.ScopeClient:   within(`s.client = $1`),
	impersonation.ScopeActor:    within(`s.actor = $1`),
	impersonation.ScopeSubject:  within(`s.subject = $1`),
	impersonation.ScopeLogin:    within(`s.login = $1`),
	impersonation.ScopeSession:  within(`s.id = $1`),
	impersonation.ScopeConsent:  within(`s.consent = $1 AND s.consent <> ''`),
	impersonation.ScopeOrganisation: within(`(s.actor IN (SELECT u.id FROM app_user u WHERE u.organisation = $1)
		OR s.subject IN (SELECT u.id FROM app_user u WHERE u.organisation = $1))`),
}

const (
	endSessions = `WITH ended AS (UPDATE impersonation_session SET ended_at = $2, end_reason = $3, ended_by = $4, foreign_token = NULL, ask_at = NULL WHERE id = ANY ($1::text[])
			RETURNING client, id AS sid, ended_at AS at)
		` + noticeEnded

	killEpoch = `INSERT INTO epoch AS e (scope, id, n, killed_at, killed_by, reason) VALUES ($1, $2, 1, $3, $4, $5)
		ON CONFLICT (scope, id) DO UPDATE SET n = e.n + 1, killed_at = excluded.killed_at, killed_by = excluded.killed_by, reason = excluded.reason`

	// bumpEpoch makes starts read again without killing anything.
	bumpEpoch = `INSERT INTO epoch AS e (scope, id, n, killed_by, reason) VALUES ($1, $2, 1, '', '') ON CONFLICT (scope, id) DO UPDATE SET n = e.n + 1`

	// revokeOwn takes from a client what it has of its own; people's tokens there stay theirs.
	revokeOwn = `UPDATE oauth_grant SET revoked_at = $1 WHERE client = $2 AND user_id = '' AND revoked_at IS NULL`

	liftEpoch = `UPDATE epoch SET killed_at = NULL, killed_by = '', reason = '' WHERE scope = $1 AND id = $2`
)

// killBatch is how many sessions a kill ends in a transaction: some 50 ms, where a statement may take two seconds.
const killBatch = 1000

// End implements impersonation.Store.
func (s *Store) End(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	if err := store.CheckKeys(w.ID); err != nil {
		return nil, failed("ending", err)
	}
	if w.Kill {
		return s.kill(ctx, w)
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

// kill sets the state with the first sessions, and then ends the others: from its first commit on the state alone keeps them from
// going on, and starts from passing.
func (s *Store) kill(ctx context.Context, w impersonation.EndWrite) (all []impersonation.Ended, err error) {
	for more := true; more; {
		var some []impersonation.Ended
		err := s.update(ctx, "killing", func(ctx context.Context, t *tx) (err error) {
			some, more, err = t.endSome(ctx, w, killBatch)
			t.record(w.Entries, w.Events)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		w.Kill, w.Entries, w.Events = false, nil, nil
	}
	return all, nil
}

func (t *tx) endAndRecord(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	ended, err := t.end(ctx, w)
	t.record(w.Entries, w.Events)
	return ended, err
}

// end is what every end comes down to: the state first, so that no start can pass it, then the sessions, each with its
// entry and event. It does not record the entries and events of w itself.
func (t *tx) end(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	ended, _, err := t.endSome(ctx, w, 0)
	return ended, err
}

// endSome is end for at most so many sessions, and tells whether there may be more; zero is all.
func (t *tx) endSome(ctx context.Context, w impersonation.EndWrite, most int64) (ended []impersonation.Ended, more bool, err error) {
	q, err := queriesFor(w)
	if err != nil {
		return nil, false, err
	}
	if w.Kill {
		if _, err := exec(ctx, t, queueKill); err != nil {
			return nil, false, err
		}
		if err := t.switchOn(ctx, w); err != nil {
			return nil, false, err
		}
	}
	return t.endBy(ctx, q, w, most)
}

// endBy ends what q finds by the ID of w, which stands for many where q says so.
func (t *tx) endBy(ctx context.Context, q endQueries, w impersonation.EndWrite, most int64) (ended []impersonation.Ended, more bool, err error) {
	var limit any
	if most > 0 {
		limit = most
	}
	if ended, err = t.endLive(ctx, q, w, limit); err != nil || w.KeepReturn {
		return ended, most > 0 && int64(len(ended)) == most, err
	}
	voided, err := exec(ctx, t, q.void, w.ID, w.Now.UnixMilli(), limit)
	return ended, most > 0 && max(int64(len(ended)), voided) == most, err
}

func (t *tx) endLive(ctx context.Context, q endQueries, w impersonation.EndWrite, limit any) ([]impersonation.Ended, error) {
	live, err := sessions(ctx, t, q.live, w.ID, limit)
	if err != nil || len(live) == 0 {
		return nil, err
	}
	ended := make([]impersonation.Ended, 0, len(live))
	ids := make([]string, 0, len(live))
	for _, s := range live {
		t.entries = append(t.entries, impersonation.EndEntry(w, s))
		t.events = append(t.events, impersonation.EndEvent(w, s))
		s.Ended = time.UnixMilli(w.Now.UnixMilli()).UTC() // as it will be read back
		s.EndReason, s.EndedBy = w.Reason, w.EndedBy()
		ended, ids = append(ended, impersonation.Ended{Session: s}), append(ids, s.ID)
	}
	_, err = exec(ctx, t, endSessions, ids, w.Now.UnixMilli(), string(w.Reason), w.EndedBy())
	return ended, err
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
func (t *tx) switchOn(ctx context.Context, w impersonation.EndWrite) error {
	_, err := exec(ctx, t, killEpoch, string(w.Scope), w.ID, w.Now.UnixMilli(), w.By.Subject, w.Note)
	if err != nil || w.Scope != impersonation.ScopeClient {
		return err
	}
	_, err = exec(ctx, t, revokeOwn, w.Now.UnixMilli(), w.ID)
	return err
}

// Lift implements impersonation.Store.
func (s *Store) Lift(ctx context.Context, w impersonation.LiftWrite) error {
	return s.update(ctx, "lifting a kill", func(ctx context.Context, t *tx) error {
		t.record(w.Entries, w.Events)
		_, err := exec(ctx, t, liftEpoch, string(w.Scope), w.ID)
		return err
	})
}
