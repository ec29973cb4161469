package scim

import (
	"maps"
	"slices"

	"github.com/understudy-id/understudy/oauth/directory"
)

// groupChange is what a group shall be. What is nil stays. members are all that there shall be; add and remove, in which nobody is twice,
// come after it.
type groupChange struct {
	name, externalID *string
	members          *[]string
	add, remove      []string
	moves            map[string]bool // of a PATCH, by id: whether the last word on them is that they come
}

// readGroup reads a whole group, but for an externalId that is left out.
func (c *call) readGroup() (g groupChange, err error) {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return g, err
	}
	r, err := groups.readResource(body)
	if err != nil {
		return g, err
	}
	if err := g.setName(r["displayName"]); err != nil {
		return g, err
	}
	if _, said := body["externalid"]; said { // else it stays, as a user's does
		if err := g.setExternalID(r["externalId"]); err != nil {
			return g, err
		}
	}
	ids := memberIDs(r["members"])
	g.members = &ids
	return g, nil
}

// foldOperations makes one change of all operations of a PATCH, so that nobody has to read the members.
func foldOperations(ops []operation) (g groupChange, err error) {
	g.moves = map[string]bool{}
	for _, o := range ops {
		switch o.path.chain[0].name {
		case "displayName":
			err = o.fold("displayName", g.setName)
		case "externalId":
			err = o.fold("externalId", g.setExternalID)
		case "members":
			err = g.changeMembers(o)
		}
		if err != nil {
			return g, err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.moves)) {
		if g.moves[id] {
			g.add = append(g.add, id)
		} else {
			g.remove = append(g.remove, id)
		}
	}
	return g, nil
}

// fold gives set the value that a simple attribute gets, nil for none.
func (o operation) fold(name string, set func(any) error) error {
	if o.op == "remove" {
		return set(nil)
	}
	v, err := o.path.chain.last().read(name, o.value)
	if err != nil {
		return err
	}
	return set(v)
}

func (g *groupChange) setName(v any) error {
	name, _ := v.(string)
	switch {
	case name == "":
		return valueFault("displayName", "must be given")
	case !directory.ValidLabel(name):
		return valueFault("displayName", directory.RuleLabel)
	}
	g.name = &name
	return nil
}

func (g *groupChange) setExternalID(v any) error {
	id, _ := v.(string)
	if id != "" && !directory.ValidLabel(id) {
		return valueFault("externalId", directory.RuleLabel)
	}
	g.externalID = &id
	return nil
}

// changeMembers reads what an operation says of the members: all of them, those in its value, or those whom its filter names by value.
func (g *groupChange) changeMembers(o operation) error {
	if len(o.path.chain) > 1 {
		return pathFault("path: members come and go whole.")
	}
	ids, err := o.memberIDs()
	switch {
	case err != nil:
		return err
	case o.op == "remove" && o.path.where == nil && o.value == nil, o.op == "replace":
		g.members = &ids
		clear(g.moves)
	default:
		for _, id := range ids {
			g.moves[id] = o.op == "add"
		}
	}
	return nil
}

// memberIDs are whom an operation names.
func (o operation) memberIDs() ([]string, error) {
	switch {
	case o.path.where != nil && o.op != "remove":
		return nil, pathFault("path: members are added without a filter, and removed with one.")
	case o.path.where != nil:
		return o.path.where.alternatives()
	case o.value == nil:
		return []string{}, nil
	}
	members := o.path.chain[0]
	v, err := members.read("members", coerced(members, o.value))
	if err != nil {
		return nil, err
	}
	return memberIDs(v), nil
}

// alternatives are the values that a filter of members names: by eq, joined by or.
func (f *term) alternatives() ([]string, error) {
	if f.op == "or" {
		left, err := f.left.alternatives()
		if err != nil {
			return nil, err
		}
		right, err := f.right.alternatives()
		return append(left, right...), err
	}
	id, ok := f.value.(string)
	if f.op != "eq" || !ok || f.path.chain.dotted() != "value" {
		return nil, filterFault("path: members are named by value with eq, joined by or.")
	}
	return []string{id}, nil
}

// memberIDs gives the values of members as they were read: each has one.
func memberIDs(v any) []string {
	members, _ := v.([]any)
	out := make([]string, 0, len(members))
	for _, m := range members {
		out = append(out, m.(map[string]any)["value"].(string))
	}
	return out
}
