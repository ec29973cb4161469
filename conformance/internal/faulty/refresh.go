package faulty

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// refreshToken gives one for the sign-in of a token.
func (s *Server) refreshToken(t *token) string {
	return s.issue(&once{kind: "refresh", client: t.client, login: t.login, scope: t.scope, audience: t.audience, start: t, grant: t.grant, expires: s.now().Add(24 * time.Hour)})
}

// refresh is RFC 6749 §6 with RFC 9700 §4.14.2: each refresh token works once.
func (s *Server) refresh(c *Client, f url.Values) (object, *refusal) {
	dead := refuse("invalid_grant", "the refresh_token does not hold")
	o := s.refreshable(f.Get("refresh_token"))
	switch {
	case !f.Has("refresh_token"):
		return nil, refuse("invalid_request", "refresh_token is missing")
	case o == nil || o.client != c && !s.wrong("refresh-of-any-client") || o.grant.over && !s.wrong("refresh-after-revocation") || !s.now().Before(o.expires):
		return nil, dead
	case o.spent && !s.wrong("refresh-token-taken-again"):
		if !s.wrong("old-refresh-token-ends-nothing") {
			o.grant.over = true
		}
		return nil, dead
	}
	scope, known := s.scopesOf(f.Get("scope"))
	beyond := !known || slices.ContainsFunc(scope, func(name string) bool { return !slices.Contains(o.scope, name) })
	switch {
	case beyond && s.wrong("refresh-widens-scope"):
		scope = strings.Fields(f.Get("scope"))
	case beyond:
		return nil, refuse("invalid_scope", "the sign-in had not so much")
	case len(scope) == 0, s.wrong("refresh-keeps-scope"):
		scope = o.scope
	}
	audience, refused := s.within(f, o.audience, "refresh-for-any-resource")
	if refused != nil {
		return nil, refused
	}
	if s.wrong("refresh-marked-late") {
		s.gap()
	}
	o.spent = true
	if s.wrong("refresh-lengthens-impersonation") {
		for _, t := range s.tokens {
			if t.actor != nil && t.login == o.login {
				t.expires = t.expires.Add(time.Hour)
				t.claims["exp"] = t.expires.Unix()
			}
		}
	}
	t := s.mint(&token{client: c, subject: o.login.account, audience: audience, scope: scope, login: o.login, grant: o.grant, refreshed: o.start, asked: f, expires: s.now().Add(AccessLifetime)})
	answer := t.answer()
	answer["refresh_token"] = s.refreshToken(t)
	return answer, nil
}

// refreshable finds a refresh token.
func (s *Server) refreshable(value string) *once {
	for known, o := range s.once {
		if o.kind == "refresh" && s.wrong("refresh-compared-by-half") && len(value) >= 20 && known[:20] == value[:20] {
			return o
		}
	}
	if o := s.once[value]; o != nil && (o.kind == "refresh" || o.kind == "ticket" && s.wrong("ticket-taken-for-refresh-token")) {
		if o.grant == nil {
			o.grant = &grant{}
		}
		return o
	}
	if t := s.tokens[value]; t != nil && t.actor != nil && s.wrong("impersonation-token-refreshed") {
		return &once{client: t.client, login: t.login, scope: t.scope, audience: t.audience, start: t, grant: t.grant, expires: t.expires}
	}
	return nil
}
