package store

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// UpstreamEnd ends what another issuer says is over (OpenID Connect Back-Channel Logout §2.6).
type UpstreamEnd struct {
	// Write's entries and events are written once, beside those of each login.
	impersonation.Write
	// Upstream is the issuer, Session its sid, Subject its sub. With a Session, the logins of that, and those of Subject that have no
	// sid; without, all logins of Subject by that issuer. One of the two must be set.
	Upstream, Session, Subject string
	// Once is the ID of the message, which counts once until OnceUntil; "" counts any number of times.
	Once      string
	OnceUntil time.Time
	// Until is how long a sign-in that is under way may take to come to its end, and what it came to last.
	Until time.Time
	// Issuer is that of our own users, for the entries.
	Issuer string
}

// Over is a row of what is over at an upstream: one of its sessions, all of a subject's, or those of a subject that have no sid.
type Over struct{ What, Value string }

// The values of Over.What.
const (
	overSession = "sid"
	overSubject = "sub"
	overUnnamed = "sub-unnamed"
)

// Overs are the rows that w sets. Every writer takes rows in this order of kinds: sid, sub, sub-unnamed.
func (w UpstreamEnd) Overs() (rows []Over) {
	switch {
	case w.Session == "":
		return []Over{{overSubject, w.Subject}}
	case w.Subject != "":
		return []Over{{overSession, w.Session}, {overUnnamed, w.Subject}}
	}
	return []Over{{overSession, w.Session}}
}

// Overs are the rows of which one may end w's login.
func (w LoginWrite) Overs() (rows []Over) {
	if w.Login.Upstream == "" {
		return nil
	}
	if w.Login.UpstreamSession != "" {
		rows = append(rows, Over{overSession, w.Login.UpstreamSession})
	}
	if w.Subject != "" {
		rows = append(rows, Over{overSubject, w.Subject})
	}
	if w.Subject != "" && w.Login.UpstreamSession == "" {
		rows = append(rows, Over{overUnnamed, w.Subject})
	}
	return rows
}

// clocksApart is how far the clocks of two replicas may be from each other: each is at most 2 s from the store's, or not ready.
const clocksApart = 4 * time.Second

// Ended reports whether the row, which was set at ended, is an end of w's login: one of its session whenever it was set, any other unless they
// were sent to the upstream after that by any clock.
func (w LoginWrite) Ended(row Over, ended time.Time) bool {
	since := w.Began
	if since.IsZero() {
		since = w.Login.Created
	}
	return row.What == overSession || !ended.Before(since.Add(-clocksApart))
}

// Space is where Once is kept.
func (w UpstreamEnd) Space() string { return "upstream-end:" + w.Upstream }

// UpstreamEntry is the audit entry for a login that w ended. Whose it is has signed out, through the upstream.
func UpstreamEntry(w UpstreamEnd, l impersonation.Login) audit.Entry {
	e := audit.New(audit.KindSignOut, w.Now)
	e.Actor, e.Request = oauth.Party{Issuer: w.Issuer, Subject: l.User}, w.RequestID
	e.Set("login", l.ID)
	e.Set("upstream", w.Upstream)
	return e
}

// LoginEnd is the end of l that w brings.
func (w UpstreamEnd) LoginEnd(l impersonation.Login) impersonation.EndWrite {
	return impersonation.EndWrite{Write: impersonation.Write{RequestID: w.RequestID, Now: w.Now}, Scope: impersonation.ScopeLogin, ID: l.ID,
		Reason: impersonation.EndSignedOut, By: oauth.Party{Issuer: w.Issuer, Subject: l.User}, Issuer: w.Issuer}
}
