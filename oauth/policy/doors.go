package policy

import (
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// door asks what the way in asks for.
func (r *Rules) door(q *Request) *rule {
	switch q.Via {
	case ViaPage:
		return r.signedIn(q, r.options.MaxAuthAge)
	case ViaUserID:
		return r.byUserID(q)
	case ViaToken:
		return r.byToken(q)
	}
	return &neverVia // a door without rules of its own is shut
}

// byUserID is narrow: nobody saw a page that says what is about to happen.
func (r *Rules) byUserID(q *Request) *rule {
	limit := MaxUserIDAge
	if o := r.options.MaxAuthAge; o > 0 {
		limit = min(limit, o)
	}
	if q.Mode != oauth.ModeRead {
		return &doorMode
	}
	return r.signedIn(q, limit)
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
	case q.ActorKind.Machine(): // it has not signed in, and never will
		return nil
	}
	return r.signedIn(q, r.options.MaxAuthAge)
}

// signedIn asks how the actor signed in, and when. A preview does not: the actor signs in again when it is known for whom.
func (r *Rules) signedIn(q *Request, limit time.Duration) *rule {
	switch {
	case q.Preview:
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
	case !r.reaches(m, q):
		return nil, &rolePrivileged
	case !r.clientAllows(q):
		return nil, &clientMode
	}
	return m, nil
}
