package page

import (
	"net/http"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
)

// askPage is what ask.html reads.
type askPage struct {
	Action  string // of the form
	Change  string // link to the search
	App, Me string
	Subject subject
	Offers  offers
	Minutes []minuteChoice
	Typed   answers
	Faults  faults
}

// subject is the card of who will be impersonated.
type subject struct {
	ID, Initials, Name, Email, Organisation string
	LastSignIn                              time.Time
}

// minuteChoice is one radio button.
type minuteChoice struct {
	N       int
	Most    bool
	Checked bool
}

// modeChoice is one radio button of what one can do.
type modeChoice struct {
	Mode, Title, Hint string // Title and Hint are keys of messages
	Checked           bool
	Offer             offer
	Name              string // of the subject
}

func modeChoiceOf(mode string, checked bool, o offer, name string) modeChoice {
	return modeChoice{mode, "ask." + mode, "ask." + mode + ".hint", checked, o, name}
}

// ask shows the empty form, filled in only as far as a link may: who, why, which case. How much and how long is what
// hands over an account, so no link chooses it.
func (v *visit) ask() {
	if err := v.p.cfg.Searched(v.r.Context(), v.who, "id:"+v.subject); err != nil {
		v.p.fail(v.w, v.r, "recording who is opened", err)
		return
	}
	u, o, known, err := v.choose(v.r.Context())
	switch {
	case err != nil:
		v.directoryFailed(err)
	case !known:
		v.unknown()
	default:
		v.form(http.StatusOK, u, o, v.defaults(o), nil)
	}
}

// defaults are look only, for as long as is usual.
func (v *visit) defaults(o offers) answers {
	a := answers{subject: v.subject, Reason: v.reason, TicketNumber: v.ticketNumber, Mode: oauth.ModeRead}
	if o.Read.Minutes == nil {
		a.Mode = oauth.ModeWrite
	}
	have := o.of(a.Mode)
	a.minutes = have.most()
	if slices.Contains(have.Minutes, usual) {
		a.minutes = usual
	}
	return a
}

// form writes the form with what was typed and what is wrong with it.
func (v *visit) form(status int, u directory.User, o offers, typed answers, wrong faults) {
	name := displayName(u.Name, u.Email)
	page := askPage{
		Action: v.postTo(), Change: v.link("q", v.search), App: v.appName(), Me: v.who.User.Email,
		Subject: subject{u.ID, initials(name), name, u.Email, u.Organisation, u.LastSignIn},
		Offers:  o, Typed: typed, Faults: wrong,
	}
	have := o.minutes()
	for _, n := range have {
		page.Minutes = append(page.Minutes, minuteChoice{N: n, Most: n == have[len(have)-1], Checked: n == typed.minutes})
	}
	v.show("ask", frame{status: status, Title: text("ask.title", name), Failed: wrong != nil, Narrow: true, Page: page})
}

// postTo is where the form goes: what the app asked for stays in the query, what the person says goes into the body.
func (q *request) postTo() string {
	subject := q.subject // for the way back from a sign-in
	if q.client.Policy.SubjectIssuer == "" {
		subject = "" // the body says it
	}
	return q.link("subject", subject, "reason", "", "ticket_number", "", "q", q.search)
}

// unknown answers alike for a user who does not exist and for one who cannot be impersonated.
func (v *visit) unknown() {
	v.show("denied", frame{
		status: http.StatusForbidden, Title: text("unknown.title"), Failed: true, Narrow: true,
		Page: deniedPage{Heading: markup("unknown.title"), Advice: text("unknown.text"), Change: v.link("q", v.search), Action: v.link()},
	})
}
