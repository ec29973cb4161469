package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// introspectionCases are RFC 7662.
var introspectionCases = []Case{
	{
		ID: "introspection/authentication-required", Source: "RFC 7662 §2.1, §4", Level: Must, Rows: []string{"RFC7662-2.1-01"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "Whoever asks about a token has to authenticate.",
		Why:         "Anybody could try tokens, and would be told whose they are.",
		Mend:        "Run the same client authentication as at the token endpoint before you look the token up, and answer 401 without a member active where it fails.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			for what, c := range map[string]*Client{"nobody": nil, "the client's id alone": {ID: p.app().ID, Auth: "none"}, "a wrong secret": {ID: p.app().ID, Secret: random()}} {
				a := p.introspect(c, token)
				_, told := a.members["active"]
				p.want(!told, Critical, "nothing about the token for "+what, "%v", a.members)
				p.want(a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest || a.status == http.StatusForbidden, Medium, "401 for "+what, "%v", a)
			}
		},
	},
	{
		ID: "introspection/public-client-refused", Source: "RFC 7662 §2.1", Level: Must, Rows: []string{"RFC7662-2.1-01"}, Needs: []Feature{FeatureIntrospection, FeaturePublic},
		Requirement: "A public client, which proves nothing, is told nothing about a token.",
		Why:         "Its id is known to anybody.",
		Mend:        "Refuse clients whose registered token_endpoint_auth_method is none: a client_id alone proves nothing. Check the registration, not whether a secret was sent.",
		try: func(p *probe) {
			a := p.introspect(p.run.target.Clients.Public, p.start(starting{}).token)
			p.want(a.members["active"] != true, Critical, "nothing about the token", "%v", a)
			p.want(len(a.members) <= 1 || a.text("error") != "", High, "nothing about the token", "%v", a.members)
		},
	},
	{
		ID: "introspection/living-token-active", Source: "RFC 7662 §2.2", Level: Must, Rows: []string{"RFC7662-2.2-01", "RFC8693-3-07"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "A living impersonation token is active, said by a boolean.",
		Why:         "An API that cannot ask about it lets it in unasked, or nobody.",
		Mend:        "Write active as a JSON boolean, not as \"true\", and each member once. Look for tokens of the exchange where those of a sign-in are found.",
		try: func(p *probe) {
			a := p.introspect(p.app(), p.start(starting{}).token)
			p.want(a.status == http.StatusOK, Medium, "200", "%v", a)
			p.want(a.members["active"] == true, Medium, "active as the boolean true", "%v", a.members["active"])
			p.want(a.twice == "", Medium, "each member once", "%q twice", a.twice)
		},
	},
	{
		ID: "introspection/names-both", Source: "RFC 8693 §4.1, RFC 7662 §2.2", Level: Must, Profile: true, Rows: []string{"RFC8693-4.1-08", "RFC8693-1.1-01", "RFC8693-4.3-01"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "The answer about an impersonation token has the subject as sub and the actor as act.sub.",
		Why:         "An API that asks, and is not told of the actor, takes the administrator for the user.",
		Mend:        "Build the answer from the claims of the token, act among them: a library's answer often has a fixed list of members, to which act must be added.",
		try: func(p *probe) {
			a := p.introspect(p.app(), p.start(starting{}).token)
			act, _ := a.members["act"].(map[string]any)
			p.want(a.text("sub") == p.subject().Subject, Critical, "sub "+p.subject().Subject, "%q", a.text("sub"))
			p.want(act["sub"] == p.actor().Subject, High, "act.sub "+p.actor().Subject, "%v", a.members["act"])
			p.want(a.text("client_id") == p.app().ID, Medium, "client_id "+p.app().ID, "%q", a.text("client_id"))
		},
	},
	{
		ID: "introspection/as-the-token", Source: "RFC 7662 §2.2, RFC 8693 §4.1", Level: Must, Profile: true, Rows: []string{"RFC7662-2.2-04", "RFC8693-4.1-08"}, Needs: []Feature{FeatureIntrospection, FeatureJWT},
		Requirement: "The answer says of sub, act, client_id, scope, aud, iss, exp, iat and jti what the token says, and of auth_time and acr nothing else.",
		Why:         "Two APIs, of which one reads the token and the other asks, would decide differently.",
		Mend:        "Keep the claims once, and write both the token and the answer from them; look for members that are computed anew, such as aud, scope or exp.",
		try: func(p *probe) {
			s := p.start(starting{})
			t, a := p.says(s.token), p.introspect(p.app(), s.token)
			for _, name := range []string{"sub", "act", "client_id", "scope", "aud", "iss", "exp", "iat", "jti"} {
				want, got := plain(t.claims[name]), plain(a.members[name])
				if name == "aud" {
					want, got = oneOrMany(want), oneOrMany(got)
				}
				p.want(reflect.DeepEqual(want, got), High, name+" as the token has it", "%v, where the token has %v", got, want)
			}
			own := p.actorToken(p.actor(), p.app())
			t, a = p.says(own), p.introspect(p.app(), own)
			for _, name := range []string{"auth_time", "acr"} { // of a sign-in, and both may be told in one place alone
				want, got := plain(t.claims[name]), plain(a.members[name])
				p.want(want == nil || got == nil || reflect.DeepEqual(want, got), High, name+" as the token has it", "%v, where the token has %v", got, want)
			}
		},
	},
	{
		ID: "introspection/other-client-told-nothing", Source: "RFC 7662 §2.2, CVE-2026-37979", Level: Must, Rows: []string{"RFC7662-2.2-03", "RFC8725-3.9-01"}, Needs: []Feature{FeatureIntrospection, FeatureOtherClient},
		Requirement: "A client that neither got the token nor serves its API is told that it is inactive, and nobody's name.",
		Why:         "Any client with a secret would learn who looks at whom.",
		Mend:        "Compare the caller with the token's client_id, and its registered resource with the token's aud; where neither fits, answer {\"active\":false} and nothing else.",
		try: func(p *probe) {
			const of = "another client's token"
			a := p.introspect(p.run.target.Clients.Other, p.start(starting{}).token)
			p.inactive(a, of)
			for _, name := range []string{"sub", "act", "username", "scope", "client_id", "aud"} {
				_, told := a.members[name]
				p.want(!told, Medium, "no "+name+" of "+of, "one")
			}
		},
	},
	{
		ID: "introspection/inactive-says-nothing", Source: "RFC 7662 §2.2, §4", Level: ShouldNot, Rows: []string{"RFC7662-2.2-02"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "Of a token that is unknown, too long, another's, over, or no token at all the answer is {\"active\":false}, and no more.",
		Why:         "A reason tells whoever tries tokens what to change.",
		Mend:        "Have one func write {\"active\":false} for each reason why a token is none, with status 200, and write no error, sub or exp beside it.",
		try: func(p *probe) {
			for _, token := range []string{"x", random(), strings.Repeat("a", 5000), "eyJhbGciOiJub25lIn0.e30.", "....", "\u00e9"} {
				p.nothing(p.introspect(p.app(), token), "a token of nobody's")
			}
			token := p.start(starting{}).token
			if other := p.run.target.Clients.Other; other != nil {
				if a := p.introspect(other, token); a.members["active"] == false {
					p.nothing(a, "another client's token")
				}
			}
			if p.run.has[FeatureRevocation] && p.revoke(p.app(), token).status == http.StatusOK {
				if a := p.introspect(p.app(), token); a.members["active"] == false {
					p.nothing(a, "a revoked token")
				}
			}
		},
	},
	{
		ID: "introspection/revoked-inactive", Source: "RFC 7662 §2.2, keycloak#31296", Level: Must, Rows: []string{"RFC7662-2.2-01", "RFC7662-2.2-02"}, Needs: []Feature{FeatureIntrospection, FeatureRevocation},
		Requirement: "A token that was revoked is inactive at once.",
		Why:         "Whoever was thrown out goes on for as long as the answer is old.",
		Mend:        "Look at the stored state of the token or of its session for each question, after its signature and exp; keep the answer in no cache.",
		try: func(p *probe) {
			s := p.start(starting{})
			p.want(p.active(s.token), Medium, "an active token before", "one that is over")
			if a := p.post(p.run.meta.Revocation, s.client, url.Values{"token": {s.token}}); a.status != http.StatusOK {
				p.blocked("the token could not be revoked: %v", a)
			}
			p.want(!p.active(s.token), High, "an inactive token after", "one that is active")
		},
	},
	{
		ID: "introspection/changed-token-inactive", Source: "RFC 6749 §10.3, RFC 7662 §4, CVE-2026-27840", Level: Must, Rows: []string{"RFC6749-10.3-01", "RFC7662-4-01"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "A token that was cut, lengthened or changed in one character is inactive, and one without its signature too.",
		Why:         "Of a token of which a part only is compared, the rest is anybody's to choose.",
		Mend:        "Verify the signature over the token as it was sent, with a fixed list of algorithms without none. Look opaque tokens up by a hash of the whole.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			all := append(changed(token), unsigned(token)...)
			all = append(all, token+"=", token+"."+token, strings.ToUpper(token), strings.ToLower(token), token[1:], token[:len(token)/2])
			if parts := strings.Split(token, "."); len(parts) == 3 {
				all = append(all, parts[0]+"."+parts[1]+"."+parts[2][:len(parts[2])/2], parts[0]+"."+parts[1], parts[0]+"."+parts[1]+"."+strings.Repeat("A", len(parts[2])))
			}
			for _, other := range all {
				a := p.introspect(p.app(), other)
				p.want(a.members["active"] != true, Critical, "an inactive token", "active, though it was changed")
				p.want(a.status < 500, Medium, "200", "%v", a)
			}
		},
	},
	{
		ID: "introspection/hint-changes-nothing", Source: "RFC 7662 §2.1", Level: Must, Rows: []string{"RFC7662-2.1-02"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "A token_type_hint that is wrong or unknown does not change the answer.",
		Why:         "A token that is looked for in the wrong place is taken for dead, or an ended one for alive.",
		Mend:        "Take token_type_hint as where to look first alone: search the other kinds too where that finds nothing, and ignore a hint that you do not know.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			for _, hint := range []string{"access_token", "refresh_token", "urn:example:foo", ""} {
				a := p.post(p.run.meta.Introspection, p.app(), url.Values{"token": {token}, "token_type_hint": {hint}})
				p.want(a.members["active"] == true, Low, "an active token with the hint "+hint, "%v", a)
			}
		},
	},
	{
		ID: "introspection/token-required", Source: "RFC 7662 §2.1", Level: Must, Rows: []string{"RFC6749-5.2-03"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "A question without a token is refused, or answered with inactive, as JSON.",
		Why:         "A server that takes another token instead, such as the caller's own, says yes to an empty one.",
		Mend:        "Answer 400 invalid_request where the form's token is missing or empty, and read it from nowhere else: the Authorization header is the caller's.",
		try: func(p *probe) {
			for _, form := range []url.Values{{}, {"token": {""}}} {
				a := p.post(p.run.meta.Introspection, p.app(), form)
				p.want(a.members["active"] != true, Critical, "no active token", "one")
				p.want(a.status < 500 && a.members != nil, Medium, "400 as JSON", "%v", a)
			}
		},
	},
	{
		ID: "introspection/no-other-form", Source: "RFC 7662 §2.2, CVE-2026-18208", Level: ShouldNot, Profile: true, Rows: []string{"RFC7662-2.2-02"}, Needs: []Feature{FeatureIntrospection, FeatureOtherClient},
		Requirement: "Asked for another form, such as a signed one, the answer about a token that the caller must not know says no more.",
		Why:         "A second form of the answer is one in which the check was forgotten.",
		Mend:        "Decide what the caller may know before you choose the form of the answer, and hand each writer the result; drop signed answers (RFC 9701) where you need none.",
		try: func(p *probe) {
			token := p.start(starting{}).token
			for _, accept := range []string{"application/jwt", "application/token-introspection+jwt", "text/html", "application/xml", "*/*"} {
				req := url.Values{"token": {token}}
				a := p.request(http.MethodPost, p.run.meta.Introspection, req.Encode(), "Content-Type", formType, "Accept", accept, "Authorization", basic(p.run.target.Clients.Other.ID, p.run.target.Clients.Other.Secret))
				p.want(a.status < 500, Medium, "200 or 406 for "+accept, "%v", a)
				p.want(a.members["active"] != true && !strings.Contains(a.body, p.actor().Subject+`"`), Critical, "nothing about the token for "+accept, "%v", a.members)
				if jwt, err := parseJWT(strings.TrimSpace(a.body)); err == nil {
					inner, _ := jwt.claims["token_introspection"].(map[string]any)
					p.want(len(inner) <= 1 && inner["active"] != true, Critical, "nothing about the token for "+accept, "%v", inner)
				}
			}
		},
	},
	{
		ID: "introspection/body-only", Source: "RFC 7662 §4", Level: May, Profile: true, Rows: []string{"RFC6749-2.3.1-02"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "Neither the token nor the client's secret is taken from the URL.",
		Why:         "What stands in a URL stands in logs.",
		Mend:        "Register the path for POST alone, and read r.PostForm or your framework's body parameters; one that merges query and body, such as r.FormValue, takes both.",
		try: func(p *probe) {
			token, c := p.start(starting{}).token, p.app()
			q := url.Values{"token": {token}}
			a := p.request(http.MethodGet, p.run.meta.Introspection+"?"+q.Encode(), "", "Authorization", basic(c.ID, c.Secret))
			p.want(a.members["active"] != true, Medium, "nothing for a GET", "%v", a)
			a = p.request(http.MethodPost, p.run.meta.Introspection+"?"+q.Encode(), "x=1", "Content-Type", formType, "Authorization", basic(c.ID, c.Secret))
			p.want(a.members["active"] != true, Medium, "nothing for a token in the query", "%v", a)
			q = url.Values{"client_id": {c.ID}, "client_secret": {c.Secret}}
			a = p.request(http.MethodPost, p.run.meta.Introspection+"?"+q.Encode(), url.Values{"token": {token}}.Encode(), "Content-Type", formType)
			p.want(a.members["active"] == nil, High, "nothing for a secret in the query", "%v", a)
		},
	},
	{
		ID: "introspection/impersonation-token-opens-nothing", Source: "RFC 7662 §2.1, zitadel PR #7516", Level: MustNot, Profile: true, Rows: []string{"RFC7662-2.1-01"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "An impersonation token, sent as the caller's own authorization, does not let anybody ask.",
		Why:         "A token about a user has no business at the server's own endpoints.",
		Mend:        "Authenticate clients alone at this endpoint. Where a bearer token may stand for the caller, refuse those about users, and those with act first of all.",
		try: func(p *probe) {
			s := p.start(starting{})
			a := p.request(http.MethodPost, p.run.meta.Introspection, url.Values{"token": {p.actorToken(p.actor(), p.app())}}.Encode(), "Content-Type", formType, "Authorization", "Bearer "+s.token)
			p.want(a.members["active"] == nil, Critical, "nothing about a token", "%v", a.members)
			p.want(a.status >= 400 && a.status < 500, Low, "401", "%v", a)
		},
	},
	{
		ID: "introspection/one-time-tokens-are-none", Source: "RFC 7662 §2.2, CVE-2025-12421", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-26"}, Needs: []Feature{FeatureIntrospection, FeatureTicket},
		Requirement: "A ticket or a code that lives is no active token, and asking does not spend it.",
		Why:         "An API that asks about whatever it is shown would let a ticket in.",
		Mend:        "Look among access tokens and refresh tokens alone: keep tickets and codes in tables of their own, or compare the kind in the statement; spend them at the token endpoint only.",
		try: func(p *probe) {
			verifier := random()
			code := p.freshCode(p.actor(), p.app(), verifier)
			f := p.ready(starting{})
			p.nothing(p.introspect(p.app(), code), "a code")
			p.nothing(p.introspect(p.app(), f.Get("subject_token")), "a ticket")
			p.want(issued(p.token(p.app(), f)), Medium, "a ticket that still works", "none")
		},
	},
	{
		ID: "introspection/id-token-inactive", Source: "RFC 8725 §3.12, CVE-2026-41164", Level: MustNot, Profile: true, Rows: []string{"RFC8725-3.12-01"}, Needs: []Feature{FeatureIntrospection, FeatureOpenID},
		Requirement: "An ID token is no active access token.",
		Why:         "It is shown to the app and kept in its logs; an API that asks would let it in.",
		Mend:        "Demand typ at+jwt of what you verify, or find its jti among the access tokens that you issued: a good signature of your own is not enough.",
		try: func(p *probe) {
			a := p.introspect(p.app(), p.idToken(p.actor()))
			p.want(a.members["active"] != true, High, "an inactive token", "%v", a.members)
		},
	},
	{
		ID: "introspection/not-stored", Source: "RFC 7662 §4, RFC 6749 §5.1", Level: Should, Profile: true, Rows: []string{"RFC6749-5.1-01", "RFC7662-2.2-01"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "Answers say Cache-Control: no-store.",
		Why:         "A cache between the two says active of what ended.",
		Mend:        "Set Cache-Control: no-store before the first byte of each answer, also where active is false; a middleware around the endpoint does it.",
		try: func(p *probe) {
			for _, a := range []*answer{p.introspect(p.app(), p.start(starting{}).token), p.introspect(p.app(), "x")} {
				p.want(strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store"), Low, "Cache-Control: no-store", "%q", a.header.Get("Cache-Control"))
			}
		},
	},
}

const wantInactive = `200 with {"active":false}`

// inactive demands that a token is called so (RFC 7662 §2.2).
func (p *probe) inactive(a *answer, of string) {
	p.want(a.members["active"] != true, Critical, wantInactive+" for "+of, "active")
	p.want(a.status == http.StatusOK, Low, wantInactive+" for "+of, "%v", a)
	p.want(a.members["active"] == false, Medium, wantInactive+" for "+of, "active is %v", a.members["active"])
}

// nothing is inactive, and demands that nothing else is said, as the same clause recommends.
func (p *probe) nothing(a *answer, of string) {
	const want = wantInactive
	p.inactive(a, of)
	p.want(len(a.members) == 1, Medium, want+" for "+of, "%v", a.members)
}

// idToken is one of account's at the app.
func (p *probe) idToken(account *Account) string {
	id := p.fresh(account, p.app()).text("id_token")
	if id == "" {
		p.skip("the sign-in gives no ID token")
	}
	return id
}

// plain is v with each number as a float64: one reader of JSON keeps them as they are, another does not.
func plain(v any) any {
	b, err := json.Marshal(v)
	var out any
	if err != nil || json.Unmarshal(b, &out) != nil {
		return v
	}
	return out
}

// oneOrMany is a string as a list of one.
func oneOrMany(v any) any {
	if s, ok := v.(string); ok {
		return []any{s}
	}
	return v
}
