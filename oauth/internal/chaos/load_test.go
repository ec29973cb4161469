package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
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
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &chaos.Refused{Status: resp.StatusCode, RetryAfter: resp.Header.Get("Retry-After"), Text: string(text)}
	}
	var body map[string]any
	return body, json.Unmarshal(text, &body)
}

func (a *app) active(token string) (bool, error) {
	body, err := a.post("/oauth2/introspect", url.Values{"token": {token}})
	return body["active"] == true, err
}

// worker is one admin at work: it starts, sometimes stops, and starts again, which ends what came before.
type worker struct {
	app     *app   // of the server it works at
	asks    []*app // of all servers
	board   *board // where sessions are known from to all
	browser *chaos.Browser
	actor   string   // access token
	weather *weather // nil where no request may be refused

	// What was answered, and whether requests were not.
	started []session // all of them, in order
	unknown string    // "start" or "stop", which may have ended the last of them: one came since, and nobody knows what it did
	gone    bool      // the server did not answer
	tickets []string  // spent with success
	failed  error     // an answer that must not be
	slowest time.Duration
	// How many requests were answered with success and refused, for those who watch.
	served, refused atomic.Int64
	acks            atomic.Int64 // starts
}

// board is the sessions of a whole crowd. The zero value has none; safe for concurrent use.
type board struct {
	mu       sync.Mutex
	sessions []session
}

func (b *board) add(s session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions = append(b.sessions, s)
}

// any gives one of the last few: of those there may be news.
func (b *board) any() (s session, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.sessions[max(0, len(b.sessions)-20):]
	if len(last) == 0 {
		return session{}, false
	}
	return last[rand.IntN(len(last))], true
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

// run works until ctx ends or the server is gone.
func (w *worker) run(ctx context.Context, ends *chaos.Ends) {
	w.gone = false
	for ctx.Err() == nil && w.start(ends) {
		switch rand.IntN(3) {
		case 0:
			w.stop(ends)
		case 1:
			w.introspect(ends)
		}
		w.weather.rest(ctx)
	}
}

// start answers false if there is no use in going on.
func (w *worker) start(ends *chaos.Ends) (on bool) {
	var back url.Values
	if !w.call("ticket", func() (err error) {
		back, err = w.browser.Impersonate(request, url.Values{"subject": {"john"}, "reason": {"cannot find the report tab"}, "mode": {"read"}, "minutes": {"30"}, "action": {"impersonate"}})
		return err
	}) {
		return w.goesOn()
	}
	var body map[string]any
	if !w.call("start", func() (err error) {
		body, err = w.app.post("/oauth2/token", url.Values{
			"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {back.Get("ticket")}, "subject_token_type": {string(oauth.TokenTypeTicket)},
			"actor_token": {w.actor}, "actor_token_type": {string(oauth.TokenTypeAccessToken)}, "code_verifier": {verifier},
		})
		return err
	}) {
		return w.goesOn()
	}
	var s session
	s.token, _ = body["access_token"].(string)
	s.ret, _ = body["understudy_return_token"].(string)
	about, _ := body["understudy_session"].(map[string]any)
	s.id, _ = about["id"].(string)
	if len(w.started) > 0 {
		ends.Ended(w.started[len(w.started)-1].id)
	}
	w.board.add(s)
	w.started, w.tickets = append(w.started, s), append(w.tickets, back.Get("ticket"))
	w.unknown = ""
	w.acks.Add(1)
	return true
}

func (w *worker) stop(ends *chaos.Ends) {
	if len(w.started) == 0 || w.unknown != "" || !w.goesOn() {
		return
	}
	s := &w.started[len(w.started)-1]
	if s.stopped {
		return
	}
	w.call("stop", func() error {
		body, err := w.app.post("/oauth2/token", url.Values{
			"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {s.ret}, "subject_token_type": {string(oauth.TokenTypeReturnToken)},
		})
		if err == nil {
			s.stopped = true
			ends.Ended(s.id)
			w.actor, _ = body["access_token"].(string)
		}
		return err
	})
}

// introspect asks about anybody's session.
func (w *worker) introspect(ends *chaos.Ends) {
	s, ok := w.board.any()
	if !ok || !w.goesOn() {
		return
	}
	answer := ends.Ask(s.id)
	w.call("introspect", func() error {
		active, err := w.app.active(s.token)
		if err == nil {
			answer(active)
		}
		return err
	})
}

func (w *worker) goesOn() bool { return !w.gone && w.failed == nil }

// call makes one request, and holds it to what must be: an answer, and no refusal but what the weather allows.
func (w *worker) call(what string, request func() error) (ok bool) {
	before, begin := w.weather.now(), time.Now()
	err := request()
	var refused *chaos.Refused
	switch took := time.Since(begin); {
	case err == nil && before != "" && before == w.weather.now():
		w.failed = fmt.Errorf("%s: answered with success in the middle of: %s", what, before)
	case err == nil:
		w.slowest = max(w.slowest, took)
		w.served.Add(1)
		return true
	case !errors.As(err, &refused):
		w.gone = true
		if w.weather != nil {
			w.failed = fmt.Errorf("%s after %s: %w", what, took, err)
		}
	case w.weather == nil || refused.Status != http.StatusServiceUnavailable || refused.RetryAfter == "":
		w.failed = fmt.Errorf("%s after %s: %w", what, took, err)
	default:
		w.slowest = max(w.slowest, took)
		w.refused.Add(1)
	}
	if what == "start" || what == "stop" {
		w.unknown = what
	}
	return false
}

// weather is what workers may meet: they may be refused for want of a store, as long as they are told when to come again. Nil is
// fair weather.
type weather struct {
	mu  sync.Mutex
	bad string // why no request can succeed; "" if it might
}

// turn says from when on no request can succeed, and why; "" from when on it might.
func (w *weather) turn(bad string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = bad
}

func (w *weather) now() string {
	if w == nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad
}

// rest is what a person takes between two clicks, so that there is some of the machine left for other tests.
func (w *weather) rest(ctx context.Context) {
	if w == nil {
		return
	}
	timer := time.NewTimer(rand.N(40 * time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func newHTTP() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
}
