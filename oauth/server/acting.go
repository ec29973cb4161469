package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/store"
)

// errActing means that the login impersonates somebody at the client, and the person has to say whether to stop.
var errActing = errors.New("stop impersonating first")

// acting gives the sessions that go on of a login at a client.
func (s *Server) acting(ctx context.Context, login *impersonation.Login, client string) (out []impersonation.Session, err error) {
	page, _, err := s.store.Sessions(ctx, store.SessionQuery{Live: true, Now: s.clock(), Actor: login.User, Client: client, Limit: 1000})
	for _, session := range page {
		if session.Login == login.ID && session.Client == client {
			out = append(out, session)
		}
	}
	return out, err
}

func (s *Server) actingURL(returnTo string) string {
	return "/sign-in/acting?" + url.Values{"return_to": {returnTo}}.Encode()
}

// showActing is GET /sign-in/acting: you are still impersonating somebody there.
func (s *Server) showActing(w http.ResponseWriter, r *http.Request) {
	s.withActing(w, r, func(returnTo string, user directory.User, sessions []impersonation.Session) {
		v := page.ActingView{Action: s.actingURL(returnTo), Me: user.Email}
		v.App, v.RedirectURI = s.destination(r.Context(), returnTo)
		for _, session := range sessions {
			subject, err := s.store.Get(r.Context(), session.Subject)
			if err != nil && !errors.Is(err, directory.ErrNotFound) {
				s.errorPage(w, r, err)
				return
			}
			v.Subjects = append(v.Subjects, page.Name(subject.Name, subject.Email))
		}
		s.pages.Acting(w, r, v)
	})
}

// stopActing is POST /sign-in/acting: the actor stops, and goes on as themselves.
func (s *Server) stopActing(w http.ResponseWriter, r *http.Request) {
	s.withActing(w, r, func(returnTo string, user directory.User, sessions []impersonation.Session) {
		for _, session := range sessions {
			_, err := s.service.End(r.Context(), impersonation.EndRequest{
				Scope: impersonation.ScopeSession, ID: session.ID, Reason: impersonation.EndStopped,
				By: oauth.Party{Issuer: s.issuer, Subject: user.ID}, RequestID: requestID(r.Context()),
			})
			if err != nil {
				s.errorPage(w, r, err)
				return
			}
		}
		seeOther(w, returnTo)
	})
}

// withActing calls f with what the page is about. Where there is nothing to stop it goes on to where one was going.
func (s *Server) withActing(w http.ResponseWriter, r *http.Request, f func(returnTo string, user directory.User, sessions []impersonation.Session)) {
	q, err := form.Query(r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	returnTo := safeReturn(q.Get("return_to"))
	login, user, err := s.signedIn(r)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	var sessions []impersonation.Session
	if login != nil {
		if u, err := url.Parse(returnTo); err == nil { // safeReturn has parsed it
			sessions, err = s.acting(r.Context(), login, u.Query().Get("client_id"))
			if err != nil {
				s.errorPage(w, r, err)
				return
			}
		}
	}
	if len(sessions) == 0 {
		seeOther(w, returnTo)
		return
	}
	f(returnTo, user, sessions)
}
