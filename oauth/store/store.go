// Package store is the union of what the other packages need kept: [Store]. A backend implements it whole and proves it with
// package storetest; nothing in it is optional. The package knows no SQL and no backend, and page and server know only this one.
package store

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

// What a Store answers beside the errors of package impersonation. Test with errors.Is.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("store: not found")
	// ErrExists: the id, the e-mail address or the name is taken.
	ErrExists = errors.New("store: exists already")
	// ErrSpent is impersonation.ErrSpent: the one-time value was used before.
	ErrSpent = impersonation.ErrSpent
	// ErrCursor: the cursor in a query is none that a page gave.
	ErrCursor = errors.New("store: not a cursor")
	// ErrUnavailable: the store cannot be reached, is full, read only, or too busy. What a write would have done did
	// not happen, or its outcome is unknown; nothing is half done. Worth another try later.
	ErrUnavailable = errors.New("store: unavailable")
)

// Store keeps everything. All methods are safe for concurrent use, return promptly when ctx ends, take the caller's clock
// where they need one, and give times in UTC. Times are kept in whole milliseconds. An empty string and a missing value
// are the same. What rows are found by is bounded: ErrTooLong. A write is all or nothing, and what it answers nil for survives
// a crash of process and machine.
type Store interface {
	impersonation.Store
	directory.Directory // directory.ErrNotFound
	Users
	Clients
	Consents
	Logins
	Grants
	Pushed
	Keys
	Policies
	Notices
	Streams
	Asking
	Trail
	Provisioning

	// Ready reports nil if a write would work, and otherwise why not (ErrUnavailable). It also gives the store's own clock.
	Ready(ctx context.Context) (time.Time, error)
	// Close waits for writes under way, then closes. Later calls give ErrUnavailable.
	Close() error
}

// Users keeps local users. Every change bumps the authz_version of the user's organisation (of both, if it moves),
// and ends what w.Ends names in the same transaction.
type Users interface {
	// CreateUser adds a user. ErrExists if the id, the e-mail address, the UserName without case at the Source, or an identity is taken.
	CreateUser(ctx context.Context, w UserWrite) error
	// UpdateUser replaces all of a user but ID, Created, LastSignIn, SecondFactor and the credentials. ErrNotFound, ErrExists,
	// impersonation.ErrChanged if the user's Updated is no longer w.Was.
	UpdateUser(ctx context.Context, w UserWrite) error
	// DeleteUser removes w.User.ID, of which nothing else is read, with their credentials, groups and identities, revokes the consents in
	// which they are subject or actor, ends their logins whatever w.EndLogins says, and moves the Updated of each Group of which they were a
	// member. Entries and sessions stay. The ID is not free again; the address is. ErrNotFound, and impersonation.ErrChanged as UpdateUser.
	DeleteUser(ctx context.Context, w UserWrite) error
	// AmongUsers finds everybody who has any of k, each once, by ID, and which of k.IDs were those of deleted users.
	AmongUsers(ctx context.Context, k UserKeys) (found []directory.User, gone []string, err error)
	// PutUsers is many writes as one, all or nothing: one whose Was is zero as CreateUser, any other as UpdateUser. No user may be in
	// it twice. The authz_version of each organisation moves once. The errors are theirs, and do not say of whom.
	PutUsers(ctx context.Context, writes []UserWrite) error
	// Credentials gives what a sign-in checks. ErrNotFound.
	Credentials(ctx context.Context, userID string) (Credentials, error)
	// SetCredentials replaces them. ErrNotFound.
	SetCredentials(ctx context.Context, w CredentialsWrite) error
	// Organisations lists the organisations that users have, sorted, without "".
	Organisations(ctx context.Context) ([]string, error)
}

// Credentials is how a local user proves who they are.
type Credentials struct {
	// Password is an argon2id string in PHC form; "" allows no password.
	Password string
	// TOTP is the sealed secret of RFC 6238; nil if none is enrolled.
	TOTP []byte
}

// Hash names these very credentials, and changes when either does.
func (c Credentials) Hash() oauth.Hash {
	return oauth.Secret(strconv.Itoa(len(c.Password)) + ":" + c.Password + string(c.TOTP)).Hash()
}

// UserWrite changes a user.
type UserWrite struct {
	impersonation.Write
	User directory.User
	// Was is User.Updated as it was read, so that of two who change a user at once neither undoes what the other did. Zero
	// checks nothing; CreateUser does not look at it.
	Was time.Time
	// Ends names what ends with the change, each as if by End; their Write is not used but for RequestID and Now of this one.
	Ends []impersonation.EndWrite
	// EndLogins also ends the user's logins and grants, EndConsents revokes the consents in which they are subject or actor.
	EndLogins, EndConsents bool
}

// UserKeys are what users are found by. All three together may be 3,000: an answer is held as a whole.
type UserKeys struct {
	IDs        []string // byte by byte
	Emails     []string // without case
	Identities []oauth.Party
}

// CredentialsWrite changes credentials. Fields that are nil stay.
type CredentialsWrite struct {
	impersonation.Write
	UserID   string
	Password *string
	TOTP     *[]byte // pointing to nil removes it
	// FirstBy, if not "", is the Login.ID by which a person sets TOTP up themselves: it must not be ended, and there must be no
	// second factor yet. impersonation.ErrChanged otherwise, and nothing is written.
	FirstBy   string
	Ends      []impersonation.EndWrite
	EndLogins bool
}

// Clients keeps client registrations.
type Clients interface {
	// Client finds by id. ErrNotFound.
	Client(ctx context.Context, id string) (Client, error)
	// ListClients gives all, by id.
	ListClients(ctx context.Context) ([]Client, error)
	// CreateClient adds one. ErrExists, or a *NamingError.
	CreateClient(ctx context.Context, w ClientWrite) error
	// ChangeClient replaces the settings of one, and whether it may exchange. ErrNotFound, and impersonation.ErrChanged if its settings
	// are no longer w.Was, or a *NamingError. Every start that was decided before fails with ErrChanged.
	ChangeClient(ctx context.Context, w ClientChange) error
	// DeleteClient removes one with its grants and tickets, and ends its sessions. ErrNotFound. The id is not free again.
	DeleteClient(ctx context.Context, id string, end impersonation.EndWrite) error
}

// Client is a registration.
type Client struct {
	policy.Client
	Name         string // for people; at most 100 characters
	SecretHash   oauth.Hash
	RedirectURIs []string
	// Serves are the resources of which this client is the server: it may introspect their tokens.
	Serves   []string
	Settings Settings
	Created  time.Time
}

// ClientWrite adds a client.
type ClientWrite struct {
	impersonation.Write
	Client Client
}

// Consents keeps what people let others do in their name. Each change bumps the authz_version of the subject's organisation, so that
// a start under way reads again.
type Consents interface {
	// AddConsent writes one. ErrExists if the subject has one at the client that is neither revoked nor over at w.Now; ErrNotFound
	// if there is no such subject.
	AddConsent(ctx context.Context, w ConsentWrite) error
	// RevokeConsent revokes one and ends the sessions that stand on it, as End with ScopeConsent does. ErrNotFound if there is none,
	// or it was revoked before.
	RevokeConsent(ctx context.Context, id string, end impersonation.EndWrite) ([]impersonation.Ended, error)
	// LivingConsent is that of the subject at the client. ErrNotFound if there is none that counts at now.
	LivingConsent(ctx context.Context, subject, client string, now time.Time) (impersonation.Consent, error)
	// Consents lists them by ID.
	Consents(ctx context.Context, q ConsentQuery) ([]impersonation.Consent, error)
}

// ConsentWrite adds a consent.
type ConsentWrite struct {
	impersonation.Write
	Consent impersonation.Consent
}

// ConsentQuery selects consents. Zero fields select all.
type ConsentQuery struct {
	Live    bool // neither revoked nor over at Now
	Now     time.Time
	Subject string
	Actor   string
	Client  string
	After   string // the ID of the last one that was seen
	Limit   int    // zero: 50; at most 1000
}

// ClientChange changes a registration.
type ClientChange struct {
	// EndWrite is written with its entries. Its Scope and ID are the client's, whatever they say.
	impersonation.EndWrite
	// Client is the registration as it shall be. Of it Exchange, SecretHash and Settings are written, and ID finds it.
	Client Client
	// Was is Settings as they were read, so that of two who change a client at once neither undoes what the other did.
	Was Settings
	// Ends also ends the client's sessions, and takes its grants and tickets away. The client is told of the logins that it knew, as if
	// they had ended.
	Ends bool
}

// Logins keeps people's sign-ins at the issuer.
type Logins interface {
	// CreateLogin writes a login under the hash of its cookie, and the user's LastSignIn. impersonation.ErrChanged, and nothing
	// is written, if the user is not enabled, w.Proved is not what is kept now, or Login.Upstream said meanwhile that it is over.
	CreateLogin(ctx context.Context, w LoginWrite) error
	// LoginByCookie finds by the hash of the cookie, ended or not. ErrNotFound.
	LoginByCookie(ctx context.Context, cookie oauth.Hash) (impersonation.Login, error)
	// Login finds by ID. ErrNotFound.
	Login(ctx context.Context, id string) (impersonation.Login, error)
	// TouchLogin moves LastUsed forward.
	TouchLogin(ctx context.Context, id string, now time.Time) error
	// EndLogin ends a login, its grants, and the impersonations that stand on it, as End with ScopeLogin does. Already ended is no error.
	EndLogin(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error)

	// EndUpstream ends the logins that w names, each as EndLogin does and with the entry of UpstreamEntry, and keeps what was under way
	// from becoming one, see LoginWrite.Began. ErrSpent, and nothing is written, if w.Once was used before. Nothing to end is no error.
	EndUpstream(ctx context.Context, w UpstreamEnd) ([]impersonation.Ended, error)
	// LoginHint gives the LoginWrite.Hint of a login, ended or not; nil for none. ErrNotFound.
	LoginHint(ctx context.Context, id string) ([]byte, error)

	// Attempt reads the failures under key, a hash of what was typed as e-mail address, known or not.
	Attempt(ctx context.Context, key oauth.Hash, now time.Time) (Attempt, error)
	// Failed counts one more failure under key and answers the new state. Failures older than window do not count. When the count
	// reaches limit, Locked becomes now + lock and the count starts anew. Where it is locked already nothing is counted, and
	// Refused says so. Whoever checks a guess calls Failed first and Succeeded after, so that a burst cannot check more guesses
	// than limit. Rows of the past are swept.
	Failed(ctx context.Context, key oauth.Hash, now time.Time, window time.Duration, limit int, lock time.Duration) (Attempt, error)
	// Succeeded forgets the failures under key.
	Succeeded(ctx context.Context, key oauth.Hash) error

	// UseOnce writes down that (space, value) was used. ErrSpent if it was before. It may be forgotten after until.
	UseOnce(ctx context.Context, space, value string, now, until time.Time) error
	// SweepUsed forgets at most limit values whose until lies before before, and answers how many. They are apart from Sweep since each
	// request may leave one, and none says anything once its time is over.
	SweepUsed(ctx context.Context, before time.Time, limit int) (int, error)
}

// LoginWrite adds a login.
type LoginWrite struct {
	impersonation.Write
	Login  impersonation.Login
	Cookie oauth.Hash
	// Replaces is the ID of the login that the same browser had before, ended in the same write; "" if none.
	Replaces string
	// Proved is Credentials.Hash of what the user showed to know, so that a sign-in that began before a change of password or
	// second factor does not outlive it. Zero for a login that rests on neither.
	Proved oauth.Hash
	// Hint is the ID token of Login.Upstream, sealed, for its end_session_endpoint; nil for none.
	Hint []byte
	// Subject is the sub at Login.Upstream, and Began when they were sent there: an end of all that is theirs, said since then or up to 4 s
	// before, is one of this login too. An end of its session is that whenever it was said. Zero Began is Login.Created.
	Subject string
	Began   time.Time
}

// AttemptKey is the key of Logins.Attempt for a sign-in with email, as directory.NormalEmail gives it: what was typed, whether
// anybody has it or not, since a lock that only real accounts have would tell who exists.
func AttemptKey(email string) oauth.Hash { return oauth.Secret("sign-in:" + email).Hash() }

// Attempt is how often somebody failed to sign in.
type Attempt struct {
	Failures int
	Locked   time.Time // zero, or until when nobody may try
	Refused  bool      // of Failed: it was locked before, so this try does not count and must not be checked
}

// Grants keeps the code flow's state, one row a grant.
type Grants interface {
	CreateGrant(ctx context.Context, g Grant) error
	// GrantByCode finds by the code's hash, spent or not. ErrNotFound.
	GrantByCode(ctx context.Context, code oauth.Hash) (Grant, error)
	// CreateClientGrant writes the token that a client has of its own: a grant without user, login and code. impersonation.ErrChanged, and
	// nothing is written, if the client is gone or killed. A kill of the client revokes all of them.
	CreateClientGrant(ctx context.Context, g Grant) error
	// SpendCode marks a code as used. ErrSpent if it was, ErrNotFound.
	SpendCode(ctx context.Context, code oauth.Hash, now time.Time) error
	// SetToken records what the code of a grant gave. ErrNotFound if there is no such grant, its login has ended or its user is
	// not enabled. A revoked grant stays revoked, and so the token is inactive from the start: a code that came twice at the
	// same moment gives such a one.
	SetToken(ctx context.Context, grantID string, t Token) error
	// GrantByJTI finds by the access token. ErrNotFound. The grants that Stop writes are found too.
	GrantByJTI(ctx context.Context, jti string) (Grant, error)
	// GrantByRefresh finds by the refresh token's hash, spent or not. ErrNotFound.
	GrantByRefresh(ctx context.Context, refresh oauth.Hash) (Grant, error)
	// Refresh spends a refresh token, writes the grant that follows, and moves the LastUsed of its login forward: the one write, of
	// which among concurrent callers one succeeds. ErrSpent if the token was used before, impersonation.ErrChanged if it was revoked,
	// its login has ended or its user is not enabled, ErrNotFound.
	Refresh(ctx context.Context, w RefreshWrite) error
	// RevokeFamily is RevokeGrant for all grants of a family, also for one that a Refresh or a Stop is about to add, and reports
	// whether there was any to revoke. The family "" has no grants.
	RevokeFamily(ctx context.Context, family string, w impersonation.Write) (bool, error)
	// RevokeGrant is that of impersonation.Store. It takes the access token of this grant and the refresh token beside it, if that
	// was not used; other grants of its family stay.
	RevokeGrant(ctx context.Context, grantID string, w impersonation.Write) (bool, error)
	// Sweep deletes grants, tickets, return tokens, logins, and what an upstream said of them, that ended before before, at
	// most limit of each. It never deletes a session or an entry.
	Sweep(ctx context.Context, before time.Time, limit int) error
}

// Grant is one access token with what it came of: a code, a stop, a refresh token, or the client's own credentials.
type Grant struct {
	ID            string // "grt_" and 26 characters; fosite's request id
	Client        string
	User          string // user ID; "" for a token that is the client's own
	Login         string // Login.ID; "" like User
	RedirectURI   string
	Scope         []string // granted
	Audience      string
	Nonce         string
	CodeHash      oauth.Hash // zero for a grant that a stop gave
	CodeChallenge string     // S256
	AuthTime      time.Time
	ACR           string
	AMR           []string
	Created       time.Time
	CodeExpires   time.Time
	CodeUsed      time.Time // zero: not yet
	JTI           string    // of the access token, "" before
	Issued        time.Time
	Expires       time.Time // of the access token
	Revoked       time.Time // zero: not
	// Key is the thumbprint (RFC 7638) of the key that the code and the tokens are bound to (RFC 9449); "" for none.
	Key string

	// Family is the ID of the grant whose code all else came of: by refresh tokens, or as what a stop gave back. "" for a client's own.
	Family string
	// RefreshHash is that of the refresh token which was given with the access token; zero for none.
	RefreshHash oauth.Hash
	// RefreshExpires is the end of the login, at most: until then a refresh token is known by its reuse.
	RefreshExpires time.Time
	RefreshUsed    time.Time // zero: not yet
	// Subject is the sub of the tokens, where that is not User: how the client knows them. "" where it is.
	Subject string
}

// Name is the sub of the grant's tokens; "" of one that is a client's own.
func (g Grant) Name() string { return cmp.Or(g.Subject, g.User) }

// Policies keeps policy versions.
type Policies interface {
	// PutPolicy writes a document under its version if it is not the newest already, and then bumps every authz_version. It reports whether it wrote.
	PutPolicy(ctx context.Context, version string, document []byte, w impersonation.Write) (bool, error)
}

// Trail reads what happened. It never changes it.
type Trail interface {
	// Entries gives a page of entries, newest first, and the cursor of the next page, "" on the last. ErrCursor.
	Entries(ctx context.Context, q EntryQuery) (page []StoredEntry, next string, err error)
	// Entry finds by ID. ErrNotFound.
	Entry(ctx context.Context, id string) (StoredEntry, error)
	// Sessions gives a page of sessions, newest first, and the cursor of the next page. ErrCursor.
	Sessions(ctx context.Context, q SessionQuery) (page []impersonation.Session, next string, err error)
	// Session finds by ID, ended or not. ErrNotFound.
	Session(ctx context.Context, id string) (impersonation.Session, error)
	// Kills gives the kill switches that are on.
	Kills(ctx context.Context) ([]impersonation.Kill, error)
	// Outbox gives up to limit events after the given position, oldest first; position 0 is the beginning.
	Outbox(ctx context.Context, after int64, limit int) ([]StoredEvent, error)
}

// StoredEntry is an entry as written.
type StoredEntry struct {
	Seq       int64
	Canonical []byte // audit.Canonical; never changes
	Opening   []byte // audit.Opening; nil once erased
	Entry     audit.Entry
}

// StoredEvent is an event with its place in the outbox.
type StoredEvent struct {
	Position int64
	impersonation.Event
}

// EntryQuery selects entries. Zero fields select all.
type EntryQuery struct {
	Kind    audit.Kind
	Person  string // a subject or an actor, by user ID
	Own     string // what this user did, and all of the sessions in which they are the actor, by user ID
	Session string
	Client  string
	Since   time.Time
	Until   time.Time
	After   string
	Limit   int // zero: 50; at most 1000
}

// SessionQuery selects sessions. Zero fields select all.
type SessionQuery struct {
	Live    bool // not ended and not past Expires at Now
	Now     time.Time
	Actor   string
	Subject string
	Client  string
	After   string
	Limit   int // zero: 50; at most 1000
}
