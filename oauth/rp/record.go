package rp

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// noteUnavailable is what is recorded of a request that was refused since nobody knew whether its session goes on.
const noteUnavailable = "unavailable"

// newAction describes r for the trail. What becomes of it sets its time.
func newAction(r *http.Request, s *Session, phase Phase) Action {
	route, _ := routeOf(r.URL)
	return Action{
		ID: oauth.NewID("act"), Session: s.ID, Phase: phase, Method: methodOf(r), Route: route,
	}
}

// entry is one request under impersonation, as a journal has it.
type entry struct {
	did      Action // zero before it is let through
	before   bool   // it is on record, by the issuer's own word, since before it ran
	after    bool   // its answer was recorded
	upgraded bool   // its connection was handed over
	room     int64  // what the journal keeps free for its answer
	notes    atomic.Int32
}

// begin asks whether the session is alive: of the record itself before what could change something, and otherwise of
// what is known. What only looks is recorded before its answer goes out, if there is room for that.
func (e *entry) begin(ctx context.Context, r *http.Request, j *journal, live Liveness, s *Session) (alive bool, err error) {
	e.did, e.before, alive = newAction(r, s, PhaseBefore), changes(r), true
	if !e.before {
		alive, err = live.Alive(ctx, s.ID, s.Token)
	}
	if err == nil && alive && j.reserve(s.ID, s.Expires) {
		e.room = roomOf
	} else if err == nil && alive {
		e.before = true
	}
	if e.before {
		e.did.Time = j.stamp()
		alive, err = j.tell(ctx, e.did, s.Expires)
	}
	switch {
	case err != nil: // refused though the guard let it through: nobody knew whether its session goes on
		if kept := e.keep(j, s, http.StatusServiceUnavailable, noteUnavailable); kept != nil {
			j.log.ErrorContext(ctx, "a refusal could not be recorded", "session", s.ID, "id", e.did.ID, "error", kept)
		}
	case !alive:
		e.release(j, s)
	}
	return alive, err
}

// refuse puts a refusal of r on record, and reports whether the session goes on.
func (e *entry) refuse(ctx context.Context, r *http.Request, j *journal, s *Session, reason string) (act Action, alive bool, err error) {
	act = newAction(r, s, PhaseAfter)
	if e.did.ID != "" {
		act.ID = e.did.ID
	}
	act.Time, act.Status, act.Note = j.stamp(), refusalStatus(reason), reason
	alive, err = j.tell(ctx, act, s.Expires)
	e.after = true
	return act, alive, err
}

// leave records how a request is answered, right before anybody sees it. What was let run since the spool had room is not shown to
// anybody if it cannot be recorded after all: then it reports false.
func (e *entry) leave(ctx context.Context, j *journal, s *Session, status int) bool {
	if e.after {
		return true
	}
	err := e.keep(j, s, status, "")
	if err != nil && !e.before { // the issuer itself can still take it
		_, err = j.tell(context.WithoutCancel(ctx), e.answered(j, status, ""), s.Expires)
	}
	switch {
	case err == nil:
		return true
	case e.before: // that it ran is on record, and whoever asked may know what came of it
		j.log.ErrorContext(ctx, "how a request was answered could not be recorded", "session", s.ID, "id", e.did.ID, "status", status, "error", err)
		return true
	}
	j.log.ErrorContext(ctx, "a request could not be recorded: its answer was held back", "session", s.ID, "id", e.did.ID, "error", err)
	return false
}

// none records a request that has no answer: its handler panicked, or took the connection over.
func (e *entry) none(ctx context.Context, j *journal, s *Session) {
	if e.after {
		e.release(j, s)
		return
	}
	status := 0
	if e.upgraded {
		status = http.StatusSwitchingProtocols
	}
	if err := e.keep(j, s, status, ""); err != nil {
		j.log.ErrorContext(ctx, "a request that was never answered could not be recorded", "session", s.ID, "id", e.did.ID, "error", err)
	}
}

// release gives back what was kept free for an answer that is not recorded any more.
func (e *entry) release(j *journal, s *Session) {
	j.release(s.ID, e.room)
	e.room, e.after = 0, true
}

// keep spools how the request was answered.
func (e *entry) keep(j *journal, s *Session, status int, note string) error {
	room := e.room
	e.room, e.after = 0, true
	return j.keep(e.answered(j, status, note), room, s.Expires)
}

// answered is the request as it is recorded afterwards.
func (e *entry) answered(j *journal, status int, note string) Action {
	act := e.did
	act.Time, act.Phase, act.Status, act.Note = j.stamp(), PhaseAfter, status, note
	if act.Status < 100 || act.Status > 599 { // what no server sends
		act.Status = 0
	}
	return act
}

// stamp is now, as the trail has times.
func (j *journal) stamp() time.Time { return j.now().Truncate(time.Millisecond) }
