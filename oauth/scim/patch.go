package scim

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// maxOperations bounds a PATCH: Entra sends one for each member that leaves a group. What a value without a path names is as many.
const maxOperations = 1000

// operation is one change of a PATCH (RFC 7644 §3.5.2). Without a path it is about the whole resource.
type operation struct {
	op    string // "add", "replace", "remove"
	at    string // in the body, for faults
	path  *path
	value any // as parsed: nil for none
}

// readPatch reads a PATCH of a resource of type t. The case of op does not count: Entra writes "Add" and "Replace". An operation on the
// whole resource becomes one on each attribute that its value names, and those names may be paths, as Entra sends them. What has no
// effect here is left out.
func readPatch(t *resourceType, body object) ([]operation, error) {
	if err := body.wantSchema(patchSchema); err != nil {
		return nil, err
	}
	list, _ := body["operations"].([]any)
	if len(list) < 1 || len(list) > maxOperations {
		return nil, tooManyOperations()
	}
	var out []operation
	for i, item := range list {
		ops, err := readOperation(t, fmt.Sprintf("Operations[%d]", i), item)
		if err != nil {
			return nil, err
		}
		if out = append(out, ops...); len(out) > maxOperations {
			return nil, tooManyOperations()
		}
	}
	return out, nil
}

func tooManyOperations() error {
	return valueFault("Operations", fmt.Sprintf("must be an array of 1 to %d, and each attribute in a value without a path is one", maxOperations))
}

func readOperation(t *resourceType, at string, item any) ([]operation, error) {
	o, ok := item.(object)
	if !ok {
		return nil, valueFault(at, "must be an object")
	}
	op, _ := o["op"].(string)
	op = strings.ToLower(op)
	if op != "add" && op != "replace" && op != "remove" {
		return nil, syntaxFault(at + ".op: must be add, replace or remove.")
	}
	where, ok := o["path"].(string)
	switch {
	case !ok && o["path"] != nil:
		return nil, pathFault(at + ".path: must be a string.")
	case where == "" && op == "remove":
		return nil, &fault{Status: http.StatusBadRequest, Type: "noTarget", Detail: at + ".path: a removal must say of what."}
	case where == "":
		return readWhole(t, op, at, o["value"])
	case o["value"] == nil && op == "add":
		return nil, valueFault(at+".value", "must be given")
	}
	one, err := readTargeted(t, op, at, where, o["value"])
	if err != nil || one == nil {
		return nil, err
	}
	if one.path.chain[0].readOnly || one.path.chain.last().readOnly {
		return nil, &fault{Status: http.StatusBadRequest, Type: "mutability", Detail: at + ".path: the attribute is read only."}
	}
	return []operation{*one}, nil
}

// readTargeted gives nil where the path leads to what has no effect.
func readTargeted(t *resourceType, op, at, where string, value any) (*operation, error) {
	p, err := parsePath(t, where)
	if err != nil {
		return nil, err
	}
	if p.chain == nil {
		return nil, nil
	}
	if value == nil && op == "replace" {
		op = "remove" // by null (RFC 7643 §2.5)
	}
	return &operation{op, at + ".value", &p, value}, nil
}

// readWhole reads an operation without a path. As in a whole resource, what is not known there and what is read only is left out.
func readWhole(t *resourceType, op, at string, value any) ([]operation, error) {
	o, ok := value.(object)
	if !ok {
		return nil, valueFault(at+".value", "must be an object, where there is no path")
	}
	if len(o) > maxOperations {
		return nil, tooManyOperations()
	}
	var out []operation
	for _, name := range slices.Sorted(maps.Keys(o)) { // "name" before "name.givenname"
		if plain := attributeName(name); plain && t.find(name) == nil {
			continue
		}
		one, err := readTargeted(t, op, at, name, o[name])
		if err != nil {
			return nil, err
		}
		if one != nil && !one.path.chain[0].readOnly {
			out = append(out, *one)
		}
	}
	return out, nil
}

// apply changes resource, which is read anew for every try.
func (o operation) apply(resource map[string]any) error {
	return o.change(resource, o.path.chain, o.path.outer)
}

// change goes down c in m; outer is how much of c stands before the path's filter.
func (o operation) change(m map[string]any, c chain, outer int) error {
	a := c[0]
	switch {
	case len(c) == 1 && (outer != 1 || o.path.where == nil):
		return o.set(m, a)
	case a.multi:
		return o.changeValues(m, c, outer)
	}
	child, _ := m[a.name].(map[string]any)
	child = cloned(child)
	if err := o.change(child, c[1:], outer-1); err != nil {
		return err
	}
	put(m, a.name, child, len(child) == 0)
	return nil
}

// changeValues changes the values of a multi-valued attribute that the filter names, or all. Where there is none, add makes one that the
// filter would name, and replace fails (RFC 7644 §3.5.2.3).
func (o operation) changeValues(m map[string]any, c chain, outer int) error {
	a := c[0]
	list, _ := m[a.name].([]any)
	var out []any
	found := false
	for _, item := range list {
		value, _ := item.(map[string]any)
		if outer == 1 && o.path.where != nil && !o.path.where.matches(value) {
			out = append(out, item)
			continue
		}
		found = true
		value = cloned(value)
		if err := o.changeValue(value, c); err != nil {
			return err
		}
		if len(value) > 0 {
			out = append(out, value)
		}
	}
	if !found {
		fresh, err := o.fresh(c)
		if err != nil || fresh == nil {
			return err
		}
		out = append(out, fresh)
	}
	if len(out) > maxValues {
		return valueFault(a.name, fmt.Sprintf("must have at most %d values", maxValues))
	}
	put(m, a.name, onePrimary(list, out), len(out) == 0)
	return nil
}

// fresh is the value that an add makes where the filter names none.
func (o operation) fresh(c chain) (map[string]any, error) {
	switch {
	case o.op == "remove":
		return nil, nil
	case o.op == "replace" && o.path.where != nil:
		return nil, &fault{Status: http.StatusBadRequest, Type: "noTarget", Detail: "path: no value of " + c[0].name + " is one that the filter names."}
	}
	value := map[string]any{}
	o.path.where.fill(value)
	return value, o.changeValue(value, c)
}

// changeValue changes one value of the multi-valued attribute c[0]: a sub-attribute, or all of it.
func (o operation) changeValue(value map[string]any, c chain) error {
	if len(c) > 1 {
		return o.change(value, c[1:], 0)
	}
	if o.op != "add" {
		clear(value)
	}
	if o.op == "remove" {
		return nil
	}
	v, err := c[0].readOne(o.at, o.value)
	if fresh, ok := v.(map[string]any); ok {
		maps.Copy(value, fresh)
	}
	return err
}

// fill gives m the values that a filter asks for by eq, all joined by and.
func (f *term) fill(m map[string]any) {
	switch {
	case f == nil:
	case f.op == "and":
		f.left.fill(m)
		f.right.fill(m)
	case f.op == "eq" && f.path.where == nil && len(f.path.chain) == 1 && f.value != nil:
		m[f.path.chain[0].name] = f.value
	}
}

// set changes a whole attribute of m.
func (o operation) set(m map[string]any, a *attribute) error {
	have, _ := m[a.name].([]any)
	if o.op == "remove" && a.multi && o.value != nil { // only these: how Entra takes away members
		return o.take(m, a, have)
	}
	if o.op == "remove" {
		delete(m, a.name)
		return nil
	}
	v, err := a.read(o.at, coerced(a, o.value))
	if err != nil {
		return err
	}
	switch fresh := v.(type) {
	case map[string]any: // what is not said of a complex attribute stays, also by replace (RFC 7644 §3.5.2.3)
		child, _ := m[a.name].(map[string]any)
		child = cloned(child)
		maps.Copy(child, fresh)
		v = child
	case []any:
		if o.op == "add" {
			fresh = joined(have, fresh)
		} else {
			have = nil
		}
		if len(fresh) > maxValues {
			return valueFault(a.name, fmt.Sprintf("must have at most %d values", maxValues))
		}
		v = onePrimary(have, fresh)
	}
	if v != nil || o.op == "replace" {
		put(m, a.name, v, v == nil)
	}
	return nil
}

// take removes the values that the operation names.
func (o operation) take(m map[string]any, a *attribute, have []any) error {
	v, err := a.read(o.at, coerced(a, o.value))
	if err != nil {
		return err
	}
	gone, _ := v.([]any)
	left := slices.DeleteFunc(slices.Clone(have), func(h any) bool {
		return slices.ContainsFunc(gone, func(g any) bool { return within(g, h) })
	})
	put(m, a.name, left, len(left) == 0)
	return nil
}

// coerced takes the shapes in which values come that are not the schema's: one value of several, and the bare value of a complex
// attribute, as Entra sends the manager.
func coerced(a *attribute, v any) any {
	list, many := v.([]any)
	_, bare := v.(string)
	switch {
	case a.multi && !many && v != nil:
		return []any{v}
	case !a.multi && a.kind == composed && many && len(list) == 1:
		return list[0]
	case !a.multi && a.kind == composed && bare && named(a.sub, "value") != nil:
		return object{"value": v}
	}
	return v
}

// joined is have and those of more that are not there yet.
func joined(have, more []any) []any {
	out := slices.Clone(have)
	for _, m := range more {
		if !slices.ContainsFunc(out, func(h any) bool { return reflect.DeepEqual(h, m) }) {
			out = append(out, m)
		}
	}
	return out
}

// within reports whether all that part says is so in whole.
func within(part, whole any) bool {
	p, ok := part.(map[string]any)
	w, ok2 := whole.(map[string]any)
	if !ok || !ok2 {
		return reflect.DeepEqual(part, whole)
	}
	for name, v := range p {
		if !within(v, w[name]) {
			return false
		}
	}
	return true
}

// onePrimary sees to it that at most one value is primary: one that was not before wins (RFC 7644 §3.5.2).
func onePrimary(before, list []any) []any {
	primary := func(v any) bool {
		o, _ := v.(map[string]any)
		return o["primary"] == true
	}
	keep := -1
	for i, v := range list {
		was := slices.ContainsFunc(before, func(b any) bool { return reflect.DeepEqual(b, v) })
		if primary(v) && (keep < 0 || !was) {
			keep = i
		}
	}
	out := slices.Clone(list)
	for i, v := range out {
		if primary(v) && i != keep {
			o := cloned(v.(map[string]any))
			o["primary"] = false
			out[i] = o
		}
	}
	return out
}

// cloned copies, so that a resource which is compared later stays what it was; nil gives an empty map.
func cloned(m map[string]any) map[string]any {
	out := make(map[string]any, len(m)+1)
	maps.Copy(out, m)
	return out
}

func put(m map[string]any, name string, v any, none bool) {
	if none {
		delete(m, name)
		return
	}
	m[name] = v
}
