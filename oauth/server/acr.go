package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// acrValues are all that a sign-in here can have, the strongest first.
var acrValues = []string{oauth.ACRMFA, oauth.ACRPassword}

// errUnmet: a lower token instead would send the client round in a circle (RFC 9470 §5).
var errUnmet = &wireError{Status: http.StatusBadRequest, Code: "unmet_authentication_requirements", Description: "acr_values: this account has no such sign-in."}

// acrOf is the class of a sign-in by amr (RFC 8176).
func acrOf(amr []string) string {
	if slices.Contains(amr, "mfa") {
		return oauth.ACRMFA
	}
	return oauth.ACRPassword
}

// parseACR gives those of acr_values that a sign-in here can have; nil asks for none. errUnmet if there are only others: no
// sign-in would help.
func parseACR(asked string) ([]string, error) {
	if asked == "" {
		return nil, nil
	}
	known := slices.DeleteFunc(strings.Fields(asked), func(v string) bool { return !slices.Contains(acrValues, v) })
	if len(known) == 0 {
		return nil, errUnmet
	}
	return known, nil
}

// acrFor is the acr with which login answers a request for one of asked. It is one that was asked for (OpenID Connect Core
// §5.5.1.1), and the strongest of those that the login has. errSignIn if it has none and another sign-in of user would, else
// errUnmet.
func (s *Server) acrFor(asked []string, login *impersonation.Login, user directory.User) (string, error) {
	switch {
	case len(asked) == 0, slices.Contains(asked, login.ACR):
		return login.ACR, nil
	case slices.Contains(asked, oauth.ACRPassword) && login.ACR == oauth.ACRMFA:
		return oauth.ACRPassword, nil
	case slices.Contains(asked, oauth.ACRPassword), s.hasSecondFactor(login, user):
		return "", errSignIn
	}
	return "", errUnmet
}

// hasSecondFactor reports whether user could sign in by one in the way they took.
func (s *Server) hasSecondFactor(login *impersonation.Login, user directory.User) bool {
	if g := s.gateOf(login.Upstream); g != nil {
		return len(g.MFA) > 0
	}
	return user.SecondFactor
}
