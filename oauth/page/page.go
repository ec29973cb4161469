package page

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

// What the functions of a Config answer beside success. Test with errors.Is; anything else is a failure (503).
var (
	// ErrNoClient: no such client.
	ErrNoClient = errors.New("page: no such client")
	// ErrTooMany: this actor has searched too often; nothing was searched.
	ErrTooMany = errors.New("page: too many searches")
)

// Who is the person at the browser.
type Who struct {
	User  directory.User
	Login impersonation.Login
}

// Client is a relying app as registered.
type Client struct {
	Policy policy.Client
	Name   string // for people; "" shows the client_id
	// RedirectURIs are compared byte by byte (RFC 9700 §2.1); only http and https are ever redirected to.
	RedirectURIs []string
}

// Tickets is what *impersonation.Service offers.
type Tickets interface {
	// IssueTicket decides and, if that allows it, writes a ticket. A denial is an *impersonation.Refusal (errors.As).
	IssueTicket(context.Context, impersonation.TicketRequest) (oauth.Secret, error)
}

// Config is what the pages need. Every field must be set, but for those that say otherwise. All functions are called
// concurrently and with the request's context.
type Config struct {
	// Issuer is our own issuer URL: the iss of an answer (RFC 9207 §2) and of every local user.
	Issuer string
	// SignedIn tells who sends the request; false if nobody is signed in. An error is a failure.
	SignedIn func(*http.Request) (Who, bool, error)
	// SignInURL is where this person signs in again, by a second factor and now, before coming back to returnTo: path and query of a page. ""
	// if that cannot help; with a sign-in of ours they may then set up a second factor.
	SignInURL func(who Who, returnTo string) string
	// SignedOutURL is the same for whom SignedIn does not know. r is their request, by which one can tell them that they were
	// signed in before.
	SignedOutURL func(r *http.Request, returnTo string) string
	// SecondFactorURL is where to set up a second factor before coming back to returnTo.
	SecondFactorURL func(returnTo string) string
	// Directory finds users. Its cursors stand in links that people follow, and may be of somebody whom the page leaves out: they must
	// tell nothing. Its Search may answer ErrCursor for one that it did not give.
	Directory directory.Directory
	// Decider is asked with Preview set, to leave out users who cannot be impersonated, and how.
	Decider policy.Decider
	// MayImpersonate tells whether this actor could impersonate anybody at all.
	MayImpersonate func(policy.Person) bool
	// AnyOrganisation tells whether this actor's search may leave their organisation.
	AnyOrganisation func(policy.Person) bool
	Tickets         Tickets
	// Clients finds a relying app by its client_id. ErrNoClient.
	Clients func(ctx context.Context, id string) (Client, error)
	// RequireSecondFactor keeps who signed in without one ("mfa" in AMR, RFC 8176) from seeing anybody: the page is also a
	// directory of customers.
	RequireSecondFactor bool
	// Searched is told of a search, or of a user that is opened by "id:" and their ID, before it runs, to record it. ErrTooMany, or any other error, and it does not run.
	Searched func(ctx context.Context, who Who, query string) error
	// MayAudit tells whether this person reads the whole trail.
	MayAudit func(policy.Person) bool
	// Trail reads the trail. ErrCursor.
	Trail func(context.Context, AuditQuery) (AuditPage, error)
	// Session finds a session by its ID, ended or not. ErrNoSession.
	Session func(ctx context.Context, id string) (impersonation.Session, error)
	// RequestID is the number that a person can quote; "" shows none. Nil: always "".
	RequestID func(context.Context) string
	// Logger gets the failures that a page hides. Nil: slog.Default.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// SupportURL is the help link of every page: http, https or mailto. "" shows none.
	SupportURL string
}

// Pages serves the hosted pages. Make it with New. Safe for concurrent use.
type Pages struct {
	cfg       Config
	templates map[string]*template.Template
	static    map[string][]byte // by path
	style     string            // the path of the style sheet
}

// New checks cfg and parses the templates.
func New(cfg Config) (*Pages, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Pages{cfg: cfg}
	if p.cfg.RequestID == nil {
		p.cfg.RequestID = func(context.Context) string { return "" }
	}
	if p.cfg.Logger == nil {
		p.cfg.Logger = slog.Default()
	}
	if p.cfg.Now == nil {
		p.cfg.Now = time.Now
	}
	if err := p.loadStatic(); err != nil {
		return nil, err
	}
	if err := p.loadTemplates(); err != nil {
		return nil, err
	}
	return p, nil
}

func (c Config) check() error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Issuer", c.Issuer != ""},
		{"SignedIn", c.SignedIn != nil},
		{"SignInURL", c.SignInURL != nil},
		{"SignedOutURL", c.SignedOutURL != nil},
		{"SecondFactorURL", c.SecondFactorURL != nil},
		{"Directory", c.Directory != nil},
		{"Decider", c.Decider != nil},
		{"MayImpersonate", c.MayImpersonate != nil},
		{"AnyOrganisation", c.AnyOrganisation != nil},
		{"Tickets", c.Tickets != nil},
		{"Clients", c.Clients != nil},
		{"Searched", c.Searched != nil},
		{"MayAudit", c.MayAudit != nil},
		{"Trail", c.Trail != nil},
		{"Session", c.Session != nil},
	} {
		if !f.set {
			return fmt.Errorf("page: Config.%s must be set", f.name)
		}
	}
	if c.SupportURL == "" {
		return nil
	}
	u, err := url.Parse(c.SupportURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "mailto" {
		return fmt.Errorf("page: Config.SupportURL %q: must be an http, https or mailto URL", c.SupportURL)
	}
	return nil
}
