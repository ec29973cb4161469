package rp

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"

	"github.com/understudy-id/understudy/oauth"
)

// callback is GET /.understudy/callback: back from the issuer.
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	q, err := single(r)
	if err != nil {
		a.failed(w, r, v, "failed.query", err.Error(), nil)
		return
	}
	f := a.takeFlow(w, r, v, q.Get("state"))
	if f != nil && f.Back != "" {
		v.back = f
	}
	switch {
	case f == nil:
		a.failed(w, r, v, "failed.state", "", nil)
	case q.Get("iss") != a.cfg.Issuer: // RFC 9207 §2.4
		a.failed(w, r, v, "failed.query", "", errors.New("iss is not our issuer"))
	case a.acting == a.base && (v.over || v.session != nil): // started in another tab meanwhile
		a.notice(w, r, v.site, a.stopFirstNotice(v.ended()))
	case q.Has("error"):
		a.declined(w, r, v, f, q)
	case f.Kind == flowTicket:
		a.ticket(w, r, v, f, oauth.Secret(q.Get("ticket")))
	default:
		a.code(w, r, v, f, q.Get("code"))
	}
}

// takeFlow gives what this browser was sent to the issuer for, and forgets it: an answer counts once.
func (a *App) takeFlow(w http.ResponseWriter, r *http.Request, v *visit, state string) *flow {
	c := v.site.flowCookie(state)
	plain, err := c.open(find(r, c.name))
	if err != nil {
		return nil
	}
	v.site.expire(w, c.name)
	var f flow
	if f.unpack(plain) != nil || !a.now().Before(f.Expires) || subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1 {
		return nil
	}
	return &f
}

// declined is an answer without what was asked for.
func (a *App) declined(w http.ResponseWriter, r *http.Request, v *visit, f *flow, q url.Values) {
	code := q.Get("error")
	switch {
	case code == "access_denied" && f.Kind == flowTicket && f.Back != "":
		a.failed(w, r, v, "failed.cancelled", "", nil)
	case code == "access_denied" && f.Kind == flowTicket: // Cancel on the page
		redirect(w, a.base.origin+a.landing(f.ReturnTo, v.person))
	case code == "login_required" && f.Kind == flowActor:
		a.failed(w, r, v, "failed.login", "", nil)
	default:
		a.failed(w, r, v, "failed.refused", "", errors.New("the issuer answered the error "+printed(code)))
	}
}

// printed keeps a stranger's text out of the log but for what an error code may be made of (RFC 6749 §4.1.2.1).
func printed(code string) string {
	if len(code) > 64 || !printable(code) {
		return "that is not one"
	}
	return code
}

// landing is the page to come back to, or else where p is at home.
func (a *App) landing(to string, p *Person) string {
	if to != "" {
		return to
	}
	home := "/"
	if p != nil {
		home = a.cfg.Home(*p)
	}
	if !localPath(home) {
		return "/"
	}
	return home
}

// ticket goes on with a ticket: it takes the actor's own token to redeem it. Where the app does not know one it is fetched
// by a silent code flow, used at once and kept nowhere.
func (a *App) ticket(w http.ResponseWriter, r *http.Request, v *visit, f *flow, ticket oauth.Secret) {
	if len(ticket) != oauth.SecretLength || !printable(string(ticket)) {
		a.failed(w, r, v, "failed.query", "", errors.New("the answer holds no ticket"))
		return
	}
	f.Ticket, f.TicketVerifier = ticket, f.Verifier
	if a.cfg.ActorToken != nil {
		token, err := a.cfg.ActorToken(r)
		if err != nil || token == "" {
			a.failed(w, r, v, "failed.actor", "", err)
			return
		}
		a.begin(w, r, v, f, token)
		return
	}
	e, err := a.issuer.discover(r.Context())
	if err != nil {
		a.failed(w, r, v, "failed.issuer", "", err)
		return
	}
	next := a.newFlow(flowActor, f.ReturnTo)
	next.Ticket, next.TicketVerifier, next.Back = f.Ticket, f.TicketVerifier, f.Back
	q := a.askCode(v.site, next, actorScope)
	q.Set("prompt", "none")
	a.leave(w, r, v, next, e.Authorization, q)
}

// code redeems a code: a person signed in, or the actor's token came.
func (a *App) code(w http.ResponseWriter, r *http.Request, v *visit, f *flow, code string) {
	if !printable(code) || len(code) > 1024 {
		a.failed(w, r, v, "failed.query", "", errors.New("the answer holds no code"))
		return
	}
	t, err := a.issuer.code(r.Context(), code, v.site.callback(), f.Verifier)
	if err != nil {
		a.failedCall(w, r, v, err)
		return
	}
	sub, err := a.signed.idToken(r.Context(), t.IDToken, f.Nonce)
	if unknown := new(keysError); errors.As(err, &unknown) {
		a.failed(w, r, v, "failed.issuer", "", err)
		return
	} else if err != nil {
		a.failed(w, r, v, "failed.answer", "", err)
		return
	}
	if f.Kind == flowActor {
		a.begin(w, r, v, f, oauth.Secret(t.AccessToken))
		return
	}
	p, err := a.issuer.userinfo(r.Context(), oauth.Secret(t.AccessToken))
	if err == nil && p.Subject != sub {
		err = errors.New("userinfo and ID token name two people")
	}
	if err != nil {
		a.failedCall(w, r, v, err)
		return
	}
	if !a.signsIn(w, r, v, p) {
		return
	}
	redirect(w, v.site.origin+a.landing(f.ReturnTo, &p))
}

// signsIn puts p's sign-in into the browser. Where it reports false it has answered.
func (a *App) signsIn(w http.ResponseWriter, r *http.Request, v *visit, p Person) bool {
	now := a.now()
	s := signIn{Person: p, Fresh: now.Add(a.cfg.SignInLifetime), Expires: now.Add(overtime * a.cfg.SignInLifetime)}
	if err := v.site.signIn.set(w, v.site, s.pack(), 0); err != nil {
		a.failed(w, r, v, "failed.name", "", err)
		return false
	}
	return true
}

// failedCall says that the issuer refused a request of ours, or did not answer it.
func (a *App) failedCall(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	e := new(issuerError)
	switch {
	case errors.As(err, &e) && (e.Code == "invalid_client" || e.Code == "unauthorized_client"): // the app's fault, and not the person's
		a.failed(w, r, v, "failed.app", "", err)
	case refused(err):
		a.failed(w, r, v, "failed.refused", "", err)
	default:
		a.failed(w, r, v, "failed.issuer", "", err)
	}
}

// begin starts the impersonation: ticket and actor's token for a token about the user. From here on a session exists, so
// whatever fails ends it.
func (a *App) begin(w http.ResponseWriter, r *http.Request, v *visit, f *flow, actor oauth.Secret) {
	t, err := a.issuer.exchange(r.Context(), f.Ticket, f.TicketVerifier, a.actorToken(actor), a.cfg.Resource)
	if err != nil {
		a.failedCall(w, r, v, err)
		return
	}
	defer a.endAfterPanic(w, r, oauth.Secret(t.AccessToken))
	s, err := t.session(a.now(), a.cfg.ForeignActor)
	if err != nil {
		a.abandon(w, r, v, Session{}, t, "failed.answer", "", err)
		return
	}
	if a.acting == a.base && s.Mode == oauth.ModeWrite && !a.cfg.AllowSameOriginWrite {
		a.abandon(w, r, v, s, t, "failed.write", "", nil)
		return
	}
	if a.cfg.CanImpersonate != nil {
		nobody := context.WithValue(r.Context(), ctxKey{}, nil) // whoever was impersonated here before is not who asks
		if err := a.cfg.CanImpersonate(nobody, s.Actor, s.Subject); err != nil {
			a.log.InfoContext(r.Context(), s.Actor.label()+" was refused impersonating "+s.Subject.label()+": by the app", a.about(s)...)
			a.abandon(w, r, v, s, t, "failed.veto", err.Error(), nil)
			return
		}
	}
	if err := a.keep(w, r, v, s, t.ending(), f.ReturnTo); err != nil {
		key := "failed.hold"
		if errors.Is(err, errTooLarge) {
			key = "failed.large"
		}
		a.abandon(w, r, v, s, t, key, "", err)
		return
	}
	a.log.InfoContext(r.Context(), s.Actor.label()+" impersonated "+s.Subject.label(), a.about(s)...)
	a.leftovers(w, r, v) // of whoever was here before
	a.clear(w)
	redirect(w, v.site.origin+a.landing("", &s.Subject))
}

func (a *App) about(s Session) []any {
	return []any{"actor", s.Actor.Subject, "subject", s.Subject.Subject, "session", s.ID, "app", a.cfg.ClientID, "mode", s.Mode}
}

// keep puts the impersonation into the browser, and on the app's own origin holds the actor's sign-in: takes it out.
func (a *App) keep(w http.ResponseWriter, r *http.Request, v *visit, s Session, ret oauth.Secret, to string) error {
	in := acting{Session: s}
	if a.acting != a.base {
		in.Return, in.ReturnTo = ret, to
		return v.site.acting.set(w, v.site, in.pack(), 0)
	}
	h := held{Session: s.ID, Actor: s.Actor, Subject: s.Subject, Started: s.Started, Expires: s.Expires, Return: ret, ReturnTo: to}
	if err := errors.Join(v.site.acting.set(w, v.site, in.pack(), 0), v.site.held.set(w, v.site, h.pack(), 0)); err != nil {
		return err
	}
	v.site.expire(w, v.site.signIn.name)
	if a.cfg.Hold != nil {
		return a.cfg.Hold(w, r, s.ID)
	}
	return nil
}

// endAfterPanic ends a session in whose start a function of the app's panicked: nobody would have its token, and nobody could stop it.
func (a *App) endAfterPanic(w http.ResponseWriter, r *http.Request, token oauth.Secret) {
	if p := recover(); p != nil {
		a.endNow(r.Context(), Session{}, token)
		w.Header().Del("Set-Cookie")
		panic(p)
	}
}

// abandon ends a session that just started, and says why. Nothing was done in anybody's name.
func (a *App) abandon(w http.ResponseWriter, r *http.Request, v *visit, s Session, t *tokenAnswer, key, detail string, cause error) {
	a.endNow(r.Context(), s, oauth.Secret(t.AccessToken))
	w.Header().Del("Set-Cookie") // no half of a start stays, and the flow is spent at the issuer anyway
	a.failed(w, r, v, key, detail, cause)
}
