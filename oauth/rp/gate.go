package rp

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// visit is what Handler found out about one request. Nothing in it but shown changes once a handler sees it.
type visit struct {
	app     *App
	site    *site
	session *Session // nil when nobody impersonates
	person  *Person  // who signed in, when nobody impersonates
	fresh   bool     // not long ago
	// over tells that an impersonation was here and cannot go on: nobody is served as anybody before Stop.
	over   bool
	jar    jar
	saw    bool   // the impersonation's cookie could be opened: it is in acting, also when it is over
	held   string // what the held sign-in's cookie holds, if it could be opened; see heldSignIn
	acting acting
	shown  bool  // the handler put the banner into its page itself
	back   *flow // the start that leads back where it fails; nil if a page of ours says so
	entry        // as it is recorded
}

func visitFrom(ctx context.Context) *visit {
	v, _ := ctx.Value(ctxKey{}).(*visit)
	return v
}

func (v *visit) into(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), ctxKey{}, v))
}

// visit finds out what the cookies of r stand for.
func (a *App) visit(r *http.Request, st *site, j jar) (*visit, error) {
	v := &visit{app: a, site: st, jar: j}
	if st.acts {
		if err := a.findSession(r, v); err != nil || v.session != nil || v.over {
			return v, err
		}
	}
	if st.signsIn && j.signIn.n > 0 && !a.aside(r, st) {
		var s signIn
		if plain, err := st.signIn.open(j.signIn); err == nil && s.unpack(plain) == nil && a.now().Before(s.Expires) {
			v.person, v.fresh = &s.Person, a.now().Before(s.Fresh)
		}
	}
	return v, nil
}

// findSession opens the impersonation. On an origin of its own, that is all there is. On the app's own it takes two that
// agree: the impersonation and the actor's held sign-in. Either of them alone, damaged, doubled, foreign or out of time
// means that it is over, and never that the actor is back: script in a page can make a browser drop any cookie.
func (a *App) findSession(r *http.Request, v *visit) error {
	hold, err := a.heldByApp(r)
	if err != nil {
		return err
	}
	if v.jar.acting.n == 0 && v.jar.held.n == 0 && hold == "" {
		v.over = !v.site.signsIn && a.acting != a.base // on an origin of its own there is nobody else to be
		return nil
	}
	v.over = true
	v.acting, v.saw = v.site.impersonation(v.jar.acting)
	if a.acting == a.base {
		v.held, _ = v.site.held.open(v.jar.held)
		if !v.saw || heldSession(v.held) != v.acting.ID || a.cfg.Held != nil && hold != v.acting.ID {
			return nil
		}
	}
	if v.saw && a.now().Before(v.acting.Expires) {
		v.session, v.over = &v.acting.Session, false
	}
	return nil
}

// impersonation gives what the cookie of one holds: each request its own, whose handler may take it for that.
func (st *site) impersonation(f found) (acting, bool) {
	if f.n != 1 {
		return acting{}, false
	}
	a, ok := st.known.find(f.value)
	if !ok {
		plain, err := st.acting.open(f)
		if err != nil || a.unpack(plain) != nil {
			return acting{}, false
		}
		st.known.add(strings.Clone(f.value), a)
	}
	a.Subject.Roles = slices.Clone(a.Subject.Roles)
	if at := a.Subject.Elsewhere; at != nil {
		a.Subject.Elsewhere = &SubjectID{at.Format, at.Issuer, at.Subject}
	}
	return a, true
}

// heldByApp asks an app with its own sign-in whether that is held.
func (a *App) heldByApp(r *http.Request) (sid string, err error) {
	if a.cfg.Held == nil {
		return "", nil
	}
	return a.cfg.Held(r)
}

// serve answers a request for the app.
func (a *App) serve(w http.ResponseWriter, r *http.Request, v *visit, next http.Handler) {
	switch {
	case v.over:
		a.over(w, r, v)
	case v.session != nil:
		a.impersonated(w, r, v, next)
	case stale(r, peekForm(r), noSession):
		a.notice(w, r, v.site, a.endedNotice(v.site, nil, false))
	case v.person != nil && Impersonating(r.Context()): // as behind Bearer.Handler: their sign-in would hide who is really typing
		forbid(w, r)
	case v.person != nil || a.acting == a.base && !Impersonating(r.Context()): // FormField asks for it there, whoever it is
		v.site.vary(w.Header(), r)
		next.ServeHTTP(w, v.into(r))
	default:
		v.site.vary(w.Header(), r)
		next.ServeHTTP(w, r)
	}
}

// over says that the impersonation has ended. Nothing was done.
func (a *App) over(w http.ResponseWriter, r *http.Request, v *visit) {
	if v.jar.acting.n == 0 && v.jar.held.n == 0 && a.acting != a.base {
		a.notice(w, r, v.site, a.nobodyNotice())
		return
	}
	a.tellEnded(w, r, v, v.ended())
}

// tellEnded says that s has ended, nil if nobody knows any longer which. Nothing was done.
func (a *App) tellEnded(w http.ResponseWriter, r *http.Request, v *visit, s *Session) {
	a.leftovers(w, r, v)
	v.site.unkeep(w)
	a.notice(w, r, v.site, a.endedNotice(v.site, s, a.acting == a.base))
}

// leftovers takes out of an origin of its own what the user's pages have left in the browser, but for our own cookie, which
// still tells who it was.
func (a *App) leftovers(w http.ResponseWriter, r *http.Request, v *visit) {
	if a.acting == a.base {
		return
	}
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, v.site.prefix) {
			v.site.expire(w, c.Name)
		}
	}
	a.clear(w)
}

// heldSignIn is the held sign-in; nil if there is none that can be read.
func (v *visit) heldSignIn() *held {
	h := new(held)
	if h.unpack(v.held) != nil {
		return nil
	}
	return h
}

// ended is the session as far as the cookies still tell it; nil if they do not.
func (v *visit) ended() *Session {
	h := v.heldSignIn()
	switch {
	case h != nil:
		return &Session{ID: h.Session, Subject: h.Subject, Actor: h.Actor, Started: h.Started, Expires: h.Expires}
	case v.saw:
		return &v.acting.Session
	}
	return nil
}

// impersonated answers a request under impersonation: guard and record first, then liveness, then the app.
func (a *App) impersonated(w http.ResponseWriter, r *http.Request, v *visit, next http.Handler) {
	f := peekForm(r)
	if stale(r, f, v.session.ID) { // a form of a tab from before
		a.refuse(w, r, v, reasonEnded)
		return
	}
	reason := a.guard.refuses(r, f, v.session.Mode)
	if reason == "" && fromElsewhere(r) {
		reason = reasonForbidden
	}
	if reason != "" {
		a.refuse(w, r, v, reason)
		return
	}
	if visits(r) {
		a.lead(w, r, v.site)
		return
	}
	if !a.goesOn(w, r, v) {
		return
	}
	in := newInjector(w, r, v, (*injector).leave)
	defer v.none(r.Context(), a.record, v.session)
	defer in.finish()
	next.ServeHTTP(in, v.into(plain(r)))
}

// origins tells a browser's requests from other origins' pages.
var origins = http.NewCrossOriginProtection()

// fromElsewhere tells what could change something and comes from another origin's page: what a stranger has the browser do would be on
// record as the actor's. SameSite=Lax does not keep a cookie from a sibling host, nor a WebSocket from any.
func fromElsewhere(r *http.Request) bool {
	return changes(r) && origins.Check(&http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}) != nil
}

// leave is what an answer under impersonation goes through last.
func (i *injector) leave(h http.Header) bool {
	a := i.v.app
	a.cover(i.v, h)
	if i.v.leave(i.r.Context(), a.record, i.v.session, i.status) {
		return true
	}
	clear(h)
	a.unavailable(i.w, i.r, i.v)
	return false
}

// goesOn asks whether the session is alive, and puts on record what could change something. Where it reports false it has answered.
func (a *App) goesOn(w http.ResponseWriter, r *http.Request, v *visit) bool {
	alive, err := v.begin(r.Context(), r, a.record, a.live, v.session)
	switch {
	case err != nil:
		a.log.WarnContext(r.Context(), "understudy did not answer: the request was refused", "session", v.session.ID, "method", r.Method, "error", err)
		a.unavailable(w, r, v)
	case !alive:
		a.tellEnded(w, r, v, v.session)
	default:
		return true
	}
	return false
}

// forget takes back what was believed of a session that is over.
func (a *App) forget(sid string) {
	if a.hears != nil {
		a.hears.forget(sid)
	}
}

func (a *App) unavailable(w http.ResponseWriter, r *http.Request, v *visit) {
	n := a.unavailableNotice()
	if to := r.URL.RequestURI(); safe(r.Method) && localPath(to) {
		n.links = append([]link{{URL: to, Text: text("retry")}}, n.links...)
	}
	w.Header().Set("Retry-After", "5")
	a.notice(w, r, v.site, n)
}

// cover keeps an answer under impersonation from outliving it.
func (a *App) cover(v *visit, h http.Header) {
	onlyOnce(h)
	a.sever(h, v.site)
	varyBy(h, byCookie)
	if lines := h["Set-Cookie"]; len(lines) > 0 {
		h.Del("Set-Cookie")
		for _, line := range lines {
			if line = a.confine(v.site, line); line != "" {
				h.Add("Set-Cookie", line)
			}
		}
	}
}

// confine gives the cookie that the app may set, "" if it may not: never one of ours, nor on its own origin one that would
// outlive the impersonation. On an origin of its own every cookie stays within that, and on the path on which Stop can
// expire it: with a Domain it would reach the actor's.
func (a *App) confine(st *site, line string) string {
	c, err := http.ParseSetCookie(line)
	if err != nil || strings.HasPrefix(c.Name, st.prefix) {
		return ""
	}
	if a.acting == a.base {
		if slices.Contains(a.cfg.SessionCookies, c.Name) {
			return ""
		}
		return line
	}
	if c.Domain == "" && c.Path == "/" {
		return line
	}
	c.Domain, c.Path = "", "/"
	return c.String()
}

// plain is r as the app shall see it: without what would make the answer another one than the whole page, and without the
// headers by which it passes for another request.
func plain(r *http.Request) *http.Request {
	for _, name := range []string{"Accept-Encoding", "Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
		delete(r.Header, name)
	}
	unambiguous(r.Header)
	return r
}

// safe tells the methods that ask for nothing to be changed (RFC 9110 §9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
