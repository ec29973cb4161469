package plugin_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	fositeoauth "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/plugin"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// kind is what the tokens of a provider are.
type kind string

const (
	opaque    kind = "opaque"
	signed    kind = "jwt"           // and kept in the storage
	stateless kind = "jwt, not kept" // nobody looks them up: fosite's StatelessJWTValidator
)

// options are what a test changes.
type options struct {
	kind   kind
	on     func(*testing.T) store.Store // nil is onSQLite
	change func(*plugin.Config)
	wrap   func(http.Handler) http.Handler
}

// house is the provider of the example at a server, with Ann of the support signed in and a token of hers.
type house struct {
	*testing.T
	*provider
	*browser
	store  store.Store
	signer fositeoauth.AccessTokenStrategy
	log    *safeBuffer
	srv    *httptest.Server
	ann    token
}

func setup(t *testing.T, o options) *house {
	t.Helper()
	if o.on == nil {
		o.on = onSQLite
	}
	h := &house{T: t, store: o.on(t), log: new(safeBuffer), srv: httptest.NewTLSServer(nil)}
	t.Cleanup(h.srv.Close)
	h.provider = newProvider(
		directory.User{ID: "u-1", Email: "ann@acme.example", Name: "Ann", Enabled: true, Roles: []string{"support"}},
		directory.User{ID: "u-2", Email: "john@globex.example", Name: "John Doe", Organisation: "globex", Enabled: true},
		directory.User{ID: "u-3", Email: "bea@acme.example", Name: "Bea", Enabled: true, Roles: []string{"support"}})
	h.register("shop", callback)
	h.register("other", callback)
	strategy, factories := h.strategy(o.kind)
	rules, err := policy.New(registry, policy.Options{})
	h.ok(err)
	c := h.wiring(h.srv.URL, h.store, rules)
	c.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	if o.change != nil {
		o.change(&c)
	}
	h.signer = strategy.(fositeoauth.AccessTokenStrategy)
	h.ok(h.join(c, strategy, factories...))
	handler, err := h.routes()
	h.ok(err)
	if o.wrap != nil {
		handler = o.wrap(handler)
	}
	h.srv.Config.Handler = handler
	h.browser = browse(h.srv)
	h.ann = h.signIn("ann")
	return h
}

func (h *house) strategy(k kind) (any, []compose.Factory) {
	if k == "" || k == opaque {
		return compose.NewOAuth2HMACStrategy(h.config), factories
	}
	h.provider.session = jwtSession
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.ok(err)
	get := func(context.Context) (any, error) { return key, nil }
	h.config.AccessTokenIssuer = h.srv.URL
	strategy := &compose.CommonStrategy{
		CoreStrategy: compose.NewOAuth2JWTStrategy(get, compose.NewOAuth2HMACStrategy(h.config), h.config), Signer: &jwt.DefaultSigner{GetPrivateKey: get},
	}
	if k == signed {
		return strategy, factories
	}
	return strategy, []compose.Factory{
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2PKCEFactory, compose.OAuth2StatelessJWTIntrospectionFactory, compose.OAuth2TokenRevocationFactory,
	}
}

func jwtSession(_ context.Context, t plugin.Token) (fosite.Session, error) {
	return &fositeoauth.JWTSession{Subject: t.Subject, JWTClaims: &jwt.JWTClaims{Subject: t.Subject, JTI: t.ID, Extra: t.Claims}}, nil
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// signIn signs somebody in anew, in the one browser, and gives their token for the shop.
func (h *house) signIn(name string) token {
	h.Helper()
	email := map[string]string{"ann": "ann@acme.example", "bea": "bea@acme.example", "john": "john@globex.example"}[name]
	if r := h.post("/sign-in", url.Values{"email": {email}}); r.status != http.StatusOK {
		h.Fatalf("signing in: %d %s", r.status, r.body)
	}
	t := h.signInAt("shop", "orders:read orders:write impersonate")
	if t.access == "" {
		h.Fatalf("the code flow: %v", t.answer)
	}
	return t
}

// ticket asks for one on the page.
func (h *house) ticket() string {
	h.Helper()
	ticket := h.askFor("john", "cannot find the report tab")
	if ticket == "" {
		h.Fatal("no ticket")
	}
	return ticket
}

// start opens a session as John.
func (h *house) start() token {
	h.Helper()
	t := h.exchange(h.ticket(), h.ann)
	if t.access == "" || t.back == "" {
		h.Fatalf("start: %d %v", t.status, t.answer)
	}
	return t
}

// sid is the session that a start opened.
func (t token) sid() string {
	info, _ := t.answer["understudy_session"].(map[string]any)
	id, _ := info["id"].(string)
	return id
}

// entries gives the trail's entries of a kind, newest first.
func (h *house) entries(k audit.Kind) (out []audit.Entry) {
	h.Helper()
	page, _, err := h.store.Entries(h.Context(), store.EntryQuery{Kind: k, Limit: 1000})
	h.ok(err)
	for _, e := range page {
		out = append(out, e.Entry)
	}
	return out
}

// user changes one of the provider's users behind the plugin's back.
func (h *house) user(id string, change func(*directory.User)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[id]
	change(&u)
	h.users[id] = u
}

// goDown takes the provider's database away, or brings it back.
func (h *house) goDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

func (h *house) refused(t token, status int, code string) {
	h.Helper()
	if t.status != status || t.refusal != code || t.access != "" {
		h.Errorf("got %d %v; want %d %s", t.status, t.answer, status, code)
	}
}

func (h *house) is(t token, want string) {
	h.Helper()
	if got := t.introspect(); got != want {
		h.Errorf("introspection: got %q; want %q", got, want)
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
