package server

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// authorize is GET /oauth2/auth: the code flow (OpenID Connect Core §3.1.2) for registered clients, which need no consent.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.errorPage(w, r, &wireError{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "This address takes GET only."})
		return
	}
	f, err := form.Query(r, form.Rules{Repeatable: []string{"resource"}})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	c, err := s.client(r.Context(), f.Get("client_id"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.errorPage(w, r, invalidRequest("client_id", "no such client"))
		return
	case err != nil:
		s.errorPage(w, r, err)
		return
	case !c.registered(f.Get("redirect_uri")): // before anything is ever sent there
		s.errorPage(w, r, invalidRequest("redirect_uri", "is not registered for this client, byte by byte"))
		return
	}
	answer, err := s.authorization(r, c, f)
	switch {
	case errors.Is(err, errSignIn):
		http.Redirect(w, r, s.signInURL(returnTo(r, f)), http.StatusSeeOther)
	case errors.Is(err, errActing):
		seeOther(w, s.actingURL(returnTo(r, f)))
	case err != nil && toWire(err).Status >= 500:
		s.errorPage(w, r, err)
	case err != nil:
		e := toWire(err)
		s.redirectBack(w, r, f, url.Values{"error": {e.Code}, "error_description": {describe(e.Description)}})
	default:
		s.redirectBack(w, r, f, answer)
	}
}

// errSignIn means that nobody is signed in, or not well enough.
var errSignIn = errors.New("sign in first")

// authorization gives the parameters of the answer.
func (s *Server) authorization(r *http.Request, c *client, f url.Values) (url.Values, error) {
	resource, err := checkAuthorize(c, f)
	if err != nil {
		return nil, err
	}
	login, user, err := s.signedIn(r)
	if err != nil {
		return nil, err
	}
	if ok, err := s.loginSuffices(login, f); err != nil {
		return nil, err
	} else if hinted, err := s.isHinted(login, f); err != nil {
		return nil, err
	} else if !ok || !hinted {
		if f.Get("prompt") == "none" {
			return nil, &wireError{Status: http.StatusBadRequest, Code: "login_required", Description: "Nobody is signed in, or not recently enough."}
		}
		return nil, errSignIn
	}
	if f.Has(oauth.ParamNotImpersonating) {
		if acting, err := s.acting(r.Context(), login, c.ID); err != nil {
			return nil, err
		} else if len(acting) > 0 && f.Get("prompt") == "none" {
			return nil, &wireError{Status: http.StatusBadRequest, Code: "interaction_required", Description: "Somebody is impersonated by this sign-in."}
		} else if len(acting) > 0 {
			return nil, errActing
		}
	}
	// fosite sees only what it shall look at; the rest was dealt with here.
	clean := url.Values{}
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"} {
		if f.Has(name) {
			clean.Set(name, f.Get(name))
		}
	}
	r.Form = clean
	req, err := s.provider.NewAuthorizeRequest(r.Context(), r)
	if err != nil {
		return nil, err
	}
	if req, ok := req.(*fosite.AuthorizeRequest); ok {
		req.SetID(oauth.NewID("grt"))
	}
	for _, scope := range s.grantable(user, req.GetRequestedScopes()) {
		req.GrantScope(scope)
	}
	req.GrantAudience(resource)
	session := &TokenSession{Claims: tokens.Claims{
		Subject: user.ID, Audience: resource, Session: login.ID, AuthTime: login.AuthTime, ACR: login.ACR, AMR: login.AMR, Key: f.Get("dpop_jkt"),
	}}
	resp, err := s.provider.NewAuthorizeResponse(r.Context(), req, session)
	if err != nil {
		return nil, err
	}
	return url.Values{"code": {resp.GetCode()}}, nil
}

// checkAuthorize checks what fosite does not, or answers otherwise, and gives the resource.
func checkAuthorize(c *client, f url.Values) (resource string, err error) {
	switch {
	case f.Has("request"):
		return "", &wireError{Status: 400, Code: "request_not_supported", Description: "request: is not supported here."}
	case f.Has("request_uri"):
		return "", &wireError{Status: 400, Code: "request_uri_not_supported", Description: "request_uri: is not supported here."}
	case f.Get("response_type") != "code":
		return "", &wireError{Status: 400, Code: "unsupported_response_type", Description: "response_type: must be code."}
	case f.Has("response_mode") && f.Get("response_mode") != "query":
		return "", invalidRequest("response_mode", "must be query")
	case len(f.Get("code_challenge")) != 43:
		return "", invalidRequest("code_challenge", "43 characters of base64url are required (RFC 7636 section 4.2)")
	case f.Get("code_challenge_method") != "S256":
		return "", invalidRequest("code_challenge_method", "must be S256 (RFC 9700 section 2.1.1)")
	case f.Has("dpop_jkt") && !isThumbprint(f.Get("dpop_jkt")):
		return "", invalidRequest("dpop_jkt", "must be a thumbprint: 43 characters of base64url (RFC 9449 section 10)")
	case f.Has("prompt") && f.Get("prompt") != "none" && f.Get("prompt") != "login":
		return "", invalidRequest("prompt", "must be none or login")
	case f.Has(oauth.ParamNotImpersonating) && f.Get(oauth.ParamNotImpersonating) != "true":
		return "", invalidRequest(oauth.ParamNotImpersonating, "must be true")
	case len(f.Get("state")) > 512:
		return "", invalidRequest("state", "may have 512 characters")
	}
	if _, err := oauth.ParseScope(f.Get("scope")); err != nil {
		return "", &wireError{Status: 400, Code: "invalid_scope", Description: "scope: tokens are printable ASCII with one space between (RFC 6749 section 3.3)."}
	}
	if slices.Contains(strings.Fields(f.Get("scope")), oauth.ScopeImpersonationWrite) {
		return "", &wireError{Status: 400, Code: "invalid_scope", Description: "scope: impersonation:write cannot be asked for."}
	}
	return pickResource(c, f["resource"])
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

// grantable is what user can get of what was asked for. The scope impersonate is there only for those whom some role lets
// impersonate; whether they may, and whom, is asked again at each start.
func (s *Server) grantable(user directory.User, asked []string) []string {
	p := impersonation.PersonOf(s.issuer, user)
	have := s.registry.ScopesOf(p)
	if s.registry.MayImpersonate(p) {
		have = append(slices.Clone(have), oauth.ScopeImpersonate)
	}
	granted := oauth.IntersectScope(asked, have)
	return slices.DeleteFunc(granted, func(scope string) bool {
		return scope == oauth.ScopeOfflineAccess || scope == oauth.ScopeImpersonationWrite
	})
}

// loginSuffices reports whether somebody is signed in recently enough for max_age and prompt.
func (s *Server) loginSuffices(login *impersonation.Login, f url.Values) (bool, error) {
	age := time.Duration(-1)
	if f.Has("max_age") {
		n, err := strconv.Atoi(f.Get("max_age"))
		if err != nil || n < 0 {
			return false, invalidRequest("max_age", "must be a number of seconds")
		}
		age = time.Duration(min(n, 1<<30)) * time.Second
	}
	switch {
	case login == nil, f.Get("prompt") == "login":
		return false, nil
	case age >= 0 && s.clock().Truncate(time.Second).Sub(login.AuthTime) > age: // auth_time has whole seconds
		return false, nil
	}
	return true, nil
}

// isHinted reports whether the person signed in is the one of id_token_hint (OpenID Connect Core §3.1.2.1), if there is one. An
// impersonation has no ID token, so it can hint at nobody.
func (s *Server) isHinted(login *impersonation.Login, f url.Values) (bool, error) {
	if !f.Has("id_token_hint") || login == nil {
		return true, nil
	}
	claims, err := s.keys().VerifyIDToken(f.Get("id_token_hint"), s.issuer)
	if err != nil {
		return false, invalidRequest("id_token_hint", "is not an ID token of this issuer")
	}
	return claims["sub"] == login.User, nil
}

// returnTo is this request again, for after the sign-in: without prompt, which the sign-in will have answered, and without what
// this endpoint does not know, such as a secret sent to the wrong place.
func returnTo(r *http.Request, f url.Values) string {
	q := make(url.Values)
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "resource", "dpop_jkt", "max_age", oauth.ParamNotImpersonating} {
		if f.Has(name) {
			q[name] = f[name]
		}
	}
	if f.Get("max_age") == "0" { // a sign-in takes longer than that; the app sees auth_time
		q.Del("max_age")
	}
	return r.URL.Path + "?" + q.Encode()
}

// redirectBack answers at the registered redirect_uri, with state and, against mix-up, iss (RFC 9207).
func (s *Server) redirectBack(w http.ResponseWriter, r *http.Request, f, answer url.Values) {
	u, err := url.Parse(f.Get("redirect_uri")) // it is registered, so it parses
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	q := u.Query()
	for name, values := range answer {
		q[name] = values
	}
	if f.Has("state") {
		q.Set("state", f.Get("state"))
	}
	q.Set("iss", s.issuer)
	u.RawQuery = q.Encode()
	noStore(w.Header())
	w.Header().Set("Location", u.String())
	w.WriteHeader(http.StatusSeeOther)
}
