package scim

import (
	"strings"
	"time"
)

// matches reports whether a resource, or a value of a multi-valued attribute, is one that the bound filter names. Of an attribute with
// several values it is enough that one does.
func (f *term) matches(m map[string]any) bool {
	switch f.op {
	case "and":
		return f.left.matches(m) && f.right.matches(m)
	case "or":
		return f.left.matches(m) || f.right.matches(m)
	case "not":
		return !f.left.matches(m)
	}
	values, at := f.path.values(m), f.path.chain.last()
	if f.op == "pr" {
		return len(values) > 0
	}
	if f.value == nil {
		return (f.op == "eq") == (len(values) == 0) // null is no value (RFC 7643 §2.5)
	}
	if len(values) == 0 {
		return f.op == "ne"
	}
	for _, v := range values {
		if f.compares(at, v) {
			return true
		}
	}
	return false
}

// values gives those that p names in m. Of a complex attribute that is compared whole it is the value of each (RFC 7644 §3.4.2.2).
func (p *path) values(m map[string]any) []any {
	found := p.chain[:p.outer].lookUp(m)
	if p.where != nil {
		var out []any
		for _, v := range found {
			if o, ok := v.(map[string]any); ok && p.where.matches(o) {
				out = append(out, v)
			}
		}
		found = out
	}
	if p.outer == len(p.chain) {
		return found
	}
	var out []any
	for _, v := range found {
		if o, ok := v.(map[string]any); ok {
			out = append(out, p.chain[p.outer:].lookUp(o)...)
		}
	}
	return out
}

func (f *term) compares(a *attribute, v any) bool {
	if o, ok := v.(map[string]any); ok {
		if a = named(a.sub, "value"); a == nil {
			return false
		}
		v = o[a.name]
	}
	if b, ok := v.(bool); ok {
		return (b == f.value) == (f.op == "eq")
	}
	have, ok := v.(string)
	want, ok2 := f.value.(string)
	switch {
	case !ok || !ok2:
		return false
	case a.kind == instant:
		return compareTimes(f.op, have, want)
	case !a.exact:
		have, want = strings.ToLower(have), strings.ToLower(want)
	}
	return compareText(f.op, have, want)
}

func compareText(op, have, want string) bool {
	switch op {
	case "co":
		return strings.Contains(have, want)
	case "sw":
		return strings.HasPrefix(have, want)
	case "ew":
		return strings.HasSuffix(have, want)
	}
	return ordered(op, strings.Compare(have, want))
}

func compareTimes(op, have, want string) bool {
	h, err := time.Parse(time.RFC3339, have)
	w, err2 := time.Parse(time.RFC3339, want)
	return err == nil && err2 == nil && ordered(op, h.Compare(w))
}

func ordered(op string, c int) bool {
	switch op {
	case "eq":
		return c == 0
	case "ne":
		return c != 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	}
	return false
}
