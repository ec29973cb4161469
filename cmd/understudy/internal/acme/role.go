package acme

import (
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth/rp"
)

// The roles that mean something here, as the issuer spells them.
const (
	roleAdmin   = "admin"
	roleSupport = "support"
	roleAnalyst = "analyst"
	roleViewer  = "viewer"
)

// roleNames are the roles in words, the greatest first.
var roleNames = []struct{ role, name string }{
	{roleAdmin, "Administrator"}, {roleSupport, "Support agent"}, {roleAnalyst, "Analyst"}, {roleViewer, "Viewer"},
}

// Role is what somebody is called here.
func (a *account) Role() string {
	for _, r := range roleNames {
		if has(a.Person, r.role) {
			return r.name
		}
	}
	return "Member"
}

// Staff reports whether somebody looks after customers. Whom they may impersonate the issuer decides; this only spares them
// buttons that would be refused.
func (a *account) Staff() bool { return has(a.Person, roleAdmin) || has(a.Person, roleSupport) }

// SeesReports reports whether reports are part of somebody's role.
func (a *account) SeesReports() bool { return has(a.Person, roleAnalyst) }

// looksAfter reports whether one of staff has somebody in their list.
func (a *account) looksAfter(other *account) bool {
	return has(a.Person, roleAdmin) || has(a.Person, roleSupport) && a.Organisation == other.Organisation
}

func (a *account) matches(search string) bool {
	text := strings.ToLower(strings.Join([]string{a.Name, a.Email, a.Organisation, a.Role()}, "\n"))
	return strings.Contains(text, strings.ToLower(search))
}

func has(p rp.Person, role string) bool { return slices.Contains(p.Roles, role) }

// tab is one entry of the navigation.
type tab struct {
	Path, Name string
	Here       bool
}

// tabs are those that somebody has. What is not part of their role is not shown at all.
func (a *account) tabs(path string) []tab {
	out := []tab{{Path: "/", Name: "Overview"}, {Path: "/projects", Name: "Projects"}}
	if a.Staff() {
		out = []tab{{Path: "/admin", Name: "Users"}}
	}
	if a.SeesReports() {
		out = append(out, tab{Path: "/reports", Name: "Reports"})
	}
	out = append(out, tab{Path: "/account", Name: "Account"})
	for i := range out {
		out[i].Here = out[i].Path == path
	}
	return out
}
