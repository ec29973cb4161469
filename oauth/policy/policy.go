// Package policy decides who may impersonate whom. Start with [Decider] and [New], which gives the one that this
// project ships: the nevers that no configuration can lift, in front of rules by role ([Registry]). The package holds
// values and arithmetic only: it reads no store, no clock and no request, so that a rule can be tested in
// microseconds and a decision repeated later from what it was given.
package policy

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// Decider is the one decision function. Nothing mints an impersonation token, or a ticket for one, without asking it.
type Decider interface {
	// Decide answers whether r may happen and within which bounds. It never fails: an error inside is a denial.
	// It is safe for concurrent use and does not block longer than ctx.
	Decide(ctx context.Context, r Request) Decision
}

// Person is one of the two people of a request, whole: as the directory had them when the facts were read.
type Person struct {
	oauth.Party
	Name, Email  string
	Organisation string // "" for the operator's own staff
	Groups       []string
	Roles        []string // as assigned; Registry.RolesOf adds those that groups confer
	Attributes   map[string]string
	Enabled      bool
	Protected    bool // nobody may impersonate them
	SecondFactor bool // enrolled one
	// Identities are who they are at other issuers; no rule looks at them.
	Identities []oauth.Party
}

// Client is the relying app that asks.
type Client struct {
	ID        string
	Public    bool
	Exchange  bool     // may use the token-exchange grant
	Scopes    []string // registered for it
	Resources []string // what it may ask for; the first is the default
	UserID    bool     // may start by a bare user id
	// Service is what the client is where it has tokens of its own; "" where it has none.
	Service oauth.ActorKind
	// SubjectIssuer is another issuer by whose sub the client knows people; "" is their ID here. No rule looks at it.
	SubjectIssuer string
	// Name is for people; no rule looks at it.
	Name string
}

// Via is by which door a start comes.
type Via string

// The doors.
const (
	ViaPage   Via = "page"
	ViaUserID Via = "user_id" // a bare user id
	ViaToken  Via = "token"   // the subject's own token, with may_act
	ViaIssuer Via = "issuer"  // the page, and then a token of a trusted issuer in place of one of ours
)

// Consent is the subject's own permission: Actor may act for Subject at Client.
type Consent struct {
	ID             string
	Subject, Actor oauth.Party
	ActorKind      oauth.ActorKind
	Client         string
	Scopes         []string // the ceiling
	Mode           oauth.Mode
	Until          time.Time // never zero
}

// Approval is a second person's permission. Not used yet by the default Decider.
type Approval struct {
	ID string
	By oauth.Party
	At time.Time
}

// Request is the whole question.
type Request struct {
	Actor     Person
	ActorKind oauth.ActorKind
	Subject   Person
	Client    Client
	// Resource is the audience that the token would have; "" asks for the client's default.
	Resource string
	Mode     oauth.Mode
	// Scopes is what is asked for; nil asks for all that can be had.
	Scopes []string
	// Duration is how long; it must be positive.
	Duration time.Duration
	// Reason is what the actor typed; TicketNumber the help-desk case, "" if none.
	Reason, TicketNumber string
	// AuthTime is when the actor last signed in, ACR and AMR how (OpenID Connect Core §2, RFC 8176).
	AuthTime time.Time
	ACR      string
	AMR      []string
	Via      Via
	Now      time.Time
	// Preview asks whether it could be allowed, before the reason and the ticket number are typed. A page sets it to
	// show or leave out a user; the mint never does.
	Preview bool

	Consent  *Consent
	Approval *Approval
}

// Need is what would have to come first for a denial to become a permission.
type Need string

// The needs.
const (
	NeedStepUp       Need = "step_up"       // sign in again, with a second factor
	NeedApproval     Need = "approval"      // a second person
	NeedConsent      Need = "consent"       // the subject
	NeedTicketNumber Need = "ticket_number" // a help-desk case
	NeedNotice       Need = "notice"        // the subject must be told
)

// Decision is the answer. The zero value is a denial.
type Decision struct {
	Allow bool
	// Mode is what may be had: the mode asked for, never more.
	Mode oauth.Mode
	// Scopes is what the token would carry, sorted; ScopeImpersonationWrite is not among them (the mint adds it).
	Scopes []string
	// Resource is the one audience.
	Resource string
	// MaxDuration bounds the session; ValidUntil, if not zero, is a moment that it may not outlast.
	MaxDuration time.Duration
	ValidUntil  time.Time
	// Need is what a denial lacks; nil where nothing would help.
	Need []Need
	// Version names the rules that decided: Registry.Version, "" before any.
	Version string
	// Rules are the ids of the rules that decided, such as "never.self"; they go to the audit trail and the log, never to the wire.
	Rules []string
	// Advice is a sentence for the actor's eyes, fit for a page. It tells nothing of the subject that the actor may not see.
	Advice string
	// Refusal is how the wire must name a denial. The zero value is RefusalPolicy.
	Refusal Refusal
	// MaxAuthAge and SecondFactor say, with RefusalStepUp, how the actor must have signed in: how long ago at most, 0 for any time,
	// and whether by two factors.
	MaxAuthAge   time.Duration
	SecondFactor bool
}

// Refusal sorts denials by the error that RFC 8693 wants for them.
type Refusal int

const (
	// RefusalPolicy is any reason that must not be told apart from a bad token: invalid_request.
	RefusalPolicy Refusal = iota
	// RefusalTarget is a resource that cannot be had: invalid_target (RFC 8693 §2.2.2).
	RefusalTarget
	// RefusalScope is a scope beyond every ceiling, or none left: invalid_scope (RFC 6749 §5.2). By a user id only where it tells nothing of
	// the subject.
	RefusalScope
	// RefusalClient is a client that may not impersonate: unauthorized_client (RFC 6749 §5.2).
	RefusalClient
	// RefusalStepUp is an actor who signed in too long ago, or too weakly: insufficient_user_authentication (RFC 9470 §3). It tells of
	// the actor alone, so a Decider gives it before it looks at the subject, or never.
	RefusalStepUp
)
