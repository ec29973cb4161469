package plugin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ory/fosite"
	fositeoauth "github.com/ory/fosite/handler/oauth2"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/pace"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/internal/vouch"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// ErrNoLogin is what Config.Login answers where there is no such sign-in. Test with errors.Is.
var ErrNoLogin = errors.New("plugin: no such login")

// Store is what is kept on our side: tickets, sessions, return tokens, the kill switch and the trail. A store.Store is one. No user, client,
// login or token of the provider is ever in it.
type Store interface {
	impersonation.Store
	store.Policies
	store.Trail
	// Ready is that of store.Store: nil if a write would work.
	Ready(ctx context.Context) (time.Time, error)
	// Sweep is that of store.Grants: it deletes tickets and return tokens that are long over.
	Sweep(ctx context.Context, before time.Time, limit int) error
}

// Storage is the provider's own storage value, as it goes into compose.Compose. Of its clients' registrations the plugin reads the
// grant types, the redirect URIs, the scopes (compared exactly) and the audiences, which are the resources that a client may ask for, the first
// by default.
type Storage interface {
	fosite.Storage
	fositeoauth.TokenRevocationStorage
}

// Config is what New needs. The fields of the first group must be set. All functions are called concurrently, with the context of the request.
type Config struct {
	// Issuer is the provider's issuer URL: the iss of its users, and of both people in an act.
	Issuer string
	// Store keeps tickets, sessions and the trail. The caller opens and closes it.
	Store Store
	// Storage is the provider's own.
	Storage Storage
	// Directory finds the provider's users. ID is the sub of their tokens: at most 255 printable ASCII characters, none that begin with
	// oauth.ClientPrefix. It is asked again at each introspection of an impersonation, so that who was disabled is not acted for.
	Directory directory.Directory
	// Login finds a sign-in by its ID. ErrNoLogin. ID, User, AuthTime and Expires must be set, Ended once it is over; a zero LastUsed is now,
	// for a provider that itself ends what is idle.
	Login func(ctx context.Context, id string) (impersonation.Login, error)
	// LoginOf gives the ID of the sign-in that an access token came of, from the session behind it; "" if of none, as by client_credentials.
	LoginOf func(fosite.Session) string
	// Session makes a session of the provider's own type that says what t says. It keeps nothing. New tries it.
	Session func(ctx context.Context, t Token) (fosite.Session, error)
	// Rules decide who may impersonate whom.
	Rules *policy.Rules

	// ClientName is what to call a client on a page. Nil: its client_id.
	ClientName func(fosite.Client) string
	// RequestID is the number that a person can quote, as the provider's log has it. Nil makes one up for each.
	RequestID func(context.Context) string
	// Lifetimes of tickets and sessions. A zero field takes its default: a ticket 60 s, 10 min idle, a login 1 h idle, a return token 5 min longer
	// than its session, 60 s for a double click.
	Lifetimes impersonation.Lifetimes
	// Tag is that of impersonation.Config: set it where several processes serve one Store. It also gives the key under which the links to
	// the next page of a search are sealed.
	Tag func([]byte) [sha256.Size]byte
	// MaxSessions is how many sessions a person may have at once. 0 is impersonation.DefaultMaxSessions, negative is no limit.
	MaxSessions int
	// Logger gets what happens. Nil: slog.Default.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

const (
	// searchesPerMinute bounds how fast one actor can read the directory through the search box.
	searchesPerMinute = 30
	// actionsPerMinute bounds what script in one session's pages can make its app write into the trail.
	actionsPerMinute = 3000
)

// Plugin is impersonation inside a provider. Make it with New. Safe for concurrent use.
type Plugin struct {
	cfg      Config
	registry policy.Registry
	service  *impersonation.Service
	voucher  *vouch.Voucher
	cursors  *seal.Box
	searches *pace.Limits // by actor
	acts     *pace.Limits // by client and session
	log      *slog.Logger
}

// New checks c, tries c.Session, and puts the rules on record. An error names the field at fault.
func New(ctx context.Context, c Config) (*Plugin, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.complete()
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	p := &Plugin{
		cfg: c, registry: c.Rules.Registry(), voucher: vouch.New(c.Store.Ready), log: c.Logger,
		searches: pace.New(searchesPerMinute), acts: pace.New(actionsPerMinute),
	}
	var err error
	if p.cursors, err = seal.New(c.cursorKey()); err != nil {
		return nil, fmt.Errorf("plugin: making the key of the cursors: %w", err)
	}
	p.service, err = impersonation.New(impersonation.Config{
		Issuer: c.Issuer, Store: keeper{c.Store, p}, Decider: c.Rules, Lifetimes: c.Lifetimes, Now: c.Now, Logger: c.Logger,
		MaxSessions: c.MaxSessions, Tag: c.Tag,
	})
	if err != nil {
		return nil, err
	}
	if err := p.putPolicy(ctx); err != nil {
		return nil, fmt.Errorf("plugin: putting the policy on record: %w", err)
	}
	return p, nil
}

// cursorKey is of this process alone where there is no Tag.
func (c *Config) cursorKey() []byte {
	if c.Tag == nil {
		key := make([]byte, seal.KeySize)
		rand.Read(key) // never fails
		return key
	}
	key := c.Tag([]byte("understudy search cursor key"))
	return key[:]
}

func (c *Config) check() error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Issuer", c.Issuer != ""},
		{"Store", c.Store != nil},
		{"Storage", c.Storage != nil},
		{"Directory", c.Directory != nil},
		{"Login", c.Login != nil},
		{"LoginOf", c.LoginOf != nil},
		{"Session", c.Session != nil},
		{"Rules", c.Rules != nil},
	} {
		if !f.set {
			return fmt.Errorf("plugin: Config.%s must be set", f.name)
		}
	}
	return nil
}

func (c *Config) complete() {
	l := &c.Lifetimes
	l.Ticket = cmp.Or(l.Ticket, time.Minute)
	l.Idle = cmp.Or(l.Idle, 10*time.Minute)
	l.LoginIdle = cmp.Or(l.LoginIdle, time.Hour)
	l.ReturnExtra = cmp.Or(l.ReturnExtra, 5*time.Minute)
	l.DoubleClick = cmp.Or(l.DoubleClick, time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.RequestID == nil {
		c.RequestID = func(context.Context) string { return newRequestID() }
	}
	if c.ClientName == nil {
		c.ClientName = func(client fosite.Client) string { return client.GetID() }
	}
}
