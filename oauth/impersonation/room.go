package impersonation

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

// How many sessions one actor may have at once, where Config says nothing. Ten are more than anybody can look at, and bound what a
// stolen login opens; a service works for many people at the same time.
const (
	DefaultMaxSessions        = 10
	DefaultMaxServiceSessions = 100
)

// rooms is how many sessions an actor may have at once; negative: any number.
type rooms struct{ people, services int }

func newRooms(c Config) rooms {
	return rooms{cmp.Or(c.MaxSessions, DefaultMaxSessions), cmp.Or(c.MaxServiceSessions, DefaultMaxServiceSessions)}
}

// of gives the number for an actor, by their sub; 0 for any number, as StartWrite.MaxLive has it.
func (r rooms) of(actor string) int {
	if strings.HasPrefix(actor, oauth.ClientPrefix) {
		return max(r.services, 0)
	}
	return max(r.people, 0)
}

// most is the larger of the two: who acts is known only by the read that counts.
func (r rooms) most() int { return max(r.people, r.services, 0) }

// check refuses what would be one session too many. The write guards the same: two starts may be decided at once.
func (r rooms) check(f Facts) *Refusal {
	most := r.of(f.Actor.Subject)
	if most == 0 || f.Elsewhere < most {
		return nil
	}
	ref := deny("limit.sessions")
	ref.Decision.Advice = fmt.Sprintf("You already impersonate in %d places; stop one first.", f.Elsewhere)
	if f.Elsewhere == 1 {
		ref.Decision.Advice = "You already impersonate in one place; stop that first."
	}
	return ref
}
