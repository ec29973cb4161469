package page

import "net/http"

// Home writes the page that says who is signed in, with what they can do about it: sign out, and set up a second factor.
func (p *Pages) Home(w http.ResponseWriter, r *http.Request, who Who) {
	p.render(w, r, "home", frame{
		status: http.StatusOK, Title: text("home.title"), Me: who.User.Email, Narrow: true,
		Page: struct {
			Name, Email string
			Enrol       bool
		}{who.User.Name, who.User.Email, !who.User.SecondFactor},
	})
}
