package policy

import (
	"slices"

	"github.com/understudy-id/understudy/oauth"
)

// scopes gives what the token would carry. It begins with the ceiling of the deciding role and only takes away; the actor's
// own scopes never come into it, since they say nothing about what the subject could do.
func (r *Rules) scopes(q *Request, resource Resource, m *Impersonate) []string {
	var granted []string
	for _, s := range m.Scopes {
		if r.grants(q, resource, s) {
			granted = append(granted, s)
		}
	}
	slices.Sort(granted)
	return slices.Compact(granted)
}

func (r *Rules) grants(q *Request, resource Resource, scope string) bool {
	if !slices.Contains(q.Client.Scopes, scope) || !r.allows(q, resource, scope) || q.Via == ViaToken && !slices.Contains(q.Consent.Scopes, scope) {
		return false
	}
	return r.couldGet(&q.Subject, scope)
}

// allows asks all that tells nothing of the subject, but whether the client has the scope.
func (r *Rules) allows(q *Request, resource Resource, scope string) bool {
	class := r.registry.ClassOf(scope)
	switch {
	case class == ScopeNever, q.Mode == oauth.ModeRead && class != ScopeRead:
		return false
	case q.Scopes != nil && !slices.Contains(q.Scopes, scope):
		return false
	}
	return resource.Scopes == nil || slices.Contains(resource.Scopes, scope)
}

// offers reports whether the request asks for any scope that the client could have at the resource, whoever the subject is.
func (r *Rules) offers(q *Request, resource Resource) bool {
	return slices.ContainsFunc(q.Client.Scopes, func(scope string) bool { return r.allows(q, resource, scope) })
}

// couldGet is slices.Contains(ScopesOf(p), scope), without building that list.
func (r *Rules) couldGet(p *Person, scope string) bool {
	return slices.ContainsFunc(r.registry.Roles, func(role Role) bool {
		return slices.Contains(role.Scopes, scope) && role.heldBy(p)
	})
}
