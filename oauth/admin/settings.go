package admin

import (
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// checkSettings holds the settings of a client to each other and to what it is otherwise.
func checkSettings(c store.Client) error {
	return firstErr(checkAuth(c), checkService(c), checkLogout(c.Settings))
}

func checkAuth(c store.Client) error {
	s := c.Settings
	switch s.Auth {
	case "", store.AuthBasic, store.AuthPost, store.AuthPrivateKey, store.AuthNone:
	default:
		return invalid("auth", "must be %s, %s, %s or %s", store.AuthBasic, store.AuthPost, store.AuthPrivateKey, store.AuthNone)
	}
	keyed := c.AuthMethod() == store.AuthPrivateKey
	switch {
	case c.Public && s.Auth != "" && s.Auth != store.AuthNone:
		return invalid("auth", "must be %s: a public client can keep neither secret nor key", store.AuthNone)
	case !c.Public && s.Auth == store.AuthNone:
		return invalid("auth", "%s is for public clients only", store.AuthNone)
	case keyed && len(s.Keys) == 0:
		return invalid("jwks", "must be given with %s", store.AuthPrivateKey)
	case !keyed && len(s.Keys) > 0:
		return invalid("jwks", "goes with %s only", store.AuthPrivateKey)
	case s.IDTokenAlg != "" && !slices.Contains(tokens.Algorithms(), s.IDTokenAlg):
		return invalid("id_token_alg", "must be one of %s", strings.Join(tokens.Algorithms(), ", "))
	}
	if !keyed {
		return nil
	}
	if _, err := tokens.ParseKeys(s.Keys); err != nil {
		return invalid("jwks", "must be a JWK set of public keys: %v", err)
	}
	return nil
}

func checkService(c store.Client) error {
	switch s := c.Settings; {
	case s.Service != "" && !s.Service.Machine():
		return invalid("service", "must be %s or %s", oauth.ActorService, oauth.ActorAIAgent)
	case s.Service != "" && c.Public:
		return invalid("service", "a public client cannot act for itself: nothing would prove who does")
	case s.UserID && !c.Exchange:
		return invalid("user_id_start", "is for clients that may impersonate")
	}
	return nil
}

func checkLogout(s store.Settings) error {
	if len(strings.Join(s.PostLogoutRedirectURIs, " ")) > maxURIs {
		return invalid("post_logout_redirect_uri", "must have at most %d bytes together", maxURIs)
	}
	for _, u := range s.PostLogoutRedirectURIs {
		if err := checkURI("post_logout_redirect_uri", u); err != nil {
			return err
		}
	}
	switch u := s.BackchannelLogoutURI; {
	case u == "":
		return nil
	case len(u) > maxURIs:
		return invalid("backchannel_logout_uri", "must have at most %d bytes", maxURIs)
	default:
		return checkURI("backchannel_logout_uri", u)
	}
}

// describeSettings puts the settings into an entry: keys by their thumbprints (RFC 7638), by which anybody can tell which they were.
func describeSettings(e *audit.Entry, c store.Client) {
	s := c.Settings
	e.Set("auth_method", string(c.AuthMethod()))
	e.Set("jwks", strings.Join(Thumbprints(s), " "))
	for name, on := range map[string]bool{"dpop": s.DPoP, "require_par": s.RequirePAR, "refresh": s.Refresh, "user_id_start": s.UserID} {
		e.Set(name, strconv.FormatBool(on))
	}
	e.Set("id_token_alg", s.IDTokenAlg)
	e.Set("service", string(s.Service))
	e.Set("post_logout_redirect_uris", strings.Join(s.PostLogoutRedirectURIs, " "))
	e.Set("backchannel_logout_uri", s.BackchannelLogoutURI)
}

// Thumbprints names a client's keys, each by its thumbprint (RFC 7638): 43 characters of base64url. It gives nil where there are none.
func Thumbprints(s store.Settings) []string {
	keys, err := tokens.ParseKeys(s.Keys)
	if err != nil {
		return nil
	}
	var out []string
	for _, k := range keys {
		out = append(out, k.Thumbprint())
	}
	return out
}
