package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// userinfoCases are OpenID Connect Core §5.3 and RFC 6750: the one API that the suite knows of each server.
var userinfoCases = []Case{
	{
		ID: "userinfo/works", Source: "OpenID Connect Core §5.3.1, §5.3.2", Level: Must, Rows: []string{"OIDC-5.3-01", "OIDC-5.3.2-01"}, Needs: []Feature{FeatureUserinfo, FeatureOpenID},
		Requirement: "Userinfo answers GET and POST with the sub of the token's person, as JSON.",
		Why:         "Whatever else is refused says nothing while nothing is ever allowed.",
		Mend:        "Register the path for GET and POST, and answer 200 as application/json with sub from the token. Check that the audience you demand is one that sign-ins give.",
		try: func(p *probe) {
			defer p.forUserinfo()()
			token := p.actorToken(p.actor(), p.app())
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				a := p.request(method, p.run.meta.Userinfo, "", "Authorization", "Bearer "+token)
				p.want(a.status == http.StatusOK && a.twice == "", Medium, "200 for "+method, "%v", a)
				p.want(a.text("sub") == p.actor().Subject, High, "sub "+p.actor().Subject, "%q", a.text("sub"))
			}
		},
	},
	{
		ID: "userinfo/impersonation-tells-both", Source: "OpenID Connect Core §5.3.2, RFC 8693 §4.1", Level: Must, Profile: true, Rows: []string{"OIDC-5.3.2-01", "RFC8693-4.1-07"}, Needs: []Feature{FeatureUserinfo},
		Requirement: "Shown an impersonation token, userinfo answers for the subject and names the actor, or refuses.",
		Why:         "An app would show the administrator under the user's name, or the user's data under the administrator's.",
		Mend:        "Take sub from the token, and write its act beside it; where a library fixes the members, refuse each token that has act with 403.",
		try: func(p *probe) {
			a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+p.start(starting{}).token)
			if a.status != http.StatusOK {
				p.want(a.status == http.StatusUnauthorized || a.status == http.StatusForbidden, Medium, "200, 401 or 403", "%v", a)
				return
			}
			p.want(a.text("sub") == p.subject().Subject, Critical, "sub "+p.subject().Subject, "%q", a.text("sub"))
			act, _ := a.members["act"].(map[string]any)
			p.want(act["sub"] == p.actor().Subject, Medium, "act.sub "+p.actor().Subject, "%v", a.members["act"])
		},
	},
	{
		ID: "userinfo/roles-of-the-subject", Source: "RFC 9068 §2.2.3.1", Level: MustNot, Profile: true, Rows: []string{"RFC9068-2.2.3.1-01"}, Needs: []Feature{FeatureUserinfo, FeatureSubjectLogin, FeatureOpenID},
		Requirement: "Of an impersonation nothing tells roles, groups or entitlements that the subject has not.",
		Why:         "An app would let the user's page do what the administrator may.",
		Mend:        "Look roles, groups and entitlements up by the token's sub, never by act.sub or by the session of the browser, in token, introspection and userinfo alike.",
		try: func(p *probe) {
			s := p.start(starting{})
			defer p.forUserinfo()()
			own := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+p.actorToken(p.subject(), p.app()))
			seen := []map[string]any{p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+s.token).members}
			if p.run.has[FeatureJWT] {
				seen = append(seen, p.says(s.token).claims)
			}
			if p.run.has[FeatureIntrospection] {
				seen = append(seen, p.introspect(p.app(), s.token).members)
			}
			for _, members := range seen {
				for _, name := range []string{"roles", "groups", "entitlements"} {
					for _, role := range listed(members[name]) {
						p.want(slices.Contains(listed(own.members[name]), role), Critical, name+" of the subject", "%q", role)
					}
				}
			}
		},
	},
	{
		ID: "userinfo/over-with-the-impersonation", Source: "OpenID Connect Core §5.3.3, RFC 6750 §3.1", Level: Must, Rows: []string{"OIDC-5.3-01", "RFC6750-3.1-01"}, Needs: []Feature{FeatureUserinfo, FeatureRevocation},
		Requirement: "After the end of an impersonation its token gives 401 invalid_token at userinfo.",
		Why:         "Whoever has a copy goes on reading who the user is.",
		Mend:        "Look at the stored state of the session for each request, not at signature and exp alone, and answer 401 with WWW-Authenticate: Bearer error=\"invalid_token\".",
		try: func(p *probe) {
			s := p.start(starting{})
			p.revoke(s.client, s.token)
			p.unauthorized(p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+s.token))
		},
	},
	{
		ID: "userinfo/changed-token", Source: "RFC 6750 §3.1, RFC 6749 §10.3", Level: Must, Rows: []string{"RFC6750-3.1-01", "RFC6749-10.3-01", "RFC9068-4-04"}, Needs: []Feature{FeatureUserinfo, FeatureOpenID},
		Requirement: "A token that was cut, lengthened, changed or stripped of its signature gives 401 invalid_token.",
		Why:         "Whoever writes one is anybody.",
		Mend:        "Verify the signature over the bytes that were sent, by the keys and algorithms that you issue with, and refuse alg none. Answer 401 with error=\"invalid_token\".",
		try: func(p *probe) {
			defer p.forUserinfo()()
			token := p.actorToken(p.actor(), p.app())
			for _, other := range append(changed(token), unsigned(token)...) {
				p.unauthorized(p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+other))
			}
		},
	},
	{
		ID: "userinfo/challenge", Source: "RFC 6750 §3", Level: Must, Rows: []string{"RFC6750-3-01"}, Needs: []Feature{FeatureUserinfo},
		Requirement: "Without a token the answer is 401 with WWW-Authenticate: Bearer, and without an error.",
		Why:         "A client that is sent to a page instead, or told of an error, tries for ever.",
		Mend:        "Answer 401 with WWW-Authenticate: Bearer and no error where no token was sent; keep this path out of the middleware that redirects to the sign-in page.",
		try: func(p *probe) {
			a := p.get(p.run.meta.Userinfo)
			p.want(a.status == http.StatusUnauthorized, Low, "401", "%v", a)
			challenges := strings.ToLower(strings.Join(a.header.Values("WWW-Authenticate"), ", "))
			p.want(strings.Contains(challenges, "bearer") || strings.Contains(challenges, "dpop"), Low, "WWW-Authenticate: Bearer", "%q", challenges)
			p.want(!strings.Contains(challenges, `error=`), Low, "no error in it", "%q", challenges)
		},
	},
	{
		ID: "userinfo/one-token", Source: "RFC 6750 §2, §3.1", Level: Should, Rows: []string{"RFC6750-2-01"}, Needs: []Feature{FeatureUserinfo, FeatureOpenID},
		Requirement: "A request with two tokens is refused.",
		Why:         "The administrator's token would ride beside the user's, and one part of the server look at the one, one at the other.",
		Mend:        "Count the tokens before you read one: every Authorization header, not the first alone, and access_token in the body. Answer 400 invalid_request for more than one.",
		try: func(p *probe) {
			imp := p.start(starting{}).token
			defer p.forUserinfo()()
			actor := p.actorToken(p.actor(), p.app())
			a := p.request(http.MethodPost, p.run.meta.Userinfo, url.Values{"access_token": {imp}}.Encode(), "Authorization", "Bearer "+actor, "Content-Type", formType)
			p.want(a.status >= 400 && a.status < 500, Medium, "400", "%v", a)
			a = p.request(http.MethodGet, p.run.meta.Userinfo, "", "Authorization", "Bearer "+actor, "Authorization", "Bearer "+imp)
			p.want(a.status >= 400 && a.status < 500, Medium, "400", "%v", a)
		},
	},
	{
		ID: "userinfo/no-token-in-the-query", Source: "RFC 9700 §4.3.2, RFC 6750 §2.3", Level: MustNot, Profile: true, Rows: []string{"RFC9700-4.3.2-01"}, Needs: []Feature{FeatureUserinfo, FeatureOpenID},
		Requirement: "A token in the URL opens nothing.",
		Why:         "What stands in a URL stands in logs, histories and Referer headers.",
		Mend:        "Read the token from the Authorization header, or from the body by POST; switch off the library's option that takes access_token from the query.",
		try: func(p *probe) {
			defer p.forUserinfo()()
			a := p.get(p.run.meta.Userinfo + "?" + url.Values{"access_token": {p.actorToken(p.actor(), p.app())}}.Encode())
			p.want(a.status >= 400 && a.status < 500 && a.members["sub"] == nil, Medium, "401", "%v", a)
		},
	},
	{
		ID: "userinfo/needs-openid", Source: "OpenID Connect Core §5.3, RFC 6750 §3.1", Level: Should, Rows: []string{"OIDC-5.3-01", "RFC6750-3.1-02"}, Needs: []Feature{FeatureUserinfo, FeatureOpenID},
		Requirement: "A token without the scope openid gives 403 insufficient_scope.",
		Why:         "A token for one API would tell another who its person is.",
		Mend:        "Split the token's scope at spaces and demand openid among them; answer 403 with error=\"insufficient_scope\" and none of the person's claims.",
		try: func(p *probe) {
			rest := strings.Join(slices.DeleteFunc(strings.Fields(p.run.target.Scope), func(s string) bool {
				return slices.Contains([]string{"openid", "profile", "email", "address", "phone"}, s)
			}), " ")
			if rest == "" {
				p.skip("the target signs in with openid alone")
			}
			p.browserOf(p.actor())
			verifier := random()
			where, _ := p.authorize(with(p.authorization(p.app(), verifier), "scope", rest))
			if where == nil || !answered(where).Has("code") {
				p.skip("the server gives no code without openid")
			}
			token := p.token(p.app(), redemption(p.app(), answered(where).Get("code"), verifier)).text("access_token")
			a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+token)
			p.want(a.members["sub"] == nil, Medium, "nothing about the person", "%v", a.members)
			p.want(a.status == http.StatusForbidden || a.status == http.StatusUnauthorized, Low, "403 insufficient_scope", "%v", a)
		},
	},
	{
		ID: "userinfo/access-tokens-only", Source: "RFC 9068 §4, RFC 8725 §3.12", Level: MustNot, Profile: true, Rows: []string{"RFC9068-4-01", "RFC8725-3.12-01"}, Needs: []Feature{FeatureUserinfo, FeatureOpenID},
		Requirement: "An ID token, a code or a ticket is no access token.",
		Why:         "They pass through the browser, and lie in logs.",
		Mend:        "Demand typ at+jwt and an aud of your own, or find the token among those that you issued as access tokens: an ID token's good signature is not enough.",
		try: func(p *probe) {
			all := []string{p.idToken(p.actor()), p.redeemable().Get("code")}
			if p.run.has[FeatureTicket] {
				all = append(all, p.ready(starting{}).Get("subject_token"))
			}
			for _, token := range all {
				p.unauthorized(p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+token))
			}
		},
	},
	{
		ID: "userinfo/not-stored", Source: "RFC 6749 §5.1", Level: Should, Profile: true, Rows: []string{"RFC6749-5.1-01"}, Needs: []Feature{FeatureUserinfo, FeatureOpenID},
		Requirement: "Answers say Cache-Control: no-store.",
		Why:         "A cache would give one person's data to the next.",
		Mend:        "Set Cache-Control: no-store on each answer of userinfo, best in the func that writes it or in a middleware around the endpoint.",
		try: func(p *probe) {
			defer p.forUserinfo()()
			a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+p.actorToken(p.actor(), p.app()))
			p.want(strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store"), Low, "Cache-Control: no-store", "%q", a.header.Get("Cache-Control"))
		},
	},
}

// unauthorized demands the refusal of a token at an API: WWW-Authenticate must be there (RFC 6750 §3), and the status and its error should be these (§3.1).
func (p *probe) unauthorized(a *answer) {
	const want = `401 with WWW-Authenticate: Bearer error="invalid_token"`
	challenges := strings.Join(a.header.Values("WWW-Authenticate"), ", ")
	p.want(a.status >= 400, Critical, want, "%v", a)
	p.want(challenges != "", Low, want, "%v, and no WWW-Authenticate", a)
	p.should(a.status == http.StatusUnauthorized, Departure, Low, want, "%v", a)
	p.should(strings.Contains(challenges, "invalid_token"), Departure, Low, want, "WWW-Authenticate %q", challenges)
}
