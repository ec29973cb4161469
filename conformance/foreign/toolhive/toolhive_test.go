package toolhive_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stacklok/toolhive/pkg/authserver"
	"github.com/stacklok/toolhive/pkg/authserver/runner"
	"github.com/stacklok/toolhive/pkg/authserver/server/registration"
	"github.com/stacklok/toolhive/pkg/authserver/storage"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/conformance/internal/findings"
)

const (
	exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	api      = "https://mcp.example/"
	otherAPI = "https://other-mcp.example/"
)

func client(id string) *conformance.Client {
	return &conformance.Client{ID: id, Secret: "A secret of The client " + id, RedirectURI: "https://app.example/" + id}
}

func person(id string) *conformance.Account {
	return &conformance.Account{Subject: id, Login: id + "@acme.test", Password: "The password of " + id}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upstream is where people sign in, since the server itself knows no passwords: a form, a code, a token that is the login, and userinfo.
type upstream struct {
	people []*conformance.Account
	mu     sync.Mutex
	codes  map[string]string
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch r.URL.Path {
	case "/idp/authorize":
		for _, a := range u.people {
			if r.FormValue("login") == a.Login && r.FormValue("password") == a.Password {
				code := a.Subject + "." + r.FormValue("state")
				u.codes[code] = a.Subject
				http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+url.Values{"code": {code}, "state": {r.FormValue("state")}}.Encode(), http.StatusSeeOther)
				return
			}
		}
		for name, value := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Content-Type": "text/html"} {
			w.Header().Set(name, value)
		}
		io.WriteString(w, `<form method=post><input name=login><input name=password type=password></form>`)
	case "/idp/token":
		who := u.codes[r.FormValue("code")]
		delete(u.codes, r.FormValue("code"))
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "token of " + who, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "refresh " + who})
	case "/idp/userinfo":
		who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer token of ")
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"sub": who})
	default:
		http.NotFound(w, r)
	}
}

// start serves it as its own tests do, with clients and people that are there before.
func start(t *testing.T, target *conformance.Target) {
	t.Helper()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	srv := httptest.NewUnstartedServer(nil)
	target.Issuer = "http://" + srv.Listener.Addr().String()
	store := storage.NewMemoryStorage()
	idp := &upstream{codes: make(map[string]string), people: []*conformance.Account{&target.Accounts.Actor, target.Accounts.OtherActor, &target.Accounts.Subject}}
	for _, a := range idp.people {
		now := time.Now()
		must(t, store.CreateUser(t.Context(), &storage.User{ID: a.Subject, CreatedAt: now, UpdatedAt: now}))
		must(t, store.CreateProviderIdentity(t.Context(), &storage.ProviderIdentity{UserID: a.Subject, ProviderID: "idp", ProviderSubject: a.Subject, LinkedAt: now, LastUsedAt: now}))
	}
	for c, grants := range map[*conformance.Client][]string{
		&target.Clients.App: {"authorization_code", "refresh_token", exchange}, target.Clients.Other: {"authorization_code", "refresh_token", exchange},
		target.Clients.NoExchange: {"authorization_code", "refresh_token"}, target.Clients.Public: {"authorization_code", "refresh_token"},
	} {
		method := "client_secret_basic"
		if c.Secret == "" {
			method = "none"
		}
		made, err := registration.New(registration.Config{
			ID: c.ID, Secret: c.Secret, RedirectURIs: []string{c.RedirectURI}, TokenEndpointAuthMethod: method, GrantTypes: grants, ResponseTypes: []string{"code"},
			Scopes: strings.Fields(target.Scope), Audience: []string{api, otherAPI},
		})
		must(t, err)
		must(t, store.RegisterClient(t.Context(), made))
	}
	server, err := runner.NewEmbeddedAuthServerWithStorage(context.Background(), &authserver.RunConfig{
		SchemaVersion: authserver.CurrentSchemaVersion, Issuer: target.Issuer, ScopesSupported: strings.Fields(target.Scope), AllowedAudiences: []string{api, otherAPI},
		AllowConfidentialClientRegistration: true, InsecureAllowConfidentialOverLoopbackHTTP: true, // else metadata tells of public clients alone
		Upstreams: []authserver.UpstreamRunConfig{{Name: "idp", Type: authserver.UpstreamProviderTypeOAuth2, OAuth2Config: &authserver.OAuth2UpstreamRunConfig{
			AuthorizationEndpoint: target.Issuer + "/idp/authorize", TokenEndpoint: target.Issuer + "/idp/token", ClientID: "toolhive", RedirectURI: target.Issuer + "/oauth/callback",
			UserInfo: &authserver.UserInfoRunConfig{EndpointURL: target.Issuer + "/idp/userinfo"},
		}}},
	}, store)
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("/idp/", idp)
	mux.Handle("/", server.Handler())
	srv.Config.Handler = mux
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		server.Close()
	})
}

// TestSuite: the user's own access token as subject_token, and the administrator's as actor_token, both of the client that sends them. Whoever they are, the server asks
// for no right of the one over the other: it makes agents of clients, not administrators of people.
func TestSuite(t *testing.T) {
	public := client("public")
	public.Secret = ""
	target := conformance.Target{
		Name: "toolhive", Scope: "openid profile offline_access", SubjectScope: "openid", Resource: api, OtherResource: otherAPI,
		Clients:  conformance.Clients{App: *client("app"), Other: client("other"), NoExchange: client("plain"), Public: public},
		Accounts: conformance.Accounts{Actor: *person("ann"), OtherActor: person("bea"), Subject: *person("john")},
		Start:    conformance.Start{By: conformance.StartByToken},
	}
	start(t, &target)
	findings.Check(t, target, "code/once-in-parallel", "refresh/once-in-parallel") // two steps
}
