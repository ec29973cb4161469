package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// Lifetimes of everything that the server makes, in one place so that tests can shorten them. A zero field takes its default.
type Lifetimes struct {
	AccessToken       time.Duration // of people's own tokens: 10 minutes
	Login             time.Duration // 8 hours
	LoginIdle         time.Duration // a login without use for 1 hour is over
	Code              time.Duration // an authorization code: 60 seconds
	PushedRequest     time.Duration // a pushed authorization request: 10 minutes, the sign-in included
	Ticket            time.Duration // 60 seconds
	ImpersonationIdle time.Duration // an impersonation without activity for 10 minutes is over
	ReturnExtra       time.Duration // a return token outlives its impersonation by 5 minutes
	DoubleClick       time.Duration // a return token that comes again within 60 seconds revokes nothing
	SecondFactor      time.Duration // between password and code: 5 minutes
	LockOut           time.Duration // after too many failures: 15 minutes
}

// DefaultLifetimes gives the lifetimes that a zero Lifetimes stands for.
func DefaultLifetimes() Lifetimes {
	return Lifetimes{
		AccessToken: 10 * time.Minute, Login: 8 * time.Hour, LoginIdle: time.Hour, Code: time.Minute, PushedRequest: 10 * time.Minute, Ticket: time.Minute,
		ImpersonationIdle: 10 * time.Minute, ReturnExtra: 5 * time.Minute, DoubleClick: time.Minute, SecondFactor: 5 * time.Minute, LockOut: 15 * time.Minute,
	}
}

// Config is what New needs.
type Config struct {
	// PublicURL is the issuer: absolute, https unless its host is a loopback one, without query, fragment or a trailing
	// slash. Links, cookies and tokens use it and never the Host header. Must be set.
	PublicURL string
	// Store keeps everything. Must be set; the server does not close it.
	Store store.Store
	// Registry is what is registered. It must be valid.
	Registry policy.Registry
	// RequireSecondFactor refuses an impersonation to an actor who signed in by password alone.
	RequireSecondFactor bool
	// MaxAuthAge refuses one to an actor who signed in longer ago; 0 to nobody. Must not be negative.
	MaxAuthAge time.Duration
	Lifetimes  Lifetimes
	Limits     Limits
	// SigningAlgorithm is that of the store's key which signs: ES256, EdDSA or RS256. Empty is ES256. Beside it the store has an RS256
	// key for ID tokens of clients that are registered for that. Where it changes, the server makes a key that signs ten minutes
	// later; until then the one of before does.
	SigningAlgorithm string
	// Keys are held by the program itself, as in a KMS or an HSM (tokens.FromSigner); every server of the issuer must have the same.
	// The first of each algorithm signs and the first of all signs access tokens; the others only verify. Bring one for RS256
	// too: OpenID Connect Discovery §3 demands it. With any, none of the store's signs, and those go on verifying.
	Keys []tokens.Key
	// Box seals signing keys, TOTP secrets and short-lived cookies. Must be set.
	Box *seal.Box
	// Passwords checks passwords. Nil makes one of the default size.
	Passwords *password.Pool
	// Upstreams are other providers through which people sign in too. Nil: none.
	Upstreams []Upstream
	// Local is whether people sign in by a password of ours. "" is LocalEnabled.
	Local Local
	// TrustedProxies may name the client's address in X-Forwarded-For. Nil trusts nobody.
	TrustedProxies []netip.Prefix
	// Backchannel are networks in which clients may have their back-channel logout URI, or that of their events, though they are not public (RFC 8725 §3.10).
	// This machine is one if PublicURL is on it.
	Backchannel []netip.Prefix
	// TrustedIssuers are the other issuers whose access tokens may say who acts, each once; nil trusts none. Now and Logger of each are
	// the server's.
	TrustedIssuers []TrustedIssuer
	// Logger defaults to slog.Default.
	Logger *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
	// SupportURL is the help link of the pages; "" for none.
	SupportURL string
}

func (c *Config) complete() error {
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("server: PublicURL %q must be an absolute http or https URL without query and fragment", c.PublicURL)
	case u.Path != "":
		return fmt.Errorf("server: PublicURL %q must have no path: the cookies' __Host- prefix allows none", c.PublicURL)
	case u.Scheme == "http" && !oauth.Loopback(u.Hostname()):
		return fmt.Errorf("server: PublicURL %q must be https: http is for loopback hosts only", c.PublicURL)
	case c.Store == nil:
		return errors.New("server: Store must be set")
	case c.Box == nil:
		return errors.New("server: Box must be set")
	}
	c.SigningAlgorithm = cmp.Or(c.SigningAlgorithm, tokens.ES256)
	if !slices.Contains(tokens.Algorithms(), c.SigningAlgorithm) {
		return fmt.Errorf("server: SigningAlgorithm must be one of %s", strings.Join(tokens.Algorithms(), ", "))
	}
	if c.Passwords == nil {
		c.Passwords = password.New(password.DefaultWorkers, password.DefaultQueue)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Local = cmp.Or(c.Local, LocalEnabled)
	if !slices.Contains([]Local{LocalEnabled, LocalBreakGlass, LocalDisabled}, c.Local) {
		return fmt.Errorf("server: Local %q must be enabled, break_glass or disabled", c.Local)
	}
	c.Lifetimes, c.Limits = c.Lifetimes.withDefaults(), c.Limits.withDefaults()
	return nil
}

// LongestToken is how long a token of ours lasts at most: a person's own, or an impersonation.
func (l Lifetimes) LongestToken() time.Duration {
	return max(l.withDefaults().AccessToken, policy.MaxDuration)
}

func (l Lifetimes) withDefaults() Lifetimes {
	d := DefaultLifetimes()
	for _, f := range []struct{ have, want *time.Duration }{
		{&l.AccessToken, &d.AccessToken}, {&l.Login, &d.Login}, {&l.LoginIdle, &d.LoginIdle}, {&l.Code, &d.Code}, {&l.PushedRequest, &d.PushedRequest}, {&l.Ticket, &d.Ticket},
		{&l.ImpersonationIdle, &d.ImpersonationIdle}, {&l.ReturnExtra, &d.ReturnExtra}, {&l.DoubleClick, &d.DoubleClick},
		{&l.SecondFactor, &d.SecondFactor}, {&l.LockOut, &d.LockOut},
	} {
		if *f.have == 0 {
			*f.have = *f.want
		}
	}
	return l
}
