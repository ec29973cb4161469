package chaos_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

// The verifier and challenge of RFC 7636 appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	callback  = "http://127.0.0.1:9/callback"
)

// app is a relying app's back channel.
type app struct {
	issuer, id, secret string
	http               *http.Client
}

// answered is the JSON answer with which a server refused: it did answer, so nothing is unknown.
type answered struct {
	status int
	body   map[string]any
}

func (a *answered) Error() string { return fmt.Sprintf("got %d %v", a.status, a.body) }

func (a *app) post(path string, form url.Values) (map[string]any, error) {
	req, err := http.NewRequest(http.MethodPost, a.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(a.id, a.secret)
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return body, &answered{resp.StatusCode, body}
	}
	return body, nil
}

func (a *app) active(token string) (bool, error) {
	body, err := a.post("/oauth2/introspect", url.Values{"token": {token}})
	return body["active"] == true, err
}

// worker is one admin at work: it starts, sometimes stops, and starts again, which ends what came before.
type worker struct {
	app     *app
	browser *chaos.Browser
	actor   string // access token

	// What was answered, and whether the last request was not.
	started []session // all of them, in order
	unknown string    // "ticket", "start", "stop": the request without an answer
	tickets []string  // spent with success
	failed  error     // an answer that must not be
}

// session is one start that was answered 200.
type session struct {
	id, token, ret string
	stopped        bool // its stop was answered 200
}

var request = url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "state": {"state-12345"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}

// signIn opens the login and gets the actor's token by the code flow.
func (w *worker) signIn(email, password string) error {
	if err := w.browser.SignIn(email, password); err != nil {
		return err
	}
	q := url.Values{"response_type": {"code"}, "scope": {"openid app:read impersonate"}}
	for name, v := range request {
		q[name] = v
	}
	back, err := w.browser.Authorize(w.app.issuer + "/oauth2/auth?" + q.Encode())
	if err != nil {
		return err
	}
	body, err := w.app.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}})
	w.actor, _ = body["access_token"].(string)
	return err
}

// run works until the server is gone. Each start that was answered is counted in acks.
func (w *worker) run(ends *chaos.Ends, acks *atomic.Int64) {
	w.unknown = ""
	for w.unknown == "" && w.failed == nil {
		w.start()
		if w.unknown != "" || w.failed != nil {
			return
		}
		acks.Add(1)
		switch rand.IntN(3) {
		case 0:
			w.stop(ends)
		case 1:
			w.introspect(ends)
		}
	}
}

func (w *worker) start() {
	back, err := w.browser.Impersonate(request, url.Values{"subject": {"john"}, "reason": {"cannot find the report tab"}, "mode": {"read"}, "minutes": {"30"}, "action": {"impersonate"}})
	if err != nil {
		w.unanswered("ticket", err)
		return
	}
	ticket := back.Get("ticket")
	body, err := w.app.post("/oauth2/token", url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {ticket}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token": {w.actor}, "actor_token_type": {string(oauth.TokenTypeAccessToken)}, "code_verifier": {verifier},
	})
	if err != nil {
		w.unanswered("start", err)
		return
	}
	var s session
	s.token, _ = body["access_token"].(string)
	s.ret, _ = body["understudy_return_token"].(string)
	about, _ := body["understudy_session"].(map[string]any)
	s.id, _ = about["id"].(string)
	w.started, w.tickets = append(w.started, s), append(w.tickets, ticket)
}

func (w *worker) stop(ends *chaos.Ends) {
	s := &w.started[len(w.started)-1]
	body, err := w.app.post("/oauth2/token", url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {s.ret}, "subject_token_type": {string(oauth.TokenTypeReturnToken)},
	})
	if err != nil {
		w.unanswered("stop", err)
		return
	}
	s.stopped = true
	ends.Ended(s.id)
	w.actor, _ = body["access_token"].(string)
}

// introspect asks about any session so far.
func (w *worker) introspect(ends *chaos.Ends) {
	s := w.started[rand.IntN(len(w.started))]
	answer := ends.Ask(s.id)
	active, err := w.app.active(s.token)
	if err != nil {
		w.unanswered("introspect", err)
		return
	}
	answer(active)
}

// unanswered notes that the outcome of a request is unknown, or that it was refused, which nothing here should be.
func (w *worker) unanswered(what string, err error) {
	var refused *answered
	if errors.As(err, &refused) || strings.Contains(err.Error(), "want 303") {
		w.failed = fmt.Errorf("%s: %w", what, err)
	}
	w.unknown = what
}

func newHTTP() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
}
