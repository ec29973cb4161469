package scim

import (
	"slices"
	"strings"
)

// projection says which attributes an answer has (RFC 7644 §3.9). The zero value is all.
type projection struct {
	only, without []chain
	limited       bool // only counts, also where it names nothing that there is
}

// projectionOf reads attributes and excludedAttributes. What is no attribute selects nothing.
func projectionOf(t *resourceType, only, without []string) projection {
	return projection{chains(t, only), chains(t, without), len(only) > 0}
}

func chains(t *resourceType, names []string) (out []chain) {
	for _, name := range names {
		if c := t.find(strings.TrimSpace(name)); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// always are the attributes that every answer has (RFC 7643 §7, returned "always").
var always = []string{"schemas", "id"}

// wants reports whether anything of the attribute of that name is asked for.
func (p projection) wants(name string) bool {
	begins := func(c chain) bool { return c[0].name == name }
	if p.limited {
		return slices.ContainsFunc(p.only, begins)
	}
	return !slices.ContainsFunc(p.without, func(c chain) bool { return len(c) == 1 && begins(c) })
}

// of gives what r has of what is asked for.
func (p projection) of(r map[string]any) map[string]any {
	if p.limited {
		out := map[string]any{}
		for _, name := range always {
			out[name] = r[name]
		}
		for _, c := range p.only {
			pick(out, r, c)
		}
		return out
	}
	for _, c := range p.without {
		if !slices.Contains(always, c[0].name) {
			r = drop(r, c)
		}
	}
	return r
}

// pick copies what c names from src into dst.
func pick(dst, src map[string]any, c chain) {
	name := c[0].name
	v, ok := src[name]
	switch {
	case !ok:
		return
	case len(c) == 1:
		dst[name] = v
		return
	}
	switch v := v.(type) {
	case map[string]any:
		part, _ := dst[name].(map[string]any)
		part = cloned(part)
		pick(part, v, c[1:])
		dst[name] = part
	case []any:
		have, _ := dst[name].([]any)
		out := make([]any, len(v))
		for i, item := range v {
			part := map[string]any{}
			if i < len(have) {
				part = cloned(have[i].(map[string]any))
			}
			if whole, ok := item.(map[string]any); ok {
				pick(part, whole, c[1:])
			}
			out[i] = part
		}
		dst[name] = out
	}
}

// drop gives src without what c names.
func drop(src map[string]any, c chain) map[string]any {
	out, name := cloned(src), c[0].name
	if len(c) == 1 {
		delete(out, name)
		return out
	}
	switch v := src[name].(type) {
	case map[string]any:
		out[name] = drop(v, c[1:])
	case []any:
		left := make([]any, len(v))
		for i, item := range v {
			left[i] = item
			if whole, ok := item.(map[string]any); ok {
				left[i] = drop(whole, c[1:])
			}
		}
		out[name] = left
	}
	return out
}
