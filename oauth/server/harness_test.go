package server_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// The verifier and challenge of RFC 7636 appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

const (
	resource  = "urn:understudy:resource:local"
	callback  = "http://127.0.0.1:9999/callback"
	typeToken = "urn:ietf:params:oauth:token-type:access_token"
)

// clock is a clock that a test moves.
type clock struct {
	mu    sync.Mutex
	off   time.Duration
	still time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.still.IsZero() {
		return c.still.Add(c.off)
	}
	return time.Now().Add(c.off)
}

// stop lets time pass by advance alone, for who counts what comes free in a second.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.still = time.Now()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

// house is a running server on a fresh store, with ann (an admin), sue (support of acme), john and eve (users of acme), and the
// clients app and other, each the server of the local resource or not.
type house struct {
	t testing.TB
	// url is where the server listens, issuer its public URL: they differ for a replica alone.
	url    string
	issuer string
	base   *base
	store  store.Store
	clock  *clock
	logs   *lockedWriter
	http   *http.Client
	// handler is what the server serves.
	handler, private http.Handler
	run              func(context.Context) error
	sealingKey       []byte
	box              *seal.Box // of the server, under sealingKey; the same in its next run
	// secrets of the clients
	secrets map[string]string
}

// options of a house; the zero value is one on SQLite.
type options struct {
	on           func(testing.TB) *base
	wrap         func(store.Store) store.Store
	secondFactor bool
	maxAuthAge   time.Duration
	registry     *policy.Registry
	algorithm    string       // that the server signs with, "" for ES256
	keys         []tokens.Key // that the program brings
	issuer       string       // "" for where it listens
	backchannel  []netip.Prefix
	limits       *server.Limits // nil: none
	trusted      []server.TrustedIssuer
	upstreams    []server.Upstream
	local        server.Local
}

// noLimits are those of a house where a test asks for no others: tests do in a second what people do in an hour.
var noLimits = server.Limits{ClientFailures: -1, ClientRequests: -1, ActorSearches: -1, ActorStarts: -1, ActorSessions: -1, ServiceSessions: -1}

// wrapped gives o with the server's store wrapped; the house's own is not.
func (o options) wrapped(wrap func(store.Store) store.Store) options {
	o.wrap = wrap
	return o
}

func setup(t testing.TB, o options) *house {
	t.Helper()
	on := o.on
	if on == nil {
		on = onSQLite
	}
	b := on(t)
	h := &house{
		t: t, base: b, store: b.store(t), clock: new(clock), logs: new(lockedWriter), sealingKey: newSealingKey(), secrets: map[string]string{},
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		},
	}
	t.Cleanup(h.http.CloseIdleConnections)
	h.box = boxOf(t, h.sealingKey)
	h.addKeys(o)
	h.issuer = o.issuer
	h.serve(o)
	ctx := context.Background()
	for _, u := range []directory.User{
		{ID: "ann", Email: "ann@acme.test", Name: "Ann Admin", Roles: []string{"admin"}},
		{ID: "bea", Email: "bea@acme.test", Name: "Bea Admin", Roles: []string{"admin"}},
		{ID: "sue", Email: "sue@acme.test", Name: "Sue Support", Organisation: "acme", Roles: []string{"support"}},
		{ID: "john", Email: "john@acme.test", Name: "John Doe", Organisation: "acme"},
		{ID: "eve", Email: "eve@acme.test", Name: "Eve Doe", Organisation: "acme"},
		{ID: "zoe", Email: "zoe@other.test", Name: "Zoe Roe", Organisation: "other"},
		{ID: "pat", Email: "pat@acme.test", Name: "Pat Protected", Organisation: "acme", Protected: true},
	} {
		u.Enabled, u.Created = true, time.Now()
		h.must(h.store.CreateUser(ctx, store.UserWrite{Write: h.write(), User: u}))
	}
	h.addClient("app", []string{resource})
	h.addClient("other", nil)
	return h
}

// serve starts a server on the store of the house. The first one is the issuer.
func (h *house) serve(o options) {
	h.t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	h.t.Cleanup(srv.Close)
	h.url = "http://" + srv.Listener.Addr().String()
	if h.issuer == "" {
		h.issuer = h.url
	}
	reg := policy.Default()
	if o.registry != nil {
		reg = *o.registry
	}
	limits := noLimits
	if o.limits != nil {
		limits = *o.limits
	}
	st := h.store
	if o.wrap != nil {
		st = o.wrap(st)
	}
	s, err := server.New(context.Background(), server.Config{
		PublicURL: h.issuer, Store: st, Registry: reg, Box: h.box, RequireSecondFactor: o.secondFactor, MaxAuthAge: o.maxAuthAge, Now: h.clock.Now,
		SigningAlgorithm: o.algorithm, Keys: o.keys, Backchannel: o.backchannel, TrustedIssuers: o.trusted, Upstreams: o.upstreams, Local: o.local,
		Limits: limits,
		Logger: slog.New(slog.NewTextHandler(h.logs, nil)),
	})
	h.must(err)
	h.handler, h.private, h.run = s.Handler(), s.Private(), s.Run
	srv.Config.Handler = h.handler
	srv.Start()
}

// replica is a second server of the same issuer, on a store of its own on the same database.
func (h *house) replica(o options) *house {
	h.t.Helper()
	other := *h
	other.store = h.base.store(h.t)
	other.serve(o)
	return &other
}

// anRSAKey is one for all houses: to make one takes longer than many a test.
var anRSAKey = sync.OnceValues(func() (tokens.Key, error) { return tokens.Generate(tokens.RS256) })

// addKeys gives the store the first keys that a server would make.
func (h *house) addKeys(o options) {
	h.t.Helper()
	if o.keys != nil {
		return
	}
	rsa, err := anRSAKey()
	h.must(err)
	keys := []tokens.Key{rsa}
	if o.algorithm != tokens.RS256 {
		keys = append(keys, h.newKey(cmp.Or(o.algorithm, tokens.ES256)))
	}
	for _, key := range keys {
		err := store.ErrUnavailable
		for try := 0; errors.Is(err, store.ErrUnavailable) && try < 5; try++ { // a store that is busy with a hundred others
			err = h.store.RotateSigningKey(context.Background(), store.KeyRotation{Write: h.write(), Key: h.sealed(key)})
		}
		h.must(err)
	}
}

func (h *house) newKey(algorithm string) tokens.Key {
	h.t.Helper()
	key, err := tokens.Generate(algorithm)
	h.must(err)
	return key
}

// sealed is key as a store has it, signing from now on.
func (h *house) sealed(key tokens.Key) store.SigningKey {
	h.t.Helper()
	now := h.clock.Now().UTC()
	sealed, err := key.Seal(h.box)
	h.must(err)
	return store.SigningKey{ID: key.ID, Algorithm: key.Algorithm, Sealed: sealed, Created: now, Activates: now}
}

func newBox(t testing.TB) *seal.Box { return boxOf(t, newSealingKey()) }

func newSealingKey() []byte {
	key := make([]byte, seal.KeySize)
	rand.Read(key)
	return key
}

func boxOf(t testing.TB, key []byte) *seal.Box {
	t.Helper()
	box, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// lockedWriter is what servers logged.
type lockedWriter struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) write() impersonation.Write {
	return impersonation.Write{Now: h.clock.Now().UTC(), RequestID: oauth.NewID("req")}
}

func (h *house) addClient(id string, serves []string) { h.addClientWith(id, serves, store.Settings{}) }

func (h *house) addClientWith(id string, serves []string, settings store.Settings) {
	h.t.Helper()
	secret := oauth.NewSecret()
	h.secrets[id] = string(secret)
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: id, Exchange: true, Resources: []string{resource},
			Scopes: []string{"openid", "profile", "email", "roles", "app:read", "app:write", "impersonate"}},
		Name: "The " + id, SecretHash: secret.Hash(), RedirectURIs: []string{callback}, Serves: serves, Settings: settings, Created: time.Now(),
	}}))
}

// login opens a login without a password and gives its cookie.
func (h *house) login(user string) (cookie, id string) {
	h.t.Helper()
	secret, now := oauth.NewSecret(), h.clock.Now().UTC()
	l := impersonation.Login{
		ID: oauth.NewID("lgn"), User: user, AuthTime: now, ACR: oauth.ACRMFA, AMR: []string{"pwd", "otp", "mfa"}, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour),
	}
	h.must(h.store.CreateLogin(context.Background(), store.LoginWrite{Write: h.write(), Login: l, Cookie: secret.Hash()}))
	return "__Host-op=" + string(secret), l.ID
}

// reply is an answer, read.
type reply struct {
	status   int
	header   http.Header
	location *url.URL
	body     string
	json     map[string]any
}

func (r reply) str(name string) string {
	s, _ := r.json[name].(string)
	return s
}

func (h *house) do(req *http.Request) reply {
	h.t.Helper()
	resp, err := h.http.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, body: string(b)}
	if loc := resp.Header.Get("Location"); loc != "" {
		r.location, err = url.Parse(loc)
		h.must(err)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && !strings.HasPrefix(r.body, "[") {
		h.must(json.Unmarshal(b, &r.json))
	}
	return r
}

func (h *house) get(path, cookie string) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
	h.must(err)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	return h.do(req)
}

func (h *house) form(path, cookie string, form url.Values) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+path, strings.NewReader(form.Encode()))
	h.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	return h.do(req)
}

// post is a POST with client authentication.
func (h *house) post(path, client string, form url.Values) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+path, strings.NewReader(form.Encode()))
	h.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client != "" {
		req.SetBasicAuth(client, h.secrets[client])
	}
	return h.do(req)
}

// code runs the authorization request and gives the code.
func (h *house) code(cookie, client, scope string) string {
	h.t.Helper()
	q := url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope}, "state": {"12345678"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	r := h.get("/oauth2/auth?"+q.Encode(), cookie)
	if r.status != http.StatusSeeOther || r.location.Query().Get("code") == "" {
		h.t.Fatalf("authorization: got %d %v %s; want a code", r.status, r.location, r.body)
	}
	return r.location.Query().Get("code")
}

func redeem(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

// token is the access token of user at client, in the login of cookie.
func (h *house) token(cookie, client, scope string) string {
	h.t.Helper()
	r := h.post("/oauth2/token", client, redeem(h.code(cookie, client, scope)))
	if r.status != http.StatusOK {
		h.t.Fatalf("token: got %d %s", r.status, r.body)
	}
	return r.str("access_token")
}

const actorScope = "openid profile email roles app:read impersonate"

// ask is the query of /impersonate.
func ask(client string) string {
	return url.Values{"client_id": {client}, "redirect_uri": {callback}, "state": {"state-12345"}, "code_challenge": {challenge},
		"code_challenge_method": {"S256"}}.Encode()
}

// why is the form of /impersonate.
func why(subject, mode string) url.Values {
	return url.Values{"subject": {subject}, "reason": {"cannot find the report tab"}, "ticket_number": {"SUP-1"}, "mode": {mode}, "minutes": {"30"}, "action": {"impersonate"}}
}

func (h *house) ticket(cookie, client, subject, mode string) string {
	h.t.Helper()
	r := h.form("/impersonate?"+ask(client), cookie, why(subject, mode))
	if r.status != http.StatusSeeOther || r.location.Query().Get("ticket") == "" {
		h.t.Fatalf("impersonate: got %d %v; want a ticket\n%s", r.status, r.location, r.body)
	}
	return r.location.Query().Get("ticket")
}

// ticketDirect is ticket without a socket.
func (h *house) ticketDirect(cookie, client, subject string) string {
	r := httptest.NewRequest(http.MethodPost, "/impersonate?"+ask(client), strings.NewReader(why(subject, "read").Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || u.Query().Get("ticket") == "" {
		h.t.Fatalf("impersonate: %d %s", w.Code, w.Body)
	}
	return u.Query().Get("ticket")
}

// recorded is a GET without a socket.
func recorded(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func startForm(ticket, actor string) url.Values {
	return url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {ticket}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token": {actor}, "actor_token_type": {typeToken}, "code_verifier": {verifier},
	}
}

func stopForm(ret string) url.Values {
	return url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {ret}, "subject_token_type": {string(oauth.TokenTypeReturnToken)}}
}

// started is one impersonation.
type started struct {
	cookie, login, actor string // of the admin
	reply                reply
	token, ret, sid      string
}

// start runs everything up to the start: admin impersonates subject at client.
func (h *house) start(admin, client, subject, mode string) started {
	h.t.Helper()
	cookie, login := h.login(admin)
	actor := h.token(cookie, client, actorScope)
	r := h.post("/oauth2/token", client, startForm(h.ticket(cookie, client, subject, mode), actor))
	if r.status != http.StatusOK {
		h.t.Fatalf("start: got %d %s", r.status, r.body)
	}
	sid, _ := r.json["understudy_session"].(map[string]any)["id"].(string)
	return started{cookie: cookie, login: login, actor: actor, reply: r, token: r.str("access_token"), ret: r.str("understudy_return_token"), sid: sid}
}

// active asks whether a token is, as client.
func (h *house) active(client, token string) bool {
	h.t.Helper()
	r := h.post("/oauth2/introspect", client, url.Values{"token": {token}})
	if r.status != http.StatusOK {
		h.t.Fatalf("introspect: got %d %s", r.status, r.body)
	}
	return r.json["active"] == true
}

// claims reads a JWT without verifying it.
func claims(t testing.TB, token string) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	for i, out := range []*map[string]any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, out); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// refused demands an error of the token endpoint, and that it holds no token.
func refused(t testing.TB, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.str("error") != code || r.str("access_token") != "" {
		t.Errorf("got %d %s; want %d %s", r.status, r.body, status, code)
	}
}
