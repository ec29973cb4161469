package interop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/understudy-id/understudy/oauth/upstream"
)

const (
	idpClient   = "understudy"
	idpApp      = "crm" // somebody's app, with the same secret, that keeps the idp's tokens
	idpSecret   = "a secret: with + and %"
	idpPassword = "verysecure"
)

// idp is somebody else's provider, at which sam may sign in.
type idp struct {
	issuer      string
	acr         string     // that of a second factor, "" where it knows none
	sendsLogout bool       // it sends logout tokens by itself
	signing     op.Storage // of the one that does not, to sign one with
	groups      []string
	// How its access tokens are asked for and read (way B): with one more scope, and as a resource where it knows such; audience is in aud,
	// "" for the client itself.
	scope, resource, audience string
	mark                      upstream.Mark
}

// places are where an idp sends people, and its logout tokens.
type places struct{ callback, signedOut, backchannel string }

// idps starts one of each kind.
var idps = map[string]func(*testing.T, places) *idp{"zitadel": startZitadel, "oidc-provider": startNode}

// zitadelStore is the example's, but for what its clients cannot be told: where to go after a sign-out.
type zitadelStore struct {
	*storage.Storage
	signedOut string
}

func (s *zitadelStore) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return zitadelClient{c, s.signedOut}, nil
}

// GetPrivateClaimsFromScopes says in access tokens what operators have them say: who may impersonate.
func (s *zitadelStore) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return map[string]any{"may": []string{"report", "impersonate"}}, nil
}

type zitadelClient struct {
	op.Client
	signedOut string
}

// AccessTokenType is one that somebody else can read.
func (zitadelClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func (c zitadelClient) PostLogoutRedirectURIs() []string { return []string{c.signedOut} }

// startZitadel is the example server of zitadel's library, as it is.
func startZitadel(t *testing.T, p places) *idp {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users.json")
	must(t, os.WriteFile(users, []byte(`{"sam-there":{"ID":"sam-there","Username":"sam","Password":"`+idpPassword+
		`","FirstName":"Sam","LastName":"There","Email":"sam@acme.test","EmailVerified":true}}`), 0o600))
	people, err := storage.StoreFromFile(users)
	must(t, err)
	s := &zitadelStore{storage.NewStorageWithClients(people, map[string]*storage.Client{
		idpClient: storage.WebClient(idpClient, idpSecret, p.callback), idpApp: storage.WebClient(idpApp, idpSecret, callback),
	}), p.signedOut}
	listener := httptest.NewUnstartedServer(nil)
	issuer := "http://" + listener.Listener.Addr().String()
	listener.Config.Handler = exampleop.SetupServer(issuer, s, slog.New(slog.DiscardHandler), false)
	listener.Start()
	t.Cleanup(listener.Close)
	return &idp{issuer: issuer, signing: s, scope: "profile", mark: upstream.Mark{Claim: "may", Value: "impersonate"}}
}

// startNode is npm's oidc-provider, in a process of its own.
func startNode(t *testing.T, p places) *idp {
	t.Helper()
	needNode(t)
	told, err := json.Marshal(map[string]string{"client": idpClient, "secret": idpSecret, "password": idpPassword, "redirect": p.callback,
		"app": idpApp, "appRedirect": callback, "signedOut": p.signedOut, "backchannel": p.backchannel})
	must(t, err)
	cmd := exec.Command("node", "provider.mjs", string(told))
	cmd.Dir = modules(t)
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close() // it ends with its standard input
		cmd.Wait()
		if t.Failed() {
			t.Log(stderr)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("oidc-provider said nothing: %v\n%s", err, stderr)
	}
	var said struct{ Issuer string }
	must(t, json.Unmarshal(line, &said))
	return &idp{issuer: said.Issuer, acr: "mfa", sendsLogout: true, groups: []string{"support"},
		scope: "impersonate", resource: "urn:understudy:actors", audience: "urn:understudy:actors", mark: upstream.Mark{Scope: "impersonate"}}
}

// visitor is sam's browser: it follows redirects, fills in the forms of the idp, and stops where a redirect leads to one of its ends.
type visitor struct {
	t     *testing.T
	http  *http.Client
	ends  []string // prefixes of URLs
	forms int      // that were filled in
}

func newVisitor(t *testing.T, ends ...string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &visitor{t: t, ends: ends, http: &http.Client{Jar: loopbackJar{jar}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// loopbackJar takes loopback for secure, as browsers do: cookies with Secure count there over http too.
type loopbackJar struct{ *cookiejar.Jar }

func (j loopbackJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.Jar.SetCookies(secure(u), cookies)
}

func (j loopbackJar) Cookies(u *url.URL) []*http.Cookie { return j.Jar.Cookies(secure(u)) }

func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

var (
	formTag  = regexp.MustCompile(`<form[^>]*>`)
	inputTag = regexp.MustCompile(`<(?:input|button)[^>]*>`)
	attr     = func(tag, name string) string {
		m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(tag)
		if m == nil {
			return ""
		}
		return html.UnescapeString(m[1])
	}
)

// visit goes to at, and gives where it ended. fill is what sam writes into forms.
func (v *visitor) visit(at string, fill map[string]string) *url.URL {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, at, nil)
	must(v.t, err)
	return v.follow(req, fill)
}

// send posts a form, and gives where it ended.
func (v *visitor) send(req *http.Request, form url.Values) *url.URL {
	v.t.Helper()
	req.Body = io.NopCloser(strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.follow(req, nil)
}

func (v *visitor) follow(req *http.Request, fill map[string]string) *url.URL {
	v.t.Helper()
	for range 20 {
		resp, err := v.http.Do(req)
		must(v.t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		must(v.t, err)
		if to := onward(v.t, resp); to != nil {
			if slices.ContainsFunc(v.ends, func(end string) bool { return strings.HasPrefix(to.String(), end) }) {
				return to
			}
			req, err = http.NewRequestWithContext(v.t.Context(), http.MethodGet, to.String(), nil)
			must(v.t, err)
			continue
		}
		if resp.StatusCode != http.StatusOK || !formTag.Match(body) {
			v.t.Fatalf("%s: got %s\n%s", req.URL, resp.Status, body)
		}
		v.forms++
		req = v.submit(req.URL, string(body), fill)
	}
	v.t.Fatal("round in circles")
	return nil
}

// onward is where an answer leads by itself: by a redirect, or by Refresh; nil for nowhere.
func onward(t *testing.T, resp *http.Response) *url.URL {
	t.Helper()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		to, err := resp.Location()
		must(t, err)
		return to
	}
	if _, after, ok := strings.Cut(resp.Header.Get("Refresh"), "url="); ok {
		to, err := resp.Request.URL.Parse(after)
		must(t, err)
		return to
	}
	return nil
}

// submit sends the one form of a page, with the inputs and buttons of all of it: some stand beside their form.
func (v *visitor) submit(at *url.URL, page string, fill map[string]string) *http.Request {
	v.t.Helper()
	values := url.Values{}
	for _, tag := range inputTag.FindAllString(page, -1) {
		if name := attr(tag, "name"); name != "" {
			values.Set(name, attr(tag, "value"))
			if s, ok := fill[name]; ok {
				values.Set(name, s)
			}
		}
	}
	action, err := at.Parse(attr(formTag.FindString(page), "action"))
	must(v.t, err)
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, action.String(), strings.NewReader(values.Encode()))
	must(v.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// sam is what sam writes.
var sam = map[string]string{"username": "sam", "password": idpPassword, "code": "123456"}
