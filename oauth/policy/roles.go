package policy

import (
	"slices"
	"strings"
)

// decidingRole gives the first of the actor's roles that covers q. If none does, it gives the rule at which the one
// that came furthest failed: that is what the actor can do something about.
func (r *Rules) decidingRole(q *Request) (*Role, *rule) {
	nearest, refused := -1, &roleNone
	for i := range r.registry.Roles {
		role := &r.registry.Roles[i]
		if role.Impersonate == nil || !role.heldBy(&q.Actor) {
			continue
		}
		step, failed := r.covers(role.Impersonate, q)
		if failed == nil {
			return role, nil
		}
		if step > nearest {
			nearest, refused = step, failed
		}
	}
	return nil, refused
}

// covers holds q to the bounds of one role, those about the subject first. It gives the step that failed, and nil if none did.
func (r *Rules) covers(m *Impersonate, q *Request) (step int, failed *rule) {
	switch {
	case m.Organisations != AnyOrganisation && q.Actor.Organisation != q.Subject.Organisation:
		return 0, &roleOrganisation
	case len(m.Subjects) > 0 && !r.holdsOne(&q.Subject, m.Subjects):
		return 1, &roleSubjects
	case !r.registry.reaches(m, &q.Actor, &q.Subject):
		return 2, &rolePrivileged
	case !r.clientAllows(q):
		return 3, &clientMode
	case !m.allows(q.Mode):
		return 4, &roleMode
	case q.Via == ViaPage && q.Duration > m.longest(): // nobody chose it at another door: there it is cut
		return 5, &roleDuration
	case m.TicketNumber && !q.Preview && strings.TrimSpace(q.TicketNumber) == "":
		return 6, &roleTicketNumber
	}
	return 0, nil
}

// holdsOne reports whether p holds a role of that name.
func (r *Rules) holdsOne(p *Person, names []string) bool {
	return slices.ContainsFunc(r.registry.Roles, func(role Role) bool {
		return slices.Contains(names, role.Name) && role.heldBy(p)
	})
}

// reaches reports whether the subject's privileged roles leave them within reach: there are none, or m reaches
// privileged subjects and the actor holds every one of them too. Otherwise impersonation would be a way up.
func (g Registry) reaches(m *Impersonate, actor, subject *Person) bool {
	for i := range g.Roles {
		role := &g.Roles[i]
		if role.Privileged && role.heldBy(subject) && (!m.Privileged || !role.heldBy(actor)) {
			return false
		}
	}
	for _, name := range subject.Roles {
		if !g.registered(name) && (!m.Privileged || !slices.Contains(actor.Roles, name)) {
			return false
		}
	}
	return true
}

// Reaches reports whether the subject's privileged roles leave them within somebody's reach: there are none, or a role of the actor
// reaches them all the same. A nil actor is a service or an agent, which has no roles. It promises nothing else.
func (g Registry) Reaches(actor *Person, subject Person) bool {
	if actor == nil {
		return g.reaches(new(Impersonate), new(Person), &subject)
	}
	return g.reaches(new(Impersonate), actor, &subject) || slices.ContainsFunc(g.RolesOf(*actor), func(r Role) bool {
		return r.Impersonate != nil && g.reaches(r.Impersonate, actor, &subject)
	})
}

// registered reports whether the registry knows a role. One that it does not know counts as privileged: whoever drops a role from
// the configuration must not open its holders.
func (g Registry) registered(name string) bool {
	return slices.ContainsFunc(g.Roles, func(role Role) bool { return role.Name == name })
}

func (r *Rules) clientAllows(q *Request) bool {
	modes, limited := r.registry.Modes[q.Client.ID]
	return !limited || includes(modes, q.Mode)
}
