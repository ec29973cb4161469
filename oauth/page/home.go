package page

import (
	"net/http"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

// Home writes the page that says who is signed in, with what they can do about it: sign out, set up a second factor, and read the
// trail where they may.
func (p *Pages) Home(w http.ResponseWriter, r *http.Request, who Who) {
	me := impersonation.PersonOf(p.cfg.Issuer, who.User)
	p.render(w, r, "home", frame{
		status: http.StatusOK, Title: text("home.title"), Me: who.User.Email, Narrow: true,
		Page: struct {
			Name, Email          string
			Audit, Enrol, Factor bool
		}{who.User.Name, who.User.Email, p.cfg.MayAudit(me) || p.cfg.MayImpersonate(me), !who.User.SecondFactor && who.Login.Upstream == "", who.User.SecondFactor},
	})
}
