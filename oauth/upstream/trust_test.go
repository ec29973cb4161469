package upstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
	"github.com/understudy-id/understudy/oauth/upstream"
)

const aud = "https://as.example/actors"

// rule trusts f for our clients app and tool, by its clients crm and desk.
func (f *fake) rule() upstream.TrustConfig {
	return upstream.TrustConfig{
		Issuer: f.config(), Audience: aud, Clients: map[string][]string{"app": {"crm", "crm-2"}, "tool": {"desk"}}, ACR: []string{"gold"},
		Impersonate: upstream.Mark{Scope: "act-as"},
	}
}

func (f *fake) trust(change func(*upstream.TrustConfig)) *upstream.Trust {
	f.t.Helper()
	c := f.rule()
	if change != nil {
		change(&c)
	}
	t, err := upstream.NewTrust(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return t
}

// token is one of f's, by its first key; changes replace claims, nil takes one out.
func (f *fake) token(changes map[string]any) string {
	f.t.Helper()
	now := f.clk.now().Unix()
	claims := map[string]any{
		"iss": f.url, "sub": "u-1", "aud": aud, "azp": "crm", "scope": "openid act-as", "iat": now, "exp": now + 600, "jti": rand.Text(), "acr": "gold",
		"groups": []string{"helpdesk"},
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	k := f.keys[0]
	return compactES256(f.t, k, map[string]any{"alg": "ES256", "kid": k.ID, "typ": "at+jwt"}, claims)
}

func compactES256(t *testing.T, k key, header, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	input := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.Signer.(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	fill := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
	return input + "." + base64.RawURLEncoding.EncodeToString(append(fill(r), fill(s)...))
}

func TestTrust(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	trust := f.trust(nil)
	a, err := trust.Actor(t.Context(), "app", f.token(nil))
	if err != nil || a.Party != (oauth.Party{Issuer: f.url, Subject: "u-1"}) || !a.Impersonates || !a.SecondFactor {
		t.Errorf("got %+v, %v", a, err)
	}
	for name, c := range map[string]struct {
		client string
		claims map[string]any
	}{
		"a client without a rule":       {"other", nil},
		"a client of another of ours":   {"tool", nil},
		"the tool's at the app":         {"app", map[string]any{"azp": "desk"}},
		"another client of theirs":      {"app", map[string]any{"azp": "shop"}},
		"another audience":              {"app", map[string]any{"aud": "https://as.example"}},
		"an issuer with a slash":        {"app", map[string]any{"iss": f.url + "/"}},
		"of six minutes ago":            {"app", map[string]any{"iat": f.clk.now().Unix() - 360}},
		"no jti":                        {"app", map[string]any{"jti": nil}},
		"who is acted for":              {"app", map[string]any{"act": map[string]any{"sub": "x"}}},
		"the issuer's ID token, by sub": {"app", map[string]any{"nonce": "n"}},
	} {
		if a, err := trust.Actor(t.Context(), c.client, f.token(c.claims)); !errors.Is(err, tokens.ErrClaims) || a.Subject != "" {
			t.Errorf("%s: got %+v, %v; want ErrClaims", name, a, err)
		}
	}
}

// What a token must say, and does not by something like it.
func TestTrustMarks(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for name, c := range map[string]struct {
		mark   upstream.Mark
		claims map[string]any
		want   bool
	}{
		"the scope":           {upstream.Mark{Scope: "act-as"}, nil, true},
		"a longer scope":      {upstream.Mark{Scope: "act"}, nil, false},
		"none":                {upstream.Mark{}, nil, false},
		"a group":             {upstream.Mark{Claim: "groups", Value: "helpdesk"}, nil, true},
		"another group":       {upstream.Mark{Claim: "groups", Value: "desk"}, nil, false},
		"a string":            {upstream.Mark{Claim: "acr", Value: "gold"}, nil, true},
		"the scope, as claim": {upstream.Mark{Claim: "scope", Value: "act-as"}, nil, false},
		"no such claim":       {upstream.Mark{Claim: "roles", Value: "x"}, nil, false},
		"no scope":            {upstream.Mark{Scope: "act-as"}, map[string]any{"scope": nil}, false},
	} {
		a, err := f.trust(func(r *upstream.TrustConfig) { r.Impersonate = c.mark }).Actor(t.Context(), "app", f.token(c.claims))
		if err != nil || a.Impersonates != c.want {
			t.Errorf("%s: got %t, %v; want %t", name, a.Impersonates, err, c.want)
		}
	}
	for acr, want := range map[any]bool{"gold": true, "silver": false, nil: false} {
		if a, err := f.trust(nil).Actor(t.Context(), "app", f.token(map[string]any{"acr": acr})); err != nil || a.SecondFactor != want {
			t.Errorf("acr %v: got %t, %v", acr, a.SecondFactor, err)
		}
	}
}

// Who no rule is for makes us ask nobody anything (CVE-2026-32301, GHSA-7qjx-gp9h-65qj).
func TestTrustFetchesForItsClientsAlone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	trust := f.trust(nil)
	for _, token := range []string{f.token(nil), f.token(map[string]any{"iss": "https://evil.test"}), "x.y.z", ""} {
		if _, err := trust.Actor(t.Context(), "other", token); err == nil {
			t.Error("got no error")
		}
	}
	if _, err := trust.Actor(t.Context(), "app", f.token(map[string]any{"iss": "https://evil.test"})); err == nil {
		t.Error("another issuer: got no error")
	}
	if n := f.asked(discoveryPath) + f.asked(keysPath); n != 0 {
		t.Errorf("asked the issuer %d times; want none", n)
	}
}

// Two issuers may have the same kid, and the same sub: each one's keys verify its own tokens alone (CVE-2026-49998).
func TestTrustKeysAreTheIssuers(t *testing.T) {
	t.Parallel()
	a, b := newFake(t), newFake(t)
	stolen := newKey(t, "ES256")
	stolen.ID = a.keys[0].ID
	b.publish(stolen)
	trust := a.trust(nil)
	if _, err := trust.Actor(t.Context(), "app", a.token(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.trust(nil).Actor(t.Context(), "app", b.token(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Actor(t.Context(), "app", b.token(map[string]any{"iss": a.url})); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("b's key for a's iss: got %v", err)
	}
}

func TestNewTrustRefuses(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for want, change := range map[string]func(*upstream.TrustConfig){
		"issuer must be":                   func(c *upstream.TrustConfig) { c.Issuer.URL = "" },
		"jwks_uri must be":                 func(c *upstream.TrustConfig) { c.Issuer.JWKSURI = "http://keys.test" },
		"audience must be set":             func(c *upstream.TrustConfig) { c.Audience = "" },
		"clients must be set":              func(c *upstream.TrustConfig) { c.Clients = nil },
		"clients must have, by":            func(c *upstream.TrustConfig) { c.Clients = map[string][]string{"app": nil} },
		"clients must have no":             func(c *upstream.TrustConfig) { c.Clients = map[string][]string{"app": {"crm"}, "tool": {"crm"}} },
		"max_age must be":                  func(c *upstream.TrustConfig) { c.MaxAge = 301 * time.Second },
		"algorithms must be":               func(c *upstream.TrustConfig) { c.Algorithms = []string{"HS256"} },
		"acr must have":                    func(c *upstream.TrustConfig) { c.ACR = []string{""} },
		"impersonate must be a s":          func(c *upstream.TrustConfig) { c.Impersonate.Claim = "groups" },
		"impersonate must have":            func(c *upstream.TrustConfig) { c.Impersonate = upstream.Mark{Claim: "groups"} },
		"impersonate must be one":          func(c *upstream.TrustConfig) { c.Impersonate = upstream.Mark{Scope: "a b"} },
		"impersonate must be a scope that": func(c *upstream.TrustConfig) { c.Impersonate = upstream.Mark{Scope: "openid"} },
		"introspection must have":          func(c *upstream.TrustConfig) { c.Introspection.Endpoint = f.url },
		"introspection: endpoint": func(c *upstream.TrustConfig) {
			c.Introspection = upstream.Introspection{Endpoint: "http://x.test", ClientID: "a", ClientSecret: "b"}
		},
	} {
		c := f.rule()
		change(&c)
		if _, err := upstream.NewTrust(c); err == nil || !strings.HasPrefix(err.Error(), "upstream: "+want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

// asks makes f answer introspection, and counts on our credentials.
func (f *fake) introspects(answer http.HandlerFunc) *upstream.Trust {
	f.t.Helper()
	f.answer("/introspect", func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if !ok || id != "us" || secret != "s%2B3cret" || r.Method != http.MethodPost || r.PostFormValue("token") != "the token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(w, r)
	})
	return f.trust(func(c *upstream.TrustConfig) {
		c.Introspection = upstream.Introspection{Endpoint: f.url + "/introspect", ClientID: "us", ClientSecret: "s+3cret"}
	})
}

func TestTrustIntrospection(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	who := oauth.Party{Issuer: f.url, Subject: "u-1"}
	for body, want := range map[string]bool{
		`{"active":true}`: true, `{"active":false}`: false, fmt.Sprintf(`{"active":true,"iss":%q,"sub":"u-1","exp":1}`, f.url): true,
		`{"active":true,"sub":"u-2"}`: false, `{"active":true,"iss":"https://other.test"}`: false, `{"active":true,"sub":null}`: true,
	} {
		if got, err := f.introspects(says(body)).Active(t.Context(), "the token", who); err != nil || got != want {
			t.Errorf("%s: got %t, %v", body, got, err)
		}
	}
	for body, want := range map[string]error{
		`{}`: upstream.ErrDocument, `{"active":"true"}`: upstream.ErrDocument, `{"active":1}`: upstream.ErrDocument, `{"active":null}`: upstream.ErrDocument, `true`: upstream.ErrDocument, ``: upstream.ErrDocument,
		`{"active":true,"sub":1}`: upstream.ErrDocument,
	} {
		if got, err := f.introspects(says(body)).Active(t.Context(), "the token", who); got || !errors.Is(err, want) {
			t.Errorf("%s: got %t, %v; want %v", body, got, err, want)
		}
	}
	if got, err := f.introspects(says(`{"active":true}`)).Active(t.Context(), "another", who); got || !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("refused there: got %t, %v", got, err)
	}
}

// Nothing that the issuer answers holds anybody up, or passes for a yes.
func TestTrustHostile(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	for name, answer := range hostile(stop) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			trust := f.introspects(answer)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if got, err := trust.Active(ctx, "the token", oauth.Party{Issuer: f.url, Subject: "u-1"}); got || !errors.Is(err, upstream.ErrDocument) && !errors.Is(err, upstream.ErrUnavailable) {
				t.Errorf("introspection: got %t, %v", got, err)
			}
			f.answer(keysPath, answer)
			if a, err := trust.Actor(ctx, "app", f.token(nil)); err == nil || a.Subject != "" {
				t.Errorf("keys: got %+v, %v", a, err)
			}
			if ctx.Err() != nil && !strings.Contains(name, "never") && !strings.Contains(name, "a byte") {
				t.Errorf("took more than %s", patience)
			}
		})
	}
}
