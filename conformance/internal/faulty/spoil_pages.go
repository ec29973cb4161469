package faulty

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// spoilRoute answers a request as it must not be, past what guards the forms, and reports whether it did.
func (s *Server) spoilRoute(w http.ResponseWriter, r *http.Request, routes http.Handler) bool {
	switch at := r.URL.Path; {
	case at == "/impersonate" && s.wrong("ticket-form-of-any-site"), at == "/sign-in" && s.wrong("sign-in-form-of-any-site"):
	case at == "/impersonate" && r.Header.Get("Sec-Fetch-Site") == "same-site" && s.wrong("ticket-form-of-a-sibling"):
	case at == "/impersonate/" && s.wrong("guard-by-the-letters-of-a-path"):
		r.URL.Path = "/impersonate"
	case len(at) > 1 && strings.HasSuffix(at, "/") && s.wrong("slash-cut-off-by-redirect"):
		w.Header().Set("Location", strings.TrimSuffix(at, "/"))
		w.WriteHeader(http.StatusMovedPermanently)
		return true
	case (at == "/authorize" || at == "/impersonate") && s.wrong("page-read-by-any-site"):
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		return false
	case at == "/token" && s.wrong("token-endpoint-takes-cookies"):
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		return false
	default:
		return false
	}
	routes.ServeHTTP(w, r)
	return true
}

// spoilPage makes of a page what it must not be.
func (s *Server) spoilPage(status int, h http.Header, p *shown) {
	switch {
	case s.wrong("page-framed"), status >= 400 && s.wrong("error-framed"):
		h.Del("Content-Security-Policy")
	case s.wrong("page-framed-by-patterns"):
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors https://*.example")
	case s.wrong("page-tells-its-address"):
		h.Set("Referrer-Policy", "unsafe-url")
	case s.wrong("page-stored"):
		h.Del("Cache-Control")
	case s.wrong("page-loads-from-elsewhere"):
		p.More = `<script src="https://evil.example/x.js"></script>`
	case s.wrong("page-tells-every-window"):
		p.More = `<script>opener.postMessage({"done": true}, "*")</script>`
	}
}

// spoilSignIn makes of the page that asks for it what repeats the request.
func (s *Server) spoilSignIn(q url.Values, p *shown) {
	if s.wrong("hint-repeated-as-markup") {
		p.More = template.HTML(q.Get("login_hint"))
	}
}

// spoilCookie makes of the cookie of a sign-in what it must not be.
func (s *Server) spoilCookie(r *http.Request, c *http.Cookie) {
	switch {
	case s.wrong("cookie-for-every-site"):
		c.SameSite = http.SameSiteDefaultMode
	case s.wrong("cookie-for-script"):
		c.HttpOnly = false
	case s.wrong("cookie-kept-at-sign-in"):
		if before, err := r.Cookie(loginCookie); err == nil {
			c.Value = before.Value
		}
	}
}

// spoilRedirect makes of what is answered at a redirect URI what it must not be.
func (s *Server) spoilRedirect(answer url.Values) {
	switch {
	case answer.Has("error") && s.wrong("issuer-not-in-errors"), answer.Has("ticket") && s.wrong("ticket-without-issuer"):
		answer.Del("iss")
	case s.wrong("state-cut") && answer.Has("state"):
		answer.Set("state", answer.Get("state")[:min(len(answer.Get("state")), 200)])
	case answer.Has("ticket") && s.wrong("state-not-beside-ticket"):
		answer.Del("state")
	}
}

// signedInBy gives whose token opens a page.
func (s *Server) signedInBy(r *http.Request) *login {
	t := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if s.active(t) && (s.wrong("token-signs-in") || t.actor != nil && s.wrong("impersonation-token-signs-in")) {
		return t.login
	}
	return nil
}
