package scim

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// by is who acts in the trail: the source.
func (c *call) by() oauth.Party { return oauth.Party{Issuer: "scim", Subject: c.source.Name} }

func (h *Handler) write(c *call, now time.Time, entries ...audit.Entry) impersonation.Write {
	return impersonation.Write{Entries: entries, RequestID: h.requestID(c.r.Context()), Now: now}
}

// entry is one of kind, with the token by which it came.
func (h *Handler) entry(c *call, kind audit.Kind, now time.Time) audit.Entry {
	e := audit.New(kind, now)
	e.Actor, e.Request = c.by(), h.requestID(c.r.Context())
	e.Set("token", c.token)
	return e
}

func (h *Handler) userEntry(c *call, kind audit.Kind, u directory.User, now time.Time) audit.Entry {
	e := h.entry(c, kind, now)
	e.Subject = oauth.Party{Issuer: h.issuer, Subject: u.ID}
	e.SetPersonal("subject_email", u.Email)
	e.SetPersonal("subject_name", u.Name)
	return e
}

func (h *Handler) added(c *call, u directory.User, now time.Time) audit.Entry {
	e := h.userEntry(c, audit.KindUserAdd, u, now)
	e.SetPersonal("external_id", u.ExternalID)
	impersonation.RecordRights(&e, "", u)
	return e
}

func (h *Handler) deleted(c *call, u directory.User, now time.Time) audit.Entry {
	e := h.userEntry(c, audit.KindUserDelete, u, now)
	impersonation.RecordRights(&e, "was_", u)
	return e
}

// difference is what a change of a user comes to.
type difference struct {
	entries   []audit.Entry
	did       string                  // for the log
	reason    impersonation.EndReason // why sessions end, "" where none does
	endLogins bool
}

// difference records each thing that changed under its own kind: whoever looks for who was disabled finds it whatever came with it.
// What an identity brought somebody into ends with it; a name or an address ends nothing.
func (h *Handler) difference(c *call, was, u directory.User, now time.Time) difference {
	d := difference{did: "changed user"}
	gone, come := identityAt(was, c.source.Issuer), identityAt(u, c.source.Issuer)
	if gone != come && !gone.IsZero() {
		d.entries = append(d.entries, h.linkEntry(c, audit.KindUserUnlink, u, gone, now))
		d.reason, d.endLogins = impersonation.EndChanged, true
	}
	if gone != come && !come.IsZero() {
		d.entries = append(d.entries, h.linkEntry(c, audit.KindUserLink, u, come, now))
	}
	if was.Organisation != u.Organisation {
		d.entries = append(d.entries, h.rightsEntry(c, audit.KindUserRole, was, u, now))
		d.reason = impersonation.EndChanged
	}
	if was.Enabled && !u.Enabled {
		d.entries = append(d.entries, h.rightsEntry(c, audit.KindUserDisable, was, u, now))
		d.did, d.reason, d.endLogins = "disabled user", impersonation.EndDisabled, true
	}
	if !was.Enabled && u.Enabled {
		d.entries = append(d.entries, h.rightsEntry(c, audit.KindUserEnable, was, u, now))
		d.did = "enabled user"
	}
	if fields := changedFields(was, u); len(fields) > 0 {
		d.entries = append(d.entries, h.changeEntry(c, was, u, fields, now))
	}
	return d
}

func (h *Handler) rightsEntry(c *call, kind audit.Kind, was, u directory.User, now time.Time) audit.Entry {
	e := h.userEntry(c, kind, u, now)
	impersonation.RecordRights(&e, "was_", was)
	impersonation.RecordRights(&e, "", u)
	return e
}

func (h *Handler) linkEntry(c *call, kind audit.Kind, u directory.User, p oauth.Party, now time.Time) audit.Entry {
	e := h.userEntry(c, kind, u, now)
	e.Set("identity_issuer", p.Issuer)
	e.SetPersonal("identity_subject", p.Subject)
	return e
}

func (h *Handler) changeEntry(c *call, was, u directory.User, fields []string, now time.Time) audit.Entry {
	e := h.userEntry(c, audit.KindUserChange, u, now)
	e.Set("changed", strings.Join(fields, ","))
	if was.Email != u.Email {
		e.SetPersonal("was_email", was.Email)
	}
	if was.Name != u.Name {
		e.SetPersonal("was_name", was.Name)
	}
	return e
}

// changedFields names what changed that has no entry of its own. Of attributes it is the name, which is the schema's.
func changedFields(was, u directory.User) (out []string) {
	for _, f := range []struct{ name, was, is string }{
		{"email", was.Email, u.Email}, {"name", was.Name, u.Name}, {"user_name", was.UserName, u.UserName}, {"external_id", was.ExternalID, u.ExternalID},
	} {
		if f.was != f.is {
			out = append(out, f.name)
		}
	}
	for _, a := range userAttributes {
		if attributesOf(was, a) != attributesOf(u, a) {
			out = append(out, attributePrefix+a.key())
		}
	}
	return out
}

func identityAt(u directory.User, issuer string) oauth.Party {
	if i := slices.IndexFunc(u.Identities, func(p oauth.Party) bool { return p.Issuer == issuer }); i >= 0 {
		return u.Identities[i]
	}
	return oauth.Party{}
}

// ends ends the sessions in which the user is the actor or the subject.
func (h *Handler) ends(c *call, userID string, why impersonation.EndReason) []impersonation.EndWrite {
	var out []impersonation.EndWrite
	for _, scope := range []impersonation.EpochScope{impersonation.ScopeActor, impersonation.ScopeSubject} {
		out = append(out, impersonation.EndWrite{Scope: scope, ID: userID, Reason: why, By: c.by(), Issuer: h.issuer})
	}
	return out
}

// groupEntry names the group; its members have entries of their own (store.GroupWrite).
func (h *Handler) groupEntry(c *call, kind audit.Kind, g store.Group, now time.Time) audit.Entry {
	e := h.entry(c, kind, now)
	e.Set("group", g.ID)
	e.Set("group_name", g.Name)
	return e
}

// tell writes the one line of an act.
func (h *Handler) tell(c *call, did, what, id string) {
	h.log.LogAttrs(c.r.Context(), slog.LevelInfo, store.SourceSCIM+c.source.Name+" "+did, slog.String("source", c.source.Name), slog.String(what, id),
		slog.String("request_id", h.requestID(c.r.Context())))
}
