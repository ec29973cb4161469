package rp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

// The reasons of a refusal, as in application/problem+json and in the trail.
const (
	reasonReadOnly  = "read_only" // the session is look only
	reasonForbidden = "forbidden" // nobody may do this in somebody else's name
	reasonEnded     = "ended"     // the session is over, or is another one than the page was made for
	reasonTooLong   = "too_long"  // the trail could not tell what it was
)

// refusalStatus is that of an answer that refuses for reason.
func refusalStatus(reason string) int {
	if reason == reasonTooLong {
		return http.StatusRequestURITooLong // RFC 9110 §15.5.15
	}
	return http.StatusForbidden
}

// guard is the patterns of Allow and Block.
type guard struct {
	allowed, blocked *http.ServeMux // nil without patterns, since asking a mux costs
	folded           folded         // those of blocked
	others           folded         // those of blocked that name a method, for any
}

// Allow lets requests through while somebody only looks, although their method is one that changes things: a search by
// POST, say. patterns are those of [http.ServeMux]; one that it would not take panics. A path counts in that one spelling only, and never with
// a percent sign, a backslash or a semicolon. A body counts that names no other method by a field or member _method: of a form or JSON up to
// 1 MiB that all frameworks read alike. Call it before Handler.
func (a *App) Allow(patterns ...string) { register(&a.guard.allowed, patterns) }

// Block refuses what matches patterns (of [http.ServeMux]) while anybody is impersonated, in whatever case, encoding or other spelling of the
// path that routers are known to take. It is a second net: a list of
// paths knows nothing of those that the app has beside, so wrap the handler itself in Forbid first.
// Of the ways in which routers change a method it knows the usual headers, which it takes out, and a parameter or field _method, which is refused. Where the path is that of a pattern with
// another method than the request's, so is a form or JSON that names one anywhere, has more than 1 MiB, or is not written so that all frameworks read it alike: with Block("DELETE
// /files/{id}"), a large upload by POST to /files/7.
func (a *App) Block(patterns ...string) { a.guard.block(patterns) }

func (g *guard) block(patterns []string) {
	register(&g.blocked, patterns)
	for _, p := range patterns {
		g.folded.add(p)
		if i := strings.IndexAny(p, " \t"); i >= 0 && p[:i] != methodJob {
			g.others.add(strings.TrimLeft(p[i:], " \t"))
		}
	}
}

func register(mux **http.ServeMux, patterns []string) {
	if *mux == nil {
		*mux = http.NewServeMux()
	}
	for _, p := range patterns {
		(*mux).Handle(p, listed{})
	}
}

// listed is what a pattern leads to, and nothing else does: a mux also answers with redirects of its own.
type listed struct{}

func (listed) ServeHTTP(http.ResponseWriter, *http.Request) {}

// refuses gives the reason for which r, whose form is f, may not be done in mode, "" if it may.
func (g guard) refuses(r *http.Request, f peek, mode oauth.Mode) string {
	if len(r.URL.Path) > longestPath || unrecordable(r) { // before all the ways to read it are tried
		return reasonTooLong
	}
	if g.blocked != nil {
		if _, pattern := g.blocked.Handler(r); pattern != "" { // also for a path that the mux would clean first
			return reasonForbidden
		}
		if g.folded.match(r) {
			return reasonForbidden
		}
	}
	if f.override || overrides(r.URL.RawQuery) {
		return reasonForbidden
	}
	if slices.Contains(r.Header["Service-Worker"], "script") { // it would outlive the session, and could swallow Stop
		return reasonForbidden
	}
	switch {
	case mode != oauth.ModeWrite && changes(r) && (!g.allows(r) || hidesMethod(r)):
		return reasonReadOnly
	case len(g.others) > 0 && !safe(r.Method) && g.others.match(r) && hidesMethod(r):
		return reasonForbidden
	case len(r.Method) > maxMethod: // the trail would show another one
		return reasonForbidden
	}
	return ""
}

// changes tells what may change something: by its method, or since a WebSocket's handshake is a GET and what follows is not.
func changes(r *http.Request) bool { return !safe(r.Method) || len(r.Header["Upgrade"]) > 0 }

// allows takes only the one spelling that the pattern has.
func (g guard) allows(r *http.Request) bool {
	if g.allowed == nil || !plainly(r.URL) {
		return false
	}
	h, _ := g.allowed.Handler(r)
	_, ok := h.(listed)
	return ok
}

// Forbid refuses h while anybody is impersonated, with 403, and puts that on record: for what nobody may do in somebody
// else's name, such as changing an e-mail address or a way to sign in, creating a key, deleting an account. Unlike a
// list of paths it holds however the request got there. It needs App.Handler or Bearer.Handler in front.
func Forbid(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Impersonating(r.Context()) {
			h.ServeHTTP(w, r)
			return
		}
		forbid(w, r)
	})
}

// forbid refuses r, which is under impersonation.
func forbid(w http.ResponseWriter, r *http.Request) {
	switch v := r.Context().Value(ctxKey{}).(type) {
	case *visit:
		v.app.refuse(w, r, v, reasonForbidden)
	case *call:
		v.bearer.answer(w, v.bearer.refuse(r, v, reasonForbidden))
	}
}

// refuse puts a refusal on record, then answers it. A refusal that cannot be recorded stays a refusal, and says so.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, v *visit, reason string) {
	act, alive, err := v.refuse(r.Context(), r, a.record, v.session, reason)
	a.log.InfoContext(r.Context(), v.session.Actor.label()+" was refused "+act.Method+" "+act.Route+" as "+v.session.Subject.label()+": "+reason,
		"actor", v.session.Actor.Subject, "subject", v.session.Subject.Subject, "session", v.session.ID, "app", a.cfg.ClientID, "mode", v.session.Mode)
	switch {
	case err != nil:
		a.log.WarnContext(r.Context(), "a refusal could not be recorded", "session", v.session.ID, "error", err)
		a.unavailable(w, r, v)
	case !alive:
		a.tellEnded(w, r, v, v.session)
	case reason == reasonEnded:
		a.notice(w, r, v.site, a.staleNotice(v.session))
	default:
		n := a.blockedNotice(v.session, reason)
		n.links = append(a.back(r, v.site), n.links...)
		v.shown = true // it has a Stop of its own
		a.notice(w, r, v.site, n)
	}
}

// back leads to the page that r came from, if it was one of this site.
func (a *App) back(r *http.Request, st *site) []link {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Scheme+"://"+u.Host != st.origin || !localPath(u.RequestURI()) {
		return nil
	}
	return []link{{URL: u.RequestURI(), Text: text("back")}}
}
