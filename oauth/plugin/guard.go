package plugin

import (
	"context"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
)

// guard is a fosite.TokenIntrospector that stands behind the provider's own: what those call active is asked for once more, if somebody acts in it.
type guard struct {
	p      *Plugin
	config fosite.Configurator
}

// IntrospectToken never vouches for a token, it only refuses: r is what the handlers before it found.
func (g *guard) IntrospectToken(ctx context.Context, _ string, _ fosite.TokenUse, r fosite.AccessRequester, _ []string) (fosite.TokenUse, error) {
	all := g.config.GetTokenIntrospectionHandlers(ctx)
	if all[len(all)-1] != fosite.TokenIntrospector(g) { // it would look at nothing, and pass it
		g.p.log.ErrorContext(ctx, "an introspection handler was added behind that of the plugin: no token is active")
		return "", fosite.ErrServerError.WithDebug("plugin: its introspection handler must be the last")
	}
	if sid, acts := sessionID(r); acts {
		if err := g.alive(ctx, sid, r); err != nil {
			return "", err
		}
	}
	return "", fosite.ErrUnknownRequest
}

// alive answers nil for a token that is that of a living session, and says who acts in it.
func (g *guard) alive(ctx context.Context, sid string, r fosite.Requester) error {
	live, err := g.p.Active(ctx, sid)
	if err != nil {
		g.p.log.WarnContext(ctx, "nobody can say whether an impersonation goes on", "session", sid, "error", err)
		return fosite.ErrTemporarilyUnavailable.WithWrap(err).WithDebug(err.Error())
	}
	if live == nil {
		return fosite.ErrInactiveToken.WithDebug("plugin: the impersonation is over")
	}
	session := live.Session
	actor, _ := Actor(r.GetSession())
	if actor != (oauth.Party{Issuer: g.p.cfg.Issuer, Subject: session.Actor}) || r.GetSession().GetSubject() != session.Subject || r.GetClient().GetID() != session.Client {
		g.p.log.ErrorContext(ctx, "the storage gave back a token that does not say what it was made with: it must keep the session's claims", "session", sid)
		return fosite.ErrInactiveToken.WithDebug("plugin: the token does not say what it was made with")
	}
	return nil
}
