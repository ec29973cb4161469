package rp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/understudy-id/understudy/oauth"
)

// maxAnswer bounds what the issuer may answer, in bytes.
const maxAnswer = 256 << 10

// issuer talks to understudy, always as the client that we are.
type issuer struct {
	url    string
	id     string
	secret oauth.Secret
	client *http.Client

	mu    sync.Mutex
	known *endpoints
}

// endpoints are the addresses of RFC 8414 §2 that we use.
type endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Userinfo      string `json:"userinfo_endpoint"`
	Keys          string `json:"jwks_uri"`
	Impersonation string `json:"understudy_impersonation_endpoint"`
	Actions       string `json:"understudy_actions_endpoint"`
}

// issuerError is an answer of the issuer that is a refusal: an error of RFC 6749 §5.2.
type issuerError struct {
	Status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *issuerError) Error() string {
	return fmt.Sprintf("the issuer answered %d %q: %q", e.Status, e.Code, e.Description)
}

// refused reports whether the issuer said no, rather than nothing.
func refused(err error) bool {
	e := new(issuerError)
	return errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout
}

// isOver reports whether the issuer refused a one-time value or a token itself: what it stood for is over. A refusal of us
// as a client says nothing about that.
func isOver(err error) bool {
	e := new(issuerError)
	return errors.As(err, &e) && e.Status == http.StatusBadRequest
}

// discover reads the issuer's metadata, once it can be had.
func (i *issuer) discover(ctx context.Context) (*endpoints, error) {
	i.mu.Lock()
	known := i.known
	i.mu.Unlock()
	if known != nil {
		return known, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, err
	}
	var e endpoints
	if err := i.do(req, &e); err != nil {
		return nil, fmt.Errorf("reading the issuer's metadata: %w", err)
	}
	if err := e.check(i.url); err != nil {
		return nil, err
	}
	i.mu.Lock()
	i.known = &e
	i.mu.Unlock()
	return &e, nil
}

// check holds the metadata against the issuer that it should be of (RFC 8414 §3.3).
func (e *endpoints) check(issuer string) error {
	if e.Issuer != issuer {
		return fmt.Errorf("the metadata is of the issuer %q, not of %q", e.Issuer, issuer)
	}
	for name, raw := range map[string]string{
		"authorization_endpoint": e.Authorization, "token_endpoint": e.Token, "introspection_endpoint": e.Introspection, "revocation_endpoint": e.Revocation,
		"userinfo_endpoint": e.Userinfo, "jwks_uri": e.Keys, "understudy_impersonation_endpoint": e.Impersonation, "understudy_actions_endpoint": e.Actions,
	} {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !oauth.Loopback(u.Hostname())) {
			return fmt.Errorf("the issuer's %s %q is not an https URL", name, raw)
		}
	}
	return nil
}

// do sends req and decodes a 200 into out; nil decodes nothing.
func (i *issuer) do(req *http.Request, out any) error {
	return i.ask(req, http.StatusOK, maxAnswer, out)
}

// ask is do for an answer with another status, and of another size.
func (i *issuer) ask(req *http.Request, status, most int, out any) error {
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	switch {
	case err != nil:
		return err
	case len(body) > most:
		return errors.New("the issuer's answer is too long")
	case resp.StatusCode != status:
		e := &issuerError{Status: resp.StatusCode}
		if json.Unmarshal(body, e) != nil {
			return &issuerError{Status: resp.StatusCode}
		}
		e.Code, e.Description = excerpt(e.Code), excerpt(e.Description)
		return e
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decoding the issuer's answer: %w", err)
	}
	return nil
}

// excerpt is the beginning of text, as far as it is printable: it goes into logs, and may be of any length. RFC 6749 §5.2 has ASCII there.
func excerpt(text string) string {
	const most = 200 // bytes
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text[:min(len(text), 4*most)])
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}

// post sends a form with our client authentication (RFC 6749 §2.3.1).
func (i *issuer) post(ctx context.Context, to string, form url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(i.id), url.QueryEscape(string(i.secret)))
	return i.do(req, out)
}

// tokenAnswer is what the token endpoint answers (RFC 6749 §5.1, RFC 8693 §2.2.1), with our own members (RFC 6749 §8.2).
type tokenAnswer struct {
	AccessToken string      `json:"access_token"`
	ExpiresIn   int64       `json:"expires_in"` // seconds; read of the tokens of this client alone
	TokenType   string      `json:"token_type"`
	IDToken     string      `json:"id_token"`
	Return      string      `json:"understudy_return_token"`
	Session     sessionInfo `json:"understudy_session"`
}

// ending is what ends the session of an answer to a start: the return token, or where there is no way back the token itself.
func (t *tokenAnswer) ending() oauth.Secret { return oauth.Secret(cmp.Or(t.Return, t.AccessToken)) }

func (i *issuer) token(ctx context.Context, form url.Values) (*tokenAnswer, error) {
	e, err := i.discover(ctx)
	if err != nil {
		return nil, err
	}
	var t tokenAnswer
	if err := i.post(ctx, e.Token, form, &t); err != nil {
		return nil, err
	}
	if !strings.EqualFold(t.TokenType, "Bearer") || !printable(t.AccessToken) {
		return nil, errors.New("the issuer's answer holds no bearer token")
	}
	return &t, nil
}

// printable reports whether s could be a token (RFC 6750 §2.1).
func printable(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// code redeems an authorization code.
func (i *issuer) code(ctx context.Context, code, redirectURI, verifier string) (*tokenAnswer, error) {
	return i.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
}

// actorToken is the actor_token of an exchange.
type actorToken struct {
	token oauth.Secret
	kind  oauth.TokenType
}

// actorToken gives token its type: access_token is for one of the issuer that is asked (RFC 8693 §3).
func (a *App) actorToken(token oauth.Secret) actorToken {
	if a.cfg.ForeignActor {
		return actorToken{token, oauth.TokenTypeJWT}
	}
	return actorToken{token, oauth.TokenTypeAccessToken}
}

// exchange redeems a ticket (RFC 8693 §2.1).
func (i *issuer) exchange(ctx context.Context, ticket oauth.Secret, verifier string, actor actorToken, resource string) (*tokenAnswer, error) {
	form := url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "code_verifier": {verifier},
		"subject_token": {string(ticket)}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token": {string(actor.token)}, "actor_token_type": {string(actor.kind)},
	}
	if resource != "" {
		form.Set("resource", resource)
	}
	return i.token(ctx, form)
}

// back redeems a return token: the actor's own access token again.
func (i *issuer) back(ctx context.Context, token oauth.Secret) (oauth.Secret, error) {
	t, err := i.token(ctx, url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {string(token)}, "subject_token_type": {string(oauth.TokenTypeReturnToken)},
	})
	if err != nil {
		return "", err
	}
	return oauth.Secret(t.AccessToken), nil
}

// revoke ends what token stands for (RFC 7009): of an impersonation token or a return token, the session.
func (i *issuer) revoke(ctx context.Context, token oauth.Secret) error {
	e, err := i.discover(ctx)
	if err != nil {
		return err
	}
	return i.post(ctx, e.Revocation, url.Values{"token": {string(token)}}, nil)
}

// introspect asks whether the impersonation token of session sid is active (RFC 7662). An answer about another session counts as no. own tells that
// the session was started by the client that we are.
func (i *issuer) introspect(ctx context.Context, sid string, token oauth.Secret) (alive, own bool, err error) {
	e, err := i.discover(ctx)
	if err != nil {
		return false, false, err
	}
	var answer struct {
		Active  bool   `json:"active"`
		Session string `json:"sid"`
		Client  string `json:"client_id"`
	}
	err = i.post(ctx, e.Introspection, url.Values{"token": {string(token)}}, &answer)
	return err == nil && answer.Active && answer.Session == sid, answer.Client == i.id, err
}

// userinfo describes whose token it is (OpenID Connect Core §5.3).
func (i *issuer) userinfo(ctx context.Context, token oauth.Secret) (p Person, err error) {
	e, err := i.discover(ctx)
	if err != nil {
		return p, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Userinfo, nil)
	if err != nil {
		return p, err
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	var claims struct {
		Person
		Act json.RawMessage `json:"act"`
	}
	if err := i.do(req, &claims); err != nil {
		return p, err
	}
	if claims.Subject == "" || claims.Act != nil {
		return p, errors.New("the issuer's userinfo is not about a person who signed in")
	}
	return claims.Person, nil
}

// Record implements Recorder.
func (i *issuer) Record(ctx context.Context, a Action) (bool, error) {
	lives, err := i.record(ctx, []Action{a})
	return err == nil && lives[a.Session].Active, err
}

// RecordAll implements Recorder.
func (i *issuer) RecordAll(ctx context.Context, batch []Action) (ended []string, err error) {
	lives, err := i.record(ctx, batch)
	for sid, life := range lives {
		if !life.Active {
			ended = append(ended, sid)
		}
	}
	return ended, err
}

// life tells whether a session goes on.
type life struct {
	Active bool `json:"active"`
}

// record is POST /impersonation/actions. It gives what the issuer says of the sessions.
func (i *issuer) record(ctx context.Context, actions []Action) (map[string]life, error) {
	e, err := i.discover(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string][]Action{"actions": actions})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Actions, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(url.QueryEscape(i.id), url.QueryEscape(string(i.secret)))
	var answer struct {
		Sessions map[string]life `json:"sessions"`
	}
	if err := i.do(req, &answer); err != nil {
		return nil, fmt.Errorf("recording actions: %w", err)
	}
	return answer.Sessions, nil
}
