package page

import (
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/policy"
)

// answers is the body of the POST.
type answers struct {
	subject      string
	Reason       string // newlines are \n
	TicketNumber string
	Mode         oauth.Mode
	minutes      int // zero: not a number
	cancel       bool
}

var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// readAnswers reads the body. What a person can mend on the form is let through here; what only a program sends is not.
func readAnswers(w http.ResponseWriter, r *http.Request) (answers, error) {
	v, err := form.PageBody(w, r, form.Rules{Multiline: []string{"reason"}})
	if err != nil {
		return answers{}, err
	}
	a := answers{
		subject: v.Get("subject"), Mode: oauth.Mode(v.Get("mode")), TicketNumber: strings.TrimSpace(v.Get("ticket_number")),
		// A browser sends CRLF (HTML §4.10.22.8), which would count twice.
		Reason: strings.TrimSpace(newlines.Replace(v.Get("reason"))),
	}
	a.minutes, _ = strconv.Atoi(v.Get("minutes")) // 0 is not on offer
	switch v.Get("action") {
	case "cancel":
		a.cancel = true
		return a, nil
	case "impersonate":
		return a, isText("subject", a.subject, maxID)
	}
	return answers{}, &badParameter{"action", "must be impersonate or cancel"}
}

// submit asks for the ticket and sends the browser back to the app.
func (v *visit) submit(typed answers) {
	u, o, known, err := v.choose(v.r.Context())
	if err != nil {
		v.directoryFailed(err)
		return
	}
	// Who cannot be had goes on to IssueTicket all the same: it refuses, and puts the attempt on record.
	if wrong := check(typed, o, displayName(u.Name, u.Email)); known && wrong != nil {
		v.form(http.StatusUnprocessableEntity, u, o, typed, wrong)
		return
	}
	ticket, err := v.p.cfg.Tickets.IssueTicket(v.r.Context(), impersonation.TicketRequest{
		Client: v.client.Policy.ID, RedirectURI: v.redirectURI, Actor: v.who.User.ID, Login: v.who.Login.ID, Subject: typed.subject,
		Mode: typed.Mode, Scope: v.scope, Resource: v.resource, Duration: time.Duration(typed.minutes) * time.Minute,
		Reason: typed.Reason, TicketNumber: typed.TicketNumber, CodeChallenge: v.challenge, RequestID: v.p.cfg.RequestID(v.r.Context()),
	})
	var refusal *impersonation.Refusal
	switch {
	case err == nil:
		redirect(v.w, v.answer(v.p.cfg.Issuer, "ticket", string(ticket)))
	case !errors.As(err, &refusal):
		v.p.fail(v.w, v.r, "issuing a ticket", err)
	case !known:
		v.unknown()
	case slices.Contains(refusal.Decision.Need, policy.NeedTicketNumber):
		v.form(http.StatusUnprocessableEntity, u, o, typed, faults{{"ticket_number", text("ask.err.ticket", u.Name)}})
	default:
		v.denied(u, refusal.Decision)
	}
}

// check says what is wrong with what was typed, in the order of the form; nil if nothing. The rules are the policy's, which
// has the last word; here they get words beside their fields.
func check(a answers, o offers, name string) (wrong faults) {
	switch n := utf8.RuneCountInString(a.Reason); {
	case n < policy.MinReason:
		wrong.add("reason", text("ask.err.reason", name))
	case n > policy.MaxReason:
		wrong.add("reason", text("ask.err.toolong"))
	}
	if utf8.RuneCountInString(a.TicketNumber) > policy.MaxTicketNumber {
		wrong.add("ticket_number", text("ask.err.longcase"))
	}
	have := o.of(a.Mode)
	switch {
	case have.Minutes == nil:
		wrong.add("mode", text("ask.err.mode"))
	case !slices.Contains(o.minutes(), a.minutes):
		wrong.add("minutes", text("ask.err.minutes"))
	case !slices.Contains(have.Minutes, a.minutes):
		wrong.add("minutes", text("ask.err.most", have.most()))
	}
	return wrong
}

// maxAdvice is how much of the policy's advice is shown: a few sentences.
const maxAdvice = 400

// deniedPage is what denied.html reads.
type deniedPage struct {
	Heading template.HTML
	Advice  string
	SignIn  string // link, "" if signing in again would not help
	Other   bool   // that signing in again is at another provider, which knows what it asks for
	Enrol   string // link, "" if a second factor is there or would not help
	Nothing bool   // say that the attempt is on record
	Change  string // link to the search
	Action  string // of the cancel form, "" shows none
}

// denied says why not, as far as the policy wants it said, and what would help.
func (v *visit) denied(u directory.User, d policy.Decision) {
	name := displayName(u.Name, u.Email)
	page := deniedPage{Heading: markup("denied.title", name), Advice: clean(d.Advice, maxAdvice), Nothing: true, Change: v.link("q", v.search), Action: v.link()}
	if page.Advice == "" {
		page.Advice = text("denied.advice")
	}
	if slices.Contains(d.Need, policy.NeedStepUp) {
		v.p.stepUp(v.who, v.here(), &page)
	}
	v.show("denied", frame{status: http.StatusForbidden, Title: text("denied.title", name), Failed: true, Narrow: true, Page: page})
}

// stepUp offers what would make the sign-in strong enough, with the way back to here.
func (p *Pages) stepUp(who Who, here string, page *deniedPage) {
	page.SignIn, page.Other = p.cfg.SignInURL(who, here), who.Login.Upstream != ""
	if page.SignIn == "" && who.Login.Upstream == "" {
		page.Enrol = p.cfg.SecondFactorURL(here)
	}
}

// factorFirst asks for a second factor before anybody is shown.
func (v *visit) factorFirst() {
	page := deniedPage{Heading: markup("find.title"), Advice: text("denied.first"), Action: v.link()}
	v.p.stepUp(v.who, v.here(), &page)
	v.show("denied", frame{status: http.StatusForbidden, Title: text("find.title"), Failed: true, Narrow: true, Page: page})
}
