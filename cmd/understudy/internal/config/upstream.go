package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// Upstream is a provider through which people sign in: server.Upstream, with the names that its parts have here.
type Upstream struct {
	Name              string            `yaml:"name" json:"name" doc:"stands in our URLs: 1 to 32 of a-z, 0-9 and -, and not first -"`
	Label             string            `yaml:"label,omitempty" json:"label,omitempty" doc:"what people read in place of the name"`
	Issuer            string            `yaml:"issuer" json:"issuer" doc:"the issuer identifier, to the last slash; its discovery document tells the rest"`
	AllowPrivate      []string          `yaml:"allow_private,omitempty" json:"allow_private,omitempty" doc:"networks (CIDR), not public, in which it may be"`
	ClientID          string            `yaml:"client_id" json:"client_id" doc:"who we are there"`
	ClientSecret      oauth.Secret      `yaml:"client_secret,omitempty" json:"client_secret,omitempty" doc:"what goes with client_id; without one we are a public client there"`
	ClientSecretFile  string            `yaml:"client_secret_file,omitempty" json:"client_secret_file,omitempty" doc:"a file that holds client_secret"`
	Scopes            []string          `yaml:"scopes,omitempty" json:"scopes,omitempty" doc:"what to ask for beside openid; email and profile unless listed"`
	Algorithms        []string          `yaml:"algorithms,omitempty" json:"algorithms,omitempty" doc:"what it may sign with, of ES256, EdDSA and RS256; all unless listed"`
	CreateUsers       bool              `yaml:"create_users,omitempty" json:"create_users,omitempty" doc:"true adds whom nobody knows at their first sign-in"`
	LinkByEmail       bool              `yaml:"link_by_email,omitempty" json:"link_by_email,omitempty" doc:"true joins whom nobody knows to the user with their verified address, once, if that one has no password, rights or protection"`
	TrustEmail        bool              `yaml:"trust_email,omitempty" json:"trust_email,omitempty" doc:"true takes an address for verified of which the provider does not say; not with link_by_email"`
	Organisation      string            `yaml:"organisation,omitempty" json:"organisation,omitempty" doc:"that of all users that it keeps"`
	OrganisationClaim string            `yaml:"organisation_claim,omitempty" json:"organisation_claim,omitempty" doc:"the claim that names it; dots lead into objects, as in realm_access.roles"`
	Staff             bool              `yaml:"staff,omitempty" json:"staff,omitempty" doc:"true has those whom create_users adds be the operator's own staff, who are in no organisation"`
	GroupsClaim       string            `yaml:"groups_claim,omitempty" json:"groups_claim,omitempty" doc:"the claim that lists groups, at the top or below, as in organisation_claim"`
	Groups            map[string]string `yaml:"groups,omitempty" json:"groups,omitempty" doc:"group here, by value of groups_claim; it comes and goes with the value"`
	RolesClaim        string            `yaml:"roles_claim,omitempty" json:"roles_claim,omitempty" doc:"the claim that lists roles, as groups_claim does groups"`
	Roles             map[string]string `yaml:"roles,omitempty" json:"roles,omitempty" doc:"registered role, by value of roles_claim; it comes and goes with the value"`
	Protected         []string          `yaml:"protected,omitempty" json:"protected,omitempty" doc:"values of either claim whose holders nobody may impersonate from then on"`
	MFA               []string          `yaml:"mfa,omitempty" json:"mfa,omitempty" doc:"values of acr or amr that are a second factor; none unless listed"`
	ACRValues         []string          `yaml:"acr_values,omitempty" json:"acr_values,omitempty" doc:"acr_values to ask for where a second factor is needed"`
}

// Providers are the upstreams of a configuration that Check found nothing in.
func (c *Config) Providers() []server.Upstream {
	var out []server.Upstream
	for _, u := range c.Upstreams {
		out = append(out, u.provider())
	}
	return out
}

func (u Upstream) provider() server.Upstream {
	return server.Upstream{
		Provider: upstream.Config{
			Name: u.Name, Label: u.Label, Issuer: upstream.IssuerConfig{URL: u.Issuer, AllowPrivate: prefixes(u.AllowPrivate)},
			ClientID: u.ClientID, ClientSecret: u.ClientSecret, Scopes: u.Scopes, Algorithms: u.Algorithms,
			GroupsClaim: u.GroupsClaim, RolesClaim: u.RolesClaim, OrganisationClaim: u.OrganisationClaim,
		},
		CreateUsers: u.CreateUsers, LinkByEmail: u.LinkByEmail, TrustEmail: u.TrustEmail, Organisation: u.Organisation, Staff: u.Staff,
		Groups: u.Groups, Roles: u.Roles, Protected: u.Protected, MFA: u.MFA, ACRValues: u.ACRValues,
	}
}

// upstreamVariables are the environment's names for the secrets of the upstreams that the file lists.
func (l *Loaded) upstreamVariables() map[string]Field {
	out := map[string]Field{}
	for i := range l.Upstreams {
		u, path := &l.Upstreams[i], fmt.Sprintf("upstreams[%d].client_secret", i)
		name := EnvPrefix + "UPSTREAM_" + strings.ToUpper(strings.ReplaceAll(u.Name, "-", "_")) + "_CLIENT_SECRET"
		out[name] = Field{Path: path, Secret: true, value: reflect.ValueOf(&u.ClientSecret).Elem()}
		out[name+"_FILE"] = Field{Path: path + "_file", value: reflect.ValueOf(&u.ClientSecretFile).Elem()}
	}
	return out
}

// upstreamSecrets reads the files that hold secrets of upstreams.
func (l *Loaded) upstreamSecrets() error {
	var errs []error
	for i := range l.Upstreams {
		u := &l.Upstreams[i]
		errs = append(errs, l.secretFile(fmt.Sprintf("upstreams[%d].client_secret", i), &u.ClientSecret, u.ClientSecretFile))
	}
	return errors.Join(errs...)
}

func (c *checker) upstreams() {
	names, issuers := map[string]bool{}, map[string]bool{}
	for i, u := range c.l.Upstreams {
		path := fmt.Sprintf("upstreams[%d]", i)
		c.addFaults(path, u.provider().Check(c.l.PublicURL, c.l.Registry()))
		if names[u.Name] || issuers[u.Issuer] {
			c.addItem(path, "another has the same name or issuer", "one of them says all of a provider")
		}
		names[u.Name], issuers[u.Issuer] = true, true
		if u.ClientSecretFile != "" && u.ClientSecret == "" { // it would be a public client
			c.addItem(path, "client_secret_file is empty", "")
		}
		c.allowPrivate(path, u.AllowPrivate)
	}
	if c.l.SignIn.Local == string(server.LocalDisabled) && len(c.l.Upstreams) == 0 {
		c.add("sign_in.local", "is disabled and there are no upstreams: nobody could sign in", "list a provider under upstreams, or leave local enabled")
	}
}

// upstreamRisks are those of one upstream, whose users the operator does not keep.
func (c *Config) upstreamRisks(path string, u Upstream) []string {
	var out []string
	add := func(what string) { out = append(out, fmt.Sprintf("%s (%s): %s", path, u.Name, what)) }
	switch {
	case u.LinkByEmail && u.CreateUsers:
		add("create_users with link_by_email: whoever gets an account there comes in, and by a user's address as that user")
	case u.LinkByEmail:
		add("link_by_email: whoever makes it give a user's address is that user")
	}
	if u.CreateUsers && u.Staff {
		add("create_users with staff: whoever gets an account there is one of your own staff")
	}
	if roles := c.rightsFrom(u); len(roles) > 0 {
		add("its claims give " + strings.Join(roles, ", ") + ": whoever administers it says who may impersonate or read the trail")
	}
	if len(u.AllowPrivate) > 0 {
		add("allow_private: its documents may name any service in " + strings.Join(u.AllowPrivate, ", ") + ", and this server calls it")
	}
	return append(out, readableSecret(path+".client_secret_file", u.ClientSecretFile)...)
}

// rightsFrom are the roles by which more can be had than by being a user, and which the claims of u give by themselves or by a group.
func (c *Config) rightsFrom(u Upstream) []string {
	var out []string
	for _, r := range c.Roles {
		given := slices.ContainsFunc(r.Groups, func(g string) bool { return holds(u.Groups, g) }) || holds(u.Roles, r.Name)
		if given && (r.Impersonate != nil || r.Audit) {
			out = append(out, r.Name)
		}
	}
	return out
}

func holds(m map[string]string, value string) bool {
	for _, v := range m {
		if v == value {
			return true
		}
	}
	return false
}

// leastIdle is how long a session that is used may look unused: an app asks about it once a minute, and the server notes that half a minute late.
const leastIdle = 2 * time.Minute

// Notes name, a sentence each, what an operator may not have meant though it is no risk, and how long sessions by tokens of each trusted
// issuer may last.
func (c *Config) Notes() []string {
	out := []string{SameOriginRisk} // no registration tells which app does
	for i, u := range c.Upstreams {
		if len(u.MFA) == 0 && c.SignIn.SecondFactor == SecondFactorRequired {
			out = append(out, fmt.Sprintf("upstreams[%d] (%s): mfa is empty and sign_in.second_factor is required: nobody who signs in through it can impersonate", i, u.Name))
		}
	}
	if idle := c.Lifetimes.ImpersonationIdle; idle < leastIdle {
		out = append(out, fmt.Sprintf("lifetimes.impersonation_idle %s may end sessions that are used: an app that is told of ends asks about one once a minute; %s is enough", idle, leastIdle))
	}
	return append(append(out, c.AlikeIssuers()...), c.lasting()...)
}
