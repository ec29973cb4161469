package server

import (
	"context"
	"slices"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// client is a registration as fosite sees it.
type client struct{ store.Client }

var _ fosite.Client = (*client)(nil)

func (c *client) GetID() string                      { return c.ID }
func (c *client) GetHashedSecret() []byte            { return nil } // never compared by fosite: authenticateClient does it
func (c *client) GetRedirectURIs() []string          { return c.RedirectURIs }
func (c *client) GetResponseTypes() fosite.Arguments { return fosite.Arguments{"code"} }
func (c *client) GetScopes() fosite.Arguments        { return c.Scopes }
func (c *client) IsPublic() bool                     { return c.Public }
func (c *client) GetAudience() fosite.Arguments      { return c.Resources }
func (c *client) GetGrantTypes() fosite.Arguments {
	if c.exchanges() {
		return fosite.Arguments{"authorization_code", oauth.GrantTypeTokenExchange}
	}
	return fosite.Arguments{"authorization_code"}
}

// exchanges reports whether the client may use token exchange: a public one never does.
func (c *client) exchanges() bool { return c.Exchange && !c.Public }

// registered reports whether uri is one of the client's redirect URIs, byte by byte (RFC 9700 §2.1).
func (c *client) registered(uri string) bool { return slices.Contains(c.RedirectURIs, uri) }

// serves reports whether the client is the server of the resource, and so may see its tokens.
func (c *client) serves(resource string) bool { return slices.Contains(c.Serves, resource) }

func (s *Server) client(ctx context.Context, id string) (*client, error) {
	c, err := s.store.Client(ctx, id)
	if err != nil {
		return nil, err
	}
	return &client{c}, nil
}
