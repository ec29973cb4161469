package impersonation

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// What a Store answers. Callers test with errors.Is; anything else is a failure of the store.
var (
	// ErrNotFound: no such ticket, return token, session.
	ErrNotFound = errors.New("impersonation: not found")
	// ErrSpent: the one-time value was used before; nothing was written.
	ErrSpent = errors.New("impersonation: already used")
	// ErrChanged: a version or an epoch in the Guard is not what it was at the read; nothing was written. Read again.
	ErrChanged = errors.New("impersonation: changed since it was read")
)

// Store is the small store that this package needs. It hands out no transactions and takes no callbacks: each write is
// one value that carries its audit entries and events, and is all or nothing. Every method takes the caller's clock
// in its argument and never reads its own. Safe for concurrent use. When an error other than the three above comes
// back from a write, the outcome may be unknown; the RequestID in the write makes it possible to look it up again.
type Store interface {
	// LoadStart reads in one go all that the decision on a start needs, with the versions to guard the write. Persons,
	// ticket, login and client that do not exist are nil in Facts, not an error.
	LoadStart(ctx context.Context, k StartKey) (Facts, error)
	// LoadStop reads what a stop needs. ErrNotFound if there is no such return token.
	LoadStop(ctx context.Context, returnToken oauth.Hash) (StopFacts, error)
	// LoadSession reads a session with all that keeps it alive, for introspection. ErrNotFound.
	LoadSession(ctx context.Context, sid string) (Live, error)

	// IssueTicket writes a ticket. ErrChanged.
	IssueTicket(ctx context.Context, w TicketWrite) error
	// Start consumes the ticket and opens the session: the one write. ErrSpent, also for Session.Once, ErrChanged. It also ends the sessions
	// in w.Supersedes, and answers ErrChanged if, after that, another session of the same login and client is alive.
	// Replaying a write that was committed, with the same RequestID and Session.ID, answers nil: so an unknown commit is resolved.
	Start(ctx context.Context, w StartWrite) error
	// Stop consumes the return token, ends the session if it still is alive, and records the actor's next token. ErrSpent; and
	// ErrChanged if there is a next token though the one before was revoked meanwhile.
	Stop(ctx context.Context, w StopWrite) error
	// End ends every live session that w names and answers them, in the same transaction as the state that w sets.
	// For each it writes the entry of EndEntry and the event of EndEvent. Nothing to end is no error. A Kill of very many may set
	// the state and end the first of them, and the others after that: an error may then come when the kill is on already.
	End(ctx context.Context, w EndWrite) ([]Ended, error)
	// RevokeGrant makes the token of a grant inactive, with w's entries and events in the same transaction, and reports whether it
	// was not before: otherwise nothing is written.
	RevokeGrant(ctx context.Context, grantID string, w Write) (revoked bool, err error)
	// Lift takes back a kill. Not being killed is no error. The epoch keeps its count.
	Lift(ctx context.Context, w LiftWrite) error
	// Touch moves LastActive of a live session, and the last use of the actor's login, forward to now. No error if ended.
	Touch(ctx context.Context, sid string, now time.Time) error
	// Expired lists up to limit live sessions whose Expires is at or before now, or whose LastActive is at or before idle, or that have
	// Heard and it is at or before silent.
	Expired(ctx context.Context, now, idle, silent time.Time, limit int) ([]Session, error)
	// Record writes entries that stand for themselves, such as refusals.
	Record(ctx context.Context, entries ...audit.Entry) error
	// RecordOnce is Record for entries that may come again under the same ID: one whose ID is on record already is left as it
	// is, whatever else it says, and the others are written.
	RecordOnce(ctx context.Context, entries ...audit.Entry) error
}

// StartKey names what LoadStart looks up. Ticket, if not zero, finds the ticket and through it the subject, the actor, the
// login and the client; the other fields are used where it is zero. All persons are local users.
type StartKey struct {
	Ticket         oauth.Hash
	Client         string
	Actor, Subject string // user IDs
	Login          string // Login.ID
	ActorJTI       string // of the actor's access token, "" looks for none
	SubjectLogin   string // Login.ID of the subject's own token, "" where there is none
	SubjectJTI     string // of the subject's own token, "" looks for none
	Consent        bool   // whether to look for the subject's grant at the client
	Provisioned    bool   // whether to look who the actor is to their SCIM source
	Most           int    // how far Facts.Elsewhere is counted, 0 for not at all: a limit needs no more
	Now            time.Time
}

// Facts is what a decision on a start stands on.
type Facts struct {
	Ticket         *Ticket
	Client         *policy.Client
	Actor, Subject *policy.Person // their Issuer is left empty by the store
	Login          *Login
	// ActorToken tells that a grant which is not revoked has StartKey.ActorJTI. Never without Login, if StartKey names one.
	ActorToken bool
	// SubjectToken tells that a grant which is not revoked has StartKey.SubjectJTI, and that StartKey.SubjectLogin, if it names one, has
	// not ended.
	SubjectToken bool
	// Consent is the subject's grant at the client that is not revoked, if StartKey asks for it and there is one.
	Consent *Consent
	// Provisioned is who the actor is at the issuer of the SCIM source that keeps them, by its externalId, if StartKey asks for it: where
	// the source has an issuer, was not removed, and has a token that lives at StartKey.Now. Zero otherwise.
	Provisioned oauth.Party
	// Live are the IDs of the sessions of the same login and client that are not ended, the oldest first.
	Live []string
	// Elsewhere counts the living sessions of the actor, but for those in Live, up to StartKey.Most.
	Elsewhere int
	Kills     []Kill
	Guard     Guard
}

// Guard is what must still hold when the write commits. A store compares every member, in the writing transaction,
// with what it finds then; a missing row counts as 0.
type Guard struct {
	// Epochs by scope and id: instance (id ""), client, actor, subject, organisation (of both persons).
	Epochs []Epoch
	// Authz has the version of each person's organisation; any change of a user's role, group, membership, protection or state bumps it.
	Authz []Version
	// Login must not be ended; "" checks nothing.
	Login string
	// ActorJTI must be the token of a grant that is not revoked; "" checks nothing.
	ActorJTI string
	// SubjectLogin and SubjectJTI are held like Login and ActorJTI.
	SubjectLogin, SubjectJTI string
}

// Version is the authz_version of an organisation.
type Version struct {
	Organisation string
	N            int64
}

// EpochScope is how far a kill reaches.
type EpochScope string

// The scopes. Session, Login and Consent are for End only, they have no epoch.
const (
	ScopeInstance     EpochScope = "instance"
	ScopeClient       EpochScope = "client"
	ScopeActor        EpochScope = "actor"
	ScopeSubject      EpochScope = "subject"
	ScopeOrganisation EpochScope = "organisation"
	ScopeSession      EpochScope = "session"
	ScopeLogin        EpochScope = "login"
	ScopeConsent      EpochScope = "consent" // the sessions that stand on a grant of the subject
)

// Epoch counts the kills of one scope and id. N never goes down.
type Epoch struct {
	Scope  EpochScope
	ID     string
	N      int64
	Killed bool // not lifted yet
}

// Kill is a kill switch that is on.
type Kill struct {
	Scope  EpochScope `json:"scope"`
	ID     string     `json:"id"`
	Reason string     `json:"reason"`
	By     string     `json:"by"`
	At     time.Time  `json:"at"`
}

// Login is the actor's own sign-in at the issuer.
type Login struct {
	// ID is the sid claim of the tokens of this login: "lgn_" and 26 characters. The cookie's secret is not here.
	ID       string
	User     string // user ID
	AuthTime time.Time
	ACR      string
	AMR      []string
	Created  time.Time
	LastUsed time.Time
	Expires  time.Time
	Ended    time.Time // zero: alive
	// Upstream is the issuer by which they signed in, UpstreamSession its sid, "" if it gave none; both "" for credentials of ours.
	Upstream, UpstreamSession string
}

// Ticket is the one-time hand-over.
type Ticket struct {
	Hash           oauth.Hash
	Client         string
	RedirectURI    string
	Actor, Subject string // user IDs
	Login          string
	Mode           oauth.Mode
	Scope          []string // the ceiling
	Resource       string
	Duration       time.Duration
	Reason         string
	TicketNumber   string
	CodeChallenge  string // S256
	Created        time.Time
	Expires        time.Time
	Used           time.Time // zero: not yet
	Session        string    // the session that it opened
}

// Session is one stretch of impersonation.
type Session struct {
	ID             string // "imp_" and 26 characters: the sid claim
	Audit          string // the id of the entry of its start: the txn claim
	Client         string
	Actor, Subject string // user IDs
	Login          string
	Mode           oauth.Mode
	Scope          []string // as in the token
	Resource       string   // the audience
	Reason         string
	TicketNumber   string
	Via            policy.Via
	JTI            string // of the one access token
	Policy         string // the version that allowed it
	Started        time.Time
	Expires        time.Time
	LastActive     time.Time
	LoginExpires   time.Time
	Ended          time.Time // zero: alive
	EndReason      EndReason
	EndedBy        string // as EndWrite.EndedBy tells

	// Before is the actor's token at the start, which a stop gives back.
	Before ActorToken

	ActorKind oauth.ActorKind
	// Key is the thumbprint (RFC 7638) of the key that the token is bound to (RFC 9449 §6), "" for a bearer token.
	Key string
	// Consent is the id of the subject's own grant that the session stands on; "" if none.
	Consent string
	// Once names what can start only one session, ever, beside a ticket; "" for nothing.
	Once string
	// TokenSubject is the sub of the token, and TokenActor its act, where they are not the IDs of the two at our own issuer; zero
	// where they are. A client may know people by the names of another issuer, and an actor may come with a token of one.
	TokenSubject string
	TokenActor   oauth.Party
	// Heard is when the issuer of TokenActor last said that the actor's token is good; zero where it is not asked.
	Heard time.Time
}

// ActorToken is a token of an actor, as it was or as it shall be.
type ActorToken struct {
	JTI      string
	Grant    string // the id of its row; "" in Session.Before
	Scope    []string
	Audience string
	// Left is what it had left to live when the session started.
	Left    time.Duration
	Issued  time.Time
	Expires time.Time
}

// StopFacts is what a stop stands on.
type StopFacts struct {
	Session Session
	Login   *Login         // nil if gone
	Actor   *policy.Person // nil if gone, like Subject
	Subject *policy.Person
	Expires time.Time // of the return token
	Used    time.Time // zero: not yet
	Void    bool      // a kill or a revocation took it away
	// Revoked tells that the actor's token of before the start was revoked: there is nothing to give back.
	Revoked bool
	// Given is the id of the grant that the first use gave; "" if none.
	Given string
}

// Live is a session with all that keeps it alive.
type Live struct {
	Session        Session
	Client         *policy.Client
	Actor, Subject *policy.Person
	Login          *Login
	Consent        *Consent // that of Session.Consent, revoked or not
	Kills          []Kill   // those that concern it
}

// Event goes to the outbox. Kinds never change once written.
type Event struct {
	Kind    string    `json:"kind"` // "session.started", "session.ended", "kill.on", "kill.off"
	Session string    `json:"session,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Client  string    `json:"client,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Time    time.Time `json:"time"`
}

// Write is what every write carries.
type Write struct {
	Entries   []audit.Entry
	Events    []Event
	RequestID string
	Now       time.Time // UTC
}

// TicketWrite issues a ticket.
type TicketWrite struct {
	Write
	Ticket Ticket
	Guard  Guard
}

// StartWrite is the one write of a start.
type StartWrite struct {
	Write
	// Ticket to consume; zero for a start without one.
	Ticket     oauth.Hash
	Guard      Guard
	Session    Session
	Return     oauth.Hash // zero: no return token
	ReturnEnds time.Time
	// ForeignToken is the actor's token of another issuer, sealed, which is asked about for as long as the session lives, first at AskAt;
	// nil for none. The store forgets it in the write that ends the session.
	ForeignToken []byte
	AskAt        time.Time
	// MaxLive is how many other sessions of the actor, beside those in Supersedes, may be alive; 0 for any number. With more of
	// them the answer is ErrChanged.
	MaxLive int
	// Supersedes are live sessions of the same login and client, that this start ends, with EndSuperseded.
	Supersedes []string
}

// StopWrite is the one write of a stop.
type StopWrite struct {
	Write
	Return  oauth.Hash
	Session string
	// Next is the actor's next token, nil if there is none to give. Its Login, Client and Actor are those of the session.
	Next *ActorToken
}

// EndReason says why a session ended. The values never change once written.
type EndReason string

// The reasons.
const (
	EndStopped    EndReason = "stopped"    // by its actor
	EndRevoked    EndReason = "revoked"    // RFC 7009
	EndExpired    EndReason = "expired"    // its time was up
	EndIdle       EndReason = "idle"       // nothing happened for too long
	EndSuperseded EndReason = "superseded" // the actor started another one at the same client
	EndReuse      EndReason = "reuse"      // its ticket came a second time
	EndSignedOut  EndReason = "signed_out" // the actor's login ended
	EndOperator   EndReason = "operator"   // session end
	EndKilled     EndReason = "killed"     // the kill switch
	EndDisabled   EndReason = "disabled"   // one of the two users was disabled
	EndChanged    EndReason = "changed"    // roles or protection of one of the two changed
	EndPolicy     EndReason = "policy"     // the policy would no longer allow it
	EndClient     EndReason = "client"     // the client was removed
	EndIssuer     EndReason = "issuer"     // the issuer of the actor's token is trusted no more, or no longer says that the token is good
	EndConsent    EndReason = "consent"    // the subject's grant that it stood on is no more
)

// EndWrite ends sessions: all live ones of Scope and ID.
type EndWrite struct {
	Write
	Scope  EpochScope
	ID     string // "" with ScopeInstance
	Reason EndReason
	By     oauth.Party // zero: the clock
	Issuer string      // of our own users, for the entries
	Note   string      // why, in an operator's words
	// Kill also bumps the epoch and leaves it killed until lifted. Not with ScopeSession, ScopeLogin, ScopeConsent.
	Kill bool
	// KeepReturn leaves return tokens usable (expiry: the banner's way back still works). Otherwise they are void.
	KeepReturn bool
}

// EndedBy is who brings the end, as a session keeps it: a user ID, "cli" for the command line, "scim:" and the name of a source, or "" for
// the clock. No user's ID is like the others (directory.User.Validate).
func (w EndWrite) EndedBy() string {
	switch w.By.Issuer {
	case "", w.Issuer:
		return w.By.Subject
	case "cli":
		return "cli"
	}
	return w.By.Issuer + ":" + w.By.Subject
}

// Ended is a session that an End ended.
type Ended struct{ Session Session }

// LiftWrite takes back a kill.
type LiftWrite struct {
	Write
	Scope EpochScope
	ID    string
}

// EndEntry is the audit entry for one session that w ended; s is the session as it was before.
func EndEntry(w EndWrite, s Session) audit.Entry {
	e := audit.New(audit.KindEnd, w.Now)
	e.Actor, e.Subject = w.By, oauth.Party{Issuer: w.Issuer, Subject: s.Subject}
	e.Client, e.Session, e.Request, e.Policy = s.Client, s.ID, w.RequestID, s.Policy
	e.Set("reason", string(w.Reason))
	e.Set("impersonator", s.Actor)
	e.Set("scope", string(w.Scope))
	e.SetPersonal("note", w.Note)
	return e
}

// EndEvent is the outbox event for one session that w ended.
func EndEvent(w EndWrite, s Session) Event {
	return Event{Kind: "session.ended", Session: s.ID, Actor: s.Actor, Subject: s.Subject, Client: s.Client, Reason: string(w.Reason), Time: w.Now}
}
