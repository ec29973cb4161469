package interop_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// through is our server, at which people sign in through an idp alone: sam, an admin, whom it knows by their sub there; and john.
type through struct {
	*house
	idp     *idp
	browser *visitor
	app     *oauth2.Config
}

// signThrough starts one; change, which may be nil, is of its configuration.
func signThrough(t *testing.T, start func(*testing.T, places) *idp, change func(*idp, *server.Config)) *through {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	t.Cleanup(srv.Close)
	issuer := "http://" + srv.Listener.Addr().String()
	h := &through{house: &house{t: t, issuer: issuer}, browser: newVisitor(t, callback, issuer+"/sign-in/signed-out", issuer+"/impersonate?")}
	h.idp = start(t, places{issuer + "/sign-in/callback/idp", issuer + "/sign-in/signed-out", issuer + "/sign-in/backchannel/idp"})
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), Migrate: true})
	must(t, err)
	t.Cleanup(func() { st.Close() })
	h.people(st)
	box, err := seal.New(make([]byte, seal.KeySize))
	must(t, err)
	c := server.Config{
		PublicURL: issuer, Store: st, Registry: policy.Default(), Box: box, Logger: slog.New(slog.DiscardHandler), Local: server.LocalDisabled,
		Upstreams: []server.Upstream{{Provider: upstream.Config{Name: "idp", Issuer: upstream.IssuerConfig{URL: h.idp.issuer}, ClientID: idpClient, ClientSecret: idpSecret}}},
	}
	if change != nil {
		change(h.idp, &c)
	}
	s, err := server.New(t.Context(), c)
	must(t, err)
	srv.Config.Handler = s.Handler()
	srv.Start()
	h.app = &oauth2.Config{ClientID: "app", ClientSecret: h.appSecret, RedirectURL: callback, Scopes: []string{"openid", "app:read", "impersonate"},
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/oauth2/auth", TokenURL: issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader}}
	return h
}

func (h *through) people(st store.Store) {
	h.t.Helper()
	w := impersonation.Write{Now: time.Now().UTC(), RequestID: oauth.NewID("req")}
	for _, u := range []directory.User{
		{ID: "sam", Email: "sam@acme.test", Name: "Sam", Roles: []string{"admin"}, Identities: []oauth.Party{{Issuer: h.idp.issuer, Subject: "sam-there"}}},
		{ID: "john", Email: "john@acme.test", Name: "John Doe", Identities: []oauth.Party{{Issuer: h.idp.issuer, Subject: "john-there"}}},
	} {
		u.Enabled, u.Created = true, w.Now
		must(h.t, st.CreateUser(h.t.Context(), store.UserWrite{Write: w, User: u}))
	}
	secret := oauth.NewSecret()
	h.appSecret, h.apiSecret = string(secret), string(secret)
	for _, id := range []string{"app", "api"} {
		must(h.t, st.CreateClient(h.t.Context(), store.ClientWrite{Write: w, Client: store.Client{
			Client: policy.Client{ID: id, Exchange: true, Resources: []string{resource}, Scopes: []string{"openid", "profile", "email", "roles", "app:read", "impersonate"}},
			Name:   "The " + id, SecretHash: secret.Hash(), RedirectURIs: []string{callback}, Serves: []string{resource}, Created: w.Now,
		}}))
	}
}

// token is sam's, by a sign-in through the idp that the app asks for with more.
func (h *through) token(more ...oauth2.AuthCodeOption) string {
	h.t.Helper()
	verifier := oauth2.GenerateVerifier()
	more = append(more, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", "nonce-12345"))
	q := h.browser.visit(h.app.AuthCodeURL("state-12345", more...), sam).Query()
	if q.Get("code") == "" {
		h.t.Fatalf("sent back with %v; want a code", q)
	}
	token, err := h.app.Exchange(h.t.Context(), q.Get("code"), oauth2.VerifierOption(verifier))
	must(h.t, err)
	return token.AccessToken
}

// handover is a ticket of the page for john, and the verifier that goes with it.
type handover struct{ ticket, verifier string }

// pageURL is the impersonate page for john, for who has verifier.
func (h *through) pageURL(verifier string) string {
	return h.issuer + "/impersonate?" + url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "state": {"state-67890"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}, "subject": {"john"}}.Encode()
}

// press presses the button of the page, signed in.
func (h *through) press() handover {
	h.t.Helper()
	verifier := oauth2.GenerateVerifier()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.pageURL(verifier), nil)
	must(h.t, err)
	q := h.browser.send(req, fillIn("read")).Query()
	if q.Get("ticket") == "" {
		h.t.Fatalf("sent back with %v; want a ticket", q)
	}
	return handover{q.Get("ticket"), verifier}
}

// start spends a handover with an actor's token of this type.
func (h *through) start(o handover, actor, actorType string) (int, map[string]any) {
	h.t.Helper()
	return h.post("/oauth2/token", "app", h.appSecret, url.Values{"grant_type": {grant}, "subject_token": {o.ticket}, "subject_token_type": {ticketType},
		"actor_token": {actor}, "actor_token_type": {actorType}, "code_verifier": {o.verifier}})
}

// impersonate starts an impersonation of john by the page, and gives its token and return token.
func (h *through) impersonate(actor string) (token, back string) {
	h.t.Helper()
	status, answer := h.start(h.press(), actor, accessToken)
	if status != http.StatusOK {
		h.t.Fatalf("start: got %d %v", status, answer)
	}
	token, _ = answer["access_token"].(string)
	back, _ = answer["understudy_return_token"].(string)
	return token, back
}

// signOutThere signs sam out at the idp, which tells the server; or a logout token of its key does, where it sends none by itself.
func (h *through) signOutThere() {
	h.t.Helper()
	if !h.idp.sendsLogout {
		resp, err := http.PostForm(h.issuer+"/sign-in/backchannel/idp", url.Values{"logout_token": {h.idp.logoutToken(h.t)}})
		must(h.t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			h.t.Errorf("the logout token: got %s", resp.Status)
		}
		return
	}
	i, err := upstream.NewIssuer(upstream.IssuerConfig{URL: h.idp.issuer, Loopback: true})
	must(h.t, err)
	m, err := i.Metadata(h.t.Context())
	must(h.t, err)
	h.browser.visit(m.EndSessionEndpoint+"?"+url.Values{"client_id": {idpClient}, "post_logout_redirect_uri": {h.issuer + "/sign-in/signed-out"}}.Encode(), nil)
}

// TestSignInThrough: sam signs in through a provider, impersonates john and stops; and signing out there ends all that is left.
func TestSignInThrough(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := signThrough(t, start, nil)
			own := h.token()
			imp, back := h.impersonate(own)
			if !h.active(own) || !h.active(imp) {
				t.Fatalf("active: own %t, impersonating %t; want both", h.active(own), h.active(imp))
			}
			status, answer := h.post("/oauth2/token", "app", h.appSecret, url.Values{"grant_type": {grant}, "subject_token": {back}, "subject_token_type": {returnType}})
			if status != http.StatusOK || h.active(imp) {
				t.Errorf("stop: got %d %v, and the impersonation is active: %t", status, answer, h.active(imp))
			}
			imp, _ = h.impersonate(own)
			h.signOutThere()
			if h.active(own) || h.active(imp) {
				t.Errorf("after the sign-out there: own %t, impersonating %t; want neither active", h.active(own), h.active(imp))
			}
		})
	}
}

// quietly gives what the idp answers an app of its own that asks who is signed in, and lets nobody be asked: "" for somebody.
func (h *through) quietly() string {
	h.t.Helper()
	return h.browser.visit(h.idp.app(h.browser, idpApp, callback).AuthCodeURL("state-12345", oauth2.SetAuthURLParam("prompt", "none"),
		oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), nil).Query().Get("error")
}

// TestSignOutThrough: who signs out here is signed out at the provider too, and comes back.
func TestSignOutThrough(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := signThrough(t, start, nil)
			own := h.token()
			imp, _ := h.impersonate(own)
			if got := h.quietly(); got != "" && h.idp.sendsLogout { // the other remembers nobody from one request to the next
				t.Fatalf("before: the provider answers %s", got)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.issuer+"/sign-out", nil)
			must(t, err)
			if at := h.browser.send(req, url.Values{}); at.Path != "/sign-in/signed-out" {
				t.Errorf("signed out, and led to %s", at)
			}
			if h.active(own) || h.active(imp) {
				t.Errorf("after the sign-out here: own %t, impersonating %t; want neither active", h.active(own), h.active(imp))
			}
			if got := h.quietly(); got != "login_required" {
				t.Errorf("after: the provider answers %q; want login_required", got)
			}
		})
	}
}
