package rp

import (
	"context"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// How much of a path and of a method is recorded: what the issuer takes.
const (
	maxRoute  = 512
	maxMethod = 16
)

// noteUnavailable is what is recorded of a request that was refused since nobody knew whether its session goes on.
const noteUnavailable = "unavailable"

// action describes r for the trail.
func (a *App) action(r *http.Request, s *Session, phase Phase) Action {
	return newAction(r, s, phase, a.now())
}

func newAction(r *http.Request, s *Session, phase Phase, now time.Time) Action {
	route := r.URL.EscapedPath()
	if !strings.HasPrefix(route, "/") { // as after OPTIONS, for the whole server
		route = "/" + route
	}
	route = path.Clean(route)
	if len(route) > maxRoute { // both ends: what it does is said last
		route = route[:maxRoute/2-3] + "..." + route[len(route)-maxRoute/2:]
	}
	return Action{
		ID: oauth.NewID("act"), Session: s.ID, Time: now.Truncate(time.Millisecond), Phase: phase, Method: r.Method[:min(len(r.Method), maxMethod)], Route: route,
	}
}

// stamp is now, as the trail has times.
func (a *App) stamp() time.Time { return a.now().Truncate(time.Millisecond) }

// recordAnswer records how a request is answered, right before anybody sees it. What was let run since the spool had room is not shown to
// anybody if it cannot be recorded after all: then it reports false, and has answered.
func (a *App) recordAnswer(w http.ResponseWriter, r *http.Request, v *visit, status int) bool {
	if v.after {
		return true
	}
	err := a.keepAfter(v, status, "")
	if err != nil && !v.before { // the issuer itself can still take it
		_, err = a.record.tell(context.WithoutCancel(r.Context()), v.answered(a, status, ""), v.session.Expires)
	}
	switch {
	case err == nil:
		return true
	case v.before: // that it ran is on record, and whoever asked may know what came of it
		a.log.ErrorContext(r.Context(), "how a request was answered could not be recorded", "session", v.session.ID, "id", v.did.ID, "status", status, "error", err)
		return true
	}
	a.log.ErrorContext(r.Context(), "a request could not be recorded: its answer was held back", "session", v.session.ID, "id", v.did.ID, "error", err)
	clear(w.Header())
	a.unavailable(w, r, v)
	return false
}

// recordNone records a request that has no answer: its handler panicked, or took the connection over.
func (a *App) recordNone(r *http.Request, v *visit) {
	if v.after {
		a.record.release(v.session.ID, v.room)
		return
	}
	status := 0
	if v.upgraded {
		status = http.StatusSwitchingProtocols
	}
	if err := a.keepAfter(v, status, ""); err != nil {
		a.log.ErrorContext(r.Context(), "a request that was never answered could not be recorded", "session", v.session.ID, "id", v.did.ID, "error", err)
	}
}

// recordUnavailable records a request that the guard let through, and that was refused all the same: nobody knew whether its session goes on.
func (a *App) recordUnavailable(r *http.Request, v *visit) {
	if err := a.keepAfter(v, http.StatusServiceUnavailable, noteUnavailable); err != nil {
		a.log.ErrorContext(r.Context(), "a refusal could not be recorded", "session", v.session.ID, "id", v.did.ID, "error", err)
	}
}

// keepAfter spools how the request of v was answered.
func (a *App) keepAfter(v *visit, status int, note string) error {
	room := v.room
	v.room, v.after = 0, true
	return a.record.keep(v.answered(a, status, note), room, v.session.Expires)
}

// answered is the request of v as it is recorded afterwards.
func (v *visit) answered(a *App, status int, note string) Action {
	act := v.did
	act.Time, act.Phase, act.Status, act.Note = a.stamp(), PhaseAfter, status, note
	if act.Status < 100 || act.Status > 599 { // what no server sends
		act.Status = 0
	}
	return act
}
