package server

import (
	"cmp"
	"slices"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// apply gives u what the claims of id mean: name, organisation, groups, roles, protection. It leaves the address alone, which another
// user may have.
func (g *gate) apply(u *directory.User, id *upstream.Identity) page.UpstreamFault {
	if named := *u; id.Name != "" {
		if named.Name = id.Name; named.Validate() == nil {
			u.Name = id.Name
		}
	}
	switch {
	case g.Provider.OrganisationClaim == "":
		u.Organisation = cmp.Or(g.Organisation, u.Organisation)
	case id.Organisation == "":
		return page.UpstreamNoPlace // they would be the operator's own staff
	default:
		u.Organisation = id.Organisation
	}
	u.Groups, u.Roles = mapped(u.Groups, g.Groups, id.Groups), mapped(u.Roles, g.Roles, id.Roles)
	if slices.ContainsFunc(slices.Concat(id.Groups, id.Roles), func(v string) bool { return slices.Contains(g.Protected, v) }) {
		u.Protected = true
	}
	if u.Validate() != nil {
		return page.UpstreamLied
	}
	return ""
}

// mapped is have, with what names gives for said, and without what it could give for anything else.
func mapped(have []string, names map[string]string, said []string) []string {
	if len(names) == 0 {
		return have
	}
	var given []string
	for _, name := range names {
		given = append(given, name)
	}
	out := slices.DeleteFunc(slices.Clone(have), func(h string) bool { return slices.Contains(given, h) })
	for _, value := range said {
		if name, ok := names[value]; ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); slices.Equal(out, slices.Sorted(slices.Values(have))) {
		return have // the order is no change
	}
	return out
}

// email is the address that the upstream vouches for, as it is kept here; "" for none. One that it says nobody verified is trusted nowhere.
func (g *gate) email(id *upstream.Identity) string {
	if id.EmailUnverified || !id.EmailVerified && !g.TrustEmail {
		return ""
	}
	email, err := directory.NormalEmail(id.Email)
	if err != nil {
		return ""
	}
	return email
}
