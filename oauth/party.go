package oauth

import "time"

// Party names a person or a machine: the pair (iss, sub) of OpenID Connect Core §2. Neither half means
// anything alone, so compare whole values; Party is comparable with ==.
type Party struct {
	// Issuer is the URL of who vouches for Subject, exactly as in an iss claim.
	Issuer string
	// Subject is the identifier at that issuer: at most 255 ASCII characters, case-sensitive.
	Subject string
}

// IsZero reports whether p names nobody.
func (p Party) IsZero() bool { return p == Party{} }

// ActorKind tells what sort of actor is typing. The zero value is not valid.
type ActorKind string

// The kinds of actor. Those that are no person act only with a grant of the subject.
const (
	ActorUser    ActorKind = "user"
	ActorService ActorKind = "service"
	ActorAIAgent ActorKind = "ai_agent"
)

// Machine reports whether k is a client that acts for itself rather than a person.
func (k ActorKind) Machine() bool { return k == ActorService || k == ActorAIAgent }

// ClientPrefix begins the sub of a client that has tokens of its own; no user's ID begins so.
const ClientPrefix = "client:"

// ClientSubject is the sub of the client with this id where it is a principal itself (RFC 9068 §2.2: by client_credentials).
func ClientSubject(id string) string { return ClientPrefix + id }

// Actor is the party behind an act claim (RFC 8693 §4.1).
type Actor struct {
	Party
	Kind ActorKind
	// Name and Email are for people to read: answers of userinfo and the token endpoint carry them, tokens never do.
	Name, Email string
	// Prior is the actor before this one, nil for a chain of one. Depth is 1 today: a non-nil Prior is refused.
	Prior *Actor
}

// Mode is how much an impersonation may do. The zero value is not valid.
type Mode string

const (
	// ModeRead is look only.
	ModeRead Mode = "read"
	// ModeWrite is full access, within policy and scope.
	ModeWrite Mode = "write"
)

// Valid reports whether m is one of the modes.
func (m Mode) Valid() bool { return m == ModeRead || m == ModeWrite }

// Includes reports whether a grant of m covers a request for other: write covers both, read only itself.
func (m Mode) Includes(other Mode) bool { return m == other || m == ModeWrite && other == ModeRead }

// Delegation is what one impersonation token says: Actor acts as Subject, at Client, within Scope, until Expires.
type Delegation struct {
	Subject Party
	Actor   Actor
	// Session is the sid claim: one stretch of impersonation.
	Session string
	// Audit is the txn claim (RFC 8417 §2.2): it joins a resource server's log with the audit entry of the start.
	Audit string
	// Client is the client_id of the relying app that holds the token.
	Client string
	Mode   Mode
	// Scope is what was granted, sorted, without duplicates. It contains ScopeImpersonationWrite only for ModeWrite.
	Scope []string
	// Audience is the one resource that the token is for (RFC 8707).
	Audience string
	// Expires is the token's exp, UTC, whole seconds. It never moves.
	Expires time.Time
}
