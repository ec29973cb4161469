package page

import (
	"net/http"
	"time"
)

// UpstreamChoice is another provider to sign in through.
type UpstreamChoice struct {
	// Action is where its form goes: path and query on this origin. It posts nothing.
	Action string
	// Label is its name for people.
	Label string
}

// LeaveView is the page from which the browser goes on to another site by itself.
type LeaveView struct {
	URL   string // absolute, http or https; or path and query on this origin, where what comes after leads on
	Label string // whose site it is
	// SignedOut says that one is signed out here, and goes there to be signed out too.
	SignedOut bool
}

// Leave writes a page that goes on at once. It is no redirect: of one that follows a form, Chromium holds each hop to the form-action of
// the page before, and nobody knows all hops of another site. It takes its own place in the history, so Back does not lead into it.
func (p *Pages) Leave(w http.ResponseWriter, r *http.Request, v LeaveView) {
	title := text("leave.title", v.Label)
	if v.SignedOut {
		title = text("signedout.title")
	}
	w.Header().Set("Refresh", "0; url="+v.URL)
	p.render(w, r, "leave", frame{status: http.StatusOK, Title: title, Narrow: true, Page: v})
}

// UpstreamFault is why a sign-in through another provider came to nothing.
type UpstreamFault string

// The faults. With each, nothing was stored.
const (
	UpstreamDown     UpstreamFault = "down"     // it did not answer, or said that it cannot
	UpstreamSlow     UpstreamFault = "slow"     // it did not answer in time
	UpstreamLied     UpstreamFault = "lied"     // its answer cannot be used
	UpstreamRefused  UpstreamFault = "refused"  // it did not sign them in
	UpstreamExpired  UpstreamFault = "expired"  // the answer is not one to a question of this browser, or comes too late, or again
	UpstreamWeak     UpstreamFault = "weak"     // it was not by a second factor
	UpstreamStale    UpstreamFault = "stale"    // it was not a fresh sign-in, or nobody says that it was
	UpstreamUnknown  UpstreamFault = "unknown"  // nobody here is linked to who they are there
	UpstreamDisabled UpstreamFault = "disabled" // who is, is disabled
	UpstreamTaken    UpstreamFault = "taken"    // somebody else here has their e-mail address
	UpstreamNoEmail  UpstreamFault = "noemail"  // it vouches for no e-mail address
	UpstreamNoPlace  UpstreamFault = "noplace"  // it does not say which organisation
)

var upstreamStatus = map[UpstreamFault]int{
	UpstreamDown: http.StatusBadGateway, UpstreamSlow: http.StatusGatewayTimeout, UpstreamLied: http.StatusBadGateway,
	UpstreamRefused: http.StatusBadRequest, UpstreamExpired: http.StatusBadRequest,
}

// UpstreamFailed writes the page that says so. label is the provider's name, again where to sign in: path and query on this origin.
func (p *Pages) UpstreamFailed(w http.ResponseWriter, r *http.Request, fault UpstreamFault, label, again string) {
	v := ErrorView{Status: http.StatusForbidden, Title: named("upstream."+string(fault)+".title", label), Text: named("upstream."+string(fault), label),
		Back: Link{URL: again, Text: text("upstream.again")}}
	if status, ok := upstreamStatus[fault]; ok {
		v.Status = status
	}
	if v.Status >= http.StatusInternalServerError {
		v.RetryAfter = 5 * time.Second
	}
	p.Error(w, r, v)
}
