package impersonation

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

// Liveness is how we would hear that somebody who came with a token of another issuer is no longer welcome there.
type Liveness string

// The kinds of liveness. With LiveNot a session lasts no longer than MaxUnheard, and with that and LiveIntrospection no longer than the
// token that started it.
const (
	LiveNot           Liveness = ""
	LiveSCIM          Liveness = "scim"          // a SCIM source of that issuer keeps them, and disables them when they leave
	LiveLogout        Liveness = "backchannel"   // that issuer tells of the end of the sign-in by which they signed in here
	LiveIntrospection Liveness = "introspection" // we ask that issuer whether the token is still good, before the start and while the session lasts
)

// AskEvery is how often an issuer is asked about the token of a living session, and MaxSilence after how long without a yes the session
// ends: two answers may be lost.
const (
	AskEvery   = 30 * time.Second
	MaxSilence = 90 * time.Second
)

// MaxUnheard is how long a session lasts at most whose actor's issuer we would not hear from: as long as one at an app whose resource
// servers ask nobody either.
const MaxUnheard = 15 * time.Minute

// ForeignProof is what a verified token of another issuer says of who acts. Whoever fills it has also checked that the issuer is trusted
// for the client, that the token was issued to a client that counts for it, and that it is not too old.
type ForeignProof struct {
	oauth.Party // iss and sub
	// ID is what only that one token of the issuer has; "" for a token that is bound to a key, which the client proved to hold.
	ID string
	// Session is the sid, "" for none.
	Session string
	// Live is what the issuer's rule promises. LiveIntrospection counts once the issuer was asked, and said yes.
	Live Liveness
	// Seal gives the token, sealed for the session of that ID, so that it can be asked about again. Nil: it cannot, and LiveIntrospection
	// lengthens nothing.
	Seal func(session string) []byte
}

// byIssuer is the way from the page of who comes with a token of another issuer in place of one of ours. Who the token names is who the
// directory says; that the ticket is theirs tells what login they have here. Their rights are those of their roles here.
type byIssuer struct{ byTicket }

func (byIssuer) key(r StartRequest, now time.Time) StartKey {
	return StartKey{Ticket: r.Ticket.Hash(), Client: r.Client, Provisioned: r.Actor.Foreign.Live == LiveSCIM, Now: now}
}

func (b byIssuer) asked(s *Service, f Facts, r StartRequest, now time.Time) policy.Request {
	q := b.byTicket.asked(s, f, r, now)
	q.Via = policy.ViaIssuer
	return q
}

func (b byIssuer) check(s *Service, f Facts, r StartRequest, now time.Time) *Refusal {
	if !s.trusts(r.Actor.Foreign.Issuer, r.Client) {
		return deny("issuer.untrusted")
	}
	f.ActorToken = true // it is no grant of ours that could be revoked
	return b.byTicket.check(s, f, r, now)
}

// here fills in who comes with a token of another issuer: the ticket's actor, if the directory has them under that very name, in the
// ticket's login. Everybody else stays nobody.
func (p ActorProof) here(f Facts) ActorProof {
	if p.Foreign.Party == (oauth.Party{}) {
		return p
	}
	p.User, p.Login = "", ""
	if f.Ticket != nil && f.Actor != nil && slices.Contains(f.Actor.Identities, p.Foreign.Party) {
		p.User, p.Login = f.Actor.Subject, f.Ticket.Login
	}
	return p
}

// bind names the actor as their issuer does. There is no token of ours that a stop could give back.
func (byIssuer) bind(session *Session, f Facts, r StartRequest) {
	p := r.Actor.Foreign
	session.TokenActor, session.Before = p.Party, ActorToken{}
	if p.ID != "" {
		session.Once = onceOf(p)
	}
	switch p.heard(f) {
	case LiveNot:
		session.Expires = earliest(session.Expires, r.Actor.Expires, session.Started.Add(MaxUnheard))
	case LiveIntrospection:
		session.Expires, session.Heard = earliest(session.Expires, r.Actor.Expires), session.Started
	}
}

// asking has the issuer asked about the token for as long as the session lives, where it is to be.
func (p ForeignProof) asking(w *StartWrite) {
	if !w.Session.Heard.IsZero() {
		w.ForeignToken, w.AskAt = p.Seal(w.Session.ID), w.Session.Heard.Add(AskEvery)
	}
}

// silent reports whether the issuer of the actor's token was to be asked, and has said for too long nothing that counts.
func (s Session) silent(now time.Time) bool {
	return !s.Heard.IsZero() && !now.Before(s.Heard.Add(MaxSilence))
}

func (byIssuer) returns(Session) bool { return false }

// heard is what of Live holds for this very actor. A source tells of those alone whom it keeps, by the name that the token has for them.
func (p ForeignProof) heard(f Facts) Liveness {
	switch {
	case p.Live == LiveSCIM && f.Provisioned == p.Party, p.Live == LiveLogout && p.signedIn(f.Login), p.Live == LiveIntrospection && p.Seal != nil:
		return p.Live
	}
	return LiveNot
}

// signedIn reports whether l came by a sign-in at the issuer of whose end we would hear: one that has a name, and that of the token
// where it names one.
func (p ForeignProof) signedIn(l *Login) bool {
	return l != nil && l.Upstream == p.Issuer && l.UpstreamSession != "" && (p.Session == "" || p.Session == l.UpstreamSession)
}

// onceOf names the token among those of all issuers: by a hash, since another issuer chose the parts. No iss has a line break.
func onceOf(p ForeignProof) string {
	sum := sha256.Sum256([]byte(p.Issuer + "\n" + p.ID))
	return "issuer " + base64.RawURLEncoding.EncodeToString(sum[:])
}
