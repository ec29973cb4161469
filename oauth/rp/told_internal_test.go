package rp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	logoutPath = "/.understudy/backchannel-logout"
	pushPath   = "/.understudy/events"
	formType   = "application/x-www-form-urlencoded"
	setType    = "application/secevent+jwt"
)

// toldApp is an app that is told, in which the session imp_a is believed to go on.
type toldApp struct {
	*transmitter
	app     *App
	handler http.Handler
}

func (x *transmitter) toldApp() *toldApp {
	x.t.Helper()
	app, err := New(x.t.Context(), Config{
		Issuer: x.url, ClientID: "app", ClientSecret: "s", BaseURL: "https://app.test", NoStream: true, Now: x.now, Logger: slog.New(slog.NewTextHandler(&x.logs, nil)),
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.set(func() { x.alive["a"] = true })
	x.wantAlive(app.hears, "a", true)
	return &toldApp{x, app, app.Handler(http.NotFoundHandler())}
}

// post sends body to one of the app's own routes, as nobody's browser.
func (a *toldApp) post(path, media, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://app.test"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w
}

func (a *toldApp) logout(token string) *httptest.ResponseRecorder {
	return a.post(logoutPath, formType, url.Values{"logout_token": {token}}.Encode())
}

// wantRefused demands the error of that name, and that nothing ended.
func (a *toldApp) wantRefused(t *testing.T, w *httptest.ResponseRecorder, member, code string) {
	t.Helper()
	var got map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusBadRequest || got[member] != code || len(got) != 2 || len(w.Body.String()) > 500 {
		t.Errorf("got %d %s; want 400 with %s %q and a description", w.Code, w.Body, member, code)
	}
	if kind, control := w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"); kind != "application/json" || control != "no-store" {
		t.Errorf("got a %s, %s; want JSON, no-store", kind, control)
	}
	a.app.hears.mu.RLock()
	ended := len(a.app.hears.told)
	a.app.hears.mu.RUnlock()
	if ended > 0 {
		t.Error("it ended something")
	}
	a.wantAlive(a.app.hears, "a", true)
}

// wantOver demands that a session is refused, and that nobody has to be asked.
func (a *toldApp) wantOver(token string) {
	a.t.Helper()
	before := a.asked("POST /introspect")
	a.wantAlive(a.app.hears, token, false)
	if n := a.asked("POST /introspect") - before; n > 0 {
		a.t.Errorf("the issuer was asked %d times about what it had told", n)
	}
}

func (x *transmitter) logoutHeader() string {
	return `{"alg":"ES256","kid":"` + x.keyID + `","typ":"logout+jwt"}`
}

// logoutClaims are those of a good logout token for imp_a, but for one.
func (x *transmitter) logoutClaims(name string, value any) map[string]any {
	now := x.now().Unix()
	c := map[string]any{"iss": x.url, "aud": "app", "iat": now, "exp": now + 120, "jti": "out_1", "sid": "imp_a", "events": map[string]any{eventLogout: map[string]any{}}}
	switch {
	case name == "":
	case value == nil:
		delete(c, name)
	default:
		c[name] = value
	}
	return c
}

func (x *transmitter) logoutToken(name string, value any) string {
	return x.sign(x.logoutHeader(), x.logoutClaims(name, value))
}

// TestLogoutTokenTaken: a logout token ends its session at once, also one that the issuer says again since our answer was lost, and one that
// has what others may add. What is no impersonation, or one that nobody here has seen, is no fault.
//
// Covers BCL-2.6-01.
func TestLogoutTokenTaken(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	a := x.toldApp()
	token := x.logoutToken("", "")
	for what, body := range map[string]string{
		"first":         url.Values{"logout_token": {token}}.Encode(),
		"again":         url.Values{"logout_token": {token}}.Encode(),
		"other fields":  url.Values{"logout_token": {token}, "client": {"app"}}.Encode(),
		"with a sub":    url.Values{"logout_token": {x.logoutToken("sub", "john")}}.Encode(),
		"audience list": url.Values{"logout_token": {x.logoutToken("aud", []string{"app"})}}.Encode(),
		"unknown":       url.Values{"logout_token": {x.logoutToken("sid", "imp_unknown")}}.Encode(),
		"a sign-in":     url.Values{"logout_token": {x.logoutToken("sid", "lgn_1")}}.Encode(),
	} {
		if w := a.post(logoutPath, formType, body); w.Code != http.StatusOK || w.Body.Len() > 0 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %q, Cache-Control %q; want 200, empty, no-store", what, w.Code, w.Body, w.Header().Get("Cache-Control"))
		}
	}
	a.wantOver("a")
	if n := len(a.app.hears.told); n != 2 {
		t.Errorf("%d ends are remembered; want those of the two impersonations", n)
	}
	x.set(func() { x.alive["b"] = true })
	x.wantAlive(a.app.hears, "b", true)
	if n := strings.Count(x.logs.String(), "session=imp_a"); n != 1 {
		t.Errorf("%d lines of log about one end; want one\n%s", n, x.logs.String())
	}
}

// TestLogoutTokensRefused: whatever is not a logout token of this issuer for this client ends nothing: no signature, no end.
//
// Covers BCL-2.6-01.
func TestLogoutTokensRefused(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	a := x.toldApp()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(x.logoutClaims("", ""))
	payload := string(raw)
	signed := x.logoutToken("", "")
	header := func(h string) string { return signES256(t, x.key, h, payload) }
	events := func(v any) string { return x.logoutToken("events", v) }
	now := x.now().Unix()
	for name, token := range map[string]string{
		"nothing":           "",
		"no JWT":            "imp_a",
		"no signature":      signed[:strings.LastIndex(signed, ".")+1],
		"alg none":          strings.TrimRight(header(`{"alg":"none","typ":"logout+jwt"}`), "-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
		"alg none, signed":  header(`{"alg":"none","kid":"k1","typ":"logout+jwt"}`),
		"alg HS256":         header(`{"alg":"HS256","kid":"k1","typ":"logout+jwt"}`),
		"alg ES384":         header(`{"alg":"ES384","kid":"k1","typ":"logout+jwt"}`),
		"another key":       signES256(t, other, x.logoutHeader(), payload),
		"an access token":   header(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`),
		"an ID token":       header(`{"alg":"ES256","kid":"k1","typ":"JWT"}`),
		"a SET":             x.revoked("j1", "imp_a"),
		"no typ":            header(`{"alg":"ES256","kid":"k1"}`),
		"a claim twice":     signES256(t, x.key, x.logoutHeader(), `{"nonce":"x",`+payload[1:]+strings.Repeat(" ", 2)),
		"sid twice":         signES256(t, x.key, x.logoutHeader(), `{"SID":"imp_b",`+payload[1:]),
		"another issuer":    x.logoutToken("iss", "https://other.test"),
		"issuer with slash": x.logoutToken("iss", x.url+"/"),
		"no issuer":         x.logoutToken("iss", nil),
		"another audience":  x.logoutToken("aud", "other"),
		"two audiences":     x.logoutToken("aud", []string{"app", "other"}),
		"no audience":       x.logoutToken("aud", nil),
		"no iat":            x.logoutToken("iat", nil),
		"iat ahead":         x.logoutToken("iat", now+60),
		"iat a string":      x.logoutToken("iat", fmt.Sprint(now)),
		"no exp":            x.logoutToken("exp", nil),
		"exp over":          x.logoutToken("exp", now),
		"no jti":            x.logoutToken("jti", nil),
		"no events":         events(nil),
		"no such event":     events(map[string]any{"urn:other": map[string]any{}}),
		"events a list":     events([]string{eventLogout}),
		"event a string":    events(map[string]any{eventLogout: "yes"}),
		"event null":        events(map[string]any{eventLogout: nil}),
		"a nonce":           x.logoutToken("nonce", "12345678"),
		"an empty nonce":    x.logoutToken("nonce", ""),
		"no sid":            x.logoutToken("sid", nil),
		"a sub alone":       x.sign(x.logoutHeader(), having(x.logoutClaims("sid", nil), "sub", "john")),
		"sid a list":        x.logoutToken("sid", []string{"imp_a"}),
		"a long one":        x.logoutToken("pad", strings.Repeat("x", 8<<10)),
	} {
		t.Run(name, func(t *testing.T) { a.wantRefused(t, a.logout(token), "error", "invalid_request") })
	}
	form := url.Values{"logout_token": {signed}}.Encode()
	for name, w := range map[string]*httptest.ResponseRecorder{
		"twice":       a.post(logoutPath, formType, form+"&"+form),
		"broken form": a.post(logoutPath, formType, form+"&%zz"),
		"JSON":        a.post(logoutPath, "application/json", `{"logout_token":"`+signed+`"}`),
		"text":        a.post(logoutPath, "text/plain", form),
		"no type":     a.post(logoutPath, "", form),
		"in query":    a.post(logoutPath+"?"+form, formType, ""),
		"bare":        a.post(logoutPath, formType, signed),
		"endless":     a.post(logoutPath, formType, form+"&pad="+strings.Repeat("x", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) { a.wantRefused(t, w, "error", "invalid_request") })
	}
	r := httptest.NewRequest(http.MethodGet, "https://app.test"+logoutPath+"?"+form, nil)
	w := httptest.NewRecorder()
	if a.handler.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
		t.Errorf("GET: got %d; want 405 or what the app has there", w.Code)
	}
	x.wantAlive(a.app.hears, "a", true)
	if w := a.logout(signed); w.Code != http.StatusOK {
		t.Fatalf("the good one: got %d; the others were refused for nothing", w.Code)
	}
	a.wantOver("a")
}

// having is c with one more claim.
func having(c map[string]any, name string, value any) map[string]any {
	c[name] = value
	return c
}

// TestPushedTwice: a SET that was taken is acknowledged by 202 and no body, and so is the same one once more; it ends its session once. One that
// ends nothing is acknowledged too.
//
// Covers RFC8935-2.2-01.
func TestPushedTwice(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	a := x.toldApp()
	set := x.revoked("j1", "imp_a")
	verification := x.claims("j2", "imp_a")
	verification["events"] = map[string]any{uriVerified: map[string]any{}}
	verification["sub_id"] = map[string]any{"format": "opaque", "id": "str_1"}
	check := func(what, set string) {
		t.Helper()
		if w := a.post(pushPath, setType, set); w.Code != http.StatusAccepted || w.Body.Len() > 0 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %q, Cache-Control %q; want 202, empty, no-store", what, w.Code, w.Body, w.Header().Get("Cache-Control"))
		}
	}
	check("a verification", x.sign(x.header(), verification))
	x.wantAlive(a.app.hears, "a", true)
	check("first", set)
	a.wantOver("a")
	check("again", set)
	a.wantOver("a")
	if n := strings.Count(x.logs.String(), "session=imp_a"); n != 1 {
		t.Errorf("%d lines of log about one end; want one\n%s", n, x.logs.String())
	}
	x.set(func() { x.off += longest + time.Minute })
	check("when it has been forgotten", set)
}

// TestPushesRefused: what is not a SET of this issuer for this client ends nothing, and the answer says what is wrong with it. Who sends it is known by the
// signature alone: there is nothing else by which it could be authenticated, or refused.
//
// Covers RFC8935-2.3-01.
func TestPushesRefused(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	a := x.toldApp()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(x.claims("j1", "imp_a"))
	good := x.revoked("j1", "imp_a")
	claim := func(name string, value any) string {
		return x.sign(x.header(), having(x.claims("j1", "imp_a"), name, value))
	}
	for name, c := range map[string]struct{ code, media, body string }{
		"no JWT":           {"invalid_request", setType, "imp_a"},
		"nothing":          {"invalid_request", setType, ""},
		"no signature":     {"invalid_key", setType, good[:strings.LastIndex(good, ".")+1] + strings.Repeat("A", 86)},
		"another key":      {"invalid_key", setType, signES256(t, other, x.header(), string(raw))},
		"unsigned":         {"invalid_key", setType, x.sign(`{"alg":"none","kid":"k1","typ":"secevent+jwt"}`, x.claims("j1", "imp_a"))},
		"a logout token":   {"invalid_request", setType, x.logoutToken("", "")},
		"another issuer":   {"invalid_issuer", setType, claim("iss", "https://other.test")},
		"another audience": {"invalid_audience", setType, claim("aud", "other")},
		"no jti":           {"invalid_request", setType, claim("jti", "")},
		"an exp":           {"invalid_request", setType, claim("exp", time.Now().Unix()+60)},
		"no session":       {"invalid_request", setType, claim("sub_id", map[string]string{"format": "iss_sub", "iss": x.url, "sub": "john"})},
		"another type":     {"invalid_request", "application/jwt", good},
		"a form":           {"invalid_request", formType, "logout_token=" + good},
		"no type":          {"invalid_request", "", good},
		"endless":          {"invalid_request", setType, good + strings.Repeat("x", 1<<20)},
		"two":              {"invalid_request", setType, good + good},
	} {
		t.Run(name, func(t *testing.T) { a.wantRefused(t, a.post(pushPath, c.media, c.body), "err", c.code) })
	}
	if w := a.post(pushPath, setType, good); w.Code != http.StatusAccepted {
		t.Fatalf("the good one: got %d; the others were refused for nothing", w.Code)
	}
	a.wantOver("a")
}

// TestToldWithoutKeys: where nobody can tell whether the issuer signed it, the issuer has to say it again, and nothing ends.
func TestToldWithoutKeys(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	a := x.toldApp()
	x.set(func() {
		x.bend = func(w http.ResponseWriter, _ *http.Request, what string) bool {
			if what == "GET /jwks" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return what == "GET /jwks"
		}
	})
	for what, w := range map[string]*httptest.ResponseRecorder{"logout": a.logout(x.logoutToken("", "")), "push": a.post(pushPath, setType, x.revoked("j1", "imp_a"))} {
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: got %d; want 503 and Retry-After", what, w.Code)
		}
	}
	x.wantAlive(a.app.hears, "a", true)
	x.set(func() { x.bend, x.off = nil, keysRetry })
	if w := a.logout(x.logoutToken("", "")); w.Code != http.StatusOK {
		t.Errorf("with its keys again: got %d", w.Code)
	}
	a.wantOver("a")
}

// TestToldByNewKey: a kid that the issuer did not publish when it was last asked may be that of a new key. Until the issuer may be asked
// again it has to say it again; a refusal, which would be its last word (RFC 8935 §2.3), is for what it did not publish afterwards either.
func TestToldByNewKey(t *testing.T) {
	t.Parallel()
	for way, c := range map[string]struct {
		path, member, code string
		status             int
		body               func(x *transmitter, header string, key *ecdsa.PrivateKey) (media, body string)
	}{
		"logout": {logoutPath, "error", "invalid_request", http.StatusOK, func(x *transmitter, kid string, key *ecdsa.PrivateKey) (string, string) {
			raw, _ := json.Marshal(x.logoutClaims("", ""))
			return formType, url.Values{"logout_token": {signES256(x.t, key, `{"alg":"ES256",`+kid+`"typ":"logout+jwt"}`, string(raw))}}.Encode()
		}},
		"push": {pushPath, "err", "invalid_key", http.StatusAccepted, func(x *transmitter, kid string, key *ecdsa.PrivateKey) (string, string) {
			raw, _ := json.Marshal(x.claims("j1", "imp_a"))
			return setType, signES256(x.t, key, `{"alg":"ES256",`+kid+`"typ":"secevent+jwt"}`, string(raw))
		}},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			x.set(func() { x.stands = time.Now() })
			a := x.toldApp()
			next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			post := func(kid string) *httptest.ResponseRecorder {
				media, body := c.body(x, kid, next)
				return a.post(c.path, media, body)
			}
			refused := func(kid string) {
				t.Helper()
				a.wantRefused(t, post(kid), c.member, c.code)
			}
			again := func(what, kid string) {
				t.Helper()
				if w := post(kid); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
					t.Errorf("%s: got %d %s; want 503 and Retry-After", what, w.Code, w.Body)
				}
				a.wantAlive(a.app.hears, "a", true)
			}
			advance := func(d time.Duration) { x.set(func() { x.off += d }) }
			const kid, none = `"kid":"k2",`, ""
			refused(kid) // the keys are read now
			advance(time.Second)
			again("a second later", kid)
			again("without a kid", none)
			if n := x.asked("GET /jwks"); n != 1 {
				t.Errorf("the keys were asked for %d times; want once", n)
			}
			advance(keysAgain - time.Second)
			refused(none)
			x.set(func() { x.key, x.keyID = next, "k2" })
			advance(time.Second)
			again("published since", kid)
			advance(keysAgain - time.Second)
			if w := post(kid); w.Code != c.status {
				t.Errorf("when they were read: got %d %s", w.Code, w.Body)
			}
			a.wantOver("a")
		})
	}
}

// TestToldTooMuch: what there is no room for is not acknowledged.
func TestToldTooMuch(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	a := x.toldApp()
	full := make(map[string]time.Time, maxEnded)
	for i := range maxEnded {
		full[fmt.Sprint("imp_", i)] = x.now().Add(time.Hour)
	}
	a.app.hears.told = full
	for what, w := range map[string]*httptest.ResponseRecorder{"logout": a.logout(x.logoutToken("", "")), "push": a.post(pushPath, setType, x.revoked("j1", "imp_a"))} {
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: got %d; want 503 and Retry-After", what, w.Code)
		}
	}
}

// TestToldNobody: an app that finds out by itself what is over is told nothing.
func TestToldNobody(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	app, err := New(t.Context(), Config{Issuer: x.url, ClientID: "app", ClientSecret: "s", BaseURL: "https://app.test", Liveness: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	a := &toldApp{x, app, app.Handler(http.NotFoundHandler())}
	for what, w := range map[string]*httptest.ResponseRecorder{"logout": a.logout(x.logoutToken("", "")), "push": a.post(pushPath, setType, x.revoked("j1", "imp_a"))} {
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d; want 404", what, w.Code)
		}
	}
}

// FuzzLogoutToken: what the issuer did not sign ends nothing.
func FuzzLogoutToken(f *testing.F) {
	x := newTransmitter(f)
	v := newSigned(f.Context(), &issuer{url: x.url, id: "app", secret: "s", client: withoutRedirects(nil)}, x.now, slog.New(slog.DiscardHandler))
	whole := x.sign(x.logoutHeader(), having(x.logoutClaims("", ""), "exp", time.Now().Add(time.Hour).Unix()))
	f.Add(whole)
	f.Add("")
	f.Add("..")
	f.Add(strings.Replace(whole, ".", "..", 1))
	f.Add(x.revoked("j1", "imp_a"))
	f.Add(x.sign(`{"alg":"none","typ":"logout+jwt"}`, x.logoutClaims("", "")))
	f.Add(x.logoutToken("sid", nil))
	f.Fuzz(func(t *testing.T, token string) {
		sid, err := v.logoutToken(t.Context(), token)
		switch {
		case err == nil && (sid != "imp_a" || token != whole):
			t.Errorf("%q ends %q", token, sid)
		case err != nil && len(brief(err)) > 400:
			t.Errorf("%q: a long line", token)
		}
	})
}
