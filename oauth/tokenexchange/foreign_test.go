package tokenexchange_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// theirs is somebody's storage value: fosite's own memory store, and what the exchange asks. Their admin presents a session of theirs
// as actor token, and "ticket-1" as ticket.
type theirs struct {
	*storage.MemoryStore
	mu   sync.Mutex
	open map[string]*fosite.DefaultSession // by return token
}

func (s *theirs) Resolve(_ context.Context, t oauth.TokenType, token string, _ fosite.Client) (tokenexchange.Input, error) {
	switch {
	case t == oauth.TokenTypeTicket && token == "ticket-1", t == oauth.TokenTypeReturnToken && strings.HasPrefix(token, "back-"):
		return tokenexchange.Input{Type: t, Token: oauth.Secret(token)}, nil
	case t == oauth.TokenTypeAccessToken && token == "admin-1":
		return tokenexchange.Input{Type: t, Subject: oauth.Party{Issuer: issuer, Subject: "admin"}, Client: "their-app"}, nil
	}
	return tokenexchange.Input{}, tokenexchange.ErrRefused
}

func (s *theirs) Principal(fosite.Client) oauth.Party { return oauth.Party{} }

func (s *theirs) Commit(_ context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := tokenexchange.Result{ID: fmt.Sprint("exchange-", len(s.open)), Scope: []string{"read"}, Audience: "https://api.example/", ExpiresIn: time.Minute, Key: p.Key}
	if p.Subject.Type == oauth.TokenTypeReturnToken {
		if s.open[string(p.Subject.Token)] == nil {
			return r, tokenexchange.ErrRefused
		}
		s.open[string(p.Subject.Token)] = nil
		r.Session = &fosite.DefaultSession{Subject: "admin"}
		return r, nil
	}
	session := &fosite.DefaultSession{Subject: "user-1", Extra: map[string]any{"act": map[string]string{"iss": issuer, "sub": p.Actor.Subject.Subject}}}
	s.open["back-"+r.ID] = session
	r.Session, r.Extra = session, map[string]any{"understudy_return_token": "back-" + r.ID}
	return r, nil
}

// theirProvider composes it as anybody would: the Factory among fosite's, opaque tokens, hashed secrets.
func theirProvider(t *testing.T) http.Handler {
	cfg := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), HashCost: 4}
	secret, err := (&fosite.BCrypt{Config: cfg}).Hash(t.Context(), []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	st := &theirs{MemoryStore: storage.NewMemoryStore(), open: map[string]*fosite.DefaultSession{}}
	st.Clients["their-app"] = &fosite.DefaultClient{ID: "their-app", Secret: secret, GrantTypes: []string{oauth.GrantTypeTokenExchange}}
	provider := compose.Compose(cfg, st, compose.NewOAuth2HMACStrategy(cfg), compose.OAuth2ClientCredentialsGrantFactory, tokenexchange.Factory)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := tokenexchange.WithKey(r.Context(), r.Header.Get("X-Proven-Key"))
		request, err := provider.NewAccessRequest(ctx, r, new(fosite.DefaultSession))
		if err != nil {
			provider.WriteAccessError(ctx, w, request, err)
			return
		}
		response, err := provider.NewAccessResponse(ctx, request)
		if err != nil {
			provider.WriteAccessError(ctx, w, request, err)
			return
		}
		provider.WriteAccessResponse(ctx, w, request, response)
	})
}

// Somebody's fosite provider, with nothing of this project but the Factory, starts and stops over HTTP.
//
// Covers RFC8693-2.2.1-01, RFC8693-2.2.1-02, RFC8693-2.2.1-03, RFC8693-2.2.1-05.
func TestForeignProvider(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(theirProvider(t))
	defer srv.Close()
	post := func(secret, key string, form url.Values) (int, map[string]any) {
		t.Helper()
		req, _ := http.NewRequest(http.MethodPost, srv.URL, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Proven-Key", key)
		req.SetBasicAuth("their-app", secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, answer
	}
	start := url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {"ticket-1"}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token": {"admin-1"}, "actor_token_type": {string(oauth.TokenTypeAccessToken)},
	}
	if status, a := post("wrong", "", start); status != http.StatusUnauthorized || a["error"] != "invalid_client" {
		t.Errorf("a wrong secret: got %d %v", status, a)
	}
	stop := url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token_type": {string(oauth.TokenTypeReturnToken)}}
	for requested, issued := range map[oauth.TokenType]oauth.TokenType{
		"": oauth.TokenTypeAccessToken, oauth.TokenTypeAccessToken: oauth.TokenTypeAccessToken, oauth.TokenTypeJWT: oauth.TokenTypeJWT,
	} {
		start.Set("requested_token_type", string(requested))
		stop.Set("requested_token_type", string(requested))
		status, a := post("hunter2", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", start)
		if token, _ := a["access_token"].(string); status != http.StatusOK || token == "" || a["token_type"] != "DPoP" || a["issued_token_type"] != string(issued) ||
			a["scope"] != "read" || a["expires_in"] != float64(60) {
			t.Fatalf("start for %q: got %d %v", requested, status, a)
		}
		stop.Set("subject_token", a["understudy_return_token"].(string))
		status, a = post("hunter2", "", stop)
		if token, _ := a["access_token"].(string); status != http.StatusOK || token == "" || a["issued_token_type"] != string(issued) || a["token_type"] != "Bearer" {
			t.Errorf("stop for %q: got %d %v", requested, status, a)
		}
	}
	if status, a := post("hunter2", "", stop); status != http.StatusBadRequest || a["error"] != "invalid_request" || !strings.HasPrefix(a["error_description"].(string), tokenexchange.RefusedText) {
		t.Errorf("stop again: got %d %v", status, a)
	}
	start.Set("actor_token", "nobody")
	if status, a := post("hunter2", "", start); status != http.StatusBadRequest || a["error"] != "invalid_request" || a["access_token"] != nil {
		t.Errorf("an unknown actor: got %d %v", status, a)
	}
	if status, a := post("hunter2", "", url.Values{"grant_type": {"client_credentials"}}); status == http.StatusOK {
		t.Errorf("a grant that the client does not have: got %d %v", status, a)
	}
}
