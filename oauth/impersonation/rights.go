package impersonation

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
)

// MaxRecordedGroups is how many bytes of a user's groups, with commas between, an entry of the trail has room for.
const MaxRecordedGroups = 4000

// RecordRights puts into e what decides about u, each under prefix and its name: roles, groups, organisation, protected, enabled, disabled_by. Of
// more groups than MaxRecordedGroups it says how many there are: whoever put somebody into any number must not keep anybody from
// taking their rights away, which needs its entry.
func RecordRights(e *audit.Entry, prefix string, u directory.User) {
	e.Set(prefix+"roles", strings.Join(u.Roles, ","))
	e.Set(prefix+"groups", recorded(u.Groups))
	e.Set(prefix+"organisation", u.Organisation)
	e.Set(prefix+"protected", strconv.FormatBool(u.Protected))
	e.Set(prefix+"enabled", strconv.FormatBool(u.Enabled))
	e.Set(prefix+"disabled_by", u.DisabledBy)
}

func recorded(groups []string) string {
	all := strings.Join(groups, ",")
	if len(all) <= MaxRecordedGroups {
		return all
	}
	return all[:max(0, strings.LastIndexByte(all[:MaxRecordedGroups], ','))] + fmt.Sprintf(",... %d in all", len(groups))
}
