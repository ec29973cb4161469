package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// requestURIPrefix begins each request_uri of ours (RFC 9126 §2.2); a secret of 256 bits follows.
const requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

// pushesPerMinute is of one public client and one network: its id is known to all, and each push is a row. One that authenticates
// has Limits.ClientRequests.
const pushesPerMinute = 120

var errPushed = invalidRequest("request_uri", "is not known, was used, or has expired (RFC 9126 section 4)")

// push is POST /oauth2/par: a client leaves an authorization request here, and sends the browser with its request_uri (RFC 9126).
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	c, f, err := s.clientForm(w, r, authRules)
	if err == nil && c.Public {
		err = s.pushes.spend(c.ID+" "+network(s.proxies.address(r)), s.clock())
	}
	if err == nil {
		err = s.mayMake(r, c, f)
	}
	if err == nil {
		err = s.bindPushed(r, f)
	}
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	uri, err := s.keepPushed(r.Context(), c, f)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	noStore(w.Header())
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int(s.life.PushedRequest.Seconds())})
}

// keepPushed checks a request as the authorization endpoint would, and writes down the parameters that count there: no secret of
// the client is among them.
func (s *Server) keepPushed(ctx context.Context, c *client, f url.Values) (uri string, err error) {
	switch {
	case f.Has("request_uri"):
		return "", invalidRequest("request_uri", "must not be pushed (RFC 9126 section 2.1)")
	case !f.Has("client_id"):
		return "", invalidRequest("client_id", "is required (RFC 9126 section 2.1)")
	}
	a := &authRequest{client: c, form: f}
	if err := a.checkRedirect(); err != nil {
		return "", err
	}
	if err := s.checkAuthRequest(ctx, a); err != nil {
		return "", err
	}
	kept := make(url.Values)
	for _, name := range authParameters {
		if f.Has(name) {
			kept[name] = f[name]
		}
	}
	secret, now := oauth.NewSecret(), s.clock()
	err = s.store.PushRequest(ctx, store.PushedRequest{
		Hash: secret.Hash(), Client: c.ID, Form: kept.Encode(), Created: now, Expires: now.Add(s.life.PushedRequest),
	})
	return requestURIPrefix + string(secret), err
}

// openPushed puts the parameters that were pushed in the place of those in the URL. These are ignored, whatever they say: what
// was pushed under client authentication must not be bent by who holds the browser (RFC 9101 §6.3), and a client that repeats
// scope and response_type for OpenID Connect's sake does no wrong (RFC 9101 §5). errPushed if it cannot be used, also because
// it is another client's.
func (s *Server) openPushed(ctx context.Context, a *authRequest) error {
	uri := a.form.Get("request_uri")
	if !strings.HasPrefix(uri, requestURIPrefix) {
		return nil // none, or one that checkParameters refuses
	}
	p, err := s.store.PushedRequest(ctx, oauth.Secret(strings.TrimPrefix(uri, requestURIPrefix)).Hash())
	if errors.Is(err, store.ErrNotFound) {
		return errPushed
	}
	if err != nil {
		return err
	}
	if p.Client != a.client.ID || !p.Used.IsZero() || !s.clock().Before(p.Expires) {
		return errPushed
	}
	f, err := url.ParseQuery(p.Form)
	if err != nil {
		return err
	}
	a.pushed, a.form, a.uri = &p, f, uri
	return nil
}

// usePushed spends a pushed request: of all who come with it at once, one gets a code. Until then the same browser may load it
// again, and the sign-in between keeps it.
func (s *Server) usePushed(ctx context.Context, a *authRequest) error {
	if a.pushed == nil {
		return nil
	}
	err := s.store.UsePushedRequest(ctx, a.pushed.Hash, s.clock())
	if errors.Is(err, store.ErrSpent) || errors.Is(err, store.ErrNotFound) {
		return errPushed
	}
	return err
}
