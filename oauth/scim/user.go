package scim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// userResource is u as an answer shows it: what the source sent, in its own spelling.
func (h *Handler) userResource(u directory.User) map[string]any {
	r := unflatten(u.Attributes)
	schemas := []any{userSchema}
	if r[enterpriseSchema] != nil {
		schemas = append(schemas, enterpriseSchema)
	}
	r["schemas"], r["id"], r["userName"], r["active"] = schemas, u.ID, u.UserName, u.Enabled
	if u.ExternalID != "" {
		r["externalId"] = u.ExternalID
	}
	r["meta"] = h.meta(users, u.ID, u.Created, u.Updated)
	return r
}

// fill makes u what the source says it is, in those attributes that are touched; nil means all. Whether u is enabled stays as it is
// unless r says, and activate does it.
func fill(u *directory.User, r map[string]any, s store.Source, touched map[string]bool) (err error) {
	touches := func(names ...string) bool {
		return touched == nil || slices.ContainsFunc(names, func(name string) bool { return touched[name] })
	}
	u.UserName, _ = r["userName"].(string)
	if u.UserName == "" {
		return valueFault("userName", "must be given")
	}
	u.ExternalID, _ = r["externalId"].(string)
	if active, ok := r["active"].(bool); ok {
		activate(u, active, s)
	}
	if touches("emails", "userName") {
		if u.Email, err = address(r); err != nil {
			return err
		}
	}
	if touches("displayName", "name", "userName") {
		u.Name = fullName(r)
	}
	if touches(organisationFrom(s)) {
		if u.Organisation, err = organisation(r, s); err != nil {
			return err
		}
	}
	if touches("externalId") {
		u.Identities = identities(*u, s)
	}
	if err := flatten(u, r); err != nil {
		return err
	}
	if err := u.Validate(); err != nil {
		return invalidUser(err)
	}
	return nil
}

// activate lets in or puts out as the source says, but lets nobody in whom somebody else has put out.
func activate(u *directory.User, active bool, s store.Source) {
	switch {
	case u.Enabled && !active:
		u.Enabled, u.DisabledBy = false, s.ID()
	case active && !barred(*u, s):
		u.Enabled, u.DisabledBy = true, ""
	}
}

// barred reports whether u is kept out by somebody else than the source: whoever works here.
func barred(u directory.User, s store.Source) bool { return !u.Enabled && u.DisabledBy != s.ID() }

// organisationFrom names the attribute of the resource that says the organisation, "" if none does.
func organisationFrom(s store.Source) string {
	if c := users.find(s.OrganisationAttribute); s.Organisation == "" && len(c) > 0 {
		return c[0].name
	}
	return ""
}

// address is the one that counts: the primary of the emails, else the first, and without any the userName.
func address(r map[string]any) (string, error) {
	at, typed := "userName", r["userName"].(string)
	emails, _ := r["emails"].([]any)
	for i, e := range emails {
		e := e.(map[string]any)
		if i == 0 || e["primary"] == true {
			typed, _ = e["value"].(string)
			at = fmt.Sprintf("emails[%d].value", i)
		}
		if e["primary"] == true {
			break
		}
	}
	email, err := directory.NormalEmail(typed)
	if err != nil && at == "userName" {
		return "", valueFault("emails", "must be given, where userName is no e-mail address")
	}
	if err != nil {
		return "", valueFault(at, err.Error())
	}
	return email, nil
}

// fullName is what banner and trail show: displayName first, which is "suitable for display" (RFC 7643 §4.1.1), since formatted is left as
// it was by those who send givenName and familyName alone.
func fullName(r map[string]any) string {
	text := func(m map[string]any, name string) string { s, _ := m[name].(string); return s }
	n, _ := r["name"].(map[string]any)
	for _, name := range []string{text(r, "displayName"), text(n, "formatted"), text(n, "givenName") + " " + text(n, "familyName"), text(r, "userName")} {
		if name = strings.TrimSpace(name); name != "" {
			return strings.ReplaceAll(name, "\n", " ")
		}
	}
	return ""
}

// organisation is the source's, or what the attribute says that it names.
func organisation(r map[string]any, s store.Source) (string, error) {
	if s.Organisation != "" {
		return s.Organisation, nil
	}
	said := ""
	if s.OrganisationAttribute != "" {
		if !IsText(s.OrganisationAttribute) { // else whoever should have one would be staff
			return "", fmt.Errorf("scim: source %s takes the organisation from an attribute that is not kept", s.Name)
		}
		for _, v := range users.find(s.OrganisationAttribute).lookUp(r) {
			said, _ = v.(string)
		}
	}
	if said == "" && !s.MayStaff {
		return "", forbidden("source.no_organisation", "The organisation of the user is missing, and the source may have no users without.")
	}
	return said, nil
}

// identities are those of u with the one at the source's issuer as it is now. Others are whoever's business they are.
func identities(u directory.User, s store.Source) []oauth.Party {
	if s.Issuer == "" {
		return u.Identities
	}
	out := slices.DeleteFunc(slices.Clone(u.Identities), func(p oauth.Party) bool { return p.Issuer == s.Issuer })
	if u.ExternalID != "" {
		out = append(out, oauth.Party{Issuer: s.Issuer, Subject: u.ExternalID})
	}
	slices.SortFunc(out, func(a, b oauth.Party) int { return strings.Compare(a.Issuer, b.Issuer) })
	return out
}

// same reports whether nothing is to be written.
func same(a, b directory.User) bool {
	return a.UserName == b.UserName && a.ExternalID == b.ExternalID && a.Email == b.Email && a.Name == b.Name && a.Enabled == b.Enabled &&
		a.Organisation == b.Organisation && slices.Equal(a.Identities, b.Identities) && maps.Equal(a.Attributes, b.Attributes)
}

// guard keeps a source without the right to grant from taking over who has rights: it may disable them, which is safe, and change what
// decides nothing, but neither let them in again, nor delete them, nor say who they are by address, identity or organisation. And it keeps
// any source from freeing the address or the identity of whom somebody here has put out, with which they could be added anew.
func (h *Handler) guard(was, u directory.User, s store.Source) error {
	other := u.Email != was.Email || !slices.Equal(u.Identities, was.Identities)
	switch {
	case (other || u.ExternalID != was.ExternalID) && barred(was, s):
		return forbidden(ruleDisabled, "The user was disabled by whoever works here: the source may change neither their e-mail address nor their externalId.")
	case s.MayGrant || !h.powerful(was):
		return nil
	case other:
		return forbidden(rulePowerful, "The user is protected or has rights: the source may change neither their e-mail address nor their externalId.")
	case u.Organisation != was.Organisation:
		return forbidden(rulePowerful, "The user is protected or has rights: the source may not move them to another organisation.")
	case u.Enabled && !was.Enabled:
		return forbidden(rulePowerful, "The user is protected or has rights: the source may disable them, and not enable them again.")
	}
	return nil
}

// anew keeps a source from giving the externalId of whom somebody here has put out to somebody else, who would be them by another name. That
// is so too where their identity was taken from them, or the source had none to give when it added them.
func (h *Handler) anew(c *call, was, u directory.User) error {
	if u.ExternalID == "" || u.ExternalID == was.ExternalID {
		return nil
	}
	disabled := false
	for q := (store.UserQuery{Source: c.source.ID(), ExternalID: u.ExternalID, Active: &disabled, Limit: maxResults}); ; q.Offset += q.Limit {
		page, _, err := h.store.UsersOf(c.r.Context(), q)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(page, func(p directory.User) bool { return p.ID != u.ID && barred(p, c.source) }) {
			return forbidden(ruleDisabled, "The externalId is that of a user whom whoever works here has disabled: nobody else may have it.")
		}
		if len(page) < q.Limit {
			return nil
		}
	}
}

// mayDelete is guard for a deletion.
func (h *Handler) mayDelete(u directory.User, s store.Source) error {
	switch {
	case barred(u, s):
		return forbidden(ruleDisabled, "The user was disabled by whoever works here: they stay so, and the source may not delete them.")
	case !s.MayGrant && h.powerful(u):
		return forbidden(rulePowerful, "The user is protected or has rights: the source may disable them, which is done, and not delete them.")
	}
	return nil
}

// powerful reports whether u is protected, or has a role that is privileged, impersonates or reads the trail.
func (h *Handler) powerful(u directory.User) bool {
	p := policy.Person{Groups: u.Groups, Roles: u.Roles, Enabled: true}
	return u.Protected || !h.registry.Reaches(nil, p) || h.registry.MayImpersonate(p) || h.registry.MayAudit(p)
}
