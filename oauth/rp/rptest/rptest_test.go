package rptest_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/rp/rptest"
)

type key struct{}

// TestImpersonate: a request is as it was, beside whose it is now; and what is noted or refused in it is on record, and nothing else.
func TestImpersonate(t *testing.T) {
	t.Parallel()
	for _, mode := range []oauth.Mode{oauth.ModeRead, oauth.ModeWrite} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			i := rptest.NewIssuer()
			r := httptest.NewRequest(method, "/a%2Fb?x=1", strings.NewReader("body"))
			r = i.Impersonate(r.WithContext(context.WithValue(r.Context(), key{}, "kept")), ann, john, mode)
			s, ok := rp.FromContext(r.Context())
			if !ok || s.Mode != mode || s.Actor.Subject != "ann" || s.Subject.Organisation != "acme" || r.Context().Value(key{}) != "kept" || r.Method != method || r.URL.RawQuery != "x=1" {
				t.Fatalf("%s %s: %+v", mode, method, s)
			}
			if n := len(i.Actions()); n != 0 {
				t.Errorf("%s %s: %d actions on record before anything was done", mode, method, n)
			}
			if err := rp.Note(r.Context(), "shown", "id", 7); err != nil {
				t.Error(err)
			}
			w := httptest.NewRecorder()
			rp.Forbid(http.NotFoundHandler()).ServeHTTP(w, r)
			told := i.Actions()
			if w.Code != http.StatusForbidden || len(told) != 2 || told[0].Note != "shown" || told[0].Details["id"] != "7" || told[1].Note != "forbidden" || told[0].Route != "/a%2Fb" {
				t.Errorf("%s %s: %d, %+v", mode, method, w.Code, told)
			}
		}
	}
}

// TestSignedIn: nobody is impersonated, so nothing is refused or recorded.
func TestSignedIn(t *testing.T) {
	t.Parallel()
	r := rptest.SignedIn(httptest.NewRequest(http.MethodPost, "/", nil), john)
	p, _ := rp.Subject(r.Context())
	w := httptest.NewRecorder()
	rp.Forbid(http.NotFoundHandler()).ServeHTTP(w, r)
	if p.Subject != "john" || rp.Impersonating(r.Context()) || w.Code != http.StatusNotFound {
		t.Errorf("%+v, %d", p, w.Code)
	}
}

// TestMisuse: a test that asks for what cannot be is told so, loudly.
func TestMisuse(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, f := range map[string]func(){
		"nobody acts":       func() { rptest.Impersonate(r, rp.Person{}, john, oauth.ModeRead) },
		"nobody to act as":  func() { rptest.Impersonate(r, ann, rp.Person{}, oauth.ModeRead) },
		"as themselves":     func() { rptest.Impersonate(r, ann, ann, oauth.ModeRead) },
		"no mode":           func() { rptest.Impersonate(r, ann, john, "") },
		"nobody signs in":   func() { rptest.SignedIn(r, rp.Person{}) },
		"nobody's token":    func() { rptest.NewIssuer().Token(rp.Person{}) },
		"a token as self":   func() { rptest.NewIssuer().ImpersonationToken(ann, ann, oauth.ModeRead) },
		"nobody has it":     func() { rptest.NewIssuer().ImpersonationToken(rp.Person{}, john, oauth.ModeRead) },
		"a token of no one": func() { rptest.NewIssuer().ImpersonationToken(ann, rp.Person{}, oauth.ModeRead) },
		"a token, no mode":  func() { rptest.NewIssuer().ImpersonationToken(ann, john, "") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestBrowserErrors: a start that fails says where: at the app's veto, by Cancel, with the issuer down.
func TestBrowserErrors(t *testing.T) {
	t.Parallel()
	i := rptest.NewIssuer()
	c := i.Config()
	c.Logger = slog.New(slog.DiscardHandler)
	c.CanImpersonate = func(_ context.Context, _, subject rp.Person) error {
		if subject.Subject == "john" {
			return errors.New("not him")
		}
		return nil
	}
	app, err := rp.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := rptest.NewBrowser(i, app.Handler(http.NotFoundHandler()))
	if err := b.Impersonate(ann, john, oauth.ModeRead); err == nil {
		t.Error("started against the app's veto")
	}
	i.SetAway(true)
	eve := rp.Person{Subject: "eve"}
	if err := b.Impersonate(ann, eve, oauth.ModeRead); err == nil {
		t.Error("started with an issuer that is down")
	}
	i.SetAway(false)
	if err := b.Impersonate(ann, eve, oauth.ModeRead); err != nil {
		t.Error(err)
	}
	i.Choose(rp.Person{}, "")
	resp, err := b.Get("/.understudy/start")
	if err != nil || resp.Request.URL.Path != "/" || resp.Request.URL.Host != "app.test" {
		t.Errorf("after Cancel: %v %v", resp.Request.URL, err)
	}
}

// TestTokens: an API sees in a token who it is for, who has it, what for and until when, as from the real issuer; each is one of its own, and
// one of another issuer is none.
func TestTokens(t *testing.T) {
	t.Parallel()
	i := rptest.NewIssuer()
	now := time.Now().Truncate(time.Second)
	i.Now = func() time.Time { return now }
	c := i.BearerConfig()
	c.Logger = slog.New(slog.DiscardHandler)
	api, err := rp.NewBearer(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	call := func(token string) (context.Context, error) {
		return api.Authenticate(t.Context(), "Bearer "+token, "", "POST", "/orders")
	}
	scope := []string{"orders:read", "orders:write"}
	own, err := call(i.Token(john, scope...))
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := rp.Subject(own)
	says, _ := rp.AccessFromContext(own)
	if subject.Subject != "john" || rp.Impersonating(own) || says.ClientID != rptest.ClientID || !slices.Equal(says.Scope, scope) || !says.AuthTime.Equal(now) ||
		!slices.Equal(says.AMR, []string{"pwd"}) || says.Audit != "" || !says.Expires.Equal(now.Add(10*time.Minute)) {
		t.Errorf("john's own: %+v, %+v", subject, says)
	}
	if _, err := call(i.Token(john)); err != nil {
		t.Errorf("without scope: %v", err)
	}
	full := i.ImpersonationToken(ann, john, oauth.ModeWrite, scope...)
	acting, err := call(full)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := rp.FromContext(acting)
	says, _ = rp.AccessFromContext(acting)
	if s.Actor.Subject != "ann" || s.Subject.Subject != "john" || s.Mode != oauth.ModeWrite || !slices.Contains(says.Scope, "orders:write") || says.Audit == "" ||
		!says.AuthTime.IsZero() || !says.Expires.Equal(now.Add(30*time.Minute)) {
		t.Errorf("john in the hands of ann: %+v, %+v", s, says)
	}
	refused := func(what, token, want string) {
		t.Helper()
		if _, err := call(token); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	look := i.ImpersonationToken(ann, john, oauth.ModeRead, scope...)
	refused("look only", look, "read_only")
	refused("another issuer's", rptest.NewIssuer().Token(john), "invalid_token")
	i.SetAway(true)
	refused("away", full, "503")
	i.SetAway(false)
	i.End()
	refused("ended", full, "ended")
	if _, err := call(i.ImpersonationToken(ann, john, oauth.ModeWrite)); err != nil {
		t.Errorf("after that: %v", err)
	}
}
