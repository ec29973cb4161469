package rp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// BearerConfig is what NewBearer needs. Issuer, Audience, ClientID and ClientSecret must be set, the rest may be zero. The functions are
// called concurrently.
type BearerConfig struct {
	// Issuer is the public URL of understudy, byte by byte as in its iss.
	Issuer string
	// Audience is what the aud of a token must be, byte by byte: the API's resource at the issuer (RFC 8707).
	Audience string
	// ClientID and ClientSecret are the API's own registration, a confidential client that serves Audience (understudy client add --serves):
	// it asks whether sessions go on, and puts on record what is done in them.
	ClientID     string
	ClientSecret oauth.Secret

	// URL is where the API's clients call it, such as https://api.example or https://example/api: without query, and what a proxy in front takes
	// off the path belongs to it. It is what a DPoP proof must be for (RFC 9449 §4.3), never the Host header. "" takes no token that is bound to a key.
	URL string
	// DPoPNonce asks for a nonce of ours in each proof (RFC 9449 §9), so that none can be made in stock.
	DPoPNonce bool
	// Once tells whether nobody has asked for key before. It may forget key after until, some 70 seconds later at most. APIs of several processes share it, so
	// that a proof is good for one of them alone. Nil: the memory of this process, with room for 2,900 proofs a second.
	Once func(ctx context.Context, key string, until time.Time) (first bool, err error)

	// Liveness tells whether a session goes on. Nil: introspection (RFC 7662), believed for 5 seconds.
	Liveness Liveness
	// Recorder puts actions on record. Nil: the issuer's own trail, which takes them of each session whose token is for a resource that the client serves. Of a client
	// that also starts impersonations it takes those of its own sessions alone: with others' tokens each request is then refused (503), so give an API a client of its own.
	Recorder Recorder
	// Spool and SpoolBytes are those of Config: where what only looked waits to be put on record. The first request of each session is on record before it runs, whatever it
	// is: so nothing is served that would not be taken.
	Spool      string
	SpoolBytes int64

	// Client sends requests to the issuer. Nil: one with a time limit of 5 seconds. Redirects are never followed.
	Client *http.Client
	// Logger gets one line at a refusal under impersonation, and what the issuer does not answer. Nil: slog.Default.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Bearer is what an API (a resource server) puts in front of its handlers, or of its calls: it takes the access tokens that understudy gives for
// Audience, ordinary ones and those of an impersonation (RFC 6750, RFC 9068, RFC 9449). Make it with NewBearer; it is safe for concurrent
// use once Allow and Block were called.
//
// An ordinary token counts until it expires. One of an impersonation counts for as long as its session goes on, which is asked each time before
// something that could change anything.
type Bearer struct {
	cfg    BearerConfig
	issuer *issuer
	keys   *keys
	proofs *proofs // nil: takes no bound tokens
	live   Liveness
	record *journal
	guard  guard
	log    *slog.Logger
	now    func() time.Time
}

// NewBearer checks c and returns a Bearer. ctx is for as long as it serves. NewBearer does not talk to the issuer, so an API starts also
// while that is away; requests are then answered 503 until its keys were read.
func NewBearer(ctx context.Context, c BearerConfig) (*Bearer, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	b := &Bearer{cfg: c, log: c.Logger, now: func() time.Time { return c.Now().UTC() }, live: c.Liveness}
	b.issuer = &issuer{url: c.Issuer, id: c.ClientID, secret: c.ClientSecret, client: c.Client}
	b.keys = &keys{issuer: b.issuer, life: ctx, now: b.now, log: b.log}
	if b.live == nil {
		b.live = &introspected{issuer: b.issuer, now: b.now}
	}
	to := c.Recorder
	if to == nil {
		to = b.issuer
	}
	if c.URL != "" {
		var err error
		if b.proofs, err = newProofs(&b.cfg, b.now); err != nil {
			return nil, err
		}
	}
	var err error
	if b.record, err = newJournal(Config{Issuer: c.Issuer, ClientID: c.ClientID, Spool: c.Spool, SpoolBytes: c.SpoolBytes, Logger: c.Logger}, to, b.forget, b.now); err != nil {
		return nil, fmt.Errorf("rp: BearerConfig.Spool: %w", err)
	}
	b.record.wary = true // the issuer tells an API of sessions also where it would take no record of them: those that another app started, if the API is one too
	go b.record.run(ctx)
	return b, nil
}

// Flush is App.Flush for an API.
func (b *Bearer) Flush(ctx context.Context) error { return b.record.flush(ctx) }

// forget takes back what was believed of a session that is over.
func (b *Bearer) forget(sid string) {
	if l, ok := b.live.(*introspected); ok {
		l.forget(sid)
	}
}

// complete checks c and fills in defaults.
func (c *BearerConfig) complete() error {
	for name, value := range map[string]string{"Issuer": c.Issuer, "Audience": c.Audience, "ClientID": c.ClientID, "ClientSecret": string(c.ClientSecret)} {
		if value == "" {
			return fmt.Errorf("rp: BearerConfig.%s must be set", name)
		}
	}
	if err := checkOrigin("BearerConfig.Issuer", c.Issuer, false); err != nil {
		return err
	}
	if strings.ContainsFunc(c.Audience, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return errors.New("rp: BearerConfig.Audience must be a URI (RFC 8707 §2)")
	}
	if err := c.checkURL(); err != nil {
		return err
	}
	if err := checkSpool("BearerConfig", &c.SpoolBytes); err != nil {
		return err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Client = withoutRedirects(c.Client)
	return nil
}

func (c *BearerConfig) checkURL() error {
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "" && (c.DPoPNonce || c.Once != nil):
		return errors.New("rp: BearerConfig.DPoPNonce and Once mean nothing without URL")
	case c.URL == "":
		return nil
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(c.URL, "?#") || strings.HasSuffix(u.Path, "/"):
		return fmt.Errorf("rp: BearerConfig.URL %q must be https://host or https://host/path, without a slash at its end", c.URL)
	case u.Scheme == "http" && !oauth.Loopback(u.Hostname()):
		return fmt.Errorf("rp: BearerConfig.URL %q must be https: http is for loopback hosts only", c.URL)
	}
	return nil
}

// Allow is App.Allow for an API: requests that match patterns pass while somebody only looks, although their method is one that changes things.
// Call it before Handler and Authenticate.
func (b *Bearer) Allow(patterns ...string) { register(&b.guard.allowed, patterns) }

// Block is App.Block for an API: requests that match patterns are refused while anybody is impersonated. Wrap handlers in Forbid first.
func (b *Bearer) Block(patterns ...string) { b.guard.block(patterns) }

// Handler serves from next what comes with a token that counts, and answers all else itself: 401 without one or with one that does not
// count, 403 for what may not be done in somebody else's name, 400 for a request that carries tokens in several places, and 503 while nobody knows. In
// next, Subject and Actor tell who the request is for and who is really typing, and AccessFromContext what else the token says. Answers to
// CORS preflights, which carry no token, belong in front. Within an impersonation, of App.Handler or of another Bearer, an ordinary token is
// answered 403: it would hide who is really typing.
//
// Every answer of next varies by Authorization, and one under impersonation is kept by nobody, whatever next says. A connection that it takes over ends
// with the token, and with the session.
func (b *Bearer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proofs := r.Header["Dpop"]
		if len(proofs) > 0 && b.proofs != nil && b.cfg.DPoPNonce { // who goes on never sees its nonce run out (RFC 9449 §8.2)
			w.Header().Set("DPoP-Nonce", b.proofs.nonce(0))
		}
		c, refusal := b.admit(r.Context(), r, r.Header["Authorization"], proofs)
		if refusal != nil {
			b.answer(w, refusal)
			return
		}
		varyBy(w.Header(), byAuthorization) // caches keep what says public, with a token too (RFC 9111 §3.5), and so does the browser of who acts
		in := &recorded{w: w, c: c}
		if c.session != nil {
			unkept(w.Header()) // also for who answers in our place after a panic
			unambiguous(r.Header)
			defer c.none(c, b.record, c.session)
		}
		next.ServeHTTP(in, r.WithContext(c))
		in.finish()
	})
}

// Authenticate is Handler for what is no HTTP request in Go's sense, such as a call by gRPC. authorization and dpop are the values of these fields, "" for
// none. method and target are what was called: "POST" and "/pkg.Service/Call" at gRPC. target is the path below BearerConfig.URL, escaped, without query.
// The guard judges by both, and both go on record. What is no GET, HEAD or OPTIONS counts as what could change something.
//
// The context is ctx for Subject, Actor, Impersonating, AccessFromContext and Bound. The error is a *BearerError.
func (b *Bearer) Authenticate(ctx context.Context, authorization, dpop, method, target string) (context.Context, error) {
	u, err := url.Parse(target)
	if err != nil || method == "" || u.Path == "" || u.Path[0] != '/' || u.Host != "" {
		return nil, errNoCall
	}
	r := &http.Request{Method: method, URL: u, Header: http.Header{}}
	c, refusal := b.admit(ctx, r, given(authorization), given(dpop))
	if refusal != nil {
		return nil, refusal
	}
	if c.session != nil && !c.only(c, b.record, c.session) {
		return nil, errUnavailable
	}
	return c, nil
}

func given(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// call is one request with a token that counts. It is the context of what the request leads to.
type call struct {
	context.Context
	bearer *Bearer
	*access
	scheme string // that the token came with
	*entry        // as it is recorded; nil without an impersonation
}

// Value gives itself to this package.
func (c *call) Value(key any) any {
	if key == (ctxKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// admit is every check, the cheap ones first, and that of the issuer last. Of a stranger's body nothing is read.
func (b *Bearer) admit(ctx context.Context, r *http.Request, authorization, proofs []string) (*call, *BearerError) {
	if r.URL.Opaque != "" { // the guard and the trail know paths alone, and a proxy would send this on as it is
		return nil, errTarget
	}
	scheme, token, refusal := presented(authorization)
	if refusal != nil {
		return nil, refusal
	}
	says, refusal := b.read(ctx, token)
	if refusal != nil {
		return nil, refusal.with(scheme)
	}
	f := peekForm(r)
	if f.token || r.URL.RawQuery != "" && asks(r.URL.RawQuery, tokenField) {
		return nil, errTokenBeside
	}
	if says.session == nil && impersonated(ctx) {
		b.log.InfoContext(ctx, "an ordinary token was refused within an impersonation", "app", says.ClientID, "method", r.Method)
		return nil, errForbidden
	}
	c := &call{Context: ctx, bearer: b, access: says, scheme: scheme}
	if refusal := b.prove(c, r, token, proofs); refusal != nil {
		return nil, refusal.with(scheme)
	}
	if c.session == nil {
		return c, nil
	}
	c.entry = new(entry)
	if reason := b.guard.refuses(r, f, c.session.Mode); reason != "" {
		return nil, b.refuse(r, c, reason)
	}
	if refusal := b.goesOn(r, c); refusal != nil {
		return nil, refusal.with(scheme)
	}
	return c, nil
}

// presented reads the Authorization header, of which there may be one (RFC 6750 §2.1). Other schemes than ours are as none.
func presented(authorization []string) (scheme, token string, refusal *BearerError) {
	if len(authorization) == 0 {
		return "", "", errNoToken
	}
	if len(authorization) > 1 {
		return "", "", errTwoTokens
	}
	name, token, _ := strings.Cut(authorization[0], " ")
	for _, scheme := range [...]string{schemeBearer, schemeDPoP} {
		if strings.EqualFold(name, scheme) {
			return scheme, token, nil
		}
	}
	return "", "", errNoToken
}

// read gives what a token says whose signature, audience and time hold.
func (b *Bearer) read(ctx context.Context, token string) (*access, *BearerError) {
	if len(token) > tokens.MaxLength {
		return nil, errToken
	}
	now := b.now()
	ring, err := b.keys.get(ctx, now)
	if err != nil {
		return nil, b.unavailable(ctx, "reading the issuer's keys failed", err)
	}
	says, ok := ring.seen.find(token)
	if !ok {
		if says, err = b.verify(ctx, ring, token, now); err != nil {
			return nil, b.notTaken(ctx, err)
		}
	}
	if !now.Before(says.Expires) {
		return nil, errExpired
	}
	return says, nil
}

// clockLeeway is by how much the issuer's clock may run ahead. exp has none.
const clockLeeway = 10 * time.Second

// verify reads a token that is not remembered, with the keys of ring or newer ones.
func (b *Bearer) verify(ctx context.Context, ring *keyring, token string, now time.Time) (*access, error) {
	expect := tokens.Expect{Issuer: b.cfg.Issuer, Audience: b.cfg.Audience, Now: now, Leeway: clockLeeway}
	claims, err := tokens.VerifyAccess(token, expect, func(kid string) (found []tokens.PublicKey, err error) {
		ring, found, err = b.keys.find(ctx, ring, kid)
		if err != nil {
			err = &keysError{err}
		}
		return found, err
	})
	if err != nil {
		return nil, err
	}
	token = strings.Clone(token)
	says := newAccess(claims, oauth.Secret(token))
	ring.seen.add(token, says)
	return says, nil
}

// keysError tells that nobody knows whether a token is good.
type keysError struct{ error }

func (e *keysError) Unwrap() error { return e.error }

func (b *Bearer) notTaken(ctx context.Context, err error) *BearerError {
	var unknown *keysError
	switch {
	case errors.As(err, &unknown):
		return b.unavailable(ctx, "reading the issuer's keys failed", err)
	case errors.Is(err, tokens.ErrExpired):
		return errExpired
	}
	return errToken
}

// goesOn asks whether the session is alive, and puts on record what could change something.
func (b *Bearer) goesOn(r *http.Request, c *call) *BearerError {
	alive, err := c.begin(c, r, b.record, b.live, c.session)
	switch {
	case err != nil:
		return b.unavailable(c, "understudy did not answer: the request was refused", err)
	case !alive:
		return errEnded
	}
	return nil
}

// refuse puts a refusal under impersonation on record. One that cannot be recorded stays a refusal.
func (b *Bearer) refuse(r *http.Request, c *call, reason string) *BearerError {
	act, alive, err := c.entry.refuse(c, r, b.record, c.session, reason)
	b.log.InfoContext(c, c.session.Actor.label()+" was refused "+act.Method+" "+act.Route+" as "+c.session.Subject.label()+": "+reason,
		"actor", c.session.Actor.Subject, "subject", c.session.Subject.Subject, "session", c.session.ID, "app", c.ClientID, "mode", c.session.Mode)
	switch {
	case err != nil:
		return b.unavailable(c, "a refusal could not be recorded", err)
	case !alive:
		return errEnded.with(c.scheme)
	case reason == reasonReadOnly:
		return errReadOnly
	case reason == reasonTooLong:
		return errTooLong
	}
	return errForbidden
}
