package demo_test

import (
	"context"
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// prey is an app without any defence of its own, beside the demo's and at the same issuer: no Content-Security-Policy, no
// look at where a POST comes from. What protects it is rp alone. It keeps a record of what reaches it, and as whom.
type prey struct {
	*demo.Demo
	t           *testing.T
	p           *browsertest.Page
	app, asUser string // its origins: the same one where impersonation lies over it
	store       *sqlite.Store
	outside     http.Handler // answers below /outside/ without rp in front, as another server on the same origin could
	rp          rp.Config

	mu    sync.Mutex
	front http.Handler // everywhere else: the app behind its rp
	seen  []seen
}

// seen is one request that reached the app.
type seen struct {
	Who, Method, Origin, Path string
	Site, Mode, Dest          string // of Sec-Fetch: what the browser says of who asked
}

// hunt runs f against a prey on each form, with Ann signed in at the issuer.
func hunt(t *testing.T, forms []form, f func(t *testing.T, s *prey)) {
	for _, which := range forms {
		t.Run(which.name, func(t *testing.T) {
			t.Parallel()
			p := browsertest.Start(t)
			c := which.config
			c.Directory = t.TempDir()
			d := start(t, c)
			s := &prey{Demo: d, t: t, p: p, store: beside(t, d.Database)}
			s.serve(which.config)
			s.signIn(p)
			f(t, s)
		})
	}
}

func (s *prey) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// serve names the origins as the demo names its own.
func (s *prey) serve(c demo.Config) {
	s.t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	s.t.Cleanup(srv.Close)
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	at := func(url, otherwise string) string {
		if url == "" {
			url = otherwise
		}
		return fmt.Sprintf("%s:%d", url, port)
	}
	s.rp = rp.Config{Issuer: s.IssuerURL, BaseURL: at(c.AppURL, "http://localhost"), Logger: slog.New(slog.DiscardHandler)}
	s.app, s.asUser = s.rp.BaseURL, s.rp.BaseURL
	if !c.SameOrigin {
		s.rp.Origin = at(c.AsUserURL, "http://127.0.0.1")
		s.asUser = s.rp.Origin
	}
	s.swap(s.behind("prey"))
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		front := s.front
		s.mu.Unlock()
		front.ServeHTTP(w, r)
	})
	mux.Handle("/favicon.ico", http.NotFoundHandler()) // what the browser asks for by itself is nobody's doing
	mux.HandleFunc("/outside/", func(w http.ResponseWriter, r *http.Request) { s.outside.ServeHTTP(w, r) })
	srv.Config.Handler = mux
	srv.Config.MaxHeaderBytes = 1 << 20 // a browser's whole jar
	srv.Start()
}

// swap puts another app into the place of the one that serves, and gives that one.
func (s *prey) swap(next http.Handler) (before http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.front = s.front, next
	return before
}

// behind is the app under a registration of its own, on the same origins.
func (s *prey) behind(client string) http.Handler {
	s.t.Helper()
	rc, secret := s.rp, oauth.NewSecret()
	rc.ClientID, rc.ClientSecret = client, secret
	s.must(s.store.CreateClient(s.t.Context(), store.ClientWrite{Write: s.write(), Client: store.Client{
		Client: policy.Client{ID: rc.ClientID, Exchange: true, Resources: []string{policy.DefaultResource},
			Scopes: []string{"openid", "profile", "email", "roles", "app:read", "app:write", "impersonate"}},
		Name: client, SecretHash: secret.Hash(), RedirectURIs: slices.Compact([]string{s.app + "/.understudy/callback", s.asUser + "/.understudy/callback"}),
		Serves: []string{policy.DefaultResource}, Created: time.Now(),
	}}))
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	app, err := rp.New(ctx, rc)
	s.must(err)
	return app.Handler(app.RequireSignIn(http.HandlerFunc(s.page)))
}

func (s *prey) write() impersonation.Write {
	return impersonation.Write{Now: time.Now().UTC(), RequestID: oauth.NewID("req")}
}

// page is every page of the app. It says for whose eyes it is, and has a form as an app should write it.
func (s *prey) page(w http.ResponseWriter, r *http.Request) {
	who, _ := rp.Subject(r.Context())
	s.mu.Lock()
	s.seen = append(s.seen, seen{who.Name, r.Method, "http://" + r.Host, r.URL.Path,
		r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")})
	s.mu.Unlock()
	if r.URL.Path == "/worker.js" {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, "self.addEventListener('fetch', () => {})")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><title>Prey</title><body><h1>%s</h1><p id="who">for the eyes of %s</p>
<form id="note" method="post" action="/note">%s<input name="text" value="x"><button>Note</button></form></body>`,
		html.EscapeString(r.URL.Path), html.EscapeString(who.Name), rp.FormField(r))
}

// taken gives what has reached the app since the last time.
func (s *prey) taken() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.seen
	s.seen = nil
	return out
}

// signIn opens a login of Ann's with both factors, and puts its cookie into p: a code of hers counts only once in its time.
func (s *prey) signIn(p *browsertest.Page) {
	s.t.Helper()
	ann, err := s.store.ByEmail(s.t.Context(), "ann@acme.test")
	s.must(err)
	secret, w := oauth.NewSecret(), s.write()
	s.must(s.store.CreateLogin(s.t.Context(), store.LoginWrite{Write: w, Cookie: secret.Hash(), Login: impersonation.Login{
		ID: oauth.NewID("lgn"), User: ann.ID, AuthTime: w.Now, AMR: []string{"pwd", "otp", "mfa"}, Created: w.Now, LastUsed: w.Now, Expires: w.Now.Add(time.Hour),
	}}))
	p.SetCookie(s.IssuerURL, &http.Cookie{Name: "__Host-op", Value: string(secret), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	p.Go(s.app + "/admin")
	if got := p.Text("#who"); got != annsEyes {
		s.t.Fatalf("signed in as %s", got)
	}
}

// annsEyes is on every page that the app shows to Ann, and on no other.
const annsEyes = "for the eyes of Ann Bell"

// impersonate goes from the app's admin page to the user's.
func (s *prey) impersonate(p *browsertest.Page, email string) {
	s.t.Helper()
	s.ask(p, email)
	p.Follow("main button.primary")
	u, err := s.store.ByEmail(s.t.Context(), email)
	s.must(err)
	if got := p.Text("#who"); got != "for the eyes of "+u.Name || p.URL() != s.asUser+"/" {
		s.t.Fatalf("on %s: %s", p.URL(), p.Text("body"))
	}
	s.taken()
}

// ask fills in the impersonate page, and does not send it. What is done is full access where the form allows it.
func (s *prey) ask(p *browsertest.Page, email string) {
	s.t.Helper()
	u, err := s.store.ByEmail(s.t.Context(), email)
	s.must(err)
	p.Go(s.app + "/.understudy/start?" + url.Values{"subject": {u.ID}, "return_to": {"/admin"}}.Encode())
	p.Type("#reason", "Cannot find the report tab")
	mode := "write"
	if s.app == s.asUser {
		mode = "read"
	}
	p.Click("input[name=mode][value=" + mode + "]")
}

// asAnn are the requests that reached the app as Ann. On an origin of its own that is but for what a person does by opening
// the app's own page in a tab: that takes the script's world away.
func (s *prey) asAnn() (out []seen) {
	for _, r := range s.taken() {
		opened := r.Origin == s.app && r.Method == http.MethodGet && r.Mode == "navigate" && r.Dest == "document"
		if r.Who == "Ann Bell" && (s.app == s.asUser || !opened) {
			out = append(out, r)
		}
	}
	return out
}

// live counts the sessions that go on.
func (s *prey) live() int {
	s.t.Helper()
	page, _, err := s.store.Sessions(s.t.Context(), store.SessionQuery{Live: true, Now: time.Now()})
	s.must(err)
	return len(page)
}

// host is that of an origin, without the port: what cookies belong to.
func (s *prey) host(origin string) string {
	u, err := url.Parse(origin)
	s.must(err)
	return u.Hostname()
}

// script is js with the app's origins in it.
func (s *prey) script(js string) string {
	return strings.NewReplacer("$app", s.app, "$asUser", s.asUser).Replace(js)
}
