package conformance

import (
	"net/url"
	"slices"
	"strings"
)

// resourceCases are RFC 8707: for which API a token is.
var resourceCases = []Case{
	{
		ID: "resource/for-the-one-asked", Source: "RFC 8707 §2, RFC 9068 §3", Level: Should, Rows: []string{"RFC8707-2-01", "RFC9068-3-01"}, Needs: []Feature{FeatureJWT, FeatureOtherResource},
		Requirement: "A start for one API gives a token for that one and no other.",
		Why:         "Each API that sees the token could use it at the next.",
		try: func(p *probe) {
			first, second := p.run.target.Resource, p.run.target.OtherResource
			defer func() { p.run.target.Resource = first }()
			for _, r := range []string{first, second} {
				p.run.target.Resource = r
				aud := audience(p.says(p.start(starting{}).token))
				p.want(len(aud) == 1 && aud[0] == r || r == "", High, "aud "+r, "%q", aud)
				p.want(r == first || !slices.Contains(aud, first), High, "an aud without "+first, "%q", aud)
			}
		},
	},
	{
		ID: "resource/ticket-bounds", Source: "RFC 8707 §2.2", Level: MustNot, Profile: true, Rows: []string{"RFC8707-2.2-01", "RFC8693-2.1.1-01"}, Needs: []Feature{FeatureTicket, FeatureOtherResource},
		Requirement: "A ticket for one API gives no token for another.",
		Why:         "What the administrator gave a reason for would reach further than they said.",
		try: func(p *probe) {
			f := p.ready(starting{})
			p.refused(p.token(p.app(), with(f, "resource", p.run.target.OtherResource)), "invalid_target", "invalid_request")
			g := with(f)
			g["resource"] = []string{p.run.target.Resource, p.run.target.OtherResource}
			p.refused(p.token(p.app(), g), "invalid_target", "invalid_request")
		},
	},
	{
		ID: "resource/code-bounds", Source: "RFC 8707 §2.2", Level: MustNot, Profile: true, Rows: []string{"RFC8707-2.2-01"}, Needs: []Feature{FeatureOtherResource},
		Requirement: "A code for one API gives no token for another.",
		Why:         "A client would reach what the person was not asked about.",
		try: func(p *probe) {
			p.refused(p.token(p.app(), with(p.redeemable(), "resource", p.run.target.OtherResource)), "invalid_target")
		},
	},
	{
		ID: "resource/refresh-bounds", Source: "RFC 8707 §2.2", Level: MustNot, Profile: true, Rows: []string{"RFC8707-2.2-01"}, Needs: []Feature{FeatureRefresh, FeatureOtherResource},
		Requirement: "A refresh token of a sign-in for one API gives no token for another.",
		Why:         "A client would reach what the person was not asked about.",
		try: func(p *probe) {
			_, token := p.refreshable()
			p.refused(p.token(p.app(), with(refreshing(token), "resource", p.run.target.OtherResource)), "invalid_target")
		},
	},
	{
		ID: "resource/default", Source: "RFC 9068 §3", Level: Must, Rows: []string{"RFC9068-3-02"}, Needs: []Feature{FeatureJWT},
		Requirement: "Without a resource a token is for the server's own choice, and aud says so.",
		Why:         "A token for nobody is taken by everybody who does not look.",
		try: func(p *probe) {
			a := p.token(p.app(), without(p.ready(starting{}), "resource"))
			if !issued(a) {
				p.refused(a, "invalid_target", "invalid_request")
				return
			}
			aud := audience(p.says(a.text("access_token")))
			p.want(len(aud) > 0 && !slices.Contains(aud, "*") && !slices.Contains(aud, ""), High, "aud with at least one value, and no *", "%q", aud)
		},
	},
	{
		ID: "resource/another-clients-audience", Source: "RFC 8693 §2.1, GHSA-75p6-52g3-rqc8", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-20", "RFC8693-2.2.2-04"},
		Requirement: "A client cannot have a token for another client, for itself or for the server by naming it as the audience.",
		Why:         "A token that an app takes as its own sign-in would be made by its neighbour.",
		try: func(p *probe) {
			f := without(p.ready(starting{}), "resource")
			names := []string{p.app().ID, p.run.target.Issuer, p.run.meta.Token, "*", p.run.target.Resource + " " + p.run.target.Issuer}
			if other := p.run.target.Clients.Other; other != nil {
				names = append(names, other.ID)
			}
			for _, name := range names {
				if name != f.Get("audience") { // which each start asks for
					p.notServed(p.token(p.app(), with(f, "audience", name)), []string{name}, "invalid_target", "invalid_request")
				}
			}
		},
	},
	{
		ID: "resource/exact", Source: "RFC 8693 §5, RFC 7519 §11", Level: Must, Rows: []string{"RFC8693-5-03", "RFC8707-2-02"},
		Requirement: "A resource is compared character by character.",
		Why:         "Two that are nearly the same are two APIs to one side and one to the other.",
		try: func(p *probe) {
			r := p.run.target.Resource
			if r == "" {
				p.skip("the target asks for no resource")
			}
			f := p.ready(starting{})
			for _, other := range []string{r + "/", r + "x", strings.ToUpper(r), r + "?x=1", r + "%20", strings.Replace(r, ":", "%3A", 1), r[:len(r)-1]} {
				p.notServed(p.token(p.app(), with(f, "resource", other)), []string{other}, "invalid_target", "invalid_request")
			}
		},
	},
	{
		ID: "resource/unknown-at-sign-in", Source: "RFC 8707 §2", Level: Should, Rows: []string{"RFC8707-2-02"},
		Requirement: "An authorization request for an API that nobody registered gives invalid_target.",
		Why:         "Whoever registers that name tomorrow has tokens of today.",
		try: func(p *probe) {
			if p.run.target.Resource == "" {
				p.skip("the target asks for no resource")
			}
			p.browserOf(p.actor())
			for _, r := range []string{"https://api-of-nobody.example/", "not a uri", "https://api.example/#x"} {
				verifier := random()
				where, a := p.authorize(with(p.authorization(p.app(), verifier), "resource", r))
				if where == nil {
					p.want(a.status < 500, Medium, "invalid_target", "%v", a)
					continue
				}
				got := answered(where)
				p.want(!got.Has("code"), Medium, "invalid_target for "+r, "a code")
				p.want(got.Get("error") == "invalid_target" || got.Get("error") == "invalid_request", Low, "invalid_target for "+r, "%q", got.Get("error"))
			}
		},
	},
}

// errorCases are about how the server says no, and what it makes of what is no request at all.
var errorCases = []Case{
	{
		ID: "error/json", Source: "RFC 6749 §5.2", Level: Must, Rows: []string{"RFC6749-5.2-03"},
		Requirement: "A request that cannot be read gives an error as JSON with status 400, and never a failure of the server.",
		Why:         "A client that gets a page reads nothing, and a failure is where checks are skipped.",
		try: func(p *probe) {
			for _, body := range []string{"", "%", "%zz=1", "a=%ff%fe", "=", "&&&&", "grant_type", strings.Repeat("a&", 2000), "grant_type=authorization_code&code=%00", "grant_type=\xff", "\x00\x01\x02", strings.Repeat("a=b&", 500) + "grant_type=x", "grant_type[]=x", "grant_type[x]=y"} {
				a := p.postRaw(p.run.meta.Token, p.app(), body)
				p.asError(a)
			}
		},
	},
	{
		ID: "error/too-long", Source: "RFC 6749 §5.2, RFC 9110 §15.5.14", Level: Must, Profile: true, Rows: []string{"RFC6749-5.2-03", "RFC8693-2.1-05"},
		Requirement: "A body of a quarter of a mebibyte is refused whole, at once.",
		Why:         "What is cut is read as another request, and what is kept fills the memory.",
		try: func(p *probe) {
			f := p.ready(starting{})
			a := p.token(p.app(), with(f, "subject_token", strings.Repeat("a", 256<<10)))
			p.want(!issued(a), Critical, "no token", "%v", a)
			p.want(a.status >= 400 && a.status < 500, Medium, "413 or 400", "%v", a)
			a = p.postRaw(p.run.meta.Token, p.app(), f.Encode()+"&padding="+strings.Repeat("a", 256<<10))
			p.want(a.status < 500, Medium, "413 or 400", "%v", a)
		},
	},
	{
		ID: "error/unknown-grant", Source: "RFC 6749 §5.2", Level: Must, Rows: []string{"RFC6749-5.2-02"},
		Requirement: "A grant that the server does not know gives unsupported_grant_type, and none at all invalid_request.",
		Why:         "A client that is told otherwise tries again.",
		try: func(p *probe) {
			for _, grant := range []string{"urn:example:x", "AUTHORIZATION_CODE", "implicit", "urn:ietf:params:oauth:grant-type:token_exchange"} {
				p.refused(p.token(p.app(), url.Values{"grant_type": {grant}}), "unsupported_grant_type", "unauthorized_client")
			}
			p.refused(p.token(p.app(), url.Values{"x": {"y"}}), "invalid_request", "unsupported_grant_type")
		},
	},
	{
		ID: "error/repeats-no-signature", Source: "RFC 6749 §5.2, CVE-2019-7644", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.2.2-05"},
		Requirement: "What refuses a token with a wrong signature does not tell the right one, nor any secret.",
		Why:         "The next try has it.",
		try: func(p *probe) {
			token := p.actorToken(p.actor(), p.app())
			right := token[strings.LastIndexByte(token, '.')+1:]
			other := token[:len(token)-len(right)] + flip(right[0]) + right[1:]
			f := p.ready(starting{})
			name := "actor_token"
			if !f.Has(name) {
				name = "subject_token"
			}
			all := []*answer{p.token(p.app(), with(f, name, other))}
			if p.run.has[FeatureUserinfo] {
				all = append(all, p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+other))
			}
			for _, a := range all {
				p.want(a.status >= 400, Critical, "a refusal", "%v", a)
				said := a.body + strings.Join(a.header.Values("WWW-Authenticate"), "")
				p.want(!strings.Contains(said, right), High, "an error without the signature", "it tells it")
				p.want(p.app().Secret == "" || !strings.Contains(said, p.app().Secret), High, "an error without the client's secret", "it tells it")
			}
		},
	},
	{
		ID: "error/same-for-every-refused-token", Source: "RFC 8693 §2.2.2", Level: Should, Profile: true, Rows: []string{"RFC8693-2.2.2-06"},
		Requirement: "A subject_token that never was and one that was used are refused in the same words.",
		Why:         "A difference tells whoever tries tokens which of them were real.",
		try: func(p *probe) {
			if p.run.target.Start.By != StartByTicket {
				p.skip("a start has no one-time token")
			}
			s := p.start(starting{})
			used := p.token(p.app(), s.form)
			never := p.token(p.app(), with(s.form, "subject_token", random()))
			p.refused(used, "invalid_request")
			p.want(used.status == never.status && used.text("error") == never.text("error"), Low, "the same status and error", "%v and %v", used, never)
			p.want(used.text("error_description") == never.text("error_description"), Low, "the same words", "%q and %q", used.text("error_description"), never.text("error_description"))
		},
	},
	{
		ID: "error/not-stored", Source: "RFC 6749 §5.1", Level: Must, Profile: true, Rows: []string{"RFC6749-5.1-01"},
		Requirement: "Each refusal of the token endpoint says Cache-Control: no-store, whoever asked.",
		Why:         "A cache between the two would refuse the next who asks.",
		try: func(p *probe) {
			for _, a := range []*answer{p.token(nil, url.Values{"grant_type": {grantExchange}}), p.token(p.app(), url.Values{"grant_type": {"x"}}), p.token(&Client{ID: p.app().ID, Secret: random()}, url.Values{"grant_type": {grantExchange}})} {
				p.want(strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store"), Low, "Cache-Control: no-store on "+a.String(), "%q", a.header.Get("Cache-Control"))
			}
		},
	},
}

// asError demands an error as RFC 6749 §5.2 has it, whichever.
func (p *probe) asError(a *answer) {
	p.want(!issued(a), Critical, "an error", "%v", a)
	p.want(a.status >= 400 && a.status < 500, Medium, "400", "%v", a)
	p.want(a.text("error") != "", Low, "an error as JSON", "%d %.80q", a.status, a.body)
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	p.want(strings.EqualFold(strings.TrimSpace(kind), "application/json"), Low, "Content-Type application/json", "%q", a.header.Get("Content-Type"))
}
