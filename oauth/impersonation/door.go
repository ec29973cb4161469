package impersonation

import (
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

// door is a way to start. All of them ask the same decision function and do the same write; they differ in what they stand on.
type door interface {
	// key is what to read.
	key(r StartRequest, now time.Time) StartKey
	// asked is the question for the policy, as far as f tells.
	asked(s *Service, f Facts, r StartRequest, now time.Time) policy.Request
	// check refuses what the policy need not be asked about.
	check(s *Service, f Facts, r StartRequest, now time.Time) *Refusal
	// bind ties the session to what it stands on, and bounds it by that.
	bind(session *Session, f Facts, r StartRequest)
	// returns tells whether the actor gets a way back.
	returns(session Session) bool
}

func doorOf(r StartRequest) door {
	switch {
	case r.Actor.Foreign.Party != oauth.Party{}: // with a ticket, or it leads nowhere
		return byIssuer{}
	case r.UserID != "" || r.Named != oauth.Party{}:
		return byUserID{}
	case r.Subject.User != "":
		return byToken{}
	}
	return byTicket{}
}

// holdsToken checks that the actor's token counts, and what it is good for. A client that acts for itself may come without one.
func (s *Service) holdsToken(f Facts, r StartRequest) *Refusal {
	scope := r.Actor.Scope
	if isMachine(r.Actor.User) && r.Actor.JTI == "" && f.Client != nil {
		scope, f.ActorToken = f.Client.Scopes, true // it could have a token with any of these
	}
	switch {
	case !f.ActorToken:
		return deny("actor_token.inactive")
	case !slices.Contains(scope, oauth.ScopeImpersonate):
		return deny("actor_token.scope")
	}
	return nil
}

// isMachine reports whether sub is that of a client.
func isMachine(sub string) bool { return strings.HasPrefix(sub, oauth.ClientPrefix) }
