package server

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// Upstream is another OpenID provider through which people sign in here, and what its claims mean here.
type Upstream struct {
	// Provider is which one, and who we are there. Its Name is also in the redirect URI, PublicURL + "/sign-in/callback/" + Name, and in
	// directory.User.Source. RedirectURI, PostLogoutURI and of Issuer Loopback, Now and Logger are the server's own. No two upstreams may
	// have the same name or issuer.
	Provider upstream.Config
	// CreateUsers adds whom nobody knows, at their first sign-in. Without it somebody must have added and linked them.
	CreateUsers bool
	// LinkByEmail links whom nobody knows to the user with the verified address that the upstream gives, once: to one who has no identity
	// anywhere, no password or second factor here, no right over others, is not protected, is of the organisation that the upstream gives,
	// or of none with Staff, and whom nobody keeps but by hand. Whoever could make the upstream give that address would be them.
	LinkByEmail bool
	// TrustEmail takes an address for a verified one, for an upstream that never says email_verified; one that says false is believed. It
	// cannot be set with LinkByEmail. Who comes with an address of somebody here is told no more than that they have no account, from which
	// they can still tell, where CreateUsers gives anybody else one, that it is somebody's.
	TrustEmail bool
	// Organisation is that of every user that the upstream keeps. "" takes it from Provider.OrganisationClaim, and refuses who has none.
	Organisation string
	// Staff has those whom CreateUsers adds, or LinkByEmail links, be the operator's own staff, who are in no organisation. Both need it where
	// neither Organisation nor Provider.OrganisationClaim is set, and it goes with neither.
	Staff bool
	// Groups and Roles name what a value of Provider.GroupsClaim and Provider.RolesClaim gives here; other values give nothing. What is named
	// comes and goes with the claim at each sign-in; all else stays as it was set here. Roles must be registered.
	Groups, Roles map[string]string
	// Protected are values of either claim whose holders nobody may impersonate from their next sign-in on. Losing the value takes nothing back.
	Protected []string
	// MFA are the values of acr, or of amr, that stand for a sign-in by more than one factor. Empty: none does, whatever it is called.
	MFA []string
	// ACRValues are asked for where such a sign-in is needed, the most wanted first; empty asks for none.
	ACRValues []string
}

// Local is whether people may sign in by a password of ours.
type Local string

// The values of Local.
const (
	// LocalEnabled is the zero value too.
	LocalEnabled Local = "enabled"
	// LocalBreakGlass keeps the form behind a step of its own, and raises an alarm at each use.
	LocalBreakGlass Local = "break_glass"
	LocalDisabled   Local = "disabled"
)

// gate is an upstream that is in use.
type gate struct {
	Upstream
	provider *upstream.Provider
}

func (g *gate) name() string  { return g.Provider.Name }
func (g *gate) label() string { return cmp.Or(g.Provider.Label, g.Provider.Name) }

// source is that of the users that the upstream keeps.
func (g *gate) source() string { return "upstream:" + g.name() }

// keeps reports whether what id says of u, whose identity it is, is taken over: who was added as somebody else was so by another issuer, which
// had the name before.
func (g *gate) keeps(u directory.User, id *upstream.Identity) bool {
	return u.Source == g.source() && u.ExternalID == id.Subject
}

// places reports whether u is where the upstream puts id: whoever runs it may answer for its own organisation, and for the operator's staff
// only where it is theirs.
func (g *gate) places(u directory.User, id *upstream.Identity) bool {
	if g.Provider.OrganisationClaim != "" {
		return id.Organisation != "" && id.Organisation == u.Organisation
	}
	return g.Organisation == u.Organisation
}

// openGates makes the providers. It fetches nothing: an upstream that is down keeps no server from starting.
func (s *Server) openGates(c Config) error {
	for i, u := range c.Upstreams {
		err := u.Check(c.PublicURL, c.Registry)
		if err == nil && (s.gate(u.Provider.Name) != nil || s.gateOf(u.Provider.Issuer.URL) != nil) {
			err = errors.New("another has the same name or issuer")
		}
		if err != nil {
			return fmt.Errorf("server: Upstreams[%d]: %w", i, err)
		}
		p := u.at(c.PublicURL)
		p.Issuer.Loopback, p.Issuer.Now, p.Issuer.Logger = s.local(), s.now, s.log
		provider, err := upstream.New(p)
		if err != nil {
			return err
		}
		s.gates = append(s.gates, &gate{u, provider})
	}
	if c.Local == LocalDisabled && len(s.gates) == 0 {
		return errors.New("server: Local is disabled and there are no Upstreams: nobody could sign in")
	}
	return nil
}

// Addresses are those of a server at publicURL that the provider must be told of: where it sends people back to that have signed in, and
// that have signed out, and where it says that somebody's sign-in is over (OpenID Connect Back-Channel Logout §2.2).
func (u Upstream) Addresses(publicURL string) (redirect, postLogout, backchannel string) {
	return publicURL + "/sign-in/callback/" + u.Provider.Name, publicURL + "/sign-in/signed-out", publicURL + "/sign-in/backchannel/" + u.Provider.Name
}

// at is the provider for a server at publicURL.
func (u Upstream) at(publicURL string) upstream.Config {
	p := u.Provider
	p.RedirectURI, p.PostLogoutURI, _ = u.Addresses(publicURL)
	return p
}

// Check reports what a server at publicURL with these roles could not go by, and what would give a right that nobody meant: an error for each,
// joined, which begins with the name of its field as the configuration has it. It fetches nothing.
func (u Upstream) Check(publicURL string, roles policy.Registry) error {
	p := u.at(publicURL)
	if at, err := url.Parse(publicURL); err == nil {
		p.Issuer.Loopback = oauth.Loopback(at.Hostname())
	}
	_, err := upstream.New(p)
	f := faults{err}
	f.add(p.Issuer.URL == publicURL, "issuer is this server itself")
	f.add(u.LinkByEmail && u.TrustEmail, "link_by_email and trust_email cannot both be set") // who may type any address there would be whose it is here
	f.add(slices.Contains(u.MFA, ""), "mfa has an empty value")
	f.add(len(u.ACRValues) > 0 && len(u.MFA) == 0, "acr_values needs mfa: nothing that came back would count")
	f.add(slices.ContainsFunc(u.ACRValues, func(v string) bool { return v == "" || strings.Contains(v, " ") }), "acr_values must each be one value, without a space")
	u.checkPlace(&f)
	u.checkClaims(&f, roles)
	return errors.Join(f...)
}

// checkPlace looks at where the users are put: operator's staff is nobody by an omission.
func (u Upstream) checkPlace(f *faults) {
	claimed, placed := u.Provider.OrganisationClaim != "", u.Organisation != ""
	f.add(claimed && placed, "organisation and organisation_claim cannot both be set")
	f.add(u.Staff && (claimed || placed), "staff are in no organisation: it goes with neither organisation nor organisation_claim")
	f.add(u.CreateUsers && !u.Staff && !claimed && !placed, "create_users needs organisation or organisation_claim, or staff: true for your own")
	f.add(u.LinkByEmail && !u.Staff && !claimed && !placed, "link_by_email needs organisation or organisation_claim, or staff: true for your own")
	f.add(placed && !directory.ValidLabel(u.Organisation), "organisation "+directory.RuleLabel)
}

// checkClaims looks at what the claims give.
func (u Upstream) checkClaims(f *faults, r policy.Registry) {
	p := u.Provider
	f.add(len(u.Groups) > 0 && p.GroupsClaim == "", "groups needs groups_claim")
	f.add(len(u.Roles) > 0 && p.RolesClaim == "", "roles needs roles_claim")
	f.add(len(u.Protected) > 0 && p.GroupsClaim == "" && p.RolesClaim == "", "protected needs groups_claim or roles_claim")
	for _, role := range slices.Sorted(maps.Values(u.Roles)) {
		known := slices.ContainsFunc(r.Roles, func(r policy.Role) bool { return r.Name == role })
		f.add(role == policy.RoleUser || !known, fmt.Sprintf("roles gives %q, which is not a registered role to be given", role))
	}
	for _, group := range slices.Sorted(maps.Values(u.Groups)) {
		f.add(strings.TrimSpace(group) == "" || !directory.ValidLabel(group), "groups gives a name that is none: it "+directory.RuleLabel)
	}
}

// faults are the rules that a part of the configuration breaks; those that are nil are none.
type faults []error

// add notes a rule where it is broken.
func (f *faults) add(broken bool, rule string) {
	if broken {
		*f = append(*f, errors.New(rule))
	}
}

// gate finds by name; nil if there is none.
func (s *Server) gate(name string) *gate {
	return s.findGate(func(g *gate) bool { return g.name() == name })
}

// admits reports whether people may still sign in the way that l came: what came through an upstream that was taken away, or by a password
// where there are none any more, counts no more.
func (s *Server) admits(l impersonation.Login) bool {
	if l.Upstream == "" {
		return s.byPassword != LocalDisabled
	}
	return s.gateOf(l.Upstream) != nil
}

// gateOf finds by issuer; nil if there is none.
func (s *Server) gateOf(issuer string) *gate {
	return s.findGate(func(g *gate) bool { return g.Provider.Issuer.URL == issuer })
}

func (s *Server) findGate(is func(*gate) bool) *gate {
	if i := slices.IndexFunc(s.gates, is); i >= 0 {
		return s.gates[i]
	}
	return nil
}
