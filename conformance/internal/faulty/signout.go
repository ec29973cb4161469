package faulty

import (
	"net/http"
	"strings"
)

// askToSignOut is the page of OpenID Connect RP-Initiated Logout §2. It asks whoever comes, whatever brought them, and leads nowhere: no client has registered where to.
func (s *Server) askToSignOut(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, c := q.Get("post_logout_redirect_uri"), client(q.Get("client_id"))
	if back != "" && s.wrong("sign-out-leads-anywhere") || c != nil && strings.HasPrefix(back, c.RedirectURI) && s.wrong("sign-out-leads-to-almost") {
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	if s.wrong("sign-out-by-link") {
		s.signOut(w, r)
		return
	}
	s.show(w, http.StatusOK, shown{Title: "Sign out?", SignOut: true})
}

// signOut takes its form: with a sign-in ends all that came of it.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	l := s.who(r)
	for cookie, other := range s.logins {
		if l != nil && other == l {
			delete(s.logins, cookie)
		}
	}
	for _, t := range s.tokens {
		spared := s.wrong("sign-out-ends-nothing") || t.actor == nil && s.wrong("sign-out-spares-tickets")
		if l != nil && t.login == l && !spared {
			t.grant.over = true
		}
	}
	for value, o := range s.once {
		spared := s.wrong("sign-out-ends-nothing") || o.kind == "ticket" && s.wrong("sign-out-spares-tickets")
		if l != nil && o.login == l && !spared {
			delete(s.once, value)
		}
	}
	s.show(w, http.StatusOK, shown{Title: "You have signed out"})
}
