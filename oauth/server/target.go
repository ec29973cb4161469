package server

import (
	"slices"

	"github.com/understudy-id/understudy/oauth"
)

// meansAt reports whether scope means something at resource (RFC 9068 §2.2.3), or here: userinfo and the token endpoint look at no
// audience, so what is for them may stand in a token for any resource.
func (s *Server) meansAt(resource, scope string) bool {
	switch scope {
	case oauth.ScopeOpenID, "profile", "email", "roles", oauth.ScopeImpersonate, oauth.ScopeOfflineAccess:
		return true
	}
	r, registered := s.registry.Resource(resource)
	return !registered || r.Scopes == nil || slices.Contains(r.Scopes, scope)
}

// oneResource reports whether some one resource of c knows all of scope that any of them knows. Who names no resource and asks for what
// is of several is refused: whichever were taken, the token would not be what they meant (RFC 9068 §3).
func (s *Server) oneResource(c *client, scope []string) bool {
	known := slices.DeleteFunc(slices.Clone(scope), func(scope string) bool {
		return !slices.ContainsFunc(c.Resources, func(resource string) bool { return s.meansAt(resource, scope) })
	})
	return len(known) == 0 || slices.ContainsFunc(c.Resources, func(resource string) bool {
		return !slices.ContainsFunc(known, func(scope string) bool { return !s.meansAt(resource, scope) })
	})
}
