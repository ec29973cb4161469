package impersonation

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

// byToken is the way of whom the subject let act for them. Three ceilings stand over its scopes: what the consent allows, what is asked
// for, and what the subject's token holds itself, so that a token of little power does not become one of much. The mode is the consent's.
type byToken struct{}

func (byToken) key(r StartRequest, now time.Time) StartKey {
	return StartKey{
		Client: r.Client, Actor: r.Actor.User, Subject: r.Subject.User, Login: r.Actor.Login, ActorJTI: r.Actor.JTI,
		SubjectLogin: r.Subject.Login, SubjectJTI: r.Subject.JTI, Consent: true, Now: now,
	}
}

// asked goes by the consent as it is now: may_act in the token tells what it was when the token was made (RFC 8693 §4.4).
func (byToken) asked(s *Service, f Facts, r StartRequest, now time.Time) policy.Request {
	q := policy.Request{
		ActorKind: oauth.ActorUser, Resource: r.Resource, Mode: oauth.ModeRead, Scopes: within(r.Subject.Scope, r.Scope), Duration: policy.DefaultDuration, Via: policy.ViaToken,
		Consent: s.consent(f.Consent, now), Now: now,
	}
	if isMachine(r.Actor.User) && f.Client != nil {
		q.ActorKind = f.Client.Service
	}
	if q.Consent != nil {
		q.Mode, q.Reason = f.Consent.Mode, f.Consent.Reason
	}
	return q
}

// within is what is held of what is asked for, never nil; nil asks for all.
func within(held, asked []string) []string {
	if asked == nil {
		asked = held
	}
	return append([]string{}, oauth.IntersectScope(asked, held)...)
}

func (byToken) check(s *Service, f Facts, r StartRequest, now time.Time) *Refusal {
	if ref := s.holdsToken(f, r); ref != nil {
		return ref
	}
	if !f.SubjectToken {
		return deny("subject_token.inactive")
	}
	if ref := s.standing(f, now); ref != nil {
		return ref
	}
	if !f.Consent.Lives(now) {
		return deny("consent.none")
	}
	return nil
}

// bind keeps the session within the tokens that it was exchanged for.
func (byToken) bind(session *Session, f Facts, r StartRequest) {
	session.Consent = f.Consent.ID
	session.Expires = earliest(session.Expires, r.Subject.Expires, r.Actor.Expires)
}

func (byToken) returns(session Session) bool { return !session.ActorKind.Machine() }
