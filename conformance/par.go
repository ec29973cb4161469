package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// parCases are RFC 9126.
var parCases = []Case{
	{
		ID: "par/works", Source: "RFC 9126 §2.2", Level: Must, Rows: []string{"RFC9126-2.2-01", "RFC6749-5.1-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "A pushed request gives 201 with a request_uri that nobody can guess, its time, and no-store; the request_uri signs in.",
		Why:         "Whatever else is refused says nothing while nothing is ever allowed.",
		Mend:        "Answer 201 with expires_in as a number and Cache-Control: no-store. Make the reference of 16 random bytes or more, from crypto/rand or its like, not of a counter.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			var all []string
			for range 6 {
				a := p.push(p.app(), p.authorization(p.app(), random()))
				p.want(a.status == http.StatusCreated, Low, "201", "%v", a)
				p.want(a.text("request_uri") != "", Medium, "a request_uri", "none")
				in, ok := a.members["expires_in"].(float64)
				p.want(ok && in > 0, Low, "expires_in as a number above 0", "%v", a.members["expires_in"])
				p.want(strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store"), Low, "Cache-Control: no-store", "%q", a.header.Get("Cache-Control"))
				all = append(all, a.text("request_uri"))
			}
			p.unguessable("request_uri", all)
			where, a := p.authorize(pushed(p.app(), all[0]))
			p.want(where != nil && answered(where).Has("code"), Medium, "a code", "%v", a)
		},
	},
	{
		ID: "par/authentication-required", Source: "RFC 9126 §2.1", Level: Must, Rows: []string{"RFC9126-2.1-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "A confidential client authenticates where it pushes, as at the token endpoint.",
		Why:         "What was pushed counts as the client's own word.",
		Mend:        "Call the token endpoint's client authentication first. A client that has a registered secret or key must show it: its client_id alone is not enough.",
		try: func(p *probe) {
			q := p.authorization(p.app(), random())
			for what, c := range map[string]*Client{"nobody": nil, "the client's id alone": {ID: p.app().ID, Auth: "none"}, "a wrong secret": {ID: p.app().ID, Secret: random()}} {
				a := p.push(c, q)
				p.want(a.text("request_uri") == "", High, "no request_uri for "+what, "%v", a)
				p.want(a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest, Low, "401 for "+what, "%v", a)
			}
		},
	},
	{
		ID: "par/no-request-uri-within", Source: "RFC 9126 §2.1", Level: Must, Rows: []string{"RFC9126-2.1-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "A pushed request with a request_uri of its own is refused.",
		Why:         "One request would stand for another, for ever on.",
		Mend:        "Refuse with 400 invalid_request where the pushed form has a request_uri, before you read anything else of it.",
		try: func(p *probe) {
			a := p.push(p.app(), with(p.authorization(p.app(), random()), "request_uri", "urn:ietf:params:oauth:request_uri:"+random()))
			p.want(a.text("request_uri") == "", Medium, "no request_uri", "%v", a)
			// Codes of OpenID Connect Core §3.1.2.6 serve as well (RFC 9126 §2.3).
			p.want(a.status == http.StatusBadRequest && slices.Contains([]string{"invalid_request", "request_uri_not_supported", "invalid_request_uri"}, a.text("error")), Low, "400 invalid_request", "%v", a)
		},
	},
	{
		ID: "par/body-only", Source: "RFC 9126 §2.1", Level: Must, Rows: []string{"RFC9126-2.1-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "Parameters are taken from the body alone, by POST alone.",
		Why:         "What stands in a URL stands in logs, and what stands in both is read differently by two.",
		Mend:        "Register the path for POST alone and read the body's parameters only, such as r.PostForm; refuse parameters in the query or ignore them.",
		try: func(p *probe) {
			q, c := p.authorization(p.app(), random()), p.app()
			a := p.postRaw(p.run.meta.PAR+"?"+q.Encode(), c, "")
			p.want(a.text("request_uri") == "", Medium, "no request_uri for a query", "%v", a)
			a = p.request(http.MethodGet, p.run.meta.PAR+"?"+q.Encode(), "", "Authorization", basic(c.ID, c.Secret))
			p.want(a.text("request_uri") == "" && a.status >= 400 && a.status < 500, Medium, "405 for a GET", "%v", a)
		},
	},
	{
		ID: "par/validated-at-once", Source: "RFC 9126 §2.1, §2.3", Level: Must, Rows: []string{"RFC9126-2.3-01", "RFC9700-2.1-01", "RFC7636-4.3-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "A pushed request that the authorization endpoint would refuse is refused, as JSON with 4xx.",
		Why:         "What is looked at here is not looked at again, or the person meets the error.",
		Mend:        "Run the whole check of the authorization endpoint on the pushed form: redirect_uri by ==, response_type, S256, scope, and client_id equal to who authenticated. Answer 400 as JSON.",
		try: func(p *probe) {
			q := p.authorization(p.app(), random())
			for _, uri := range almost(p.app().RedirectURI) {
				a := p.push(p.app(), with(q, "redirect_uri", uri))
				p.want(a.text("request_uri") == "", Critical, "no request_uri for "+uri, "%v", a)
				p.want(a.status >= 400 && a.status < 500 && a.text("error") != "", Low, "400 as JSON for "+uri, "%v", a)
			}
			for _, bad := range []url.Values{with(q, "response_type", "nonsense"), without(q, "response_type"), with(q, "code_challenge_method", "plain"), with(q, "scope", `a"b`), with(q, "client_id", "another")} {
				a := p.push(p.app(), bad)
				p.want(a.text("request_uri") == "" && a.status >= 400 && a.status < 500 && a.text("error") != "", Medium, "400 as JSON", "%v", a)
			}
		},
	},
	{
		ID: "par/own-client", Source: "RFC 9126 §2.2, §7.1", Level: Must, Rows: []string{"RFC9126-2.2-01"}, Needs: []Feature{FeaturePAR, FeatureOtherClient},
		Requirement: "A request_uri works for the client that pushed it, and for no other.",
		Why:         "One client would send people off with another's request.",
		Mend:        "Store the client with the reference, and compare it with the client_id of the authorization request before you take what was pushed.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			uri := p.push(p.app(), p.authorization(p.app(), random())).text("request_uri")
			where, a := p.authorize(pushed(p.run.target.Clients.Other, uri))
			p.want(where == nil || !answered(where).Has("code"), High, "no code", "%v", a)
		},
	},
	{
		ID: "par/once", Source: "RFC 9126 §4, §7.3", Level: Should, Rows: []string{"RFC9126-4-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "A request_uri works once.",
		Why:         "A link that somebody kept would sign in again whoever follows it.",
		Mend:        "Delete the reference, or mark it as used, in the statement that finds it, at the latest when a code is given for it.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			uri := p.push(p.app(), p.authorization(p.app(), random())).text("request_uri")
			where, a := p.authorize(pushed(p.app(), uri))
			p.want(where != nil && answered(where).Has("code"), Medium, "a code", "%v", a)
			where, a = p.authorize(pushed(p.app(), uri))
			p.want(where == nil || !answered(where).Has("code"), Medium, "no second code", "%v", a)
		},
	},
	{
		ID: "par/changed", Source: "RFC 9126 §2.2, §7.1", Level: Must, Rows: []string{"RFC9126-2.2-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "A request_uri that is unknown or was changed gives no code, and leads nowhere that was not registered.",
		Why:         "Of a reference of which a part only is compared, the rest is anybody's to choose.",
		Mend:        "Look the whole request_uri up by equality, with no cutting and no folding of case, and fetch no URL. Unknown means an error page, without a redirect.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			uri := p.push(p.app(), p.authorization(p.app(), random())).text("request_uri")
			for _, other := range append(changed(uri)[:4], "urn:ietf:params:oauth:request_uri:"+random(), "https://evil.example/request") {
				where, a := p.authorize(pushed(p.app(), other))
				p.want(where == nil || !answered(where).Has("code"), High, "no code", "%v", a)
				p.want(a.status < 500, Medium, "an error", "%v", a)
			}
		},
	},
	{
		ID: "par/query-changes-nothing", Source: "RFC 9126 §4, RFC 9101 §6.3", Level: Must, Rows: []string{"RFC9126-2.3-01", "RFC9700-2.1-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "What stands in the query beside a request_uri changes nothing of what was pushed.",
		Why:         "The person, or whoever gave them the link, would write the client's request anew.",
		Mend:        "Where a request_uri is there, replace the parameters by the stored ones instead of merging the two; of the query take client_id alone, to compare it.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			asked := p.authorization(p.app(), random())
			uri := p.push(p.app(), asked).text("request_uri")
			where, a := p.authorize(with(pushed(p.app(), uri), "redirect_uri", "https://evil.example/", "state", "evil", "scope", "openid evil", "code_challenge", s256("evil"), "code_challenge_method", "S256", "response_type", "code"))
			if where == nil {
				p.want(a.status < 500, Medium, "an error", "%v", a)
				return
			}
			p.want(strings.HasPrefix(where.String(), p.app().RedirectURI), Critical, "the redirect URI that was pushed", "%v", where)
			got := answered(where)
			p.want(!got.Has("code") || got.Get("state") == asked.Get("state"), High, "the state that was pushed", "%q", got.Get("state"))
		},
	},
	{
		ID: "par/signs-in-with-issuer", Source: "RFC 9207 §2, RFC 6749 §4.1.2", Level: Must, Rows: []string{"RFC9207-2-01", "RFC6749-4.1.2-03"}, Needs: []Feature{FeaturePAR, FeatureIssuer},
		Requirement: "The answer to a pushed request has the state that was pushed, and iss.",
		Why:         "A second way to sign in is one on which the checks were forgotten.",
		Mend:        "Let pushed requests go through the same func that writes the redirect: state from what was stored, and iss from the configuration.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			asked := p.authorization(p.app(), random())
			where, a := p.authorize(pushed(p.app(), p.push(p.app(), asked).text("request_uri")))
			p.want(where != nil, Medium, "a redirect", "%v", a)
			got := answered(where)
			p.want(got.Get("state") == asked.Get("state"), Medium, "the state that was pushed", "%q", got.Get("state"))
			p.want(got.Get("iss") == p.run.target.Issuer, Medium, "iss "+p.run.target.Issuer, "%q", got.Get("iss"))
		},
	},
	{
		ID: "par/no-ticket-in-its-place", Source: "RFC 8693 §2.1, CVE-2026-4282", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-26"}, Needs: []Feature{FeaturePAR, FeatureTicket},
		Requirement: "A request_uri is neither a ticket nor a code, and a ticket is no request_uri.",
		Why:         "Where all that works once lies in one place, what is cheap to get is as good as what is not.",
		Mend:        "Keep references, tickets and codes in stores of their own, or put the kind into the key and into the WHERE of each lookup.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			uri := p.push(p.app(), p.authorization(p.app(), random())).text("request_uri")
			f := p.ready(starting{})
			bare := uri[strings.LastIndexByte(uri, ':')+1:]
			for _, v := range []string{uri, bare} {
				p.refused(p.token(p.app(), with(f, "subject_token", v)), "invalid_request")
				p.refused(p.token(p.app(), redemption(p.app(), v, random())), "invalid_grant")
			}
			for _, v := range []string{f.Get("subject_token"), strings.TrimSuffix(uri, bare) + f.Get("subject_token")} {
				where, a := p.authorize(pushed(p.app(), v))
				p.want(where == nil || !answered(where).Has("code"), High, "no code", "%v", a)
			}
		},
	},
	{
		ID: "par/over-with-its-time", Source: "RFC 9126 §4", Level: Must, Slow: true, Rows: []string{"RFC9126-4-01"}, Needs: []Feature{FeaturePAR},
		Requirement: "A request_uri whose time is over gives no code.",
		Why:         "A link that somebody kept would sign in whoever follows it.",
		Mend:        "Store when the reference ends, and compare it with the clock at each lookup; do not leave it to a job that clears up. A minute is enough.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			a := p.push(p.app(), p.authorization(p.app(), random()))
			in, _ := a.members["expires_in"].(float64)
			p.elapse(time.Duration(in) * time.Second)
			where, last := p.authorize(pushed(p.app(), a.text("request_uri")))
			p.want(where == nil || !answered(where).Has("code"), Medium, "no code", "%v", last)
		},
	},
}

func (p *probe) push(c *Client, q url.Values) *answer {
	a := p.post(p.run.meta.PAR, c, q)
	p.run.secret(a.text("request_uri"))
	return a
}

// pushed is the authorization request of a request_uri.
func pushed(c *Client, uri string) url.Values {
	return url.Values{"client_id": {c.ID}, "request_uri": {uri}}
}
