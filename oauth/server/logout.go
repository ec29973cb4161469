package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/store"
)

// logoutParameters are those of OpenID Connect RP-Initiated Logout §2 that count here. logout_hint and ui_locales do not: who is
// signed in the cookie says, and the pages speak one language.
var logoutParameters = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}

// signInAgain is the sign-in page for who has just signed out: it goes nowhere by itself.
const signInAgain = "/sign-in?out=1"

// logout is a request to sign out, by an app or by a page of ours.
type logout struct {
	client *client // nil where nobody is named
	login  string  // the sid of the ID token that came with it, "" for none that counts
	back   string  // where to go afterwards, with state; "" stays here
}

// endSession is GET /oauth2/logout (OpenID Connect RP-Initiated Logout §2). Only an ID token of this very sign-in shows that it is
// the person's app that asks, and ends it at once; otherwise a link on any site could, so the person is asked.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	q, err := form.Query(r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	l, err := s.readLogout(r.Context(), q)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	login, user, err := s.findLogin(r)
	switch {
	case err != nil:
		s.errorPage(w, r, err)
	case login == nil || l.login == login.ID:
		s.leave(w, r, login, l)
	default:
		v := page.SignOutView{Action: "/sign-out", RedirectURI: l.back, Me: user.Email}
		if l.client != nil {
			v.App = l.client.Name
			v.Action += "?" + l.again(q).Encode()
		}
		s.pages.SignOut(w, r, v)
	}
}

// endSessionForm is POST /oauth2/logout. A POST from another site comes without our cookie (SameSite=Lax), so it goes on as a GET.
func (s *Server) endSessionForm(w http.ResponseWriter, r *http.Request) {
	f, err := form.Body(w, r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	q := make(url.Values)
	for _, name := range logoutParameters {
		if f.Has(name) {
			q.Set(name, f.Get(name))
		}
	}
	seeOther(w, r.URL.Path+"?"+q.Encode())
}

// readLogout finds out who asks and where to go afterwards: nowhere but to what that client has registered, byte by byte. An ID
// token that is not ours, or not for client_id, counts for nothing, and nothing beside it does.
func (s *Server) readLogout(ctx context.Context, f url.Values) (l logout, err error) {
	id := f.Get("client_id")
	if f.Has("id_token_hint") {
		claims, err := s.keys().VerifyIDToken(f.Get("id_token_hint"), s.issuer)
		aud, _ := claims["aud"].(string)
		if err != nil || id != "" && id != aud {
			return logout{}, nil
		}
		l.login, _ = claims["sid"].(string)
		id = aud
	}
	if id != "" {
		l.client, err = s.client(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return logout{}, invalidRequest("client_id", "no such client")
		}
		if err != nil {
			return logout{}, err
		}
	}
	if f.Has("post_logout_redirect_uri") {
		l.back, err = l.target(f)
	}
	return l, err
}

func (l logout) target(f url.Values) (string, error) {
	uri := f.Get("post_logout_redirect_uri")
	switch {
	case l.client == nil:
		return "", invalidRequest("post_logout_redirect_uri", "needs client_id or id_token_hint beside it")
	case !slices.Contains(l.client.Settings.PostLogoutRedirectURIs, uri):
		return "", invalidRequest("post_logout_redirect_uri", "is not registered for this client, byte by byte")
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "", err // it is registered, so it parses
	}
	if f.Has("state") {
		q := u.Query()
		q.Set("state", f.Get("state"))
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}

// again is l as parameters of our own form, without the ID token: that the person presses the button is better.
func (l logout) again(f url.Values) url.Values {
	q := url.Values{"client_id": {l.client.ID}}
	for _, name := range []string{"post_logout_redirect_uri", "state"} {
		if f.Has(name) {
			q.Set(name, f.Get(name))
		}
	}
	return q
}

func (s *Server) showSignOut(w http.ResponseWriter, r *http.Request) {
	login, user, err := s.signedIn(r)
	switch {
	case err != nil:
		s.errorPage(w, r, err)
	case login == nil:
		s.pages.SignedOut(w, r, page.SignedOutView{SignIn: signInAgain})
	default:
		s.pages.Home(w, r, page.Who{User: user, Login: *login})
	}
}

// signOut is POST /sign-out, from a page of ours. What stands in the query decides where to go afterwards, and never whether: a
// query that is no good leads to our own page.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	login, _, err := s.findLogin(r)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	var l logout
	if q, err := form.Query(r, form.Rules{}); err == nil {
		if l, err = s.readLogout(r.Context(), q); err != nil {
			l = logout{}
		}
	}
	s.leave(w, r, login, l)
}

// leave ends a login, if there is one, its tokens, and every impersonation that stands on it, in one write. If the store fails,
// the cookie stays, so that the person can try again. What follows, at an upstream and at the app, takes nothing of that back.
func (s *Server) leave(w http.ResponseWriter, r *http.Request, login *impersonation.Login, l logout) {
	if login != nil {
		if err := s.endLogin(r.Context(), *login); err != nil {
			s.errorPage(w, r, err)
			return
		}
	}
	w.Header().Set("Clear-Site-Data", `"cache"`)
	s.setCookie(w, loginCookie, "", -1)
	s.setCookie(w, pendingCookie, "", -1)
	switch {
	case login != nil && login.Upstream != "":
		s.leaveUpstream(w, r, *login, l)
	case l.back != "":
		seeOther(w, l.back)
	default:
		s.pages.SignedOut(w, r, page.SignedOutView{SignIn: signInAgain})
	}
}

func (s *Server) endLogin(ctx context.Context, login impersonation.Login) error {
	now := s.clock()
	e := audit.New(audit.KindSignOut, now)
	e.Actor, e.Request = oauth.Party{Issuer: s.issuer, Subject: login.User}, requestID(ctx)
	e.Set("login", login.ID)
	_, err := s.store.EndLogin(ctx, impersonation.EndWrite{
		Write: impersonation.Write{Entries: []audit.Entry{e}, RequestID: requestID(ctx), Now: now},
		Scope: impersonation.ScopeLogin, ID: login.ID, Reason: impersonation.EndSignedOut, By: e.Actor, Issuer: s.issuer,
	})
	return err
}
