package scim

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// tries is more often than a source and its own retries can collide without a defect behind it.
const tries = 10

// ownUser finds a user of the source; what is not its own does not exist.
func (h *Handler) ownUser(c *call) (directory.User, error) {
	u, err := h.store.Get(c.r.Context(), c.r.PathValue("id"))
	if err == nil && u.Source != c.source.ID() {
		err = errNotFound
	}
	if err == nil {
		c.user = u.ID
	}
	return u, err
}

func (h *Handler) getUser(c *call) (*answer, error) {
	u, err := h.ownUser(c)
	if err != nil {
		return nil, err
	}
	return h.userAnswer(c, http.StatusOK, u)
}

// userAnswer shows u as the query of the request asks.
func (h *Handler) userAnswer(c *call, status int, u directory.User) (*answer, error) {
	l, err := c.readListing(users)
	if err != nil {
		return nil, err
	}
	a := &answer{status: status, body: l.projection.of(h.userResource(u)), version: version(u.Updated)}
	if status == http.StatusCreated {
		a.location = h.location(users.endpoint, u.ID)
	}
	return a, nil
}

func (h *Handler) listUsers(c *call) (*answer, error) {
	l, err := c.readListing(users)
	if err != nil {
		return nil, err
	}
	return h.findUsers(c, l)
}

func (h *Handler) searchUsers(c *call) (*answer, error) {
	l, err := c.readSearch(users)
	if err != nil {
		return nil, err
	}
	return h.findUsers(c, l)
}

func (h *Handler) findUsers(c *call, l listing) (*answer, error) {
	q, exact, none, err := userQuery(c.source.ID(), l.filter)
	if err != nil {
		return nil, err
	}
	if none {
		return listAnswer(l, 0, nil), nil
	}
	q.Offset, q.Limit = l.start-1, l.count
	if !exact { // the store finds few, and the filter is asked of each
		q.Offset, q.Limit = 0, maxResults
	}
	page, total, err := h.store.UsersOf(c.r.Context(), q)
	if err != nil {
		return nil, err
	}
	var found []any
	for _, u := range page {
		if r := h.userResource(u); exact || l.filter.matches(r) {
			found = append(found, l.projection.of(r))
		}
	}
	if exact {
		return listAnswer(l, total, found), nil
	}
	first := min(l.start-1, len(found))
	return listAnswer(l, len(found), found[first:min(first+l.count, len(found))]), nil
}

func (h *Handler) createUser(c *call) (*answer, error) {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return nil, err
	}
	r, err := users.readResource(body)
	if err != nil {
		return nil, err
	}
	now := h.clock()
	u := directory.User{ID: directory.NewID(), Source: c.source.ID(), Enabled: true, Created: now.Truncate(time.Second), Updated: now}
	if err := fill(&u, r, c.source, nil); err != nil {
		return nil, err
	}
	if err := h.anew(c, directory.User{}, u); err != nil {
		return nil, err
	}
	if err := h.store.CreateUser(c.r.Context(), store.UserWrite{Write: h.write(c, now, h.added(c, u, now)), User: u}); err != nil {
		return nil, err
	}
	h.tell(c, "added user", "user", u.ID)
	return h.userAnswer(c, http.StatusCreated, u)
}

func (h *Handler) putUser(c *call) (*answer, error) {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return nil, err
	}
	r, err := users.readResource(body)
	_, said := body["externalid"]
	return h.changeUser(c, wish{off: putsOff(body), change: func(u *directory.User) (bool, error) {
		if err != nil {
			return false, err
		}
		whole := maps.Clone(r)
		if !said && u.ExternalID != "" {
			// What a PUT leaves out may stay as it is (RFC 7644 §3.5.1), and Okta's leaves this out: it tells it once, when it makes the user.
			whole["externalId"] = u.ExternalID
		}
		return letsIn(whole, *u, c.source), fill(u, whole, c.source, nil)
	}})
}

func (h *Handler) patchUser(c *call) (*answer, error) {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return nil, err
	}
	ops, err := readPatch(users, body)
	return h.changeUser(c, wish{off: patchesOff(body), change: func(u *directory.User) (bool, error) {
		if err != nil {
			return false, err
		}
		return h.applyAll(u, ops, c.source)
	}})
}

// applyAll makes of u what ops say, and of what they are not about nothing: that may be as it is for other reasons than the source's.
func (h *Handler) applyAll(u *directory.User, ops []operation, s store.Source) (leaves bool, err error) {
	r, touched := h.userResource(*u), map[string]bool{}
	for _, op := range ops {
		if err := op.apply(r); err != nil {
			return false, err
		}
		touched[op.path.chain[0].name] = true
	}
	if r["active"] == nil {
		return false, &fault{Status: http.StatusBadRequest, Type: "mutability", Detail: "active: cannot be removed; send false."}
	}
	return letsIn(r, *u, s), fill(u, r, s, touched)
}

// changeUser writes what a source wishes of a user, and begins anew if somebody else wrote in between. If-Match is asked each time.
func (h *Handler) changeUser(c *call, w wish) (*answer, error) {
	if !w.off {
		if err := h.mayWrite(c); err != nil {
			return nil, err
		}
	}
	for range tries {
		u, err := h.changeUserOnce(c, w)
		if errors.Is(err, impersonation.ErrChanged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return h.userAnswer(c, http.StatusOK, u)
	}
	return nil, errBusy
}

func (h *Handler) changeUserOnce(c *call, w wish) (directory.User, error) {
	was, err := h.ownUser(c)
	if err != nil {
		return was, err
	}
	if err := c.mayChange(was.Updated); err != nil {
		return was, err
	}
	if w.off && !was.Enabled { // it puts nobody out
		if err := h.mayWrite(c); err != nil {
			return was, err
		}
	}
	u, left := was, omission{}
	lets, err := w.change(&u)
	if err == nil {
		err = h.guard(was, u, c.source)
	}
	if err == nil {
		err = h.anew(c, was, u)
	}
	if lets { // the rest is done, as the answer shows
		left = omission{"active", ruleDisabled}
	}
	if err == nil {
		err = h.saveUser(c, was, &u, left)
	}
	if w.off && was.Enabled && refuses(err) { // the rest is left out, as the answer shows; that they are out is not
		u, left = was, omission{"rest", toFault(err).rule()}
		activate(&u, false, c.source)
		err = h.saveUser(c, was, &u, left)
	}
	return u, err
}

// saveUser writes u, with all that ends by it and what is left out, unless nothing changed.
func (h *Handler) saveUser(c *call, was directory.User, u *directory.User, left omission) error {
	if same(was, *u) {
		if !left.isZero() { // no other entry would tell
			h.record(c, left.by)
			h.tellLeft(c, left)
		}
		return nil
	}
	now := h.clock()
	if u.Updated = now; !now.After(was.Updated) {
		u.Updated = was.Updated.Add(time.Millisecond) // the store's resolution: any two versions differ
	}
	d := h.difference(c, was, *u, now)
	left.set(d.entries)
	w := store.UserWrite{Write: h.write(c, now, d.entries...), User: *u, Was: was.Updated, EndLogins: d.endLogins, EndConsents: was.Enabled && !u.Enabled}
	if d.reason != "" {
		w.Ends = h.ends(c, u.ID, d.reason)
	}
	if err := h.store.UpdateUser(c.r.Context(), w); err != nil {
		return err
	}
	h.tell(c, d.did, "user", u.ID)
	if !left.isZero() {
		h.tellLeft(c, left)
	}
	return nil
}

func (h *Handler) deleteUser(c *call) (*answer, error) {
	for range tries {
		err := h.deleteUserOnce(c)
		if errors.Is(err, impersonation.ErrChanged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		h.tell(c, "deleted user", "user", c.r.PathValue("id"))
		return &answer{status: http.StatusNoContent}, nil
	}
	return nil, errBusy
}

func (h *Handler) deleteUserOnce(c *call) error {
	u, err := h.ownUser(c)
	if err != nil {
		return err
	}
	if err := c.mayChange(u.Updated); err != nil {
		return err
	}
	if refused := h.mayDelete(u, c.source); refused != nil {
		out := u
		activate(&out, false, c.source)
		return cmp.Or(h.saveUser(c, u, &out, omission{}), refused)
	}
	now := h.clock()
	return h.store.DeleteUser(c.r.Context(), store.UserWrite{
		Write: h.write(c, now, h.deleted(c, u, now)), User: u, Was: u.Updated, Ends: h.ends(c, u.ID, impersonation.EndDisabled), EndLogins: true,
	})
}
