package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// upstreamWithin is how long an upstream may keep somebody waiting, with all that is fetched of it for one page.
const upstreamWithin = 3 * time.Second

// crossingsPerMinute is of one network: each that comes back is a row here and a request to the upstream, and anybody can come back. A house
// full of people may begin its day at once.
const crossingsPerMinute = 300

// spaceCrossing is where used states are kept.
const spaceCrossing = "upstream-state"

func (s *Server) gateURL(g *gate, p signInPage) string {
	q := url.Values{"return_to": {p.returnTo}}
	p.demand.encode(q)
	return "/sign-in/upstream/" + g.name() + "?" + q.Encode()
}

// onlyGate is the one way in, where there is one and nobody has a reason to see the page first; nil otherwise. Who is signed in has one:
// a link from anywhere would take the place of their login.
func (s *Server) onlyGate(r *http.Request, p signInPage) *gate {
	if len(s.gates) != 1 || s.byPassword != LocalDisabled || p.out {
		return nil
	}
	if login, _, err := s.findLogin(r); err != nil || login != nil {
		return nil
	}
	return s.gates[0]
}

// toUpstream is POST /sign-in/upstream/{name}, from the sign-in page.
func (s *Server) toUpstream(w http.ResponseWriter, r *http.Request) {
	g := s.gate(r.PathValue("name"))
	if g == nil {
		s.notFound(w, r)
		return
	}
	q, _, err := pageForm(w, r)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	p, err := s.signInPage(q)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	s.cross(w, r, g, p)
}

// backFromUpstream is for who loads that page again, where there is nothing to see.
func (s *Server) backFromUpstream(w http.ResponseWriter, r *http.Request) {
	f, err := form.Query(r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	seeOther(w, s.signInURL(safeReturn(f.Get("return_to")), noDemand))
}

// cross sends the browser to g.
func (s *Server) cross(w http.ResponseWriter, r *http.Request, g *gate, p signInPage) {
	c := newCrossing(g, p.demand, p.returnTo, s.clock())
	ctx, cancel := atUpstream(r.Context())
	defer cancel()
	to, err := g.provider.AuthURL(ctx, c.request(g))
	if err == nil {
		err = s.setCrossing(w, r, c)
	}
	if err != nil {
		s.upstreamFailed(w, r, g, faultOf(ctx, err), p.returnTo, err)
		return
	}
	s.pages.Leave(w, r, page.LeaveView{URL: to, Label: g.label()})
}

// atUpstream bounds what is asked of an upstream by itself: what comes after needs time of its own.
func atUpstream(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), upstreamWithin)
}

// faultOf is what err of a provider means to a person.
func faultOf(ctx context.Context, err error) page.UpstreamFault {
	var refused *upstream.Refused
	switch {
	case ctx.Err() != nil:
		return page.UpstreamSlow
	case errors.As(err, &refused) && (refused.Code == "temporarily_unavailable" || refused.Code == "server_error"), errors.Is(err, upstream.ErrUnavailable):
		return page.UpstreamDown
	case refused != nil:
		return page.UpstreamRefused
	case errors.Is(err, upstream.ErrAnswer):
		return page.UpstreamExpired
	}
	return page.UpstreamLied
}

// upstreamFailed writes the page and a line, of which there may be as many as strangers like to cause.
func (s *Server) upstreamFailed(w http.ResponseWriter, r *http.Request, g *gate, fault page.UpstreamFault, returnTo string, why error) {
	if ctx := r.Context(); s.strangers.Allow() {
		attrs := []any{"upstream", g.name(), "issuer", g.Provider.Issuer.URL, "fault", string(fault), "request_id", requestID(ctx)}
		if why != nil {
			attrs = append(attrs, "error", why)
		}
		s.log.WarnContext(ctx, "a sign-in through "+g.label()+" came to nothing", attrs...)
	}
	s.pages.UpstreamFailed(w, r, g.shown(fault), g.label(), s.signInURL(returnTo, noDemand)+"&out=1")
}

// shown is what of a fault they are told. Who could choose the address must not learn whose it is here.
func (g *gate) shown(fault page.UpstreamFault) page.UpstreamFault {
	if fault == page.UpstreamTaken && g.TrustEmail {
		return page.UpstreamUnknown
	}
	return fault
}

// fromUpstream is GET /sign-in/callback/{name}: what comes back from an upstream. Nothing of it counts but in the browser that was sent
// there, once, and at the address of the very upstream that was asked (RFC 9700 §4.4).
func (s *Server) fromUpstream(w http.ResponseWriter, r *http.Request) {
	g := s.gate(r.PathValue("name"))
	if g == nil {
		s.notFound(w, r)
		return
	}
	f, err := form.Query(r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	c := s.crossingOf(r, g.name(), f.Get("state"))
	if c == nil || f.Has("code") == f.Has("error") {
		s.upstreamFailed(w, r, g, page.UpstreamExpired, "/", nil)
		return
	}
	if err := s.crossings.spend(network(s.proxies.address(r)), s.clock()); err != nil {
		s.errorPage(w, r, err)
		return
	}
	s.setCookie(w, crossingCookie(c.State), "", -1)
	// Spent before the code is redeemed: an upstream may take a second use of that for a theft, and end what the first gave.
	err = s.store.UseOnce(r.Context(), spaceCrossing, encodeCookie(hashed(c.State)), s.clock(), c.Began.Add(crossingLifetime))
	switch {
	case errors.Is(err, store.ErrSpent):
		s.upstreamFailed(w, r, g, page.UpstreamExpired, "/", nil)
	case err != nil:
		s.errorPage(w, r, err)
	default:
		s.redeem(w, r, g, *c, upstream.Answer{Code: f.Get("code"), Iss: f.Get("iss"), Error: f.Get("error")})
	}
}

func hashed(secret string) []byte {
	h := oauth.Secret(secret).Hash()
	return h[:]
}

// redeem asks the upstream who came back, and opens their login.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request, g *gate, c crossing, a upstream.Answer) {
	ctx, cancel := atUpstream(r.Context())
	defer cancel()
	asked := c.request(g)
	asked.MaxAge = -1 // authTime looks at that, and has words for it
	id, err := g.provider.Redeem(ctx, a, asked)
	if err != nil {
		s.upstreamFailed(w, r, g, faultOf(ctx, err), c.returnTo(), err)
		return
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(r.Context()), answerWithin) // the upstream may have used up that of the request
	defer cancel()
	r = r.WithContext(ctx)
	o, fault := s.openingOf(g, c, id)
	if c.reused(fault, id.AuthTime) {
		s.cross(w, r, g, signInPage{returnTo: c.returnTo(), demand: demand{mfa: c.MFA}})
		return
	}
	if fault == "" {
		o.user, fault, err = s.personOf(ctx, g, id)
	}
	switch {
	case err != nil:
		s.errorPage(w, r, err)
	case fault != "":
		s.upstreamFailed(w, r, g, fault, c.returnTo(), nil)
	default:
		s.openLogin(w, r, o)
	}
}

// openingOf is the login that id comes to, or why it does not do: what was asked for is held to what is said, never taken for done.
func (s *Server) openingOf(g *gate, c crossing, id *upstream.Identity) (opening, page.UpstreamFault) {
	amr := g.amr(id)
	o := opening{
		returnTo: c.returnTo(), began: c.Began, subject: id.Subject,
		login: impersonation.Login{ACR: acrOf(amr), AMR: amr, Upstream: id.Issuer, UpstreamSession: id.Session},
	}
	if id.IDToken != "" {
		o.hint = s.box.Seal(purposeHint, []byte(id.IDToken))
	}
	if c.MFA && o.login.ACR != oauth.ACRMFA {
		return o, page.UpstreamWeak
	}
	fresh := false
	if o.login.AuthTime, fresh = s.authTime(c, id.AuthTime); !fresh {
		return o, page.UpstreamStale
	}
	return o, ""
}

// purposeHint seals what is kept for an upstream's end_session_endpoint.
const purposeHint = "login:upstream-hint"

// amr is how they signed in, with "mfa" if that is more than one factor by our own book, and never by theirs.
func (g *gate) amr(id *upstream.Identity) []string {
	const most = 8 // what RFC 8176 has words for in one sign-in
	var out []string
	for _, method := range id.AMR {
		if method != "mfa" && len(out) < most && amrValue(method) {
			out = append(out, method)
		}
	}
	if id.ACR != "" && slices.Contains(g.MFA, id.ACR) || slices.ContainsFunc(id.AMR, func(m string) bool { return slices.Contains(g.MFA, m) }) {
		out = append(out, "mfa")
	}
	return out
}

func amrValue(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// authTime is when they signed in there, by their clock, and whether that is as lately as c asked by ours: what an upstream that ignores
// prompt=login had before must not pass for what was asked, so nothing is added for clocks that differ. An upstream that does not say counts as
// if it were as long ago as a login can last, and so as fresh for nothing.
func (s *Server) authTime(c crossing, said time.Time) (at time.Time, fresh bool) {
	now := s.clock()
	if said.IsZero() {
		return now.Add(-s.life.Login), c.MaxAge < 0
	}
	if at = said; at.After(now) {
		at = now
	}
	return at, c.MaxAge < 0 || !at.Before(c.Began.Add(-c.MaxAge).Truncate(time.Second)) // auth_time has whole seconds
}
