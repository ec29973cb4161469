package conformance

import (
	"cmp"
	"crypto/sha256"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// codeCases are about the sign-in that stands before every impersonation: the authorization code (RFC 6749 §4.1), PKCE (RFC 7636), and what RFC 9700 and RFC 9207 ask.
var codeCases = []Case{
	{
		ID: "code/works", Source: "RFC 6749 §4.1, RFC 7636 appendix B", Level: Must, Rows: []string{"RFC7636-4.2-01", "RFC9068-2.2-01"},
		Requirement: "A code that comes back to the redirect URI gives an access token for its verifier, by S256 as the RFC computes it.",
		Why:         "Whatever else is refused says nothing while nothing is ever allowed.",
		try: func(p *probe) {
			const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
			q := with(p.authorization(p.app(), verifier), "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
			a := p.token(p.app(), redemption(p.app(), p.codeFor(q), verifier))
			p.want(a.status == http.StatusOK && a.text("access_token") != "", Medium, "200 with an access token", "%v %s", a, a.text("error_description"))
			p.want(strings.EqualFold(a.text("token_type"), "Bearer"), Low, "token_type Bearer", "%q", a.text("token_type"))
		},
	},
	{
		ID: "code/once", Source: "RFC 6749 §4.1.2", Level: Must, Rows: []string{"RFC6749-4.1.2-01"},
		Requirement: "A code works once; a second try gives invalid_grant.",
		Why:         "Whoever reads it in a log or a history later would be signed in.",
		try: func(p *probe) {
			f := p.redeemable()
			p.want(issued(p.token(p.app(), f)), Medium, "200 with an access token", "none")
			p.refused(p.token(p.app(), f), "invalid_grant")
			p.refused(p.token(p.app(), f), "invalid_grant")
		},
	},
	{
		ID: "code/once-in-parallel", Source: "RFC 6749 §4.1.2, CVE-2026-1035", Level: Must, Rows: []string{"RFC6749-4.1.2-01"},
		Requirement: "Of parallel tries with one code at most one succeeds.",
		Why:         "A check and a mark that are two steps let both of two requests through.",
		try: func(p *probe) {
			f := p.redeemable()
			n := p.atOnce(20, func() bool { return issued(p.token(p.app(), f)) })
			p.want(n == 1, Critical, "one token of 20 tries", "%d", n)
		},
	},
	{
		ID: "code/second-use-ends-the-first", Source: "RFC 6749 §4.1.2", Level: Should, Rows: []string{"RFC6749-4.1.2-01"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "A second use of a code ends the tokens that the first gave.",
		Why:         "One of the two is a thief, and nobody knows which.",
		try: func(p *probe) {
			f := p.redeemable()
			token := p.token(p.app(), f).text("access_token")
			p.want(p.active(token), Medium, "an active token before", "one that is over")
			p.token(p.app(), f)
			p.want(!p.active(token), Medium, "an inactive token after", "one that is active")
		},
	},
	{
		ID: "code/own-client", Source: "RFC 6749 §4.1.3, CVE-2026-55672", Level: Must, Rows: []string{"RFC6749-4.1.3-01"}, Needs: []Feature{FeatureOtherClient},
		Requirement: "A code works for the client that it was given to, and for no other.",
		Why:         "A code that leaks from one app signs its person in at every other.",
		try: func(p *probe) {
			other := p.run.target.Clients.Other
			f := p.redeemable()
			p.refused(p.token(other, f), "invalid_grant")
			p.refused(p.token(other, with(f, "redirect_uri", other.RedirectURI)), "invalid_grant")
		},
	},
	{
		ID: "code/redirect-uri-the-same", Source: "RFC 6749 §4.1.3", Level: Must, Rows: []string{"RFC6749-4.1.3-01"},
		Requirement: "A code is redeemed with the redirect_uri of its request alone.",
		Why:         "A code that was led astray is redeemed from where it went.",
		try: func(p *probe) {
			p.refused(p.token(p.app(), with(p.redeemable(), "redirect_uri", p.app().RedirectURI+"/x")), "invalid_grant", "invalid_request")
			p.refused(p.token(p.app(), with(p.redeemable(), "redirect_uri", "https://evil.example/")), "invalid_grant", "invalid_request")
			p.refusedAs(Medium, p.token(p.app(), without(p.redeemable(), "redirect_uri")), "invalid_grant", "invalid_request") // it can be but the one that is registered
		},
	},
	{
		ID: "code/changed", Source: "RFC 6749 §10.3, §10.10", Level: Must, Rows: []string{"RFC6749-10.3-01", "RFC6749-10.10-01"},
		Requirement: "A code that is unknown or was changed gives invalid_grant.",
		Why:         "Of a code of which a part only is compared, the rest is anybody's to choose.",
		try: func(p *probe) {
			f := p.redeemable()
			for _, code := range changed(f.Get("code")) {
				p.refused(p.token(p.app(), with(f, "code", code)), "invalid_grant")
			}
			p.refused(p.token(p.app(), without(f, "code")), "invalid_request")
		},
	},
	{
		ID: "code/not-guessed", Source: "RFC 6749 §10.10", Level: Must, Rows: []string{"RFC6749-10.10-01"},
		Requirement: "Codes have at least 128 bits that nobody can guess.",
		Why:         "Whoever guesses one is signed in.",
		try: func(p *probe) {
			var all []string
			for range 6 {
				all = append(all, p.redeemable().Get("code"))
			}
			p.unguessable("code", all)
		},
	},
	{
		ID: "code/over-with-its-time", Source: "RFC 6749 §4.1.2", Level: Must, Slow: true, Rows: []string{"RFC6749-4.1.2-01"}, Needs: []Feature{FeatureCodeLifetime},
		Requirement: "A code gives invalid_grant once its time is over, which is ten minutes at most.",
		Why:         "What lies in a history for a day is found in a day.",
		try: func(p *probe) {
			p.want(p.run.target.Lifetimes.Code.Minutes() <= 10, Low, "ten minutes at most", "%v", p.run.target.Lifetimes.Code)
			f := p.redeemable()
			p.elapse(p.run.target.Lifetimes.Code)
			p.refused(p.token(p.app(), f), "invalid_grant")
		},
	},
	{
		ID: "code/ticket-over-with-its-time", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Slow: true, Rows: []string{"RFC8693-2.1-11", "RFC8693-2.2.2-01"}, Needs: []Feature{FeatureTicket, FeatureTicketTime},
		Requirement: "A ticket gives invalid_request once its time is over.",
		Why:         "What lies in a history for a day is found in a day.",
		try: func(p *probe) {
			f := p.ready(starting{})
			p.elapse(p.run.target.Lifetimes.Ticket)
			p.refused(p.token(p.app(), with(f, "actor_token", p.actorToken(p.actor(), p.app()))), "invalid_request")
		},
	},
	{
		ID: "code/redirect-uri-exact", Source: "RFC 9700 §2.1, §4.1.3", Level: Must, Rows: []string{"RFC9700-2.1-01"},
		Requirement: "An authorization request leads to the redirect URI that is registered, compared character by character, and nowhere else.",
		Why:         "A code goes to whoever finds a way to write almost the same.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			for _, uri := range almost(p.app().RedirectURI) {
				where, a := p.authorize(with(p.authorization(p.app(), random()), "redirect_uri", uri))
				p.want(where == nil, Critical, "no redirect for "+uri, "%v", where)
				p.want(a.status < 500, Medium, "a page for "+uri, "%v", a)
			}
		},
	},
	{
		ID: "code/client-known", Source: "RFC 6749 §4.1.2.1", Level: MustNot, Rows: []string{"RFC9700-2.1-01"},
		Requirement: "An authorization request of an unknown client, or of none, leads nowhere.",
		Why:         "A server that leads on whatever it is told is a way to any address under its good name.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			q := p.authorization(p.app(), random())
			for _, q := range []url.Values{with(q, "client_id", "nobody-"+random()), without(q, "client_id"), with(q, "client_id", ""), with(q, "client_id", p.app().ID+" "), with(q, "redirect_uri", "https://evil.example/")} {
				where, a := p.authorize(q)
				p.want(where == nil, High, "no redirect", "%v", where)
				p.want(a.status < 500, Medium, "a page", "%v", a)
			}
		},
	},
	{
		ID: "code/state-exact", Source: "RFC 6749 §4.1.2, §4.1.2.1", Level: Must, Rows: []string{"RFC6749-4.1.2-03"},
		Requirement: "state comes back as it was sent, with a code and with an error.",
		Why:         "An app that cannot compare it does not, and takes an answer that somebody else asked for.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			state := "a b+c%20d&e=f;g/h?i#j%C3%A9%2B<\"'>" + strings.Repeat("~", 400) // printable ASCII, as RFC 6749 appendix A.5 has it
			for _, q := range []url.Values{p.authorization(p.app(), random()), with(p.authorization(p.app(), random()), "response_type", "token"), with(p.authorization(p.app(), random()), "prompt", "none", "max_age", "0")} {
				q.Set("state", state)
				where, a := p.authorize(q)
				if where == nil && q.Get("response_type") != "code" {
					continue // a page says it as well
				}
				p.want(where != nil, Low, "a redirect", "%v", a)
				got := answered(where)
				p.want(got.Get("state") == state, Medium, "the same state with "+cmp.Or(got.Get("error"), "a code"), "%q", got.Get("state"))
			}
		},
	},
	{
		ID: "code/issuer-in-answer", Source: "RFC 9207 §2", Level: Must, Rows: []string{"RFC9207-2-01"}, Needs: []Feature{FeatureIssuer},
		Requirement: "Each authorization answer, with a code or an error, has iss, and it is the issuer of the metadata.",
		Why:         "A client of two servers sends the code of one to the other.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			for what, q := range map[string]url.Values{"a code": {}, "an unknown response type": {"response_type": {"nonsense"}}, "prompt=none and too old": {"prompt": {"none"}, "max_age": {"0"}}, "no challenge": {"code_challenge": {""}, "code_challenge_method": {""}}} {
				asked := p.authorization(p.app(), random())
				for name, v := range q {
					if asked[name] = v; v[0] == "" {
						asked.Del(name)
					}
				}
				where, _ := p.authorize(asked)
				if where == nil {
					continue
				}
				iss := answered(where)["iss"]
				p.want(len(iss) == 1 && iss[0] == p.run.target.Issuer, Medium, "iss "+p.run.target.Issuer+" with "+what, "%q", iss)
			}
		},
	},
	{
		ID: "code/no-token-through-the-browser", Source: "RFC 9700 §2.1.2", Level: ShouldNot, Rows: []string{"RFC9700-2.1.2-01"},
		Requirement: "No response type gives an access token at the redirect URI.",
		Why:         "It stands in the history, in Referer headers, and in each script of the page.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			for _, kind := range []string{"token", "id_token token", "code token", "code id_token token", "token code", "Token"} {
				where, a := p.authorize(with(p.authorization(p.app(), random()), "response_type", kind))
				if where != nil {
					got := answered(where)
					p.want(!got.Has("access_token"), High, "no access token for "+kind, "%v", a)
					p.want(got.Get("error") != "", Medium, "an error for "+kind, "%v", a)
					p.want(slices.Contains([]string{"unsupported_response_type", "unauthorized_client", "invalid_request"}, got.Get("error")), Low, "unsupported_response_type for "+kind, "%q", got.Get("error"))
				}
			}
		},
	},
	{
		ID: "code/parameters-once", Source: "RFC 6749 §3.1", Level: MustNot, Rows: []string{"RFC6749-3.1-02"},
		Requirement: "An authorization request in which a parameter comes twice gives no code.",
		Why:         "What a filter in front of the server reads would be another value than what the server reads.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			for name, second := range map[string]string{"client_id": "other", "redirect_uri": "https://evil.example/", "scope": "openid profile", "state": "x", "response_type": "token", "code_challenge": s256("x"), "code_challenge_method": "plain", "nonce": "x"} {
				q := p.authorization(p.app(), random())
				if !q.Has(name) {
					continue
				}
				q.Add(name, second)
				where, a := p.authorize(q)
				if where == nil {
					p.want(a.status < 500, Medium, "a page for two of "+name, "%v", a)
					continue
				}
				p.want(name != "client_id" && name != "redirect_uri" || strings.HasPrefix(where.String(), p.app().RedirectURI), Critical, "no redirect elsewhere", "%v", where)
				p.want(!answered(where).Has("code"), Medium, "no code for two of "+name, "%v", a)
			}
		},
	},
	{
		ID: "code/redemption-parameters-once", Source: "RFC 6749 §3.2", Level: MustNot, Rows: []string{"RFC8693-2.1-30"},
		Requirement: "A redemption in which a parameter comes twice gives no token.",
		Why:         "What a filter in front of the server reads would be another value than what the server reads.",
		try: func(p *probe) {
			f := p.redeemable()
			for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier"} {
				g := with(f)
				g[name] = append(slices.Clone(g[name]), "other")
				p.refusedAs(Medium, p.token(p.app(), g), "invalid_request")
			}
		},
	},
	{
		ID: "code/pkce-required", Source: "RFC 9700 §2.1.1, RFC 7636 §4.4.1", Level: Should, Profile: true, Rows: []string{"RFC7636-4.4.1-01"},
		Requirement: "An authorization request without a code_challenge gives invalid_request.",
		Why:         "A code that is put into another browser signs its person in to somebody else's account.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			p.noCode(without(p.authorization(p.app(), random()), "code_challenge", "code_challenge_method"), Medium, "invalid_request")
			p.noCode(with(p.authorization(p.app(), random()), "code_challenge", ""), Medium, "invalid_request")
		},
	},
	{
		ID: "code/pkce-public-client", Source: "RFC 9700 §2.1.1", Level: Must, Profile: true, Rows: []string{"RFC7636-4.4.1-01"}, Needs: []Feature{FeaturePublic},
		Requirement: "A public client gets no code without a code_challenge, and no token without its verifier.",
		Why:         "Nothing else binds the code to the app that asked for it.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			c := p.run.target.Clients.Public
			p.noCode(without(p.authorization(c, random()), "code_challenge", "code_challenge_method"), High, "invalid_request")
			verifier := random()
			f := redemption(c, p.freshCode(p.actor(), c, verifier), verifier)
			p.refused(p.token(c, without(f, "code_verifier")), "invalid_grant", "invalid_request")
		},
	},
	{
		ID: "code/pkce-plain-refused", Source: "RFC 7636 §7.2, RFC 9700 §2.1.1", Level: ShouldNot, Rows: []string{"RFC7636-4.3-01"},
		Requirement: "plain is refused, also where no method is said.",
		Why:         "Whoever reads the request reads the verifier.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			for _, method := range []string{"plain", "", "s256", "S512"} {
				verifier := random()
				q := with(p.authorization(p.app(), verifier), "code_challenge", verifier, "code_challenge_method", method)
				if method == "" {
					q.Del("code_challenge_method")
				}
				p.noCode(q, Medium, "invalid_request")
			}
		},
	},
	{
		ID: "code/pkce-verified", Source: "RFC 7636 §4.6", Level: Must, Rows: []string{"RFC7636-4.2-01"},
		Requirement: "A code_verifier that differs in one character, in case or by padding gives invalid_grant, and so does none.",
		Why:         "A code that was seen in the browser would be enough.",
		try: func(p *probe) {
			for _, change := range []func(url.Values, string){
				func(f url.Values, v string) { f.Set("code_verifier", v[:42]+flip(v[42])) },
				func(f url.Values, v string) { f.Set("code_verifier", v+"=") },
				func(f url.Values, v string) { f.Set("code_verifier", v+"A") },
				func(f url.Values, v string) { f.Set("code_verifier", s256(v)) },
				func(f url.Values, v string) { f.Set("code_verifier", random()) },
				func(f url.Values, v string) { f.Set("code_verifier", "") },
				func(f url.Values, v string) { f.Del("code_verifier") },
			} {
				f := p.redeemable()
				change(f, f.Get("code_verifier"))
				p.refused(p.token(p.app(), f), "invalid_grant", "invalid_request")
			}
		},
	},
	{
		ID: "code/pkce-stays-in-force", Source: "RFC 7636 §4.6, ory/fosite PR 883", Level: Must, Rows: []string{"RFC7636-4.6-01"},
		Requirement: "A redemption that fails for its verifier does not loosen the code from it.",
		Why:         "The first try would take the lock away and the second go through.",
		try: func(p *probe) {
			f := p.redeemable()
			p.refused(p.token(p.app(), with(f, "code_verifier", random())), "invalid_grant", "invalid_request")
			p.refused(p.token(p.app(), without(f, "code_verifier")), "invalid_grant", "invalid_request")
			p.refused(p.token(p.app(), with(f, "code_verifier", "")), "invalid_grant", "invalid_request")
			g := p.redeemable()
			p.refused(p.token(p.app(), without(g, "code_verifier")), "invalid_grant", "invalid_request")
			p.refused(p.token(p.app(), without(g, "code_verifier")), "invalid_grant", "invalid_request")
		},
	},
	{
		ID: "code/pkce-verifier-form", Source: "RFC 7636 §4.1", Level: Must, Profile: true, Rows: []string{"RFC7636-4.1-01"},
		Requirement: "A code_verifier of fewer than 43 or more than 128 characters, or with one that it must not have, gives no token.",
		Why:         "A short one is guessed.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			for _, verifier := range []string{strings.Repeat("a", 42), strings.Repeat("a", 129), strings.Repeat("a", 42) + " ", strings.Repeat("a", 42) + "+", "a"} {
				where, _ := p.authorize(p.authorization(p.app(), verifier))
				if where == nil || !answered(where).Has("code") {
					continue // refused even before: it cannot know why, but nothing is given
				}
				p.refusedAs(Medium, p.token(p.app(), redemption(p.app(), answered(where).Get("code"), verifier)), "invalid_grant", "invalid_request")
			}
		},
	},
	{
		ID: "code/pkce-downgrade", Source: "RFC 9700 §2.1.1, §4.8.2", Level: Must, Rows: []string{"RFC9700-4.8.2-01"},
		Requirement: "A code_verifier is taken only where there was a code_challenge.",
		Why:         "An attacker who strips the challenge puts their own code into somebody's browser, and nobody notices.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			where, _ := p.authorize(without(p.authorization(p.app(), random()), "code_challenge", "code_challenge_method"))
			if where == nil || !answered(where).Has("code") {
				return // no code, no downgrade
			}
			p.refused(p.token(p.app(), redemption(p.app(), answered(where).Get("code"), random())), "invalid_grant", "invalid_request")
		},
	},
	{
		ID: "code/prompt-none", Source: "OpenID Connect Core §3.1.2.1, §3.1.2.6", Level: MustNot, Rows: []string{"OIDC-3.1.2.1-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "prompt=none shows no page: without a sign-in it answers login_required, and with another prompt beside it, invalid_request.",
		Why:         "An app that asks silently hangs in a hidden frame, or is given somebody who was not asked.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			l := p.stranger(p.actor())
			where, a := p.authorizeBy(l, with(p.authorization(p.app(), random()), "prompt", "none"))
			p.want(where != nil, Low, "a redirect with an error", "%v", a)
			got := answered(where)
			p.want(!got.Has("code"), Critical, "no code for nobody", "one")
			p.want(slices.Contains([]string{"login_required", "interaction_required", "consent_required", "account_selection_required"}, got.Get("error")), Low, "login_required", "%q", got.Get("error"))
			where, a = p.authorize(with(p.authorization(p.app(), random()), "prompt", "none login"))
			p.want(where == nil || !answered(where).Has("code"), Low, "an error for none beside another", "%v", a)
		},
	},
	{
		ID: "code/prompt-none-signed-in", Source: "OpenID Connect Core §3.1.2.1", Level: Should, Rows: []string{"OIDC-3.1.2.1-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "prompt=none of somebody who is signed in answers without a page.",
		Why:         "An app on an origin of its own finds its administrator again after a stop by this alone.",
		try: func(p *probe) {
			p.remembered()
			where, a := p.authorize(with(p.authorization(p.app(), random()), "prompt", "none"))
			p.want(where != nil, Low, "a redirect", "%v", a)
			got := answered(where)
			p.want(got.Has("code") || got.Get("error") == "consent_required" || got.Get("error") == "interaction_required", Low, "a code", "%q", got.Get("error"))
		},
	},
	{
		ID: "code/prompt-login", Source: "OpenID Connect Core §3.1.2.1", Level: Must, Rows: []string{"OIDC-3.1.2.1-02"}, Needs: []Feature{FeatureOpenID},
		Requirement: "prompt=login and max_age=0 ask somebody who is signed in to sign in again.",
		Why:         "An app that asks for a fresh sign-in before something grave takes an old one for it.",
		try: func(p *probe) {
			p.remembered()
			for name, value := range map[string]string{"prompt": "login", "max_age": "0"} {
				where, a := p.authorize(with(p.authorization(p.app(), random()), name, value))
				p.want(where == nil || !answered(where).Has("code"), High, "a page that asks, for "+name+"="+value, "%v", a)
			}
		},
	},
	{
		ID: "code/auth-time-true", Source: "OpenID Connect Core §2, §3.1.2.1", Level: Must, Rows: []string{"OIDC-3.1.2.1-02", "RFC9470-6-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "With max_age the ID token has auth_time, and two sign-ins of one session have the same.",
		Why:         "A time that moves without anybody typing a password opens what asks for a fresh sign-in.",
		try: func(p *probe) {
			p.remembered()
			var times []float64
			for range 2 {
				_, id := p.idTokenFor(with(p.authorization(p.app(), ""), "max_age", "36000"))
				at := number(id.claims["auth_time"])
				p.want(at > 0 && at <= float64(p.now().Unix())+5, Medium, "auth_time as a time that was", "%v", id.claims["auth_time"])
				times = append(times, at)
			}
			p.want(times[0] == times[1], High, "the same auth_time", "%v and %v", times[0], times[1])
		},
	},
	{
		ID: "code/id-token", Source: "OpenID Connect Core §2, §3.1.3.7", Level: Must, Rows: []string{"OIDC-2-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "The ID token is signed and has iss, sub, aud with the client, exp, iat and the nonce of the request.",
		Why:         "What an app cannot check it takes on trust, and with it a token of another app or another sign-in.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			q := p.authorization(p.app(), "")
			access, id := p.idTokenFor(q)
			p.want(id.text("iss") == p.run.target.Issuer, High, "iss "+p.run.target.Issuer, "%q", id.text("iss"))
			p.want(id.text("sub") == p.actor().Subject && len(id.text("sub")) <= 255, High, "sub "+p.actor().Subject, "%q", id.text("sub"))
			p.want(slices.Contains(audience(id), p.app().ID), High, "aud "+p.app().ID, "%v", id.claims["aud"])
			p.want(len(audience(id)) == 1 || id.text("azp") == p.app().ID, Medium, "azp where aud has more than one", "%q", id.text("azp"))
			p.want(id.text("nonce") == q.Get("nonce"), High, "the nonce of the request", "%q", id.text("nonce"))
			now := float64(p.now().Unix())
			p.want(number(id.claims["exp"]) > now, Medium, "exp to come", "%v", id.claims["exp"])
			iat := number(id.claims["iat"])
			p.want(iat <= now+5 && iat > now-300, Medium, "iat of now", "%v", id.claims["iat"])
			if h := id.text("at_hash"); h != "" {
				p.want(h == halfHash(id, access), High, "at_hash of the access token", "another")
			}
			_, acts := id.claims["act"]
			p.want(!acts, High, "no act in a sign-in", "one")
		},
	},
	{
		ID: "code/scope-not-beyond", Source: "RFC 6749 §3.3", Level: Must, Rows: []string{"RFC6749-3.3-01", "RFC8693-2.2.1-09"},
		Requirement: "A scope that nobody registered is refused, or left out of the token.",
		Why:         "A scope that is granted since nobody knows it means something at some API one day.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			const unknown = "conformance:nobody-registered-this"
			verifier := random()
			q := p.authorization(p.app(), verifier)
			q.Set("scope", strings.TrimSpace(q.Get("scope")+" "+unknown))
			where, a := p.authorize(q)
			if where == nil || !answered(where).Has("code") {
				p.want(where == nil || answered(where).Get("error") == "invalid_scope", Low, "invalid_scope", "%v", a)
				return
			}
			a = p.token(p.app(), redemption(p.app(), answered(where).Get("code"), verifier))
			p.want(a.text("scope") != "" && !slices.Contains(strings.Fields(a.text("scope")), unknown), High, "scope without "+unknown, "%q", a.text("scope"))
		},
	},
	{
		ID: "code/reserved-claims", Source: "RFC 8693 §4.1, CVE-2024-29892", Level: MustNot, Profile: true, Rows: []string{"RFC8693-4.1-13"}, Needs: []Feature{FeatureOpenID, FeatureJWT},
		Requirement: "No request makes an act, a may_act or another subject stand in a token of a sign-in.",
		Why:         "Whoever can write act is an administrator by their own word.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			q := p.authorization(p.app(), "")
			q.Set("claims", `{"id_token":{"act":{"value":{"sub":"conformance"},"essential":true},"may_act":{"value":{"sub":"conformance"}}},"access_token":{"act":{"value":{"sub":"conformance"}}},"userinfo":{"act":{"value":{"sub":"conformance"}}}}`)
			q.Set("act", `{"sub":"conformance"}`)
			verifier := random()
			q.Set("code_challenge", s256(verifier))
			where, _ := p.authorize(q)
			if where == nil || !answered(where).Has("code") {
				return
			}
			f := redemption(p.app(), answered(where).Get("code"), verifier)
			a := p.token(p.app(), with(f, "act", `{"sub":"conformance"}`, "sub", p.subject().Subject, "claims", q.Get("claims")))
			if !issued(a) {
				a = p.fresh(p.actor(), p.app())
			}
			for _, token := range []string{a.text("access_token"), a.text("id_token")} {
				if token == "" {
					continue
				}
				t := p.says(token)
				p.want(t.claims["act"] == nil && t.claims["may_act"] == nil, Critical, "no act", "%v", t.claims["act"])
				p.want(t.text("sub") == p.actor().Subject, Critical, "sub "+p.actor().Subject, "%q", t.text("sub"))
			}
		},
	},
	{
		ID: "code/request-object-unsigned", Source: "RFC 9101 §6, RFC 8725 §3.1", Level: MustNot, Profile: true, Rows: []string{"RFC8725-3.1-01", "RFC9700-2.1-01"},
		Requirement: "A request object that is not signed, or is to be fetched from anywhere, changes nothing of the request.",
		Why:         "It would write the redirect URI past the check of the one in the query, or make the server fetch what it is told.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			claims := b64.EncodeToString([]byte(`{"client_id":"` + p.app().ID + `","redirect_uri":"https://evil.example/","response_type":"code","state":"evil"}`))
			object := b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + claims + "."
			for _, q := range []url.Values{with(p.authorization(p.app(), random()), "request", object), with(p.authorization(p.app(), random()), "request_uri", "https://evil.example/object"), with(p.authorization(p.app(), random()), "request_uri", "http://127.0.0.1:1/")} {
				where, a := p.authorize(q)
				p.want(where == nil || strings.HasPrefix(where.String(), p.app().RedirectURI), Critical, "no redirect elsewhere", "%v", where)
				p.want(where == nil || answered(where).Get("state") != "evil", High, "the state of the query", "that of the object")
				p.want(a.status < 500, Medium, "an error", "%v", a)
			}
		},
	},
	{
		ID: "code/acr-unmet", Source: "RFC 9470 §5", Level: Should, Rows: []string{"RFC9470-5-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "Where acr_values asks for what nobody can reach, no code is given as if it were reached.",
		Why:         "An API that asks for more is sent round and round, or lets less in.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			where, a := p.authorize(with(p.authorization(p.app(), random()), "acr_values", "urn:example:conformance:unreachable"))
			if where == nil {
				return // a page that asks for more
			}
			p.want(!answered(where).Has("code"), Low, "unmet_authentication_requirements", "%v", a)
			p.want(answered(where).Get("error") == "unmet_authentication_requirements", Low, "unmet_authentication_requirements", "%q", answered(where).Get("error"))
		},
	},
	{
		ID: "code/acr-told", Source: "RFC 9470 §6.1, §7", Level: Should, Rows: []string{"RFC9470-6-01", "RFC9068-2.2.1-02"}, Needs: []Feature{FeatureOpenID, FeatureJWT},
		Requirement: "The access token of a sign-in says when and how strongly it was, as the ID token does, and metadata lists acr_values_supported.",
		Why:         "An API that asks for a fresh sign-in cannot tell one.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			access, id := p.idTokenFor(with(p.authorization(p.app(), ""), "max_age", "36000"))
			t := p.says(access)
			for _, name := range []string{"auth_time", "acr"} {
				p.want(t.claims[name] != nil, Low, name+" in the access token", "none")
				p.want(id.claims[name] == nil || reflect.DeepEqual(plain(t.claims[name]), plain(id.claims[name])), Medium, name+" as in the ID token", "%v and %v", t.claims[name], id.claims[name])
			}
			p.want(len(listed(p.run.meta.all["acr_values_supported"])) > 0, Low, "acr_values_supported", "none")
		},
	},
	{
		ID: "code/no-password-grant", Source: "RFC 9700 §2.4", Level: MustNot, Rows: []string{"RFC9700-2.4-01"},
		Requirement: "There is no grant by a person's password.",
		Why:         "Every app would ask for passwords, and none of what guards the sign-in would guard it there.",
		try: func(p *probe) {
			a := p.token(p.app(), url.Values{"grant_type": {"password"}, "username": {p.actor().Login}, "password": {p.actor().Password}, "scope": {p.run.target.Scope}})
			p.refused(a, "unsupported_grant_type", "unauthorized_client")
		},
	},
	{
		ID: "code/no-grant-by-a-client-jwt", Source: "RFC 7523 §3.1", Level: MustNot, Profile: true, Rows: []string{"RFC7523-3.1-01", "RFC8725-3.8-01"},
		Requirement: "A JWT that nobody trusted signed is no grant, whoever it names.",
		Why:         "A client would name any subject: an impersonation without an actor.",
		try: func(p *probe) {
			k := newKeyPair()
			for _, iss := range []string{p.app().ID, p.run.target.Issuer} {
				m := &made{header: map[string]any{"alg": k.alg, "typ": "JWT"}, key: k, claims: map[string]any{
					"iss": iss, "sub": p.subject().Subject, "aud": p.run.target.Issuer, "exp": p.now().Unix() + 60, "iat": p.now().Unix(), "jti": random(),
				}}
				p.refused(p.token(p.app(), url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {m.sign()}}), "invalid_grant", "unsupported_grant_type", "unauthorized_client")
			}
		},
	},
}

// browserOf is the browser of account, who has signed in.
func (p *probe) browserOf(account *Account) *login {
	p.actorToken(account, p.app())
	return p.browser(account)
}

// authorize sends an authorization request by the actor's browser, and gives where it leads out of the server, and the last answer. It presses no button, but types the
// password where the server keeps nobody signed in: else each request would seem to be refused there.
func (p *probe) authorize(q url.Values) (where *url.URL, last *answer) {
	l := p.browser(p.actor())
	where, last = p.authorizeBy(l, q)
	if where != nil || !p.forgets() {
		return where, last
	}
	for _, f := range forms(last.body, last.at) {
		if values, ok := f.signsIn(l.account); ok && f.method == http.MethodPost {
			where, last = l.ledFrom(p, l.visit(p, http.MethodPost, f.action.String(), values.Encode()))
			if where != nil {
				p.run.secret(answered(where).Get("code"))
			}
			return where, last
		}
	}
	return nil, last
}

// forgets reports whether the server asks somebody who has just signed in for the password again.
func (p *probe) forgets() bool {
	if p.run.forgets == nil {
		l := p.browserOf(p.actor())
		where, a := p.authorizeBy(l, p.authorization(p.app(), random()))
		asks := slices.ContainsFunc(forms(a.body, a.at), func(f htmlForm) bool { _, ok := f.signsIn(l.account); return ok })
		p.run.forgets = new(where == nil && asks)
	}
	return *p.run.forgets
}

// remembered has the actor signed in, and skips the case where the server keeps nobody so.
func (p *probe) remembered() {
	p.browserOf(p.actor())
	if p.forgets() {
		p.skip("the server keeps nobody signed in")
	}
}

func (p *probe) authorizeBy(l *login, q url.Values) (where *url.URL, last *answer) {
	where, last = l.led(p, p.run.meta.Authorization+"?"+q.Encode())
	if where != nil {
		p.run.secret(answered(where).Get("code"))
	}
	return where, last
}

// led goes to an address and on while the server leads on to itself, and gives where it leads out, nil if nowhere.
func (l *login) led(p *probe, to string) (where *url.URL, last *answer) {
	return l.ledFrom(p, l.visit(p, http.MethodGet, to, ""))
}

// ledFrom is led from an answer on.
func (l *login) ledFrom(p *probe, a *answer) (where *url.URL, last *answer) {
	for range maxSteps {
		where := a.location()
		if where == nil || a.status < 300 || a.status > 399 {
			return nil, a
		}
		if where.Host != a.at.Host || (where.Query().Has("code") || where.Query().Has("error")) && p.run.target.redirectsTo(where.Host) {
			return where, a
		}
		a = l.visit(p, http.MethodGet, where.String(), "")
	}
	return nil, a
}

// answered are the parameters of a redirect, in its query or its fragment.
func answered(where *url.URL) url.Values {
	q := where.Query()
	if fragment, err := url.ParseQuery(where.EscapedFragment()); err == nil {
		for name, v := range fragment {
			q[name] = append(q[name], v...)
		}
	}
	return q
}

// noCode demands that an authorization request gives no code, but an error that is one of these, or a page.
func (p *probe) noCode(q url.Values, s Severity, codes ...string) {
	where, a := p.authorize(q)
	want := "an error " + strings.Join(codes, " or ")
	if where == nil {
		p.want(a.status < 500, Medium, want, "%v", a)
		return
	}
	got := answered(where)
	p.want(!got.Has("code") && !got.Has("access_token"), s, want, "a code")
	p.want(slices.Contains(codes, got.Get("error")), Low, want, "%q", got.Get("error"))
}

// codeFor is the code that an authorization request of the actor gives.
func (p *probe) codeFor(q url.Values) string {
	got := p.signIn(p.browser(p.actor()), p.app(), q)
	if got.Get("code") == "" {
		p.blocked("%s could not sign in: %s %s", p.actor().Login, got.Get("error"), got.Get("error_description"))
	}
	return got.Get("code")
}

// redeemable is the form of a redemption that holds.
func (p *probe) redeemable() url.Values {
	verifier := random()
	return redemption(p.app(), p.freshCode(p.actor(), p.app(), verifier), verifier)
}

// idTokenFor gives the access token and the ID token, verified, that an authorization request of the actor gives. Its challenge is set.
func (p *probe) idTokenFor(q url.Values) (access string, id *jwt) {
	verifier := random()
	a := p.token(p.app(), redemption(p.app(), p.codeFor(with(q, "code_challenge", s256(verifier))), verifier))
	if a.text("access_token") == "" {
		p.blocked("the code could not be redeemed: %v %s", a, a.text("error_description"))
	}
	p.want(a.text("id_token") != "", Medium, "an ID token for the scope openid", "none")
	id, err := verify(a.text("id_token"), p.keys())
	p.want(err == nil, High, "an ID token that verifies with a published key", "%v", err)
	return a.text("access_token"), id
}

// halfHash is the at_hash of a token (OpenID Connect Core §3.1.3.6).
func halfHash(id *jwt, token string) string {
	alg, _ := id.header["alg"].(string)
	if strings.HasSuffix(alg, "384") || strings.HasSuffix(alg, "512") || alg == "EdDSA" || alg == "Ed25519" {
		return id.text("at_hash") // EdDSA has no hash of its own, and the longer ones are seldom: nothing is said of them
	}
	sum := sha256.Sum256([]byte(token))
	return b64.EncodeToString(sum[:16])
}

// almost are URIs that are nearly a registered one. On a loopback address the port may differ (RFC 8252 §7.3), so it does not.
func almost(uri string) (all []string) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil
	}
	change := func(f func(*url.URL)) {
		v := *u
		f(&v)
		if s := v.String(); s != uri {
			all = append(all, s)
		}
	}
	change(func(v *url.URL) { v.Path += "/" })
	change(func(v *url.URL) { v.Path += "x" })
	change(func(v *url.URL) { v.Path = "/x/.." + v.Path })
	change(func(v *url.URL) { v.Path += "/../evil" })
	change(func(v *url.URL) { v.Path = strings.ToUpper(v.Path) })
	change(func(v *url.URL) { v.RawQuery = "x=1" })
	change(func(v *url.URL) { v.Fragment = "x" })
	change(func(v *url.URL) { v.User = url.User("evil.example") })
	change(func(v *url.URL) { v.Host = "evil.example" })
	change(func(v *url.URL) { v.Host = u.Hostname() + ".evil.example" })
	change(func(v *url.URL) { v.Host, v.User = "evil.example", url.User(u.Host) })
	change(func(v *url.URL) {
		v.Scheme = map[string]string{"http": "https", "https": "http"}[u.Scheme]
	})
	if len(u.Path) > 1 {
		all = append(all, strings.Replace(uri, u.Path, "/%"+strings.ToUpper(hexOf(u.Path[1]))+u.Path[2:], 1))
		all = append(all, uri[:strings.LastIndex(uri, "/")+1]+";/..//evil.example", strings.Replace(uri, "://", `:\\evil.example\`, 1), strings.Replace(uri, "://", "://evil.example\\@", 1))
	}
	return append(all, "javascript:alert(1)", "//evil.example/", uri+"\r\nX-Evil: 1", uri+" ")
}

func hexOf(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}
