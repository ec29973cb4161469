package rp

import (
	"context"
	"net/http"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

// askStop is GET /.understudy/stop: a page with the button, for pages that cannot have the banner.
func (a *App) askStop(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	switch {
	case v.session != nil:
		a.notice(w, r, v.site, a.stopNotice(v.session))
	case v.over:
		a.over(w, r, v)
	default:
		redirect(w, v.site.origin+a.landing("", v.person))
	}
}

// stop is POST /.understudy/stop. It works whatever state the cookies are in, and gives the actor's sign-in back only for
// the return token that the held sign-in of this very browser holds.
func (a *App) stop(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	switch {
	case !v.site.acts || v.jar.acting.n == 0 && v.jar.held.n == 0 && (a.acting != a.base || !v.over) && !named(r):
		a.nothingToStop(w, r, v)
	case a.acting == a.base:
		a.stopOver(w, r, v)
	default:
		a.stopApart(w, r, v)
	}
}

// nothingToStop: a second click, long after the first.
func (a *App) nothingToStop(w http.ResponseWriter, r *http.Request, v *visit) {
	if wantsJSON(r) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "not_impersonating"})
		return
	}
	redirect(w, v.site.origin+a.landing("", v.person))
}

// named reports whether the form names a session, as the banner's does: it was made under one, whatever the cookies say.
func named(r *http.Request) bool {
	id := peekForm(r).session
	return id != "" && id != noSession
}

// lost answers a stop of a session that no cookie tells: the browser has dropped it, or it cannot be read. Only the issuer
// knows which it was, so it is asked, and asks the person, before anybody is signed in.
func (a *App) lost(w http.ResponseWriter, r *http.Request, v *visit) {
	a.log.WarnContext(r.Context(), "a stop came without a cookie that tells what to stop")
	to := a.base.origin + "/"
	if a.base.signsIn {
		to = a.base.origin + root + "sign-in?lost=true"
	}
	switch {
	case wantsJSON(r):
		writeJSON(w, http.StatusOK, stopJSON{Redirect: to})
	case a.base.signsIn:
		redirect(w, to)
	default:
		n := a.endedNotice(v.site, nil, false)
		n.status = http.StatusOK
		a.notice(w, r, v.site, n)
	}
}

// stopJSON is what a program is told of a stop.
type stopJSON struct {
	Stopped  bool   `json:"stopped"`  // the issuer has confirmed it; in this browser it is over either way
	Redirect string `json:"redirect"` // where to go on
	Detail   string `json:"detail,omitempty"`
}

// stopOver stops where impersonation lies over the app's own origin.
func (a *App) stopOver(w http.ResponseWriter, r *http.Request, v *visit) {
	h := v.heldSignIn()
	if s := v.ended(); s != nil {
		a.forget(s.ID)
	}
	v.site.expire(w, v.site.acting.name, v.site.held.name)
	a.clear(w)
	if a.cfg.Hold != nil {
		if err := a.cfg.Hold(w, r, ""); err != nil {
			a.log.ErrorContext(r.Context(), "lifting the hold of a sign-in failed", "error", err)
		}
	}
	switch {
	case h == nil && !v.saw:
		a.lost(w, r, v)
		return
	case h == nil || v.saw && v.acting.ID != h.Session:
		a.stopStolen(w, r, v)
		return
	}
	token, err := a.giveBack(r.Context(), h.Return)
	s := v.ended()
	switch {
	case (isOver(err) || err == nil && a.cfg.ForeignActor) && r.PostFormValue("over") != "": // they were told that it has ended, and pressed the way back
		a.stopped(w, r, a.base.origin+a.landing(h.ReturnTo, nil))
		return
	case isOver(err): // stopped before, ended by somebody else, or nothing left of the sign-in
		a.ended(w, r, v, s)
		return
	case err != nil:
		a.unconfirmed(w, r, v, s, h.Return, err)
		return
	}
	a.tellStopped(r.Context(), *s, token)
	to := h.ReturnTo
	if a.base.signsIn {
		p, err := a.issuer.userinfo(r.Context(), token)
		if err != nil {
			a.log.WarnContext(r.Context(), "the actor has to sign in again after a stop", "session", s.ID, "error", err)
		} else if p.Subject == h.Actor.Subject {
			if !a.signsIn(w, r, v, p) {
				return
			}
			to = a.landing(to, &p)
		}
	}
	a.stopped(w, r, a.base.origin+a.landing(to, nil))
}

// giveBack ends the session at the issuer, and gives the actor's own access token again, "" for a foreign actor: their provider was never
// asked for one. What was over before is then no error (RFC 7009 §2.2).
func (a *App) giveBack(ctx context.Context, ending oauth.Secret) (oauth.Secret, error) {
	if a.cfg.ForeignActor {
		return "", a.issuer.revoke(ctx, ending)
	}
	return a.issuer.back(ctx, ending)
}

// stopStolen ends, and gives nothing back: the two cookies are not of one session, or the impersonation's came alone, as it
// would from somebody who stole it.
func (a *App) stopStolen(w http.ResponseWriter, r *http.Request, v *visit) {
	if v.saw {
		a.endNow(r.Context(), v.acting.Session, v.acting.Token)
	}
	if h := v.heldSignIn(); h != nil {
		a.endNow(r.Context(), *v.ended(), h.Return)
	}
	a.log.WarnContext(r.Context(), "a stop came without the sign-in that was held: the session was ended, nobody was signed in", "session", v.ended().ID)
	a.ended(w, r, v, v.ended())
}

// clear makes the browser forget the pages of whoever was here, at the start and at the stop. On an origin of its own also
// what they keep in it, at the start too: a service worker that is there already would answer Stop by itself.
func (a *App) clear(w http.ResponseWriter) {
	what := `"cache"`
	if a.acting != a.base {
		what = `"cache", "storage"` // never "cookies", which would reach sibling hosts
	}
	w.Header().Set("Clear-Site-Data", what)
}

// stopApart stops on an origin of its own: nothing of this browser's stays there, and the actor's sign-in was never here.
func (a *App) stopApart(w http.ResponseWriter, r *http.Request, v *visit) {
	for _, c := range r.Cookies() { // those of the user's pages too
		v.site.expire(w, c.Name)
	}
	v.site.expire(w, v.site.acting.name)
	a.clear(w)
	if !v.saw {
		a.lost(w, r, v)
		return
	}
	s := &v.acting.Session
	a.forget(s.ID)
	token, err := a.issuer.back(r.Context(), v.acting.Return)
	switch {
	case isOver(err):
		a.ended(w, r, v, s)
		return
	case err != nil:
		a.unconfirmed(w, r, v, s, v.acting.Return, err)
		return
	}
	a.tellStopped(r.Context(), *s, token)
	a.stopped(w, r, a.base.origin+a.landing(v.acting.ReturnTo, nil))
}

func (a *App) tellStopped(ctx context.Context, s Session, token oauth.Secret) {
	a.log.InfoContext(ctx, s.Actor.label()+" stopped impersonating "+s.Subject.label(), a.about(s)...)
	if a.cfg.Stopped != nil {
		a.cfg.Stopped(ctx, s, token)
	}
}

// stopped leads on to where the actor was.
func (a *App) stopped(w http.ResponseWriter, r *http.Request, to string) {
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, stopJSON{Stopped: true, Redirect: to})
		return
	}
	redirect(w, to)
}

// ended answers a stop of what was over already. Whoever stopped in another tab is signed in there, and stays so.
func (a *App) ended(w http.ResponseWriter, r *http.Request, v *visit, s *Session) {
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, stopJSON{Stopped: true, Redirect: a.base.origin + a.landing("", nil)})
		return
	}
	n := a.endedNotice(v.site, s, false)
	n.status = http.StatusOK
	a.notice(w, r, v.site, n)
}

// unconfirmed answers a stop that the issuer did not: it is over in this browser, and is ended there as soon as can be.
func (a *App) unconfirmed(w http.ResponseWriter, r *http.Request, v *visit, s *Session, token oauth.Secret, err error) {
	a.log.ErrorContext(r.Context(), "a stop was not confirmed and will be tried again", "session", s.ID, "error", err)
	a.ending.add(token, *s)
	n := a.stoppingNotice(s)
	if wantsJSON(r) { // as a page it is an error, to a program no obstacle: it has somewhere to go
		writeJSON(w, http.StatusAccepted, stopJSON{Redirect: a.base.origin + "/", Detail: n.detail()})
		return
	}
	a.notice(w, r, v.site, n)
}

// wantsJSON reports whether a program asks, not a page's form.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// signOut is POST /.understudy/sign-out: the person's own sign-in at this app ends.
func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	switch {
	case v.session != nil || v.over:
		a.notice(w, r, v.site, a.stopFirstNotice(v.ended()))
		return
	case v.site.signsIn:
		v.site.expire(w, v.site.signIn.name)
	}
	w.Header().Set("Clear-Site-Data", `"cache"`)
	a.notice(w, r, v.site, notice{
		status: http.StatusOK, title: text("signedout.title"), lines: []string{text("signedout.text")},
		links: []link{{URL: a.base.origin + "/", Text: text("signedout.again")}, {URL: a.cfg.Issuer + "/sign-out", Text: text("signedout.issuer")}},
	})
}

// crossOrigin answers a POST that did not come from this origin's own pages. Nothing was done.
func (a *App) crossOrigin(w http.ResponseWriter, r *http.Request) {
	a.notice(w, r, visitFrom(r.Context()).site, a.failedNotice("failed.origin", ""))
}
