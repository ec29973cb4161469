package rp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/rp/rptest"
)

// TestOrdinaryTokenWithin: an ordinary token hides no impersonation that is there already, of an app around the API, of another call or of a job.
func TestOrdinaryTokenWithin(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	refused := func(what string, in context.Context) {
		t.Helper()
		for _, path := range []string{"/me", "/delete"} {
			r := a.request(http.MethodPost, path, a.token())
			a.no(what, a.do(r.WithContext(in)), http.StatusForbidden, "impersonation_blocked")
		}
		ctx, err := a.bearer.Authenticate(in, "Bearer "+a.token(), "", "POST", "/pkg.Service/Call")
		var e *rp.BearerError
		if ctx != nil || !errors.As(err, &e) || e.Status != http.StatusForbidden || e.Reason != "forbidden" {
			t.Errorf("%s: without HTTP %v", what, err)
		}
		if got := a.taken(&a.reached); len(got) > 0 {
			t.Errorf("%s reached the API: %q", what, got)
		}
		if ctx, err = a.bearer.Authenticate(in, "Bearer "+a.acting(), "", "GET", "/me"); err != nil || !rp.Impersonating(ctx) {
			t.Errorf("%s: an impersonation within is refused: %v", what, err)
		}
	}
	ann, john := rp.Person{Subject: "ann"}, rp.Person{Subject: "john"}
	for _, mode := range []oauth.Mode{oauth.ModeRead, oauth.ModeWrite} {
		r := rptest.Impersonate(httptest.NewRequest(http.MethodGet, "/", nil), ann, john, mode)
		refused("an app, "+string(mode), r.Context())
	}
	call, err := a.bearer.Authenticate(t.Context(), "Bearer "+a.acting("scope", fullAccess), "", "POST", "/call")
	a.must(err)
	refused("a call", call)
	s, _ := rp.FromContext(call)
	job, err := a.bearer.NewContext(t.Context(), s, "send")
	a.must(err)
	refused("a job", job)
	signedIn := rptest.SignedIn(httptest.NewRequest(http.MethodGet, "/", nil), ann)
	a.yes("within ann's sign-in", a.do(a.request(http.MethodGet, "/me", a.token()).WithContext(signedIn.Context())), "john", "john")
}

// TestSignInWithin: a sign-in at an app hides no impersonation that an API around it has let in.
func TestSignInWithin(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		a := newAPI(t, nil)
		b := h.ann()
		var acted bool
		app := h.rp.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { acted = rp.Impersonating(r.Context()) }))
		ask := func(handler http.Handler, cookies, token string) int {
			r := b.request(http.MethodPost, h.app+"/x", nil)
			r.Host, r.RequestURI = r.URL.Host, r.URL.RequestURI()
			r.Header.Set("Cookie", cookies)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			acted = false
			handler.ServeHTTP(w, r)
			return w.Code
		}
		cookies, within := cookieHeader(b.cookies(h.app)), a.bearer.Handler(app)
		if status := ask(app, cookies, ""); status != http.StatusOK || acted {
			t.Errorf("ann: %d, impersonating: %v", status, acted)
		}
		if status := ask(within, cookies, a.token()); status != http.StatusOK || acted {
			t.Errorf("ann, with a token: %d, impersonating: %v", status, acted)
		}
		if status := ask(within, "theme=dark", a.acting("scope", fullAccess)); status != http.StatusOK || !acted {
			t.Errorf("nobody signed in, as john: %d, impersonating: %v", status, acted)
		}
		a.recorded("as john", "before POST /x", "after POST /x 200")
		if status := ask(within, cookies, a.acting("scope", fullAccess)); status != http.StatusForbidden || acted {
			t.Errorf("ann, as john: %d, impersonating: %v", status, acted)
		}
		a.recorded("ann, as john", "before POST /x", "after POST /x 403 forbidden")
	})
}
