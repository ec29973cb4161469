package faulty

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ask reads a request of a confidential client about a token. Where it does not hold it gives no client, and has answered.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) (*Client, url.Values) {
	w.Header().Set("Cache-Control", "no-store")
	f, refused := s.form(w, r)
	var c *Client
	if refused == nil {
		c, refused = s.authenticate(r, f)
	}
	if refused == nil && c.Secret == "" {
		refused = &refusal{http.StatusUnauthorized, "invalid_client", "the client is not authenticated"}
	}
	if refused == nil && !f.Has("token") {
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
	t := s.tokens[f.Get("token")]
	if !s.active(t) || t.client != c || t.exchanged && s.wrong("start-ends-sign-in") {
		writeJSON(w, http.StatusOK, object{"active": false})
		return
	}
	answer := object{
		"active": true, "iss": s.issuer, "sub": t.subject.Subject, "aud": t.audience, "client_id": t.client.ID, "jti": t.id, "token_type": "Bearer",
		"scope": strings.Join(t.scope, " "), "iat": t.issued.Unix(), "exp": t.expires.Unix(),
	}
	if t.actor != nil {
		answer["act"] = object{"iss": s.issuer, "sub": t.actor.Subject}
	}
	writeJSON(w, http.StatusOK, answer)
}

// revoke is RFC 7009: what came with the token ends with it.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	c, f := s.ask(w, r)
	if c == nil {
		return
	}
	if t := s.tokens[f.Get("token")]; t != nil && t.client == c {
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
	case !s.active(t):
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
