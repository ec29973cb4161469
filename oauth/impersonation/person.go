package impersonation

import (
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/policy"
)

// PersonOf is u as the policy sees them. issuer is the iss of our own users.
func PersonOf(issuer string, u directory.User) policy.Person {
	return policy.Person{
		Party: oauth.Party{Issuer: issuer, Subject: u.ID}, Name: u.Name, Email: u.Email, Organisation: u.Organisation,
		Groups: u.Groups, Roles: u.Roles, Attributes: u.Attributes, Enabled: u.Enabled, Protected: u.Protected, SecondFactor: u.SecondFactor,
		Identities: u.Identities,
	}
}
