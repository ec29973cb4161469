package interop_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth/tokens"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// accessToken is one that sam got for an app of the provider's own.
func (a *abroad) accessToken() string {
	a.t.Helper()
	m, err := a.provider.Issuer().Metadata(a.t.Context())
	must(a.t, err)
	app := &oauth2.Config{ClientID: idpClient, ClientSecret: idpSecret, RedirectURL: callback, Scopes: []string{"openid", a.idp.scope},
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader}}
	verifier := oauth2.GenerateVerifier()
	var forResource []oauth2.AuthCodeOption
	if a.idp.resource != "" {
		forResource = append(forResource, oauth2.SetAuthURLParam("resource", a.idp.resource))
	}
	q := a.browser.visit(app.AuthCodeURL("state-12345", append(forResource, oauth2.S256ChallengeOption(verifier))...), sam).Query()
	token, err := app.Exchange(a.t.Context(), q.Get("code"), append(forResource, oauth2.VerifierOption(verifier))...)
	must(a.t, err)
	return token.AccessToken
}

// TestTrustedProviders: an access token of somebody else's provider tells who acts, by the rule for it, and by no other.
func TestTrustedProviders(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := goAbroad(t, start)
			token := a.accessToken()
			rule := upstream.TrustConfig{Issuer: upstream.IssuerConfig{URL: a.idp.issuer, Loopback: true}, Audience: a.idp.audience,
				Clients: map[string][]string{"app": {idpClient}}, Impersonate: a.idp.mark}
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
