// Package tokenexchange is OAuth 2.0 token exchange (RFC 8693) as a token endpoint handler for any ory/fosite provider.
// Start with [Factory], which goes into somebody's own compose.Compose, and [Exchange], which their storage value must
// implement: it says what tokens mean and does the one write; [WithKey] is for providers that take DPoP proofs. The package
// keeps the order of the steps, the syntax, the binding of every token to the client that asks and to the key that it proves,
// and the rule that a token with act is terminal. It never reaches a store, a page or our server, and it decides nothing about
// who may impersonate whom.
package tokenexchange

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
)

// What an Exchange answers. The handler maps each to its error of the wire; anything else is server_error without detail.
var (
	// ErrRefused is every reason why a token or the policy says no. All of them look alike (RFC 8693 §2.2.2): invalid_request.
	ErrRefused = errors.New("tokenexchange: refused")
	// ErrTarget: the resource cannot be had: invalid_target.
	ErrTarget = errors.New("tokenexchange: target refused")
	// ErrScope: no scope is left: invalid_scope.
	ErrScope = errors.New("tokenexchange: scope refused")
	// ErrClient: this client may not exchange: unauthorized_client.
	ErrClient = errors.New("tokenexchange: client refused")
	// ErrProof: a token is bound to a key, and no proof of one came with it: invalid_dpop_proof (RFC 9449 §5).
	ErrProof = errors.New("tokenexchange: proof of possession required")
	// ErrUnavailable: nobody knows; nothing was issued. 503 with Retry-After.
	ErrUnavailable = errors.New("tokenexchange: unavailable")
)

// StepUpError says that the actor signed in too long ago, or too weakly, and how they must: insufficient_user_authentication with
// max_age and acr_values beside it, as RFC 9470 §3 and the ID-JAG draft name them. An Exchange answers it only where it has not looked at
// the subject, or the answer would tell of whom it has (RFC 8693 §2.2.2). fosite's error has no room for members of its own:
// whoever writes the answer finds them by errors.As, and without them it is right too.
type StepUpError struct {
	MaxAge    time.Duration // 0: any
	ACRValues []string      // any one of these; nil: any
}

// Error names what is asked for.
func (e *StepUpError) Error() string { return "tokenexchange: the actor must sign in again" }

// Exchange is what the handler asks of the storage value that it was made with. It is safe for concurrent use.
type Exchange interface {
	// Resolve tells what a token is, for the client that presents it. It never consumes a one-time value, and a
	// fosite.Session in its answer is a fresh one each time: two tokens in one session would mix their claims. It answers
	// ErrRefused for a token that is not valid for t, and may leave the checks that need the store to Commit.
	Resolve(ctx context.Context, t oauth.TokenType, token string, c fosite.Client) (Input, error)
	// Principal is the party that c is where it acts for itself, as a may_act would name it (RFC 8693 §4.4); zero if it never does.
	Principal(c fosite.Client) oauth.Party
	// Commit decides and does the one write. It is called once, last, and when it answers nil the handler signs: so
	// whatever can refuse must refuse here or before.
	Commit(ctx context.Context, p Plan) (Result, error)
}

// ActorResolver is an Exchange to which who has a ticket may also show a token of another issuer. Where an Exchange is none, an actor token
// is one of the provider's own.
type ActorResolver interface {
	// ResolveActor is Resolve for an actor_token of oauth.TokenTypeJWT, which by RFC 8693 §3 may be anybody's; Input.Subject says of which
	// issuer it was. It comes beside a ticket alone, and is never asked of a subject_token.
	ResolveActor(ctx context.Context, token string, c fosite.Client) (Input, error)
}

// Input is a token that was presented.
type Input struct {
	Type oauth.TokenType
	// Token is the exact string, for one-time values that Commit looks up.
	Token oauth.Secret
	// Subject is whom it represents; zero for a one-time value that only Commit opens.
	Subject oauth.Party
	// Local is who that is to an Exchange that calls people otherwise than its tokens do. The handler does not look at it.
	Local string
	// Client is to whom it was issued, "" where Commit checks that. Login is its sid, ID its jti.
	Client, Login, ID string
	// Act is set if the token itself says that somebody acts. Such a token is never accepted.
	Act *oauth.Party
	// MayAct is who may become its actor (RFC 8693 §4.4); nil if it does not say. The handler holds the actor to it.
	MayAct   *MayAct
	Scope    []string
	Audience string
	Expires  time.Time
	// Key is the thumbprint of the key that the token is bound to, its cnf.jkt (RFC 9449 §6); "" for none. The handler holds both
	// tokens to Plan.Key.
	Key string
}

// MayAct names who may act for the subject of a token. Every member that is given must match; without Party it is nobody.
type MayAct struct {
	oauth.Party
	Client string // the client that may present the actor; "" for any
}

// Plan is an exchange that passed every check of the handler.
type Plan struct {
	Subject Input
	// Actor is nil for a return token. Where the client acts for itself and sent no actor_token, it has the client's Principal for
	// Subject, and neither Type nor ID.
	Actor  *Input
	Client fosite.Client
	// RequestedType is access_token or jwt; the answer repeats it as issued_token_type.
	RequestedType oauth.TokenType
	Resource      string   // "": the default
	Scope         []string // nil: all that can be had
	Form          url.Values
	// Key is the thumbprint that WithKey gave to the context: what is issued must be bound to it. "" for none.
	Key string
}

// Result is an exchange on record.
type Result struct {
	// Session goes into the requester before the access token strategy signs it; ID becomes its fosite request id, one of its
	// own for each exchange: tokens that share one are revoked together.
	Session   fosite.Session
	ID        string
	Scope     []string
	Audience  string // "" for none
	ExpiresIn time.Duration
	// Key is the thumbprint that the token is bound to, Plan.Key and no other, "" for none: it makes the token_type.
	Key string
	// Extra are further members of the answer (RFC 6749 §8.2).
	Extra map[string]any
}
