package demo_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// loot is what somebody has who saw an impersonation's requests and could open them.
type loot struct {
	cookies []*http.Cookie
	session rp.Session
}

// take gives what the browser sends to the origin of the impersonation, and what is sealed in it: a replica of the app reads
// that.
func (s *stage) take() (l loot) {
	s.t.Helper()
	for _, c := range s.p.Cookies() {
		if c.Domain == host(s.asUser) {
			l.cookies = append(l.cookies, c)
		}
	}
	app, err := rp.New(s.t.Context(), rp.Config{
		Issuer: s.IssuerURL, ClientID: s.ClientID, ClientSecret: s.secret(), BaseURL: s.AppURL, Origin: s.AsUserURL, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	r := l.request(http.MethodGet, s.asUser+"/", nil)
	app.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if found, ok := rp.FromContext(r.Context()); ok {
			l.session = *found
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if !s.active(l.session.Token) {
		s.t.Fatal("the token in the cookie is not active before Stop")
	}
	return l
}

// secret is the app's registration, which follows from the issuer's key.
func (s *stage) secret() oauth.Secret {
	s.t.Helper()
	text, err := os.ReadFile(s.Database + ".key")
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := hkdf.Key(sha256.New, key, nil, "understudy demo client "+s.ClientID, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return oauth.Secret(base64.RawURLEncoding.EncodeToString(raw))
}

// active is what the issuer says of a token (RFC 7662).
func (s *stage) active(token oauth.Secret) bool {
	s.t.Helper()
	body := strings.NewReader(url.Values{"token": {string(token)}}.Encode())
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.IssuerURL+"/oauth2/introspect", body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(s.ClientID), url.QueryEscape(string(s.secret())))
	var answer struct{ Active *bool }
	if err := json.Unmarshal([]byte(read200(s.t, r)), &answer); err != nil || answer.Active == nil {
		s.t.Fatalf("introspection: %+v, %v", answer, err)
	}
	return *answer.Active
}

func read200(t *testing.T, r *http.Request) string {
	t.Helper()
	status, body := exchange(t, r)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", r.URL, status, body)
	}
	return body
}

// exchange sends r without following its answer.
func exchange(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// request is one of a browser's with the cookies of l.
func (l loot) request(method, to string, body url.Values) *http.Request {
	r := httptest.NewRequest(method, to, strings.NewReader(body.Encode()))
	r.RequestURI = "" // it may be sent
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range l.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

// wantOver: nothing that was there before Stop is good for anything after it, from the first moment on.
func (s *stage) wantOver(l loot) {
	s.t.Helper()
	if s.active(l.session.Token) {
		s.t.Error("the impersonation's token is still active")
	}
	got, err := beside(s.t, s.Database).Session(s.t.Context(), l.session.ID)
	if err != nil || got.Ended.IsZero() || got.EndReason != "stopped" {
		s.t.Errorf("the session: got %+v, %v, want it ended by Stop", got, err)
	}
	for _, c := range []struct{ method, path string }{{http.MethodGet, "/account"}, {http.MethodPost, "/account/delete"}} {
		if status, body := s.replay(l, c.method, c.path); !isOver(status, body) {
			s.t.Errorf("%s %s with the cookies of before: got %d\n%s", c.method, c.path, status, body)
		}
	}
}

func isOver(status int, body string) bool {
	return status == http.StatusForbidden && strings.Contains(body, "<h1>The impersonation has ended</h1>") && !strings.Contains(body, "Signed in")
}

func (s *stage) replay(l loot, method, path string) (status int, body string) {
	s.t.Helper()
	r := l.request(method, s.asUser+path, url.Values{})
	r.URL.Host = "127.0.0.1:" + r.URL.Port() // whatever the machine makes of names below localhost
	return exchange(s.t, r)
}
