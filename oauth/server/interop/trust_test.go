package interop_test

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth/tokens"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// app is a client of the idp, with this redirect URI.
func (i *idp) app(v *visitor, client, redirect string) *oauth2.Config {
	v.t.Helper()
	issuer, err := upstream.NewIssuer(upstream.IssuerConfig{URL: i.issuer, Loopback: true})
	must(v.t, err)
	m, err := issuer.Metadata(v.t.Context())
	must(v.t, err)
	return &oauth2.Config{ClientID: client, ClientSecret: idpSecret, RedirectURL: redirect, Scopes: []string{"openid", i.scope},
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader}}
}

// accessToken is one that sam, in that browser, got for a client with this redirect URI.
func (i *idp) accessToken(v *visitor, client, redirect string) string {
	v.t.Helper()
	app, verifier := i.app(v, client, redirect), oauth2.GenerateVerifier()
	var forResource []oauth2.AuthCodeOption
	if i.resource != "" {
		forResource = append(forResource, oauth2.SetAuthURLParam("resource", i.resource))
	}
	q := v.visit(app.AuthCodeURL("state-12345", append(forResource, oauth2.S256ChallengeOption(verifier))...), sam).Query()
	token, err := app.Exchange(v.t.Context(), q.Get("code"), append(forResource, oauth2.VerifierOption(verifier))...)
	must(v.t, err)
	return token.AccessToken
}

// rule is that by which tokens for a client of the idp tell who acts at our client app.
func (i *idp) rule(client string) upstream.TrustConfig {
	return upstream.TrustConfig{Issuer: upstream.IssuerConfig{URL: i.issuer, Loopback: true}, Audience: cmp.Or(i.audience, client),
		Clients: map[string][]string{"app": {client}}, Impersonate: i.mark}
}

// TestTrustedProviders: an access token of somebody else's provider tells who acts, by the rule for it, and by no other.
func TestTrustedProviders(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := goAbroad(t, start)
			token, rule := a.idp.accessToken(a.browser, idpClient, callback), a.idp.rule(idpClient)
			actor, err := read(t, rule, token)
			if err != nil || actor.Issuer != a.idp.issuer || actor.Subject != "sam-there" || !actor.Impersonates || actor.ID == "" {
				t.Fatalf("got %+v, %v; want sam, who may impersonate", actor, err)
			}
			for what, change := range map[string]func(*upstream.TrustConfig){
				"another audience":       func(c *upstream.TrustConfig) { c.Audience = "urn:understudy:others" },
				"another client":         func(c *upstream.TrustConfig) { c.Clients = map[string][]string{"app": {"another"}} },
				"an issuer with a slash": func(c *upstream.TrustConfig) { c.Issuer.URL += "/" },
			} {
				other := rule
				change(&other)
				if actor, err := read(t, other, token); !errors.Is(err, tokens.ErrClaims) || actor.Subject != "" {
					t.Errorf("%s: got %+v, %v; want ErrClaims", what, actor, err)
				}
			}
			rule.Impersonate = upstream.Mark{Scope: "else"}
			if actor, err := read(t, rule, token); err != nil || actor.Impersonates {
				t.Errorf("with another mark: got %+v, %v; want sam, who may not", actor, err)
			}
			cut := strings.LastIndexByte(token, '.')
			if actor, err := read(t, rule, token[:cut+1]+strings.Repeat("A", len(token)-cut-1)); !errors.Is(err, tokens.ErrSignature) {
				t.Errorf("another signature: got %+v, %v; want ErrSignature", actor, err)
			}
			id := a.signIn(upstream.AuthRequest{MaxAge: -1})
			if actor, err := read(t, rule, string(id.IDToken)); !errors.Is(err, tokens.ErrClaims) {
				t.Errorf("the ID token: got %+v, %v; want ErrClaims", actor, err)
			}
		})
	}
}

func read(t *testing.T, rule upstream.TrustConfig, token string) (upstream.Actor, error) {
	t.Helper()
	trust, err := upstream.NewTrust(rule)
	must(t, err)
	return trust.Actor(t.Context(), "app", token)
}
