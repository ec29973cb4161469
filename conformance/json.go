package conformance

import (
	"regexp"
	"strings"
)

var secretMember = regexp.MustCompile(`"([a-z_]+)"(\s*:\s*)"([^"\\]{6,})"`)

// maskMembers is a body without the secrets that stand in JSON under the names of secrets.
func maskMembers(body string) string {
	return secretMember.ReplaceAllStringFunc(body, func(s string) string {
		m := secretMember.FindStringSubmatch(s)
		if !secretParams[m[1]] && !strings.HasSuffix(m[1], "_token") || aJWT.MatchString(m[3]) {
			return s
		}
		return `"` + m[1] + `"` + m[2] + `"` + mask(m[3]) + `"`
	})
}
