package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/server"
)

// forwarding sends each request with whatever a proxy may say, under another host and from another address each time.
type forwarding struct {
	http.RoundTripper
	n *atomic.Int64
}

func (f forwarding) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = "evil.test"
	from := fmt.Sprintf("198.51.100.%d", f.n.Add(1)%250)
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"} {
		r.Header.Set(name, from)
	}
	for name, value := range map[string]string{
		"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443", "X-Forwarded-Prefix": "/evil", "Forwarded": "for=" + from + ";host=evil.test;proto=https",
		"X-Original-URL": "/oauth2/jwks", "X-Rewrite-URL": "/oauth2/jwks", "X-Http-Method-Override": "GET", "X-Forwarded-User": "ann", "Remote-User": "ann",
		"X-Client-Cert": "app", "X-SSL-Client-Cert": "app", "X-SSL-Client-Verify": "SUCCESS", "X-SSL-Client-S-DN": "CN=app", "X-SSL-Client-CN": "app", "X-Forwarded-Client-Cert": `Subject="CN=app"`,
	} {
		r.Header.Set(name, value)
	}
	return f.RoundTripper.RoundTrip(r)
}

// TestForwardedHeadersCountForNothing: where no proxy is trusted, what a request says of itself moves nothing: not the issuer, nor where
// anybody is sent, nor the address that is counted and recorded, nor who a client or a person is. It is
// CVE-2025-64101, CVE-2025-64484 and GHSA-9g5q-2w5x-hmxf.
//
// Covers RFC9700-4.13-01.
func TestForwardedHeadersCountForNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: &server.Limits{ClientFailures: 6}})
	h.setPassword()
	document := h.get(discoveryPath, "").body
	plain := *h.http
	h.http = &plain
	h.http.Transport = forwarding{plain.Transport, new(atomic.Int64)}

	for _, path := range []string{discoveryPath, "/.well-known/oauth-authorization-server"} {
		if got := h.get(path, "").body; got != document {
			t.Errorf("%s is now:\n%s\n%s", path, got, document)
		}
	}
	asked := h.get("/impersonate?"+ask("app"), "")
	if asked.status != http.StatusSeeOther || asked.location.Host != "" || asked.location.Path != "/sign-in" {
		t.Errorf("nobody, who says to be ann: got %d to %v; want the sign-in", asked.status, asked.location)
	}
	typed := h.typed("ann@acme.test", annsPassword)
	if set := typed.header.Get("Set-Cookie"); typed.status != http.StatusSeeOther || typed.location.Host != "" || typed.location.Path != "/impersonate" || strings.Contains(set, "Domain") {
		t.Errorf("the sign-in: got %d to %v, %s", typed.status, typed.location, set)
	}
	if address := h.entry(audit.KindSignIn).Fields["address"]; address != "127.0.0.1" {
		t.Errorf("it is on record that the sign-in came from %q; want 127.0.0.1", address)
	}

	cookie, _ := h.login("ann")
	ours := func(what string, r reply) {
		t.Helper()
		if to, _, _ := strings.Cut(r.location.String(), "?"); to != callback || r.location.Query().Get("iss") != h.issuer {
			t.Errorf("%s sends to %v; want %s, and iss %s", what, r.location, callback, h.issuer)
		}
	}
	ours("the authorization endpoint", h.authorize(cookie, func(url.Values) {}))
	ours("the page", h.form("/impersonate?"+ask("app"), cookie, why("eve", "read")))
	s := h.start("ann", "app", "john", "read")
	if _, c := claims(t, s.token); c["iss"] != h.issuer || c["aud"] != resource {
		t.Errorf("the token says %v", c)
	}
	if r := h.post("/oauth2/token", "app", stopForm(s.ret)); r.status != http.StatusOK {
		t.Errorf("stop: got %d %s", r.status, r.body)
	}

	bare := redeem(h.code(cookie, "app", "openid"))
	bare.Set("client_id", "app")
	refused(t, h.form("/oauth2/token", "", bare), http.StatusUnauthorized, "invalid_client")
	bare.Set("client_secret", canary)
	refused(t, h.form("/oauth2/token", "", bare), http.StatusUnauthorized, "invalid_client")
	told(t, "the third failure, from one address after all", h.form("/oauth2/token", "", bare), 60)
	if logged := h.logs.String(); strings.Contains(logged, "198.51.100.") || strings.Contains(logged, "evil.test") {
		t.Errorf("the log believes it:\n%s", logged)
	}
}
