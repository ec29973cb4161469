package impersonation

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// ActorProof is what a verified actor token says. Whoever fills it has checked its signature, issuer, exp, that it was
// issued to the client that asks, and that it has no act.
type ActorProof struct {
	User     string // its sub
	Login    string // its sid
	JTI      string
	Scope    []string
	Audience string
	Expires  time.Time
}

// StartRequest turns a ticket into a session. The client is authenticated.
type StartRequest struct {
	// Ticket is the exact string that IssueTicket returned.
	Ticket       oauth.Secret
	CodeVerifier string // RFC 7636 §4.1
	Client       string
	Actor        ActorProof
	Resource     string   // "": the ticket's
	Scope        []string // nil: the ticket's
	// Key is the thumbprint of the key that the client proved to hold, and that the token will be bound to; "" for none.
	Key       string
	RequestID string
}

// Started is a session that is on record. Sign what Delegation says with JTI.
type Started struct {
	Delegation     oauth.Delegation
	JTI            string
	Started        time.Time // iat
	Return         oauth.Secret
	ReturnExpires  time.Time
	Actor, Subject policy.Person
	Session        Session
}

// Start spends the ticket and opens the session that it stands for, in one write with its audit entry.
//
// A ticket is spent at most once, also by concurrent callers, and only by the client, the actor and the login that it was
// issued to, with the right verifier. A second use by them ends the session that the first opened. Every denial is a
// *Refusal and on record; any other error means that no session is open, or that its outcome is unknown: then the actor
// starts again, which ends it.
func (s *Service) Start(ctx context.Context, r StartRequest) (*Started, error) {
	for range attempts {
		started, err := s.start(ctx, r)
		if !errors.Is(err, ErrChanged) && !errors.Is(err, ErrSpent) {
			return started, err
		}
	}
	return nil, ErrChanged
}

func (s *Service) start(ctx context.Context, r StartRequest) (*Started, error) {
	now := s.clock()
	facts, err := s.store.LoadStart(ctx, StartKey{Ticket: r.Ticket.Hash(), Client: r.Client, ActorJTI: r.Actor.JTI, Now: now})
	if err != nil {
		return nil, err
	}
	s.name(&facts)
	d, ref := s.mayStart(ctx, facts, r, now)
	if ref != nil {
		return nil, s.refuseStart(ctx, facts, r, ref, now)
	}
	started, w := s.plan(facts, r, d, now)
	if started == nil {
		return nil, s.refuseStart(ctx, facts, r, deny("login.ends"), now)
	}
	if err := s.commit(ctx, w); err != nil {
		return nil, err
	}
	s.logStart(ctx, w, facts.Actor, facts.Subject)
	return started, nil
}

// commit writes, and once more where the outcome is unknown: a replay of a committed start answers nil.
func (s *Service) commit(ctx context.Context, w StartWrite) error {
	err := s.store.Start(ctx, w)
	if err == nil || errors.Is(err, ErrChanged) || errors.Is(err, ErrSpent) || ctx.Err() != nil {
		return err
	}
	return s.store.Start(ctx, w)
}

// mayStart checks the ticket's bindings and then asks the policy. The order matters: reuse counts only once the client, the
// actor and the verifier have shown that the ticket is theirs, or a stranger could end sessions.
func (s *Service) mayStart(ctx context.Context, f Facts, r StartRequest, now time.Time) (policy.Decision, *Refusal) {
	t := f.Ticket
	switch {
	case t == nil:
		return policy.Decision{}, deny("ticket.unknown")
	case t.Client != r.Client:
		return policy.Decision{}, deny("ticket.client")
	case t.Actor != r.Actor.User:
		return policy.Decision{}, deny("ticket.actor")
	case t.Login != r.Actor.Login:
		return policy.Decision{}, deny("ticket.login")
	case !verifierMatches(t.CodeChallenge, r.CodeVerifier):
		return policy.Decision{}, deny("ticket.verifier")
	case !t.Used.IsZero():
		return policy.Decision{}, deny(ruleTicketUsed)
	case !now.Before(t.Expires):
		return policy.Decision{}, deny("ticket.expired")
	case !f.ActorToken:
		return policy.Decision{}, deny("actor_token.inactive")
	case !slices.Contains(r.Actor.Scope, oauth.ScopeImpersonate):
		return policy.Decision{}, deny("actor_token.scope")
	case r.Resource != "" && r.Resource != t.Resource:
		return policy.Decision{}, denyAs(policy.RefusalTarget, "ticket.resource")
	}
	if ref := s.standing(f, now); ref != nil {
		return policy.Decision{}, ref
	}
	scope := t.Scope
	if r.Scope != nil {
		if scope = oauth.IntersectScope(r.Scope, t.Scope); len(scope) == 0 {
			return policy.Decision{}, denyAs(policy.RefusalScope, "ticket.scope")
		}
	}
	d := s.decide(ctx, f, policy.Request{
		Resource: t.Resource, Mode: t.Mode, Scopes: scope, Duration: t.Duration, Reason: t.Reason, TicketNumber: t.TicketNumber, Via: policy.ViaPage, Now: now,
	})
	if !d.Allow {
		return d, &Refusal{d}
	}
	return d, nil
}

const ruleTicketUsed = "ticket.used"

// verifierMatches compares S256 (RFC 7636 §4.6).
func verifierMatches(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return len(verifier) >= 43 && len(verifier) <= 128 && subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

// plan writes down what will be signed. It gives nil if the session would be over before it began.
func (s *Service) plan(f Facts, r StartRequest, d policy.Decision, now time.Time) (*Started, StartWrite) {
	expires := now.Add(min(d.MaxDuration, f.Ticket.Duration))
	expires = earliest(expires, f.Login.Expires, d.ValidUntil).Truncate(time.Second) // a NumericDate has whole seconds; down, so that it never grows
	if !expires.After(now) {
		return nil, StartWrite{}
	}
	e := audit.New(audit.KindStart, now)
	session := Session{
		ID: oauth.NewID("imp"), Audit: e.ID, Client: r.Client, Actor: f.Actor.Subject, Subject: f.Subject.Subject, Login: f.Login.ID,
		Mode: d.Mode, Scope: tokenScope(d), Resource: d.Resource, Reason: f.Ticket.Reason, TicketNumber: f.Ticket.TicketNumber, Via: policy.ViaPage,
		JTI: oauth.NewID("tok"), Policy: d.Version, Started: now, Expires: expires, LastActive: now, LoginExpires: f.Login.Expires,
		ActorKind: oauth.ActorUser, Key: r.Key,
		Before: ActorToken{JTI: r.Actor.JTI, Scope: r.Actor.Scope, Audience: r.Actor.Audience, Left: r.Actor.Expires.Sub(now), Expires: r.Actor.Expires},
	}
	s.describeStart(&e, f, session, r.RequestID)
	secret := oauth.NewSecret()
	w := StartWrite{
		Write: Write{
			Entries: []audit.Entry{e}, RequestID: r.RequestID, Now: now,
			Events: []Event{{Kind: "session.started", Session: session.ID, Actor: session.Actor, Subject: session.Subject, Client: session.Client, Time: now}},
		},
		Ticket: r.Ticket.Hash(), Guard: f.Guard, Session: session, Return: secret.Hash(), ReturnEnds: expires.Add(s.life.ReturnExtra), Supersedes: f.Live,
	}
	return &Started{
		Delegation: s.delegation(session, *f.Actor), JTI: session.JTI, Started: now, Return: secret, ReturnExpires: w.ReturnEnds,
		Actor: *f.Actor, Subject: *f.Subject, Session: session,
	}, w
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
	e.Set("login", session.Login)
	e.Set("jkt", session.Key)
	e.Set("auth_time", f.Login.AuthTime.UTC().Format(time.RFC3339))
	e.Set("amr", oauth.JoinScope(f.Login.AMR))
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
		Subject: s.party(session.Subject),
		Actor:   oauth.Actor{Party: s.party(session.Actor), Kind: oauth.ActorUser, Name: actor.Name, Email: actor.Email},
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
func (s *Service) refuseStart(ctx context.Context, f Facts, r StartRequest, ref *Refusal, now time.Time) error {
	kind := audit.KindRefused
	if f.Ticket != nil && slices.Contains(ref.Decision.Rules, ruleTicketUsed) {
		kind = audit.KindReuse
		if _, err := s.End(ctx, EndRequest{Scope: ScopeSession, ID: f.Ticket.Session, Reason: EndReuse, By: s.party(r.Actor.User), RequestID: r.RequestID}); err != nil {
			return err
		}
	}
	no := refused{kind: kind, refusal: ref, client: r.Client, actor: f.Actor, subject: f.Subject, actorID: r.Actor.User, requestID: r.RequestID, now: now}
	if t := f.Ticket; t != nil {
		no.reason, no.ticketNumber, no.mode, no.session = t.Reason, t.TicketNumber, t.Mode, t.Session
	}
	s.refuse(ctx, no)
	return ref
}
