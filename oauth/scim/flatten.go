package scim

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth/directory"
)

const (
	// attributePrefix begins the names of what a source sent, so that it neither reads nor overwrites what somebody else keeps there.
	attributePrefix = "scim:"
	// maxAttributes bounds what a user's attributes have together.
	maxAttributes = 16 << 10 // bytes
)

// apart reports whether a is kept elsewhere than in directory.User.Attributes: a user has a place of its own for it, or it is ours.
func (a *attribute) apart() bool {
	return a.readOnly || a.name == "userName" || a.name == "externalId" || a.name == "active"
}

// lines hides the one control character that a value may have, in formatted addresses (RFC 7643 §4.1.2), and back.
var (
	hideLines = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	showLines = strings.NewReplacer(`\\`, `\`, `\n`, "\n")
)

// key is the name of a in directory.User.Attributes.
func (a *attribute) key() string { return cmp.Or(a.flattenedAs, a.name) }

// attributesOf is all that u has of a, as one text that differs where it does.
func attributesOf(u directory.User, a attribute) string {
	var b strings.Builder
	a.flatten(func(name, v string) { b.WriteString(strconv.Quote(name) + strconv.Quote(v)) }, "", unflatten(u.Attributes)[a.name])
	return b.String()
}

// flatten puts all of a resource that has no place of its own into u.Attributes, each value under its path: "scim:title",
// "scim:name.givenName", "scim:emails.0.value", "scim:enterprise.department". What others keep there stays.
func flatten(u *directory.User, resource map[string]any) error {
	kept := map[string]string{}
	for name, v := range u.Attributes {
		if !strings.HasPrefix(name, attributePrefix) {
			kept[name] = v
		}
	}
	size := 0
	put := func(name, v string) {
		kept[name] = v
		size += len(name) + len(v)
	}
	for i := range userAttributes {
		if a := &userAttributes[i]; !a.apart() {
			a.flatten(put, attributePrefix, resource[a.name])
		}
	}
	if size > maxAttributes {
		return valueFault("The attributes", "must have at most "+strconv.Itoa(maxAttributes)+" bytes together")
	}
	u.Attributes = kept
	return nil
}

func (a *attribute) flatten(put func(name, v string), prefix string, v any) {
	at := prefix + a.key()
	list, ok := v.([]any)
	if !ok {
		a.flattenOne(put, at, v)
	}
	for i, item := range list {
		a.flattenOne(put, at+"."+strconv.Itoa(i), item)
	}
}

func (a *attribute) flattenOne(put func(name, v string), at string, v any) {
	switch v := v.(type) {
	case string:
		put(at, hideLines.Replace(v))
	case bool:
		put(at, strconv.FormatBool(v))
	case map[string]any:
		for i := range a.sub {
			a.sub[i].flatten(put, at+".", v[a.sub[i].name])
		}
	}
}

// unflatten is the resource that flatten took apart.
func unflatten(attributes map[string]string) map[string]any {
	out := map[string]any{}
	for i := range userAttributes {
		if a := &userAttributes[i]; !a.apart() {
			a.unflatten(attributes, attributePrefix, out)
		}
	}
	return out
}

func (a *attribute) unflatten(from map[string]string, prefix string, out map[string]any) {
	at := prefix + a.key()
	if !a.multi {
		if v := a.unflattenOne(from, at); v != nil {
			out[a.name] = v
		}
		return
	}
	var list []any
	for {
		v := a.unflattenOne(from, at+"."+strconv.Itoa(len(list)))
		if v == nil {
			break
		}
		list = append(list, v)
	}
	if list != nil {
		out[a.name] = list
	}
}

func (a *attribute) unflattenOne(from map[string]string, at string) any {
	if a.kind == composed {
		out := map[string]any{}
		for i := range a.sub {
			a.sub[i].unflatten(from, at+".", out)
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	v, ok := from[at]
	switch {
	case !ok:
		return nil
	case a.kind == boolean:
		return v == "true"
	}
	return showLines.Replace(v)
}
