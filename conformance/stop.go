package conformance

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// stopCases are about the way back: from the subject to the actor, and to the end of what was begun.
var stopCases = []Case{
	{
		ID: "stop/gives-back-the-actor", Source: "RFC 8693 §2.1, §2.2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-31", "RFC9068-2.2-02", "RFC8693-2.2.1-01"}, Needs: []Feature{FeatureReturnToken, FeatureJWT},
		Requirement: "The return token gives a token about the actor, without act, for the same client.",
		Why:         "Whoever stops must be themselves again, and what they do then must not be on record as the user's.",
		try: func(p *probe) {
			t := p.says(p.stopped(p.start(starting{})).text("access_token"))
			p.want(t.text("sub") == p.actor().Subject, Critical, "sub "+p.actor().Subject, "%q", t.text("sub"))
			_, acts := t.claims["act"]
			p.want(!acts, High, "no act", "%v", t.claims["act"])
			p.want(t.text("client_id") == p.app().ID, High, "client_id "+p.app().ID, "%q", t.text("client_id"))
		},
	},
	{
		ID: "stop/answer-complete", Source: "RFC 8693 §2.2.1", Level: Must, Rows: []string{"RFC8693-2.2.1-03", "RFC8693-2.2.1-05", "RFC8693-2.2.1-07"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "The answer has issued_token_type for an access token and a token_type other than N_A.",
		Why:         "A client that is not told what it has guesses.",
		try: func(p *probe) {
			a := p.stopped(p.start(starting{}))
			issued := a.text("issued_token_type")
			p.want(issued == typeAccess || issued == typeJWT, Low, "issued_token_type "+typeAccess, "%q", issued)
			p.want(strings.EqualFold(a.text("token_type"), "Bearer") || strings.EqualFold(a.text("token_type"), "DPoP"), Low, "token_type Bearer or DPoP", "%q", a.text("token_type"))
		},
	},
	{
		ID: "stop/ends-the-impersonation", Source: "RFC 8693 §2.1, RFC 7009 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-32", "RFC7662-2.2-01"}, Needs: []Feature{FeatureReturnToken, FeatureIntrospection},
		Requirement: "Once the answer is there the impersonation token is inactive.",
		Why:         "Whoever has a copy of it goes on as the user, after the record says that it ended.",
		try: func(p *probe) {
			s := p.start(starting{})
			p.want(p.active(s.token), High, "an active token before", "one that is over")
			p.stopped(s)
			p.want(!p.active(s.token), High, "an inactive token after", "one that is active")
		},
	},
	{
		ID: "stop/once", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-24", "RFC8693-2.1-32"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "A return token works once; a second try gives invalid_request.",
		Why:         "Whoever finds it later would be the administrator.",
		try: func(p *probe) {
			s := p.start(starting{})
			p.stopped(s)
			p.refused(p.token(s.client, p.stopping(s)), "invalid_request")
			p.refused(p.token(s.client, p.stopping(s)), "invalid_request")
		},
	},
	{
		ID: "stop/once-in-parallel", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-25"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "Of parallel tries with one return token exactly one succeeds.",
		Why:         "A check and a mark that are two steps let both of two requests through.",
		try: func(p *probe) {
			s := p.start(starting{})
			n := p.atOnce(20, func() bool { return issued(p.token(s.client, p.stopping(s))) })
			p.want(n == 1, Critical, "one token of 20 tries", "%d", n)
		},
	},
	{
		ID: "stop/another-client", Source: "RFC 8693 §2.1, RFC 9700 §2.2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-33", "RFC8693-2.1-13"}, Needs: []Feature{FeatureReturnToken, FeatureOtherClient},
		Requirement: "A return token works for the client that it was given to, and for no other.",
		Why:         "A cookie that is copied from one app would make an administrator at every other.",
		try: func(p *probe) {
			s := p.start(starting{})
			p.refused(p.token(p.run.target.Clients.Other, p.stopping(s)), "invalid_request")
		},
	},
	{
		ID: "stop/client-authentication-required", Source: "RFC 8693 §2.1, RFC 6749 §3.2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-33", "RFC6749-3.2.1-01"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "A return token is worth nothing without the client's authentication, and trying so does not spend it.",
		Why:         "Whoever reads it in a log would be the administrator, or could keep them from stopping.",
		try: func(p *probe) {
			s := p.start(starting{})
			for what, c := range map[string]*Client{"nobody": nil, "the client's id alone": {ID: p.app().ID, Auth: "none"}, "a wrong secret": {ID: p.app().ID, Secret: random()}} {
				a := p.token(c, p.stopping(s))
				p.want(!issued(a), Critical, "no token for "+what, "%v", a)
				p.want(a.status >= 400 && a.status < 500, Medium, "4xx for "+what, "%v", a)
			}
			a := p.token(s.client, p.stopping(s))
			p.want(issued(a), Medium, "a token for the client itself, after", "%v", a)
		},
	},
	{
		ID: "stop/tampered", Source: "RFC 8693 §2.1, §2.2.2", Level: Must, Rows: []string{"RFC8693-2.1-11", "RFC8693-2.2.2-01"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "A return token that is unknown or was changed gives invalid_request.",
		Why:         "Of a token of which a part only is compared, the rest is anybody's to choose.",
		try: func(p *probe) {
			s := p.start(starting{})
			for _, value := range changed(p.stopping(s).Get("subject_token")) {
				p.refused(p.token(s.client, with(p.stopping(s), "subject_token", value)), "invalid_request")
			}
		},
	},
	{
		ID: "stop/never-wider-scope", Source: "RFC 8693 §2.1, RFC 6749 §6", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-31"}, Needs: []Feature{FeatureReturnToken, FeatureJWT},
		Requirement: "The token that a stop gives has no scope that the actor's token had not, whatever is asked for.",
		Why:         "Start and stop would be a way to more than one signed in with.",
		try: func(p *probe) {
			had := strings.Fields(p.says(p.actorToken(p.actor(), p.app())).text("scope"))
			for _, ask := range []string{"", strings.Join(had, " ") + " offline_access conformance:nobody-registered-this", "offline_access"} {
				s := p.start(starting{})
				f := p.stopping(s)
				if ask != "" {
					f.Set("scope", ask)
				}
				a := p.token(s.client, f)
				if !issued(a) {
					p.refused(a, "invalid_scope", "invalid_request")
					continue
				}
				for _, scope := range strings.Fields(p.says(a.text("access_token")).text("scope")) {
					p.want(slices.Contains(had, scope), Critical, "nothing beyond "+strings.Join(had, " "), "%q", scope)
				}
			}
		},
	},
	{
		ID: "stop/never-another-resource", Source: "RFC 8693 §2.1, RFC 8707 §2.2", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-31", "RFC8707-2.2-01"}, Needs: []Feature{FeatureReturnToken, FeatureJWT},
		Requirement: "The token that a stop gives is for no API that the actor's token was not for, whatever is asked for.",
		Why:         "Start and stop would be a way to an API that one did not sign in for.",
		try: func(p *probe) {
			had := audience(p.says(p.actorToken(p.actor(), p.app())))
			asks := []string{"https://api-of-another.example/"}
			if r := p.run.target.OtherResource; r != "" {
				asks = append(asks, r)
			}
			for _, ask := range asks {
				s := p.start(starting{})
				a := p.token(s.client, with(p.stopping(s), "resource", ask))
				if !issued(a) {
					p.refused(a, "invalid_target", "invalid_request")
					continue
				}
				for _, aud := range audience(p.says(a.text("access_token"))) {
					p.want(slices.Contains(had, aud), Critical, "an aud among "+strings.Join(had, " "), "%q", aud)
				}
			}
		},
	},
	{
		ID: "stop/lasts-no-longer", Source: "RFC 8693 §2.1", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-31"}, Needs: []Feature{FeatureReturnToken, FeatureJWT},
		Requirement: "The token that a stop gives lasts no longer than one of a sign-in.",
		Why:         "Whoever starts and stops in turn would never have to sign in again.",
		try: func(p *probe) {
			before := p.says(p.actorToken(p.actor(), p.app()))
			after := p.says(p.stopped(p.start(starting{})).text("access_token"))
			long := number(before.claims["exp"]) - number(before.claims["iat"])
			left := number(after.claims["exp"]) - float64(p.now().Unix())
			p.want(left <= long+5, Medium, "no more than a sign-in's", "%v s, where a sign-in gives %v s", left, long)
		},
	},
	{
		ID: "stop/sign-in-unchanged", Source: "RFC 9068 §2.2.1", Level: Must, Rows: []string{"RFC9068-2.2.1-02", "RFC8693-2.1-31"}, Needs: []Feature{FeatureReturnToken, FeatureJWT},
		Requirement: "auth_time, acr and amr after a stop are those of before the start.",
		Why:         "An old sign-in would be laundered into a fresh one.",
		try: func(p *probe) {
			before := p.says(p.actorToken(p.actor(), p.app()))
			after := p.says(p.stopped(p.start(starting{})).text("access_token"))
			for _, name := range []string{"auth_time", "acr", "amr"} {
				if v, has := after.claims[name]; has {
					p.want(reflect.DeepEqual(v, before.claims[name]), High, name+" as before", "%v, where it was %v", v, before.claims[name])
				}
			}
		},
	},
	{
		ID: "stop/own-id", Source: "RFC 9068 §2.2, RFC 7519 §4.1.7", Level: Must, Rows: []string{"RFC9068-2.2-03", "RFC9068-2.2-01"}, Needs: []Feature{FeatureReturnToken, FeatureJWT},
		Requirement: "The token that a stop gives has the claims that an access token has, and a jti of its own.",
		Why:         "Where two share one, who revokes one revokes both.",
		try: func(p *probe) {
			s := p.start(starting{})
			t := p.says(p.stopped(s).text("access_token"))
			for _, name := range []string{"iss", "sub", "client_id", "jti"} {
				p.want(t.text(name) != "", Medium, name+" as a string", "%s", kindOf(t.claims[name]))
			}
			p.want(len(audience(t)) > 0, High, "aud with at least one value", "%v", t.claims["aud"])
			for what, other := range map[string]string{"the impersonation's": s.token, "the actor's before": p.actorToken(p.actor(), p.app())} {
				p.want(t.text("jti") != p.says(other).text("jti"), High, "a jti of its own", "%s", what)
			}
		},
	},
	{
		ID: "stop/impersonation-token-leads-nowhere", Source: "RFC 9700 §4.9.3, RFC 8693 §4.1", Level: MustNot, Profile: true, Rows: []string{"RFC9700-4.9.3-01", "RFC8693-4.1-09"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "The impersonation token itself is no return token: by no client and under no type does it give the actor's token.",
		Why:         "Each API that the token is shown to could be the administrator.",
		try: func(p *probe) {
			s := p.start(starting{})
			clients := []*Client{s.client}
			if c := p.run.target.Clients.Other; c != nil {
				clients = append(clients, c)
			}
			for _, c := range clients {
				for _, kind := range []string{p.run.target.Start.ReturnTokenType, typeAccess, typeJWT} {
					f := with(p.stopping(s), "subject_token", s.token, "subject_token_type", kind)
					p.refused(p.token(c, f), "invalid_request")
					p.refused(p.token(c, with(f, "requested_subject", p.actor().Subject, "audience", c.ID)), "invalid_request", "invalid_target")
				}
			}
			p.want(issued(p.token(s.client, p.stopping(s))), Medium, "a return token that still works", "none")
		},
	},
	{
		ID: "stop/return-token-is-nothing-else", Source: "RFC 8693 §2.1, CVE-2026-4282", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-26", "RFC8693-3-06"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "A return token is no ticket, code, refresh token or access token.",
		Why:         "Where all that works once lies in one place, what is cheap to get is as good as what is not.",
		try: func(p *probe) {
			s := p.start(starting{})
			back := p.stopping(s).Get("subject_token")
			if t := p.run.target.Start.SubjectTokenType; t != "" {
				f := p.ready(starting{})
				p.refused(p.token(s.client, with(f, "subject_token", back)), "invalid_request")
			}
			for _, kind := range []string{typeAccess, typeJWT, typeRefresh, typeID} {
				p.refused(p.token(s.client, with(p.stopping(s), "subject_token_type", kind)), "invalid_request")
			}
			p.refused(p.token(s.client, redemption(s.client, back, random())), "invalid_grant")
			p.refused(p.token(s.client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {back}}), "invalid_grant", "unauthorized_client", "unsupported_grant_type")
			if p.run.has[FeatureUserinfo] {
				a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+back)
				p.want(a.status == http.StatusUnauthorized, Critical, "401 at userinfo", "%v", a)
			}
			if p.run.has[FeatureIntrospection] {
				p.want(!p.active(back), Medium, "no active token", "one")
			}
		},
	},
	{
		ID: "stop/no-refresh-token", Source: "RFC 8693 §2.2.1", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.2.1-12"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "A stop gives no refresh token, no ID token, and no second return token.",
		Why:         "What comes back must be less than what was there, or starts and stops breed.",
		try: func(p *probe) {
			a := p.stopped(p.start(starting{}))
			for _, name := range []string{"refresh_token", "id_token", p.run.target.Start.ReturnTokenMember} {
				p.want(a.text(name) == "", Critical, "no "+name, "one")
			}
		},
	},
	{
		ID: "stop/not-stored", Source: "RFC 6749 §5.1", Level: Must, Rows: []string{"RFC6749-5.1-01", "RFC8693-2.2.1-13"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "The answer of a stop and its refusals say Cache-Control: no-store.",
		Why:         "A cache between the two would give the administrator's token to whoever asks next.",
		try: func(p *probe) {
			s := p.start(starting{})
			for _, a := range []*answer{p.stopped(s), p.token(s.client, p.stopping(s))} {
				p.want(strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store"), Medium, "Cache-Control: no-store on "+a.String(), "%q", a.header.Get("Cache-Control"))
			}
		},
	},
	{
		ID: "stop/by-revocation", Source: "RFC 7009 §2.1", Level: Must, Rows: []string{"RFC7009-2.1-03", "RFC8693-3-07"}, Needs: []Feature{FeatureRevocation, FeatureIntrospection},
		Requirement: "The client ends an impersonation by revoking its token.",
		Why:         "Where an exchange back is not known or fails, this is the one way out.",
		try: func(p *probe) {
			s := p.start(starting{})
			a := p.post(p.run.meta.Revocation, s.client, url.Values{"token": {s.token}})
			p.want(a.status == http.StatusOK, High, "200", "%v", a)
			p.want(!p.active(s.token), High, "an inactive token after", "one that is active")
		},
	},
	{
		ID: "stop/after-revocation-no-impersonation", Source: "RFC 7009 §2.1, RFC 8693 §2.1", Level: MustNot, Profile: true, Rows: []string{"RFC7009-2.1-03", "RFC8693-2.1-31"}, Needs: []Feature{FeatureRevocation, FeatureReturnToken},
		Requirement: "After a revocation the return token gives nothing, or no more than a stop does, and never the impersonation again.",
		Why:         "What was ended for a reason would come back.",
		try: func(p *probe) {
			s := p.start(starting{})
			if a := p.post(p.run.meta.Revocation, s.client, url.Values{"token": {s.token}}); a.status != http.StatusOK {
				p.blocked("the token could not be revoked: %v", a)
			}
			a := p.token(s.client, p.stopping(s))
			if !issued(a) {
				p.refused(a, "invalid_request")
				return
			}
			if p.run.has[FeatureJWT] {
				t := p.says(a.text("access_token"))
				p.want(t.text("sub") == p.actor().Subject && t.claims["act"] == nil, Critical, "a token of the actor's", "sub %q", t.text("sub"))
			}
		},
	},
	{
		ID: "stop/one-of-two", Source: "RFC 8693 §2.1", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-32"}, Needs: []Feature{FeatureReturnToken, FeatureIntrospection, FeatureOtherActor},
		Requirement: "A stop ends its own impersonation and nobody else's.",
		Why:         "Two who look at one user would throw each other out, or be taken for each other.",
		try: func(p *probe) {
			mine, theirs := p.start(starting{}), p.start(starting{actor: p.run.target.Accounts.OtherActor})
			p.stopped(mine)
			p.want(p.active(theirs.token), Medium, "the other actor's token to go on", "it is over")
		},
	},
	{
		ID: "stop/start-again", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-31"}, Needs: []Feature{FeatureReturnToken, FeatureTicket},
		Requirement: "The token that a stop gave is the actor's in full: it starts the next impersonation.",
		Why:         "Whoever has to sign in after each stop keeps the impersonation open instead.",
		try: func(p *probe) {
			token := p.stopped(p.start(starting{})).text("access_token")
			a := p.token(p.app(), with(p.ready(starting{}), "actor_token", token))
			p.want(issued(a), Low, "200 with an access token", "%v %s", a, a.text("error_description"))
		},
	},
	{
		ID: "stop/return-token-not-guessed", Source: "RFC 6749 §10.10", Level: Must, Rows: []string{"RFC6749-10.10-01"}, Needs: []Feature{FeatureReturnToken},
		Requirement: "Return tokens and tickets have at least 128 bits that nobody can guess.",
		Why:         "Whoever guesses one is an administrator.",
		try: func(p *probe) {
			var back, tickets []string
			for range 6 {
				s := p.start(starting{})
				back = append(back, p.stopping(s).Get("subject_token"))
				if p.run.has[FeatureTicket] {
					tickets = append(tickets, s.form.Get("subject_token"))
				}
			}
			p.unguessable("return token", back)
			p.unguessable("ticket", tickets)
		},
	},
	{
		ID: "stop/lifetime-told", Source: "RFC 8693 §2.2.1", Level: Should, Rows: []string{"RFC8693-2.2.1-08"}, Needs: []Feature{FeatureReturnToken, FeatureJWT},
		Requirement: "expires_in of a stop says how long the token lasts.",
		Why:         "A client that is told more than is left shows people an error in the midst of their work.",
		try: func(p *probe) {
			a := p.stopped(p.start(starting{}))
			in, ok := a.members["expires_in"].(float64)
			p.want(ok, Low, "expires_in as a number", "%s", kindOf(a.members["expires_in"]))
			left := number(p.says(a.text("access_token")).claims["exp"]) - float64(p.now().Unix())
			p.want(in-left <= 5 && left-in <= 5, Low, "expires_in of the time that is left", "%v, where %v s are left", in, left)
		},
	},
	{
		ID: "stop/token-over-with-its-time", Source: "RFC 7662 §2.2, RFC 6749 §4.2.2", Level: Must, Slow: true, Rows: []string{"RFC7662-2.2-01", "RFC8693-2.2.1-08"}, Needs: []Feature{FeatureIntrospection, FeatureTokenLifetime},
		Requirement: "An access token is inactive once its time is over.",
		Why:         "A time that is written and not looked at is none.",
		try: func(p *probe) {
			a := p.fresh(p.actor(), p.app())
			in, _ := a.members["expires_in"].(float64)
			d := max(p.run.target.Lifetimes.AccessToken, time.Duration(in)*time.Second)
			p.elapse(d)
			p.want(!p.active(a.text("access_token")), High, "an inactive token", "one that is active")
		},
	},
}

// stopping is the form that redeems the return token of a start.
func (p *probe) stopping(s started) url.Values {
	back := s.text(p.run.target.Start.ReturnTokenMember)
	if back == "" {
		p.fail(Medium, "a return token as "+p.run.target.Start.ReturnTokenMember, "none")
	}
	return url.Values{"grant_type": {grantExchange}, "subject_token": {back}, "subject_token_type": {p.run.target.Start.ReturnTokenType}}
}

// stopped is a stop that must be possible.
func (p *probe) stopped(s started) *answer {
	a := p.token(s.client, p.stopping(s))
	p.want(a.status == http.StatusOK && a.text("access_token") != "", High, "200 with an access token", "%v %s", a, a.text("error_description"))
	return a
}

// unguessable demands of secrets of one kind that they are long enough, differ, and have no more in common than the first signs of their kind.
func (p *probe) unguessable(what string, all []string) {
	for i, s := range all {
		if strings.Count(s, ".") == 2 {
			return // a JWT, whose signature cannot be guessed either
		}
		p.want(!slices.Contains(all[:i], s), Critical, what+"s that differ", "one came twice")
		same := 0
		for j := range s {
			if slices.ContainsFunc(all, func(o string) bool { return j >= len(o) || o[j] != s[j] }) {
				break
			}
			same++
		}
		p.want(len(s)-same >= 22, High, what+"s with 22 characters of their own", "%d", len(s)-same) // 22 characters of base64url are 132 bits
		digits := strings.Trim(s[same:], "0123456789") == ""
		p.want(!digits || len(s)-same >= 39, High, what+"s of 128 bits", "%d digits", len(s)-same)
	}
}
