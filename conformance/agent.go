package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// agentCases are about clients that act as themselves, such as a service or an AI agent, for people who let them: the subject's own token says by may_act who may
// (RFC 8693 §4.4). Each is tried with every agent of the target.
var agentCases = []Case{
	{
		ID: "agent/starts-as-itself", Source: "RFC 8693 §4.1, §4.4", Level: Must, Rows: []string{"RFC8693-4.4-04"}, Needs: []Feature{FeatureAgents, FeatureJWT},
		Requirement: "The token of an agent is about the user, and its act names the agent.",
		Why:         "What the agent does would be what the user did.",
		Mend:        "Take sub from the subject_token and act from who authenticated: the actor_token, or the client itself where may_act names it and none is sent.",
		try: eachAgent(func(p *probe, g *Agent) {
			user := p.agents(g, p.subject())
			forms := []url.Values{p.acting(g, user)}
			if own := without(forms[0], "actor_token", "actor_token_type"); len(own) < len(forms[0]) {
				forms = append(forms, own)
			}
			for i, f := range forms {
				a := p.token(&g.Client, f)
				if i > 0 && !issued(a) { // it may ask for the agent's own token
					p.refused(a, "invalid_request")
					continue
				}
				t := p.says(p.held(a))
				p.want(t.text("sub") == p.subject().Subject, Critical, "sub "+p.subject().Subject, "%q", t.text("sub"))
				p.want(p.act(t)["sub"] == g.Subject, High, "act.sub "+g.Subject, "%v", p.act(t)["sub"])
			}
		}),
	},
	{
		ID: "agent/kind-told", Source: "RFC 8693 §4.1", Level: Should, Profile: true, Needs: []Feature{FeatureAgents, FeatureJWT},
		Requirement: "act tells what kind of actor it is, where the target says that it does.",
		Why:         "Whoever reads the record cannot tell a person's hand from a program's.",
		Mend:        "Keep the kind with the client's registration and put it into act as sub_profile; it is no claim that a client may choose.",
		try: eachAgent(func(p *probe, g *Agent) {
			if g.Kind == "" {
				p.skip("the target does not say of what kind %s is", g.Client.ID)
			}
			act := p.act(p.says(p.acts(g).token))
			p.want(act["sub_profile"] == g.Kind, Low, "sub_profile "+g.Kind, "%v", act["sub_profile"])
		}),
	},
	{
		ID: "agent/may-act-names-it", Source: "RFC 8693 §4.4", Level: Must, Rows: []string{"RFC8693-4.4-01"}, Needs: []Feature{FeatureAgents, FeatureJWT},
		Requirement: "Where the user's token shows may_act, that is an object which identifies the agent, and holds nothing else.",
		Why:         "A list or a word is read as one party by one reader, and as none or as all by another.",
		Mend:        "Write may_act as an object of sub and iss, and of client_id at most; keep scopes and times of the consent at the server.",
		try: eachAgent(func(p *probe, g *Agent) {
			t := p.says(p.agents(g, p.subject()))
			if t.claims["may_act"] == nil {
				p.skip("the target keeps who may act to itself")
			}
			may, ok := t.claims["may_act"].(map[string]any)
			p.want(ok, High, "may_act as an object", "%s", kindOf(t.claims["may_act"]))
			p.want(may["sub"] == g.Subject, High, "may_act.sub "+g.Subject, "%v", may["sub"])
			for _, name := range []string{"exp", "nbf", "aud", "iat", "scope", "roles", "groups", "act", "may_act"} {
				_, has := may[name]
				p.want(!has, Low, "no "+name+" in may_act", "one")
			}
		}),
	},
	{
		ID: "agent/not-without-consent", Source: "RFC 8693 §4.4", Level: Must, Profile: true, Rows: []string{"RFC8693-4.4-09"}, Needs: []Feature{FeatureAgents, FeatureOrdinary},
		Requirement: "An agent starts nothing for a user who did not let it, though it has a token of theirs.",
		Why:         "Each app to which somebody signs in could go on as them, for whatever it likes.",
		Mend:        "Refuse where the subject_token has no may_act, or the consent that it came from is gone: no may_act is no permission.",
		try: eachAgent(func(p *probe, g *Agent) {
			p.refused(p.token(&g.Client, p.acting(g, p.agents(g, p.run.target.Accounts.Ordinary))), "invalid_request", "invalid_target")
			if p.run.has[FeatureSubjectLogin] { // whoever they let act at one client did not at another
				p.refused(p.token(&g.Client, p.acting(g, p.actorToken(p.subject(), p.app()))), "invalid_request", "invalid_target")
			}
		}),
	},
	{
		ID: "agent/nobody-elses-consent", Source: "RFC 8693 §4.4", Level: Must, Rows: []string{"RFC8693-4.4-02", "RFC8693-4.4-03"}, Needs: []Feature{FeatureAgents},
		Requirement: "A user's token that lets one agent act is exchanged by no other client, and for no other actor.",
		Why:         "One consent would be everybody's.",
		Mend:        "Compare issuer, subject and client of may_act with those of who authenticated, each exactly and all of them.",
		try: eachAgent(func(p *probe, g *Agent) {
			user := p.agents(g, p.subject())
			person := p.agents(g, p.actor())
			f := p.acting(g, user)
			p.refused(p.token(&g.Client, with(f, "actor_token", person, "actor_token_type", typeAccess)), "invalid_request", "invalid_target")
			p.refused(p.token(p.app(), f), "invalid_request", "invalid_target", "invalid_grant")
			p.refused(p.token(p.app(), with(f, "actor_token", p.actorToken(p.actor(), p.app()), "actor_token_type", typeAccess)), "invalid_request", "invalid_target", "invalid_grant")
			p.refused(p.token(p.app(), without(f, "actor_token", "actor_token_type")), "invalid_request", "invalid_target", "invalid_grant")
			for i := range p.run.target.Agents {
				if other := &p.run.target.Agents[i]; other.Client.ID != g.Client.ID {
					theirs := p.acting(other, user)
					p.refused(p.token(&other.Client, theirs), "invalid_request", "invalid_target", "invalid_grant")
					if theirs.Has("actor_token") {
						p.refused(p.token(&g.Client, theirs), "invalid_request", "invalid_target", "invalid_grant")
					}
				}
			}
		}),
	},
	{
		ID: "agent/may-act-not-by-word", Source: "RFC 8693 §4.4, RFC 8725 §3.3", Level: MustNot, Profile: true, Rows: []string{"RFC8693-4.4-08"}, Needs: []Feature{FeatureAgents, FeatureOrdinary},
		Requirement: "Neither a parameter nor an edit of a token makes a may_act that was not there.",
		Why:         "Whoever writes it is whoever they like.",
		Mend:        "Read may_act from tokens whose signature you verified, or better from your own record of the consent; never from the request.",
		try: eachAgent(func(p *probe, g *Agent) {
			user := p.agents(g, p.run.target.Accounts.Ordinary)
			f := p.acting(g, user)
			p.refused(p.token(&g.Client, with(f, "may_act", `{"sub":"`+g.Subject+`"}`, "actor", g.Subject)), "invalid_request", "invalid_target")
			t, err := parseJWT(user)
			if err != nil {
				return
			}
			for _, may := range []any{map[string]any{"iss": p.run.target.Issuer, "sub": g.Subject, "client_id": g.Client.ID}, g.Subject, []string{g.Subject}, map[string]any{}, map[string]any{"sub": nil}, true} {
				t.claims["may_act"] = may
				payload, _ := json.Marshal(t.claims)
				parts := strings.Split(user, ".")
				p.refused(p.token(&g.Client, with(f, "subject_token", parts[0]+"."+b64.EncodeToString(payload)+"."+parts[2])), "invalid_request", "invalid_target")
			}
		}),
	},
	{
		ID: "agent/not-again", Source: "RFC 8693 §4.1, §4.4", Level: MustNot, Profile: true, Rows: []string{"RFC8693-4.4-07"}, Needs: []Feature{FeatureAgents},
		Requirement: "An agent's token about a user has no may_act, and is exchanged for nothing.",
		Why:         "An agent would pass the user on to the next, and each exchange would lengthen it.",
		Mend:        "Refuse every subject_token and actor_token that has act, and leave may_act out of what you issue.",
		try: eachAgent(func(p *probe, g *Agent) {
			s := p.acts(g)
			if t, err := parseJWT(s.token); err == nil {
				p.want(t.claims["may_act"] == nil, High, "no may_act", "one")
			}
			p.refused(p.token(&g.Client, p.acting(g, s.token)), "invalid_request", "invalid_target")
			p.refused(p.token(&g.Client, without(p.acting(g, s.token), "actor_token", "actor_token_type")), "invalid_request", "invalid_target")
			p.refused(p.token(&g.Client, with(p.acting(g, p.agents(g, p.subject())), "actor_token", s.token, "actor_token_type", typeAccess)), "invalid_request", "invalid_target")
		}),
	},
	{
		ID: "agent/no-more-than-the-user-gave", Source: "RFC 8693 §5", Level: Should, Profile: true, Rows: []string{"RFC8693-5-02"}, Needs: []Feature{FeatureAgents, FeatureJWT},
		Requirement: "An agent's token has no scope that the user's has not, and ends no later than the tokens that it was exchanged for.",
		Why:         "The user who let it book a journey finds their address changed, or finds it there a month later.",
		Mend:        "Intersect the scope with that of the subject_token, and take the earliest of all ends.",
		try: eachAgent(func(p *probe, g *Agent) {
			user := p.agents(g, p.subject())
			theirs := p.says(user)
			f := p.acting(g, user)
			for _, form := range []url.Values{f, with(f, "scope", strings.TrimSpace(f.Get("scope")+" "+p.run.target.WriteScope+" "+p.run.target.Scope))} {
				a := p.token(&g.Client, form)
				if !issued(a) {
					p.refused(a, "invalid_scope")
					continue
				}
				t := p.says(p.held(a))
				for _, scope := range strings.Fields(t.text("scope")) {
					p.want(slices.Contains(strings.Fields(theirs.text("scope")), scope), Critical, "nothing beyond "+theirs.text("scope"), "%s", scope)
				}
				p.want(number(t.claims["exp"]) <= number(theirs.claims["exp"]), High, "an end no later than the user's token's", "%v s later", number(t.claims["exp"])-number(theirs.claims["exp"]))
			}
		}),
	},
	{
		ID: "agent/nothing-that-lasts", Source: "RFC 8693 §2.2.1", Level: Should, Profile: true, Rows: []string{"RFC8693-2.2.1-12"}, Needs: []Feature{FeatureAgents},
		Requirement: "Neither an agent's own token nor its token about a user comes with a refresh token or an ID token.",
		Why:         "It would go on when the user has long forgotten.",
		Mend:        "Issue an access token alone for client_credentials and for token exchange.",
		try: eachAgent(func(p *probe, g *Agent) {
			answers := []*answer{p.acts(g).answer}
			if own := p.own(g); own != nil {
				answers = append(answers, own)
			}
			for _, a := range answers {
				for _, name := range []string{"refresh_token", "id_token"} {
					p.want(a.members[name] == nil, High, "no "+name, "one")
				}
			}
		}),
	},
	{
		ID: "agent/own-token-is-its-own", Source: "RFC 9068 §2.2, RFC 6749 §4.4", Level: Must, Rows: []string{"RFC9068-2.2-02"}, Needs: []Feature{FeatureAgents, FeatureClientGrant, FeatureJWT},
		Requirement: "A token that an agent gets for itself has the agent as its sub, and nobody's sign-in, act or may_act; it is no subject_token.",
		Why:         "An API would take a program for a person.",
		Mend:        "Give clients subs that no person can have, and leave out auth_time, acr, amr and sid.",
		try: eachAgent(func(p *probe, g *Agent) {
			own := p.own(g)
			t := p.says(own.text("access_token"))
			p.want(t.text("sub") == g.Subject, High, "sub "+g.Subject, "%q", t.text("sub"))
			for _, name := range []string{"act", "may_act", "auth_time", "acr", "amr", "sid"} {
				p.want(t.claims[name] == nil, Medium, "no "+name, "one")
			}
			p.refused(p.token(&g.Client, p.acting(g, own.text("access_token"))), "invalid_request", "invalid_target")
		}),
	},
	{
		ID: "agent/ended", Source: "RFC 7009 §2.1", Level: Must, Profile: true, Rows: []string{"RFC7009-2.1-03"}, Needs: []Feature{FeatureAgents, FeatureRevocation, FeatureIntrospection},
		Requirement: "An agent's token about a user is active until the agent revokes it, and not after.",
		Why:         "What cannot be ended is ended by nobody.",
		Mend:        "Have revocation end the session that the token belongs to, and introspection look there.",
		try: eachAgent(func(p *probe, g *Agent) {
			s := p.acts(g)
			p.want(p.introspect(&g.Client, s.token).members["active"] == true, Medium, "an active token", "one that is over")
			p.post(p.run.meta.Revocation, &g.Client, url.Values{"token": {s.token}})
			p.want(p.introspect(&g.Client, s.token).members["active"] == false, High, "a token that is over", "an active one")
		}),
	},
}

// eachAgent tries a case with every agent.
func eachAgent(try func(*probe, *Agent)) func(*probe) {
	return func(p *probe) {
		for i := range p.run.target.Agents {
			try(p, &p.run.target.Agents[i])
		}
	}
}

// agents gives a user's own token at an agent's client, which cases share: with the scope of a start, and so with less than they could have.
func (p *probe) agents(g *Agent, user *Account) string {
	key := p.tokenOf(user, &g.Client)
	if p.run.tokens[key] == "" {
		verifier := random()
		q := p.authorization(&g.Client, verifier)
		if p.run.target.SubjectScope != "" {
			q.Set("scope", p.run.target.SubjectScope)
		}
		got := p.signIn(p.browser(user), &g.Client, q)
		if got.Get("code") == "" {
			p.blocked("%s could not sign in at %s: %s %s", user.Login, g.Client.ID, got.Get("error"), got.Get("error_description"))
		}
		a := p.token(&g.Client, redemption(&g.Client, got.Get("code"), verifier))
		if a.status != http.StatusOK || a.text("access_token") == "" {
			p.blocked("the code of %s at %s could not be redeemed: %v %s", user.Login, g.Client.ID, a, a.text("error_description"))
		}
		p.run.tokens[key] = a.text("access_token")
	}
	return p.run.tokens[key]
}

// own is what an agent gets for itself (RFC 6749 §4.4), nil where the server has no such grant.
func (p *probe) own(g *Agent) *answer {
	if !p.run.has[FeatureClientGrant] {
		return nil
	}
	f := url.Values{"grant_type": {"client_credentials"}}
	if g.Scope != "" {
		f.Set("scope", g.Scope)
	}
	if p.run.target.Resource != "" {
		f.Set("resource", p.run.target.Resource)
	}
	a := p.token(&g.Client, f)
	if a.status != http.StatusOK || a.text("access_token") == "" {
		p.blocked("%s got no token of its own: %v %s", g.Client.ID, a, a.text("error_description"))
	}
	return a
}

// acting is the form by which an agent exchanges a user's token.
func (p *probe) acting(g *Agent, user string) url.Values {
	f := url.Values{"grant_type": {grantExchange}, "subject_token": {user}, "subject_token_type": {typeAccess}}
	if p.run.target.Resource != "" {
		f.Set("resource", p.run.target.Resource)
	}
	key := "\x00" + g.Client.ID
	if a := p.run.tokens[key]; a == "" {
		if own := p.own(g); own != nil {
			p.run.tokens[key] = own.text("access_token")
		}
	}
	if own := p.run.tokens[key]; own != "" {
		f.Set("actor_token", own)
		f.Set("actor_token_type", typeAccess)
	}
	return f
}

// acts is an agent's start, as it must be possible.
func (p *probe) acts(g *Agent) started {
	f := p.acting(g, p.agents(g, p.subject()))
	a := p.token(&g.Client, f)
	return started{a, f, &g.Client, p.held(a)}
}
