package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	app      = "app"
	callback = "http://127.0.0.1:9/callback"
	// verifier is that of RFC 7636 appendix B.
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

var challenge = func() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}()

// account is an actor, whom they impersonate, and what they hold. One goroutine at a time has it.
type account struct {
	actor, subject, login string
	cookie                oauth.Secret
	token                 string       // the actor's access token
	ticket                oauth.Secret // "" once spent

	// Of the session that lives; ret is "" where none does.
	session, access, ret string
}

func (b *bench) write() impersonation.Write {
	return impersonation.Write{RequestID: oauth.NewID("req"), Now: time.Now().UTC().Truncate(time.Millisecond)}
}

// organisations is how many there are: support looks at its own one alone.
const organisations = 100

// people makes the client and the accounts: users and logins in the store, since passwords are made to cost time, and tokens by
// the code flow.
func (b *bench) people() {
	b.say("making %d accounts", b.o.accounts)
	secret := oauth.NewSecret()
	b.headers = make(map[string]string)
	for _, contentType := range []string{formType, jsonType} {
		b.headers[contentType] = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(app+":"+string(secret))) + "\r\nContent-Type: " + contentType + "\r\n"
	}
	b.must(b.store.CreateClient(b.t.Context(), store.ClientWrite{Write: b.write(), Client: store.Client{
		Client: policy.Client{ID: app, Exchange: true, Resources: []string{policy.DefaultResource},
			Scopes: []string{oauth.ScopeOpenID, "profile", "email", "roles", "app:read", "app:write", oauth.ScopeImpersonate}},
		Name: "The app", SecretHash: secret.Hash(), RedirectURIs: []string{callback}, Serves: []string{policy.DefaultResource}, Created: time.Now(),
	}}))
	b.accounts = make([]*account, b.o.accounts)
	b.each(func(c *conn, i int) error {
		a := &account{actor: fmt.Sprint("actor", i), subject: fmt.Sprint("subject", i), login: oauth.NewID("lgn"), cookie: oauth.NewSecret()}
		b.accounts[i] = a
		if err := b.enrol(a, fmt.Sprint("org", i%organisations)); err != nil {
			return err
		}
		return b.signIn(c, a)
	})
	b.settle()
}

func (b *bench) enrol(a *account, organisation string) error {
	w := b.write()
	actor := directory.User{ID: a.actor, Email: a.actor + "@acme.test", Name: "Sue " + a.actor, Organisation: organisation, Roles: []string{"support"}, Enabled: true, Created: w.Now}
	subject := directory.User{ID: a.subject, Email: a.subject + "@acme.test", Name: "John " + a.subject, Organisation: organisation, Enabled: true, Created: w.Now}
	login := impersonation.Login{ID: a.login, User: a.actor, AuthTime: w.Now, AMR: []string{"pwd", "otp", "mfa"}, Created: w.Now, LastUsed: w.Now, Expires: w.Now.Add(8 * time.Hour)}
	ctx := b.t.Context()
	if err := b.store.CreateUser(ctx, store.UserWrite{Write: w, User: actor}); err != nil {
		return err
	}
	if err := b.store.CreateUser(ctx, store.UserWrite{Write: w, User: subject}); err != nil {
		return err
	}
	return b.store.CreateLogin(ctx, store.LoginWrite{Write: w, Login: login, Cookie: a.cookie.Hash()})
}

// signIn gets the actor's token by the code flow.
func (b *bench) signIn(c *conn, a *account) error {
	q := url.Values{"client_id": {app}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email roles app:read impersonate"},
		"state": {"12345678"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	if _, err := c.do("GET", "/oauth2/auth?"+q.Encode(), "Cookie: __Host-op="+string(a.cookie)+"\r\n", nil); err != nil {
		return err
	}
	back, err := url.Parse(string(c.location))
	if err != nil || back.Query().Get("code") == "" {
		return fmt.Errorf("authorizing: %s %s", c.location, c.body)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	if err := b.post(c, "/oauth2/token", formType, []byte(form.Encode())); err != nil {
		return err
	}
	a.token, err = member(c.body, "access_token")
	return err
}

// tickets gives everybody one who has none, by the rules of the page.
func (b *bench) tickets() {
	b.each(func(_ *conn, i int) (err error) {
		if a := b.accounts[i]; a.ticket == "" {
			a.ticket, err = b.service.IssueTicket(b.t.Context(), impersonation.TicketRequest{
				Client: app, RedirectURI: callback, Actor: a.actor, Login: a.login, Subject: a.subject, Mode: oauth.ModeRead, Duration: 30 * time.Minute,
				Reason: "cannot find the report tab", TicketNumber: "SUP-1", CodeChallenge: challenge, RequestID: oauth.NewID("req"),
			})
		}
		return err
	})
}

// proof is what the actor's token says.
func (a *account) proof() (impersonation.ActorProof, error) {
	parts := strings.Split(a.token, ".")
	if len(parts) != 3 {
		return impersonation.ActorProof{}, errors.New("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return impersonation.ActorProof{}, err
	}
	var claims struct {
		ID       string `json:"jti"`
		Audience string `json:"aud"`
		Scope    string `json:"scope"`
		Expires  int64  `json:"exp"`
	}
	err = json.Unmarshal(payload, &claims)
	return impersonation.ActorProof{User: a.actor, Login: a.login, JTI: claims.ID, Scope: strings.Fields(claims.Scope), Audience: claims.Audience,
		Expires: time.Unix(claims.Expires, 0).UTC()}, err
}
