package impersonation

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// ActorProof is what a verified actor token says. Whoever fills it has checked its signature, issuer, exp, that it was
// issued to the client that asks, and that it has no act. Of a client that acts for itself and proved it by authenticating, without
// a token, only User is set. Of a token of another issuer Foreign is set, and neither User nor Login nor JTI: Scope has oauth.ScopeImpersonate
// where it says what the issuer's rule wants.
type ActorProof struct {
	User     string // its sub: a user ID, or oauth.ClientSubject of the client
	Login    string // its sid; "" of a client's own
	JTI      string
	Scope    []string
	Audience string
	Expires  time.Time
	Foreign  ForeignProof // goes with a ticket alone
}

// SubjectProof is what a token of the subject says that was verified like an actor's, and is alive, and whose may_act names the actor.
type SubjectProof struct {
	User    string // its sub
	Login   string // its sid
	JTI     string
	Scope   []string // a ceiling of what it can be exchanged for
	Expires time.Time
}

// StartRequest opens a session, by one of three doors: Ticket, UserID (or Named) or Subject is set. The client is authenticated.
type StartRequest struct {
	// Ticket is the exact string that IssueTicket returned, CodeVerifier goes with it (RFC 7636 §4.1).
	Ticket       oauth.Secret
	CodeVerifier string
	// UserID is the exact ID of a user; Reason and TicketNumber, as in a TicketRequest, go with it.
	UserID, Reason, TicketNumber string
	// Named is who was asked for, at a client that knows people by the sub of another issuer; UserID is then who that is here, "" for
	// nobody. Zero at any other client.
	Named oauth.Party
	// Subject is the user's own token; the rest is in the consent that it stands for.
	Subject SubjectProof

	Client   string
	Actor    ActorProof
	Resource string   // "": the ticket's, or the client's default
	Scope    []string // nil: the ticket's, or all that can be had
	// Key is the thumbprint of the key that the client proved to hold, and that the token will be bound to; "" for none.
	Key       string
	RequestID string
}

// Started is a session that is on record. Sign what Delegation says with JTI.
type Started struct {
	Delegation oauth.Delegation
	JTI        string
	Started    time.Time // iat
	// Return is "" where there is nothing to go back to: revoking the token (RFC 7009) is the stop.
	Return         oauth.Secret
	ReturnExpires  time.Time
	Actor, Subject policy.Person
	Session        Session
}

// Start opens a session in one write with its audit entry, and spends what it stands on: a ticket, or, where a bare user id is all
// that there is, the actor's token, which opens one such session and no second. A consent is not spent.
//
// A ticket is spent at most once, also by concurrent callers, and only by the client, the actor and the login that it was
// issued to, with the right verifier. A second use by them ends the session that the first opened. Every denial is a
// *Refusal and on record; any other error means that no session is open, or that its outcome is unknown: then the actor
// starts again, which ends it.
func (s *Service) Start(ctx context.Context, r StartRequest) (*Started, error) {
	way := doorOf(r)
	for range attempts {
		started, err := s.start(ctx, way, r)
		if !errors.Is(err, ErrChanged) && !errors.Is(err, ErrSpent) {
			return started, err
		}
	}
	return nil, ErrChanged
}

func (s *Service) start(ctx context.Context, way door, r StartRequest) (*Started, error) {
	now := s.clock()
	key := way.key(r, now)
	key.Most = s.rooms.most()
	facts, err := s.store.LoadStart(ctx, key)
	if err != nil {
		return nil, err
	}
	s.name(&facts)
	s.nameMachine(&facts.Actor, facts.Client, r.Actor.User)
	r.Actor = r.Actor.here(facts)
	asked := way.asked(s, facts, r, now)
	d, ref := s.mayStart(ctx, way, facts, r, asked)
	if ref != nil {
		return nil, s.refuseStart(ctx, facts, r, asked, ref)
	}
	started, w := s.plan(way, facts, r, asked, d)
	if started == nil {
		return nil, s.refuseStart(ctx, facts, r, asked, deny("login.ends"))
	}
	err = s.commit(ctx, w)
	if errors.Is(err, ErrSpent) && w.Session.Once != "" {
		used, err := s.ticketUsed(ctx, key)
		if err != nil {
			return nil, err
		}
		if used { // then that was it: read again
			return nil, ErrSpent
		}
		return nil, s.refuseStart(ctx, facts, r, asked, deny("actor_token.used"))
	}
	if err != nil {
		return nil, err
	}
	s.logStart(ctx, w, facts.Actor, facts.Subject)
	return started, nil
}

// ticketUsed reports whether the ticket of key has been used, "" having none.
func (s *Service) ticketUsed(ctx context.Context, key StartKey) (bool, error) {
	if key.Ticket.IsZero() {
		return false, nil
	}
	f, err := s.store.LoadStart(ctx, key)
	return err == nil && f.Ticket != nil && !f.Ticket.Used.IsZero(), err
}

// commit writes, and once more where the outcome is unknown: a replay of a committed start answers nil.
func (s *Service) commit(ctx context.Context, w StartWrite) error {
	w.MaxLive = s.rooms.of(w.Session.Actor)
	err := s.store.Start(ctx, w)
	if err == nil || errors.Is(err, ErrChanged) || errors.Is(err, ErrSpent) || ctx.Err() != nil {
		return err
	}
	return s.store.Start(ctx, w)
}

// mayStart checks what the door and every start need, and then asks the policy.
func (s *Service) mayStart(ctx context.Context, way door, f Facts, r StartRequest, asked policy.Request) (policy.Decision, *Refusal) {
	if ref := way.check(s, f, r, asked.Now); ref != nil {
		return policy.Decision{}, ref
	}
	unknown := f.Subject == nil
	if unknown {
		f.Subject = &policy.Person{Party: cmp.Or(r.Named, s.party(r.UserID))} // disabled
	}
	d := s.decide(ctx, f, asked)
	switch {
	case unknown && (d.Allow || d.Refusal == policy.RefusalPolicy):
		return policy.Decision{}, deny("subject.unknown")
	case !d.Allow:
		return d, &Refusal{d}
	}
	return d, unnamed(f)
}

// plan writes down what will be signed. It gives nil if the session would be over before it began.
func (s *Service) plan(way door, f Facts, r StartRequest, asked policy.Request, d policy.Decision) (*Started, StartWrite) {
	now := asked.Now
	session := newSession(f, r, asked, d)
	s.nameToken(&session, f)
	way.bind(&session, f, r)
	session.Expires = session.Expires.Truncate(time.Second) // a NumericDate has whole seconds; down, so that it never grows
	if !session.Expires.After(now) {
		return nil, StartWrite{}
	}
	e := audit.New(audit.KindStart, now)
	session.Audit = e.ID
	s.describeStart(&e, f, session, r.RequestID)
	w := StartWrite{
		Write: Write{
			Entries: []audit.Entry{e}, RequestID: r.RequestID, Now: now,
			Events: []Event{{Kind: "session.started", Session: session.ID, Actor: session.Actor, Subject: session.Subject, Client: session.Client, Time: now}},
		},
		Guard: f.Guard, Session: session, Supersedes: f.Live,
	}
	if f.Ticket != nil {
		w.Ticket = f.Ticket.Hash
	}
	r.Actor.Foreign.asking(&w)
	started := &Started{
		Delegation: s.delegation(session, *f.Actor), JTI: session.JTI, Started: now, Actor: *f.Actor, Subject: *f.Subject, Session: session,
	}
	if way.returns(session) {
		started.Return, started.ReturnExpires = oauth.NewSecret(), session.Expires.Add(s.life.ReturnExtra)
		w.Return, w.ReturnEnds = started.Return.Hash(), started.ReturnExpires
	}
	return started, w
}

// newSession is the session that d allows, as far as it is the same by every door.
func newSession(f Facts, r StartRequest, asked policy.Request, d policy.Decision) Session {
	now := asked.Now
	session := Session{
		ID: oauth.NewID("imp"), Client: r.Client, Actor: f.Actor.Subject, Subject: f.Subject.Subject, Mode: d.Mode, Scope: tokenScope(d), Resource: d.Resource,
		Reason: asked.Reason, TicketNumber: asked.TicketNumber, Via: asked.Via, ActorKind: asked.ActorKind, Key: r.Key, JTI: oauth.NewID("tok"), Policy: d.Version,
		Started: now, Expires: earliest(now.Add(min(d.MaxDuration, asked.Duration)), d.ValidUntil), LastActive: now,
	}
	if f.Login != nil {
		session.Login, session.LoginExpires, session.Expires = f.Login.ID, f.Login.Expires, earliest(session.Expires, f.Login.Expires)
		session.Before = ActorToken{JTI: r.Actor.JTI, Scope: r.Actor.Scope, Audience: r.Actor.Audience, Left: r.Actor.Expires.Sub(now), Expires: r.Actor.Expires}
	}
	return session
}

func (s *Service) describeStart(e *audit.Entry, f Facts, session Session, requestID string) {
	people(e, f.Actor, f.Subject)
	e.Client, e.Session, e.Request, e.Policy = session.Client, session.ID, requestID, session.Policy
	e.Set("mode", string(session.Mode))
	e.Set("scope", oauth.JoinScope(session.Scope))
	e.Set("resource", session.Resource)
	e.Set("expires", session.Expires.Format(time.RFC3339))
	e.Set("ticket_number", session.TicketNumber)
	e.Set("via", string(session.Via))
	e.Set("jti", session.JTI)
	e.Set("consent", session.Consent)
	e.Set("actor_kind", string(session.ActorKind))
	e.Set("login", session.Login)
	e.Set("jkt", session.Key)
	describeNames(e, session)
	if f.Login != nil {
		e.Set("auth_time", f.Login.AuthTime.UTC().Format(time.RFC3339))
		e.Set("amr", oauth.JoinScope(f.Login.AMR))
	}
	e.SetPersonal("reason", session.Reason)
}

// tokenScope is what the token carries: the decision's scopes, and the marker where the mode is write.
func tokenScope(d policy.Decision) []string {
	scope := slices.Clone(d.Scopes)
	if d.Mode == oauth.ModeWrite {
		scope = append(scope, oauth.ScopeImpersonationWrite)
		slices.Sort(scope)
	}
	return scope
}

// delegation is what the token of a session says.
func (s *Service) delegation(session Session, actor policy.Person) oauth.Delegation {
	return oauth.Delegation{
		Subject: s.party(session.SubjectName()),
		Actor:   oauth.Actor{Party: session.ActorName(s.issuer), Kind: session.ActorKind, Name: actor.Name, Email: actor.Email},
		Session: session.ID, Audit: session.Audit, Client: session.Client, Mode: session.Mode, Scope: session.Scope,
		Audience: session.Resource, Expires: session.Expires,
	}
}

// earliest gives the first of the times that are set.
func earliest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// refuseStart records a refusal; a ticket that came again first ends what it opened.
func (s *Service) refuseStart(ctx context.Context, f Facts, r StartRequest, asked policy.Request, ref *Refusal) error {
	kind := audit.KindRefused
	if f.Ticket != nil && slices.Contains(ref.Decision.Rules, ruleTicketUsed) {
		kind = audit.KindReuse
		if _, err := s.End(ctx, EndRequest{Scope: ScopeSession, ID: f.Ticket.Session, Reason: EndReuse, By: s.party(r.Actor.User), RequestID: r.RequestID}); err != nil {
			return err
		}
	}
	no := refused{
		kind: kind, refusal: ref, client: r.Client, actor: f.Actor, subject: f.Subject, actorID: r.Actor.User, subjectID: r.UserID + r.Subject.User, named: r.Named,
		foreign: r.Actor.Foreign.Party, via: asked.Via, mode: asked.Mode, reason: asked.Reason, ticketNumber: asked.TicketNumber, requestID: r.RequestID, now: asked.Now,
	}
	if f.Ticket != nil {
		no.session = f.Ticket.Session
	}
	s.refuse(ctx, no)
	return ref
}
