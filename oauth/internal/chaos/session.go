package chaos

import (
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// longest is what no policy may exceed. It is spelt here and not taken from package policy: a slip there must show.
const longest = 60 * time.Minute

// oneStart is I1 and, between session and entry, I8.
func (w *world) oneStart(s *impersonation.Session) {
	starts := w.starts[s.ID]
	if len(starts) != 1 {
		w.report("I1", s.ID, "has %d start entries; want 1", len(starts))
		return
	}
	e := starts[0]
	for _, m := range []struct{ invariant, name, got, want string }{
		{"I1", "id", e.ID, s.Audit},
		{"I1", "actor", e.Actor.Subject, s.Actor},
		{"I1", "subject", e.Subject.Subject, s.Subject},
		{"I1", "client", e.Client, s.Client},
		{"I8", "actor's issuer", e.Actor.Issuer, w.options.Issuer},
		{"I8", "subject's issuer", e.Subject.Issuer, w.options.Issuer},
	} {
		if m.got != m.want {
			w.report(m.invariant, s.ID, "%s in the start entry is %q; want %q", m.name, m.got, m.want)
		}
	}
	// After an erasure the reason is gone, and its salt with it.
	if reason, ok := e.Fields["reason"]; ok && reason != s.Reason {
		w.report("I1", s.ID, "reason in the start entry is %q; want %q", reason, s.Reason)
	}
}

// noOrphans is the other half of I1.
func (w *world) noOrphans() {
	for sid, starts := range w.starts {
		if w.byID[sid] == nil {
			w.report("I1", starts[0].ID, "is the start entry of session %q, which does not exist", sid)
		}
	}
}

// usedOnce is I2: what clients saw, and what the trail tells: no more starts than tickets of the same kind, one stop a session.
func (w *world) usedOnce() {
	uses := map[string]int{}
	for _, value := range w.options.Uses {
		if uses[value]++; uses[value] == 2 {
			w.report("I2", fingerprint(value), "was used twice with success")
		}
	}
	type kind struct {
		actor, subject oauth.Party
		client, login  string
	}
	left, stops := map[kind]int{}, map[string]int{}
	for _, stored := range slices.Backward(w.entries) { // they are newest first, and a ticket comes before its start
		e := stored.Entry
		k := kind{e.Actor, e.Subject, e.Client, e.Fields["login"]}
		switch {
		case e.Kind == audit.KindTicket:
			left[k]++
		case e.Kind == audit.KindStart && e.Fields["via"] == "page":
			if left[k]--; left[k] < 0 {
				w.report("I2", e.ID, "is one start more than there were tickets for it")
			}
		case e.Kind == audit.KindStop:
			if stops[e.Session]++; stops[e.Session] == 2 {
				w.report("I2", e.Session, "was stopped twice")
			}
		}
	}
}

// whoAndWhen is I4. A login that was swept is not looked at; a user is only where nobody changed them since.
func (w *world) whoAndWhen(s *impersonation.Session) {
	if s.Actor == s.Subject {
		w.report("I4", s.ID, "%q acts as themselves", s.Actor)
	}
	if l := w.logins[s.Login]; l != nil {
		if l.User != s.Actor {
			w.report("I4", s.ID, "stands on a login of %q; want %q", l.User, s.Actor)
		}
		if s.Started.Before(l.Created) || s.Started.After(l.Expires) || !l.Ended.IsZero() && s.Started.After(l.Ended) {
			w.report("I4", s.ID, "started at %s, when its login did not live", s.Started.Format(time.RFC3339Nano))
		}
	}
	for _, id := range []string{s.Actor, s.Subject} {
		u := w.users[id]
		if u == nil {
			w.report("I4", s.ID, "user %q does not exist", id)
		} else if u.Updated.Before(s.Started) && !u.Enabled {
			w.report("I4", s.ID, "user %q was disabled at the start", id)
		}
	}
	if u := w.users[s.Subject]; u != nil && u.Updated.Before(s.Started) && u.Protected {
		w.report("I4", s.ID, "subject %q was protected at the start", u.ID)
	}
}

// bounds is I5 for a session.
func (w *world) bounds(s *impersonation.Session) {
	if most := s.Started.Add(longest); s.Expires.After(most) {
		w.report("I5", s.ID, "expires %s after its start; want at most %s", s.Expires.Sub(s.Started), longest)
	}
	if s.Expires.After(s.LoginExpires) {
		w.report("I5", s.ID, "outlasts the login that it noted by %s", s.Expires.Sub(s.LoginExpires))
	}
	if l := w.logins[s.Login]; l != nil && s.Expires.After(l.Expires) {
		w.report("I5", s.ID, "outlasts its login by %s", s.Expires.Sub(l.Expires))
	}
}

// reach is I6. A client that was removed is not looked at.
func (w *world) reach(s *impersonation.Session) {
	c := w.clients[s.Client]
	if c == nil {
		return
	}
	for _, scope := range s.Scope {
		switch {
		case scope == oauth.ScopeImpersonationWrite:
			if s.Mode != oauth.ModeWrite {
				w.report("I6", s.ID, "has scope %q in mode %q", scope, s.Mode)
			}
		case scope == oauth.ScopeImpersonate || scope == oauth.ScopeOfflineAccess:
			w.report("I6", s.ID, "has scope %q, which no impersonation may have", scope)
		case !slices.Contains(c.Scopes, scope):
			w.report("I6", s.ID, "has scope %q, which its client has not: %s", scope, strings.Join(c.Scopes, " "))
		}
	}
	if !slices.Contains(c.Resources, s.Resource) {
		w.report("I6", s.ID, "is for resource %q, which its client has not: %s", s.Resource, strings.Join(c.Resources, " "))
	}
}
