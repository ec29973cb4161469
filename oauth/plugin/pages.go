package plugin

import (
	"context"
	"errors"
	"net/http"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// Pages is what Handler needs to know of the provider's own sign-in. SignedIn and SignInURL must be set.
type Pages struct {
	// SignedIn gives the ID of the login of whoever sends the request, as Config.Login takes it; "" if nobody is signed in. An error is a failure.
	SignedIn func(*http.Request) (loginID string, err error)
	// SignInURL is where to sign in, or to sign in again, before coming back to returnTo: path and query of a page.
	SignInURL func(returnTo string) string
	// SecondFactorURL is where to set up a second factor before coming back to returnTo. Nil: SignInURL.
	SecondFactorURL func(returnTo string) string
	// SupportURL is the help link of every page: http, https or mailto. "" shows none.
	SupportURL string
}

// Handler serves the hosted pages on the provider's own origin: /impersonate finds a user and asks why, /audit is the trail, and /static/ what both link
// to. It must be mounted at exactly these paths. A POST from another origin is refused.
func (p *Plugin) Handler(c Pages) (http.Handler, error) {
	switch {
	case c.SignedIn == nil:
		return nil, errors.New("plugin: Pages.SignedIn must be set")
	case c.SignInURL == nil:
		return nil, errors.New("plugin: Pages.SignInURL must be set")
	case c.SecondFactorURL == nil:
		c.SecondFactorURL = c.SignInURL
	}
	pages, err := page.New(p.pageConfig(c))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(impersonatePath, http.NewCrossOriginProtection().Handler(pages.Impersonate()))
	mux.Handle("/audit", pages.Audit())
	mux.Handle("/static/", pages.Static())
	return mux, nil
}

func (p *Plugin) pageConfig(c Pages) page.Config {
	return page.Config{
		Issuer: p.cfg.Issuer, Directory: page.SealCursors(p.cfg.Directory, p.cursors.For("understudy search cursor")), Decider: p.cfg.Rules, Tickets: p.service, Logger: p.log, Now: p.cfg.Now, RequestID: p.cfg.RequestID,
		SupportURL: c.SupportURL, RequireSecondFactor: p.cfg.Rules.Options().RequireSecondFactor,
		SignInURL: c.again, SecondFactorURL: c.SecondFactorURL, SignedOutURL: func(_ *http.Request, returnTo string) string { return c.SignInURL(returnTo) },
		SignedIn:        func(r *http.Request) (page.Who, bool, error) { return p.who(r, c.SignedIn) },
		MayImpersonate:  p.registry.MayImpersonate,
		MayAudit:        p.registry.MayAudit,
		AnyOrganisation: p.anyOrganisation,
		Clients:         p.pageClient,
		Trail:           p.trail,
		Session:         p.pageSession,
		Searched: func(ctx context.Context, who page.Who, query string) error {
			if p.searches.Spend(who.User.ID, p.cfg.Now()) > 0 {
				return page.ErrTooMany
			}
			return p.recordSearch(ctx, who, query)
		},
	}
}

// who finds the person behind a login that counts now.
func (p *Plugin) who(r *http.Request, signedIn func(*http.Request) (string, error)) (page.Who, bool, error) {
	id, err := signedIn(r)
	if err != nil {
		return page.Who{}, false, err
	}
	login, err := p.login(r.Context(), id)
	if err != nil || !login.Alive(p.clock(), p.cfg.Lifetimes.LoginIdle) {
		return page.Who{}, false, err
	}
	user, err := p.cfg.Directory.Get(r.Context(), login.User)
	if errors.Is(err, directory.ErrNotFound) || err == nil && (user.ID != login.User || !user.Enabled) {
		return page.Who{}, false, nil
	}
	return page.Who{User: user, Login: *login}, err == nil, err
}

func (p *Plugin) pageClient(ctx context.Context, id string) (page.Client, error) {
	c, err := p.registered(ctx, id)
	if err != nil {
		return page.Client{}, err
	}
	if c == nil {
		return page.Client{}, page.ErrNoClient
	}
	decided := p.decided(c)
	return page.Client{Policy: *decided, Name: decided.Name, RedirectURIs: c.GetRedirectURIs()}, nil
}

func (p *Plugin) trail(ctx context.Context, q page.AuditQuery) (page.AuditPage, error) {
	stored, next, err := p.cfg.Store.Entries(ctx, store.EntryQuery{Own: q.Own, Person: q.Person, Session: q.Session, After: q.After, Limit: q.Limit})
	if errors.Is(err, store.ErrCursor) {
		return page.AuditPage{}, page.ErrCursor
	}
	out := page.AuditPage{Next: next}
	for _, e := range stored {
		if e := e.Entry; q.Own == "" || e.Actor.Subject != q.Own || e.Actor.Issuer == p.cfg.Issuer { // the command line's actor may have the name of a user's ID
			out.Entries = append(out.Entries, e)
		}
	}
	return out, err
}

func (p *Plugin) pageSession(ctx context.Context, id string) (impersonation.Session, error) {
	session, err := p.cfg.Store.Session(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return session, page.ErrNoSession
	}
	return session, err
}

// anyOrganisation reports whether some role of who reaches beyond their own organisation.
func (p *Plugin) anyOrganisation(who policy.Person) bool {
	for _, r := range p.registry.RolesOf(who) {
		if r.Impersonate != nil && r.Impersonate.Organisations == policy.AnyOrganisation {
			return true
		}
	}
	return false
}

// recordSearch puts a search on record before it runs: the page is also a directory of customers.
func (p *Plugin) recordSearch(ctx context.Context, who page.Who, query string) error {
	e := audit.New(audit.KindSearch, p.clock())
	e.Actor, e.Request = oauth.Party{Issuer: p.cfg.Issuer, Subject: who.User.ID}, p.cfg.RequestID(ctx)
	e.SetPersonal("query", query)
	return p.cfg.Store.Record(ctx, e)
}

// again is where who has a second factor signs in by it; who has none sets one up first.
func (c Pages) again(who page.Who, returnTo string) string {
	if !who.User.SecondFactor {
		return ""
	}
	return c.SignInURL(returnTo)
}
