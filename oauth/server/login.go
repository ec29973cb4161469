package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/store"
)

// loginCookie is the issuer's own cookie. The prefix makes the browser refuse one that a sibling host set.
const loginCookie = "__Host-op"

// Failures before an address is locked, within failureWindow. Ten leaves room for a caps lock and bounds a guesser to a
// thousand tries a day.
const (
	failureLimit  = 10
	failureWindow = 15 * time.Minute
)

// signedIn finds who sends r; nil and no error if nobody. It moves the idle clock.
func (s *Server) signedIn(r *http.Request) (*impersonation.Login, directory.User, error) {
	login, user, err := s.findLogin(r)
	const touchEvery = time.Minute // an hour of idleness need not be counted finer
	if now := s.clock(); err == nil && login != nil && now.Sub(login.LastUsed) >= touchEvery {
		err = s.store.TouchLogin(r.Context(), login.ID, now)
	}
	return login, user, err
}

// findLogin is signedIn without the write, for what must work on a full disk too.
func (s *Server) findLogin(r *http.Request) (*impersonation.Login, directory.User, error) {
	cookies := r.CookiesNamed(loginCookie)
	if len(cookies) != 1 || len(cookies[0].Value) != oauth.SecretLength { // two of one name: somebody planted one
		return nil, directory.User{}, nil
	}
	ctx, now := r.Context(), s.clock()
	login, err := s.store.LoginByCookie(ctx, oauth.Secret(cookies[0].Value).Hash())
	if errors.Is(err, store.ErrNotFound) {
		return nil, directory.User{}, nil
	}
	if err != nil {
		return nil, directory.User{}, err
	}
	if !login.Alive(now, s.life.LoginIdle) || !s.admits(login) {
		return nil, directory.User{}, nil
	}
	user, err := s.store.Get(ctx, login.User)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !user.Enabled {
		return nil, directory.User{}, nil
	}
	if err != nil {
		return nil, directory.User{}, err
	}
	return &login, user, nil
}

// signInURL is the sign-in page, from which one goes on to returnTo. A password of ours meets every demand, or is asked for more there.
func (s *Server) signInURL(returnTo string, d demand) string {
	q := url.Values{"return_to": {returnTo}}
	if len(s.gates) > 0 {
		d.encode(q)
	}
	return "/sign-in?" + q.Encode()
}

// signedOutURL is signInURL for a request that nobody is signed in for. Who was before is told so: a POST comes from a form of ours,
// and a cookie that is on record was good once.
func (s *Server) signedOutURL(r *http.Request, returnTo string) string {
	u := s.signInURL(returnTo, noDemand)
	if r.Method == http.MethodPost || s.knownCookie(r) {
		u += "&over=1"
	}
	return u
}

// knownCookie reports whether r has the cookie of a login, alive or not. A store that fails is for whoever asks it next: here it
// only decides a sentence.
func (s *Server) knownCookie(r *http.Request) bool {
	cookies := r.CookiesNamed(loginCookie)
	if len(cookies) != 1 || len(cookies[0].Value) != oauth.SecretLength {
		return false
	}
	_, err := s.store.LoginByCookie(r.Context(), oauth.Secret(cookies[0].Value).Hash())
	return err == nil
}

// safeReturn keeps to our own pages: a path, never a host.
func safeReturn(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	switch u.Path {
	case "/", "/audit", "/oauth2/auth", "/impersonate", "/sign-in/second-factor":
		return to
	}
	return "/"
}

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request) {
	f, err := form.Query(r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	p, err := s.signInPage(f)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	if g := s.onlyGate(r, p); g != nil {
		s.cross(w, r, g, p)
		return
	}
	v := s.signInView(r.Context(), p)
	v.Over = f.Has("over")
	s.pages.SignIn(w, r, http.StatusOK, v)
}

// signInPage is what the query of the sign-in page says. Nothing in it decides anything but what is shown and asked for.
type signInPage struct {
	returnTo string
	demand   demand
	local    bool // the password form was asked for
	out      bool // they have just signed out
}

func (s *Server) signInPage(f url.Values) (p signInPage, err error) {
	p = signInPage{returnTo: safeReturn(f.Get("return_to")), local: f.Has("local"), out: f.Has("out")}
	p.demand, err = demandOf(f)
	return p, err
}

// url is the page again; local chooses the password form.
func (s *Server) pageURL(p signInPage, local bool) string {
	u := s.signInURL(p.returnTo, p.demand)
	if local && s.byPassword == LocalBreakGlass {
		u += "&local=1"
	}
	return u
}

// takesPasswords reports whether the password form is on p.
func (s *Server) takesPasswords(p signInPage) bool {
	return s.byPassword == LocalEnabled || s.byPassword == LocalBreakGlass && p.local
}

// signInView shows which app one is going to, by its registered name, and who the app thinks one is.
func (s *Server) signInView(ctx context.Context, p signInPage) page.SignInView {
	v := page.SignInView{Action: s.pageURL(p, true), NoPassword: !s.takesPasswords(p), Emergency: s.byPassword == LocalBreakGlass}
	if a := s.flowBehind(ctx, p.returnTo); a != nil {
		v.App, v.RedirectURI, v.Email = a.client.Name, a.form.Get("redirect_uri"), a.form.Get("login_hint")
	}
	if len(v.Email) > directory.MaxEmail {
		v.Email = ""
	}
	if !v.NoPassword && v.Emergency {
		return v
	}
	for _, g := range s.gates {
		v.Upstreams = append(v.Upstreams, page.UpstreamChoice{Action: s.gateURL(g, p), Label: g.label()})
	}
	if s.byPassword == LocalBreakGlass {
		v.PasswordURL = s.pageURL(p, true)
	}
	return v
}

// destination gives the app at which the flow behind returnTo ends, if its redirect_uri is a registered one.
func (s *Server) destination(ctx context.Context, returnTo string) (app, redirectURI string) {
	a := s.flowBehind(ctx, returnTo)
	if a == nil {
		return "", ""
	}
	return a.client.Name, a.form.Get("redirect_uri")
}

// flowBehind is the request of an app to which one goes on from our own pages; nil if there is none that could be answered there.
// It only says what a page shows: the endpoint reads the request anew.
func (s *Server) flowBehind(ctx context.Context, returnTo string) *authRequest {
	u, err := url.Parse(returnTo)
	if err != nil {
		return nil
	}
	f := u.Query()
	c, err := s.client(ctx, f.Get("client_id"))
	if err != nil {
		return nil
	}
	a := &authRequest{client: c, form: f}
	if s.openPushed(ctx, a) != nil || a.checkRedirect() != nil {
		return nil
	}
	return a
}

// pageForm reads the query and the body of a form of our own.
func pageForm(w http.ResponseWriter, r *http.Request) (query, body url.Values, err error) {
	if query, err = form.Query(r, form.Rules{}); err != nil {
		return nil, nil, err
	}
	body, err = form.PageBody(w, r, form.Rules{})
	return query, body, err
}

// signIn is POST /sign-in: e-mail address and password. An unknown user, a wrong password and a disabled account look alike and
// take alike long.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	q, f, err := pageForm(w, r)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	p, err := s.signInPage(q)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	if !s.takesPasswords(p) {
		s.errorPage(w, r, errNoPasswords)
		return
	}
	k, locked, err := s.checkPassword(r, f.Get("email"), f.Get("password"))
	switch {
	case err != nil:
		s.errorPage(w, r, err)
	case k == nil:
		s.breakGlassFailed(r)
		s.signInFailed(w, r, p, f.Get("email"), locked)
	case k.user.SecondFactor:
		s.askCode(w, r, *k, p.returnTo)
	default:
		s.completeSignIn(w, r, *k, []string{"pwd"}, p.returnTo)
	}
}

var errNoPasswords = &wireError{Status: http.StatusForbidden, Code: "access_denied", Description: "Nobody signs in here with a password of understudy."}

// breakGlassFailed raises the alarm for a guess where a password is for emergencies, with as many lines as strangers may cause.
func (s *Server) breakGlassFailed(r *http.Request) {
	if ctx := r.Context(); s.byPassword == LocalBreakGlass && s.strangers.Allow() {
		s.log.WarnContext(ctx, "a break-glass sign-in failed", "address", s.proxies.address(r), "request_id", requestID(ctx))
	}
}

func (s *Server) signInFailed(w http.ResponseWriter, r *http.Request, p signInPage, email string, locked time.Time) {
	v, status := s.signInView(r.Context(), p), http.StatusUnauthorized
	v.Email, v.Failed = email, true
	if wait := locked.Sub(s.clock()); wait > 0 {
		v.Locked, status = wait, http.StatusTooManyRequests
	}
	s.pages.SignIn(w, r, status, v)
}

// known is somebody who showed to know their credentials, and which these were.
type known struct {
	user   directory.User
	proved oauth.Hash
}

// checkPassword gives whose password this is, or nil; locked is until when nobody may try under this address. The try is counted
// before it is checked, so that a burst of parallel tries is bounded too; a sign-in that succeeds forgets the count.
func (s *Server) checkPassword(r *http.Request, typed, password string) (*known, time.Time, error) {
	ctx := r.Context()
	email, err := directory.NormalEmail(typed)
	if err != nil {
		email = "" // hashed all the same, so that it takes alike long
	}
	locked, refused, err := s.count(ctx, email)
	if err != nil || refused {
		return nil, locked, err
	}
	user, err := s.store.ByEmail(ctx, email)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, time.Time{}, err
	}
	enabled := err == nil && user.Enabled
	var cred store.Credentials
	if enabled {
		if cred, err = s.store.Credentials(ctx, user.ID); err != nil {
			return nil, time.Time{}, err
		}
	}
	ok, err := s.passwords.Verify(ctx, cred.Password, password)
	if err != nil {
		return nil, time.Time{}, err
	}
	if !ok || !enabled {
		return nil, locked, nil
	}
	return &known{user, cred.Hash()}, time.Time{}, nil
}

// count counts a try that is about to be checked; refused means that it must not be. A lock-out is a log line and no audit entry:
// a stranger can cause it.
func (s *Server) count(ctx context.Context, email string) (locked time.Time, refused bool, err error) {
	attempt, err := s.store.Failed(ctx, store.AttemptKey(email), s.clock(), failureWindow, failureLimit, s.life.LockOut)
	if err == nil && !attempt.Locked.IsZero() && !attempt.Refused {
		s.log.WarnContext(ctx, "sign-in is locked after too many failures", "until", attempt.Locked, "request_id", requestID(ctx))
	}
	return attempt.Locked, attempt.Refused, err
}

// completeSignIn opens a login for who showed to know credentials of ours. What was counted against them is forgotten.
func (s *Server) completeSignIn(w http.ResponseWriter, r *http.Request, k known, amr []string, returnTo string) {
	ctx := r.Context()
	o := opening{user: k.user, proved: k.proved, returnTo: returnTo, login: impersonation.Login{AuthTime: s.clock(), ACR: acrOf(amr), AMR: amr}}
	if s.byPassword == LocalBreakGlass {
		o.note = func(e *audit.Entry) { e.Set("break_glass", "true") }
		s.log.WarnContext(ctx, "break-glass sign-in "+k.user.Email, "user", k.user.ID, "address", s.proxies.address(r), "request_id", requestID(ctx))
	}
	if !s.openLogin(w, r, o) {
		return
	}
	email, _ := directory.NormalEmail(k.user.Email)
	if err := s.store.Succeeded(ctx, store.AttemptKey(email)); err != nil { // costs the person a few tries, nothing else
		s.log.WarnContext(ctx, "forgetting sign-in failures failed", "error", err, "request_id", requestID(ctx))
	}
}

// setCookie sets one of the issuer's cookies: maxAge in seconds, 0 for the browser's session, negative to expire it. They are
// Secure on plain http too: browsers and curl treat loopback hosts as secure, and no other host is allowed there.
func (s *Server) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func seeOther(w http.ResponseWriter, to string) {
	noStore(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// home says who is signed in.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	login, user, err := s.signedIn(r)
	switch {
	case err != nil:
		s.errorPage(w, r, err)
	case login == nil:
		seeOther(w, "/sign-in")
	default:
		s.pages.Home(w, r, page.Who{User: user, Login: *login})
	}
}
