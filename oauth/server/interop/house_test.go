package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

func TestMain(m *testing.M) { os.Exit(chaos.Main(m)) }

const (
	resource    = "urn:understudy:resource:local"
	callback    = "http://127.0.0.1:9/callback"
	password    = "correct horse battery staple"
	accessToken = "urn:ietf:params:oauth:token-type:access_token"
	grant       = "urn:ietf:params:oauth:grant-type:token-exchange"
	ticketType  = "urn:understudy:params:oauth:token-type:ticket"
	returnType  = "urn:understudy:params:oauth:token-type:return_token"
)

// house is a running server with ann, an admin, and john, and two clients: the relying app and the API of the local resource.
type house struct {
	t         *testing.T
	server    *chaos.Server
	issuer    string
	appSecret string
	apiSecret string
	app       rp.RelyingParty
}

func setup(t *testing.T) *house {
	t.Helper()
	s := chaos.New(t, chaos.Config{Env: []string{"UNDERSTUDY_SIGN_IN_SECOND_FACTOR=optional"}})
	h := &house{t: t, server: s, issuer: s.URL}
	h.appSecret = strings.TrimSpace(s.Run("", "client", "add", "--id", "app", "--name", "The app", "--redirect-uri", callback))
	h.apiSecret = strings.TrimSpace(s.Run("", "client", "add", "--id", "api", "--name", "The API", "--serves", resource, "--no-exchange"))
	s.Run(password+"\n", "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann Admin", "--role", "admin", "--password-stdin")
	s.Run("", "user", "add", "--id", "john", "--email", "john@acme.test", "--name", "John Doe", "--organisation", "acme")
	s.Start()
	var err error
	h.app, err = rp.NewRelyingPartyOIDC(t.Context(), h.issuer, "app", h.appSecret, callback,
		[]string{"openid", "profile", "email", "roles", "app:read", "impersonate"},
		rp.WithAuthStyle(oauth2.AuthStyleInHeader), // the one way that a client with a secret has, unless it was registered otherwise
		rp.WithSigningAlgsFromDiscovery(), rp.WithVerifierOpts(rp.WithNonce(func(context.Context) string { return "nonce-12345" })))
	must(t, err)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signIn is ann's sign-in by x/oauth2's code flow with PKCE, from what zitadel read in the discovery document.
func (h *house) signIn() (*chaos.Browser, *oauth2.Token) {
	h.t.Helper()
	b := chaos.NewBrowser(h.issuer)
	h.t.Cleanup(b.Close)
	must(h.t, b.SignIn("ann@acme.test", password))
	config, verifier := h.app.OAuthConfig(), oauth2.GenerateVerifier()
	back, err := b.Authorize(config.AuthCodeURL("state-12345", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", "nonce-12345")))
	must(h.t, err)
	if back.Get("state") != "state-12345" || back.Get("iss") != h.issuer {
		h.t.Fatalf("sent back with %v; want our state, and iss %s (RFC 9207)", back, h.issuer)
	}
	token, err := config.Exchange(h.t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
	must(h.t, err)
	return b, token
}

// ticket is what the impersonate page hands over for john, and the verifier that goes with it.
func (h *house) ticket(b *chaos.Browser, mode string) (ticket, verifier string) {
	h.t.Helper()
	verifier = oauth2.GenerateVerifier()
	back, err := b.Impersonate(
		url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "state": {"state-67890"},
			"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}},
		fillIn(mode))
	must(h.t, err)
	if back.Get("state") != "state-67890" || back.Get("iss") != h.issuer {
		h.t.Fatalf("sent back with %v; want our state and iss", back)
	}
	return back.Get("ticket"), verifier
}

// fillIn is the form of the page.
func fillIn(mode string) url.Values {
	return url.Values{"subject": {"john"}, "reason": {"cannot find the report tab"}, "ticket_number": {"SUP-1"}, "mode": {mode}, "minutes": {"30"}, "action": {"impersonate"}}
}

// addVerifier adds code_verifier to an exchange, for which no generic client has a parameter, and keeps the answer, of whose
// members a generic client gives only those of RFC 8693.
type addVerifier struct {
	verifier string
	mu       sync.Mutex
	answer   []byte
}

func (a *addVerifier) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return http.DefaultTransport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	body = append(body, "&code_verifier="+url.QueryEscape(a.verifier)...)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answer, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(a.answer))
	return resp, nil
}

// json is the whole answer of the last exchange.
func (a *addVerifier) json(t *testing.T) map[string]any {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	return object(t, a.answer)
}

func object(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return m
}

// post is plain HTTP, as a client with its secret.
func (h *house) post(path, client, secret string, form url.Values) (int, map[string]any) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.issuer+path, strings.NewReader(form.Encode()))
	must(h.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, secret)
	return h.do(req)
}

func (h *house) do(req *http.Request) (int, map[string]any) {
	h.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	must(h.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(h.t, err)
	if len(b) == 0 {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, object(h.t, b)
}

// active asks as the API.
func (h *house) active(token string) bool {
	h.t.Helper()
	status, answer := h.post("/oauth2/introspect", "api", h.apiSecret, url.Values{"token": {token}})
	if status != http.StatusOK {
		h.t.Fatalf("introspection: got %d %v", status, answer)
	}
	return answer["active"] == true
}
