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
	t := s.accessToken(f.Get("token"))
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
	answer["active"], answer["token_type"] = true, t.kind()
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
	case t == nil && s.once[f.Get("token")] == nil && s.wrong("revocation-of-unknown-refused"):
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
	if o := s.once[f.Get("token")]; o != nil && o.kind == "refresh" && o.client == c {
		o.grant.over = true
	}
	w.WriteHeader(http.StatusOK)
}

// userinfo is OpenID Connect Core §5.3 with RFC 6750.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	if !s.wrong("userinfo-stored") {
		w.Header().Set("Cache-Control", "no-store")
	}
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	bound := strings.EqualFold(scheme, "DPoP")
	refuse := func(status int, challenge string) {
		if bound {
			challenge = `DPoP algs="ES256"` + challenge
		} else {
			challenge = `Bearer realm="userinfo"` + challenge
		}
		if !s.wrong("userinfo-without-challenge") {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		w.WriteHeader(status)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost || r.Method == http.MethodPost && s.wrong("userinfo-not-by-post") {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if two := len(r.Header.Values("Authorization")) > 1 || r.PostFormValue("access_token") != ""; two && !s.wrong("userinfo-of-two-tokens") {
		refuse(http.StatusBadRequest, `, error="invalid_request"`)
		return
	}
	if inQuery := r.URL.Query().Get("access_token"); inQuery != "" && s.wrong("userinfo-by-query") {
		scheme, value = "Bearer", inQuery
	}
	if !bound && !strings.EqualFold(scheme, "Bearer") {
		refuse(http.StatusUnauthorized, "")
		return
	}
	t := s.accessToken(value)
	if t == nil {
		t = s.opens(value)
	}
	switch {
	case !s.active(t) && !(t != nil && s.wrong("userinfo-after-revocation")):
		refuse(http.StatusUnauthorized, `, error="invalid_token"`)
		return
	case !s.carried(r, t, scheme):
		refuse(http.StatusUnauthorized, `, error="invalid_token"`)
		return
	case !slices.Contains(t.scope, "openid") && !s.wrong("userinfo-without-openid"):
		refuse(http.StatusForbidden, `, error="insufficient_scope", scope="openid"`)
		return
	}
	answer := object{"sub": t.subject.Subject, "email": t.subject.Login, "roles": t.subject.roles()}
	if t.actor != nil {
		answer["act"] = object{"iss": s.issuer, "sub": t.actor.Subject}
		s.spoilUserinfo(t, answer)
	}
	switch {
	case s.wrong("userinfo-email-is-list"):
		answer["email"] = []string{t.subject.Login}
	case s.wrong("userinfo-is-public"):
		w.Header().Set("Cache-Control", "public, max-age=60")
	}
	s.write(w, answer, s.wrong("userinfo-has-member-twice"))
}
