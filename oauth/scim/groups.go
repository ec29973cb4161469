package scim

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	membersPage = 1000
	// maxAnswered is how many members one answer shows: some 4 MiB.
	maxAnswered = 20_000
)

var errTooMany = &fault{Status: http.StatusBadRequest, Type: "tooMany", Detail: "The groups have too many members for one answer: ask with excludedAttributes=members, or for fewer groups."}

func (h *Handler) ownGroup(c *call) (store.Group, error) {
	return h.store.Group(c.r.Context(), c.source.ID(), c.r.PathValue("id"))
}

// groupResource is g as an answer shows it. room is how many members the answer may still show; nil shows none.
func (h *Handler) groupResource(ctx context.Context, g store.Group, room *int) (map[string]any, error) {
	r := map[string]any{"schemas": []any{groupSchema}, "id": g.ID, "displayName": g.Name, "meta": h.meta(groups, g.ID, g.Created, g.Updated)}
	if g.ExternalID != "" {
		r["externalId"] = g.ExternalID
	}
	if room == nil {
		return r, nil
	}
	members := []any{}
	for after := ""; ; {
		page, err := h.store.Members(ctx, g.ID, after, membersPage)
		if err != nil {
			return nil, err
		}
		if *room -= len(page); *room < 0 {
			return nil, errTooMany
		}
		for _, m := range page {
			members = append(members, map[string]any{"value": m.ID, "$ref": h.location(users.endpoint, m.ID), "type": "User", "display": m.Name})
			after = m.ID
		}
		if len(page) < membersPage {
			break
		}
	}
	r["members"] = members
	return r, nil
}

// shown is groupResource with what the projection asks for.
func (h *Handler) shown(ctx context.Context, g store.Group, p projection, room *int) (map[string]any, error) {
	if !p.wants("members") {
		room = nil
	}
	r, err := h.groupResource(ctx, g, room)
	if err != nil {
		return nil, err
	}
	return p.of(r), nil
}

func (h *Handler) getGroup(c *call) (*answer, error) {
	g, err := h.ownGroup(c)
	if err != nil {
		return nil, err
	}
	return h.groupAnswer(c, http.StatusOK, g)
}

func (h *Handler) groupAnswer(c *call, status int, g store.Group) (*answer, error) {
	l, err := c.readListing(groups)
	if err != nil {
		return nil, err
	}
	room := h.most
	r, err := h.shown(c.r.Context(), g, l.projection, &room)
	if err != nil {
		return nil, err
	}
	a := &answer{status: status, body: r, version: version(g.Updated)}
	if status == http.StatusCreated {
		a.location = h.location(groups.endpoint, g.ID)
	}
	return a, nil
}

func (h *Handler) listGroups(c *call) (*answer, error) {
	l, err := c.readListing(groups)
	if err != nil {
		return nil, err
	}
	return h.findGroups(c, l)
}

func (h *Handler) searchGroups(c *call) (*answer, error) {
	l, err := c.readSearch(groups)
	if err != nil {
		return nil, err
	}
	return h.findGroups(c, l)
}

func (h *Handler) findGroups(c *call, l listing) (*answer, error) {
	q, none, err := groupQuery(c.source.ID(), l.filter)
	if err != nil {
		return nil, err
	}
	if none {
		return listAnswer(l, 0, nil), nil
	}
	q.Offset, q.Limit = l.start-1, l.count
	page, total, err := h.store.GroupsOf(c.r.Context(), q)
	if err != nil {
		return nil, err
	}
	var found []any
	room := h.most
	for _, g := range page {
		r, err := h.shown(c.r.Context(), g, l.projection, &room)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return listAnswer(l, total, found), nil
}

func (h *Handler) createGroup(c *call) (*answer, error) {
	change, err := c.readGroup()
	if err != nil {
		return nil, err
	}
	now := h.clock()
	g := store.Group{ID: oauth.NewID("grp"), Source: c.source.ID(), Name: *change.name, Created: now, Updated: now}
	if change.externalID != nil {
		g.ExternalID = *change.externalID
	}
	w := h.groupWrite(c, g, audit.KindGroupAdd, now)
	w.Add = *change.members
	done, err := h.store.CreateGroup(c.r.Context(), w)
	if err != nil {
		return nil, err
	}
	h.tell(c, "added group", "group", g.ID)
	return h.groupAnswer(c, http.StatusCreated, done.Group)
}

// groupWrite is a write about g. A group that confers a role is closed to a source that may not grant, and the write itself asks.
func (h *Handler) groupWrite(c *call, g store.Group, kind audit.Kind, now time.Time) store.GroupWrite {
	w := store.GroupWrite{Write: h.write(c, now, h.groupEntry(c, kind, g, now)), Group: g, By: c.by(), Issuer: h.issuer}
	if !c.source.MayGrant {
		w.Closed = h.registry.FlaggedGroups()
	}
	return w
}

func (h *Handler) putGroup(c *call) (*answer, error) {
	change, err := c.readGroup()
	if err != nil {
		return nil, err
	}
	g, err := h.changeGroup(c, change)
	if err != nil {
		return nil, err
	}
	return h.groupAnswer(c, http.StatusOK, g)
}

// patchGroup answers nothing unless it is asked to: a group may have thousands of members.
func (h *Handler) patchGroup(c *call) (*answer, error) {
	body, err := readBody(c.w, c.r)
	if err != nil {
		return nil, err
	}
	ops, err := readPatch(groups, body)
	if err != nil {
		return nil, err
	}
	change, err := foldOperations(ops)
	if err != nil {
		return nil, err
	}
	g, err := h.changeGroup(c, change)
	if err != nil {
		return nil, err
	}
	if c.r.URL.Query().Has("attributes") {
		return h.groupAnswer(c, http.StatusOK, g)
	}
	return &answer{status: http.StatusNoContent, version: version(g.Updated)}, nil
}

// changeGroup writes what change makes of a group, and begins anew if somebody else wrote in between. If-Match is asked each time.
func (h *Handler) changeGroup(c *call, change groupChange) (store.Group, error) {
	for range tries {
		g, err := h.changeGroupOnce(c, change)
		if !errors.Is(err, impersonation.ErrChanged) {
			return g, err
		}
	}
	return store.Group{}, errBusy
}

func (h *Handler) changeGroupOnce(c *call, change groupChange) (store.Group, error) {
	was, err := h.ownGroup(c)
	if err != nil {
		return was, err
	}
	if err := c.mayChange(was.Updated); err != nil {
		return was, err
	}
	now := h.clock()
	g := was
	g.Updated = now
	if change.name != nil {
		g.Name = *change.name
	}
	if change.externalID != nil {
		g.ExternalID = *change.externalID
	}
	if !now.After(was.Updated) {
		g.Updated = was.Updated.Add(time.Millisecond)
	}
	w := h.groupWrite(c, g, audit.KindGroupChange, now)
	if was.Name != g.Name {
		w.Entries[0].Set("was_group_name", was.Name)
	}
	w.Was, w.Members, w.Add, w.Remove = was.Updated, change.members, change.add, change.remove
	done, err := h.store.ChangeGroup(c.r.Context(), w)
	if err == nil && done.Changed {
		h.tell(c, "changed group", "group", g.ID)
	}
	return done.Group, err
}

func (h *Handler) deleteGroup(c *call) (*answer, error) {
	for range tries {
		err := h.deleteGroupOnce(c)
		if errors.Is(err, impersonation.ErrChanged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		h.tell(c, "deleted group", "group", c.r.PathValue("id"))
		return &answer{status: http.StatusNoContent}, nil
	}
	return nil, errBusy
}

func (h *Handler) deleteGroupOnce(c *call) error {
	g, err := h.ownGroup(c)
	if err != nil {
		return err
	}
	if err := c.mayChange(g.Updated); err != nil {
		return err
	}
	w := h.groupWrite(c, g, audit.KindGroupRemove, h.clock())
	w.Was = g.Updated
	_, err = h.store.DeleteGroup(c.r.Context(), w)
	return err
}
