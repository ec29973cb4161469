package rp_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

// house is the real server on a fresh store, and an app in front of which rp stands: in one of its two forms.
type house struct {
	t           testing.TB
	issuer      string
	app, asUser string // origins; asUser is app where impersonation lies over it
	store       *sqlite.Store
	server      *server.Server
	clock       *clock
	secret      oauth.Secret
	rp          *rp.App
	config      rp.Config
	client      *http.Client
	logs        *logs

	mu      sync.Mutex
	down    bool                // the issuer answers nothing
	stuck   string              // below this path it never does
	waiting int                 // for that
	calls   []string            // what reached the issuer: method and path
	seen    []string            // what reached the app: who, method, path
	kept    map[string]struct{} // "accounts"
	logins  map[string]*browser // the last that each user signed in with
	hold    string              // the session that holds the app's own sign-in

	more http.HandlerFunc // pages below /more/ that a test wants, set before anybody asks
}

// logs is a log that many write to.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const resource = policy.DefaultResource

// form is one of the two forms.
type form string

const (
	apart form = "own origin"
	over  form = "one origin"
)

// both runs f on both forms.
func both(t *testing.T, f func(t *testing.T, h *house)) {
	for _, which := range []form{apart, over} {
		t.Run(string(which), func(t *testing.T) {
			t.Parallel()
			f(t, setup(t, which, nil))
		})
	}
}

// setup builds a house. bend may change the app's configuration.
func setup(t testing.TB, which form, bend func(*house, *rp.Config)) *house {
	t.Helper()
	return setupTrusting(t, which, bend)
}

// setupTrusting is setup with an issuer that trusts others.
func setupTrusting(t testing.TB, which form, bend func(*house, *rp.Config), trusted ...server.TrustedIssuer) *house {
	t.Helper()
	h := &house{t: t, clock: new(clock), logs: new(logs), secret: oauth.NewSecret(), kept: map[string]struct{}{"john": {}, "ann": {}}, logins: map[string]*browser{}}
	h.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) { // every name is this machine
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
		MaxIdleConnsPerHost: 32,
	}}
	t.Cleanup(h.client.CloseIdleConnections)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h.serveIssuer(ctx, trusted)
	h.openApp(ctx, "app", which, bend)
	return h
}

// openApp registers the client id and serves its app.
func (h *house) openApp(ctx context.Context, id string, which form, bend func(*house, *rp.Config)) {
	h.t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	h.t.Cleanup(srv.Close)
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	h.app = fmt.Sprintf("http://%s.localhost:%d", id, port)
	h.asUser = h.app
	c := rp.Config{
		Issuer: h.issuer, ClientID: id, ClientSecret: h.secret, BaseURL: h.app, Client: h.client, Now: h.clock.Now,
		Logger: slog.New(slog.NewTextHandler(h.logs, nil)),
		Home: func(p rp.Person) string {
			if slices.Contains(p.Roles, "admin") {
				return "/admin"
			}
			return "/"
		},
	}
	if which == apart {
		h.asUser = fmt.Sprintf("http://as-user.%s.localhost:%d", id, port)
		c.Origin = h.asUser
	} else {
		c.AllowSameOriginWrite = true
	}
	if bend != nil {
		bend(h, &c)
	}
	h.addClient(id)
	h.config = c
	var err error
	h.rp, err = rp.New(ctx, c)
	h.must(err)
	srv.Config.Handler = h.handler()
	srv.Start()
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// anRSAKey is one for all houses: to make one takes longer than many a test.
var anRSAKey = sync.OnceValues(func() (tokens.Key, error) { return tokens.Generate(tokens.RS256) })

// addKeys gives the issuer's store the first keys that it would make.
func (h *house) addKeys(box *seal.Box) {
	h.t.Helper()
	ec, err := tokens.Generate(tokens.ES256)
	h.must(err)
	rsa, err := anRSAKey()
	h.must(err)
	now := h.clock.Now().UTC()
	for _, key := range []tokens.Key{ec, rsa} {
		sealed, err := key.Seal(box)
		h.must(err)
		h.must(h.store.RotateSigningKey(h.t.Context(), store.KeyRotation{
			Write: impersonation.Write{Now: now},
			Key:   store.SigningKey{ID: key.ID, Algorithm: key.Algorithm, Sealed: sealed, Created: now, Activates: now},
		}))
	}
}

func (h *house) serveIssuer(ctx context.Context, trusted []server.TrustedIssuer) {
	st, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(h.t.TempDir(), "issuer.db"), Migrate: true})
	h.must(err)
	h.t.Cleanup(func() { st.Close() })
	h.store = st
	srv := httptest.NewUnstartedServer(nil)
	h.t.Cleanup(srv.Close)
	h.issuer = fmt.Sprintf("http://issuer.localhost:%d", srv.Listener.Addr().(*net.TCPAddr).Port)
	key := make([]byte, seal.KeySize)
	rand.Read(key)
	box, err := seal.New(key)
	h.must(err)
	h.addKeys(box)
	s, err := server.New(ctx, server.Config{PublicURL: h.issuer, Store: st, Registry: policy.Default(), Box: box, Now: h.clock.Now, Logger: slog.New(slog.DiscardHandler), TrustedIssuers: trusted})
	h.must(err)
	h.server = s
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.calls = append(h.calls, r.Method+" "+r.URL.Path)
		down, stuck := h.down, h.stuck != "" && strings.HasPrefix(r.URL.Path, h.stuck)
		if stuck {
			h.waiting++
		}
		h.mu.Unlock()
		if stuck {
			io.Copy(io.Discard, r.Body) // then the server notices when the client goes away
			<-r.Context().Done()
			return
		}
		if down {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		s.Handler().ServeHTTP(w, r)
	})
	srv.Start()
	for _, u := range []directory.User{
		{ID: "ann", Email: "ann@acme.test", Name: "Ann Bell", Roles: []string{"admin"}},
		{ID: "john", Email: "john@acme.test", Name: "John Doe", Organisation: "acme"},
		{ID: "eve", Email: "eve@acme.test", Name: "Eve Moss", Organisation: "acme"},
	} {
		u.Enabled, u.Created = true, time.Now()
		h.must(st.CreateUser(ctx, store.UserWrite{Write: h.write(), User: u}))
	}
}

func (h *house) write() impersonation.Write {
	return impersonation.Write{Now: h.clock.Now().UTC(), RequestID: oauth.NewID("req")}
}

func (h *house) addClient(id string) {
	h.must(h.store.CreateClient(context.Background(), store.ClientWrite{Write: h.write(), Client: store.Client{
		Client: policy.Client{ID: id, Exchange: true, Resources: []string{resource},
			Scopes: []string{"openid", "profile", "email", "roles", "app:read", "app:write", "impersonate"}},
		Name: "Acme", SecretHash: h.secret.Hash(), RedirectURIs: slices.Compact([]string{h.app + "/.understudy/callback", h.asUser + "/.understudy/callback"}),
		Serves: []string{resource}, Created: time.Now(),
	}}))
}

// handler is the app: it says who it takes the request for.
func (h *house) handler() http.Handler {
	page := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			subject, _ := rp.Subject(r.Context())
			actor, _ := rp.Actor(r.Context())
			h.mu.Lock()
			h.seen = append(h.seen, subject.Subject+" "+r.Method+" "+r.URL.Path)
			h.mu.Unlock()
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark", Path: "/"})
			fmt.Fprintf(w, "<!doctype html><html><body><h1>%s</h1><p>subject=%s actor=%s roles=%v</p><form>%s</form></body></html>",
				name, subject.Subject, actor.Subject, subject.Roles, rp.FormField(r))
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/favicon.ico", http.NotFound) // a browser asks when it likes, and cookies with the answer would change what it keeps
	mux.Handle("/", h.rp.RequireSignIn(page("home")))
	mux.Handle("/admin", h.rp.RequireSignIn(page("admin")))
	mux.HandleFunc("/open/", func(w http.ResponseWriter, r *http.Request) { // says that it is the same for all, and is not
		subject, _ := rp.Subject(r.Context())
		actor, _ := rp.Actor(r.Context())
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><html><body><p>subject=%s actor=%s</p></body></html>", subject.Subject, actor.Subject)
	})
	mux.HandleFunc("/more/", func(w http.ResponseWriter, r *http.Request) { h.more(w, r) })
	mux.Handle("POST /note", page("noted"))
	mux.Handle("POST /search", page("found"))
	mux.Handle("/blocked/", page("blocked"))
	mux.Handle("POST /delete", rp.Forbid(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := rp.Subject(r.Context())
		h.mu.Lock()
		delete(h.kept, p.Subject)
		h.mu.Unlock()
		io.WriteString(w, "deleted")
	})))
	h.rp.Allow("POST /search")
	h.rp.Block("/blocked/")
	return h.rp.Handler(mux)
}

func (h *house) setDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// taken gives what has reached the app or the issuer since the last time.
func (h *house) taken(of *[]string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := *of
	*of = nil
	return out
}

func (h *house) has(account string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.kept[account]
	return ok
}

// login opens a login at the issuer without a password, and puts its cookie into b.
func (h *house) login(b *browser, user string) {
	h.t.Helper()
	secret, now := oauth.NewSecret(), h.clock.Now().UTC()
	h.must(h.store.CreateLogin(context.Background(), store.LoginWrite{Write: h.write(), Cookie: secret.Hash(), Login: impersonation.Login{
		ID: oauth.NewID("lgn"), User: user, AuthTime: now, AMR: []string{"pwd"}, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour),
	}}))
	b.jar("issuer.localhost")["__Host-op"] = string(secret)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logins[user] = b
}

// entries are the kinds of the trail's entries, oldest first, but for those that no test asks for.
func (h *house) entries() (all []audit.Entry) {
	h.t.Helper()
	page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Limit: 1000})
	h.must(err)
	for _, e := range slices.Backward(page) {
		all = append(all, e.Entry)
	}
	return all
}

// actions are the actions on record: phase, method, route, and status and note of a refusal.
func (h *house) actions() (out []string) {
	for _, e := range h.entries() {
		if e.Kind == audit.KindAction {
			out = append(out, strings.TrimSpace(strings.Join([]string{e.Fields["phase"], e.Fields["method"], e.Fields["route"], e.Fields["status"], e.Fields["note"]}, " ")))
		}
	}
	return out
}

// acts are actions without the answers to what was let through: those are told within a second, so a slow test sees some of them.
func (h *house) acts() []string {
	return slices.DeleteFunc(h.actions(), func(s string) bool {
		words := strings.Fields(s)
		return words[0] == "after" && (len(words) < 4 || words[3] < "400")
	})
}

// live counts the sessions that go on.
func (h *house) live() int {
	h.t.Helper()
	page, _, err := h.store.Sessions(context.Background(), store.SessionQuery{Live: true, Now: h.clock.Now()})
	h.must(err)
	return len(page)
}

// browser keeps cookies by host, not by port, as browsers do. It keeps Secure cookies on loopback http too, which Go's own
// jar does not.
type browser struct {
	h    *house
	jars map[string]map[string]string
}

func (h *house) browser() *browser { return &browser{h, map[string]map[string]string{}} }

func (b *browser) jar(host string) map[string]string {
	if b.jars[host] == nil {
		b.jars[host] = map[string]string{}
	}
	return b.jars[host]
}

func (b *browser) cookies(origin string) map[string]string {
	u, err := url.Parse(origin)
	b.h.must(err)
	return b.jar(u.Hostname())
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	url    *url.URL
	body   string
	hops   []string // the addresses on the way, without query
}

// send sends one request with the cookies of its host, and keeps those of the answer.
func (b *browser) send(req *http.Request) reply {
	b.h.t.Helper()
	jar := b.jar(req.URL.Hostname())
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(jar)) {
		pairs = append(pairs, name+"="+jar[name])
	}
	if len(pairs) > 0 && req.Header.Get("Cookie") == "" {
		req.Header.Set("Cookie", strings.Join(pairs, "; "))
	}
	resp, err := b.h.client.Transport.RoundTrip(req)
	b.h.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	b.h.must(err)
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(jar, c.Name)
		} else {
			jar[c.Name] = c.Value
		}
	}
	return reply{status: resp.StatusCode, header: resp.Header, url: req.URL, body: string(body)}
}

func (b *browser) request(method, to string, body url.Values) *http.Request {
	b.h.t.Helper()
	req, err := http.NewRequest(method, to, strings.NewReader(body.Encode()))
	b.h.must(err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Accept", "text/html")
	return req
}

// one sends without following.
func (b *browser) one(method, to string, body url.Values) reply {
	b.h.t.Helper()
	return b.send(b.request(method, to, body))
}

// follow goes on until an answer leads nowhere else.
func (b *browser) follow(r reply) reply {
	b.h.t.Helper()
	for hops := r.hops; ; {
		hops = append(hops, r.url.Scheme+"://"+r.url.Host+r.url.Path)
		r.hops = hops
		if r.status != http.StatusSeeOther {
			return r
		}
		if len(hops) > 12 {
			b.h.t.Fatalf("redirected without end: %v", hops)
		}
		next, err := r.url.Parse(r.header.Get("Location"))
		b.h.must(err)
		r = b.one(http.MethodGet, next.String(), nil)
	}
}

func (b *browser) get(to string) reply {
	b.h.t.Helper()
	return b.follow(b.one(http.MethodGet, to, nil))
}

func (b *browser) post(to string, pairs ...string) reply {
	b.h.t.Helper()
	return b.follow(b.one(http.MethodPost, to, values(pairs...)))
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// ask opens the impersonate page for subject.
func (b *browser) ask(subject, returnTo string) reply {
	b.h.t.Helper()
	r := b.get(b.h.app + "/.understudy/start?" + values("subject", subject, "return_to", returnTo).Encode())
	if r.status != http.StatusOK || r.url.Path != "/impersonate" {
		b.h.t.Fatalf("start: %d %s %s", r.status, r.url, r.body)
	}
	return r
}

// say fills in the page, and goes wherever that leads.
func (b *browser) say(r reply, subject, mode string) reply {
	b.h.t.Helper()
	return b.post(r.url.String(), "subject", subject, "mode", mode, "minutes", "30", "reason", "cannot find the report tab",
		"ticket_number", "SUP-4821", "action", "impersonate")
}

// impersonate is a whole start, by somebody who is signed in at the issuer.
func (b *browser) impersonate(subject, mode string) reply {
	b.h.t.Helper()
	r := b.say(b.ask(subject, "/admin"), subject, mode)
	if r.status != http.StatusOK || !strings.Contains(r.body, "subject="+subject+" ") {
		b.h.t.Fatalf("impersonating: %d %s %s", r.status, r.url, r.body)
	}
	return r
}

// ann is a browser in which Ann is signed in at issuer and app.
func (h *house) ann() *browser {
	h.t.Helper()
	b := h.browser()
	h.login(b, "ann")
	if r := b.get(h.app + "/admin"); r.status != http.StatusOK || !strings.Contains(r.body, "subject=ann actor=ann roles=[") {
		h.t.Fatalf("signing in: %d %s", r.status, r.body)
	}
	return b
}

// cookieHeader writes a jar as a browser sends it.
func cookieHeader(jar map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(jar)) {
		pairs = append(pairs, name+"="+jar[name])
	}
	return strings.Join(pairs, "; ")
}

// kill ends every session at the issuer.
func (h *house) kill() {
	h.t.Helper()
	_, err := h.store.End(context.Background(), impersonation.EndWrite{
		Write: h.write(), Scope: impersonation.ScopeInstance, Reason: impersonation.EndOperator, Issuer: h.issuer,
	})
	h.must(err)
}

func veto(_ context.Context, _, subject rp.Person) error {
	return fmt.Errorf("not this one: %s", subject.Subject)
}

// serve sends r to app without a socket.
func serve(app *rp.App, r *http.Request, cookies map[string]string) *httptest.ResponseRecorder {
	r.Host = r.URL.Host
	r.RequestURI = r.URL.RequestURI()
	r.Header.Set("Cookie", cookieHeader(cookies))
	w := httptest.NewRecorder()
	app.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := rp.Subject(r.Context())
		io.WriteString(w, p.Subject)
	})).ServeHTTP(w, r)
	return w
}

// ownSignIn makes the app one that signs people in itself: its cookie "session" names them, and their token at the issuer
// is fetched without a browser.
func ownSignIn(h *house, c *rp.Config) {
	c.ActorToken = func(r *http.Request) (oauth.Secret, error) {
		if s, err := r.Cookie("session"); err != nil || h.held() != "" {
			return "", nil
		} else {
			return h.token(s.Value)
		}
	}
	c.Hold = func(_ http.ResponseWriter, _ *http.Request, sid string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.hold = sid
		return nil
	}
	c.Held = func(*http.Request) (string, error) { return h.held(), nil }
}

func (h *house) held() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hold
}

// token is user's own access token, with what an actor needs, of their last login.
func (h *house) token(user string) (oauth.Secret, error) {
	h.mu.Lock()
	b := h.logins[user]
	h.mu.Unlock()
	back := h.app + "/.understudy/callback"
	r := b.one(http.MethodGet, h.issuer+"/oauth2/auth?"+values("client_id", "app", "redirect_uri", back, "response_type", "code", "state", "12345678",
		"scope", "openid impersonate", "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method", "S256").Encode(), nil)
	to, err := url.Parse(r.header.Get("Location"))
	h.must(err)
	req := b.request(http.MethodPost, h.issuer+"/oauth2/token", values("grant_type", "authorization_code", "code", to.Query().Get("code"), "redirect_uri", back,
		"code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
	req.SetBasicAuth("app", string(h.secret))
	var answer struct {
		Token string `json:"access_token"`
	}
	err = json.Unmarshal([]byte(b.send(req).body), &answer)
	return oauth.Secret(answer.Token), err
}
