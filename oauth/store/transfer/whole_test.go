package transfer_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

const (
	password = "correct horse battery staple"
	callback = "http://127.0.0.1:9/callback"
	// The verifier and challenge of RFC 7636 appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// town is an installation with people at work: servers one after another under one URL.
type town struct {
	*scene
	issuer, secret string
	browser        *chaos.Browser
}

// TestTheServerGoesOn: what was begun with the server on the file goes on with the server on Postgres.
func TestTheServerGoesOn(t *testing.T) {
	t.Parallel()
	s := &scene{TB: t, db: postgrestest.Fresh(t)}
	env := []string{"UNDERSTUDY_SIGN_IN_SECOND_FACTOR=optional", "UNDERSTUDY_SEALING_KEY=" + base64.StdEncoding.EncodeToString(sealingKey)}
	first := chaos.New(t, chaos.Config{Env: env})
	s.path = first.Database
	second := chaos.New(t, chaos.Config{Database: s.db.Application, PublicURL: first.URL, Env: append(env, "UNDERSTUDY_LISTEN="+strings.TrimPrefix(first.URL, "http://"))})
	w := &town{scene: s, issuer: first.URL, browser: chaos.NewBrowser(first.URL)}
	t.Cleanup(w.browser.Close)

	w.secret = strings.TrimSpace(first.Run("", "client", "add", "--id", "app", "--name", "The app", "--redirect-uri", callback, "--serves", resource))
	for _, id := range []string{"john", "jane"} {
		first.Run("", "user", "add", "--id", id, "--email", id+"@acme.test", "--name", id)
	}
	first.Run(password+"\n", "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann", "--role", "admin", "--password-stdin")
	first.Start()
	s.ok(w.browser.SignIn("ann@acme.test", password))
	earlier := w.start(w.actor(), "john")
	w.post("/oauth2/token", url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {earlier["understudy_return_token"].(string)}, "subject_token_type": {string(oauth.TokenTypeReturnToken)}})
	live := w.start(w.actor(), "john")
	first.Run("", "session", "kill", "--subject", "jane", "--reason", "she asked for it")
	s.ok(first.Stop())

	lite, err := sqlite.Open(t.Context(), sqlite.Config{Path: s.path})
	s.ok(err)
	s.record(lite, 6000)
	s.ok(lite.Close())
	out := second.Run("", "store", "copy", "--from", s.path, "--database", s.db.Owner)
	if !strings.Contains(out, "has moved: 60") {
		t.Errorf("store copy said %q", out)
	}
	s.sameByStoreOf(first.URL)

	second.Start()
	if got := w.post("/oauth2/introspect", url.Values{"token": {live["access_token"].(string)}}); got["active"] != true || got["sub"] != "john" {
		t.Errorf("the token from before the copy: got %v, want it active", got)
	}
	if got := w.post("/oauth2/introspect", url.Values{"token": {earlier["access_token"].(string)}}); got["active"] != false {
		t.Errorf("the token that was stopped before the copy: got %v", got)
	}
	back := w.post("/oauth2/token", url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {live["understudy_return_token"].(string)}, "subject_token_type": {string(oauth.TokenTypeReturnToken)}})
	if back["access_token"] == nil {
		t.Errorf("the return token from before the copy: got %v", back)
	}
	if got := w.post("/oauth2/introspect", url.Values{"token": {live["access_token"].(string)}}); got["active"] != false {
		t.Errorf("after stop: got %v", got)
	}
	actor := w.actor() // by the cookie of a sign-in before the copy
	if _, err := w.ticket("jane"); err == nil || !strings.Contains(err.Error(), "got 403") {
		t.Errorf("a kill from before the copy: got %.2000v, want a page that refuses", err)
	}
	w.start(actor, "john")
	s.ok(second.Stop())
	post, err := postgres.Open(t.Context(), postgres.Config{URL: s.db.Application})
	s.ok(err)
	defer post.Close()
	for _, v := range chaos.Check(t.Context(), post, chaos.Options{Issuer: first.URL}) {
		t.Error(v)
	}
}

var request = url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "state": {"state-12345"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}

// actor gives an access token of who is signed in.
func (w *town) actor() string {
	w.Helper()
	q := url.Values{"response_type": {"code"}, "scope": {"openid app:read impersonate"}}
	for name, v := range request {
		q[name] = v
	}
	back, err := w.browser.Authorize(w.issuer + "/oauth2/auth?" + q.Encode())
	w.ok(err)
	body := w.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}})
	token, ok := body["access_token"].(string)
	if !ok {
		w.Fatalf("no access token: %v", body)
	}
	return token
}

func (w *town) ticket(subject string) (string, error) {
	back, err := w.browser.Impersonate(request, url.Values{"subject": {subject}, "reason": {"no report tab"}, "mode": {"read"}, "minutes": {"30"}, "action": {"impersonate"}})
	return back.Get("ticket"), err
}

func (w *town) start(actor, subject string) map[string]any {
	w.Helper()
	ticket, err := w.ticket(subject)
	w.ok(err)
	body := w.post("/oauth2/token", url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {ticket}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token": {actor}, "actor_token_type": {string(oauth.TokenTypeAccessToken)}, "code_verifier": {verifier},
	})
	if body["access_token"] == nil {
		w.Fatalf("no impersonation: %v", body)
	}
	return body
}

func (w *town) post(path string, form url.Values) (body map[string]any) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.issuer+path, strings.NewReader(form.Encode()))
	w.ok(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("app", w.secret)
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	w.ok(err)
	defer resp.Body.Close()
	w.ok(json.NewDecoder(resp.Body).Decode(&body))
	return body
}
