package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

// errProvider is a failure to learn of the provider who somebody is. The wire says that nobody knows.
var errProvider = errors.New("plugin: the provider does not answer")

// keeper is the store as the rules see it: with the provider's people, logins and clients in what is read, where the store has none. Tickets,
// epochs and kills stay guarded by the store's one write. What the provider says is not: see "Who was disabled meanwhile" in the package comment.
type keeper struct {
	Store
	p *Plugin
}

// LoadStart implements impersonation.Store. It asks all that there is to ask, whoever is missing, so that nobody can tell by the time it takes.
func (k keeper) LoadStart(ctx context.Context, key impersonation.StartKey) (impersonation.Facts, error) {
	f, err := k.Store.LoadStart(ctx, key)
	if err != nil || f.Ticket == nil && !key.Ticket.IsZero() {
		return impersonation.Facts{}, err
	}
	if t := f.Ticket; t != nil {
		key.Client, key.Actor, key.Subject, key.Login = t.Client, t.Actor, t.Subject, t.Login
	}
	client, err := k.p.client(ctx, key.Client)
	actor, err1 := k.p.person(ctx, key.Actor)
	subject, err2 := k.p.person(ctx, key.Subject)
	login, err3 := k.p.loginOf(ctx, key.Login, key.Actor)
	kills, err4 := k.organisationKills(ctx, actor, subject)
	if err := errors.Join(err, err1, err2, err3, err4); err != nil {
		return impersonation.Facts{}, err
	}
	f.Client, f.Actor, f.Subject, f.Login, f.Kills = client, actor, subject, login, append(f.Kills, kills...)
	f.ActorToken = key.ActorJTI != "" // Resolve has just found it active
	f.SubjectToken, f.Consent = false, nil
	f.Guard = impersonation.Guard{Epochs: f.Guard.Epochs}
	return f, nil
}

// LoadStop implements impersonation.Store. A stop does not wait for the provider: what cannot be learned now leaves nothing to give back, and
// the session ends all the same.
func (k keeper) LoadStop(ctx context.Context, returnToken oauth.Hash) (impersonation.StopFacts, error) {
	f, err := k.Store.LoadStop(ctx, returnToken)
	if err != nil {
		return f, err
	}
	var err1, err2, err3 error
	f.Actor, err1 = k.p.person(ctx, f.Session.Actor)
	f.Subject, err2 = k.p.person(ctx, f.Session.Subject)
	f.Login, err3 = k.p.loginOf(ctx, f.Session.Login, f.Session.Actor)
	if err := errors.Join(err1, err2, err3); err != nil {
		k.p.log.WarnContext(ctx, "a stop goes on without what the provider knows", "session", f.Session.ID, "error", err)
	}
	return f, nil
}

// LoadSession implements impersonation.Store.
func (k keeper) LoadSession(ctx context.Context, sid string) (impersonation.Live, error) {
	l, err := k.Store.LoadSession(ctx, sid)
	if err != nil {
		return l, err
	}
	var errs [5]error
	var kills []impersonation.Kill
	l.Client, errs[0] = k.p.client(ctx, l.Session.Client)
	l.Actor, errs[1] = k.p.person(ctx, l.Session.Actor)
	l.Subject, errs[2] = k.p.person(ctx, l.Session.Subject)
	l.Login, errs[3] = k.p.loginOf(ctx, l.Session.Login, l.Session.Actor)
	kills, errs[4] = k.organisationKills(ctx, l.Actor, l.Subject)
	l.Kills = append(l.Kills, kills...)
	return l, errors.Join(errs[:]...)
}

// RevokeGrant implements impersonation.Store: the token that a stop gave is the provider's, so it goes there first.
func (k keeper) RevokeGrant(ctx context.Context, grantID string, w impersonation.Write) (bool, error) {
	if err := k.p.cfg.Storage.RevokeAccessToken(ctx, grantID); err != nil && !errors.Is(err, fosite.ErrNotFound) {
		return false, fmt.Errorf("revoking what a stop gave: %w", err)
	}
	return k.Store.RevokeGrant(ctx, grantID, w)
}

// organisationKills gives the kills of the organisations of either person, which the store cannot know that they are in.
func (k keeper) organisationKills(ctx context.Context, people ...*policy.Person) ([]impersonation.Kill, error) {
	kills, err := k.Kills(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the kills: %w", err)
	}
	return slices.DeleteFunc(kills, func(kill impersonation.Kill) bool {
		return kill.Scope != impersonation.ScopeOrganisation || !slices.ContainsFunc(people, func(p *policy.Person) bool {
			return p != nil && p.Organisation == kill.ID
		})
	}), nil
}

// person finds a user of the provider, exactly: nil if there is none. The name of a client is nobody's.
func (p *Plugin) person(ctx context.Context, id string) (*policy.Person, error) {
	if id == "" || strings.HasPrefix(id, oauth.ClientPrefix) {
		return nil, nil
	}
	u, err := p.cfg.Directory.Get(ctx, id)
	switch {
	case errors.Is(err, directory.ErrNotFound), err == nil && u.ID != id: // a directory that does not look at case
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: finding a user: %w", errProvider, err)
	}
	person := impersonation.PersonOf(p.cfg.Issuer, u)
	return &person, nil
}

// loginOf finds a sign-in of a user: nil if there is none, or it is another's.
func (p *Plugin) loginOf(ctx context.Context, id, user string) (*impersonation.Login, error) {
	l, err := p.login(ctx, id)
	if l != nil && l.User != user {
		return nil, err
	}
	return l, err
}

// login finds a sign-in: nil if there is none.
func (p *Plugin) login(ctx context.Context, id string) (*impersonation.Login, error) {
	if id == "" {
		return nil, nil
	}
	l, err := p.cfg.Login(ctx, id)
	switch {
	case errors.Is(err, ErrNoLogin), err == nil && l.ID != id:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: finding a login: %w", errProvider, err)
	}
	if l.LastUsed.IsZero() {
		l.LastUsed = p.cfg.Now()
	}
	return &l, nil
}

// client finds a client as decisions see it: nil if there is none.
func (p *Plugin) client(ctx context.Context, id string) (*policy.Client, error) {
	c, err := p.registered(ctx, id)
	if err != nil || c == nil {
		return nil, err
	}
	return p.decided(c), nil
}

func (p *Plugin) decided(c fosite.Client) *policy.Client {
	return &policy.Client{
		ID: c.GetID(), Public: c.IsPublic(), Exchange: c.GetGrantTypes().Has(oauth.GrantTypeTokenExchange), Scopes: c.GetScopes(), Resources: c.GetAudience(),
		Name: p.cfg.ClientName(c),
	}
}

// registered finds a client of the provider: nil if there is none.
func (p *Plugin) registered(ctx context.Context, id string) (fosite.Client, error) {
	c, err := p.cfg.Storage.GetClient(ctx, id)
	switch {
	case errors.Is(err, fosite.ErrNotFound), err == nil && c.GetID() != id:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: finding a client: %w", errProvider, err)
	}
	return c, nil
}
