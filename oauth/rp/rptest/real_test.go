package rptest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/rp/rptest"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// Everybody has the role user at the issuer, and first.
var (
	ann  = rp.Person{Subject: "ann", Name: "Ann Bell", Email: "ann@acme.test", Roles: []string{"user", "admin"}}
	john = rp.Person{Subject: "john", Name: "John Doe", Email: "john@acme.test", Organisation: "acme", Roles: []string{"user"}}
)

// world is an issuer, real or not, as a story needs it.
type world struct {
	handler http.Handler
	secret  oauth.Secret
	// choose says what the person does on the impersonate page, and where a browser is that was led to it.
	choose func(mode oauth.Mode)
	page   func(at *url.URL, mode oauth.Mode) *http.Request // what they send; nil where choose is all
	cookie string                                           // of the issuer, for who is signed in; "" for none
	end    func()
	told   func() []rp.Action
}

// fake is the issuer of this package.
func fake() world {
	i := rptest.NewIssuer()
	i.SignIn(ann)
	return world{
		handler: i, secret: i.Config().ClientSecret, choose: func(mode oauth.Mode) { i.Choose(john, mode) }, end: i.End, told: i.Actions,
	}
}

// actual is the server itself.
func actual(t *testing.T) world {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "issuer.db"), Migrate: true})
	ok(err)
	t.Cleanup(func() { st.Close() })
	key := make([]byte, seal.KeySize)
	rand.Read(key)
	box, err := seal.New(key)
	ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := server.New(ctx, server.Config{PublicURL: rptest.URL, Store: st, Registry: policy.Default(), Box: box, Logger: slog.New(slog.DiscardHandler)})
	ok(err)
	now := time.Now().UTC()
	write := impersonation.Write{Now: now, RequestID: oauth.NewID("req")}
	for _, p := range []rp.Person{ann, john} {
		ok(st.CreateUser(ctx, store.UserWrite{Write: write, User: directory.User{
			ID: p.Subject, Email: p.Email, Name: p.Name, Roles: p.Roles[1:], Organisation: p.Organisation, Enabled: true, Created: now,
		}}))
	}
	w := world{handler: s.Handler(), secret: oauth.NewSecret()}
	ok(st.CreateClient(ctx, store.ClientWrite{Write: write, Client: store.Client{
		Client: policy.Client{ID: rptest.ClientID, Exchange: true, Resources: []string{policy.DefaultResource},
			Scopes: []string{"openid", "profile", "email", "roles", "app:read", "app:write", "impersonate"}},
		Name: "Acme", SecretHash: w.secret.Hash(), RedirectURIs: []string{rptest.AppURL + "/.understudy/callback", rptest.AsUser + "/.understudy/callback"},
		Serves: []string{policy.DefaultResource}, Created: now,
	}}))
	cookie := oauth.NewSecret()
	ok(st.CreateLogin(ctx, store.LoginWrite{Write: write, Cookie: cookie.Hash(), Login: impersonation.Login{
		ID: oauth.NewID("lgn"), User: "ann", AuthTime: now, AMR: []string{"pwd"}, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour),
	}}))
	w.cookie = string(cookie)
	w.choose = func(oauth.Mode) {}
	w.page = func(at *url.URL, mode oauth.Mode) *http.Request {
		r := httptest.NewRequest(http.MethodPost, at.String(), strings.NewReader(url.Values{
			"subject": {"john"}, "mode": {string(mode)}, "minutes": {"30"}, "reason": {"no report tab"}, "action": {"impersonate"},
		}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", rptest.URL)
		return r
	}
	w.end = func() {
		_, err := st.End(ctx, impersonation.EndWrite{Write: write, Scope: impersonation.ScopeInstance, Reason: impersonation.EndOperator, Issuer: rptest.URL})
		ok(err)
	}
	w.told = func() (all []rp.Action) {
		page, _, err := st.Entries(ctx, store.EntryQuery{Kind: audit.KindAction, Limit: 1000})
		ok(err)
		for _, e := range page {
			f := e.Entry.Fields
			a := rp.Action{Session: e.Entry.Session, Writer: f["writer"], Phase: rp.Phase(f["phase"]), Method: f["method"], Route: f["route"], Note: f["note"]}
			fmt.Sscan(f["seq"], &a.Seq)
			fmt.Sscan(f["status"], &a.Status)
			if f["detail_id"] != "" {
				a.Details = map[string]string{"id": f["detail_id"]}
			}
			all = append(all, a)
		}
		return all
	}
	return w
}

// answerOf reads the whole of it.
func answerOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
