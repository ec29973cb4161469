package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

const (
	// maxLine is the most bytes of a name, a group and the like, maxEmail of an address (RFC 5321 §4.5.3.1), maxEntries the most groups or roles.
	maxLine, maxEmail, maxEntries = 256, 320, 1000
	// maxMethods is the most entries of amr.
	maxMethods = 32
)

// Identity is who signed in, as the issuer says. What is right about it is that the issuer says so: rights here follow from none of it.
type Identity struct {
	oauth.Party // the issuer, and their sub there: 1 to 255 printable ASCII characters
	// Session is the sid, by which a logout token will name this sign-in; "" for none. At most 256 bytes.
	Session string
	// Email is the address, at most 320 bytes, "" for none; the issuer vouches for it only where EmailVerified. EmailUnverified is where it says
	// itself that it does not; neither is set where it says nothing.
	Email                          string
	EmailVerified, EmailUnverified bool
	// Name and Organisation are of at most 256 bytes, "" for none.
	Name, Organisation string
	// Groups and Roles are what the configured claims say: at most 1000 entries of 1 to 256 bytes.
	Groups, Roles []string
	// AuthTime is when the person signed in there, in UTC; zero where the issuer does not say.
	AuthTime time.Time
	// ACR and AMR are how (OpenID Connect Core §2), as the issuer says it; what they are worth is not judged here.
	ACR string
	AMR []string
	// IDToken is the ID token itself, to be sent back as id_token_hint and for nothing else: at most 32 KiB.
	IDToken oauth.Secret
}

// wanted are the claims to ask userinfo for where the ID token does not have them.
func (p *Provider) wanted() (names []string) {
	for scope, claims := range map[string][]string{"email": {"email", "email_verified"}, "profile": {"name"}} {
		if slices.Contains(p.c.Scopes, scope) {
			names = append(names, claims...)
		}
	}
	return append(names, slices.DeleteFunc(p.mapped(), func(name string) bool { return name == "" })...)
}

// mapped are the claims that the configuration names, "" where it names none.
func (p *Provider) mapped() []string {
	return []string{p.c.GroupsClaim, p.c.RolesClaim, p.c.OrganisationClaim}
}

// lift puts the claims that the configuration names at the top of o.
func (p *Provider) lift(o *object) {
	for _, name := range p.mapped() {
		o.lift(name)
	}
}

// complete adds to the claims what is wanted and missing, from userinfo. To do without where userinfo fails would take rights from people
// whenever it does.
func (p *Provider) complete(ctx context.Context, m Metadata, claims *object, accessToken string) error {
	p.lift(claims)
	missing := slices.DeleteFunc(p.wanted(), claims.has)
	if len(missing) == 0 || m.UserinfoEndpoint == "" {
		return claims.undistributed(missing)
	}
	body, _, err := p.issuer.fetch(ctx, "userinfo_endpoint", m.UserinfoEndpoint, accessToken, maxDocument)
	if err != nil {
		return err
	}
	info, err := parseObject("userinfo", body)
	if err != nil {
		return err
	}
	var sub, same string
	info.text("sub", &sub)
	claims.text("sub", &same)
	if info.err != nil || sub != same {
		return errors.Join(info.err, fmt.Errorf("%w: userinfo: sub is another person's", ErrAnswer))
	}
	if p.lift(info); info.err != nil {
		return info.err
	}
	claims.add(info, missing)
	return claims.undistributed(missing)
}

// add takes the members named from other; an address and whether it is verified together, or one would vouch for another.
func (o *object) add(other *object, names []string) {
	for _, name := range names {
		switch {
		case !other.has(name):
		case name == "email" || name == "email_verified":
			switch {
			case o.unverified(): // what is denied once nothing else makes good
			case other.has("email"):
				o.members["email"], o.members["email_verified"] = other.members["email"], other.members["email_verified"]
			case other.unverified():
				o.members["email_verified"] = other.members["email_verified"]
			}
		default:
			o.members[name] = other.members[name]
		}
	}
}

// unverified reports whether o says so of the address.
func (o *object) unverified() bool {
	said := string(o.members["email_verified"])
	return said == "false" || said == `"false"`
}

// undistributed refuses claims that stand elsewhere (OpenID Connect Core §5.6.2): to read them as none would take rights away.
func (o *object) undistributed(names []string) error {
	var elsewhere map[string]string
	o.read("_claim_names", &elsewhere, "must be an object of strings")
	for _, name := range names {
		first, _, _ := strings.Cut(name, ".")
		if (elsewhere[name] != "" || elsewhere[first] != "") && !o.has(name) {
			o.refuse(name, "must stand in the ID token or in userinfo itself")
		}
	}
	return o.err
}

// identity reads the claims.
func (p *Provider) identity(c *object, idToken string) (*Identity, error) {
	id := &Identity{Party: oauth.Party{Issuer: p.issuer.url}, IDToken: oauth.Secret(idToken)}
	c.text("sub", &id.Subject)
	c.line("sid", &id.Session, maxLine)
	c.line("email", &id.Email, maxEmail)
	c.boolText("email_verified", &id.EmailVerified)
	c.line("name", &id.Name, maxLine)
	c.line("acr", &id.ACR, maxLine)
	c.lines("amr", &id.AMR, maxMethods)
	c.time("auth_time", &id.AuthTime)
	for name, to := range map[string]*[]string{p.c.GroupsClaim: &id.Groups, p.c.RolesClaim: &id.Roles} {
		if name != "" {
			c.lines(name, to, maxEntries)
		}
	}
	if p.c.OrganisationClaim != "" {
		c.line(p.c.OrganisationClaim, &id.Organisation, maxLine)
	}
	if c.err != nil {
		return nil, c.err
	}
	id.EmailVerified, id.EmailUnverified = id.EmailVerified && id.Email != "", c.unverified()
	return id, nil
}
