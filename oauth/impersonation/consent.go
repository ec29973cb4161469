package impersonation

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

// Consent is a grant of a user: somebody may act for them at one client, until some time. It is what puts may_act (RFC 8693 §4.4)
// into the user's tokens there, and it is read again whenever one of them is exchanged.
type Consent struct {
	ID      string // "cns_" and 26 characters
	Subject string // user ID
	// Actor is a user ID, or oauth.ClientSubject of Client where ActorKind is a machine.
	Actor     string
	ActorKind oauth.ActorKind
	Client    string
	Scopes    []string // the ceiling
	Mode      oauth.Mode
	Reason    string // of every session that stands on it
	Until     time.Time
	Created   time.Time
	CreatedBy string    // user ID, or the operator's name
	Revoked   time.Time // zero: not
}

// Lives reports whether c counts at now.
func (c *Consent) Lives(now time.Time) bool {
	return c != nil && c.Revoked.IsZero() && now.Before(c.Until)
}

// consent is c as the policy sees it; one that does not live is none.
func (s *Service) consent(c *Consent, now time.Time) *policy.Consent {
	if !c.Lives(now) {
		return nil
	}
	return &policy.Consent{
		ID: c.ID, Subject: s.party(c.Subject), Actor: s.party(c.Actor), ActorKind: c.ActorKind, Client: c.Client, Scopes: c.Scopes, Mode: c.Mode, Until: c.Until,
	}
}
