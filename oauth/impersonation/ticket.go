package impersonation

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// attempts bounds how often a write is tried again because something changed between its read and itself. A change of
// authz_version is rare; three in a row means that something is wrong.
const attempts = 3

// TicketRequest is what the actor asked for on the page.
type TicketRequest struct {
	Client      string // client_id
	RedirectURI string // already checked against the registration
	Actor       string // user ID
	Login       string // Login.ID
	Subject     string // user ID
	Mode        oauth.Mode
	Scope       []string // nil: all that can be had
	Resource    string   // "": the client's default
	Duration    time.Duration
	// Reason, 10 to 500 characters, and TicketNumber, at most 64, are checked by the policy.
	Reason, TicketNumber string
	// CodeChallenge is S256 of the verifier that the start will need (RFC 7636 §4.2): 43 characters of base64url.
	CodeChallenge string
	RequestID     string
}

// IssueTicket decides, and writes a ticket: oauth.SecretLength characters of base64url that one Start may spend within
// Lifetimes.Ticket. A denial is a *Refusal and is on record; any other error means that nothing was written.
func (s *Service) IssueTicket(ctx context.Context, r TicketRequest) (oauth.Secret, error) {
	for range attempts {
		ticket, err := s.issueTicket(ctx, r)
		if !errors.Is(err, ErrChanged) {
			return ticket, err
		}
	}
	return "", ErrChanged
}

func (s *Service) issueTicket(ctx context.Context, r TicketRequest) (oauth.Secret, error) {
	now := s.clock()
	facts, err := s.store.LoadStart(ctx, StartKey{Client: r.Client, Actor: r.Actor, Subject: r.Subject, Login: r.Login, Most: s.rooms.most(), Now: now})
	if err != nil {
		return "", err
	}
	s.name(&facts)
	refuse := func(ref *Refusal) (oauth.Secret, error) {
		s.refuse(ctx, refused{
			kind: audit.KindRefused, byActor: true, refusal: ref, client: r.Client, actor: facts.Actor, subject: facts.Subject,
			actorID: r.Actor, subjectID: r.Subject, reason: r.Reason, ticketNumber: r.TicketNumber, mode: r.Mode, requestID: r.RequestID, now: now,
		})
		return "", ref
	}
	if ref := s.standing(facts, now); ref != nil {
		return refuse(ref)
	}
	d := s.decide(ctx, facts, policy.Request{
		Resource: r.Resource, Mode: r.Mode, Scopes: r.Scope, Duration: r.Duration, Reason: r.Reason, TicketNumber: r.TicketNumber, ActorKind: oauth.ActorUser, Via: policy.ViaPage, Now: now,
	})
	if !d.Allow {
		return refuse(&Refusal{d})
	}
	if ref := unnamed(facts); ref != nil {
		return refuse(ref)
	}
	secret := oauth.NewSecret()
	t := Ticket{
		Hash: secret.Hash(), Client: r.Client, RedirectURI: r.RedirectURI, Actor: r.Actor, Subject: r.Subject, Login: r.Login,
		Mode: d.Mode, Scope: d.Scopes, Resource: d.Resource, Duration: min(r.Duration, d.MaxDuration), Reason: r.Reason, TicketNumber: r.TicketNumber,
		CodeChallenge: r.CodeChallenge, Created: now, Expires: now.Add(s.life.Ticket),
	}
	e := audit.New(audit.KindTicket, now)
	people(&e, facts.Actor, facts.Subject)
	e.Client, e.Request, e.Policy = r.Client, r.RequestID, d.Version
	e.Set("mode", string(d.Mode))
	e.Set("scope", oauth.JoinScope(d.Scopes))
	e.Set("resource", d.Resource)
	e.Set("seconds", strconv.Itoa(int(t.Duration.Seconds())))
	e.Set("ticket_number", r.TicketNumber)
	e.Set("login", r.Login)
	e.SetPersonal("reason", r.Reason)
	w := TicketWrite{Write: Write{Entries: []audit.Entry{e}, RequestID: r.RequestID, Now: now}, Ticket: t, Guard: facts.Guard}
	if err := s.store.IssueTicket(ctx, w); err != nil {
		return "", err
	}
	return secret, nil
}

// name fills in the issuer of both persons.
func (s *Service) name(f *Facts) { s.withIssuer(f.Actor); s.withIssuer(f.Subject) }

// standing checks what no policy is asked about: that everybody exists, that the login lives, and that the actor has room for one
// more session.
func (s *Service) standing(f Facts, now time.Time) *Refusal {
	switch {
	case f.Client == nil:
		return deny("client.unknown")
	case f.Actor == nil:
		return deny("actor.unknown")
	case f.Subject == nil:
		return deny("subject.unknown")
	case isMachine(f.Actor.Subject): // it does not sign in
	case !s.loginLives(f.Login, now) || f.Login.User != f.Actor.Subject:
		ref := deny("login.dead")
		ref.Decision.Need, ref.Decision.Advice = []policy.Need{policy.NeedStepUp}, "Your sign-in is over."
		return ref
	}
	return s.rooms.check(f)
}

// decide asks the one decision function, and looks whether a kill is on. Everything that mints goes through here.
func (s *Service) decide(ctx context.Context, f Facts, r policy.Request) policy.Decision {
	r.Actor, r.Subject, r.Client = *f.Actor, *f.Subject, *f.Client
	if f.Login != nil {
		r.AuthTime, r.ACR, r.AMR = f.Login.AuthTime, f.Login.ACR, f.Login.AMR
	}
	d := s.decider.Decide(ctx, r)
	if len(f.Kills) > 0 && d.Refusal != policy.RefusalStepUp { // that tells of the actor alone, and a kill may be the subject's
		ref := deny("kill." + string(f.Kills[0].Scope))
		ref.Decision.Advice = "Impersonation is switched off at the moment."
		return ref.Decision
	}
	return d
}
