package server

import (
	"context"
	"net/http"
	"net/url"

	"github.com/ory/fosite"
	fositeoauth "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// newProvider wires fosite, with every default that is too lax set: exact audiences and scopes (the default audience matcher
// matches prefixes), PKCE for all, S256 only, our own client authentication (the default hashes with bcrypt).
func newProvider(s *Server) *fosite.Fosite {
	cfg := &fosite.Config{
		AccessTokenLifespan:            s.life.AccessToken,
		AuthorizeCodeLifespan:          s.life.Code,
		IDTokenLifespan:                s.life.AccessToken,
		IDTokenIssuer:                  s.issuer,
		AccessTokenIssuer:              s.issuer,
		EnforcePKCE:                    true,
		EnablePKCEPlainChallengeMethod: false,
		ScopeStrategy:                  fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:       fosite.ExactAudienceMatchingStrategy,
		RefreshTokenScopes:             []string{oauth.ScopeOfflineAccess}, // which nobody is granted: fosite gives none
		MinParameterEntropy:            fosite.MinParameterEntropy,
		SanitationWhiteList:            []string{"redirect_uri", "code_challenge", "nonce"},
		SendDebugMessagesToClients:     false,
		ClientSecretsHasher:            refuseHasher{},
		JWKSFetcherStrategy:            fosite.NewDefaultJWKSFetcherStrategy(),
		ClientAuthenticationStrategy: func(ctx context.Context, _ *http.Request, _ url.Values) (fosite.Client, error) {
			if c, ok := ctx.Value(clientKey).(*client); ok { // the endpoint authenticated it
				return c, nil
			}
			return nil, fosite.ErrInvalidClient
		},
	}
	st, strat := storage{s}, strategy{s}
	code := &fositeoauth.AuthorizeExplicitGrantHandler{
		AccessTokenStrategy: strat, RefreshTokenStrategy: strat, AuthorizeCodeStrategy: strat, CoreStorage: st, TokenRevocationStorage: st, Config: cfg,
	}
	oidc := &openid.OpenIDConnectExplicitHandler{
		OpenIDConnectRequestStorage: st, OpenIDConnectRequestValidator: openid.NewOpenIDConnectRequestValidator(nil, cfg),
		IDTokenHandleHelper: &openid.IDTokenHandleHelper{IDTokenStrategy: strat}, Config: cfg,
	}
	proof := &pkce.Handler{AuthorizeCodeStrategy: strat, Storage: st, Config: cfg}

	// The order matters: the code first, since the others read what it made. The exchange and what else writes last, since an error
	// after its write would come too late: each lets requests of other grant types pass without a look.
	for _, h := range []any{code, oidc, proof, refreshTokens{s}, clientCredentials{s}, tokenexchange.Factory(cfg, paced{exchange{s}}, strat)} {
		if h, ok := h.(fosite.AuthorizeEndpointHandler); ok {
			cfg.AuthorizeEndpointHandlers.Append(h)
		}
		if h, ok := h.(fosite.TokenEndpointHandler); ok {
			cfg.TokenEndpointHandlers.Append(h)
		}
	}
	return &fosite.Fosite{Store: st, Config: cfg}
}

// refuseHasher makes sure that no path of fosite ever compares a secret: it fails closed, on empty ones too.
type refuseHasher struct{}

func (refuseHasher) Compare(context.Context, []byte, []byte) error { return fosite.ErrInvalidClient }
func (refuseHasher) Hash(context.Context, []byte) ([]byte, error)  { return nil, fosite.ErrServerError }
