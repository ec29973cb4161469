package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// MemberChange is what a GroupWrite made of somebody's membership. The values never change once written.
type MemberChange string

// The changes.
const (
	MemberAdded   MemberChange = "added"
	MemberRemoved MemberChange = "removed"
	MemberRenamed MemberChange = "renamed" // the group got another name
)

// Check gives ErrTooLong unless w names at most MaxMembers in each list and an index can hold the group, and ErrMember for an ID that no
// column could hold. Backends call it before they write.
func (w GroupWrite) Check() error {
	for _, l := range [][]string{w.Add, w.Remove, w.all()} {
		if len(l) > MaxMembers {
			return fmt.Errorf("%w: %d members, of at most %d", ErrTooLong, len(l), MaxMembers)
		}
		if slices.ContainsFunc(l, func(id string) bool { return strings.ContainsRune(id, 0) || !utf8.ValidString(id) }) {
			return ErrMember
		}
	}
	return CheckKeys(w.Group.ID, w.Group.Source, w.Group.Name, w.Group.ExternalID)
}

func (w GroupWrite) all() []string {
	if w.Members == nil {
		return nil
	}
	return *w.Members
}

// May gives what keeps w from touching a group as it was, zero for one that is new: impersonation.ErrChanged or ErrClosed. Backends call
// it inside the write.
func (w GroupWrite) May(was Group) error {
	switch {
	case was.ID != "" && !w.Was.IsZero() && !w.Was.Equal(was.Updated):
		return impersonation.ErrChanged
	case slices.Contains(w.Closed, was.Name), slices.Contains(w.Closed, w.Group.Name):
		return ErrClosed
	}
	return nil
}

// Named are the users of whom w says whether they shall be members.
func (w GroupWrite) Named() []string { return slices.Concat(w.all(), w.Add, w.Remove) }

// AllMembers reports whether w touches members whom it does not name.
func (w GroupWrite) AllMembers(was Group) bool {
	return was.ID != "" && (w.Members != nil || w.Group.Name != was.Name)
}

// Plan gives what w makes of a group as it was, zero for one that is new. member has those of Named that the group's source keeps, and all
// members if AllMembers; it tells who is one now. ErrMember for who would become one and is not in member. Backends call it inside the write.
func (w GroupWrite) Plan(was Group, member map[string]bool) (c GroupChange, err error) {
	for id, shall := range w.shall(member) {
		is, known := member[id]
		switch {
		case shall && !known:
			return GroupChange{}, ErrMember
		case shall && !is:
			c.Added = append(c.Added, id)
		case !shall && is:
			c.Removed = append(c.Removed, id)
		}
	}
	slices.Sort(c.Added)
	slices.Sort(c.Removed)
	c.Group, c.Changed = w.Group, true
	if was.ID == "" {
		return c, nil
	}
	if c.Group.Created = was.Created; c.Group.Name != was.Name {
		c.Renamed = staying(member, c.Removed)
	} else if c.Group.ExternalID == was.ExternalID && len(c.Added)+len(c.Removed) == 0 {
		c.Group, c.Changed = was, false
	}
	return c, nil
}

// shall tells of whom w says anything whether they shall be a member.
func (w GroupWrite) shall(member map[string]bool) map[string]bool {
	shall := make(map[string]bool)
	if w.Members != nil {
		for id := range member {
			shall[id] = false
		}
	}
	for _, id := range slices.Concat(w.all(), w.Add) {
		shall[id] = true
	}
	for _, id := range w.Remove {
		shall[id] = false
	}
	return shall
}

// staying are the members but for those who leave, sorted like these.
func staying(member map[string]bool, leave []string) (out []string) {
	for _, id := range slices.Sorted(maps.Keys(member)) {
		if _, leaves := slices.BinarySearch(leave, id); member[id] && !leaves {
			out = append(out, id)
		}
	}
	return out
}

// Touched are the users for whom something is other than it was, sorted.
func (c GroupChange) Touched() []string {
	all := slices.Concat(c.Added, c.Removed, c.Renamed)
	slices.Sort(all)
	return all
}

// Entries are those of w and a MemberEntry for each user whom c touches. was is the group as it was before, zero for a new one.
func (c GroupChange) Entries(w GroupWrite, was Group) []audit.Entry {
	entries := slices.Clone(w.Entries)
	for _, l := range []struct {
		ids    []string
		change MemberChange
	}{{c.Removed, MemberRemoved}, {c.Added, MemberAdded}, {c.Renamed, MemberRenamed}} {
		for _, id := range l.ids {
			entries = append(entries, MemberEntry(w, id, l.change, was))
		}
	}
	return entries
}

// MemberEntry is the audit entry for a user whose membership w changed. was is the group as it was before, zero for a new one.
func MemberEntry(w GroupWrite, userID string, change MemberChange, was Group) audit.Entry {
	e := audit.New(audit.KindUserRole, w.Now)
	e.Actor, e.Subject, e.Request = w.By, oauth.Party{Issuer: w.Issuer, Subject: userID}, w.RequestID
	e.Set("membership", string(change))
	if change != MemberAdded {
		e.Set("was_group", was.Name)
	}
	if change != MemberRemoved {
		e.Set("group", w.Group.Name)
	}
	return e
}

// MemberEnd is how the sessions end of those whose membership w changed. Its Scope and ID are none of End's.
func MemberEnd(w GroupWrite) impersonation.EndWrite {
	return impersonation.EndWrite{Write: impersonation.Write{RequestID: w.RequestID, Now: w.Now}, Reason: impersonation.EndChanged, By: w.By, Issuer: w.Issuer}
}
