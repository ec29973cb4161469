package tokenexchange

import (
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
)

// parameters is the request of RFC 8693 §2.1, checked for syntax.
type parameters struct {
	subjectToken, actorToken string
	subjectType, actorType   oauth.TokenType
	requestedType            oauth.TokenType
	resource                 string
	scope                    []string
	anyIssuer                bool // an actor token may be another issuer's
}

// presence is whether an actor_token goes with a subject_token.
type presence int

const (
	required presence = iota
	forbidden
	optional
)

// actorTokens has the subject token types that we know. An actor token is compulsory where nothing else proves who acts; a
// subject's own token may name the client itself, which has authenticated.
var actorTokens = map[oauth.TokenType]presence{
	oauth.TokenTypeTicket:      required,
	oauth.TokenTypeUserID:      required,
	oauth.TokenTypeAccessToken: optional,
	oauth.TokenTypeJWT:         optional,
	oauth.TokenTypeReturnToken: forbidden,
}

// ownToken reports whether t is a token that the subject has for themselves.
func ownToken(t oauth.TokenType) bool {
	return t == oauth.TokenTypeAccessToken || t == oauth.TokenTypeJWT
}

// parse reads the request. anyIssuer allows an actor token of another issuer, where one may stand.
func parse(form url.Values, anyIssuer bool) (parameters, error) {
	p := parameters{
		subjectToken: form.Get("subject_token"), subjectType: oauth.TokenType(form.Get("subject_token_type")),
		actorToken: form.Get("actor_token"), actorType: oauth.TokenType(form.Get("actor_token_type")),
		requestedType: oauth.TokenType(form.Get("requested_token_type")), anyIssuer: anyIssuer,
	}
	for _, check := range []func(url.Values, *parameters) error{checkSubject, checkActor, checkRequestedType, checkTarget, checkScope} {
		if err := check(form, &p); err != nil {
			return parameters{}, err
		}
	}
	return p, nil
}

func checkSubject(_ url.Values, p *parameters) error {
	switch {
	case p.subjectToken == "":
		return invalid("subject_token", "is required (RFC 8693 section 2.1)")
	case p.subjectType == "":
		return invalid("subject_token_type", "is required (RFC 8693 section 2.1)")
	}
	if _, known := actorTokens[p.subjectType]; !known {
		return invalid("subject_token_type", "is not supported here")
	}
	return nil
}

func checkActor(_ url.Values, p *parameters) error {
	wanted := actorTokens[p.subjectType]
	switch {
	case p.actorToken == "" && p.actorType != "":
		return invalid("actor_token_type", "must not come without actor_token (RFC 8693 section 2.1)")
	case p.actorToken != "" && p.actorType == "":
		return invalid("actor_token_type", "is required with actor_token (RFC 8693 section 2.1)")
	case wanted == required && p.actorToken == "":
		return invalid("actor_token", "is required with this subject_token_type")
	case wanted == forbidden && p.actorToken != "":
		return invalid("actor_token", "must not come with this subject_token_type")
	case p.actorToken != "" && !slices.Contains(p.actorTypes(), string(p.actorType)):
		return invalid("actor_token_type", "must be "+strings.Join(p.actorTypes(), " or ")+" with this subject_token_type")
	}
	return nil
}

// actorTypes are the types that an actor token may have: access_token is for one of the provider's own (RFC 8693 §3).
func (p *parameters) actorTypes() []string {
	types := []string{string(oauth.TokenTypeAccessToken)}
	if p.anyIssuer && p.subjectType == oauth.TokenTypeTicket {
		types = append(types, string(oauth.TokenTypeJWT))
	}
	return types
}

func checkRequestedType(_ url.Values, p *parameters) error {
	switch p.requestedType {
	case "":
		p.requestedType = oauth.TokenTypeAccessToken
	case oauth.TokenTypeAccessToken, oauth.TokenTypeJWT: // our access tokens are JWTs, so either is true
	default:
		return invalid("requested_token_type", "cannot be issued here")
	}
	return nil
}

// checkTarget wants at most one value of resource and audience together: one token has one audience (RFC 9700 §2.3).
func checkTarget(form url.Values, p *parameters) error {
	values := slices.Concat(form["resource"], form["audience"])
	switch len(values) {
	case 0:
		return nil
	case 1:
	default:
		return ErrInvalidTarget.WithDescription("resource: one token is for one resource; give one value of resource or audience.")
	}
	name := "resource"
	if !form.Has(name) {
		name = "audience"
	}
	u, err := url.Parse(values[0])
	if err != nil || !u.IsAbs() || u.Fragment != "" || values[0][len(values[0])-1] == '#' {
		return ErrInvalidTarget.WithDescription(name + ": must be an absolute URI without fragment (RFC 8707 section 2).")
	}
	p.resource = values[0]
	return nil
}

func checkScope(form url.Values, p *parameters) error {
	scope, err := oauth.ParseScope(form.Get("scope"))
	if err != nil {
		return say(fosite.ErrInvalidScope, "scope: tokens are printable ASCII without quote or backslash, with one space between (RFC 6749 section 3.3).")
	}
	p.scope = scope
	return nil
}

// invalid names the parameter and the rule, never the value.
func invalid(parameter, rule string) error {
	return say(fosite.ErrInvalidRequest, parameter+": "+rule+".")
}
