package impersonation

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

// byTicket is the way from the page.
type byTicket struct{}

func (byTicket) key(r StartRequest, now time.Time) StartKey {
	return StartKey{Ticket: r.Ticket.Hash(), Client: r.Client, ActorJTI: r.Actor.JTI, Now: now}
}

func (byTicket) asked(_ *Service, f Facts, r StartRequest, now time.Time) policy.Request {
	q := policy.Request{ActorKind: oauth.ActorUser, Via: policy.ViaPage, Now: now}
	if t := f.Ticket; t != nil {
		q.Resource, q.Mode, q.Scopes, q.Duration, q.Reason, q.TicketNumber = t.Resource, t.Mode, t.Scope, t.Duration, t.Reason, t.TicketNumber
		if r.Scope != nil {
			q.Scopes = oauth.IntersectScope(r.Scope, t.Scope)
		}
	}
	return q
}

// check looks at the ticket's bindings. The order matters: reuse counts only once the client, the actor and the verifier have shown
// that the ticket is theirs, or a stranger could end sessions.
func (byTicket) check(s *Service, f Facts, r StartRequest, now time.Time) *Refusal {
	t := f.Ticket
	switch {
	case t == nil:
		return deny("ticket.unknown")
	case t.Client != r.Client:
		return deny("ticket.client")
	case t.Actor != r.Actor.User:
		return deny("ticket.actor")
	case t.Login != r.Actor.Login:
		return deny("ticket.login")
	case !verifierMatches(t.CodeChallenge, r.CodeVerifier):
		return deny("ticket.verifier")
	case !t.Used.IsZero():
		return deny(ruleTicketUsed)
	case !now.Before(t.Expires):
		return deny("ticket.expired")
	}
	if ref := s.holdsToken(f, r); ref != nil {
		return ref
	}
	if r.Resource != "" && r.Resource != t.Resource {
		return denyAs(policy.RefusalTarget, "ticket.resource")
	}
	if ref := s.standing(f, now); ref != nil {
		return ref
	}
	if r.Scope != nil && len(oauth.IntersectScope(r.Scope, t.Scope)) == 0 {
		return denyAs(policy.RefusalScope, "ticket.scope")
	}
	return nil
}

func (byTicket) bind(*Session, Facts, StartRequest) {}

func (byTicket) returns(Session) bool { return true }

const ruleTicketUsed = "ticket.used"

// verifierMatches compares S256 (RFC 7636 §4.6).
func verifierMatches(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return len(verifier) >= 43 && len(verifier) <= 128 && subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}
