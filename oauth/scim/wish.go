package scim

import (
	"errors"
	"strings"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// wish is what a request wants of a user. Where RFC 7644 §3.5.2 would have all of it or nothing, we let a request that puts somebody out
// do that whatever else in it is refused: an address that may not change must not keep in whom the company has let go.
type wish struct {
	off bool // it disables
	// change does it, and reports whether it would let in who is barred, which is left out.
	change func(*directory.User) (letsIn bool, err error)
}

// letsIn reports whether r says that u is active, whom somebody else than the source keeps out.
func letsIn(r map[string]any, u directory.User, s store.Source) bool {
	return r["active"] == true && barred(u, s)
}

// omission is what was left out of a request that was not refused as a whole: "active", or the "rest" beside it; and by which rule.
type omission struct{ what, by string }

func (o omission) isZero() bool { return o == omission{} }

func (o omission) set(entries []audit.Entry) {
	for i := range entries {
		entries[i].Set("left_out", o.what)
		entries[i].Set("left_out_by", o.by)
	}
}

// refuses reports whether err says no to a change, and neither that the store is away nor that the user was another meanwhile.
func refuses(err error) bool {
	return err != nil && toFault(err) != errUnavailable && toFault(err) != errNotFound && !errors.Is(err, impersonation.ErrChanged)
}

// putsOff reports whether a whole resource says that its user is disabled, also one that cannot be read as a whole.
func putsOff(body object) bool { return body.wantSchema(userSchema) == nil && isOff(body["active"]) }

// patchesOff reports whether the last that a PATCH says of active is false, also where its other operations cannot be read.
func patchesOff(body object) (off bool) {
	list, _ := body["operations"].([]any)
	if len(list) > maxOperations || body.wantSchema(patchSchema) != nil {
		return false
	}
	for _, item := range list {
		o, _ := item.(object)
		where, _ := o["path"].(string)
		said, whole := o["value"].(object)
		if !whole || where != "" {
			said = object{where: o["value"]}
		}
		if op, _ := o["op"].(string); !strings.EqualFold(op, "add") && !strings.EqualFold(op, "replace") {
			continue
		}
		for name, v := range said {
			if c := users.find(name); len(c) == 1 && c[0].name == "active" {
				off = isOff(v)
			}
		}
	}
	return off
}

func isOff(active any) bool {
	on, err := readBool("active", active)
	return err == nil && on == false
}
