package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// The issuer tells an app that is registered for it what is over, by either of two requests. They end what its signature names, and nothing
// else; nobody else gains by sending one again, since what is over stays so.

// eventLogout is the member of events that makes a JWT a logout token (OpenID Connect Back-Channel Logout §2.4).
const eventLogout = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are the claims of a logout token.
type logoutClaims struct {
	Issuer   string                     `json:"iss"`
	Audience audience                   `json:"aud"`
	IssuedAt int64                      `json:"iat"`
	Expires  int64                      `json:"exp"`
	ID       string                     `json:"jti"`
	Session  string                     `json:"sid"`
	Events   map[string]json.RawMessage `json:"events"`
	Nonce    json.RawMessage            `json:"nonce"`
}

// logoutToken gives the sid that a logout token names. Its error is as that of open.
func (v *signed) logoutToken(ctx context.Context, token string) (sid string, err error) {
	payload, err := v.open(ctx, v.now(), token, "logout+jwt")
	if err != nil {
		return "", err
	}
	var c logoutClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return "", &fault{"invalid_request", fmt.Errorf("decoding its claims: %w", err)}
	}
	return c.Session, v.checkLogout(c)
}

// checkLogout is OpenID Connect Back-Channel Logout §2.6. A jti may come again: the issuer says again what it got no answer to.
func (v *signed) checkLogout(c logoutClaims) error {
	now := v.now()
	var event map[string]json.RawMessage
	switch {
	case c.Issuer != v.issuer.url:
		return faultOf("invalid_request", "it is of another issuer")
	case len(c.Audience) != 1 || c.Audience[0] != v.issuer.id:
		return faultOf("invalid_request", "it is for another client")
	case c.IssuedAt <= 0 || c.IssuedAt > now.Add(clockLeeway).Unix():
		return faultOf("invalid_request", "its iat is missing or lies ahead")
	case c.Expires <= now.Unix():
		return faultOf("invalid_request", "its exp is missing or over")
	case c.ID == "":
		return faultOf("invalid_request", "its jti is missing")
	case json.Unmarshal(c.Events[eventLogout], &event) != nil || event == nil:
		return faultOf("invalid_request", "its events lack that of a back-channel logout, an object")
	case c.Nonce != nil:
		return faultOf("invalid_request", "it has a nonce, as no logout token has")
	case c.Session == "": // a sub alone would be all sessions of that person, and none of those is an impersonation
		return faultOf("invalid_request", "its sid is missing")
	}
	return nil
}

// maxTold bounds the body of either request, in bytes: a JWT, and room for what else a form may hold.
const maxTold = tokens.MaxLength + 4<<10

// readTold gives the body of a request that has this media type.
func readTold(w http.ResponseWriter, r *http.Request, media string) (string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != media {
		return "", faultOf("invalid_request", "the Content-Type must be "+media)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTold))
	if err != nil {
		return "", faultOf("invalid_request", "the body cannot be read, or is too long")
	}
	return string(body), nil
}

// backchannelLogout is POST /.understudy/backchannel-logout (OpenID Connect Back-Channel Logout §2.5, §2.8).
func (a *App) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	sid, err := a.readLogout(w, r)
	a.take(w, r, sid, err, http.StatusOK, func(f *fault) map[string]string {
		return map[string]string{"error": "invalid_request", "error_description": brief(f.rule)}
	})
}

func (a *App) readLogout(w http.ResponseWriter, r *http.Request) (sid string, err error) {
	body, err := readTold(w, r, "application/x-www-form-urlencoded")
	if err != nil {
		return "", err
	}
	form, err := url.ParseQuery(body)
	if err != nil || len(form["logout_token"]) != 1 {
		return "", faultOf("invalid_request", "the form must hold one logout_token")
	}
	return a.signed.logoutToken(r.Context(), form.Get("logout_token"))
}

// pushed is POST /.understudy/events (RFC 8935 §2).
func (a *App) pushed(w http.ResponseWriter, r *http.Request) {
	set, err := readTold(w, r, ssf.TypeSET)
	sid := ""
	if err == nil {
		_, sid, err = a.signed.set(r.Context(), a.now(), set)
	}
	a.take(w, r, sid, err, http.StatusAccepted, func(f *fault) map[string]string {
		return map[string]string{"err": f.code, "description": brief(f.rule)}
	})
}

// take ends the session of which the issuer told, unless err is why that is not known, and answers with status, or with what refused says.
func (a *App) take(w http.ResponseWriter, r *http.Request, sid string, err error, status int, refused func(*fault) map[string]string) {
	if err == nil && sessionID(sid) { // a sign-in has one too, but the app's own is asked for anew before long, and is kept in a cookie alone
		err = a.hearEnd(r.Context(), sid)
	}
	f := new(fault)
	switch {
	case errors.As(err, &f):
		writeJSON(w, http.StatusBadRequest, refused(f))
	case err != nil:
		a.notNow(w, r, err)
	default:
		private(w.Header())
		w.WriteHeader(status)
	}
}

// hearEnd ends a session at this process.
func (a *App) hearEnd(ctx context.Context, sid string) error {
	fresh, err := a.hears.end(sid)
	if err == nil && fresh {
		a.log.InfoContext(ctx, "understudy told that an impersonation is over", "session", sid, "app", a.cfg.ClientID)
	}
	return err
}

// notNow makes the issuer say it again: nobody could tell whether it is right, or there is no room.
func (a *App) notNow(w http.ResponseWriter, r *http.Request, err error) {
	if unknown := new(keysError); !errors.As(err, &unknown) { // that is in the log already where the issuer is at fault, and anybody can have it said again
		a.log.WarnContext(r.Context(), "an event of understudy's could not be taken", "error", err)
	}
	private(w.Header())
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(http.StatusServiceUnavailable)
}
