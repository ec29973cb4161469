package impersonation

import (
	"cmp"
	"slices"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// NameAt is the sub by which a client knows p: their own, or, where issuer is not "", the one that they have at that issuer, and ""
// for who has none there. It never falls back to the other: a sub of that issuer may be somebody else's here. A client that acts for
// itself is no person and has one name everywhere.
func NameAt(issuer string, p policy.Person) string {
	if issuer == "" || isMachine(p.Subject) {
		return p.Subject
	}
	for _, id := range p.Identities {
		if id.Issuer == issuer {
			return id.Subject
		}
	}
	return ""
}

// SubjectName is the sub of the session's token.
func (s Session) SubjectName() string { return cmp.Or(s.TokenSubject, s.Subject) }

// ActorName is the act of the session's token. issuer is that of our own users.
func (s Session) ActorName(issuer string) oauth.Party {
	return cmp.Or(s.TokenActor, oauth.Party{Issuer: issuer, Subject: s.Actor})
}

// unnamed refuses where a token could not say whom it is about, or who acts. It comes after the policy, which decides whether anybody
// learns of the subject.
func unnamed(f Facts) *Refusal {
	switch issuer := f.Client.SubjectIssuer; {
	case NameAt(issuer, *f.Actor) == "":
		ref := deny("actor.unnamed")
		ref.Decision.Advice = "This app knows people by their names at another provider, and you have none there."
		return ref
	case NameAt(issuer, *f.Subject) == "":
		ref := deny("subject.unnamed")
		ref.Decision.Advice = "This app knows people by their names at another provider, and this user has none there."
		return ref
	}
	return nil
}

// nameToken writes down, once, how the token of session says who its people are: reading it back maps nothing, so that a link which changes
// later cannot make the token mean somebody else.
func (s *Service) nameToken(session *Session, f Facts) {
	issuer := f.Client.SubjectIssuer
	if issuer == "" {
		return
	}
	session.TokenSubject = NameAt(issuer, *f.Subject)
	session.TokenActor = s.party(NameAt(issuer, *f.Actor))
}

// stillNamed reports whether both people have the names that the token has. An actor of another issuer must have that very one there.
func (s *Service) stillNamed(l Live) bool {
	if l.Session.SubjectName() != NameAt(l.Client.SubjectIssuer, *l.Subject) {
		return false
	}
	actor := l.Session.ActorName(s.issuer)
	if actor.Issuer != s.issuer {
		return slices.Contains(l.Actor.Identities, actor)
	}
	return actor.Subject == NameAt(l.Client.SubjectIssuer, *l.Actor)
}

// describeNames tells how the token names its people, where that is not by their IDs: so that what a resource server kept finds its entry.
func describeNames(e *audit.Entry, session Session) {
	e.SetPersonal("subject_sub", session.TokenSubject)
	e.Set("actor_iss", session.TokenActor.Issuer)
	e.SetPersonal("actor_sub", session.TokenActor.Subject)
}
