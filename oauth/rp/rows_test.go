package rp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// These are what the standards ask of an app, row by row; others are where the rest of their matter is.

// bent is the app's way to the issuer, on which a test changes what is said.
type bent struct {
	next   http.RoundTripper
	ask    func(r *http.Request, body string) string
	answer func(path, body string) string
}

// RoundTrip implements http.RoundTripper.
func (b *bent) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.ask != nil && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		said := b.ask(r, string(body))
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(said)), int64(len(said))
	}
	resp, err := b.next.RoundTrip(r)
	if err != nil || b.answer == nil {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	said := b.answer(r.URL.Path, string(body))
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(said)), int64(len(said))
	resp.Header.Del("Content-Length")
	return resp, err
}

// edit changes members of an object.
func edit(t testing.TB, object string, change func(map[string]any)) string {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(object))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Errorf("%q: %v", object, err)
	}
	change(m)
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(m); err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(out.String())
}

// TestOpaqueTokens: the app knows who impersonates whom from the answer to the start, and from nothing else: not from the token, be that opaque,
// encrypted, or one that says something else.
//
// Covers RFC9068-6-01.
func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	lie := b64([]byte(`{"typ":"at+jwt","alg":"ES256"}`)) + "." + b64([]byte(`{"sub":"ann","act":{"sub":"eve"},"understudy_mode":"write"}`)) + ".AAAA"
	for name, shown := range map[string]string{"opaque": "uat_0123456789abcdefghij", "encrypted": "e30.AAAA.AAAA.AAAA.AAAA", "nobody acts in it": "e30.e30.", "another acts in it": lie} {
		for _, which := range []form{apart, over} {
			t.Run(name+", "+string(which), func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				real := ""
				h := setup(t, which, func(h *house, c *rp.Config) {
					c.Client = &http.Client{Transport: &bent{
						next: h.client.Transport,
						ask: func(_ *http.Request, body string) string {
							mu.Lock()
							defer mu.Unlock()
							return strings.ReplaceAll(body, url.QueryEscape(shown), real)
						},
						answer: func(path, body string) string {
							if path != "/oauth2/token" || !strings.Contains(body, "understudy_session") {
								return body
							}
							return edit(t, body, func(m map[string]any) {
								mu.Lock()
								defer mu.Unlock()
								real, m["access_token"] = m["access_token"].(string), shown
							})
						},
					}}
				})
				b := h.ann()
				page := b.impersonate("john", "read")
				if !strings.Contains(page.body, "subject=john actor=ann") || !strings.Contains(page.body, "understudy-banner") || !strings.Contains(page.body, "John Doe") {
					t.Errorf("the page: %s", page.body)
				}
				var says struct {
					Impersonating  bool
					Mode           string
					Subject, Actor rp.Person
				}
				r := b.one(http.MethodGet, h.asUser+"/.understudy/session", nil)
				h.must(json.Unmarshal([]byte(r.body), &says))
				if !says.Impersonating || says.Mode != "read" || says.Subject.Subject != "john" || says.Actor.Subject != "ann" {
					t.Errorf("who am I: %s", r.body)
				}
				if r := b.post(h.asUser+"/note", "text", "x"); r.status != http.StatusForbidden {
					t.Errorf("a change while looking only: %d", r.status)
				}
				if r := b.post(h.asUser + "/.understudy/stop"); r.status != http.StatusOK || !strings.Contains(r.body, "subject=ann actor=ann") || h.live() != 0 {
					t.Errorf("stop: %d %s, %d live", r.status, r.body, h.live())
				}
			})
		}
	}
}

// answerOf goes through the issuer's page, and gives the address to which its answer leads back, unvisited: that of a sign-in, or of a start with the ticket.
func (b *browser) answerOf(subject string) *url.URL {
	b.h.t.Helper()
	var r reply
	if subject == "" {
		r = b.one(http.MethodGet, b.h.app+"/.understudy/sign-in", nil)
		r = b.one(http.MethodGet, r.header.Get("Location"), nil)
	} else {
		page := b.ask(subject, "")
		r = b.one(http.MethodPost, page.url.String(), values("subject", subject, "mode", "read", "minutes", "30", "reason", "cannot find it", "action", "impersonate"))
	}
	back, err := url.Parse(r.header.Get("Location"))
	b.h.must(err)
	if q := back.Query(); back.Path != "/.understudy/callback" || q.Get("code") == "" && q.Get("ticket") == "" || q.Get("iss") != b.h.issuer {
		b.h.t.Fatalf("no answer: %d %s", r.status, back)
	}
	return back
}

// TestIssuerOfAnswers: an answer counts if its iss is our issuer's, byte by byte. Otherwise nobody is asked for a token: neither the code nor our secret goes
// anywhere.
//
// Covers RFC9700-2.1-04, RFC9207-2.4-01.
func TestIssuerOfAnswers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		_, port, _ := strings.Cut(strings.TrimPrefix(h.issuer, "http://"), ":")
		for name, iss := range map[string][]string{
			"another": {"https://evil.test"}, "none": nil, "empty": {""}, "a slash": {h.issuer + "/"}, "upper case": {strings.ToUpper(h.issuer)},
			"its host in upper case": {"http://ISSUER.localhost:" + port}, "https": {strings.Replace(h.issuer, "http:", "https:", 1)}, "a path": {h.issuer + "/."},
			"a space": {h.issuer + " "}, "an address": {"http://127.0.0.1:" + port}, "a dot": {"http://issuer.localhost.:" + port}, "as somebody": {"http://a@issuer.localhost:" + port},
			"a query": {h.issuer + "?"}, "two": {h.issuer, "https://evil.test"}, "twice": {h.issuer, h.issuer},
		} {
			for _, what := range []string{"", "john"} {
				for _, failed := range []bool{false, true} {
					b := h.ann()
					back := b.answerOf(what)
					q := back.Query()
					if failed {
						q.Del("code")
						q.Del("ticket")
						q.Set("error", "access_denied")
					}
					q["iss"] = iss
					back.RawQuery = q.Encode()
					before := b.cookies(h.app)[signInCookie]
					h.taken(&h.calls)
					r := b.one(http.MethodGet, back.String(), nil)
					if r.status != http.StatusBadRequest {
						t.Errorf("%s, %q: got %d %s; want 400", name, what, r.status, r.header.Get("Location"))
					}
					if calls := h.taken(&h.calls); slices.Contains(calls, "POST /oauth2/token") {
						t.Errorf("%s, %q: asked for a token: %v", name, what, calls)
					}
					if b.cookies(h.asUser)[actingCookie] != "" || b.cookies(h.app)[signInCookie] != before || h.live() != 0 {
						t.Errorf("%s, %q: somebody is signed in anew, or impersonated", name, what)
					}
				}
			}
		}
	})
}

// TestAnswerOfAnotherBrowser: an answer counts only in the browser that asked, and only for what it asked: a code or a ticket that somebody else has got, planted in
// a browser, with or without the state of something that is under way there, signs nobody in and starts nothing.
//
// Covers RFC9700-2.1-03.
func TestAnswerOfAnotherBrowser(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		for _, what := range []string{"", "john"} {
			for _, asking := range []string{"nothing", "a sign-in", "a start"} {
				attacker := h.browser()
				h.login(attacker, "ann")
				planted := attacker.answerOf(what)
				victim := h.browser()
				h.login(victim, "eve")
				state := planted.Query().Get("state")
				switch asking {
				case "a sign-in":
					victim.one(http.MethodGet, h.app+"/.understudy/sign-in", nil)
				case "a start":
					victim.one(http.MethodGet, h.asUser+"/.understudy/start", nil)
				}
				states := []string{state}
				for _, host := range []string{h.app, h.asUser} {
					for name := range victim.cookies(host) {
						if _, own, ok := strings.Cut(name, "-flow-"); ok {
							states = append(states, own)
						}
					}
				}
				for _, s := range states {
					to := *planted
					q := to.Query()
					q.Set("state", s)
					to.RawQuery = q.Encode()
					if r := victim.one(http.MethodGet, to.String(), nil); r.status != http.StatusBadRequest {
						t.Errorf("%q planted in a browser that asks for %s: got %d %s; want 400", what, asking, r.status, r.header.Get("Location"))
					}
				}
				if victim.cookies(h.app)[signInCookie] != "" || victim.cookies(h.asUser)[actingCookie] != "" || h.live() != 0 {
					t.Errorf("%q planted in a browser that asks for %s: somebody is signed in, or impersonated", what, asking)
				}
			}
		}
	})
}

// planted is the app's way to the issuer, on which another code or ticket than the browser brought is redeemed.
func planted(next http.RoundTripper, member string, value *string) *bent {
	return &bent{next: next, ask: func(r *http.Request, body string) string {
		form, err := url.ParseQuery(body)
		if r.URL.Path == "/oauth2/token" && err == nil && form.Get(member) != "" && *value != "" {
			form.Set(member, *value)
			return form.Encode()
		}
		return body
	}}
}

// TestAnswerOfAnotherRequest: whoever could exchange the code, or the ticket, behind the state, would still not get by: what it was asked for with (RFC 7636, the
// nonce) stays in the browser that asked.
//
// Covers RFC9700-2.1-03.
func TestAnswerOfAnotherRequest(t *testing.T) {
	t.Parallel()
	for what, member := range map[string]string{"": "code", "john": "subject_token"} {
		t.Run(member, func(t *testing.T) {
			t.Parallel()
			var other string
			h := setup(t, apart, func(h *house, c *rp.Config) {
				c.Client = &http.Client{Transport: planted(h.client.Transport, member, &other)}
			})
			b := h.ann()
			delete(b.cookies(h.app), signInCookie)
			attacker := h.browser()
			h.login(attacker, "ann")
			q := attacker.answerOf(what).Query()
			back := b.answerOf(what)
			other = q.Get("code") + q.Get("ticket")
			if r := b.get(back.String()); r.status < 400 || b.cookies(h.app)[signInCookie] != "" || b.cookies(h.asUser)[actingCookie] != "" || h.live() != 0 {
				t.Errorf("got %d at %s; want a refusal", r.status, r.url)
			}
		})
	}
}

// TestIDTokens: whoever signs in is who the issuer has signed for, for this app, in answer to this very request, and now. The test is the issuer: it changes one thing at
// a time.
//
// Covers OIDC-3.1.3.7-01.
func TestIDTokens(t *testing.T) {
	t.Parallel()
	key, other := newSigner(t, "k1"), newSigner(t, "k1")
	const head = `{"alg":"ES256","kid":"k1","typ":"JWT"}`
	claim := func(name string, value any) func(map[string]any) string {
		return func(c map[string]any) string {
			if c[name] = value; value == nil {
				delete(c, name)
			}
			return key.sign(head, jsonOf(c))
		}
	}
	headed := func(header string) func(map[string]any) string {
		return func(c map[string]any) string { return key.sign(header, jsonOf(c)) }
	}
	moved := func(name string, by time.Duration) func(map[string]any) string {
		return func(c map[string]any) string {
			at, _ := c["iat"].(json.Number).Int64()
			c[name] = at + int64(by/time.Second)
			return key.sign(head, jsonOf(c))
		}
	}
	for name, c := range map[string]struct {
		good bool
		make func(map[string]any) string
	}{
		"as it was":        {true, headed(head)},
		"without typ":      {true, headed(`{"alg":"ES256","kid":"k1"}`)},
		"azp is us":        {true, claim("azp", "app")},
		"audience list":    {true, claim("aud", []string{"app"})},
		"another issuer":   {false, claim("iss", "https://evil.test")},
		"issuer, slash":    {false, func(c map[string]any) string { c["iss"] = c["iss"].(string) + "/"; return key.sign(head, jsonOf(c)) }},
		"no issuer":        {false, claim("iss", nil)},
		"another client":   {false, claim("aud", "other")},
		"one more client":  {false, claim("aud", []string{"app", "other"})},
		"no audience":      {false, claim("aud", nil)},
		"azp is another":   {false, claim("azp", "other")},
		"azp is empty":     {false, claim("azp", "")},
		"another nonce":    {false, claim("nonce", "another")},
		"no nonce":         {false, claim("nonce", nil)},
		"expired":          {false, moved("exp", -2*time.Minute)},
		"no exp":           {false, claim("exp", nil)},
		"exp a string":     {false, claim("exp", "4102444800")},
		"issued tomorrow":  {false, moved("iat", 24*time.Hour)},
		"no iat":           {false, claim("iat", nil)},
		"nobody":           {false, claim("sub", "")},
		"somebody else":    {false, claim("sub", "john")},
		"who is acted for": {false, claim("act", map[string]string{"sub": "eve"})},
		"alg none": {false, func(c map[string]any) string {
			return b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(jsonOf(c))) + "."
		}},
		"alg none, kid":  {false, headed(`{"alg":"none","kid":"k1","typ":"JWT"}`)},
		"alg HS256":      {false, headed(`{"alg":"HS256","kid":"k1","typ":"JWT"}`)},
		"alg ES384":      {false, headed(`{"alg":"ES384","kid":"k1","typ":"JWT"}`)},
		"another's key":  {false, func(c map[string]any) string { return other.sign(head, jsonOf(c)) }},
		"an unknown key": {false, headed(`{"alg":"ES256","kid":"k2","typ":"JWT"}`)},
		"a key in it": {false, func(c map[string]any) string {
			return other.sign(`{"alg":"ES256","typ":"JWT","jwk":`+other.jwk()+`}`, jsonOf(c))
		}},
		"no signature":    {false, func(c map[string]any) string { s := key.sign(head, jsonOf(c)); return s[:strings.LastIndex(s, ".")+1] }},
		"an access token": {false, headed(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`)},
		"a logout token":  {false, headed(`{"alg":"ES256","kid":"k1","typ":"logout+jwt"}`)},
		"a claim twice":   {false, func(c map[string]any) string { return key.sign(head, `{"sub":"john",`+jsonOf(c)[1:]) }},
		"nothing":         {false, func(map[string]any) string { return "" }},
		"something else":  {false, func(map[string]any) string { return "e30.e30.e30" }},
		"JSON serialised": {false, func(c map[string]any) string { return `{"payload":"` + b64([]byte(jsonOf(c))) + `","signatures":[]}` }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, apart, func(h *house, cfg *rp.Config) {
				cfg.Client = &http.Client{Transport: &bent{next: h.client.Transport, answer: func(path, body string) string {
					switch path {
					case "/oauth2/jwks":
						return jwks(key)
					case "/oauth2/token":
						return edit(t, body, func(m map[string]any) { m["id_token"] = c.make(signedClaims(t, m["id_token"].(string))) })
					}
					return body
				}}}
			})
			b := h.browser()
			h.login(b, "ann")
			r := b.get(h.app + "/admin")
			signedIn := b.cookies(h.app)[signInCookie] != ""
			if signedIn != c.good || (r.status == http.StatusOK) != c.good || (len(h.taken(&h.seen)) > 0) != c.good {
				t.Errorf("got %d, signed in: %v; want %v\n%s", r.status, signedIn, c.good, h.logs)
			}
			if !c.good && (r.status != http.StatusBadRequest && r.status != http.StatusBadGateway || r.url.Path != "/.understudy/callback") {
				t.Errorf("refused by %d at %s", r.status, r.url)
			}
		})
	}
}

func jsonOf(c map[string]any) string {
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// signedClaims reads the claims of a JWT, unverified.
func signedClaims(t testing.TB, token string) (c map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestIDTokenWithoutKeys: where the issuer's keys cannot be had nobody is signed in, and what says so is that the issuer is away.
func TestIDTokenWithoutKeys(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, func(h *house, c *rp.Config) {
		c.Client = &http.Client{Transport: &bent{next: h.client.Transport, answer: func(path, body string) string {
			if path == "/oauth2/jwks" {
				return "<html>"
			}
			return body
		}}}
	})
	b := h.browser()
	h.login(b, "ann")
	if r := b.get(h.app + "/admin"); !strings.Contains(r.body, "understudy did not answer") || b.cookies(h.app)[signInCookie] != "" {
		t.Errorf("got %d %s; want nobody signed in, since the issuer is away", r.status, r.body)
	}
}

// TestOtherSites: what another site, or a sibling of the app's, has a browser send changes nothing: it starts nothing, stops nothing, and does nothing in the user's name
// that would be on record as the actor's; be it a form, a script, an image or a WebSocket.
//
// Covers BFF-6.1.3-02, RFC6750-5.3-01.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "write")
		h.taken(&h.seen)
		from := map[string]func(*http.Request){
			"another site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"a sibling":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"an old browser": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.test") },
			"a sandbox":      func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
			"another port": func(r *http.Request) {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "http://"+r.URL.Hostname()+":1")
			},
		}
		as := map[string]func(*http.Request){
			"a form":  func(*http.Request) {},
			"text":    func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			"a fetch": func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "no-cors"); r.Header.Set("Accept", "*/*") },
			"a CORS fetch": func(r *http.Request) {
				r.Header.Set("Sec-Fetch-Mode", "cors")
				r.Header.Set("Accept", "application/json")
			},
		}
		for site, mark := range from {
			for kind, shape := range as {
				for _, path := range []string{"/.understudy/start", "/.understudy/stop", "/.understudy/sign-out", "/note", "/search", "/delete"} {
					req := b.request(http.MethodPost, h.asUser+path, values("text", "x"))
					mark(req)
					shape(req)
					if r := b.send(req); r.status != http.StatusForbidden {
						t.Errorf("POST %s as %s from %s: got %d; want 403", path, kind, site, r.status)
					}
				}
			}
			for _, path := range []string{"/.understudy/stop", "/.understudy/sign-out", "/.understudy/start", "/.understudy/start?subject=eve"} {
				req := b.request(http.MethodGet, h.asUser+path, nil)
				mark(req)
				req.Header.Set("Sec-Fetch-Mode", "no-cors")
				req.Header.Set("Sec-Fetch-Dest", "image")
				b.send(req)
			}
			ws := b.request(http.MethodGet, h.asUser+"/note", nil)
			mark(ws)
			ws.Header.Set("Connection", "Upgrade")
			ws.Header.Set("Upgrade", "websocket")
			if r := b.send(ws); r.status != http.StatusForbidden {
				t.Errorf("a WebSocket from %s: got %d; want 403", site, r.status)
			}
		}
		if seen := h.taken(&h.seen); len(seen) > 0 || !h.has("john") {
			t.Errorf("reached the app: %v", seen)
		}
		if r := b.get(h.asUser + "/"); !strings.Contains(r.body, "subject=john") || h.live() != 1 {
			t.Errorf("it goes on no longer: %d, %d live", r.status, h.live())
		}
		if r := b.post(h.asUser+"/note", "text", "x"); r.status != http.StatusOK {
			t.Errorf("the page's own form: %d", r.status)
		}
		if r := b.one(http.MethodPost, h.asUser+"/.understudy/start", values("subject", "eve")); r.status != http.StatusBadRequest {
			t.Errorf("a form that starts: got %d; want 400, since only a script's JSON does", r.status)
		}
	})
}

// TestNoTokenInTheBrowser: a token is in the browser sealed, as is who is impersonated, and in cookies that neither script nor a wire in clear ever gets.
//
// Covers BFF-6.1.3-01, BFF-6.1.3-03, RFC6750-5.3-01.
func TestNoTokenInTheBrowser(t *testing.T) {
	t.Parallel()
	for _, which := range []form{apart, over} {
		t.Run(string(which), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var secrets []string
			h := setup(t, which, func(h *house, c *rp.Config) {
				c.Client = &http.Client{Transport: &bent{next: h.client.Transport, answer: func(path, body string) string {
					if path == "/oauth2/token" {
						edit(t, body, func(m map[string]any) {
							mu.Lock()
							defer mu.Unlock()
							for _, name := range []string{"access_token", "id_token", "understudy_return_token"} {
								if s, ok := m[name].(string); ok {
									secrets = append(secrets, s)
								}
							}
							if s, ok := m["understudy_session"].(map[string]any); ok {
								secrets = append(secrets, s["id"].(string))
							}
						})
					}
					return body
				}}}
			})
			b := h.browser()
			h.login(b, "ann")
			check := func(r reply) {
				for _, line := range r.header.Values("Set-Cookie") {
					c, err := http.ParseSetCookie(line)
					h.must(err)
					if c.Name == "theme" || r.url.Hostname() == "issuer.localhost" { // the app's own, and the issuer's
						continue
					}
					if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") {
						t.Errorf("Set-Cookie: %s", line)
					}
					plain, _ := base64.RawURLEncoding.DecodeString(c.Value)
					mu.Lock()
					for _, s := range append([]string{"ann@acme.test", "john@acme.test"}, secrets...) {
						if strings.Contains(c.Value, s) || bytes.Contains(plain, []byte(s)) || strings.Contains(c.Value, b64([]byte(s))) {
							t.Errorf("%s holds a secret", c.Name)
						}
					}
					mu.Unlock()
					if strings.Contains(c.Value, ".") {
						t.Errorf("%s could be a JWT: %s", c.Name, c.Value)
					}
				}
			}
			walk := func(r reply) reply {
				for check(r); r.status == http.StatusSeeOther; check(r) {
					next, err := r.url.Parse(r.header.Get("Location"))
					h.must(err)
					if q := next.RawQuery; strings.Contains(q, "token=") {
						t.Errorf("a token in %s", next)
					}
					r = b.one(http.MethodGet, next.String(), nil)
				}
				return r
			}
			walk(b.one(http.MethodGet, h.app+"/admin", nil))
			page := b.ask("john", "")
			r := walk(b.one(http.MethodPost, page.url.String(), values("subject", "john", "mode", "read", "minutes", "30", "reason", "cannot find it", "action", "impersonate")))
			session := b.one(http.MethodGet, h.asUser+"/.understudy/session", nil)
			if !strings.Contains(r.body, "subject=john") || !strings.Contains(session.body, `"impersonating":true`) {
				t.Fatalf("impersonating: %d %s %s", r.status, r.body, session.body)
			}
			mu.Lock()
			if len(secrets) < 5 {
				t.Errorf("%d secrets passed: this tests nothing", len(secrets))
			}
			for _, s := range secrets {
				if !strings.HasPrefix(s, "imp_") && (strings.Contains(r.body, s) || strings.Contains(session.body, s)) {
					t.Error("a token is in a page, or in what script is told")
				}
			}
			mu.Unlock()
			walk(b.one(http.MethodPost, h.asUser+"/.understudy/stop", nil))
		})
	}
}

// TestTokensGoNowhereElse: what the app sends with a token or its secret goes to the issuer, whatever the browser asks: rp adds a token to nothing of the app's, and a
// request that names another host leads to none.
//
// Covers BFF-6.1.3-03.
func TestTokensGoNowhereElse(t *testing.T) {
	t.Parallel()
	for _, which := range []form{apart, over} {
		t.Run(string(which), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			hosts := map[string]int{}
			var saw []string
			h := setup(t, which, func(h *house, c *rp.Config) {
				c.Client = &http.Client{Transport: &bent{next: h.client.Transport, ask: func(r *http.Request, body string) string {
					mu.Lock()
					defer mu.Unlock()
					hosts[r.URL.Scheme+"://"+r.URL.Host]++
					return body
				}}}
			})
			b := h.ann()
			b.impersonate("john", "read")
			app := h.around(func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				saw = append(saw, fmt.Sprint(r.Header["Authorization"], r.Header["X-Forwarded-Access-Token"]))
			})
			for _, path := range []string{"/", "//evil.test/", "/http://evil.test/", "/https:%2f%2fevil.test/x", "/%2f%2fevil.test", "/..//evil.test", "/.understudy/http://evil.test/", "/.understudy/session?to=//evil.test"} {
				req := b.request(http.MethodGet, h.asUser+path, nil)
				for _, name := range []string{"X-Forwarded-Host", "X-Original-Url", "X-Rewrite-Url", "Forwarded"} {
					req.Header.Set(name, "evil.test")
				}
				req.Host = req.URL.Host
				req.Header.Set("Cookie", cookieHeader(b.cookies(h.asUser)))
				w := httptest.NewRecorder()
				app.ServeHTTP(w, req)
				if to, err := req.URL.Parse(w.Header().Get("Location")); err != nil || to.Host != req.URL.Host {
					t.Errorf("%s led to %s, %v", path, to, err)
				}
			}
			b.post(h.asUser + "/.understudy/stop")
			mu.Lock()
			defer mu.Unlock()
			if len(hosts) != 1 || hosts[h.issuer] == 0 {
				t.Errorf("requests went to %v; want %s alone", hosts, h.issuer)
			}
			if len(saw) == 0 || slices.ContainsFunc(saw, func(s string) bool { return s != "[] []" }) {
				t.Errorf("the app's requests carry %q; want no token", saw)
			}
		})
	}
}
