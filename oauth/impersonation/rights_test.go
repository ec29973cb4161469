package impersonation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// However many groups somebody is in, and whatever they are called, their rights have room in an entry; all of them if they fit.
func TestRecordRights(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("a group with a long name, number %d", i))
	}
	for name, c := range map[string]struct {
		groups     []string
		begin, end string
	}{
		"some":     {[]string{"a", "b"}, "a,b", "a,b"},
		"many":     {many, many[0] + "," + many[1], ",... 300 in all"},
		"one long": {[]string{strings.Repeat("x", 5000)}, ",", ",... 1 in all"},
	} {
		e := audit.New(audit.KindUserRole, time.Now())
		impersonation.RecordRights(&e, "was_", directory.User{Roles: []string{"r", "s"}, Groups: c.groups, Enabled: true, DisabledBy: "scim:okta"})
		got := e.Fields["was_groups"]
		if !strings.HasPrefix(got, c.begin) || !strings.HasSuffix(got, c.end) || len(got) > impersonation.MaxRecordedGroups+30 {
			t.Errorf("%s: groups are %.40s..., %d bytes", name, got, len(got))
		}
		if e.Fields["was_roles"] != "r,s" || e.Fields["was_enabled"] != "true" || e.Fields["was_protected"] != "false" || e.Fields["was_disabled_by"] != "scim:okta" {
			t.Errorf("%s: got %v", name, e.Fields)
		}
	}
}
