package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/store"
)

// opening is a sign-in that succeeded and is to become a login.
type opening struct {
	user     directory.User
	login    impersonation.Login // of it AuthTime, ACR, AMR and what is upstream
	returnTo string
	proved   oauth.Hash // of credentials of ours; zero for none
	hint     []byte     // see store.LoginWrite
	subject  string     // likewise, as began
	began    time.Time
	note     func(e *audit.Entry) // what the entry tells beside; may be nil
}

// openLogin opens a login under a fresh cookie, in place of the one that this browser had, and reports whether it did. It has answered
// either way. What changed since it was checked, credentials or the account, opens none: the sign-in starts over.
func (s *Server) openLogin(w http.ResponseWriter, r *http.Request, o opening) bool {
	ctx := r.Context()
	before, _, err := s.findLogin(r)
	if err != nil {
		s.errorPage(w, r, err)
		return false
	}
	cookie := oauth.NewSecret()
	write := s.loginWrite(r, o)
	write.Cookie = cookie.Hash()
	if before != nil {
		write.Replaces = before.ID
	}
	if err := s.store.CreateLogin(ctx, write); errors.Is(err, impersonation.ErrChanged) {
		seeOther(w, s.signInURL(o.returnTo, noDemand))
		return false
	} else if err != nil {
		s.errorPage(w, r, err)
		return false
	}
	s.setCookie(w, loginCookie, string(cookie), 0)
	s.setCookie(w, pendingCookie, "", -1)
	s.goOn(w, r, o)
	return true
}

// goOn leads to where they were going. On the way from an upstream to an app that is no redirect: a form there ends here, and Chromium would
// hold the redirect to the app to its form-action, in which there are we and no app of ours.
func (s *Server) goOn(w http.ResponseWriter, r *http.Request, o opening) {
	app, _ := s.destination(r.Context(), o.returnTo)
	if o.login.Upstream == "" || app == "" || !strings.HasPrefix(o.returnTo, "/oauth2/auth?") {
		seeOther(w, o.returnTo)
		return
	}
	s.pages.Leave(w, r, page.LeaveView{URL: o.returnTo, Label: app})
}

func (s *Server) loginWrite(r *http.Request, o opening) store.LoginWrite {
	ctx, now, login := r.Context(), s.clock(), o.login
	login.ID, login.User, login.AuthTime = oauth.NewID("lgn"), o.user.ID, login.AuthTime.Truncate(time.Second)
	login.Created, login.LastUsed, login.Expires = now, now, now.Add(s.life.Login)
	e := audit.New(audit.KindSignIn, now)
	e.Actor, e.Request = oauth.Party{Issuer: s.issuer, Subject: o.user.ID}, requestID(ctx)
	e.Set("login", login.ID)
	e.Set("amr", strings.Join(login.AMR, " "))
	e.Set("upstream", login.Upstream)
	e.SetPersonal("actor_name", o.user.Name)
	e.SetPersonal("actor_email", o.user.Email)
	e.SetPersonal("address", s.proxies.address(r))
	if o.note != nil {
		o.note(&e)
	}
	return store.LoginWrite{
		Write: impersonation.Write{Entries: []audit.Entry{e}, RequestID: requestID(ctx), Now: now}, Login: login, Proved: o.proved,
		Hint: o.hint, Subject: o.subject, Began: o.began,
	}
}
