package policy

import (
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// door asks what the way in asks for.
func (r *Rules) door(q *Request) *rule {
	switch q.Via {
	case ViaPage, ViaIssuer: // the same page: they differ in whose token tells who acts
		return nil
	case ViaUserID:
		if q.Mode != oauth.ModeRead { // nobody saw a page that says what is about to happen
			return &doorMode
		}
		return nil
	case ViaToken:
		return r.byToken(q)
	}
	return &neverVia // a door without rules of its own is shut
}

// maxAuthAge is how long ago the actor may have signed in for the way in that they take; 0 for any time.
func (r *Rules) maxAuthAge(q *Request) time.Duration {
	limit := r.options.MaxAuthAge
	if q.Via == ViaUserID && (limit == 0 || limit > MaxUserIDAge) {
		return MaxUserIDAge
	}
	return limit
}

// byToken holds the subject's consent to the request.
func (r *Rules) byToken(q *Request) *rule {
	c := q.Consent
	switch {
	case c == nil:
		return &consentNone
	case c.Subject != q.Subject.Party || c.Actor != q.Actor.Party || c.ActorKind != q.ActorKind || c.Client != q.Client.ID:
		return &consentOther
	case !q.Now.Before(c.Until):
		return &consentOver
	case !c.Mode.Includes(q.Mode):
		return &consentMode
	}
	return nil
}

// signedIn asks how the actor signed in, and when. A preview does not: the actor signs in again when it is known for whom. Nor is a
// machine asked: it has not signed in, and never will.
func (r *Rules) signedIn(q *Request) *rule {
	limit := r.maxAuthAge(q)
	switch {
	case q.Preview, q.ActorKind.Machine():
		return nil
	case r.options.RequireSecondFactor && !slices.Contains(q.AMR, "mfa"):
		return &needSecondFactor
	case limit > 0 && !fresh(q, limit):
		return &needFreshSignIn
	}
	return nil
}

// machine gives what an actor that is no person may do: its consent is its role. What keeps people out of reach keeps it out all
// the same. A protected subject is nobody's, since it is the operator who writes consents down. A privileged one neither: roles
// that would let a person reach them a machine has none of, and a client's secret would be worth an administrator.
func (r *Rules) machine(q *Request) (*Impersonate, *rule) {
	m := &Impersonate{Scopes: q.Consent.Scopes}
	switch {
	case !r.registry.reaches(m, &q.Actor, &q.Subject):
		return nil, &rolePrivileged
	case !r.clientAllows(q):
		return nil, &clientMode
	}
	return m, nil
}
