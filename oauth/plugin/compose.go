package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	fositeoauth "github.com/ory/fosite/handler/oauth2"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// Compose is compose.Compose over Config.Storage with impersonation in it. factories are the provider's own; one of them must introspect tokens, such as
// compose.OAuth2TokenIntrospectionFactory, and none may be added to config afterwards. Around them it puts:
//
//   - the token exchange (RFC 8693), last, since a handler behind it could fail after the one write;
//   - behind their introspection, a guard that calls no impersonation active which is over, killed, or of people who may no longer;
//   - before their revocation, one that ends the session of an impersonation token, or of a return token (RFC 7009).
//
// strategy is the provider's, of opaque tokens or JWTs. It is tried with a session of Config.Session: an error says what does not fit.
func (p *Plugin) Compose(config *fosite.Config, strategy any, factories ...compose.Factory) (*fosite.Fosite, error) {
	signer, ok := strategy.(fositeoauth.AccessTokenStrategy)
	if !ok {
		return nil, fmt.Errorf("plugin: Compose: %T must implement fosite's oauth2.AccessTokenStrategy", strategy)
	}
	if err := p.trySigner(context.Background(), signer); err != nil {
		return nil, fmt.Errorf("plugin: Compose: %w", err)
	}
	x := &exchange{Plugin: p, config: config, own: &guard{p, config}}
	revoking := &revoker{x}
	first := func(fosite.Configurator, any, any) any { return revoking }
	last := func(fosite.Configurator, any, any) any {
		inner := tokenexchange.Factory(config, x, recorder{signer, p}).(*tokenexchange.Handler)
		return &handler{inner, p}
	}
	guarding := func(fosite.Configurator, any, any) any { return x.own }
	provider := compose.Compose(config, p.cfg.Storage, strategy, slices.Concat([]compose.Factory{first}, factories, []compose.Factory{guarding, last})...)
	switch {
	case config.RevocationHandlers[0] != fosite.RevocationHandler(revoking):
		return nil, errors.New("plugin: Compose: config has handlers of another provider; give each its own")
	case len(config.TokenIntrospectionHandlers) < 2:
		return nil, errors.New("plugin: Compose: one of the factories must introspect tokens, such as compose.OAuth2TokenIntrospectionFactory")
	}
	return provider.(*fosite.Fosite), nil // it is never another
}

// trySigner makes a token of each kind and throws it away.
func (p *Plugin) trySigner(ctx context.Context, signer fositeoauth.AccessTokenStrategy) error {
	session, err := p.cfg.session(ctx, p.cfg.actorToken("usr_actor", "app", "lgn_actor", "tok_1", ""))
	if err != nil {
		return err
	}
	r := fosite.NewAccessRequest(session)
	r.Client = &fosite.DefaultClient{ID: "app"}
	if _, _, err := signer.GenerateAccessToken(ctx, r); err != nil {
		return fmt.Errorf("the strategy makes no token of what Config.Session gives: %w", err)
	}
	return nil
}

// recorder is the provider's strategy for the exchange alone: what it makes goes into the provider's storage before the answer leaves, as every other
// token there does.
type recorder struct {
	fositeoauth.AccessTokenStrategy
	p *Plugin
}

// GenerateAccessToken implements fosite's strategy. A session whose token cannot be made or kept is ended: nobody has it.
func (r recorder) GenerateAccessToken(ctx context.Context, req fosite.Requester) (token, signature string, err error) {
	token, signature, err = r.AccessTokenStrategy.GenerateAccessToken(ctx, req)
	if err == nil {
		err = r.p.cfg.Storage.CreateAccessTokenSession(ctx, signature, req.Sanitize(nil)) // no one-time value goes into a storage
	}
	if err != nil && isSession(req.GetID()) {
		r.p.endUnsigned(ctx, req.GetID())
	}
	return token, signature, err
}

// handler is the token exchange, with what it refuses on record.
type handler struct {
	*tokenexchange.Handler
	p *Plugin
}

var _ fosite.TokenEndpointHandler = (*handler)(nil)

// HandleTokenEndpointRequest puts on record what is refused before the rules are asked. Not of a public client, whose id anybody can give.
func (h *handler) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	err := h.Handler.HandleTokenEndpointRequest(ctx, r)
	var rfc *fosite.RFC6749Error
	if h.CanHandleTokenEndpointRequest(ctx, r) && !r.GetClient().IsPublic() && errors.As(err, &rfc) && rfc.CodeField < 500 {
		rule := rfc.DebugField
		if rule == "" {
			rule = rfc.DescriptionField
		}
		h.p.service.Refused(ctx, r.GetClient().GetID(), "", rule, h.p.cfg.RequestID(ctx))
	}
	return err
}

func newRequestID() string { return oauth.NewID("req") }
