package store

import (
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
)

// MemberChange is what a GroupWrite made of somebody's membership. The values never change once written.
type MemberChange string

// The changes.
const (
	MemberAdded   MemberChange = "added"
	MemberRemoved MemberChange = "removed"
	MemberRenamed MemberChange = "renamed" // the group got another name
)

// MemberEntry is the audit entry for a user whose membership w changed. group is the name of the group as it was before, "" for a
// new one. Backends write it.
func MemberEntry(w GroupWrite, userID string, change MemberChange, group string) audit.Entry {
	e := audit.New(audit.KindUserRole, w.Now)
	e.Actor, e.Subject, e.Request = w.By, oauth.Party{Issuer: w.Issuer, Subject: userID}, w.RequestID
	e.Set("change", string(change))
	if change != MemberAdded {
		e.Set("was_group", group)
	}
	if change != MemberRemoved {
		e.Set("group", w.Group.Name)
	}
	return e
}
