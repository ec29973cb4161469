package server

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/form"
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
	if c.Exchange {
		return fosite.Arguments{"authorization_code", oauth.GrantTypeTokenExchange}
	}
	return fosite.Arguments{"authorization_code"}
}

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

// clientForm reads the form that a client posts, and finds out which client it is.
func (s *Server) clientForm(w http.ResponseWriter, r *http.Request, rules form.Rules) (*client, url.Values, error) {
	f, err := form.Body(w, r, rules)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.authenticateClient(r, f)
	return c, f, err
}

// authenticateClient finds out which client sends r, by exactly one of client_secret_basic, client_secret_post and, for a
// public client, its bare client_id. Every failure that depends on what is registered is the same error.
func (s *Server) authenticateClient(r *http.Request, f url.Values) (*client, error) {
	id, secret, err := credentials(r, f)
	if err != nil {
		return nil, err
	}
	c, err := s.client(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, s.stranger(r, "unknown client")
	}
	if err != nil {
		return nil, err
	}
	if c.Public {
		if secret != "" {
			return nil, s.stranger(r, "a public client sent a secret")
		}
		return c, nil
	}
	// A client without a secret on record has the zero hash, which no secret has.
	sum := oauth.Secret(secret).Hash()
	if secret == "" || subtle.ConstantTimeCompare(sum[:], c.SecretHash[:]) != 1 {
		return nil, s.stranger(r, "wrong secret")
	}
	return c, nil
}

// credentials reads the one way in which the client authenticates (RFC 6749 §2.3).
func credentials(r *http.Request, f url.Values) (id, secret string, err error) {
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", "", invalidRequest("Authorization", "is given more than once")
	}
	if f.Has("client_assertion") || f.Has("client_assertion_type") {
		return "", "", errClient // private_key_jwt is not offered
	}
	if len(headers) == 0 {
		if !f.Has("client_id") {
			return "", "", errClient
		}
		return f.Get("client_id"), f.Get("client_secret"), nil
	}
	if f.Has("client_secret") {
		return "", "", errTwoClientAuth
	}
	id, secret, ok := basic(headers[0])
	if !ok || f.Has("client_id") && f.Get("client_id") != id {
		return "", "", errClient
	}
	return id, secret, nil
}

// basic reads the Basic scheme as OAuth uses it: both halves form-encoded first (RFC 6749 §2.3.1).
func basic(header string) (id, secret string, ok bool) {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil {
		return "", "", false
	}
	rawID, rawSecret, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	id, err1 := url.QueryUnescape(rawID)
	secret, err2 := url.QueryUnescape(rawSecret)
	return id, secret, err1 == nil && err2 == nil && id != "" && secret != ""
}

// stranger is a failed client authentication: a log line within limits and no audit entry, or a stranger could fill the disk.
func (s *Server) stranger(r *http.Request, why string) error {
	if s.strangers.Allow() {
		s.log.WarnContext(r.Context(), "client authentication failed", "reason", why, "path", r.URL.Path, "address", s.proxies.address(r), "request_id", requestID(r.Context()))
	}
	return errClient
}
