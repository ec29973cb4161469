package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/internal/totp"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestConformance: the suite that tests other people's servers finds nothing here, and leaves nothing out.
func TestConformance(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		reg := policy.Default()
		reg.Resources = append(reg.Resources, policy.Resource{URI: api2, AcceptsAct: true, Scopes: []string{"app:read"}})
		o.registry = &reg
		const guess = "client/brute-force"
		conformance.Test(t, setup(t, o).target(), conformance.Options{Slow: true, Destructive: true, Skip: []string{guess}})
		o.limits = &server.Limits{} // which the others would run into: they do in a second what clients do in an hour
		conformance.Test(t, setup(t, o).target(), conformance.Options{Destructive: true, Only: []string{guess}})
	})
}

// TestConformanceByUserID: the same holds of what starts without the page.
func TestConformanceByUserID(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		reg := policy.Default()
		reg.Resources = append(reg.Resources, policy.Resource{URI: api2, AcceptsAct: true, Scopes: []string{"app:read"}})
		o.registry = &reg
		h := setup(t, o)
		target := h.target()
		target.Start = conformance.Start{
			By: conformance.StartByUserID, SubjectTokenType: "urn:understudy:params:oauth:token-type:user_id", FreshActor: true,
			Parameters: map[string]string{"understudy_reason": "{reason}"},
		}
		conformance.Test(t, target, conformance.Options{Slow: true, Destructive: true, Skip: []string{"client/brute-force", "pages", "code", "par"}})
	})
}

// target is the house as the suite is told of it.
func (h *house) target() conformance.Target {
	h.t.Helper()
	h.must(h.store.CreateUser(context.Background(), store.UserWrite{Write: h.write(), User: directory.User{
		ID: "max", Email: "max@acme.test", Name: "Max Gone", Organisation: "acme", Created: time.Now(),
	}}))
	both := func(c *store.Client) {
		c.Resources, c.Settings.Refresh, c.Settings.UserID = []string{resource, api2}, true, true
	}
	h.addPinned("suite", both)
	h.addPinned("second", func(c *store.Client) { both(c); c.Serves = nil })
	h.addPinned("plain", func(c *store.Client) { c.Exchange, c.Serves = false, nil })
	h.addPinned("open", func(c *store.Client) { c.Exchange, c.Public, c.Serves = false, true, nil })
	h.addPinned("bound", func(c *store.Client) { both(c); c.Settings.DPoP = true })
	h.addClientAs("bot", agent)
	h.addClientAs("robot", service)
	h.consent("client:bot", "bot", nil)
	h.consent("client:robot", "robot", func(c *impersonation.Consent) { c.ActorKind = oauth.ActorService })
	return conformance.Target{
		Issuer: h.issuer, Resource: resource, OtherResource: api2, Scope: actorScope, SubjectScope: "openid app:read", WriteScope: "app:write",
		Clients: conformance.Clients{
			App: h.suiteClient("suite"), Other: new(h.suiteClient("second")), NoExchange: new(h.suiteClient("plain")), Bound: new(h.suiteClient("bound")),
			Public: &conformance.Client{ID: "open", Auth: "none", RedirectURI: callback}, Key: h.keyedClient("keyed"),
		},
		Accounts: conformance.Accounts{
			Actor: *h.suiteAccount("ann"), OtherActor: h.suiteAccount("bea"), Subject: *h.suiteAccount("john"), Protected: h.suiteAccount("pat"), Ordinary: h.suiteAccount("eve"),
			Disabled: &conformance.Account{Subject: "max", Login: "max@acme.test"}, SecondFactor: h.codedAccount("kim"), Limited: h.suiteAccount("sue"), Outside: h.suiteAccount("zoe"),
		},
		Start: conformance.Start{
			By: conformance.StartByTicket, Page: "/impersonate", TicketParam: "ticket",
			Query:            map[string]string{"subject": "{subject}"},
			Fields:           map[string]string{"mode": "{mode}", "reason": "{reason}", "minutes": "30"},
			SubjectTokenType: "urn:understudy:params:oauth:token-type:ticket",
			ReturnTokenType:  "urn:understudy:params:oauth:token-type:return_token", ReturnTokenMember: "understudy_return_token",
			ReadMode: "read", WriteMode: "write",
		},
		Agents: []conformance.Agent{
			{Client: h.suiteClient("bot"), Subject: "client:bot", Scope: "app:read impersonate", Kind: "ai_agent"},
			{Client: h.suiteClient("robot"), Subject: "client:robot", Scope: "app:read impersonate", Kind: "service"},
		},
		Lifetimes: conformance.Lifetimes{Code: time.Minute, Ticket: time.Minute, AccessToken: 10 * time.Minute}, Elapse: h.clock.advance,
	}
}

// suiteAccount lets somebody sign in by a password.
func (h *house) suiteAccount(id string) *conformance.Account {
	h.t.Helper()
	phc, err := suitePassword()
	h.must(err)
	h.must(h.store.SetCredentials(context.Background(), store.CredentialsWrite{Write: h.write(), UserID: id, Password: &phc}))
	u, err := h.store.Get(context.Background(), id)
	h.must(err)
	return &conformance.Account{Subject: id, Login: u.Email, Password: passOfSuite}
}

// codedAccount adds somebody who signs in by a password and a code.
func (h *house) codedAccount(id string) *conformance.Account {
	h.t.Helper()
	h.must(h.store.CreateUser(context.Background(), store.UserWrite{Write: h.write(), User: directory.User{
		ID: id, Email: id + "@acme.test", Name: "Kim Coded", Roles: []string{"admin"}, Enabled: true, Created: time.Now(),
	}}))
	a := h.suiteAccount(id)
	secret, _, err := totp.New(totp.Issuer, a.Login)
	h.must(err)
	sealed := h.box.Seal(totp.Purpose(id), []byte(secret))
	h.must(h.store.SetCredentials(context.Background(), store.CredentialsWrite{Write: h.write(), UserID: id, TOTP: &sealed}))
	a.TOTP = secret
	return a
}

const passOfSuite = "a password that is long enough"

// suitePassword is its hash, one for all: to make one is slow on purpose.
var suitePassword = sync.OnceValues(func() (string, error) { return password.New(0, 0).Hash(context.Background(), passOfSuite) })

func (h *house) suiteClient(id string) conformance.Client {
	return conformance.Client{ID: id, Secret: h.secrets[id], RedirectURI: callback}
}

// keyedClient authenticates by a key, and has a secret from before.
func (h *house) keyedClient(id string) *conformance.Client {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	h.must(err)
	jwk := (&prover{h: h, key: key}).jwk()
	jwk["kid"] = "k1"
	set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	h.must(err)
	h.addPinned(id, func(c *store.Client) {
		c.Settings.Auth, c.Settings.Keys, c.Settings.UserID, c.Serves = store.AuthPrivateKey, set, true, nil
	})
	c := h.suiteClient(id)
	c.Auth, c.KeyID, c.PrivateKey = "private_key_jwt", "k1", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return &c
}
