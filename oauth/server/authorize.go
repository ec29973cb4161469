package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// authorize is GET /oauth2/auth: the code flow (OpenID Connect Core §3.1.2) for registered clients, which need no consent.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.errorPage(w, r, &wireError{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "This address takes GET only."})
		return
	}
	a, err := s.readAuthRequest(r)
	if err != nil { // before anything is ever sent to the redirect_uri
		s.errorPage(w, r, err)
		return
	}
	answer, err := s.authorization(r, a)
	switch {
	case errors.Is(err, errSignIn):
		seeOther(w, s.signInURL(a.again(r.URL.Path), a.demand()))
	case errors.Is(err, errActing):
		seeOther(w, s.actingURL(a.again(r.URL.Path)))
	case errors.Is(err, errPushed), err != nil && toWire(err).Status >= 500:
		s.errorPage(w, r, err)
	case err != nil:
		e := toWire(err)
		s.redirectBack(w, r, a.form, url.Values{"error": {e.Code}, "error_description": {describe(e.Description)}})
	default:
		s.redirectBack(w, r, a.form, answer)
	}
}

// errSignIn means that nobody is signed in, or not well enough.
var errSignIn = errors.New("sign in first")

// authorization gives the parameters of the answer.
func (s *Server) authorization(r *http.Request, a *authRequest) (url.Values, error) {
	ctx := r.Context()
	if a.client.Settings.RequirePAR && a.pushed == nil {
		return nil, invalidRequest("request_uri", "is required: this client pushes its requests (RFC 9126 section 6)")
	}
	if err := s.checkAuthRequest(ctx, a); err != nil {
		return nil, err
	}
	if !s.keys().Signs(idTokenAlg(a.client)) {
		return nil, errAlgorithm
	}
	login, user, err := s.signedIn(r)
	if err != nil {
		return nil, err
	}
	acr, err := s.signInFor(a, login, user)
	if err != nil {
		return nil, err
	}
	name := s.nameFor(a.client, user)
	if name == "" {
		return nil, errUnnamed
	}
	if err := s.mayAnswer(ctx, a, login); err != nil {
		return nil, err
	}
	asked := a.requester.GetRequestedScopes()
	granted := s.grantable(user, a.resource, asked)
	if len(granted) == 0 && len(asked) > 0 {
		return nil, errNoScope
	}
	for _, scope := range granted {
		a.requester.GrantScope(scope)
	}
	a.requester.GrantAudience(a.resource)
	session := &TokenSession{user: user.ID, Claims: tokens.Claims{
		Subject: name, Audience: a.resource, Session: login.ID, AuthTime: login.AuthTime, ACR: acr, AMR: login.AMR,
		Key: a.form.Get("dpop_jkt"),
	}}
	if err := s.usePushed(ctx, a); err != nil { // last, after all that can refuse
		return nil, err
	}
	resp, err := s.provider.NewAuthorizeResponse(ctx, a.requester, session)
	if err != nil {
		return nil, err
	}
	return url.Values{"code": {resp.GetCode()}}, nil
}

// signInFor gives the acr of the answer, or errSignIn if the person has to sign in, again or as somebody else; with prompt=none
// nobody is asked.
func (s *Server) signInFor(a *authRequest, login *impersonation.Login, user directory.User) (string, error) {
	acr, err := "", errSignIn
	switch {
	case login == nil, !a.fresh(login, s.clock()):
	case a.hint.sub != "" && s.nameFor(a.hint.client, user) != a.hint.sub:
		if a.since(login) { // they signed in for this very request, as somebody else
			return "", errLogin
		}
		a.other = true
	default:
		acr, err = s.acrFor(a.acr, login, user)
	}
	if errors.Is(err, errSignIn) && a.form.Get("prompt") == "none" {
		return "", errLogin
	}
	return acr, err
}

var errLogin = &wireError{Status: http.StatusBadRequest, Code: "login_required", Description: "Nobody is signed in as was asked for, or not recently enough."}

// mayAnswer keeps the answer of who still impersonates somebody at the client, where the client asked for that.
func (s *Server) mayAnswer(ctx context.Context, a *authRequest, login *impersonation.Login) error {
	if !a.form.Has(oauth.ParamNotImpersonating) {
		return nil
	}
	acting, err := s.acting(ctx, login, a.client.ID)
	switch {
	case err != nil, len(acting) == 0:
		return err
	case a.form.Get("prompt") == "none":
		return &wireError{Status: http.StatusBadRequest, Code: "interaction_required", Description: "Somebody is impersonated by this sign-in."}
	}
	return errActing
}

// grantable is what user can get at resource of what was asked for. The scope impersonate is there only for those whom some role lets
// impersonate; whether they may, and whom, is asked again at each start.
func (s *Server) grantable(user directory.User, resource string, asked []string) []string {
	p := impersonation.PersonOf(s.issuer, user)
	have := s.registry.ScopesOf(p)
	if s.registry.MayImpersonate(p) {
		have = append(slices.Clone(have), oauth.ScopeImpersonate)
	}
	granted := oauth.IntersectScope(asked, have)
	return slices.DeleteFunc(granted, func(scope string) bool {
		return scope == oauth.ScopeOfflineAccess || scope == oauth.ScopeImpersonationWrite || !s.meansAt(resource, scope)
	})
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
