package policy

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
)

// maxSkew is how far the clocks of two replicas may be apart before a sign-in of the future is taken for a mistake.
const maxSkew = time.Minute

// never gives the first of the rules that no registry lifts and that forbids q.
func (r *Rules) never(q *Request) *rule {
	switch {
	case anonymous(q.Actor.Party) || anonymous(q.Subject.Party):
		return &neverIdentity
	case same(&q.Actor, &q.Subject):
		return &neverSelf
	case !q.Actor.Enabled:
		return &neverActorDisabled
	case !q.Subject.Enabled:
		return &neverSubjectDisabled
	case q.Subject.Protected:
		return &neverProtected
	case q.ActorKind != oauth.ActorUser && !machineItself(q):
		return &neverActorKind
	case !q.Mode.Valid():
		return &neverMode
	case q.Duration <= 0 || q.Duration > MaxDuration:
		return &neverDuration
	case !q.Preview && !ValidReason(q.Reason):
		return &neverReason
	case !ValidTicketNumber(q.TicketNumber):
		return &neverTicketNumber
	}
	return nil
}

// machineItself reports whether the actor is the very client that asks, as the kind that it is registered as, by the one door that is
// open to what is no person.
func machineItself(q *Request) bool {
	return q.Via == ViaToken && q.ActorKind.Machine() && q.ActorKind == q.Client.Service && q.Actor.Subject == oauth.ClientSubject(q.Client.ID)
}

// target gives the resource that the token would be for, or why there can be none.
func (r *Rules) target(q *Request) (Resource, *rule) {
	switch {
	case q.Client.Public || !q.Client.Exchange:
		return Resource{}, &neverClient
	case q.Via == ViaUserID && !q.Client.UserID:
		return Resource{}, &clientUserID
	}
	uri := q.Resource
	if uri == "" && len(q.Client.Resources) > 0 {
		uri = q.Client.Resources[0]
	}
	resource, ok := r.registry.Resource(uri)
	switch {
	case !ok:
		return Resource{}, &targetUnknown
	case !slices.Contains(q.Client.Resources, uri):
		return Resource{}, &targetClient
	case !resource.AcceptsAct:
		return Resource{}, &targetAct
	}
	return resource, nil
}

func anonymous(p oauth.Party) bool { return p.Issuer == "" || p.Subject == "" }

// same also compares addresses: one person with an account here and one upstream must not get around the rule.
func same(a, b *Person) bool {
	return a.Party == b.Party || strings.TrimSpace(a.Email) != "" && strings.EqualFold(strings.TrimSpace(a.Email), strings.TrimSpace(b.Email))
}

func fresh(q *Request, limit time.Duration) bool {
	age := q.Now.Sub(q.AuthTime)
	return !q.AuthTime.IsZero() && age >= -maxSkew && age <= limit
}

// ValidReason reports whether s can be a reason: MinReason to MaxReason characters without the space around them, of which none is
// a control character but tab and newline.
func ValidReason(s string) bool {
	n := utf8.RuneCountInString(strings.TrimSpace(s))
	return n >= MinReason && n <= MaxReason && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) && c != '\n' && c != '\t'
	})
}

// ValidTicketNumber reports whether s can be a ticket number: at most MaxTicketNumber characters on one line; "" is none.
func ValidTicketNumber(s string) bool {
	return utf8.RuneCountInString(s) <= MaxTicketNumber && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
