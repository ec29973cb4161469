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

// The rows of what is over at an upstream.
const (
	UpstreamSession = "sid"
	UpstreamSubject = "sub"
)

// Over is the row that w sets: what it says is over, and its value.
func (w UpstreamEnd) Over() (what, value string) {
	if w.Session != "" {
		return UpstreamSession, w.Session
	}
	return UpstreamSubject, w.Subject
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
