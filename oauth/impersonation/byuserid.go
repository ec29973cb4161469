package impersonation

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

// byUserID is the way of back-office tools, which show no page: narrow, and for clients that were set so.
type byUserID struct{}

func (byUserID) key(r StartRequest, now time.Time) StartKey {
	return StartKey{Client: r.Client, Actor: r.Actor.User, Subject: r.UserID, Login: r.Actor.Login, ActorJTI: r.Actor.JTI, Now: now}
}

func (byUserID) asked(_ *Service, _ Facts, r StartRequest, now time.Time) policy.Request {
	return policy.Request{
		ActorKind: oauth.ActorUser, Resource: r.Resource, Mode: oauth.ModeRead, Scopes: r.Scope, Duration: policy.DefaultDuration, Reason: r.Reason,
		TicketNumber: r.TicketNumber, Via: policy.ViaUserID, Now: now,
	}
}

func (byUserID) check(s *Service, f Facts, r StartRequest, now time.Time) *Refusal {
	if ref := s.holdsToken(f, r); ref != nil {
		return ref
	}
	if !r.namedRight(f) { // between the look-up of the name and the read the client or the link has changed
		return deny("subject.renamed")
	}
	if f.Subject == nil {
		f.Subject = new(policy.Person) // mayStart looks: whom nobody knows must take the way, and the time, of whom nobody may reach
	}
	return s.standing(f, now)
}

// namedRight reports whether who was read is who was asked for, as the client names people now.
func (r StartRequest) namedRight(f Facts) bool {
	if f.Client == nil || f.Client.SubjectIssuer != r.Named.Issuer {
		return f.Client == nil
	}
	return f.Subject == nil || r.Named.Issuer == "" || NameAt(r.Named.Issuer, *f.Subject) == r.Named.Subject
}

// bind lets the actor's token open one session: no page asked the actor whether they meant it.
func (byUserID) bind(session *Session, _ Facts, r StartRequest) {
	session.Once = "user_id " + r.Actor.JTI
}

// returns: a tool holds the actor's own token all the time.
func (byUserID) returns(Session) bool { return false }
