package page

import "net/http"

// SignOutView asks whether to sign out, where an app says so and nobody knows whether the person meant it. The form posts nothing
// but itself.
type SignOutView struct {
	Action string // where the form goes: path and query on this origin
	// App is the registered name of the app that asks; "" names none.
	App string
	// RedirectURI is the validated post_logout_redirect_uri at which the sign-out ends, for form-action; "" if it ends here.
	RedirectURI string
	// Me is the e-mail address of who is signed in.
	Me string
}

// SignOut writes the page that asks whether to sign out.
func (p *Pages) SignOut(w http.ResponseWriter, r *http.Request, v SignOutView) {
	p.render(w, r, "signout", frame{status: http.StatusOK, formEnd: origin(v.RedirectURI), Title: text("signout.title"), Me: v.Me, Narrow: true, Page: v})
}

// SignedOutView says that one is signed out.
type SignedOutView struct {
	SignIn string // link to sign in again; "" shows none
	// Upstream is the provider at which they may still be signed in; "" for none.
	Upstream string
	// On leads on to the app that signed them out; zero where nobody waits. Its text is the app's name.
	On Link
}

// SignedOut writes the page after signing out.
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request, v SignedOutView) {
	p.render(w, r, "signedout", frame{status: http.StatusOK, Title: text("signedout.title"), Narrow: true, Page: v})
}
