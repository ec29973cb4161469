package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/internal/totp"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/store"
)

// pendingCookie carries, sealed, what is between two steps: a password that was right and waits for its code, or a secret that
// was shown and waits for its first code.
const pendingCookie = "__Host-op-pending"

// withSecondFactor is how a login by password and code is described (RFC 8176 §2).
var withSecondFactor = []string{"pwd", "otp", "mfa"}

type pending struct {
	User    string    `json:"user"`
	Proved  []byte    `json:"proved,omitempty"` // store.Credentials.Hash of the password that was right
	Secret  string    `json:"secret,omitempty"` // being enrolled
	Link    string    `json:"link,omitempty"`   // the same, as otpauth: URL
	Expires time.Time `json:"expires"`
}

const (
	purposeCode  = "cookie:sign-in-code"
	purposeEnrol = "cookie:enrol"
)

func (s *Server) setPending(w http.ResponseWriter, purpose string, p pending) error {
	p.Expires = s.clock().Add(s.life.SecondFactor)
	plain, err := json.Marshal(p)
	if err != nil {
		return err
	}
	s.setCookie(w, pendingCookie, encodeCookie(s.box.Seal(purpose, plain)), int(s.life.SecondFactor.Seconds()))
	return nil
}

// pendingOf opens the cookie; nil if there is none that counts.
func (s *Server) pendingOf(r *http.Request, purpose string) *pending {
	cookies := r.CookiesNamed(pendingCookie)
	if len(cookies) != 1 {
		return nil
	}
	sealed, err := decodeCookie(cookies[0].Value)
	if err != nil {
		return nil
	}
	plain, err := s.box.Open(purpose, sealed)
	if err != nil {
		return nil
	}
	var p pending
	if err := json.Unmarshal(plain, &p); err != nil || !s.clock().Before(p.Expires) {
		return nil
	}
	return &p
}

// askCode goes to the second step. The password was right, which nobody learns without the code being asked for.
func (s *Server) askCode(w http.ResponseWriter, r *http.Request, k known, returnTo string) {
	if err := s.setPending(w, purposeCode, pending{User: k.user.ID, Proved: k.proved[:]}); err != nil {
		s.errorPage(w, r, err)
		return
	}
	seeOther(w, "/sign-in/code?"+url.Values{"return_to": {returnTo}}.Encode())
}

func (s *Server) showCode(w http.ResponseWriter, r *http.Request) {
	f, err := form.Query(r, form.Rules{})
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	if s.pendingOf(r, purposeCode) == nil {
		seeOther(w, s.signInURL(safeReturn(f.Get("return_to")), noDemand))
		return
	}
	s.pages.SecondFactor(w, r, http.StatusOK, s.codeView(r, f))
}

func (s *Server) codeView(r *http.Request, q url.Values) page.SecondFactorView {
	app, uri := s.destination(r.Context(), safeReturn(q.Get("return_to")))
	return page.SecondFactorView{Action: r.URL.RequestURI(), App: app, RedirectURI: uri}
}

// signInCode is POST /sign-in/code.
func (s *Server) signInCode(w http.ResponseWriter, r *http.Request) {
	q, f, err := pageForm(w, r)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	returnTo := safeReturn(q.Get("return_to"))
	p := s.pendingOf(r, purposeCode)
	if p == nil || len(p.Proved) != len(oauth.Hash{}) || s.byPassword == LocalDisabled {
		seeOther(w, s.signInURL(returnTo, noDemand))
		return
	}
	user, locked, err := s.checkCode(r.Context(), p.User, strings.ReplaceAll(f.Get("code"), " ", ""))
	switch {
	case err != nil:
		s.errorPage(w, r, err)
	case user == nil:
		s.breakGlassFailed(r)
		v, status := s.codeView(r, q), http.StatusUnauthorized
		v.Failed = true
		if wait := locked.Sub(s.clock()); wait > 0 {
			v.Locked, status = wait, http.StatusTooManyRequests
		}
		s.pages.SecondFactor(w, r, status, v)
	default:
		s.completeSignIn(w, r, known{*user, oauth.Hash(p.Proved)}, withSecondFactor, returnTo)
	}
}

// checkCode gives the user whose code this is, or nil. A code works once (RFC 6238 §5.2), and failures count with those of the
// password.
func (s *Server) checkCode(ctx context.Context, userID, code string) (*directory.User, time.Time, error) {
	now := s.clock()
	user, err := s.store.Get(ctx, userID)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	email, _ := directory.NormalEmail(user.Email)
	locked, refused, err := s.count(ctx, email)
	if err != nil || refused {
		return nil, locked, err
	}
	ok, err := s.codeMatches(ctx, user, code, now)
	if err != nil || !ok || !user.Enabled {
		return nil, locked, err
	}
	return &user, time.Time{}, nil
}

func (s *Server) codeMatches(ctx context.Context, user directory.User, code string, now time.Time) (bool, error) {
	cred, err := s.store.Credentials(ctx, user.ID)
	if err != nil || cred.TOTP == nil {
		return false, err
	}
	secret, err := s.box.Open(totp.Purpose(user.ID), cred.TOTP)
	if err != nil {
		return false, err
	}
	return s.useCode(ctx, user.ID, string(secret), code, now)
}

// useCode checks a code and spends its time step.
func (s *Server) useCode(ctx context.Context, userID, secret, code string, now time.Time) (bool, error) {
	step, ok := totp.Verify(secret, code, now)
	if !ok {
		return false, nil
	}
	err := s.store.UseOnce(ctx, "totp", userID+":"+strconv.FormatInt(step, 10), now, now.Add(3*totp.Period))
	if errors.Is(err, store.ErrSpent) {
		return false, nil
	}
	return err == nil, err
}

// freshFor is how recent a sign-in must be to enrol a second factor: an open browser must not be enough.
const freshFor = 5 * time.Minute

// secondFactorURL is the page to enrol on, from which one goes on to returnTo.
func (s *Server) secondFactorURL(returnTo string) string {
	return "/sign-in/second-factor?" + url.Values{"return_to": {returnTo}}.Encode()
}

// enrolling finds who may enrol now; it has answered if ok is false. Who has a second factor already changes it by the operator.
func (s *Server) enrolling(w http.ResponseWriter, r *http.Request) (login *impersonation.Login, user directory.User, ok bool) {
	login, user, err := s.signedIn(r)
	switch {
	case err != nil:
		s.errorPage(w, r, err)
	case s.byPassword == LocalDisabled:
		s.errorPage(w, r, errNoPasswords)
	case login != nil && login.Upstream != "":
		s.errorPage(w, r, &wireError{Status: http.StatusConflict, Code: "invalid_request",
			Description: "You signed in through another provider: your second factor is set up there."})
	case login == nil || s.clock().Sub(login.AuthTime) > freshFor:
		seeOther(w, s.signInURL(r.URL.RequestURI(), noDemand))
	case user.SecondFactor:
		s.errorPage(w, r, &wireError{Status: http.StatusConflict, Code: "invalid_request",
			Description: "A second factor is set up for this account already. An operator can take it away, if you lost it."})
	default:
		return login, user, true
	}
	return nil, directory.User{}, false
}

func (s *Server) showEnrol(w http.ResponseWriter, r *http.Request) {
	if _, err := form.Query(r, form.Rules{}); err != nil {
		s.errorPage(w, r, err)
		return
	}
	_, user, ok := s.enrolling(w, r)
	if !ok {
		return
	}
	secret, link, err := totp.New(totp.Issuer, user.Email)
	p := pending{User: user.ID, Secret: secret, Link: link}
	if err == nil {
		err = s.setPending(w, purposeEnrol, p)
	}
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	s.enrolPage(w, r, http.StatusOK, p, false)
}

func (s *Server) enrolPage(w http.ResponseWriter, r *http.Request, status int, p pending, failed bool) {
	png, err := totp.PNG(p.Link, 240)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	_, uri := s.destination(r.Context(), safeReturn(r.URL.Query().Get("return_to")))
	s.pages.Enrol(w, r, status, page.EnrolView{Action: r.URL.RequestURI(), RedirectURI: uri, Secret: p.Secret, Link: p.Link, QR: png, Failed: failed})
}

// enrol is POST /sign-in/second-factor: the first code proves that the app has the secret. The login goes on as one by two factors.
func (s *Server) enrol(w http.ResponseWriter, r *http.Request) {
	q, f, err := pageForm(w, r)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	login, user, ok := s.enrolling(w, r)
	if !ok {
		return
	}
	p := s.pendingOf(r, purposeEnrol)
	if p == nil || p.User != user.ID {
		seeOther(w, r.URL.RequestURI())
		return
	}
	ctx, now := r.Context(), s.clock()
	if ok, err = s.useCode(ctx, user.ID, p.Secret, strings.ReplaceAll(f.Get("code"), " ", ""), now); err != nil {
		s.errorPage(w, r, err)
		return
	} else if !ok {
		s.enrolPage(w, r, http.StatusUnprocessableEntity, *p, true)
		return
	}
	cred, err := s.store.Credentials(ctx, user.ID)
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	sealed := s.box.Seal(totp.Purpose(user.ID), []byte(p.Secret))
	e := audit.New(audit.KindTOTPEnrolled, now)
	e.Actor = oauth.Party{Issuer: s.issuer, Subject: user.ID}
	e.Subject, e.Request = e.Actor, requestID(ctx)
	e.Set("login", login.ID)
	err = s.store.SetCredentials(ctx, store.CredentialsWrite{
		Write: impersonation.Write{Entries: []audit.Entry{e}, RequestID: requestID(ctx), Now: now}, UserID: user.ID, TOTP: &sealed, FirstBy: login.ID,
	})
	if errors.Is(err, impersonation.ErrChanged) { // the operator was faster, or ended the login
		seeOther(w, r.URL.RequestURI())
		return
	}
	if err != nil {
		s.errorPage(w, r, err)
		return
	}
	cred.TOTP = sealed
	s.completeSignIn(w, r, known{user, cred.Hash()}, withSecondFactor, safeReturn(q.Get("return_to")))
}
