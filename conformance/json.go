package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
)

// repeated gives a member that an object within b has twice, "" if there is none. b is JSON.
func repeated(b []byte) string {
	type object struct {
		names  map[string]bool
		isName bool
	}
	var stack []*object // nil for an array
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	value := func() {
		if len(stack) > 0 && stack[len(stack)-1] != nil {
			stack[len(stack)-1].isName = true
		}
	}
	for {
		token, err := d.Token()
		if err == io.EOF || err != nil {
			return ""
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				stack = append(stack, &object{map[string]bool{}, true})
			case '[':
				stack = append(stack, nil)
			default:
				stack = stack[:len(stack)-1]
				value()
			}
		case string:
			if len(stack) > 0 && stack[len(stack)-1] != nil && stack[len(stack)-1].isName {
				o := stack[len(stack)-1]
				if o.names[token] {
					return token
				}
				o.names[token], o.isName = true, false
				continue
			}
			value()
		default:
			value()
		}
	}
}

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
