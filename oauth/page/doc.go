// Package page is the hosted pages: signing in, finding a user, asking to impersonate them, the trail, and what went wrong.
// Start with [New] and [Config], mount [Pages.Impersonate], [Pages.Audit] and [Pages.Static], and call [Pages.SignIn] and its
// sisters from the handlers that know about passwords.
//
// The pages work without JavaScript and send none. They keep nothing: who is signed in comes from Config.SignedIn, the
// parameters of the app ride in the query from step to step and are checked anew at each, and nothing is stored before
// the POST that asks for a ticket. The package decides nothing about who may impersonate whom (policy.Decider does),
// checks no password, knows no backend and no fosite. POST must stand behind [net/http.CrossOriginProtection], which
// whoever owns the mux puts there.
package page
