package rp

import "net/http"

// aside reports whether r may come from the user's pages, on the origin that impersonation has of its own, by more than a
// link. Where that origin is of one site with the app's, browsers send the actor's sign-in along with all that script
// there asks of the app, also with a POST or from a frame, since SameSite=Lax keeps cookies only from other sites. To such
// a request the actor is nobody, as they are to a stranger's.
//
// A page that is opened in a tab is the actor's own: it takes the place of the script. So is what another origin asks that
// says its name: whether to trust that one is the app's affair.
func (a *App) aside(r *http.Request, st *site) bool {
	if a.acting == a.base || st != a.base {
		return false
	}
	if origin := value(r.Header, "Origin"); origin != "" && origin != "null" {
		return origin == a.acting.origin
	}
	switch value(r.Header, "Sec-Fetch-Site") {
	case "same-site", "cross-site": // the second also after redirects through the issuer
		return !safe(r.Method) || value(r.Header, "Sec-Fetch-Mode") != "navigate" || value(r.Header, "Sec-Fetch-Dest") != "document"
	}
	return false
}

// sever cuts the ties of window.opener between the user's pages and the actor's, whichever opened the other. An app that
// says otherwise is heard. Only an origin of its own has something to cut.
func (a *App) sever(h http.Header, st *site) {
	if a.acting != a.base && st == a.acting && h["Cross-Origin-Opener-Policy"] == nil {
		h["Cross-Origin-Opener-Policy"] = sameOrigin
	}
}

// sameOrigin is shared by all answers: nobody can append to it in place.
var sameOrigin = []string{"same-origin"}
