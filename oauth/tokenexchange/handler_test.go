package tokenexchange_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const issuer = "https://as.example"

// fixed is somebody's storage value: what each token is, and what a commit answers.
type fixed struct {
	fosite.Storage
	inputs  map[string]tokenexchange.Input
	resolve error
	commit  error
	plans   []tokenexchange.Plan
	keep    bool // whether plans are kept
}

func (f *fixed) GetClient(_ context.Context, id string) (fosite.Client, error) {
	c := &fosite.DefaultClient{ID: id, GrantTypes: []string{oauth.GrantTypeTokenExchange}}
	switch id {
	case "public":
		c.Public = true
	case "plain":
		c.GrantTypes = []string{"authorization_code"}
	}
	return c, nil
}

func (f *fixed) Resolve(_ context.Context, t oauth.TokenType, token string, _ fosite.Client) (tokenexchange.Input, error) {
	if f.resolve != nil {
		return tokenexchange.Input{}, f.resolve
	}
	in, ok := f.inputs[token]
	if !ok {
		return in, tokenexchange.ErrRefused
	}
	in.Type = t
	return in, nil
}

func (f *fixed) Principal(c fosite.Client) oauth.Party {
	if c.GetID() == "other" {
		return oauth.Party{}
	}
	return oauth.Party{Issuer: issuer, Subject: "client:" + c.GetID()}
}

func (f *fixed) Commit(_ context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	if f.commit != nil {
		return tokenexchange.Result{}, f.commit
	}
	if f.keep {
		f.plans = append(f.plans, p)
	}
	return tokenexchange.Result{
		Session: new(fosite.DefaultSession), ID: "imp_1", Scope: []string{"openid"}, Audience: "https://api.example/", ExpiresIn: 1799500 * time.Millisecond, Key: p.Key,
		Extra: map[string]any{"understudy_return_token": "secret"},
	}, nil
}

// signer is somebody's access token strategy.
type signer struct{ keys *tokens.KeySet }

func (signer) AccessTokenSignature(context.Context, string) string { return "" }
func (s signer) GenerateAccessToken(_ context.Context, r fosite.Requester) (string, string, error) {
	now := time.Now()
	token, err := s.keys.Sign(tokens.Claims{
		Issuer: issuer, Subject: "john", Audience: r.GetGrantedAudience()[0], ClientID: r.GetClient().GetID(), Scope: r.GetGrantedScopes(), IssuedAt: now,
		Expires: now.Add(30 * time.Minute), ID: r.GetID(), Session: r.GetID(), Audit: "aud_1", Act: &oauth.Party{Issuer: issuer, Subject: "ann"},
	})
	return token, "sig", err
}
func (signer) ValidateAccessToken(context.Context, fosite.Requester, string) error { return nil }

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := tokens.Generate(tokens.ES256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tokens.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer{keys}
}

// provider is somebody's fosite with nothing of ours but the Factory.
func provider(t testing.TB, f *fixed) *fosite.Fosite {
	cfg := &fosite.Config{
		ClientAuthenticationStrategy: func(_ context.Context, _ *http.Request, form url.Values) (fosite.Client, error) {
			return f.GetClient(context.Background(), form.Get("client_id"))
		},
	}
	cfg.TokenEndpointHandlers.Append(tokenexchange.Factory(cfg, f, newSigner(t)).(fosite.TokenEndpointHandler))
	return &fosite.Fosite{Store: f, Config: cfg}
}

func good() *fixed {
	return &fixed{keep: true, inputs: map[string]tokenexchange.Input{
		"ticket": {Token: "ticket"},
		"return": {Token: "return"},
		"admin":  {Subject: oauth.Party{Issuer: issuer, Subject: "ann"}, Client: "app", Login: "lgn_1", ID: "tok_1"},
		"other":  {Subject: oauth.Party{Issuer: issuer, Subject: "ann"}, Client: "other"},
		"acting": {Subject: oauth.Party{Issuer: issuer, Subject: "john"}, Client: "app", Act: &oauth.Party{Issuer: issuer, Subject: "ann"}},
	}}
}

func startForm() url.Values {
	return url.Values{
		"client_id": {"app"}, "grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {"ticket"}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token": {"admin"}, "actor_token_type": {string(oauth.TokenTypeAccessToken)}, "code_verifier": {"v"},
	}
}

func exchange(p *fosite.Fosite, form url.Values) (fosite.AccessResponder, error) {
	return exchangeIn(context.Background(), p, form)
}

func exchangeIn(ctx context.Context, p *fosite.Fosite, form url.Values) (fosite.AccessResponder, error) {
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req, err := p.NewAccessRequest(ctx, r, new(fosite.DefaultSession))
	if err != nil {
		return nil, err
	}
	return p.NewAccessResponse(ctx, req)
}

func TestStart(t *testing.T) {
	t.Parallel()
	f := good()
	form := startForm()
	form.Set("resource", "https://api.example/")
	form.Set("scope", "openid email")
	form.Set("requested_token_type", string(oauth.TokenTypeJWT))
	resp, err := exchange(provider(t, f), form)
	if err != nil {
		t.Fatal(err)
	}
	answer := resp.ToMap()
	for name, want := range map[string]any{
		"token_type": "Bearer", "expires_in": int64(1799), "scope": "openid", "issued_token_type": string(oauth.TokenTypeJWT), "understudy_return_token": "secret",
	} {
		if answer[name] != want {
			t.Errorf("%s = %v; want %v", name, answer[name], want)
		}
	}
	if len(f.plans) != 1 {
		t.Fatalf("%d commits; want 1", len(f.plans))
	}
	p := f.plans[0]
	if p.Subject.Token != "ticket" || p.Actor == nil || p.Actor.Subject.Subject != "ann" || p.Resource != "https://api.example/" ||
		!slices.Equal(p.Scope, []string{"email", "openid"}) || p.Form.Get("code_verifier") != "v" || p.Client.GetID() != "app" {
		t.Errorf("plan = %+v", p)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	f := good()
	form := url.Values{"client_id": {"app"}, "grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {"return"}, "subject_token_type": {string(oauth.TokenTypeReturnToken)}}
	if _, err := exchange(provider(t, f), form); err != nil {
		t.Fatal(err)
	}
	if len(f.plans) != 1 || f.plans[0].Actor != nil || f.plans[0].Subject.Type != oauth.TokenTypeReturnToken {
		t.Errorf("plans = %+v", f.plans)
	}
}

// TestRefused is the table of RFC 8693 §2.1 and §2.2.2: nothing is committed, and the error names the parameter or, for a token and
// the policy, nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(url.Values) { return func(v url.Values) { v.Set(name, value) } }
	del := func(name string) func(url.Values) { return func(v url.Values) { v.Del(name) } }
	const tokenType = "urn:ietf:params:oauth:token-type:"
	cases := map[string]struct {
		change func(url.Values)
		code   string
		text   string // how the description begins
	}{
		"no subject_token":           {del("subject_token"), "invalid_request", "subject_token: "},
		"no subject_token_type":      {del("subject_token_type"), "invalid_request", "subject_token_type: "},
		"unknown subject_token_type": {set("subject_token_type", tokenType+"saml2"), "invalid_request", "subject_token_type: "},
		"no actor_token":             {func(v url.Values) { v.Del("actor_token"); v.Del("actor_token_type") }, "invalid_request", "actor_token: "},
		"type without actor_token":   {del("actor_token"), "invalid_request", "actor_token_type: "},
		"actor_token without type":   {del("actor_token_type"), "invalid_request", "actor_token_type: "},
		"other actor_token_type":     {set("actor_token_type", tokenType+"id_token"), "invalid_request", "actor_token_type: "},
		"actor_token at a stop":      {set("subject_token_type", string(oauth.TokenTypeReturnToken)), "invalid_request", "actor_token: "},
		"requested refresh token":    {set("requested_token_type", tokenType+"refresh_token"), "invalid_request", "requested_token_type: "},
		"requested ID token":         {set("requested_token_type", tokenType+"id_token"), "invalid_request", "requested_token_type: "},
		"scope with a quote":         {set("scope", `a"b`), "invalid_scope", "scope: "},
		"scope with two spaces":      {set("scope", "a  b"), "invalid_scope", "scope: "},
		"relative resource":          {set("resource", "/api"), "invalid_target", "resource: "},
		"resource with fragment":     {set("resource", "https://api.example/#x"), "invalid_target", "resource: "},
		"resource with empty":        {set("resource", "https://api.example/#"), "invalid_target", "resource: "},
		"two resources":              {func(v url.Values) { v["resource"] = []string{"https://a/", "https://b/"} }, "invalid_target", "resource: "},
		"resource and audience":      {func(v url.Values) { v.Set("resource", "https://a/"); v.Set("audience", "https://a/") }, "invalid_target", "resource: "},
		"unknown subject":            {set("subject_token", "nobody"), "invalid_request", tokenexchange.RefusedText},
		"unknown actor":              {set("actor_token", "nobody"), "invalid_request", tokenexchange.RefusedText},
		"another client's token":     {set("actor_token", "other"), "invalid_request", tokenexchange.RefusedText},
		"actor_token with act":       {set("actor_token", "acting"), "invalid_request", tokenexchange.RefusedText},
		"subject_token with act": {func(v url.Values) {
			v.Set("subject_token", "acting")
			v.Set("subject_token_type", tokenType+"access_token")
		}, "invalid_request", tokenexchange.RefusedText},
		"public client":               {set("client_id", "public"), "unauthorized_client", ""},
		"client without the grant":    {set("client_id", "plain"), "unauthorized_client", ""},
		"grant_type with another one": {set("grant_type", oauth.GrantTypeTokenExchange+" authorization_code"), "invalid_request", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, form := good(), startForm()
			c.change(form)
			_, err := exchange(provider(t, f), form)
			var rfc *fosite.RFC6749Error
			if !errors.As(err, &rfc) || rfc.ErrorField != c.code || rfc.CodeField != http.StatusBadRequest || !strings.HasPrefix(rfc.DescriptionField, c.text) {
				t.Errorf("got %+v; want 400 %s %q", rfc, c.code, c.text)
			}
			if len(f.plans) != 0 {
				t.Error("committed all the same")
			}
		})
	}
}

// TestErrorTable: what an Exchange answers, and what the wire says.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]struct {
		code   string
		status int
	}{
		tokenexchange.ErrRefused:     {"invalid_request", 400},
		tokenexchange.ErrTarget:      {"invalid_target", 400},
		tokenexchange.ErrScope:       {"invalid_scope", 400},
		tokenexchange.ErrClient:      {"unauthorized_client", 400},
		&tokenexchange.StepUpError{}: {"insufficient_user_authentication", 400},
		tokenexchange.ErrProof:       {"invalid_dpop_proof", 400},
		tokenexchange.ErrUnavailable: {"temporarily_unavailable", 503},
		errors.New("secret detail"):  {"server_error", 500},
	} {
		for _, at := range []string{"resolve", "commit"} {
			f := good()
			if at == "resolve" {
				f.resolve = cause
			} else {
				f.commit = cause
			}
			_, err := exchange(provider(t, f), startForm())
			var rfc *fosite.RFC6749Error
			if !errors.As(err, &rfc) || rfc.ErrorField != want.code || rfc.CodeField != want.status || !errors.Is(err, cause) {
				t.Errorf("%s: %v gives %v; want %d %s", at, cause, err, want.status, want.code)
			}
			if strings.Contains(rfc.DescriptionField+rfc.HintField, "secret") {
				t.Errorf("%s: the description tells the detail", at)
			}
		}
	}
}

// BenchmarkExchange is the handler with fosite around it, over a fixed Exchange: parsing, dispatch, one signature.
func BenchmarkExchange(b *testing.B) {
	f := good()
	f.keep = false
	p, form := provider(b, f), startForm()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exchange(p, form); err != nil {
			b.Fatal(err)
		}
	}
}
