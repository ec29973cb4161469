package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/plugin"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// provider is somebody's identity provider: fosite over a storage, users and sign-ins of their own. What impersonation adds is join, two lines in
// routes, one in signOut and one in revoke.
type provider struct {
	*storage.MemoryStore
	config  *fosite.Config
	oauth   *fosite.Fosite
	plugin  *plugin.Plugin
	session func(context.Context, plugin.Token) (fosite.Session, error) // what is behind a token

	mu     sync.Mutex
	users  map[string]directory.User      // by ID
	logins map[string]impersonation.Login // by ID, which is the cookie: a real one keeps its hash
	down   bool                           // the database of the two is away
}

func newProvider(users ...directory.User) *provider {
	p := &provider{
		MemoryStore: storage.NewMemoryStore(), users: make(map[string]directory.User), logins: make(map[string]impersonation.Login),
		config: &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), HashCost: 4, EnforcePKCE: true, ScopeStrategy: fosite.ExactScopeStrategy},
		session: func(_ context.Context, t plugin.Token) (fosite.Session, error) {
			return &fosite.DefaultSession{Subject: t.Subject, Extra: t.Claims}, nil
		},
	}
	for _, u := range users {
		p.users[u.ID] = u
	}
	return p
}

// wiring tells the plugin about the provider.
func (p *provider) wiring(issuer string, st plugin.Store, rules *policy.Rules) plugin.Config {
	return plugin.Config{
		Issuer: issuer, Store: st, Rules: rules, Logger: slog.New(slog.DiscardHandler),
		Storage: p, Directory: p, Login: p.login, LoginOf: loginOf, Session: p.session,
	}
}

// join makes the provider of both, where it called compose.Compose before.
func (p *provider) join(c plugin.Config, strategy any, factories ...compose.Factory) (err error) {
	if p.plugin, err = plugin.New(context.Background(), c); err != nil {
		return err
	}
	p.oauth, err = p.plugin.Compose(p.config, strategy, factories...)
	return err
}

// factories are the provider's own.
var factories = []compose.Factory{
	compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2PKCEFactory, compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory,
}

// registry says who may impersonate whom, and which API knows what an act is.
var registry = policy.Registry{
	Resources: []policy.Resource{{URI: "https://api.acme.example", AcceptsAct: true}},
	Scopes:    []policy.Scope{{Name: "orders:read", Class: policy.ScopeRead}, {Name: "orders:write", Class: policy.ScopeWrite}},
	Roles: []policy.Role{
		{Name: policy.RoleUser, Scopes: []string{"orders:read", "orders:write"}},
		{Name: "support", Privileged: true, Audit: true, Impersonate: &policy.Impersonate{
			Organisations: policy.AnyOrganisation, Scopes: []string{"orders:read", "orders:write"}, Modes: []oauth.Mode{oauth.ModeRead, oauth.ModeWrite}, Minutes: 60,
		}},
	},
}

// routes is the provider's mux.
func (p *provider) routes() (http.Handler, error) {
	pages, err := p.plugin.Handler(plugin.Pages{
		SignedIn:  func(r *http.Request) (string, error) { return cookie(r), nil },
		SignInURL: func(returnTo string) string { return "/sign-in?" + url.Values{"to": {returnTo}}.Encode() },
	})
	mux := http.NewServeMux()
	mux.Handle("/impersonate", pages)
	mux.Handle("/audit", pages)
	mux.Handle("/static/", pages)
	mux.Handle("/impersonation/actions", p.plugin.Actions(p.oauth))
	mux.HandleFunc("POST /sign-in", p.signIn)
	mux.HandleFunc("POST /sign-out", p.signOut)
	mux.HandleFunc("/oauth2/auth", p.authorize)
	mux.HandleFunc("/oauth2/token", p.token)
	mux.HandleFunc("/oauth2/introspect", p.introspect)
	mux.HandleFunc("/oauth2/revoke", p.revoke)
	return mux, err
}

// Get, ByEmail, ByIdentity and Search are the directory.Directory of the provider's users.
func (p *provider) Get(_ context.Context, id string) (directory.User, error) {
	return p.first(func(u directory.User) bool { return u.ID == id })
}

func (p *provider) ByEmail(_ context.Context, email string) (directory.User, error) {
	return p.first(func(u directory.User) bool { return strings.EqualFold(u.Email, email) })
}

func (p *provider) ByIdentity(_ context.Context, at oauth.Party) (directory.User, error) {
	return p.first(func(u directory.User) bool { return slices.Contains(u.Identities, at) })
}

func (p *provider) Search(_ context.Context, q directory.Query) ([]directory.User, string, error) {
	u, err := p.first(func(u directory.User) bool {
		return (q.AnyOrganisation || u.Organisation == q.Organisation) && strings.Contains(strings.ToLower(u.Name+" "+u.Email), strings.ToLower(q.Text))
	})
	if errors.Is(err, directory.ErrNotFound) {
		return nil, "", nil
	}
	return []directory.User{u}, "", err
}

func (p *provider) first(is func(directory.User) bool) (directory.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.users {
		if is(u) && !p.down {
			return u, nil
		}
	}
	if p.down {
		return directory.User{}, errors.New("no connection")
	}
	return directory.User{}, directory.ErrNotFound
}

// login and loginOf tell of the provider's sign-ins, and which of them a token came of.
func (p *provider) login(_ context.Context, id string) (impersonation.Login, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.logins[id]
	switch {
	case p.down:
		return l, errors.New("no connection")
	case !ok:
		return l, plugin.ErrNoLogin
	}
	return l, nil
}

func loginOf(s fosite.Session) string {
	sid, _ := s.(fosite.ExtraClaimsSession).GetExtraClaims()["sid"].(string)
	return sid
}

func cookie(r *http.Request) string {
	c, err := r.Cookie("__Host-acme")
	if err != nil {
		return ""
	}
	return c.Value
}

// signIn is the provider's own. This one knows everybody by their e-mail address, and asks for nothing more.
func (p *provider) signIn(w http.ResponseWriter, r *http.Request) {
	u, err := p.ByEmail(r.Context(), r.PostFormValue("email"))
	if err != nil {
		http.Error(w, "who?", http.StatusForbidden)
		return
	}
	now := time.Now().UTC()
	l := impersonation.Login{ID: oauth.NewID("acme"), User: u.ID, AuthTime: now, AMR: []string{"pwd"}, Created: now, Expires: now.Add(8 * time.Hour)}
	p.mu.Lock()
	p.logins[l.ID] = l
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "__Host-acme", Value: l.ID, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// signOut ends the sign-in, and with it what its holder does as somebody else.
func (p *provider) signOut(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	delete(p.logins, cookie(r))
	p.mu.Unlock()
	if _, err := p.plugin.End(r.Context(), impersonation.EndRequest{Scope: impersonation.ScopeLogin, ID: cookie(r), Reason: impersonation.EndSignedOut}); err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
}

// authorize is the authorization endpoint as fosite's documentation has it. Its tokens say of which sign-in they are.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	request, err := p.oauth.NewAuthorizeRequest(r.Context(), r)
	if err != nil {
		p.oauth.WriteAuthorizeError(r.Context(), w, request, err)
		return
	}
	login, err := p.login(r.Context(), cookie(r))
	if err != nil {
		p.oauth.WriteAuthorizeError(r.Context(), w, request, fosite.ErrLoginRequired)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	session, _ := p.session(r.Context(), plugin.Token{Subject: login.User, Login: login.ID, Claims: map[string]any{"sid": login.ID, "client_id": request.GetClient().GetID()}})
	response, err := p.oauth.NewAuthorizeResponse(r.Context(), request, session)
	if err != nil {
		p.oauth.WriteAuthorizeError(r.Context(), w, request, err)
		return
	}
	p.oauth.WriteAuthorizeResponse(r.Context(), w, request, response)
}

// token, introspect and revoke are as fosite's documentation has them, but for the answer to a revocation.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	session, _ := p.session(r.Context(), plugin.Token{})
	request, err := p.oauth.NewAccessRequest(r.Context(), r, session)
	if err != nil {
		p.oauth.WriteAccessError(r.Context(), w, request, err)
		return
	}
	response, err := p.oauth.NewAccessResponse(r.Context(), request)
	if err != nil {
		p.oauth.WriteAccessError(r.Context(), w, request, err)
		return
	}
	p.oauth.WriteAccessResponse(r.Context(), w, request, response)
}

func (p *provider) introspect(w http.ResponseWriter, r *http.Request) {
	session, _ := p.session(r.Context(), plugin.Token{})
	response, err := p.oauth.NewIntrospectionRequest(r.Context(), r, session)
	if err != nil {
		p.oauth.WriteIntrospectionError(r.Context(), w, err)
		return
	}
	p.oauth.WriteIntrospectionResponse(r.Context(), w, response)
}

func (p *provider) revoke(w http.ResponseWriter, r *http.Request) {
	plugin.WriteRevocationResponse(r.Context(), w, p.oauth, p.oauth.NewRevocationRequest(r.Context(), r))
}

// Somebody's own fosite provider, with impersonation in it: Ann of the support looks at an app as John, and stops.
func Example() {
	st := openStore()
	defer st.Close()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	rules, err := policy.New(registry, policy.Options{})
	if err != nil {
		panic(err)
	}
	p := newProvider(
		directory.User{ID: "u-1", Email: "ann@acme.example", Name: "Ann", Enabled: true, Roles: []string{"support"}},
		directory.User{ID: "u-2", Email: "john@globex.example", Name: "John Doe", Organisation: "globex", Enabled: true})
	p.register("shop", callback)
	if err := p.join(p.wiring(srv.URL, st, rules), compose.NewOAuth2HMACStrategy(p.config), factories...); err != nil {
		panic(err)
	}
	if srv.Config.Handler, err = p.routes(); err != nil {
		panic(err)
	}

	ann := browse(srv) // and the shop, whose part a relying app plays
	ann.post("/sign-in", url.Values{"email": {"ann@acme.example"}})
	token := ann.signInAt("shop", "orders:read impersonate")

	// The hosted page finds John and asks why. Then the shop gets a ticket, and exchanges it.
	ticket := ann.askFor("john", "cannot find the report tab")
	as := ann.exchange(ticket, token)
	fmt.Println("the token is", as.introspect())

	back := as.stop()
	fmt.Println("after the stop it is", as.introspect())
	fmt.Println("Ann's is", back.introspect())

	again := ann.exchange(ann.askFor("john", "it is gone again"), back)
	fmt.Println("with act it starts nothing:", ann.exchange(ann.askFor("john", "and once more, please"), again).refusal)

	ann.post("/sign-out", nil)
	fmt.Println("after the sign-out it is", again.introspect())
	// Output:
	// the token is active: u-2, act u-1, orders:read
	// after the stop it is inactive
	// Ann's is active: u-1, orders:read impersonate
	// with act it starts nothing: invalid_request
	// after the sign-out it is inactive
}

// openStore opens an empty store in a directory of its own, which goes when it is closed.
func openStore() *tempStore {
	dir, err := os.MkdirTemp("", "plugin")
	if err != nil {
		panic(err)
	}
	st, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(dir, "test.db"), Migrate: true})
	if err != nil {
		panic(err)
	}
	return &tempStore{st, dir}
}

type tempStore struct {
	*sqlite.Store
	dir string
}

func (s *tempStore) Close() error {
	defer os.RemoveAll(s.dir)
	return s.Store.Close()
}

// register adds a confidential client that may exchange.
func (p *provider) register(id, redirectURI string) {
	hash, err := (&fosite.BCrypt{Config: p.config}).Hash(context.Background(), []byte(secret))
	if err != nil {
		panic(err)
	}
	p.Clients[id] = &fosite.DefaultClient{
		ID: id, Secret: hash, RedirectURIs: []string{redirectURI}, ResponseTypes: []string{"code"},
		GrantTypes: []string{"authorization_code", oauth.GrantTypeTokenExchange}, Scopes: []string{"orders:read", "orders:write", "impersonate"},
		Audience: []string{"https://api.acme.example"},
	}
}
