package rptest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// Impersonate gives r as a handler gets it behind App.Handler while actor impersonates subject: rp.Subject, rp.Actor, rp.FromContext and
// rp.Note work on its context, and rp.Forbid refuses. Neither the guard nor the banner is in front of it: a test about those wants a Browser.
// Both persons must have a Subject, and not the same; mode must be valid. It panics otherwise, as httptest.NewRequest does.
func Impersonate(r *http.Request, actor, subject rp.Person, mode oauth.Mode) *http.Request {
	return NewIssuer().Impersonate(r, actor, subject, mode)
}

// Impersonate is the function Impersonate, with this issuer, which then tells by Actions what was recorded.
func (i *Issuer) Impersonate(r *http.Request, actor, subject rp.Person, mode oauth.Mode) *http.Request {
	return i.behind(r, func(b *Browser) error { return b.Impersonate(actor, subject, mode) }, AsUser)
}

// SignedIn gives r as a handler gets it behind App.Handler when p signed in and impersonates nobody. It panics if p has no Subject.
func SignedIn(r *http.Request, p rp.Person) *http.Request {
	i := NewIssuer()
	i.SignIn(p)
	return i.behind(r, func(b *Browser) error {
		_, err := b.Get("/.understudy/sign-in")
		return err
	}, AppURL)
}

// behind gives r with the context that it has behind an app at origin, once a browser has gone the way there.
func (i *Issuer) behind(r *http.Request, way func(*Browser) error, origin string) *http.Request {
	ctx, cancel := context.WithCancel(context.Background())
	c := i.Config()
	c.Logger = slog.New(slog.DiscardHandler)
	app, err := rp.New(ctx, c)
	if err != nil {
		panic("rptest: " + err.Error())
	}
	var seen *http.Request
	b := NewBrowser(i, app.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r })))
	if err := way(b); err != nil {
		panic(err.Error())
	}
	for _, method := range []string{r.Method, http.MethodGet} { // what changes something is not let through while somebody only looks
		seen = nil
		asked := httptest.NewRequestWithContext(r.Context(), method, origin+r.URL.EscapedPath(), nil)
		resp := b.send(asked)
		if seen != nil {
			break
		}
		if method == http.MethodGet {
			panic(fmt.Sprintf("rptest: the app answered %d", resp.StatusCode))
		}
	}
	cancel() // what is noted from now on is told at once
	if err := app.Flush(context.Background()); err != nil {
		panic(err.Error())
	}
	if s, ok := rp.FromContext(seen.Context()); ok {
		i.forget(s.ID)
	}
	if _, ok := rp.Subject(seen.Context()); !ok {
		panic("rptest: nobody could sign in")
	}
	return r.WithContext(seen.Context())
}

// forget drops what was recorded on the way to where a test begins.
func (i *Issuer) forget(sid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.actions = slices.DeleteFunc(i.actions, func(a rp.Action) bool { return a.Session == sid })
}
