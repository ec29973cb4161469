package policy

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// Registry is everything registered that a decision looks at: the parts resources, scopes, roles and clients.modes of
// the configuration. It is stored whole as one policy version, and a change ends nothing by itself but is seen by
// the next decision, the next introspection included. The zero value permits nothing. Read only once in use. The tag doc of
// a field is for who writes the configuration.
type Registry struct {
	Resources []Resource              `yaml:"resources" json:"resources"`
	Scopes    []Scope                 `yaml:"scopes" json:"scopes"`
	Roles     []Role                  `yaml:"roles" json:"roles"`
	Modes     map[string][]oauth.Mode `yaml:"modes,omitempty" json:"modes,omitempty"` // by client_id; absent: both
}

// Resource is an API that tokens may be for (RFC 8707).
type Resource struct {
	// URI is absolute, without fragment; compared byte by byte.
	URI string `yaml:"uri" json:"uri" doc:"absolute, without fragment; compared byte by byte"`
	// AcceptsAct says that this resource server knows act. No impersonation token is issued for one that does not.
	AcceptsAct bool `yaml:"accepts_act" json:"accepts_act" doc:"true if the API knows act; no impersonation token is for one that does not"`
	// Scopes are those that mean something there; nil means every registered scope.
	Scopes []string `yaml:"scopes,omitempty" json:"scopes,omitempty" doc:"scopes that mean something there; all unless listed"`
}

// ScopeClass says how dangerous a scope is under impersonation.
type ScopeClass string

// The classes. A scope that is not registered counts as write.
const (
	ScopeRead  ScopeClass = "read"
	ScopeWrite ScopeClass = "write"
	ScopeNever ScopeClass = "never"
)

// Scope registers one scope.
type Scope struct {
	Name  string     `yaml:"name" json:"name" doc:"the scope"`
	Class ScopeClass `yaml:"class" json:"class" doc:"read, write or never; what is not registered counts as write"`
}

// RoleUser is the role that every user has without being given it.
const RoleUser = "user"

// Role registers one role.
type Role struct {
	Name string `yaml:"name" json:"name" doc:"the role; everybody has user"`
	// Privileged protects holders: they cannot be impersonated by an actor who lacks one of their privileged roles, and by default by nobody.
	Privileged bool `yaml:"privileged" json:"privileged" doc:"true protects its holders from actors who lack it, and by default from all"`
	// Groups confer this role on their members.
	Groups []string `yaml:"groups" json:"groups,omitempty" doc:"groups whose members have the role"`
	// Scopes is what holders can get for themselves.
	Scopes []string `yaml:"scopes,omitempty" json:"scopes,omitempty" doc:"what holders can get for themselves"`
	// Audit lets holders read the whole trail: every organisation's, also where Impersonate keeps them to their own.
	Audit bool `yaml:"audit,omitempty" json:"audit,omitempty" doc:"true lets holders read the whole trail"`
	// Impersonate, if not nil, lets holders impersonate, within its bounds.
	Impersonate *Impersonate `yaml:"impersonate,omitempty" json:"impersonate,omitempty" doc:"lets holders impersonate, within its bounds"`
}

// Impersonate is what a role may do as an actor. Of several roles of one actor, the first in the registry's order
// that covers the request decides; bounds of different roles are never added up.
type Impersonate struct {
	// Organisations is "own" (the default) or "any". Own means an equal Organisation, staff (no organisation) reaching only staff.
	Organisations string `yaml:"organisations,omitempty" json:"organisations,omitempty" doc:"own, the default, or any"`
	// Subjects limits whom: the subject must hold one of these roles. Nil: any.
	Subjects []string `yaml:"subjects,omitempty" json:"subjects,omitempty" doc:"roles of which the subject must have one; anybody unless listed"`
	// Privileged lets the actor reach a subject with privileged roles, if the actor holds all of those too. Default: no privileged subject at all.
	Privileged bool `yaml:"privileged,omitempty" json:"privileged,omitempty" doc:"true reaches subjects with privileged roles, if the actor has all of those too"`
	// Scopes is the ceiling. Nil: no scope, so no token.
	Scopes []string `yaml:"scopes,omitempty" json:"scopes" doc:"the most that a token may have; none unless listed"`
	// Modes are those that may be had. Nil: read only.
	Modes []oauth.Mode `yaml:"modes,omitempty" json:"modes,omitempty" doc:"read, write; read alone unless listed"`
	// Minutes is the longest session, 1 to 60. Zero: 30.
	Minutes int `yaml:"minutes,omitempty" json:"minutes,omitempty" doc:"the longest session, 1 to 60; 30 unless set"`
	// TicketNumber makes a ticket number compulsory.
	TicketNumber bool `yaml:"ticket_number,omitempty" json:"ticket_number,omitempty" doc:"true makes a ticket number compulsory"`
}

// Limits of every impersonation (RFC 9700 §2.2 asks for short lives; the figures are the product's).
const (
	MaxDuration     = 60 * time.Minute
	DefaultDuration = 30 * time.Minute
	MinReason       = 10  // characters, after trimming space
	MaxReason       = 500 // characters
	MaxTicketNumber = 64  // characters
)

// MaxUserIDAge is how long ago the actor may have signed in who starts by a bare user id: no page asked them anything since.
const MaxUserIDAge = 5 * time.Minute
