// Package server is our own OAuth 2.0 and OpenID Connect server: the place where our fosite is wired. Start with [New],
// serve [Server.Handler] to the world and [Server.Private] to the machine's own watchers, and keep [Server.Run] going. In
// front of fosite stands a strict reader of requests (package form), behind it one writer of errors; fosite itself parses
// authorization requests, redeems codes with PKCE and dispatches the token endpoint. The package makes no decision about
// who may impersonate whom (package policy does, asked by package impersonation), and never names a store's backend.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ory/fosite"
	"golang.org/x/time/rate"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/internal/vouch"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/scim"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// Server answers the routes of the wire. Make it with New; it is safe for concurrent use.
type Server struct {
	issuer     string
	store      store.Store
	registry   policy.Registry
	life       Lifetimes
	box        *seal.Box
	passwords  *password.Pool
	log        *slog.Logger
	now        func() time.Time
	proxies    proxies
	rules      *policy.Rules
	gates      []*gate
	byPassword Local
	trusted    trusted

	algorithm  string       // of all but the ID tokens of clients that want another
	ownKeys    []tokens.Key // that sign in place of the store's
	ring       keyring
	service    *impersonation.Service
	provider   *fosite.Fosite
	pages      *page.Pages
	provision  *scim.Handler
	strangers  *rate.Limiter // log lines about requests without client authentication
	searches   *limits
	acts       *limits // actions, by client and session
	requests   *limits // what clients make
	starts     starts
	guesses    guesses
	pushes     *limits // pushed requests of public clients, by client and network
	crossings  *limits // who comes back from an upstream, by network
	vouching   *vouch.Voucher
	teller     *teller
	outbox     *outbox
	pusher     *pusher
	sets       sets
	polls      *limits        // what clients poll
	snapshots  *limits        // what is asked for of all that ended, by stream
	setTrouble rate.Sometimes // log lines about SETs that receivers do not take
	askers     []*asker
	handler    http.Handler
	private    http.Handler
}

// New makes a server: it puts the registry on record, makes the first signing keys where there are none, and opens the keys.
func New(ctx context.Context, c Config) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	rules, err := policy.New(c.Registry, policy.Options{RequireSecondFactor: c.RequireSecondFactor, MaxAuthAge: c.MaxAuthAge})
	if err != nil {
		return nil, err
	}
	s := &Server{
		issuer: c.PublicURL, store: c.Store, vouching: vouch.New(c.Store.Ready), registry: c.Registry, life: c.Lifetimes, box: c.Box, passwords: c.Passwords, log: c.Logger,
		now: c.Now, byPassword: c.Local, proxies: c.TrustedProxies, rules: rules, algorithm: c.SigningAlgorithm, ownKeys: c.Keys,
		strangers: rate.NewLimiter(1, 10), // one line a second tells as much as a thousand
		searches:  newLimits(c.Limits.ActorSearches),
		acts:      newLimits(actionsPerMinute),
		requests:  newLimits(c.Limits.ClientRequests),
		starts:    newStarts(c.Limits.ActorStarts),
		guesses:   newGuesses(c.Limits.ClientFailures),
		pushes:    newLimits(pushesPerMinute),
		crossings: newLimits(crossingsPerMinute),
		polls:     newLimits(pollsPerMinute), snapshots: newLimits(snapshotsPerMinute), setTrouble: rate.Sometimes{Interval: 10 * time.Second},
	}
	if s.trusted, err = newTrusted(c); err != nil {
		return nil, err
	}
	if err := s.openGates(c); err != nil {
		return nil, err
	}
	s.service, err = impersonation.New(impersonation.Config{
		Issuer: s.issuer, Store: s.store, Decider: rules, Now: s.now, Logger: s.log, Tag: s.box.Tag, Trusts: s.trusted.counts, Admits: s.admits,
		MaxSessions: c.Limits.ActorSessions, MaxServiceSessions: c.Limits.ServiceSessions,
		Lifetimes: impersonation.Lifetimes{
			Ticket: s.life.Ticket, Idle: s.life.ImpersonationIdle, LoginIdle: s.life.LoginIdle,
			ReturnExtra: s.life.ReturnExtra, DoubleClick: s.life.DoubleClick,
		},
	})
	if err != nil {
		return nil, err
	}
	if err := s.putPolicy(ctx); err != nil {
		return nil, fmt.Errorf("putting the policy on record: %w", err)
	}
	if err := s.holdFirstKeys(ctx); err != nil {
		return nil, fmt.Errorf("opening signing keys: %w", err)
	}
	s.provider = newProvider(s)
	if s.pages, err = page.New(s.pageConfig(rules, c.SupportURL)); err != nil {
		return nil, err
	}
	if s.provision, err = s.newProvisioning(); err != nil {
		return nil, err
	}
	s.teller, s.askers, s.outbox = newTeller(s, c.Backchannel), newAskers(s), newOutbox(s)
	s.pusher = newPusher(s, s.teller.http)
	s.handler, s.private = s.routes(), s.privateRoutes()
	return s, nil
}

// Handler serves the public routes.
func (s *Server) Handler() http.Handler { return s.handler }

// Private serves /healthz and /readyz, for a listener that strangers cannot reach.
func (s *Server) Private() http.Handler { return s.private }

// routes is every public route, in one place.
func (s *Server) routes() http.Handler {
	// forms are the routes that a browser's cookie authenticates: a POST there must come from our own pages.
	forms := http.NewCrossOriginProtection()
	forms.SetDenyHandler(http.HandlerFunc(s.crossOrigin))
	form := func(h http.HandlerFunc) http.Handler { return forms.Handler(h) }

	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.serveMetadata)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.serveMetadata)
	mux.HandleFunc("GET /oauth2/jwks", s.serveJWKS)
	mux.HandleFunc("/oauth2/auth", s.authorize)
	mux.HandleFunc("/oauth2/par", s.givingNonce(s.push))
	mux.HandleFunc("/oauth2/token", s.givingNonce(s.token))
	mux.HandleFunc("/oauth2/introspect", s.introspect)
	mux.HandleFunc("/oauth2/revoke", s.revoke)
	mux.HandleFunc("GET /oauth2/logout", s.endSession)
	mux.HandleFunc("POST /oauth2/logout", s.endSessionForm)
	mux.HandleFunc("/userinfo", s.givingNonce(s.userinfo))
	mux.HandleFunc("/impersonation/actions", s.actions)
	mux.HandleFunc("GET /.well-known/ssf-configuration", s.ssfMetadata)
	mux.HandleFunc("/ssf/streams", s.ofReceiver(s.streams()))
	mux.HandleFunc("/ssf/status", s.ofReceiver(s.streamStatus()))
	mux.HandleFunc("/ssf/subjects/add", s.ofReceiver(map[string]streamHandler{http.MethodPost: s.addSubject}))
	mux.HandleFunc("/ssf/subjects/remove", s.ofReceiver(map[string]streamHandler{http.MethodPost: s.removeSubject}))
	mux.HandleFunc("/ssf/verify", s.ofReceiver(map[string]streamHandler{http.MethodPost: s.verifyStream}))
	mux.HandleFunc("/ssf/poll/{stream}", s.ofReceiver(map[string]streamHandler{http.MethodPost: s.poll}))
	mux.Handle(scim.Path, s.provision)
	mux.Handle("/impersonate", forms.Handler(s.pages.Impersonate()))
	mux.Handle("/audit", s.pages.Audit())
	mux.HandleFunc("GET /sign-in", s.showSignIn)
	mux.Handle("POST /sign-in", form(s.signIn))
	mux.HandleFunc("GET /sign-in/code", s.showCode)
	mux.Handle("POST /sign-in/code", form(s.signInCode))
	mux.Handle("POST /sign-in/upstream/{name}", form(s.toUpstream))
	mux.HandleFunc("GET /sign-in/upstream/{name}", s.backFromUpstream)
	mux.HandleFunc("GET /sign-in/callback/{name}", s.fromUpstream)
	mux.HandleFunc("POST /sign-in/backchannel/{name}", s.upstreamLogout)
	mux.HandleFunc("GET /sign-in/signed-out", s.leftUpstream)
	mux.HandleFunc("GET /sign-in/second-factor", s.showEnrol)
	mux.Handle("POST /sign-in/second-factor", form(s.enrol))
	mux.HandleFunc("GET /sign-in/acting", s.showActing)
	mux.Handle("POST /sign-in/acting", form(s.stopActing))
	mux.HandleFunc("GET /sign-out", s.showSignOut)
	mux.Handle("POST /sign-out", form(s.signOut))
	mux.Handle("GET /static/", s.pages.Static())
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("/", s.notFound)
	return s.pipeline(mux)
}

// Run looks for new signing keys and revoked ones, ends sessions whose time is up, tells clients what is over, wakes the receivers who wait, asks other issuers whether the
// tokens of living sessions are still good, writes the folded refusals
// and deletes what is long over, until ctx ends; then it writes the last folded refusals. It returns nil when ctx ended.
func (s *Server) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { s.teller.run(ctx) })
	beside.Go(func() { s.outbox.run(ctx) })
	beside.Go(func() { s.pusher.run(ctx) })
	beside.Go(func() { s.outbox.recheck(ctx) })
	for _, a := range s.askers {
		beside.Go(func() { a.run(ctx) })
	}
	defer beside.Wait()
	second, minute := time.NewTicker(time.Second), time.NewTicker(time.Minute)
	defer second.Stop()
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			s.service.Flush(last, true)
			return nil
		case <-second.C:
			s.lookForKeys()
			s.service.Flush(ctx, false)
			if _, err := s.service.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "sweeping sessions failed", "error", err)
			}
		case <-minute.C:
			// A day of grace, so that a token that comes too late is still known to have been used.
			if err := s.store.Sweep(ctx, s.clock().Add(-24*time.Hour), 10_000); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "sweeping the store failed", "error", err)
			}
			if err := s.store.SweepPushedRequests(ctx, s.clock(), 10_000); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "sweeping pushed requests failed", "error", err)
			}
			if err := s.sweepUsed(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "sweeping used values failed", "error", err)
			}
			if err := s.sweepOutbox(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "sweeping the outbox failed", "error", err)
			}
		}
	}
}

// sweepUsed forgets all that was used once and is too old to be used again, by whichever replica's clock. A batch is small enough to
// hold up no other write.
func (s *Server) sweepUsed(ctx context.Context) error {
	const batch = 1000
	for {
		n, err := s.store.SweepUsed(ctx, s.clock().Add(-time.Minute), batch)
		if err != nil || n < batch {
			return err
		}
	}
}

// clock is now in whole milliseconds, UTC.
func (s *Server) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

func (s *Server) putPolicy(ctx context.Context) error {
	now := s.clock()
	e := audit.New(audit.KindPolicy, now)
	e.Actor.Issuer, e.Actor.Subject, e.Policy = "cli", "serve", s.rules.Version()
	wrote, err := s.store.PutPolicy(ctx, s.rules.Version(), s.rules.Document(), impersonation.Write{Entries: []audit.Entry{e}, Now: now})
	if err != nil || !wrote {
		return err
	}
	s.logPolicy(ctx)
	return nil
}

// logPolicy says what this server has put on record. Servers that differ each take their turn as they start: where the change was
// not meant, this line is the only one that tells, so the old version is in it and it is a warning.
func (s *Server) logPolicy(ctx context.Context) {
	page, _, err := s.store.Entries(ctx, store.EntryQuery{Kind: audit.KindPolicy, Limit: 2})
	switch {
	case err != nil:
		s.log.WarnContext(ctx, "the policy is on record, and what it was before cannot be read", "version", s.rules.Version(), "error", err)
	case len(page) < 2:
		s.log.InfoContext(ctx, "the policy is on record", "version", s.rules.Version())
	default:
		s.log.WarnContext(ctx, "the policy changed: every server must have the same", "was", page[1].Entry.Policy, "version", s.rules.Version())
	}
}
