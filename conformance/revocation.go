package conformance

import (
	"net/http"
	"net/url"
	"strings"
)

// revocationCases are RFC 7009.
var revocationCases = []Case{
	{
		ID: "revocation/works", Source: "RFC 7009 §2.1, §2.2", Level: Must, Rows: []string{"RFC8693-3-07", "RFC7662-2.2-01"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection},
		Requirement: "A token that its client revokes is inactive once the answer is there, which is 200.",
		Why:         "Whoever loses a token, or lets somebody go, has no other way to end it.",
		Mend:        "Mark the token, or the session it belongs to, as ended and commit before you answer 200. Have introspection read the same row, from no cache or replica.",
		try: func(p *probe) {
			token := p.fresh(p.actor(), p.app()).text("access_token")
			p.want(p.active(token), Medium, "an active token before", "one that is over")
			a := p.revoke(p.app(), token)
			p.want(a.status == http.StatusOK, Medium, "200", "%v", a)
			p.want(!p.active(token), High, "an inactive token after", "one that is active")
		},
	},
	{
		ID: "revocation/client-authentication-required", Source: "RFC 7009 §2.1, §2.2.1", Level: Must, Rows: []string{"RFC7009-2.2.1-01", "RFC7009-2.1-01"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection},
		Requirement: "Whoever fails to authenticate gets invalid_client, and the token lives on.",
		Why:         "Anybody who has seen a token could end what others are at work with.",
		Mend:        "Run client authentication before the lookup and return on failure with 401 invalid_client: look for a handler that writes the error and goes on.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			for what, c := range map[string]*Client{"nobody": nil, "the client's id alone": {ID: p.app().ID, Auth: "none"}, "a wrong secret": {ID: p.app().ID, Secret: random()}} {
				a := p.revoke(c, token)
				p.want(p.active(token), Medium, "a token that lives on after "+what, "it is over")
				p.want(a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest, Low, "401 for "+what, "%v", a)
				p.want(a.text("error") == "invalid_client" || c == nil && a.text("error") == "invalid_request", Low, "invalid_client for "+what, "%v", a)
			}
		},
	},
	{
		ID: "revocation/own-tokens-only", Source: "RFC 7009 §2.1", Level: Must, Rows: []string{"RFC7009-2.1-01"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection, FeatureOtherClient},
		Requirement: "A client cannot revoke what was given to another.",
		Why:         "Each client could throw out the people of every other.",
		Mend:        "Compare the token's client_id with the client that authenticated, in the WHERE of the statement that ends it. Answer 200 or 400 where they differ.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			a := p.revoke(p.run.target.Clients.Other, token)
			p.want(p.active(token), High, "a token that lives on", "it is over")
			p.want(a.status < 500, Medium, "200 or 400", "%v", a)
		},
	},
	{
		ID: "revocation/hint-changes-nothing", Source: "RFC 7009 §2.1", Level: Must, Rows: []string{"RFC7009-2.1-02"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection},
		Requirement: "A token is revoked whatever token_type_hint says.",
		Why:         "What is looked for in the wrong place lives on, and the answer says that it does not.",
		Mend:        "Look for the token among all kinds, whatever token_type_hint says: a hint chooses what is searched first, and an unknown one is ignored.",
		try: func(p *probe) {
			for _, hint := range []string{"refresh_token", "access_token", "urn:example:foo"} {
				token := p.start(starting{}).token
				a := p.post(p.run.meta.Revocation, p.app(), url.Values{"token": {token}, "token_type_hint": {hint}})
				p.want(!p.active(token), High, "an inactive token with the hint "+hint, "one that is active, where the answer was %v", a)
			}
		},
	},
	{
		ID: "revocation/unknown-token", Source: "RFC 7009 §2.2", Level: Must, Rows: []string{"RFC7009-2.2-01"}, Needs: []Feature{FeatureRevocation},
		Requirement: "A token that is unknown, or was revoked before, gives 200.",
		Why:         "Another answer tells whoever tries tokens which of them were real.",
		Mend:        "Answer 200 where the lookup finds nothing or what has ended already: \"not found\" is no error here. Keep 400 for a missing token.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			p.revoke(p.app(), token)
			for what, value := range map[string]string{"a token revoked before": token, "random": random(), "a JWT of nobody's": "eyJhbGciOiJFUzI1NiJ9.e30.AAAA", "5000 characters": strings.Repeat("a", 5000)} {
				a := p.revoke(p.app(), value)
				if what == "a JWT of nobody's" && a.text("error") == "unsupported_token_type" {
					continue // the server's own are none (RFC 7009 §2.2.1)
				}
				p.want(a.status == http.StatusOK, Low, "200 for "+what, "%v", a)
			}
		},
	},
	{
		ID: "revocation/token-required", Source: "RFC 7009 §2.1, RFC 6749 §5.2", Level: Must, Rows: []string{"RFC6749-5.2-03"}, Needs: []Feature{FeatureRevocation},
		Requirement: "A request without a token gives invalid_request.",
		Why:         "A 200 for nothing lets a client believe that it ended what lives on.",
		Mend:        "Check that the form has a token that is not empty before you look it up, and answer 400 with error invalid_request.",
		try: func(p *probe) {
			for _, f := range []url.Values{{}, {"tokens": {"x"}}} {
				a := p.post(p.run.meta.Revocation, p.app(), f)
				p.want(a.status == http.StatusBadRequest && a.text("error") == "invalid_request", Low, "400 invalid_request", "%v", a)
			}
		},
	},
	{
		ID: "revocation/changed-token-spares-the-real", Source: "RFC 7009 §2.1, CVE-2026-27840", Level: MustNot, Profile: true, Rows: []string{"RFC6749-10.3-01"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection},
		Requirement: "A token that was changed revokes nothing.",
		Why:         "Whoever knows a part of a token, such as the id in it, could end it.",
		Mend:        "Verify the signature before you read jti or sid from the token, or look up a hash of the whole string; never go by a part that was not verified.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			for _, other := range append(changed(token), unsigned(token)...) {
				p.revoke(p.app(), other)
			}
			p.want(p.active(token), Medium, "a token that lives on", "it is over")
		},
	},
	{
		ID: "revocation/body-only", Source: "RFC 7009 §2.1", Level: Must, Rows: []string{"RFC6749-2.3.1-02"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection},
		Requirement: "Neither the token nor the client's secret is taken from the URL.",
		Why:         "What stands in a URL stands in logs, and a link alone could end what others are at work with.",
		Mend:        "Register the path for POST alone. Read token and client_secret from the body's parameters, such as r.PostForm, and not from a merged map of query and body.",
		try: func(p *probe) {
			token, c := p.start(starting{}).token, p.app()
			q := url.Values{"token": {token}, "client_id": {c.ID}, "client_secret": {c.Secret}}
			p.request(http.MethodGet, p.run.meta.Revocation+"?"+q.Encode(), "")
			p.want(p.active(token), Medium, "a token that lives on after a GET", "it is over")
			p.request(http.MethodPost, p.run.meta.Revocation+"?"+q.Encode(), "token="+url.QueryEscape(token), "Content-Type", formType)
			p.want(p.active(token), High, "a token that lives on after a secret in the query", "it is over")
			p.request(http.MethodPost, p.run.meta.Revocation+"?"+url.Values{"token": {token}}.Encode(), "x=1", "Content-Type", formType, "Authorization", basic(c.ID, c.Secret))
			p.want(p.active(token), Medium, "a token that lives on after a token in the query", "it is over")
		},
	},
	{
		ID: "revocation/ends-at-userinfo", Source: "RFC 7009 §2, RFC 6750 §3.1", Level: Must, Rows: []string{"OIDC-5.3-01", "RFC6750-3.1-01"}, Needs: []Feature{FeatureRevocation, FeatureUserinfo, FeatureOpenID},
		Requirement: "A token that was revoked opens userinfo no longer.",
		Why:         "Where an endpoint looks at the signature alone, a token cannot be ended there.",
		Mend:        "Have userinfo ask whether the token or its session has ended, as introspection does: signature and exp alone know of no revocation.",
		try: func(p *probe) {
			defer p.forUserinfo()()
			token := p.fresh(p.actor(), p.app()).text("access_token")
			if a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+token); a.status != http.StatusOK {
				p.blocked("userinfo answers %v before", a)
			}
			p.revoke(p.app(), token)
			a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+token)
			p.want(a.status >= 400 && a.status < 500, High, "401", "%v", a)
		},
	},
	{
		ID: "revocation/public-client", Source: "RFC 7009 §2.1, CVE-2018-1000211", Level: Must, Rows: []string{"RFC7009-2.1-01"}, Needs: []Feature{FeatureRevocation, FeatureUserinfo, FeaturePublic, FeatureOpenID},
		Requirement: "A public client revokes its own tokens by its id.",
		Why:         "An app on a phone could not sign anybody out.",
		Mend:        "Let a client registered with auth method none identify itself by client_id in the body, and end the token where it is that client's own.",
		try: func(p *probe) {
			c := p.run.target.Clients.Public
			defer p.forUserinfo()()
			token := p.fresh(p.actor(), c).text("access_token")
			if a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+token); a.status != http.StatusOK {
				p.blocked("userinfo answers %v before", a)
			}
			a := p.revoke(c, token)
			p.want(a.status == http.StatusOK, Low, "200", "%v", a)
			a = p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+token)
			p.want(a.status >= 400 && a.status < 500, High, "401 after", "%v", a)
		},
	},
	{
		ID: "revocation/public-client-own-only", Source: "RFC 7009 §2.1", Level: Must, Rows: []string{"RFC7009-2.1-01"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection, FeaturePublic},
		Requirement: "A public client cannot revoke what was given to another.",
		Why:         "Anybody knows its id, so anybody could end every impersonation.",
		Mend:        "Compare the token's client_id with the one that was sent, for public clients too: the check must not hang on whether a secret was shown.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			p.revoke(p.run.target.Clients.Public, token)
			p.want(p.active(token), High, "a token that lives on", "it is over")
		},
	},
	{
		ID: "revocation/actor-token-is-not-the-impersonation", Source: "RFC 7009 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-23", "RFC7009-2.1-03"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection},
		Requirement: "To revoke an impersonation does not sign the actor out.",
		Why:         "Whoever has to sign in again after each end keeps the impersonation open instead.",
		Mend:        "End the row of the impersonation alone, not all tokens of the actor or of the grant: give each start an id of its own, and delete by that.",
		try: func(p *probe) {
			p.revoke(p.app(), p.start(starting{}).token)
			p.want(p.active(p.actorToken(p.actor(), p.app())), Low, "an actor's token that lives on", "it is over")
		},
	},
}

func (p *probe) revoke(c *Client, token string) *answer {
	return p.post(p.run.meta.Revocation, c, url.Values{"token": {token}})
}
