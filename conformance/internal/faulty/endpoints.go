package faulty

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ask reads a request of a client's about a token. Where it does not hold it gives no client, and has answered.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) (*Client, url.Values) {
	if !s.wrong("introspection-stored") {
		w.Header().Set("Cache-Control", "no-store")
	}
	f, refused := s.form(w, r)
	var c *Client
	if refused == nil {
		c, refused = s.authenticate(r, f)
	}
	if refused == nil && !f.Has("token") {
		if s.answersNothing(w, r, f) {
			return nil, nil
		}
		refused = refuse("invalid_request", "token is missing")
	}
	if refused != nil {
		s.refuse(w, refused, f)
		return nil, nil
	}
	return c, f
}

// introspect is RFC 7662: of tokens of the client's own.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	c, f := s.ask(w, r)
	if c == nil {
		return
	}
	if c.public() && !s.wrong("introspection-by-public-client") {
		s.refuse(w, &refusal{http.StatusUnauthorized, "invalid_client", "the client is not authenticated"}, f)
		return
	}
	t := s.tokens[f.Get("token")]
	if t != nil && strings.HasSuffix(r.Header.Get("Accept"), "jwt") && s.wrong("introspection-as-jwt-for-any-client") {
		w.Write([]byte(s.sign(keyES256, object{"typ": "token-introspection+jwt"}, object{"token_introspection": t.claims})))
		return
	}
	if t == nil {
		t = s.mistaken(f.Get("token"))
	}
	known := t != nil && (t.client == c || s.wrong("introspection-of-any-client") || c.public())
	if !known || !s.living(t) || f.Get("token_type_hint") == "refresh_token" && s.wrong("introspection-hint-decides") {
		answer := object{"active": false}
		if s.wrong("inactive-says-why") {
			answer["error"] = "unknown or over"
		}
		writeJSON(w, http.StatusOK, answer)
		return
	}
	answer := maps.Clone(t.claims)
	answer["active"], answer["token_type"] = true, "Bearer"
	s.spoilIntrospection(answer)
	s.write(w, answer, s.wrong("introspection-has-member-twice"))
}

// living is active, for whoever asks.
func (s *Server) living(t *token) bool {
	switch {
	case t.exchanged && s.wrong("start-ends-sign-in"):
		return false
	case t.grant.over && s.wrong("revoked-token-active"), !s.now().Before(t.expires) && s.wrong("expired-token-active"):
		return true
	}
	return s.active(t)
}

// revoke is RFC 7009: what came with the token ends with it.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	c, f := s.ask(w, r)
	if c == nil {
		return
	}
	t := s.tokens[f.Get("token")]
	switch {
	case t == nil && s.wrong("revocation-of-unknown-refused"):
		s.refuse(w, refuse("invalid_request", "the token is unknown"), f)
		return
	case c.public() && s.wrong("revocation-not-for-public-clients"):
		s.refuse(w, &refusal{http.StatusUnauthorized, "invalid_client", "the client is not authenticated"}, f)
		return
	case t == nil && s.wrong("revocation-of-changed-token"):
		t = s.signedElse(f.Get("token"))
	}
	own := t != nil && (t.client == c || !c.public() && s.wrong("revocation-by-any-client") || c.public() && s.wrong("revocation-by-any-public-client"))
	if own && !(s.wrong("revocation-hint-decides") && f.Get("token_type_hint") == "refresh_token") && !(s.wrong("revocation-spares-impersonation") && t.actor != nil) {
		t.grant.over = true
	}
	w.WriteHeader(http.StatusOK)
}

// userinfo is OpenID Connect Core §5.3.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t := s.tokens[value]
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		w.Header().Set("WWW-Authenticate", `Bearer realm="userinfo"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	case !s.active(t) && !(t != nil && s.wrong("userinfo-after-revocation")):
		w.Header().Set("WWW-Authenticate", `Bearer realm="userinfo", error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	case !slices.Contains(t.scope, "openid"):
		w.Header().Set("WWW-Authenticate", `Bearer realm="userinfo", error="insufficient_scope", scope="openid"`)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	answer := object{"sub": t.subject.Subject, "email": t.subject.Login}
	if t.actor != nil {
		answer["act"] = object{"iss": s.issuer, "sub": t.actor.Subject}
	}
	writeJSON(w, http.StatusOK, answer)
}
