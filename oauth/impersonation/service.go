// Package impersonation holds the rules of a stretch of impersonation. Start with [Service]: IssueTicket is called by the
// page, Start by the token exchange, Stop by the actor's return token, End by anything else, Alive by introspection, Act
// by what happens in between. It declares the small [Store] it needs, and every mint in it goes through one
// policy.Decider. It knows no fosite, no SQL, no HTTP and signs nothing: a start is recorded here before anybody signs it.
package impersonation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// Lifetimes of what this package makes. All must be positive.
type Lifetimes struct {
	Ticket      time.Duration
	Idle        time.Duration // a session without activity for this long ends
	LoginIdle   time.Duration // a login without use for this long is dead
	ReturnExtra time.Duration // how long a return token outlives its session, so that the way back works when time ran out
	DoubleClick time.Duration // a return token that comes again within this revokes nothing
}

// Config is what New needs. Every field but Tag, Trusts, Admits and the two limits must be set.
type Config struct {
	// Issuer is the iss of our own users: the public URL.
	Issuer    string
	Store     Store
	Decider   policy.Decider
	Lifetimes Lifetimes
	Now       func() time.Time
	Logger    *slog.Logger
	// MaxSessions is how many sessions a person may have at once as actor, MaxServiceSessions how many a client that acts for itself.
	// 0 is DefaultMaxSessions and DefaultMaxServiceSessions, a negative number no limit.
	MaxSessions, MaxServiceSessions int
	// Tag is a keyed hash, the same in every process over one store: it makes the IDs of actions, which must tell a repetition
	// and must not let what was erased be guessed. Nil makes one of this process alone.
	Tag func([]byte) [sha256.Size]byte
	// Trusts reports whether a token of issuer may tell who acts at client. It is asked at each start by one, and again for as long as the
	// session lasts, so that an issuer which is trusted no more ends its sessions. Nil trusts none.
	Trusts func(issuer, client string) bool
	// Admits reports whether the way by which a login was opened is still one. It is asked wherever a login must live, so that what came of a way
	// that was closed is over too. Nil admits all.
	Admits func(Login) bool
}

// Service is the rules over a store. It is safe for concurrent use and keeps no state of its own but the count of
// refusals of the running minute.
type Service struct {
	issuer   string
	store    Store
	decider  policy.Decider
	life     Lifetimes
	rooms    rooms
	now      func() time.Time
	log      *slog.Logger
	tag      func([]byte) [sha256.Size]byte
	trusts   func(issuer, client string) bool
	admits   func(Login) bool
	refusals refusals
}

// New returns a service, or an error that names the field that is missing.
func New(c Config) (*Service, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("impersonation: Issuer must be set")
	case c.Store == nil:
		return nil, errors.New("impersonation: Store must be set")
	case c.Decider == nil:
		return nil, errors.New("impersonation: Decider must be set")
	case c.Now == nil || c.Logger == nil:
		return nil, errors.New("impersonation: Now and Logger must be set")
	}
	for name, d := range map[string]time.Duration{"Ticket": c.Lifetimes.Ticket, "Idle": c.Lifetimes.Idle, "LoginIdle": c.Lifetimes.LoginIdle,
		"ReturnExtra": c.Lifetimes.ReturnExtra, "DoubleClick": c.Lifetimes.DoubleClick} {
		if d <= 0 {
			return nil, fmt.Errorf("impersonation: Lifetimes.%s must be positive", name)
		}
	}
	if c.Tag == nil {
		key := []byte(oauth.NewSecret())
		c.Tag = func(data []byte) [sha256.Size]byte {
			h := hmac.New(sha256.New, key)
			h.Write(data)
			return [sha256.Size]byte(h.Sum(nil))
		}
	}
	if c.Trusts == nil {
		c.Trusts = func(string, string) bool { return false }
	}
	if c.Admits == nil {
		c.Admits = func(Login) bool { return true }
	}
	return &Service{trusts: c.Trusts, admits: c.Admits, issuer: c.Issuer, store: c.Store, decider: c.Decider, life: c.Lifetimes, rooms: newRooms(c), now: c.Now, log: c.Logger, tag: c.Tag}, nil
}

// loginLives reports whether l counts at now.
func (s *Service) loginLives(l *Login, now time.Time) bool {
	return l.Alive(now, s.life.LoginIdle) && s.admits(*l)
}

// clock is now in whole milliseconds, UTC: what every store can keep.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// Refusal is a denial as an error. On the wire all refusals whose Decision.Refusal is RefusalPolicy must look the same
// (RFC 8693 §2.2.2): Error and Decision.Rules are for the log and the trail only.
type Refusal struct{ Decision policy.Decision }

// Error names the rules, for the log: it must not reach the wire.
func (r *Refusal) Error() string {
	return fmt.Sprintf("impersonation: refused: %v", r.Decision.Rules)
}

// deny is a refusal by a rule of this package rather than of the policy.
func deny(rule string) *Refusal { return &Refusal{policy.Decision{Rules: []string{rule}}} }

func denyAs(kind policy.Refusal, rule string) *Refusal {
	return &Refusal{policy.Decision{Rules: []string{rule}, Refusal: kind}}
}

// Alive reports whether the login counts at now: not ended, not past Expires, used within idle.
func (l *Login) Alive(now time.Time, idle time.Duration) bool {
	return l != nil && l.Ended.IsZero() && now.Before(l.Expires) && now.Before(l.LastUsed.Add(idle))
}

// party names a local user.
func (s *Service) party(userID string) oauth.Party {
	if userID == "" {
		return oauth.Party{}
	}
	return oauth.Party{Issuer: s.issuer, Subject: userID}
}

// withIssuer fills in what the store leaves out.
func (s *Service) withIssuer(p *policy.Person) *policy.Person {
	if p != nil {
		p.Issuer = s.issuer
	}
	return p
}

// nameMachine makes the actor of a client that acts for itself: it is no user, and is there for as long as it is registered.
func (s *Service) nameMachine(actor **policy.Person, c *policy.Client, sub string) {
	if c != nil && sub == oauth.ClientSubject(c.ID) {
		*actor = &policy.Person{Party: s.party(sub), Name: c.Name, Enabled: true}
	}
}

// people puts both persons' names where an erasure can reach them.
func people(e *audit.Entry, actor, subject *policy.Person) {
	if actor != nil {
		e.Actor = actor.Party
		e.SetPersonal("actor_name", actor.Name)
		e.SetPersonal("actor_email", actor.Email)
	}
	if subject != nil {
		e.Subject = subject.Party
		e.SetPersonal("subject_name", subject.Name)
		e.SetPersonal("subject_email", subject.Email)
	}
}

// label is how a log line names a person.
func label(p *policy.Person) string {
	switch {
	case p == nil:
		return "somebody"
	case p.Email != "":
		return p.Email
	}
	return p.Subject
}

func (s *Service) logStart(ctx context.Context, w StartWrite, actor, subject *policy.Person) {
	s.log.InfoContext(ctx, label(actor)+" impersonated "+label(subject), "actor", actor.Subject, "subject", subject.Subject,
		"session", w.Session.ID, "app", w.Session.Client, "mode", w.Session.Mode, "ticket_number", w.Session.TicketNumber, "request_id", w.RequestID,
		elsewhere(w.Session.TokenActor))
}

// elsewhere is the log's attribute of who somebody is in a token of another issuer, empty and so left out for nobody.
func elsewhere(p oauth.Party) slog.Attr {
	if p == (oauth.Party{}) {
		return slog.Attr{}
	}
	return slog.Group("token_actor", "iss", p.Issuer, "sub", p.Subject)
}
