package conformance

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// refreshCases are RFC 6749 §6 and RFC 9700 §4.14, of the actor's sign-in: an impersonation has no refresh token.
var refreshCases = []Case{
	{
		ID: "refresh/works", Source: "RFC 6749 §6", Level: Must, Rows: []string{"RFC9068-2.2-03"}, Needs: []Feature{FeatureRefresh},
		Requirement: "A refresh token gives an access token of its own, of the same person.",
		Why:         "Whatever else is refused says nothing while nothing is ever allowed.",
		try: func(p *probe) {
			first, token := p.refreshable()
			a := p.token(p.app(), refreshing(token))
			p.want(a.status == http.StatusOK && a.text("access_token") != "", Medium, "200 with an access token", "%v %s", a, a.text("error_description"))
			p.want(a.text("access_token") != first.text("access_token"), Medium, "an access token of its own", "the same")
			if p.run.has[FeatureJWT] {
				before, after := p.says(first.text("access_token")), p.says(a.text("access_token"))
				p.want(after.text("sub") == before.text("sub"), Critical, "sub "+before.text("sub"), "%q", after.text("sub"))
				p.want(after.text("jti") != before.text("jti"), High, "a jti of its own", "the same")
			}
		},
	},
	{
		ID: "refresh/own-client", Source: "RFC 6749 §6, §10.4", Level: Must, Rows: []string{"RFC8693-3-03"}, Needs: []Feature{FeatureRefresh, FeatureOtherClient},
		Requirement: "A refresh token works for the client that it was given to, and for no other.",
		Why:         "A token that leaks from one app is a sign-in at every other.",
		try: func(p *probe) {
			_, token := p.refreshable()
			p.refused(p.token(p.run.target.Clients.Other, refreshing(token)), "invalid_grant")
		},
	},
	{
		ID: "refresh/client-authentication-required", Source: "RFC 6749 §6, §3.2.1", Level: Must, Rows: []string{"RFC6749-3.2.1-01"}, Needs: []Feature{FeatureRefresh},
		Requirement: "A refresh token of a confidential client is worth nothing without its authentication.",
		Why:         "Whoever reads it in a log would be signed in for as long as it lasts.",
		try: func(p *probe) {
			_, token := p.refreshable()
			for what, c := range map[string]*Client{"nobody": nil, "the client's id alone": {ID: p.app().ID, Auth: "none"}, "a wrong secret": {ID: p.app().ID, Secret: random()}} {
				a := p.token(c, refreshing(token))
				p.want(!issued(a), Critical, "no token for "+what, "%v", a)
				p.want(a.status >= 400 && a.status < 500, Medium, "401 for "+what, "%v", a)
			}
		},
	},
	{
		ID: "refresh/no-wider-scope", Source: "RFC 6749 §6", Level: MustNot, Rows: []string{"RFC6749-5.2-04"}, Needs: []Feature{FeatureRefresh},
		Requirement: "A refresh asks for no scope that the sign-in had not.",
		Why:         "What the person agreed to once would grow.",
		try: func(p *probe) {
			_, token := p.refreshable()
			a := p.token(p.app(), with(refreshing(token), "scope", p.run.target.Scope+" conformance:nobody-registered-this"))
			if issued(a) {
				p.want(!slices.Contains(strings.Fields(a.text("scope")), "conformance:nobody-registered-this") && a.text("scope") != "", High, "scope without it", "%q", a.text("scope"))
				return
			}
			p.refused(a, "invalid_scope")
		},
	},
	{
		ID: "refresh/narrowed-stays-narrow", Source: "RFC 6749 §6, CVE-2026-56654", Level: Must, Rows: []string{"RFC6749-5.2-04"}, Needs: []Feature{FeatureRefresh, FeatureJWT},
		Requirement: "A refresh that asks for less gives less.",
		Why:         "An app that shows care by asking for little has all the same.",
		try: func(p *probe) {
			_, token := p.refreshable()
			one := strings.Fields(p.run.target.Scope)
			if len(one) < 2 {
				p.skip("the target signs in with one scope")
			}
			a := p.token(p.app(), with(refreshing(token), "scope", one[0]))
			if !issued(a) {
				p.refused(a, "invalid_scope")
				return
			}
			got := strings.Fields(p.says(a.text("access_token")).text("scope"))
			p.want(len(got) <= 1, Medium, "scope "+one[0], "%q", got)
		},
	},
	{
		ID: "refresh/changed", Source: "RFC 6749 §10.4", Level: Must, Rows: []string{"RFC6749-10.3-01"}, Needs: []Feature{FeatureRefresh},
		Requirement: "A refresh token that is unknown or was changed gives invalid_grant.",
		Why:         "Of a token of which a part only is compared, the rest is anybody's to choose.",
		try: func(p *probe) {
			_, token := p.refreshable()
			for _, other := range changed(token) {
				p.refused(p.token(p.app(), refreshing(other)), "invalid_grant")
			}
		},
	},
	{
		ID: "refresh/old-one-dead", Source: "RFC 9700 §4.14.2", Level: Must, Profile: true, Rows: []string{"RFC9700-4.14.2-02"}, Needs: []Feature{FeatureRefresh, FeatureIntrospection},
		Requirement: "Where a refresh gives a new refresh token, the old one gives invalid_grant when it comes back, and ends the new one and its tokens.",
		Why:         "One of the two is a thief, and nobody knows which.",
		try: func(p *probe) {
			_, old := p.refreshable()
			a := p.token(p.app(), refreshing(old))
			if a.text("refresh_token") == "" || a.text("refresh_token") == old {
				p.skip("the server gives no new refresh token")
			}
			p.refused(p.token(p.app(), refreshing(old)), "invalid_grant")
			p.refused(p.token(p.app(), refreshing(a.text("refresh_token"))), "invalid_grant")
			p.want(!p.active(a.text("access_token")), Medium, "an inactive access token", "one that is active")
		},
	},
	{
		ID: "refresh/once-in-parallel", Source: "RFC 9700 §4.14.2, CVE-2026-1035", Level: Must, Profile: true, Rows: []string{"RFC9700-4.14.2-02"}, Needs: []Feature{FeatureRefresh},
		Requirement: "Where a refresh gives a new refresh token, of parallel tries with one at most one succeeds.",
		Why:         "A check and a mark that are two steps let a thief through beside the owner.",
		try: func(p *probe) {
			_, token := p.refreshable()
			a := p.token(p.app(), refreshing(token))
			next := a.text("refresh_token")
			if next == "" || next == token {
				p.skip("the server gives no new refresh token")
			}
			n := p.atOnce(20, func() bool { return issued(p.token(p.app(), refreshing(next))) })
			p.want(n <= 1, Critical, "one token of 20 tries", "%d", n)
		},
	},
	{
		ID: "refresh/revoked", Source: "RFC 7009 §2.1", Level: Must, Rows: []string{"RFC7009-2.1-03", "RFC9700-4.14.2-02"}, Needs: []Feature{FeatureRefresh, FeatureRevocation, FeatureIntrospection},
		Requirement: "A refresh token that was revoked gives invalid_grant, and the access tokens of its sign-in are over too.",
		Why:         "Whoever signs somebody out of a lost telephone leaves them in.",
		try: func(p *probe) {
			first, token := p.refreshable()
			a := p.revoke(p.app(), token)
			p.want(a.status == http.StatusOK, Medium, "200", "%v", a)
			p.refused(p.token(p.app(), refreshing(token)), "invalid_grant")
			p.want(!p.active(first.text("access_token")), Medium, "an inactive access token", "one that is active")
		},
	},
	{
		ID: "refresh/sign-in-unchanged", Source: "RFC 9068 §2.2.1", Level: Must, Rows: []string{"RFC9068-2.2.1-02", "OIDC-3.1.2.1-02"}, Needs: []Feature{FeatureRefresh, FeatureJWT},
		Requirement: "auth_time, acr and amr after a refresh are those of before.",
		Why:         "An old sign-in would be laundered into a fresh one.",
		try: func(p *probe) {
			first, token := p.refreshable()
			before, after := p.says(first.text("access_token")), p.says(p.token(p.app(), refreshing(token)).text("access_token"))
			for _, name := range []string{"auth_time", "acr", "amr"} {
				p.want(reflect.DeepEqual(before.claims[name], after.claims[name]), High, name+" as before", "%v, where it was %v", after.claims[name], before.claims[name])
			}
		},
	},
	{
		ID: "refresh/no-subject-and-no-actor", Source: "RFC 8693 §3", Level: MustNot, Profile: true, Rows: []string{"RFC8693-3-03", "RFC8693-2.1-26"}, Needs: []Feature{FeatureRefresh},
		Requirement: "A refresh token is no subject_token and no actor_token, under whatever type.",
		Why:         "What is kept for months would start an impersonation.",
		try: func(p *probe) {
			_, token := p.refreshable()
			f := p.ready(starting{})
			for _, kind := range []string{typeRefresh, typeAccess, typeJWT} {
				p.refused(p.token(p.app(), with(f, "subject_token", token, "subject_token_type", kind)), "invalid_request")
				p.refused(p.token(p.app(), with(f, "actor_token", token, "actor_token_type", kind)), "invalid_request")
			}
		},
	},
	{
		ID: "refresh/access-token-is-none", Source: "RFC 9700 §4.9.3, RFC 6749 §6", Level: MustNot, Profile: true, Rows: []string{"RFC9700-4.9.3-01", "RFC8693-2.1-26"}, Needs: []Feature{FeatureRefresh},
		Requirement: "Neither an impersonation token nor a ticket is a refresh token.",
		Why:         "An impersonation would go on for as long as somebody asks.",
		try: func(p *probe) {
			all := []string{p.start(starting{}).token}
			if p.run.has[FeatureTicket] {
				all = append(all, p.ready(starting{}).Get("subject_token"))
			}
			for _, token := range all {
				p.refused(p.token(p.app(), refreshing(token)), "invalid_grant")
			}
		},
	},
	{
		ID: "refresh/impersonation-lasts-no-longer", Source: "RFC 8693 §2.1", Level: MustNot, Rows: []string{"RFC8693-2.1-27"}, Needs: []Feature{FeatureRefresh, FeatureIntrospection},
		Requirement: "A refresh of the actor's sign-in does not lengthen the impersonation.",
		Why:         "An exchange happens once: what it gave runs out when it said.",
		try: func(p *probe) {
			first, token := p.refreshable()
			f := p.ready(starting{})
			name := "actor_token"
			if !f.Has(name) {
				name = "subject_token"
			}
			imp := p.token(p.app(), with(f, name, first.text("access_token")))
			if !issued(imp) {
				p.blocked("the start was refused: %v %s", imp, imp.text("error_description"))
			}
			before := p.introspect(p.app(), imp.text("access_token")).members["exp"]
			p.token(p.app(), refreshing(token))
			after := p.introspect(p.app(), imp.text("access_token"))
			p.want(after.members["active"] != true || reflect.DeepEqual(before, after.members["exp"]), High, "the exp of before", "%v, where it was %v", after.members["exp"], before)
		},
	},
}

// refreshable is a sign-in of the actor that gave a refresh token.
func (p *probe) refreshable() (first *answer, token string) {
	first = p.fresh(p.actor(), p.app())
	if token = first.text("refresh_token"); token != "" {
		return first, token
	}
	verifier := random()
	q := p.authorization(p.app(), verifier)
	q.Set("scope", strings.TrimSpace(q.Get("scope")+" offline_access"))
	q.Set("prompt", "consent")
	where, _ := p.authorize(q)
	if where != nil && answered(where).Has("code") {
		first = p.token(p.app(), redemption(p.app(), answered(where).Get("code"), verifier))
	}
	if token = first.text("refresh_token"); token == "" {
		p.skip("the sign-in gives no refresh token")
	}
	return first, token
}

func refreshing(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}
