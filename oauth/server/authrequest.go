package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/store"
)

// authRules lets resource through more than once, as RFC 8707 §2 allows: the answer is invalid_target then.
var authRules = form.Rules{Repeatable: []string{"resource"}}

// authParameters are those of an authorization request that mean something here; all others are ignored (RFC 6749 §3.1), among
// them claims and ui_locales (OpenID Connect Core §3.1.2.1, §5.5).
var authParameters = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "resource", "dpop_jkt",
	"prompt", "max_age", "acr_values", "id_token_hint", "login_hint", oauth.ParamNotImpersonating,
}

// authRequest is an authorization request. What stands below form is there once checkAuthRequest has passed.
type authRequest struct {
	client *client
	pushed *store.PushedRequest // nil for one that came in the URL
	uri    string               // its request_uri
	form   url.Values           // the parameters that count

	requester *fosite.AuthorizeRequest
	resource  string
	maxAge    time.Duration // negative: any
	hint      hint
	acr       []string // those of acr_values that are given here, nil for any
	other     bool     // somebody is signed in, and hint names somebody else
}

// readAuthRequest finds out which client asks, and whether its redirect_uri may ever be sent to. An error is for a page of ours.
func (s *Server) readAuthRequest(r *http.Request) (*authRequest, error) {
	f, err := form.Query(r, authRules)
	if err != nil {
		return nil, err
	}
	c, err := s.client(r.Context(), f.Get("client_id"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalidRequest("client_id", "no such client")
	}
	if err != nil {
		return nil, err
	}
	a := &authRequest{client: c, form: f}
	if err := s.openPushed(r.Context(), a); err != nil {
		return nil, err
	}
	return a, a.checkRedirect()
}

// checkRedirect holds redirect_uri to the client's. Who sends a request_uri that is not of ours may leave the rest out (RFC 9101 §5):
// what is wrong is the former then.
func (a *authRequest) checkRedirect() error {
	switch {
	case a.client.registered(a.form.Get("redirect_uri")):
		return nil
	case a.form.Has("request_uri"):
		return errRequestURI
	}
	return invalidRequest("redirect_uri", "is not registered for this client, byte by byte")
}

var errRequestURI = &wireError{Status: http.StatusBadRequest, Code: "request_uri_not_supported", Description: "request_uri: only one that was pushed here is supported (RFC 9126)."}

// checkAuthRequest checks all that does not hang on who is signed in: at this endpoint, and when a request is pushed.
func (s *Server) checkAuthRequest(ctx context.Context, a *authRequest) (err error) {
	if err := a.checkParameters(); err != nil {
		return err
	}
	if a.resource, err = pickResource(a.client, a.form["resource"]); err != nil {
		return err
	}
	if !a.form.Has("resource") && !s.oneResource(a.client, strings.Fields(a.form.Get("scope"))) {
		return errScopeMixed
	}
	if a.maxAge, err = parseMaxAge(a.form); err != nil {
		return err
	}
	if a.acr, err = parseACR(a.form.Get("acr_values")); err != nil {
		return err
	}
	if a.hint, err = s.hintOf(ctx, a); err != nil {
		return err
	}
	a.requester, err = s.parseAuthRequest(ctx, a.form)
	return err
}

// checkParameters checks what fosite does not, or answers otherwise.
func (a *authRequest) checkParameters() error {
	f := a.form
	switch {
	case f.Has("request"):
		return &wireError{Status: http.StatusBadRequest, Code: "request_not_supported", Description: "request: is not supported here."}
	case f.Has("request_uri"):
		return errRequestURI
	case f.Has("registration"):
		return &wireError{Status: http.StatusBadRequest, Code: "registration_not_supported", Description: "registration: is not supported here."}
	case f.Get("response_type") != "code":
		return &wireError{Status: http.StatusBadRequest, Code: "unsupported_response_type", Description: "response_type: must be code."}
	case f.Has("response_mode") && f.Get("response_mode") != "query":
		return invalidRequest("response_mode", "must be query")
	case len(f.Get("code_challenge")) != 43:
		return invalidRequest("code_challenge", "43 characters of base64url are required (RFC 7636 section 4.2)")
	case f.Get("code_challenge_method") != "S256":
		return invalidRequest("code_challenge_method", "must be S256 (RFC 9700 section 2.1.1)")
	case f.Has("dpop_jkt") && !isThumbprint(f.Get("dpop_jkt")):
		return invalidRequest("dpop_jkt", "must be a thumbprint: 43 characters of base64url (RFC 9449 section 10)")
	case f.Has("prompt") && f.Get("prompt") != "none" && f.Get("prompt") != "login":
		return invalidRequest("prompt", "must be none or login")
	case f.Has(oauth.ParamNotImpersonating) && f.Get(oauth.ParamNotImpersonating) != "true":
		return invalidRequest(oauth.ParamNotImpersonating, "must be true")
	case len(f.Get("state")) > 512:
		return invalidRequest("state", "may have 512 bytes")
	}
	if _, err := oauth.ParseScope(f.Get("scope")); err != nil {
		return errScopeSyntax
	}
	if slices.Contains(strings.Fields(f.Get("scope")), oauth.ScopeImpersonationWrite) {
		return &wireError{Status: http.StatusBadRequest, Code: "invalid_scope", Description: "scope: impersonation:write cannot be asked for."}
	}
	return nil
}

func pickResource(c *client, asked []string) (string, error) {
	switch {
	case len(c.Resources) == 0:
		return "", &wireError{Status: 400, Code: "unauthorized_client", Description: "This client has no resource, so no token can be made for it."}
	case len(asked) == 0:
		return c.Resources[0], nil
	case len(asked) > 1 || !slices.Contains(c.Resources, asked[0]):
		return "", &wireError{Status: 400, Code: "invalid_target", Description: "resource: must be one that is registered for this client (RFC 8707 section 2)."}
	}
	return asked[0], nil
}

func parseMaxAge(f url.Values) (time.Duration, error) {
	if !f.Has("max_age") {
		return -1, nil
	}
	n, err := strconv.Atoi(f.Get("max_age"))
	if err != nil || n < 0 {
		return 0, invalidRequest("max_age", "must be a number of seconds")
	}
	return time.Duration(min(n, 1<<30)) * time.Second, nil
}

// hint is whom id_token_hint names: by sub, as client knows people. Without sub it is nobody's.
type hint struct {
	sub    string
	client *client // to whom the token was issued, which need not be who asks
}

// hintOf reads id_token_hint (OpenID Connect Core §3.1.2.1). An impersonation has no ID token, so it can hint at nobody.
func (s *Server) hintOf(ctx context.Context, a *authRequest) (hint, error) {
	if !a.form.Has("id_token_hint") {
		return hint{}, nil
	}
	errHint := invalidRequest("id_token_hint", "is not an ID token of this issuer")
	claims, err := s.keys().VerifyIDToken(a.form.Get("id_token_hint"), s.issuer)
	if err != nil {
		return hint{}, errHint
	}
	sub, _ := claims["sub"].(string)
	if aud, _ := claims["aud"].(string); aud != a.client.ID {
		of, err := s.client(ctx, aud)
		if errors.Is(err, store.ErrNotFound) {
			err = errHint
		}
		return hint{sub, of}, err
	}
	return hint{sub, a.client}, nil
}

// parseAuthRequest lets fosite see only what it shall look at; the rest is dealt with here.
func (s *Server) parseAuthRequest(ctx context.Context, f url.Values) (*fosite.AuthorizeRequest, error) {
	clean := url.Values{}
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"} {
		if f.Has(name) {
			clean.Set(name, f.Get(name))
		}
	}
	req, err := s.provider.NewAuthorizeRequest(ctx, &http.Request{Method: http.MethodGet, Form: clean})
	if err != nil {
		return nil, err
	}
	out, ok := req.(*fosite.AuthorizeRequest)
	if !ok {
		return nil, errors.New("the authorization request is not fosite's")
	}
	out.SetID(oauth.NewID("grt"))
	return out, nil
}

// since reports whether somebody signed in after the request was pushed: that was for this request. Of a request in the URL nobody
// knows. An upstream opens a login here without a sign-in there, so what counts is when that was; it has whole seconds.
func (a *authRequest) since(login *impersonation.Login) bool {
	if a.pushed == nil {
		return false
	}
	if login.Upstream != "" {
		return !login.AuthTime.Before(a.pushed.Created.Truncate(time.Second))
	}
	return login.Created.After(a.pushed.Created)
}

// fresh reports whether login is recent enough for max_age and prompt.
func (a *authRequest) fresh(login *impersonation.Login, now time.Time) bool {
	switch {
	case a.since(login):
		return true
	case a.form.Get("prompt") == "login":
		return false
	}
	return a.maxAge < 0 || now.Truncate(time.Second).Sub(login.AuthTime) <= a.maxAge // auth_time has whole seconds
}

// again is this request at path once more, for after the sign-in. One from the URL is without prompt, which the sign-in will have
// answered, and without what this endpoint does not know, such as a secret sent to the wrong place.
func (a *authRequest) again(path string) string {
	q := make(url.Values)
	if a.pushed != nil {
		q.Set("client_id", a.client.ID)
		q.Set("request_uri", a.uri)
		return path + "?" + q.Encode()
	}
	for _, name := range authParameters {
		if a.form.Has(name) {
			q[name] = a.form[name]
		}
	}
	q.Del("prompt")
	if a.hint.sub != "" { // who signs in now as somebody else is not asked a second time
		q.Set("prompt", "none")
	}
	if a.maxAge == 0 { // a sign-in takes longer than that; the app sees auth_time
		q.Del("max_age")
	}
	return path + "?" + q.Encode()
}
