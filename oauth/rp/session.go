package rp

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// sessionInfo is the member understudy_session of the answer to a start.
type sessionInfo struct {
	ID        string     `json:"id"`
	Mode      oauth.Mode `json:"mode"`
	ExpiresAt string     `json:"expires_at"` // RFC 3339
	Subject   Person     `json:"subject"`
	Actor     Person     `json:"actor"`
}

// session checks what the issuer says of a session that it started.
// foreign tells that the actor came with a token of another issuer: then nothing is there to come back to.
func (t *tokenAnswer) session(now time.Time, foreign bool) (Session, error) {
	i := t.Session
	expires, err := time.Parse(time.RFC3339, i.ExpiresAt)
	switch {
	case err != nil:
		return Session{}, errors.New("understudy_session.expires_at is not a time of RFC 3339")
	case !sessionID(i.ID):
		return Session{}, errors.New("understudy_session.id is not the id of a session")
	case !i.Mode.Valid():
		return Session{}, errors.New("understudy_session.mode must be read or write")
	case !foreign && (len(t.Return) != oauth.SecretLength || !printable(t.Return)):
		return Session{}, errors.New("understudy_return_token is missing")
	case expires.Before(now):
		return Session{}, errors.New("understudy_session is over already")
	}
	if err := i.checkPeople(foreign); err != nil {
		return Session{}, err
	}
	i.Actor.Roles, i.Actor.Elsewhere = nil, nil
	return Session{
		ID: i.ID, Subject: i.Subject, Actor: i.Actor, Mode: i.Mode, Started: now.Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second),
		Token: oauth.Secret(t.AccessToken),
	}, nil
}

// checkPeople checks who the two are.
func (i sessionInfo) checkPeople(foreign bool) error {
	at := i.Subject.Elsewhere
	switch {
	case i.Subject.Subject == "" || i.Actor.Subject == "":
		return errors.New("understudy_session names no subject or no actor")
	case i.Subject.Issuer != "" || foreign != (i.Actor.Issuer != ""):
		return errors.New("understudy_session names somebody of another issuer than the actor's token was of")
	case at != nil && (at.Format != issSub || at.Issuer == "" || at.Subject == ""):
		return errors.New("understudy_session.subject.sub_id must have iss and sub, and the format iss_sub")
	case i.Subject.at(i.Actor) == i.Actor.Subject:
		return errors.New("understudy_session names one person as both")
	}
	return nil
}

// sessionJSON is the answer of GET /.understudy/session.
type sessionJSON struct {
	Impersonating bool       `json:"impersonating"`
	Ended         bool       `json:"ended,omitempty"` // one was here, and is over
	ID            string     `json:"session,omitempty"`
	Subject       *Person    `json:"subject,omitempty"`
	Actor         *Person    `json:"actor,omitempty"`
	Mode          oauth.Mode `json:"mode,omitempty"`
	ExpiresAt     string     `json:"expires_at,omitempty"`
	Stop          string     `json:"stop,omitempty"`
	// Failure is why the start that leads back here did not begin, for the query that it led back with.
	Failure *failureJSON `json:"failure,omitempty"`
}

// showSession is GET /.understudy/session?understudy_failed, for pages that are made in the browser.
func (a *App) showSession(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	answer := sessionJSON{Ended: v.over && (v.jar.acting.n > 0 || v.jar.held.n > 0), Failure: a.failure(r, v.site)}
	if s := v.session; s != nil {
		alive, err := a.live.Alive(r.Context(), s.ID, s.Token)
		switch {
		case err != nil:
			a.unavailable(w, r, v)
			return
		case !alive:
			answer.Ended = true
		default:
			answer = sessionJSON{
				Impersonating: true, ID: s.ID, Subject: &s.Subject, Actor: &s.Actor, Mode: s.Mode,
				ExpiresAt: s.Expires.Format(time.RFC3339), Stop: root + "stop",
			}
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	private(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the client is gone, and nobody is left to tell
}

// private is what every answer of ours carries.
func private(h http.Header) {
	unkept(h)
	varyBy(h, byCookie)
	h.Set("Referrer-Policy", "no-referrer") // our addresses carry tickets, codes and reasons
	h.Set("X-Content-Type-Options", "nosniff")
}

// redirect answers 303, so that what comes next is a GET.
func redirect(w http.ResponseWriter, to string) {
	private(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
