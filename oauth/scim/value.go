package scim

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
)

const (
	// maxText is what a value of directory.User.Attributes may have.
	maxText = 1024 // bytes
	// maxValues bounds what a user has of a multi-valued attribute; the members of a group have their own bound.
	maxValues = 20
)

// read gives the value of a as we keep it: string, bool, []any, or map[string]any by the names of the schema; nil for none, which null,
// an empty string, an empty array and an object with nothing in it are too (RFC 7643 §2.5). What the schema does not know is left out.
func (a *attribute) read(at string, v any) (any, error) {
	if !a.multi || v == nil {
		return a.readOne(at, v)
	}
	list, ok := v.([]any)
	if !ok {
		return nil, valueFault(at, "must be an array")
	}
	if most := cmp.Or(a.most, maxValues); len(list) > most {
		return nil, valueFault(at, fmt.Sprintf("must have at most %d values", most))
	}
	var out []any
	for i, item := range list {
		one, err := a.readOne(fmt.Sprintf("%s[%d]", at, i), item)
		if err != nil {
			return nil, err
		}
		if one != nil {
			out = append(out, one)
		}
	}
	if out == nil {
		return nil, nil
	}
	return out, nil
}

func (a *attribute) readOne(at string, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch a.kind {
	case composed:
		o, ok := v.(object)
		if !ok {
			return nil, valueFault(at, "must be an object")
		}
		return a.readObject(at, o)
	case boolean:
		return readBool(at, v)
	}
	s, ok := v.(string)
	switch {
	case !ok:
		return nil, valueFault(at, "must be a string")
	case s == "":
		return nil, nil
	case len(s) > maxText || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }):
		return nil, valueFault(at, fmt.Sprintf("must be at most %d bytes, without control characters", maxText))
	}
	return s, nil
}

func (a *attribute) readObject(at string, o object) (any, error) {
	out := map[string]any{}
	for i := range a.sub {
		s := &a.sub[i]
		v, err := s.read(at+"."+s.name, o[strings.ToLower(s.name)])
		switch {
		case err != nil:
			return nil, err
		case v == nil && s.required:
			return nil, valueFault(at+"."+s.name, "must be given")
		case v != nil && !s.readOnly:
			out[s.name] = v
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// readBool takes "True" and "False" too, which Entra sends.
func readBool(at string, v any) (any, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	s, _ := v.(string)
	switch strings.ToLower(s) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, valueFault(at, "must be true or false")
}

// readResource reads what a client may say of a resource; what is read only is left out.
func (t *resourceType) readResource(body object) (map[string]any, error) {
	if err := body.wantSchema(t.schema); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for i := range t.attributes {
		a := &t.attributes[i]
		if a.readOnly {
			continue
		}
		v, err := a.read(a.name, body[strings.ToLower(a.name)])
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[a.name] = v
		}
	}
	return out, nil
}

// lookUp gives all values of c in m, through every value of what is multi-valued.
func (c chain) lookUp(m map[string]any) []any {
	v, ok := m[c[0].name]
	if !ok {
		return nil
	}
	list, many := v.([]any)
	if !many {
		list = []any{v}
	}
	if len(c) == 1 {
		return list
	}
	var out []any
	for _, item := range list {
		if o, ok := item.(map[string]any); ok {
			out = append(out, c[1:].lookUp(o)...)
		}
	}
	return out
}
