package rp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// localPath reports whether path leads to a page of the same site, whatever a browser makes of it: a backslash counts as a
// slash there, and tabs and newlines are dropped.
func localPath(path string) bool {
	if path == "" || path[0] != '/' || len(path) > 1024 || strings.HasPrefix(path, "//") || strings.HasPrefix(path, root) {
		return false
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return false
	}
	u, err := url.Parse(path)
	return err == nil && u.Scheme == "" && u.Host == "" && u.Fragment == ""
}

// single reads a query in which every name comes at most once.
func single(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query cannot be read")
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, fmt.Errorf("%q is given more than once", name)
		}
	}
	return q, nil
}

// returnTo reads the page to come back to. Where it reports false it has answered.
func (a *App) returnTo(w http.ResponseWriter, r *http.Request, v *visit) (q url.Values, to string, ok bool) {
	q, err := single(r)
	if err != nil {
		a.notice(w, r, v.site, a.failedNotice("failed.query", err.Error()))
		return nil, "", false
	}
	to = q.Get("return_to")
	if to != "" && !localPath(to) {
		a.notice(w, r, v.site, a.failedNotice("return", "")) // without it: it is a stranger's text
		return nil, "", false
	}
	return q, to, true
}

// start is GET /.understudy/start?subject&reason&ticket_number&return_to&on_failure: it leads to the impersonate page, which the
// first three only fill in. With on_failure=return the person comes back to return_to also where it fails.
func (a *App) start(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	q, to, ok := a.returnTo(w, r, v)
	if !ok {
		return
	}
	switch {
	case q.Get("on_failure") == "return" && !a.marked(w, r, v, q):
		return
	case v.site != a.acting: // to the origin where it is to live
		there := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
		redirect(w, a.acting.origin+there.RequestURI())
		return
	case a.acting == a.base && (v.over || v.session != nil):
		a.notice(w, r, v.site, a.stopFirstNotice(v.ended()))
		return
	}
	f := a.newFlow(flowTicket, to)
	switch q.Get("on_failure") {
	case "":
	case "return":
		f.Back, v.back = q.Get(markParam), f
	default:
		a.failed(w, r, v, "failed.query", `on_failure can only be "return"`, nil)
		return
	}
	e, key, err := a.mayStart(r)
	if key != "" {
		a.failed(w, r, v, key, "", err)
		return
	}
	ask := a.ask(v.site, f)
	for _, name := range []string{"subject", "reason", "ticket_number"} {
		if s := q.Get(name); s != "" && len(s) <= maxField {
			ask.Set(name, s)
		}
	}
	if a.cfg.Resource != "" {
		ask.Set("resource", a.cfg.Resource)
	}
	a.leave(w, r, v, f, e.Impersonation, ask)
}

// mayStart tells whether a start can begin; if not, key is the message that says why.
func (a *App) mayStart(r *http.Request) (e *endpoints, key string, err error) {
	if a.cfg.ActorToken != nil {
		if token, err := a.cfg.ActorToken(r); err != nil || token == "" {
			return nil, "failed.actor", err
		}
	}
	if e, err = a.issuer.discover(r.Context()); err != nil {
		return nil, "failed.issuer", err
	}
	return e, "", nil
}

// signIn is GET /.understudy/sign-in?return_to&lost, for people. With lost, nobody is signed in before the issuer has seen
// that nobody is impersonated.
func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	q, to, ok := a.returnTo(w, r, v)
	switch {
	case !ok:
	case a.base.signsIn && v.site != a.base:
		redirect(w, a.base.origin+r.URL.RequestURI())
	default:
		a.askSignIn(w, r, v, to, q.Has("lost"))
	}
}

// RequireSignIn shows h only to people who signed in, or whom somebody impersonates: everybody else is led through the
// issuer and back. What cannot be led anywhere, a POST or a fetch, gets 401. It needs Handler in front, and is not for apps
// with an ActorToken, which know themselves who signed in.
func (a *App) RequireSignIn(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st := a.siteOf(r)
		if st == nil {
			st = a.base
		}
		mode := r.Header.Get("Sec-Fetch-Mode")
		leads := safe(r.Method) && (mode == "" || mode == "navigate") && !a.aside(r, st)
		_, known := Subject(r.Context())
		if v := visitFrom(r.Context()); known && (!leads || v.session != nil || v.fresh) {
			h.ServeHTTP(w, r)
			return
		}
		if !leads {
			n := a.failedNotice("failed.signin", "")
			n.status = http.StatusUnauthorized
			a.notice(w, r, st, n)
			return
		}
		to := r.URL.RequestURI()
		if !localPath(to) {
			to = ""
		}
		a.askSignIn(w, r, &visit{app: a, site: st, jar: st.read(r)}, to, false)
	})
}

func (a *App) askSignIn(w http.ResponseWriter, r *http.Request, v *visit, to string, lost bool) {
	switch {
	case !a.base.signsIn:
		a.failed(w, r, v, "failed.actor", "", nil)
		return
	case v.over || v.session != nil:
		a.notice(w, r, v.site, a.stopFirstNotice(v.ended()))
		return
	}
	e, err := a.issuer.discover(r.Context())
	if err != nil {
		a.failed(w, r, v, "failed.issuer", "", err)
		return
	}
	f := a.newFlow(flowSignIn, to)
	q := a.askCode(v.site, f, signInScope)
	if lost || a.acting == a.base { // cookies can be lost: the issuer knows whether somebody is still impersonated
		q.Set(oauth.ParamNotImpersonating, "true")
	}
	a.leave(w, r, v, f, e.Authorization, q)
}

// The scopes that we ask for. The actor's token must open userinfo too: what a stop gives back is never wider.
const (
	signInScope = "openid profile email roles"
	actorScope  = signInScope + " " + oauth.ScopeImpersonate
)

func (a *App) newFlow(kind flowKind, to string) *flow {
	return &flow{
		State: rand.Text(), Kind: kind, Nonce: rand.Text(), Verifier: string(oauth.NewSecret()), ReturnTo: to,
		Expires: a.now().Add(flowLifetime * time.Second),
	}
}

// ask is what every request to the issuer carries.
func (a *App) ask(st *site, f *flow) url.Values {
	sum := sha256.Sum256([]byte(f.Verifier)) // RFC 7636 §4.2
	return url.Values{
		"client_id": {a.cfg.ClientID}, "redirect_uri": {st.callback()}, "state": {f.State},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
}

func (a *App) askCode(st *site, f *flow, scope string) url.Values {
	q := a.ask(st, f)
	q.Set("response_type", "code")
	q.Set("scope", scope)
	q.Set("nonce", f.Nonce)
	if a.cfg.Resource != "" {
		q.Set("resource", a.cfg.Resource)
	}
	return q
}

func (st *site) callback() string { return st.origin + root + "callback" }

// leave remembers f in the browser and goes to the issuer.
func (a *App) leave(w http.ResponseWriter, r *http.Request, v *visit, f *flow, to string, q url.Values) {
	if v.jar.flows >= maxFlows {
		v.site.expire(w, v.site.flowNames(r)...)
	}
	if err := v.site.flowCookie(f.State).set(w, v.site, f.pack(), flowLifetime); err != nil {
		a.failed(w, r, v, "failed.query", "", err)
		return
	}
	redirect(w, to+"?"+q.Encode())
}

// flowCookie is the cookie of the flow with that state: of its own, so that two tabs do not disturb each other.
func (st *site) flowCookie(state string) cookie {
	return cookie{name: st.flow.name + state[:min(8, len(state))], seal: st.flow.seal}
}

// flowNames are the names of all flows under way.
func (st *site) flowNames(r *http.Request) (names []string) {
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, st.flow.name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// failed says that the way to the issuer and back broke off: on a page, or where the one who asked said so by coming back. The log has
// the cause, the page has not.
func (a *App) failed(w http.ResponseWriter, r *http.Request, v *visit, key, detail string, cause error) {
	if cause != nil {
		a.log.WarnContext(r.Context(), "a way to the issuer and back broke off", "at", key, "error", cause)
	}
	if v.back != nil {
		a.comeBack(w, v.back, key, detail)
		return
	}
	a.notice(w, r, v.site, a.failedNotice(key, detail))
}

// endNow ends a session that must not go on; if the issuer does not answer, again and again in the background.
func (a *App) endNow(ctx context.Context, s Session, token oauth.Secret) {
	if err := a.issuer.revoke(context.WithoutCancel(ctx), token); err != nil {
		a.ending.add(token, s)
	}
}
