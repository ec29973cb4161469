package rp

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// The reasons of a refusal, as in application/problem+json and in the trail.
const (
	reasonReadOnly  = "read_only" // the session is look only
	reasonForbidden = "forbidden" // nobody may do this in somebody else's name
	reasonEnded     = "ended"     // the session is over, or is another one than the page was made for
)

// guard is the patterns of Allow and Block.
type guard struct{ allowed, blocked *http.ServeMux } // nil without patterns, since asking a mux costs

// Allow lets requests through while somebody only looks, although their method is one that changes things: a search by
// POST, say. patterns are those of [http.ServeMux]; one that it would not take panics. Call it before Handler.
func (a *App) Allow(patterns ...string) { register(&a.guard.allowed, patterns) }

// Block refuses what matches patterns (of [http.ServeMux]) while anybody is impersonated. It is a second net: a list of
// paths knows nothing of other spellings that the app may also take, so wrap the handler itself in Forbid first.
func (a *App) Block(patterns ...string) { register(&a.guard.blocked, patterns) }

func register(mux **http.ServeMux, patterns []string) {
	if *mux == nil {
		*mux = http.NewServeMux()
	}
	for _, p := range patterns {
		(*mux).HandleFunc(p, func(http.ResponseWriter, *http.Request) {})
	}
}

// refuses gives the reason for which r may not be done in mode, "" if it may.
func (g guard) refuses(r *http.Request, mode oauth.Mode) string {
	if g.blocked != nil {
		if _, pattern := g.blocked.Handler(r); pattern != "" { // also for a path that the mux would clean first
			return reasonForbidden
		}
	}
	if r.Header.Get("Service-Worker") == "script" { // it would outlive the session, and could swallow Stop
		return reasonForbidden
	}
	if mode == oauth.ModeWrite {
		return ""
	}
	if r.Header.Get("Upgrade") != "" { // a WebSocket's handshake is a GET, what follows is not
		return reasonReadOnly
	}
	if safe(r.Method) || g.allows(r) {
		return ""
	}
	return reasonReadOnly
}

// allows takes only the one spelling that the pattern has.
func (g guard) allows(r *http.Request) bool {
	if g.allowed == nil || r.URL.RawPath != "" || path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") && r.URL.Path != "/" {
		return false
	}
	_, pattern := g.allowed.Handler(r)
	return pattern != ""
}

// Forbid refuses h while anybody is impersonated, with 403, and puts that on record: for what nobody may do in somebody
// else's name, such as changing an e-mail address or a way to sign in, creating a key, deleting an account. Unlike a
// list of paths it holds however the request got there. It needs App.Handler in front.
func Forbid(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visitFrom(r.Context())
		if v == nil || v.session == nil {
			h.ServeHTTP(w, r)
			return
		}
		v.app.refuse(w, r, v, reasonForbidden)
	})
}

// refuse puts a refusal on record, then answers it. A refusal that cannot be recorded stays a refusal, and says so.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, v *visit, reason string) {
	act := a.action(r, v.session, PhaseAfter)
	if v.did.ID != "" {
		act.ID = v.did.ID
	}
	act.Status, act.Note = http.StatusForbidden, reason
	alive, err := a.record.Record(r.Context(), act)
	a.log.InfoContext(r.Context(), v.session.Actor.label()+" was refused "+act.Method+" "+act.Route+" as "+v.session.Subject.label()+": "+reason,
		"actor", v.session.Actor.Subject, "subject", v.session.Subject.Subject, "session", v.session.ID, "app", a.cfg.ClientID, "mode", v.session.Mode)
	switch {
	case err != nil:
		a.log.WarnContext(r.Context(), "a refusal could not be recorded", "session", v.session.ID, "error", err)
		a.unavailable(w, r, v)
	case !alive || reason == reasonEnded:
		a.notice(w, r, v.site, a.endedNotice(v.site, v.session, a.acting == a.base && !alive))
	default:
		n := a.blockedNotice(v.session, reason)
		n.links = append(a.back(r, v.site), n.links...)
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

// maxRoute is how much of a path is recorded: what the issuer takes.
const maxRoute = 512

// action describes r for the trail.
func (a *App) action(r *http.Request, s *Session, phase Phase) Action {
	route := r.URL.EscapedPath()
	if len(route) > maxRoute {
		route = route[:maxRoute]
	}
	return Action{ID: oauth.NewID("act"), Session: s.ID, Time: a.now().Truncate(time.Millisecond), Phase: phase, Method: r.Method, Route: route}
}

const (
	sessionHeader = "X-Understudy-Session" // set by banner.js
	sessionField  = "understudy_session"   // of FormField and of the banner
	peeked        = 64 << 10               // how much of a form is searched for it
)

// stale reports whether an unsafe request says that its page was made for another session than current: for another
// person, that is. current is "" where nobody is impersonated.
func stale(r *http.Request, current string) bool {
	if safe(r.Method) {
		return false
	}
	for _, id := range r.Header.Values(sessionHeader) {
		if id != current {
			return true
		}
	}
	id, found := formSession(r)
	return found && id != current
}

// formSession looks for the field in the beginning of a form, and leaves the body as it was.
func formSession(r *http.Request) (string, bool) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.Body == nil || kind != "application/x-www-form-urlencoded" && kind != "multipart/form-data" {
		return "", false
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, peeked))
	r.Body = &peekedBody{io.MultiReader(bytes.NewReader(head), failing{r.Body, err}), r.Body}
	if kind == "multipart/form-data" {
		return multipartField(head, params["boundary"])
	}
	for pair := range bytes.SplitSeq(head, []byte("&")) {
		name, value, _ := bytes.Cut(pair, []byte("="))
		if name, err := url.QueryUnescape(string(name)); err == nil && name == sessionField {
			value, err := url.QueryUnescape(string(value))
			return value, err == nil
		}
	}
	return "", false
}

// peekedBody is a body of which the beginning was read already.
type peekedBody struct {
	io.Reader
	io.Closer
}

// failing reads on from r, or repeats the error that reading the beginning gave.
type failing struct {
	r   io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.r.Read(p)
}

// multipartField finds our field in the beginning of a multipart form.
func multipartField(head []byte, boundary string) (string, bool) {
	if boundary == "" {
		return "", false
	}
	parts := multipart.NewReader(bytes.NewReader(head), boundary)
	for {
		part, err := parts.NextPart()
		if err != nil { // the end, or the end of what was read
			return "", false
		}
		if part.FormName() == sessionField && part.FileName() == "" {
			value, err := io.ReadAll(io.LimitReader(part, 256))
			return string(value), err == nil
		}
	}
}
