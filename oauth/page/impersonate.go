package page

import (
	"net/http"
	"slices"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

// Impersonate serves /impersonate: GET finds a user and asks why, POST asks for the ticket. It must be mounted at
// exactly that path, its POST behind [net/http.CrossOriginProtection].
//
// Required in the query of each request: client_id, redirect_uri (as registered), state (1 to 512 characters),
// code_challenge and code_challenge_method=S256. Optional: resource, scope, subject, reason, ticket_number, and the page's
// own q and after. The subject in the query is the sub by which the client knows the user. A POST adds a body with subject (the user's ID, so
// that it is whom the form showed), reason, ticket_number, mode (read or write), minutes and action
// (impersonate or cancel). The answer to the app is 303 to redirect_uri with ticket, state and iss, or with
// error=access_denied, state and iss.
func (p *Pages) Impersonate() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodPost:
			p.impersonate(w, r)
		default:
			p.methodNotAllowed(w, r, "GET, HEAD, POST")
		}
	})
}

func (p *Pages) impersonate(w http.ResponseWriter, r *http.Request) {
	q, err := p.readRequest(r)
	if err != nil {
		p.fail(w, r, "reading the request", err)
		return
	}
	var typed answers
	if r.Method == http.MethodPost {
		if typed, err = readAnswers(w, r); err != nil {
			p.fail(w, r, "reading the form", err)
			return
		}
		if typed.cancel { // asks for nothing, so it needs nobody signed in
			redirect(w, q.answer(p.cfg.Issuer, "error", "access_denied"))
			return
		}
		q.user, q.reason, q.ticketNumber = typed.subject, typed.Reason, typed.TicketNumber
		if q.client.Policy.SubjectIssuer == "" {
			q.subject = typed.subject
		}
	}
	who, ok, err := p.cfg.SignedIn(r)
	if err != nil {
		p.fail(w, r, "finding out who is signed in", err)
		return
	}
	if !ok {
		redirect(w, p.cfg.SignedOutURL(r, q.here()))
		return
	}
	v := &visit{p: p, w: w, r: r, request: q, who: who, actor: impersonation.PersonOf(p.cfg.Issuer, who.User)}
	switch {
	case !p.cfg.MayImpersonate(v.actor):
		v.notStaff()
	case r.Method == http.MethodPost: // the policy refuses it for the same reason, and puts that on record
		v.submit(typed)
	case p.cfg.RequireSecondFactor && !slices.Contains(who.Login.AMR, "mfa"):
		v.factorFirst()
	case q.subject != "":
		v.ask()
	default:
		v.find()
	}
}

// visit is one request of somebody signed in, with a valid query.
type visit struct {
	p *Pages
	w http.ResponseWriter
	r *http.Request
	*request
	who   Who
	actor policy.Person
}

// here is the path and query that lead back to this step, with what was typed.
func (q *request) here() string {
	return q.link("subject", q.subject, "reason", q.reason, "ticket_number", q.ticketNumber, "q", q.search, "after", q.after)
}

// show writes a page whose forms may end at the app.
func (v *visit) show(name string, f frame) {
	f.formEnd, f.Me = v.origin, v.who.User.Email
	v.p.render(v.w, v.r, name, f)
}

// notStaff tells somebody without any role for it, before anything of any user is shown.
func (v *visit) notStaff() {
	v.show("staff", frame{
		status: http.StatusForbidden, Title: text("staff.title"), Failed: true, Narrow: true,
		Page: staffPage{Title: markup("staff.title"), Text: markup("staff.text", v.who.User.Email), Action: v.link(), App: v.appName()},
	})
}
