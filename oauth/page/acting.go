package page

import "net/http"

// ActingView says that somebody still impersonates others at an app to which they go on as themselves. The form posts
// nothing but itself.
type ActingView struct {
	Action, App, RedirectURI string // as in SignInView
	// Me is the e-mail address of who is signed in, Subjects are the names of whom they impersonate.
	Me       string
	Subjects []string
}

// Acting writes the page that asks whether to stop.
func (p *Pages) Acting(w http.ResponseWriter, r *http.Request, v ActingView) {
	p.render(w, r, "acting", frame{status: http.StatusOK, formEnd: origin(v.RedirectURI), Title: text("acting.title"), Me: v.Me, Narrow: true, Page: v})
}

// Name is how a page names somebody: by name, or else by e-mail address.
func Name(name, email string) string { return displayName(name, email) }
