package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// exchange joins the rules of package impersonation to the handler of package tokenexchange, inside one provider.
type exchange struct {
	*Plugin
	config fosite.Configurator
	own    *guard // the one introspection handler that is ours
}

var _ tokenexchange.Exchange = (*exchange)(nil)

// Resolve reads an actor's access token as the provider itself would. One-time values are opened by Commit, in the one read. The doors that need
// no page, a user's ID and a user's own token, are closed here: what they stand on, a client's permission and a consent, is kept nowhere.
func (x *exchange) Resolve(ctx context.Context, t oauth.TokenType, token string, c fosite.Client) (tokenexchange.Input, error) {
	switch t {
	case oauth.TokenTypeTicket, oauth.TokenTypeReturnToken:
		return tokenexchange.Input{Type: t, Token: oauth.Secret(token)}, nil
	case oauth.TokenTypeAccessToken:
		return x.actorToken(ctx, token, c)
	}
	return tokenexchange.Input{}, fmt.Errorf("%w: no such way in here", tokenexchange.ErrRefused)
}

func (x *exchange) actorToken(ctx context.Context, token string, c fosite.Client) (tokenexchange.Input, error) {
	r, err := x.read(ctx, token)
	if err != nil {
		return tokenexchange.Input{}, err
	}
	s := r.GetSession()
	in := tokenexchange.Input{
		Type: oauth.TokenTypeAccessToken, Subject: oauth.Party{Issuer: x.cfg.Issuer, Subject: s.GetSubject()}, Client: r.GetClient().GetID(),
		Login: x.cfg.LoginOf(s), ID: r.GetID(), Scope: r.GetGrantedScopes(), Expires: x.expires(ctx, r), Key: keyOf(s),
	}
	if audience := r.GetGrantedAudience(); len(audience) > 0 {
		in.Audience = audience[0]
	}
	if _, acts := sessionID(r); acts {
		actor, _ := Actor(s)
		in.Act = &actor
	}
	if in.Client != c.GetID() { // also of one that does not say whose it is
		return in, fmt.Errorf("%w: the token is another client's", tokenexchange.ErrRefused)
	}
	return in, nil
}

// Principal is nobody: a client never acts for itself here.
func (*exchange) Principal(fosite.Client) oauth.Party { return oauth.Party{} }

// Commit starts or stops.
func (x *exchange) Commit(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	switch {
	case p.Subject.Type == oauth.TokenTypeTicket && p.Actor != nil:
		return x.start(ctx, p)
	case p.Subject.Type == oauth.TokenTypeReturnToken:
		return x.stop(ctx, p)
	}
	return tokenexchange.Result{}, tokenexchange.ErrRefused
}

func (x *exchange) start(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	a := p.Actor
	started, err := x.service.Start(ctx, impersonation.StartRequest{
		Ticket: p.Subject.Token, CodeVerifier: p.Form.Get("code_verifier"), Client: p.Client.GetID(), Resource: p.Resource, Scope: p.Scope, Key: p.Key,
		Actor:     impersonation.ActorProof{User: a.Subject.Subject, Login: a.Login, JTI: a.ID, Scope: a.Scope, Audience: a.Audience, Expires: a.Expires},
		RequestID: x.cfg.RequestID(ctx),
	})
	if err != nil {
		return tokenexchange.Result{}, wireError(err)
	}
	d := started.Delegation
	session, err := x.cfg.session(ctx, x.cfg.impersonation(d, started.JTI, p.Key))
	if err != nil {
		x.endUnsigned(ctx, d.Session)
		return tokenexchange.Result{}, err
	}
	session.SetExpiresAt(fosite.AccessToken, d.Expires)
	return tokenexchange.Result{
		Session: session, ID: d.Session, Scope: d.Scope, Audience: d.Audience, ExpiresIn: d.Expires.Sub(started.Started), Key: p.Key,
		Extra: x.describe(started),
	}, nil
}

func (x *exchange) stop(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	stopped, err := x.service.Stop(ctx, impersonation.StopRequest{
		Return: p.Subject.Token, Client: p.Client.GetID(), Key: p.Key, RequestID: x.cfg.RequestID(ctx),
	})
	if err != nil {
		return tokenexchange.Result{}, wireError(err)
	}
	next := stopped.Next
	session, err := x.cfg.session(ctx, x.cfg.actorToken(stopped.Actor.Subject, stopped.Session.Client, stopped.Login.ID, next.JTI, p.Key))
	if err != nil {
		return tokenexchange.Result{}, err
	}
	session.SetExpiresAt(fosite.AccessToken, next.Expires)
	return tokenexchange.Result{
		Session: session, ID: next.Grant, Scope: next.Scope, Audience: next.Audience, ExpiresIn: next.Expires.Sub(next.Issued), Key: p.Key,
	}, nil
}

// endUnsigned ends a session whose start is on record and of which nobody has a token. If the store fails too, it lives until it is idle or the actor's
// next start takes its place.
func (p *Plugin) endUnsigned(ctx context.Context, sid string) {
	r := impersonation.EndRequest{
		Scope: impersonation.ScopeSession, ID: sid, Reason: impersonation.EndRevoked, Note: "its token could not be made", RequestID: p.cfg.RequestID(ctx),
	}
	if _, err := p.service.End(context.WithoutCancel(ctx), r); err != nil {
		p.log.ErrorContext(ctx, "a session whose token could not be made goes on", "session", sid, "error", err)
	}
}

// wireError turns what the rules say into what the handler understands.
func wireError(err error) error {
	var refusal *impersonation.Refusal
	switch {
	case errors.As(err, &refusal):
		return refused(refusal.Decision)
	case errors.Is(err, impersonation.ErrNothingLeft):
		return tokenexchange.ErrRefused
	case errors.Is(err, impersonation.ErrChanged), errors.Is(err, store.ErrUnavailable), errors.Is(err, errProvider):
		return errors.Join(tokenexchange.ErrUnavailable, err)
	}
	return err
}

func refused(d policy.Decision) error {
	switch d.Refusal {
	case policy.RefusalTarget:
		return tokenexchange.ErrTarget
	case policy.RefusalScope:
		return tokenexchange.ErrScope
	case policy.RefusalClient:
		return tokenexchange.ErrClient
	case policy.RefusalStepUp:
		e := &tokenexchange.StepUpError{MaxAge: d.MaxAuthAge}
		if d.SecondFactor {
			e.ACRValues = []string{oauth.ACRMFA}
		}
		return e
	}
	return tokenexchange.ErrRefused
}
