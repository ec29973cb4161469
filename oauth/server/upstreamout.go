package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/store"
)

// leavingCookie holds, sealed, where one goes on to who is being signed out at an upstream.
const (
	leavingCookie  = "__Host-op-out"
	purposeLeaving = "cookie:sign-out"
)

// leaving is the way back to an app over an upstream. Back was validated when it was sealed; in the URL there is only State.
type leaving struct {
	State   string    `json:"state"`
	App     string    `json:"app"`
	Back    string    `json:"back"`
	Expires time.Time `json:"expires"`
}

// leaveUpstream sends who is signed out here to the upstream of login, to be signed out there too (OpenID Connect RP-Initiated Logout
// §2). An upstream that has no place for that, or does not say in time, keeps nobody: the page tells what may be left.
func (s *Server) leaveUpstream(w http.ResponseWriter, r *http.Request, login impersonation.Login, l logout) {
	g := s.gateOf(login.Upstream) // a login is not alive without it
	hint := s.hintAt(r, login.ID)
	ctx, cancel := atUpstream(r.Context())
	defer cancel()
	to, ok, err := g.provider.EndSessionURL(ctx, hint, s.setLeaving(w, l))
	switch {
	case ok:
		s.pages.Leave(w, r, page.LeaveView{URL: to, Label: g.label(), SignedOut: true})
	case err == nil && l.back != "":
		seeOther(w, l.back)
	default:
		if err != nil {
			s.log.WarnContext(r.Context(), "nobody can be signed out at "+g.label(), "upstream", g.name(), "error", err, "request_id", requestID(r.Context()))
		}
		v := page.SignedOutView{SignIn: signInAgain, Upstream: g.label()}
		if l.back != "" {
			v.On = page.Link{URL: l.back, Text: l.client.Name}
		}
		s.pages.SignedOut(w, r, v)
	}
}

// hintAt is the ID token that came with the login of id, "" if it cannot be had: the upstream asks whom it does not know for sure.
func (s *Server) hintAt(r *http.Request, id string) oauth.Secret {
	sealed, err := s.store.LoginHint(r.Context(), id)
	if err == nil && sealed == nil {
		return ""
	}
	var plain []byte
	if err == nil {
		plain, err = s.box.Open(purposeHint, sealed)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.log.WarnContext(r.Context(), "the hint of a login cannot be read", "error", err, "request_id", requestID(r.Context()))
	}
	return oauth.Secret(plain)
}

// setLeaving keeps where l goes on to, and gives the state under which it is found again; "" where it stays here, and where no
// browser would keep a cookie so long.
func (s *Server) setLeaving(w http.ResponseWriter, l logout) string {
	if l.back == "" {
		return ""
	}
	next := leaving{State: string(oauth.NewSecret()), App: l.client.Name, Back: l.back, Expires: s.clock().Add(crossingLifetime)}
	plain, err := json.Marshal(next)
	if err != nil {
		return ""
	}
	value := encodeCookie(s.box.Seal(purposeLeaving, plain))
	if len(value) > maxCrossingCookie {
		return ""
	}
	s.setCookie(w, leavingCookie, value, int(crossingLifetime.Seconds()))
	return next.State
}

// leftUpstream is GET /sign-in/signed-out: somebody comes back from an upstream, signed out. Only what this browser holds says where
// they go on to.
func (s *Server) leftUpstream(w http.ResponseWriter, r *http.Request) {
	f, err := form.Query(r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	l := s.leavingOf(r, f.Get("state"))
	if l == nil {
		s.showSignOut(w, r)
		return
	}
	s.setCookie(w, leavingCookie, "", -1)
	// No redirect, for the upstream's form-action may not name the app.
	s.pages.Leave(w, r, page.LeaveView{URL: l.Back, Label: l.App})
}

// leavingOf is that of state in this browser; nil if there is none that counts.
func (s *Server) leavingOf(r *http.Request, state string) *leaving {
	cookies := r.CookiesNamed(leavingCookie)
	if len(cookies) != 1 {
		return nil
	}
	sealed, err := decodeCookie(cookies[0].Value)
	if err != nil {
		return nil
	}
	plain, err := s.box.Open(purposeLeaving, sealed)
	if err != nil {
		return nil
	}
	var l leaving
	if err := json.Unmarshal(plain, &l); err != nil || l.State != state || !s.clock().Before(l.Expires) {
		return nil
	}
	return &l
}
