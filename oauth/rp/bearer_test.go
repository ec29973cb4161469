package rp_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// TestBearer: who a request is for and who is really typing are two values, and the actor is never taken for the subject.
//
// Covers RFC8693-4.1-07.
func TestBearer(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.yes("john's own", a.get("/me", a.token()), "john", "john")
	a.yes("ann as john", a.get("/me", a.acting()), "john", "ann")
	a.yes("a service's own", a.get("/me", a.token("sub", "client:batch", "sid", nil)), "client:batch", "client:batch")
	a.yes("any case of the scheme", a.get("/me", "bEARER "+a.token()), "john", "john")
	if n := a.asked("/jwks"); n != 1 {
		t.Errorf("the keys were asked for %d times, want once", n)
	}
	if n := a.asked("/introspect"); n != 1 {
		t.Errorf("liveness was asked for %d times: want once, and nothing of ordinary tokens", n)
	}
	if r := a.get("/me", a.acting()); r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control under impersonation is %q", r.header.Get("Cache-Control"))
	}
}

// TestBearerContext: all that a token says is in the context, by HTTP and without.
func TestBearerContext(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	token := a.acting("scope", fullAccess, "act", map[string]string{"iss": "https://corp.test", "sub": "f-17"},
		"sub_id", map[string]string{"format": "iss_sub", "iss": "https://corp.test", "sub": "f-42"})
	var s *rp.Session
	var access *rp.Access
	a.serve = a.bearer.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, _ = rp.FromContext(r.Context())
		access, _ = rp.AccessFromContext(r.Context())
	}))
	a.get("/me", token)
	if s == nil || s.ID != "imp_1" || s.Mode != oauth.ModeWrite || s.Actor.Issuer != "https://corp.test" || s.Actor.Subject != "f-17" || s.Subject.Subject != "john" ||
		s.Subject.Elsewhere == nil || s.Subject.Elsewhere.Subject != "f-42" || string(s.Token) != token || s.Expires.Sub(s.Started) != 10*time.Minute {
		t.Errorf("the session is %+v", s)
	}
	if access == nil || access.ClientID != "app" || access.Audit != "aud_1" || access.ID != "jti_2" || len(access.Scope) != 2 || !access.Expires.Equal(s.Expires) {
		t.Errorf("the token says %+v", access)
	}
	ctx, err := a.bearer.Authenticate(t.Context(), "Bearer "+a.acting(), "", "GET", "/pkg.Service/Get")
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := rp.Subject(ctx)
	actor, _ := rp.Actor(ctx)
	if subject.Subject != "john" || actor.Subject != "ann" || !rp.Impersonating(ctx) {
		t.Errorf("without HTTP: subject %v, actor %v", subject, actor)
	}
	if said, ok := rp.AccessFromContext(ctx); !ok || !slices.Equal(said.Scope, []string{"orders"}) {
		t.Errorf("without HTTP the token says %+v", said)
	}
	if _, ok := rp.AccessFromContext(t.Context()); ok || rp.Impersonating(t.Context()) {
		t.Error("a context of nobody has a token")
	}
}

// TestAuthenticate: without HTTP the same holds, and the error says what the transport needs.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.set(func() { a.over["imp_2"] = true })
	for _, c := range []struct {
		what, authorization, method, target string
		status                              int
		code                                string
	}{
		{"no token", "", "POST", "/pkg.Service/Call", 401, ""},
		{"another scheme", "Basic x", "POST", "/pkg.Service/Call", 401, ""},
		{"a malformed token", "Bearer x", "POST", "/pkg.Service/Call", 401, "invalid_token"},
		{"look only", "Bearer " + a.acting(), "POST", "/pkg.Service/Call", 403, "impersonation_blocked"},
		{"look only, allowed", "Bearer " + a.acting(), "POST", "/search", 0, ""},
		{"blocked", "Bearer " + a.acting("scope", fullAccess), "POST", "/blocked/x", 403, "impersonation_blocked"},
		{"full access", "Bearer " + a.acting("scope", fullAccess), "POST", "/pkg.Service/Call", 0, ""},
		{"ended", "Bearer " + a.acting("scope", fullAccess, "sid", "imp_2"), "POST", "/pkg.Service/Call", 401, "invalid_token"},
		{"no method", "Bearer " + a.token(), "", "/pkg.Service/Call", 400, "invalid_request"},
		{"no path", "Bearer " + a.token(), "POST", "", 400, "invalid_request"},
		{"a whole URL", "Bearer " + a.token(), "POST", "https://evil.test/pkg.Service/Call", 400, "invalid_request"},
		{"no URL", "Bearer " + a.token(), "POST", "/%", 400, "invalid_request"},
	} {
		ctx, err := a.bearer.Authenticate(t.Context(), c.authorization, "", c.method, c.target)
		var refusal *rp.BearerError
		switch {
		case c.status == 0:
			if err != nil || !rp.Impersonating(ctx) {
				t.Errorf("%s: %v", c.what, err)
			}
		case !errors.As(err, &refusal) || refusal.Status != c.status || refusal.Code != c.code || ctx != nil:
			t.Errorf("%s: got %v, want %d %q", c.what, err, c.status, c.code)
		case (c.status == 401) != (a.bearer.Challenge(refusal) != ""):
			t.Errorf("%s: the challenge is %q", c.what, a.bearer.Challenge(refusal))
		}
	}
}

// TestTokenInOnePlace: the Authorization header is the one place of a token, and there is one token.
//
// Covers RFC6750-2-01, RFC6750-3-01.
func TestTokenInOnePlace(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	john := a.token()
	a.yes("the header", a.get("/me", john), "john", "john")
	form := func(kind, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/me", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", "Bearer "+a.acting("scope", fullAccess))
		return r
	}
	const multipart = "--b\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\n"
	for what, r := range map[string]*http.Request{
		"two headers":           a.request("GET", "/me", john, "Authorization", "Bearer "+john),
		"two schemes":           a.request("GET", "/me", john, "Authorization", "DPoP "+john),
		"header and query":      a.request("GET", "/me?access_token="+john, a.acting()),
		"query, escaped":        a.request("GET", "/me?a=b&%61ccess_token="+john, john),
		"header and form":       form("application/x-www-form-urlencoded", "a=b&access_token="+john),
		"header and multipart":  form("multipart/form-data; boundary=b", multipart+john+"\r\n--b--"),
		"header and empty form": form("application/x-www-form-urlencoded", "access_token"),
	} {
		a.no(what, a.do(r), http.StatusBadRequest, "invalid_request")
	}
	for what, authorization := range map[string]string{"none": "", "of another scheme": "Basic YTpi", "a cookie's": "Token " + john} {
		a.no(what, a.get("/me", authorization), http.StatusUnauthorized, "")
	}
	a.no("the query alone", a.get("/me?access_token="+john, ""), http.StatusUnauthorized, "")
	for what, authorization := range map[string]string{"": "", "invalid_token": "Bearer x"} { // of a stranger's body nothing is read
		r := form("application/x-www-form-urlencoded", "")
		r.Header.Set("Authorization", authorization)
		body := strings.NewReader("access_token=x")
		r.Body = io.NopCloser(body)
		if authorization == "" {
			r.Header.Del("Authorization")
		}
		a.no("a stranger's form", a.do(r), http.StatusUnauthorized, what)
		if body.Len() != int(body.Size()) {
			t.Error("a stranger's form was read")
		}
	}
	for what, authorization := range map[string]string{"no value": "Bearer ", "a space more": "Bearer  " + john, "a comma": "Bearer " + john + ", Bearer " + john, "quoted": `Bearer "` + john + `"`} {
		a.no(what, a.get("/me", authorization), http.StatusUnauthorized, "invalid_token")
	}
	if got := a.taken(&a.actions); len(got) > 0 {
		t.Errorf("on record: %q", got)
	}
}

// TestRequireScope: what the token has not is refused in a way that starts no loop.
//
// Covers RFC6750-3.1-02.
func TestRequireScope(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.yes("both", a.get("/orders", a.token()), "john", "john")
	for what, token := range map[string]string{"one of two": a.acting(), "none": a.token("scope", nil), "one that contains it": a.token("scope", "orders:reader xorders orders")} {
		r := a.get("/orders", token)
		a.no(what, r, http.StatusForbidden, "insufficient_scope")
		if got := r.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) || !strings.Contains(got, `scope="orders orders:read"`) {
			t.Errorf("%s: the challenge is %q", what, got)
		}
	}
	w := httptest.NewRecorder()
	rp.RequireScope(http.NotFoundHandler(), "orders").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/orders", nil))
	if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("without Bearer in front: %d", w.Code)
	}
}

// TestRequireAuthentication: a sign-in that is too old or too weak is asked for anew, and an impersonation is refused for good: the actor's sign-in
// opens nothing, and no sign-in of theirs would.
//
// Covers RFC9470-3-01, RFC9470-3-02.
func TestRequireAuthentication(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	at := func(d time.Duration) int64 { return a.clock.Now().Add(-d).Unix() }
	const mfa = "urn:acr:mfa"
	a.yes("fresh and strong", a.get("/payout", a.token("auth_time", at(time.Minute), "acr", mfa)), "john", "john")
	a.yes("fresh", a.get("/recent", a.token("auth_time", at(time.Minute))), "john", "john")
	for what, token := range map[string]string{
		"too old": a.token("auth_time", at(6*time.Minute), "acr", mfa), "too weak": a.token("auth_time", at(time.Minute), "acr", "urn:acr:password"),
		"unknown": a.token("acr", mfa), "a service's": a.token("sub", "client:batch", "sid", nil),
	} {
		r := a.get("/payout", token)
		a.no(what, r, http.StatusUnauthorized, "insufficient_user_authentication")
		if got := r.header.Get("WWW-Authenticate"); !strings.Contains(got, `max_age="300"`) || !strings.Contains(got, `acr_values="`+mfa+`"`) {
			t.Errorf("%s: the challenge is %q", what, got)
		}
	}
	for _, path := range []string{"/payout", "/recent"} {
		r := a.get(path, a.acting("scope", fullAccess))
		a.no(path+" as john", r, http.StatusForbidden, "impersonation_blocked")
		if r.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: the challenge is %q: an admin would sign in again and again", path, r.header.Get("WWW-Authenticate"))
		}
	}
	for _, claim := range []string{"acr", "auth_time", "amr"} { // no such token is ever made; one that were would not be taken
		value := map[string]any{"acr": mfa, "auth_time": at(0), "amr": []string{"mfa"}}[claim]
		a.no("act beside "+claim, a.get("/me", a.acting(claim, value)), http.StatusUnauthorized, "invalid_token")
	}
}

// TestBearerConfig: a mistake is named, by the type and the field.
func TestBearerConfig(t *testing.T) {
	t.Parallel()
	for want, bend := range map[string]func(*rp.BearerConfig){
		"Issuer must be set":       func(c *rp.BearerConfig) { c.Issuer = "" },
		"Audience must be set":     func(c *rp.BearerConfig) { c.Audience = "" },
		"ClientID must be set":     func(c *rp.BearerConfig) { c.ClientID = "" },
		"ClientSecret must be set": func(c *rp.BearerConfig) { c.ClientSecret = "" },
		"Issuer \"":                func(c *rp.BearerConfig) { c.Issuer = "http://id.acme.test" },
		"Audience must be a URI":   func(c *rp.BearerConfig) { c.Audience = `https://a"b` },
		"URL \"":                   func(c *rp.BearerConfig) { c.URL = "http://api.acme.test" },
		"must be https://host":     func(c *rp.BearerConfig) { c.URL = "https://api.acme.test/" },
		"in lower case":            func(c *rp.BearerConfig) { c.Issuer = "https://ID.acme.test" },
		"without a path":           func(c *rp.BearerConfig) { c.Issuer = "https://id.acme.test/" },
		"Spool: ":                  func(c *rp.BearerConfig) { c.Spool = "/dev/null/spool" },
		"SpoolBytes 1 ":            func(c *rp.BearerConfig) { c.SpoolBytes = 1 },
		"without URL":              func(c *rp.BearerConfig) { c.URL, c.DPoPNonce = "", true },
	} {
		c := rp.BearerConfig{Issuer: "https://id.acme.test", Audience: audience, ClientID: "api", ClientSecret: "secret", URL: apiURL}
		if _, err := rp.NewBearer(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		bend(&c)
		if _, err := rp.NewBearer(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "rp: BearerConfig.") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestBearerErrorText: a line of a log has the status, the code and the reason.
func TestBearerErrorText(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.set(func() { a.over["imp_2"] = true })
	for want, authorization := range map[string]string{
		"rp: 401: An access token is required in the Authorization header.":                          "",
		"rp: 401 invalid_token: The access token is malformed, or not for here.":                     "Bearer x",
		"rp: 403 impersonation_blocked read_only: The impersonation is look only. Nothing was done.": "Bearer " + a.acting(),
		"rp: 401 invalid_token ended: The impersonation has ended. Nothing was done.":                "Bearer " + a.acting("scope", fullAccess, "sid", "imp_2"),
	} {
		if _, err := a.bearer.Authenticate(t.Context(), authorization, "", "POST", "/pkg.Service/Call"); err == nil || err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}
