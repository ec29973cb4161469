package conformance

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// startCases are more of what decides who may become whom, and of what the token then tells.
var startCases = []Case{
	{
		ID: "start/subject-disabled", Source: "RFC 8693 §2.2.2, CVE-2025-14559", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.2.2-03"}, Needs: []Feature{FeatureDisabled},
		Requirement: "Nobody impersonates somebody whose account is switched off.",
		Why:         "Whoever was let go would go on working, by somebody else's hands.",
		try:         func(p *probe) { p.cannotStart(starting{subject: p.run.target.Accounts.Disabled}) },
	},
	{
		ID: "start/other-organisation", Source: "RFC 8693 §2.2.2, CVE-2026-9094", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.2.2-03"}, Needs: []Feature{FeatureOrganisations},
		Requirement: "Who may impersonate within one organisation alone cannot outside of it, and can within it.",
		Why:         "The help desk of one customer would read the data of another.",
		try: func(p *probe) {
			a := p.run.target.Accounts
			p.start(starting{actor: a.Limited})
			p.cannotStart(starting{actor: a.Limited, subject: a.Outside})
		},
	},
	{
		ID: "start/nobody-known", Source: "RFC 8693 §2.2.2", Level: Must, Profile: true, Rows: []string{"RFC8693-2.2.2-03"},
		Requirement: "Nobody impersonates somebody who is not there, or who is named by nothing, a star or a path.",
		Why:         "An empty name that is looked up finds the first who is there, or everybody.",
		try: func(p *probe) {
			for _, who := range []string{"nobody-" + random()[:8], "*", "../" + p.subject().Subject, p.subject().Subject + "\x00", " " + p.subject().Subject, strings.Repeat("a", 3000)} {
				p.cannotStart(starting{subject: &Account{Subject: who, Login: who}})
			}
		},
	},
	{
		ID: "start/two-tokens-are-no-reason", Source: "RFC 8693 §4.4, CVE-2026-56668", Level: Must, Profile: true, Rows: []string{"RFC8693-4.4-09", "RFC8693-1.1-02", "RFC8693-2.1-20"}, Needs: []Feature{FeatureSubjectLogin},
		Requirement: "A user's own token and an actor's start nothing together, nor does the user's alone, where nothing says that the one may act for the other.",
		Why:         "Each API that sees both would make an impersonation of them, that nobody decided on and gave a reason for.",
		try: func(p *probe) {
			if p.run.target.Start.By == StartByToken {
				p.skip("the two are how the target starts")
			}
			user, actor := p.fresh(p.subject(), p.app()).text("access_token"), p.actorToken(p.actor(), p.app())
			for _, kind := range []string{typeAccess, typeJWT} {
				f := url.Values{"grant_type": {grantExchange}, "subject_token": {user}, "subject_token_type": {kind}}
				both := with(f, "actor_token", actor, "actor_token_type", typeAccess)
				p.refused(p.token(p.app(), both), "invalid_request", "invalid_target")
				for name, v := range p.run.target.Start.Parameters {
					both.Set(name, v)
				}
				p.refused(p.token(p.app(), both), "invalid_request", "invalid_target")
				p.refused(p.token(p.app(), with(both, "subject_token", actor, "actor_token", user)), "invalid_request", "invalid_target")
				p.noImpersonation(p.token(p.app(), f))
				p.noImpersonation(p.token(p.app(), with(f, "actor", p.actor().Subject, "requested_actor", p.actor().Subject, "act", `{"sub":"`+p.actor().Subject+`"}`)))
			}
		},
	},
	{
		ID: "start/actor-by-word-alone", Source: "RFC 8693 §1.1, §4.4", Level: MustNot, Profile: true, Rows: []string{"RFC8693-1.1-02", "RFC8693-4.1-13"},
		Requirement: "No parameter and no header of a start changes who acts or who is acted for.",
		Why:         "Whoever writes the request writes the record.",
		try: func(p *probe) {
			f := with(p.ready(starting{}), "act", `{"sub":"conformance"}`, "actor", "conformance", "sub", "conformance", "may_act", `{"sub":"conformance"}`, "claims", `{"access_token":{"act":{"value":{"sub":"conformance"}}}}`)
			a := p.postRaw(p.run.meta.Token, p.app(), f.Encode(), "X-Impersonate", "conformance", "X-Act", "conformance", "Impersonate-User", "conformance", "X-Forwarded-User", "conformance", "X-Forwarded-Email", "conformance")
			if !issued(a) {
				p.asError(a)
				return
			}
			p.begun[a.text("access_token")] = p.app()
			if p.run.has[FeatureJWT] {
				t := p.says(a.text("access_token"))
				p.want(t.text("sub") == p.subject().Subject, Critical, "sub "+p.subject().Subject, "%q", t.text("sub"))
				actor := p.act(t)["sub"]
				p.want(!strings.Contains(fmt.Sprint(actor), "conformance"), Critical, "act.sub "+p.actor().Subject, "what the request said")
				p.want(actor == p.actor().Subject, High, "act.sub "+p.actor().Subject, "%v", actor)
				p.want(t.claims["may_act"] == nil, High, "no may_act", "one")
			}
		},
	},
	{
		ID: "start/ticket-outlives-a-wrong-try", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-12", "RFC8693-2.1-33"}, Needs: []Feature{FeatureTicket},
		Requirement: "A try that fails for its actor_token or its client does not use up the ticket.",
		Why:         "Whoever sees a ticket could keep the administrator from what they have to do.",
		try: func(p *probe) {
			f := p.ready(starting{})
			p.refused(p.token(p.app(), with(f, "actor_token", random())), "invalid_request")
			p.token(&Client{ID: p.app().ID, Secret: random()}, f)
			if other := p.run.target.Clients.Other; other != nil {
				p.refused(p.token(other, f), "invalid_request")
			}
			a := p.token(p.app(), f)
			p.want(issued(a), Medium, "200 with an access token", "%v %s", a, a.text("error_description"))
		},
	},
	{
		ID: "start/says-little-of-people", Source: "RFC 8693 §6", Level: Should, Rows: []string{"RFC8693-6-03", "RFC8693-6-02"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token holds neither what people sign in with nor their names, nor the reason that was given.",
		Why:         "Each API writes it into its log.",
		try: func(p *probe) {
			t := p.says(p.start(starting{}).token)
			act := p.act(t)
			for _, name := range []string{"name", "given_name", "family_name", "email", "phone_number", "reason", "address", "birthdate", "preferred_username"} {
				p.want(t.claims[name] == nil && act[name] == nil, Low, "no "+name, "one")
			}
			for _, who := range []*Account{p.subject(), p.actor()} {
				for name, v := range t.claims {
					p.want(v != who.Login || who.Login == "" || who.Login == who.Subject, Low, "no login name", "in %s", name)
				}
			}
		},
	},
	{
		ID: "start/claims-of-known-names", Source: "RFC 9068 §2.2.2, RFC 7519 §4.2", Level: Should, Rows: []string{"RFC9068-2.2.2-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "Each claim of the token is registered or has a name that collides with no other.",
		Why:         "Some API reads rights out of admin, impersonator or is_admin.",
		try: func(p *probe) {
			known := strings.Fields("iss sub aud exp nbf iat jti act may_act scope client_id cnf sid txn sub_id auth_time acr amr azp nonce at_hash c_hash roles groups entitlements name email authorization_details vot vtm events toe typ version org_id")
			for name := range p.says(p.start(starting{}).token).claims {
				p.want(slices.Contains(known, name) || strings.ContainsAny(name, ":/._-"), Low, "registered names, or such with a prefix", "%q", name)
			}
		},
	},
	{
		ID: "start/answers-know-no-guess", Source: "RFC 8693 §2.2.2", Level: Should, Profile: true, Rows: []string{"RFC8693-2.2.2-06"}, Needs: []Feature{FeatureProtected},
		Requirement: "Where the request itself names whom it is about, somebody who is not there and somebody who is protected are refused in the same words.",
		Why:         "A client could find out who there is, and who is an administrator.",
		try: func(p *probe) {
			form := func(who string) url.Values {
				f := p.readyOnce()
				switch p.run.target.Start.By {
				case StartByUserID:
					return with(f, "subject_token", who)
				case StartByRequest:
					start := &p.run.target.Start
					return with(f, start.names(), p.filled(cmp.Or(start.SubjectValue, "{subject}"), starting{subject: &Account{Subject: who, Login: who}}))
				}
				return with(f, "subject_token", who, "requested_subject", who)
			}
			none, protected := p.token(p.app(), form("nobody-"+random()[:8])), p.token(p.app(), form(p.run.target.Accounts.Protected.Subject))
			p.want(!issued(none) && !issued(protected), Critical, "no token", "one")
			p.want(none.status == protected.status && none.text("error") == protected.text("error") && none.text("error_description") == protected.text("error_description"), Low, "the same words", "%v %q and %v %q", none, none.text("error_description"), protected, protected.text("error_description"))
		},
	},
	{
		ID: "start/over-tls-alone", Source: "RFC 8693 §6, RFC 6749 §3.2", Level: Must, Rows: []string{"RFC8693-6-01"},
		Requirement: "A server that is https takes no token in clear: the same address by http answers with no token.",
		Why:         "The redirect comes after the token was read on the way.",
		try: func(p *probe) {
			u, err := url.Parse(p.run.meta.Token)
			if err != nil || u.Scheme != "https" {
				p.want(err == nil && loopback(u), High, "https", "%s", p.run.meta.Token)
				return
			}
			u.Scheme, u.Host = "http", u.Hostname()
			req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, u.String(), nil)
			if err != nil {
				p.blocked("%v", err)
			}
			req.Header.Set("Content-Type", formType)
			a, err := p.send(req, url.Values{"grant_type": {grantExchange}, "subject_token": {"conformance"}, "subject_token_type": {typeAccess}}.Encode())
			if err == nil {
				p.want(a.text("error") == "" && !issued(a), Medium, "no answer of the token endpoint by http", "%v", a)
			}
		},
	},
	{
		ID: "start/what-opens-nothing-is-called-so", Source: "RFC 8693 §2.2.1", Level: Must, Rows: []string{"RFC8693-2.2.1-06"},
		Requirement: "Where an exchange gives what is no access token, token_type is N_A, and it opens nothing.",
		Why:         "A client that is told Bearer shows it to an API, and one API takes it.",
		try: func(p *probe) {
			for _, kind := range []string{typeID, typeSAML2, "urn:ietf:params:oauth:token-type:id-jag"} {
				a := p.token(p.app(), with(p.ready(starting{}), "requested_token_type", kind))
				if !issued(a) || !slices.Contains([]string{typeID, typeSAML2}, a.text("issued_token_type")) {
					continue
				}
				p.want(strings.EqualFold(a.text("token_type"), "N_A"), Medium, "token_type N_A for "+kind, "%q", a.text("token_type"))
				if p.run.has[FeatureUserinfo] {
					u := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+a.text("access_token"))
					p.want(u.status >= 400, Critical, "401 at userinfo", "%v", u)
				}
			}
		},
	},
}

// noImpersonation demands that what came of an exchange without an actor, if anything, says of nobody that they act.
func (p *probe) noImpersonation(a *answer) {
	if !issued(a) {
		p.refused(a, "invalid_request", "invalid_target", "unauthorized_client")
		return
	}
	if p.run.has[FeatureJWT] {
		act, has := p.says(a.text("access_token")).claims["act"].(map[string]any)
		p.want(!has || act["sub"] == p.app().ID, Critical, "no act but the client's own", "%v", act)
	}
}
