package conformance

import (
	"slices"
	"strings"
)

// Level is how strongly a clause asks for something (RFC 2119).
type Level string

// The levels.
const (
	Must      Level = "MUST"
	MustNot   Level = "MUST NOT"
	Should    Level = "SHOULD"
	ShouldNot Level = "SHOULD NOT"
	May       Level = "MAY" // where it is done at all, it has to be done so
)

// Feature is what a target has or has not. A case that needs one which it has not is left out, and listed.
type Feature string

// The features. Those that metadata tells are found there; see Target.Without.
const (
	// FeatureTicket is a start by a page of the server, which gives a one-time ticket as subject_token.
	FeatureTicket Feature = "ticket"
	// FeatureReturnToken is a stop by exchange: the start gives a one-time token that leads back to the actor.
	FeatureReturnToken   Feature = "return-token"
	FeatureIntrospection Feature = "introspection"      // RFC 7662
	FeatureRevocation    Feature = "revocation"         // RFC 7009
	FeatureUserinfo      Feature = "userinfo"           // OpenID Connect Core §5.3
	FeatureJWT           Feature = "jwt-access-tokens"  // RFC 9068
	FeatureRefresh       Feature = "refresh"            // RFC 6749 §6
	FeaturePAR           Feature = "par"                // RFC 9126
	FeatureDPoP          Feature = "dpop"               // RFC 9449
	FeatureIssuer        Feature = "issuer-in-answer"   // RFC 9207
	FeatureOtherClient   Feature = "other-client"       // Clients.Other is there
	FeatureNoExchange    Feature = "client-no-exchange" // Clients.NoExchange is there
	FeaturePublic        Feature = "public-client"      // Clients.Public is there
	FeatureOtherActor    Feature = "other-actor"        // Accounts.OtherActor is there
	FeatureProtected     Feature = "protected-subject"  // Accounts.Protected is there
	FeatureOrdinary      Feature = "ordinary-account"   // Accounts.Ordinary is there
	FeatureModes         Feature = "modes"              // one may start to look only
	FeatureOpenID        Feature = "openid"             // sign-in gives ID tokens: metadata tells it, and Target.Scope has openid
	FeatureSignOut       Feature = "sign-out"           // OpenID Connect RP-Initiated Logout
	FeatureKeyClient     Feature = "key-client"         // Clients.Key is there
	FeatureBoundClient   Feature = "bound-client"       // Clients.Bound is there
	FeatureOtherResource Feature = "other-resource"     // Target.OtherResource is there
	FeatureSubjectLogin  Feature = "subject-signs-in"   // Accounts.Subject can sign in
	FeatureDisabled      Feature = "disabled-subject"   // Accounts.Disabled is there
	FeatureOrganisations Feature = "organisations"      // Accounts.Limited and Accounts.Outside are there
	FeatureCodeLifetime  Feature = "code-lifetime"      // Lifetimes.Code is known
	FeatureTicketTime    Feature = "ticket-lifetime"    // Lifetimes.Ticket is known
	FeatureTokenLifetime Feature = "token-lifetime"     // Lifetimes.AccessToken is known
	FeatureSecondFactor  Feature = "second-factor"      // Accounts.SecondFactor is there
	FeatureAgents        Feature = "agents"             // Target.Agents has one
	FeatureClientGrant   Feature = "client-credentials" // RFC 6749 §4.4
)

// Area groups cases; it is what an id begins with.
type Area string

// Case is one requirement, and how it is tried.
type Case struct {
	// ID is in words, lower case, with the area before a slash. It never changes and never means another requirement.
	ID string
	// Source is the clause, such as "RFC 8693 §2.1".
	Source string
	Level  Level
	// Profile tells that the clause does not say so itself: it is what impersonation needs to be safe.
	Profile bool
	// Requirement is one sentence.
	Requirement string
	// Why says what goes wrong where it is not kept, and Mend what to look at. Both are for whoever has to mend it.
	Why, Mend string
	// Rows are the requirements of the list in testdata/rows.txt that it covers.
	Rows []string
	// Needs are the features without which it cannot be tried.
	Needs []Feature
	// Slow cases wait for something to run out. They are left out unless Options.Slow.
	Slow bool
	// Destructive cases leave something changed behind that no other case needs, such as a client that is locked. They are left out unless Options.Destructive.
	Destructive bool

	try func(*probe)
}

// Area is the part of the ID before the slash.
func (c Case) Area() Area {
	area, _, _ := strings.Cut(c.ID, "/")
	return Area(area)
}

// Cases gives all cases in the order in which they are tried. The result is the caller's own.
func Cases() []Case {
	return slices.Concat(exchangeCases, tokenCases, stopCases, introspectionCases, revocationCases, metadataCases, codeCases, clientCases, userinfoCases, refreshCases, parCases, dpopCases, confusionCases, pagesCases, resourceCases, errorCases, startCases, agentCases, secondFactorCases, eventsCases, answerCases)
}

// Find gives the case with an id.
func Find(id string) (Case, bool) {
	all := Cases()
	i := slices.IndexFunc(all, func(c Case) bool { return c.ID == id })
	if i < 0 {
		return Case{}, false
	}
	return all[i], true
}
