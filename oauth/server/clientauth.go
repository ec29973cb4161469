package server

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// assertionType is the one client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Client authentication that fails before anything is looked up says why: it is the same for every client, known or not.
var (
	errOtherClient   = invalidRequest("client_id", "must be absent or the client that authenticates (RFC 6749 section 3.2.1)")
	errHalfAssertion = invalidRequest("client_assertion", "goes with client_assertion_type, and neither alone (RFC 7521 section 4.2)")
	errAssertionType = &wireError{
		Status: http.StatusUnauthorized, Code: "invalid_client", Description: "client_assertion_type: must be " + assertionType + ".", Challenge: clientChallenge,
	}
)

// credentials are what a request says of its client: one method, and what goes with it.
type credentials struct {
	method    store.AuthMethod
	id        string // of an assertion: what it says itself
	secret    oauth.Secret
	assertion string
}

// announceClientAuth tells in the metadata how clients may authenticate (RFC 8414 §2).
func announceClientAuth(document map[string]any) {
	confidential := []store.AuthMethod{store.AuthBasic, store.AuthPost, store.AuthPrivateKey}
	document["token_endpoint_auth_methods_supported"] = append(confidential, store.AuthNone)
	document["introspection_endpoint_auth_methods_supported"] = confidential
	document["revocation_endpoint_auth_methods_supported"] = append(confidential, store.AuthNone)
	for _, endpoint := range []string{"token", "introspection", "revocation"} {
		document[endpoint+"_endpoint_auth_signing_alg_values_supported"] = tokens.Algorithms()
	}
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

// authenticateClient finds out which client sends r, by the one method that it is registered for. Every failure that depends on
// what is registered is the same error.
func (s *Server) authenticateClient(r *http.Request, f url.Values) (*client, error) {
	cred, err := s.credentials(r, f)
	if err != nil {
		return nil, err
	}
	c, err := s.client(r.Context(), cred.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, s.stranger(r, cred.id, "unknown client")
	case err != nil:
		return nil, err
	case cred.method != c.AuthMethod():
		return nil, s.stranger(r, cred.id, fmt.Sprintf("came by %s, is registered for %s", cred.method, c.AuthMethod()))
	}
	if err := s.proveClient(r, c, cred); err != nil {
		return nil, err
	}
	return c, nil
}

// proveClient holds what came to what is registered.
func (s *Server) proveClient(r *http.Request, c *client, cred credentials) error {
	switch cred.method {
	case store.AuthNone:
		return nil
	case store.AuthPrivateKey:
		return s.checkAssertion(r, c, cred.assertion)
	}
	return s.checkSecret(r, c, cred.secret)
}

func (s *Server) checkSecret(r *http.Request, c *client, secret oauth.Secret) error {
	// A client without a secret on record has the zero hash, which no secret has.
	sum := secret.Hash()
	if secret == "" || subtle.ConstantTimeCompare(sum[:], c.SecretHash[:]) != 1 {
		return s.stranger(r, c.ID, "wrong secret")
	}
	return nil
}

// checkAssertion spends the assertion's jti last (RFC 7523 §3): were it spent before the signature is known to be the client's,
// anybody could burn what a client is about to send.
func (s *Server) checkAssertion(r *http.Request, c *client, assertion string) error {
	keys, err := tokens.ParseKeys(c.Settings.Keys)
	if err != nil {
		return fmt.Errorf("reading the keys of client %s: %w", c.ID, err)
	}
	now := s.clock()
	a, err := tokens.VerifyAssertion(assertion, tokens.ExpectAssertion{Client: c.ID, Issuer: s.issuer, Keys: keys, Now: now})
	if err != nil {
		return s.stranger(r, c.ID, err.Error())
	}
	err = s.store.UseOnce(r.Context(), assertionSpace+c.ID, a.ID, now, a.Expires)
	if errors.Is(err, store.ErrSpent) {
		return s.stranger(r, c.ID, "the assertion was used before")
	}
	return err
}

// assertionSpace and a client_id are the space of its jti: no client can burn another's.
const assertionSpace = "client_assertion:"

// credentials reads the one way in which the client authenticates (RFC 6749 §2.3).
func (s *Server) credentials(r *http.Request, f url.Values) (credentials, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return credentials{}, invalidRequest("Authorization", "is given more than once")
	}
	asserts := f.Has("client_assertion") || f.Has("client_assertion_type")
	switch inHeader, inBody := len(headers) > 0, f.Has("client_secret"); {
	case inHeader && inBody, inHeader && asserts, inBody && asserts:
		return credentials{}, errTwoClientAuth
	case inHeader:
		return s.basicCredentials(r, headers[0], f)
	case asserts:
		return s.assertionCredentials(r, f)
	case !f.Has("client_id"):
		return credentials{}, errClient
	case inBody:
		return credentials{method: store.AuthPost, id: f.Get("client_id"), secret: oauth.Secret(f.Get("client_secret"))}, nil
	}
	return credentials{method: store.AuthNone, id: f.Get("client_id")}, nil
}

func (s *Server) basicCredentials(r *http.Request, header string, f url.Values) (credentials, error) {
	id, secret, ok := basic(header)
	switch {
	case !ok:
		return credentials{}, s.stranger(r, "", "an Authorization header that is not Basic")
	case f.Has("client_id") && f.Get("client_id") != id:
		return credentials{}, errOtherClient
	}
	return credentials{method: store.AuthBasic, id: id, secret: secret}, nil
}

// assertionCredentials reads from the assertion itself whose it is (RFC 7521 §4.2: client_id is optional, and must not differ).
func (s *Server) assertionCredentials(r *http.Request, f url.Values) (credentials, error) {
	switch {
	case !f.Has("client_assertion") || !f.Has("client_assertion_type"):
		return credentials{}, errHalfAssertion
	case f.Get("client_assertion_type") != assertionType:
		return credentials{}, errAssertionType
	}
	assertion := f.Get("client_assertion")
	id, err := tokens.AssertionClient(assertion)
	if err != nil {
		return credentials{}, s.stranger(r, "", err.Error())
	}
	if f.Has("client_id") && f.Get("client_id") != id {
		return credentials{}, s.stranger(r, id, "client_id is not the assertion's sub")
	}
	return credentials{method: store.AuthPrivateKey, id: id, assertion: assertion}, nil
}

// basic reads the Basic scheme as OAuth uses it: both halves form-encoded first (RFC 6749 §2.3.1).
func basic(header string) (id string, secret oauth.Secret, ok bool) {
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
	plain, err2 := url.QueryUnescape(rawSecret)
	return id, oauth.Secret(plain), err1 == nil && err2 == nil && id != "" && plain != ""
}

// stranger is a failed client authentication under id, "" where it names none: a log line within limits and no audit entry, or a
// stranger could fill the disk.
func (s *Server) stranger(r *http.Request, id, why string) error {
	address := s.proxies.address(r)
	if s.strangers.Allow() {
		s.log.WarnContext(r.Context(), "client authentication failed", "reason", why, "path", loggedPath(r), "address", address, "request_id", requestID(r.Context()))
	}
	if err := s.guesses.failed(network(address), id, s.clock()); err != nil {
		return err
	}
	return errClient
}
