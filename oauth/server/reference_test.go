package server_test

import (
	"slices"
	"time"
)

// reference is the rules over again, small and slow, and without a line of the product: who may have what, and what still counts. A
// method whose name is a verb changes it as the server must have changed; it answers what the server must have answered.
type reference struct {
	now      time.Time
	users    map[string]*refUser
	clients  map[string]refClient
	tokens   []*refToken
	tickets  []*refTicket
	sessions []*refSession
	kills    []refKill
}

type refUser struct {
	id, org, role      string // role "" is nobody's staff
	enabled, protected bool
}

type refClient struct {
	scope, resources []string
	serves           bool // the first resource
}

type refLogin struct {
	id, cookie    string
	user          *refUser
	expires, used time.Time
	ended         bool
}

// refToken is a person's own token.
type refToken struct {
	jwt, client, resource string
	login                 *refLogin
	scope                 []string
	expires               time.Time
	revoked               bool
}

type refTicket struct {
	secret, client, resource, mode, reason string
	login                                  *refLogin
	subject                                *refUser
	scope                                  []string
	lasts                                  time.Duration
	expires                                time.Time
	opened                                 *refSession // nil: not used yet
}

type refSession struct {
	*refTicket
	jwt, ret, sid string
	granted       []string
	before        *refToken
	left          time.Duration // of before, at the start
	ends, active  time.Time
	ended, void   bool
	returned      time.Time // when the return token was used; zero: not
	given         *refToken // what it gave
}

type refKill struct{ scope, id string }

const (
	refIdle      = 10 * time.Minute
	refLoginIdle = time.Hour
	refReturn    = 5 * time.Minute
	refTicketFor = time.Minute
)

func (m *reference) alive(l *refLogin) bool {
	return !l.ended && m.now.Before(l.expires) && m.now.Before(l.used.Add(refLoginIdle))
}

// visit is a request with the login's cookie: whether it counts. It keeps the login from falling asleep.
func (m *reference) visit(l *refLogin) bool {
	if !m.alive(l) || !l.user.enabled {
		return false
	}
	if m.now.Sub(l.used) >= time.Minute {
		l.used = m.now
	}
	return true
}

// owns is the scope of a token of l's user at a client.
func (m *reference) owns(l *refLogin, asked []string) []string {
	return sorted(asked, func(s string) bool { return s != "impersonate" || l.user.role != "" })
}

// bounds are what a role may do as an actor: how long, and whether it may write and leave its organisation.
func bounds(role string) (most time.Duration, admin bool) {
	if role == "admin" {
		return time.Hour, true
	}
	return 30 * time.Minute, false
}

// may reports whether an actor may impersonate a subject at all, in this mode.
func (m *reference) may(actor, subject *refUser, mode string) bool {
	_, admin := bounds(actor.role)
	return actor.role != "" && actor != subject && actor.enabled && subject.enabled && !subject.protected && subject.role == "" &&
		(admin || actor.org == subject.org && mode == "read")
}

// scope is what a token of theirs could have; nil asks for all.
func (m *reference) scope(client string, actor *refUser, mode string, asked []string) []string {
	_, admin := bounds(actor.role)
	return sorted(m.clients[client].scope, func(s string) bool {
		return s != "impersonate" && (asked == nil || slices.Contains(asked, s)) && (s != "app:write" || admin && mode == "write")
	})
}

func sorted(in []string, keep func(string) bool) (out []string) {
	for _, s := range in {
		if keep(s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func (m *reference) killed(client string, actor, subject *refUser) bool {
	return slices.ContainsFunc(m.kills, func(k refKill) bool { return k.reaches(client, actor, subject) })
}

func (k refKill) reaches(client string, actor, subject *refUser) bool {
	switch k.scope {
	case "instance":
		return true
	case "client":
		return k.id == client
	case "actor":
		return k.id == actor.id
	case "subject":
		return k.id == subject.id
	}
	return k.id == actor.org || k.id == subject.org // an organisation
}

// issue fills in t, or reports that there is none.
func (m *reference) issue(t *refTicket, asked []string) bool {
	if !m.visit(t.login) {
		return false
	}
	most, _ := bounds(t.login.user.role)
	t.scope, t.expires = m.scope(t.client, t.login.user, t.mode, asked), m.now.Add(refTicketFor)
	return m.may(t.login.user, t.subject, t.mode) && t.lasts <= most && len(t.scope) > 0 && !m.killed(t.client, t.login.user, t.subject)
}

// attempt is a start as it was sent.
type attempt struct {
	ticket       *refTicket
	actor        *refToken
	client       string // who authenticates
	verifier     bool   // the right one
	scope        []string
	resource     string
	actorIsAnAct bool // an impersonation token is in its place
}

// start gives the session that opens, nil if none may.
func (m *reference) start(a attempt) *refSession {
	t := a.ticket
	switch {
	case a.actorIsAnAct, a.actor.client != a.client, !m.now.Before(a.actor.expires): // not looked at any further
		return nil
	case t.client != a.client, t.login != a.actor.login, !a.verifier: // not theirs: its reuse tells nothing
		return nil
	case t.opened != nil:
		m.end(t.opened)
		return nil
	case !m.now.Before(t.expires), a.actor.revoked, !slices.Contains(a.actor.scope, "impersonate"), !m.alive(t.login):
		return nil
	case a.resource != "" && a.resource != t.resource, m.killed(t.client, t.login.user, t.subject), !m.may(t.login.user, t.subject, t.mode):
		return nil
	}
	granted := sorted(t.scope, func(s string) bool { return a.scope == nil || slices.Contains(a.scope, s) })
	if len(granted) == 0 {
		return nil
	}
	if t.mode == "write" {
		granted = sorted(append(granted, "impersonation:write"), func(string) bool { return true })
	}
	for _, s := range m.sessions { // one at a time for a login and client
		if s.login == t.login && s.client == t.client && !s.ended {
			m.end(s)
		}
	}
	s := &refSession{refTicket: t, granted: granted, before: a.actor, left: a.actor.expires.Sub(m.now), active: m.now}
	s.ends = earlier(m.now.Add(t.lasts), t.login.expires)
	t.opened = s
	return s
}

// earlier gives the first of two times in whole seconds, as a token says it.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		a = b
	}
	return a.Truncate(time.Second)
}

// end ends a session by anything but its actor's stop; its way back is gone.
func (m *reference) end(s *refSession) {
	s.ended = true
	s.void = s.void || s.returned.IsZero()
}

func (m *reference) endAll(which func(*refSession) bool) {
	for _, s := range m.sessions {
		if which(s) {
			m.end(s)
		}
	}
}

// stop gives the actor's next token, nil if there is none to have.
func (m *reference) stop(s *refSession, client string) *refToken {
	switch {
	case client != s.client, s.void:
		return nil
	case !s.returned.IsZero():
		if s.given != nil && m.now.Sub(s.returned) > time.Minute { // no double click: somebody has a copy
			s.given.revoked = true
		}
		return nil
	case !m.now.Before(s.ends.Add(refReturn)):
		return nil
	}
	s.ended, s.returned = true, m.now
	expires := earlier(m.now.Add(s.left), s.login.expires)
	if s.before.revoked || !s.login.user.enabled || !m.alive(s.login) || !expires.After(m.now) {
		return nil
	}
	s.given = &refToken{client: s.client, resource: s.before.resource, login: s.login, scope: s.before.scope, expires: expires}
	return s.given
}

// active tells whether a person's own token counts.
func (m *reference) active(t *refToken) bool {
	return !t.revoked && m.now.Before(t.expires) && m.alive(t.login) && t.login.user.enabled
}

// introspect tells whether a session's token counts; asking keeps the session awake, or finds it dead and ends it.
func (m *reference) introspect(s *refSession) bool {
	switch {
	case s.ended, !m.now.Before(s.ends):
		return false
	case !m.now.Before(s.active.Add(refIdle)):
		s.ended = true // the way back stays
		return false
	case !m.alive(s.login), !m.may(s.login.user, s.subject, s.mode):
		m.end(s)
		return false
	}
	if m.now.Sub(s.active) >= 30*time.Second {
		s.active, s.login.used = m.now, m.now
	}
	return true
}
