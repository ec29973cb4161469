package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// exchangeCases are about the request of a start and its answer (RFC 8693 §2).
var exchangeCases = []Case{
	{
		ID: "exchange/start-works", Source: "RFC 8693 §1.1", Level: Must, Rows: []string{"RFC8693-2.1-01", "RFC8693-2.2.1-01"},
		Requirement: "A start that is allowed gives 200 and an access token, as a JSON object.",
		Why:         "Whatever else is refused says nothing while nothing is ever allowed.",
		try: func(p *probe) {
			a := p.token(p.app(), p.ready(starting{}))
			p.want(a.status == http.StatusOK && a.text("access_token") != "", Medium, "200 with an access token", "%v %s", a, a.text("error_description"))
			kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
			p.want(strings.EqualFold(strings.TrimSpace(kind), "application/json"), Low, "Content-Type application/json", "%q", a.header.Get("Content-Type"))
			p.want(a.twice == "", Medium, "each member once", "%q twice", a.twice)
			if v, has := a.members["expires_in"]; has {
				_, number := v.(float64)
				p.want(number, Low, "expires_in as a number", "%T", v)
			}
		},
	},
	{
		ID: "exchange/grant-type-exact", Source: "RFC 8693 §2.1", Level: Must, Rows: []string{"RFC8693-2.1-01", "RFC6749-5.2-02"},
		Requirement: "The grant type is compared exactly; another one gives unsupported_grant_type.",
		Why:         "A server that compares by a prefix or without case has more doors than whoever guards it looks at.",
		try: func(p *probe) {
			f := p.ready(starting{})
			for _, grant := range []string{grantExchange[:len(grantExchange)-1] + "f", strings.ToUpper(grantExchange), grantExchange + " ", grantExchange + " authorization_code", "urn:example:x"} {
				p.refused(p.token(p.app(), with(f, "grant_type", grant)), "unsupported_grant_type")
			}
		},
	},
	{
		ID: "exchange/post-only", Source: "RFC 8693 §2.1, RFC 6749 §3.2", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-02"},
		Requirement: "An exchange is taken by POST only.",
		Why:         "What stands in the query of a GET stands in logs, histories and Referer headers.",
		try: func(p *probe) {
			c := p.app()
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				f := p.ready(starting{})
				p.run.secret(c.Secret)
				a := p.request(method, p.run.meta.Token+"?"+f.Encode(), "", "Authorization", basic(c.ID, c.Secret))
				p.want(!issued(a), Medium, "no token for "+method, "%v", a)
				p.want(a.status >= 400 && a.status < 500, Medium, "4xx for "+method, "%v", a)
			}
		},
	},
	{
		ID: "exchange/form-body-only", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-03"},
		Requirement: "The parameters come in the body, as application/x-www-form-urlencoded, and in no other form.",
		Why:         "A second way to write a request is one that filters in front of the server do not read.",
		try: func(p *probe) {
			c := p.app()
			f := p.ready(starting{})
			auth := []string{"Authorization", basic(c.ID, c.Secret)}
			members := make(map[string]string)
			var parts strings.Builder
			for name, values := range f {
				members[name] = values[0]
				fmt.Fprintf(&parts, "--x\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", name, values[0])
			}
			asJSON, err := json.Marshal(members)
			if err != nil {
				p.blocked("%v", err)
			}
			parts.WriteString("--x--\r\n")
			for kind, body := range map[string]string{"application/json": string(asJSON), "multipart/form-data; boundary=x": parts.String(), "text/plain": f.Encode()} {
				a := p.request(http.MethodPost, p.run.meta.Token, body, append(auth, "Content-Type", kind)...)
				p.want(!issued(a), Medium, "no token for "+kind, "%v", a)
				p.want(a.status >= 400 && a.status < 500, Medium, "4xx for "+kind, "%v", a)
			}
			a := p.request(http.MethodPost, p.run.meta.Token+"?"+f.Encode(), "grant_type="+url.QueryEscape(grantExchange), append(auth, "Content-Type", formType)...)
			p.want(!issued(a), Medium, "no token for parameters in the query", "%v", a)
		},
	},
	missing("subject_token", "RFC8693-2.1-04", "A server that falls back to the client or the actor gives a token about somebody whom nobody named."),
	missing("subject_token_type", "RFC8693-2.1-06", "A type that is guessed lets a token of one kind pass by the rules of another."),
	{
		ID: "exchange/subject-token-unreadable", Source: "RFC 8693 §2.1, CVE-2026-9704", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-05"},
		Requirement: "A subject_token that cannot be read, such as one that is too long, fails the request, and is never left out of it.",
		Why:         "Where it is left out another path answers, with a token of the client's own or of the actor's.",
		Mend:        "Refuse before any grant is looked for, by invalid_request; keep no limit that cuts or drops a parameter.",
		try: func(p *probe) {
			f := p.ready(starting{})
			for _, value := range []string{"", " ", strings.Repeat("a", 4<<10), strings.Repeat("a", 64<<10), "a\x00b", strings.Repeat("eyJ.", 200)} {
				a := p.token(p.app(), with(f, "subject_token", value))
				p.want(!issued(a), Critical, fmt.Sprintf("no token for a subject_token of %d bytes", len(value)), "%v", a)
				p.want(a.status >= 400 && a.status < 500, Medium, "4xx", "%v", a)
			}
		},
	},
	{
		ID: "exchange/subject-token-type-decides", Source: "RFC 8693 §2.1", Level: Must, Rows: []string{"RFC8693-2.1-07"},
		Requirement: "A subject_token is read by the rules of the type that the request says, and of no other.",
		Why:         "A server that looks at the value takes what the client never meant to say, such as an ID token for an access token.",
		try: func(p *probe) {
			f := p.ready(starting{})
			kinds := []string{typeID, typeRefresh, typeSAML2}
			if _, err := parseJWT(f.Get("subject_token")); err != nil {
				kinds = append(kinds, typeJWT) // else it is one, whatever else it is (RFC 8693 §3)
			}
			for _, kind := range kinds {
				p.refused(p.token(p.app(), with(f, "subject_token_type", kind)), "invalid_request")
			}
			if f.Get("subject_token_type") != typeAccess {
				p.refused(p.token(p.app(), with(f, "subject_token_type", typeAccess)), "invalid_request")
			}
		},
	},
	{
		ID: "exchange/unknown-types", Source: "RFC 8693 §2.1, §3", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-08", "RFC8693-2.1-22", "RFC8693-3-01"},
		Requirement: "A type that the server does not know fails the request with invalid_request, in each of the three parameters.",
		Why:         "A type that is passed over gives a token other than the one that was asked for.",
		try: func(p *probe) {
			f := p.ready(starting{})
			for _, name := range []string{"subject_token_type", "actor_token_type", "requested_token_type"} {
				if !f.Has(name) && name == "actor_token_type" {
					continue
				}
				for _, kind := range []string{"urn:example:nope", "access_token", "ACCESS_TOKEN", strings.ToUpper(typeAccess), typeAccess + " "} {
					p.refused(p.token(p.app(), with(f, name, kind)), "invalid_request")
				}
			}
		},
	},
	{
		ID: "exchange/no-other-type-issued", Source: "RFC 8693 §2.1, §2.2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-22", "RFC8693-2.2.1-02"},
		Requirement: "A requested_token_type that is not issued fails the request, and is never answered with another type or without a token.",
		Why:         "A refresh token for an impersonation outlives the reason for which it began.",
		try: func(p *probe) {
			for _, kind := range []string{typeRefresh, typeSAML2, typeID, typeJWT} {
				a := p.token(p.app(), with(p.ready(starting{}), "requested_token_type", kind))
				if a.status == http.StatusOK && a.text("issued_token_type") == kind && kind != typeRefresh && a.text("access_token") != "" {
					continue // it is one that the server issues
				}
				p.want(kind != typeRefresh || !issued(a), Critical, "no refresh token", "%v", a)
				p.refused(a, "invalid_request")
			}
		},
	},
	{
		ID: "exchange/actor-token-needs-type", Source: "RFC 8693 §2.1", Level: Must, Rows: []string{"RFC8693-2.1-09"},
		Requirement: "An actor_token without an actor_token_type is refused.",
		Why:         "A type that is guessed lets a token of one kind pass by the rules of another.",
		try: func(p *probe) {
			f := p.ready(starting{})
			if !f.Has("actor_token") {
				f = with(f, "actor_token", p.actorToken(p.actor(), p.app()))
			}
			p.refused(p.token(p.app(), without(f, "actor_token_type")), "invalid_request")
			p.refused(p.token(p.app(), with(f, "actor_token_type", "")), "invalid_request")
		},
	},
	{
		ID: "exchange/actor-type-needs-token", Source: "RFC 8693 §2.1", Level: MustNot, Profile: true, Rows: []string{"RFC8693-2.1-10"},
		Requirement: "An actor_token_type without an actor_token is refused.",
		Why:         "A server that passes it over issues a token without an actor to a client that meant to name one.",
		try: func(p *probe) {
			f := with(p.ready(starting{}), "actor_token_type", typeAccess)
			severity := Critical
			if !f.Has("actor_token") {
				severity = Low // the actor is the subject_token: the token names them all the same
			}
			p.refusedAs(severity, p.token(p.app(), without(f, "actor_token")), "invalid_request")
			p.refusedAs(severity, p.token(p.app(), with(f, "actor_token", "")), "invalid_request")
		},
	},
	{
		ID: "exchange/actor-required", Source: "RFC 8693 §1.1", Level: MustNot, Profile: true, Rows: []string{"RFC8693-1.1-02", "RFC8693-4.4-09"},
		Requirement: "Nobody starts without proof of who acts.",
		Why:         "A token about a user that names no actor, or one whom nobody authenticated, hides who is really there.",
		try: func(p *probe) {
			f := p.ready(starting{})
			if p.run.target.Start.By == StartByRequest {
				p.skip("the actor is the subject_token where a start is by requested_subject")
			}
			a := p.token(p.app(), without(f, "actor_token", "actor_token_type"))
			if p.run.target.Start.By == StartByToken && issued(a) && p.run.has[FeatureJWT] {
				p.want(p.act(p.says(a.text("access_token")))["sub"] == p.app().ID, Critical, "act.sub "+p.app().ID+", since the client is who proved anything", "another")
				return
			}
			p.refused(a, "invalid_request")
			p.refused(p.token(p.app(), with(without(f, "actor_token", "actor_token_type"), "actor", p.actor().Subject, "act", p.actor().Subject)), "invalid_request")
		},
	},
	{
		ID: "exchange/subject-token-tampered", Source: "RFC 8693 §2.1, §2.2.2", Level: Must, Rows: []string{"RFC8693-2.1-11", "RFC8693-2.2.2-01"},
		Requirement: "A subject_token that is unknown or was changed gives invalid_request.",
		Why:         "Of a token of which a part only is compared, the rest is anybody's to choose.",
		try: func(p *probe) {
			f := p.ready(starting{})
			if p.run.target.Start.By == StartByUserID {
				p.refused(p.token(p.app(), with(f, "subject_token", "nobody-"+random())), "invalid_request")
				return
			}
			for _, value := range changed(f.Get("subject_token")) {
				p.refused(p.token(p.app(), with(f, "subject_token", value)), "invalid_request")
			}
		},
	},
	{
		ID: "exchange/actor-token-tampered", Source: "RFC 8693 §2.1, §2.2.2", Level: Must, Rows: []string{"RFC8693-2.1-12", "RFC8693-2.2.2-02"},
		Requirement: "An actor_token that is unknown or was changed gives invalid_request, whatever the subject_token.",
		Why:         "Who forges it starts as any administrator.",
		try: func(p *probe) {
			f := p.ready(starting{})
			if !f.Has("actor_token") {
				p.skip("a start has no actor_token")
			}
			for _, value := range append(changed(f.Get("actor_token")), unsigned(f.Get("actor_token"))...) {
				p.refused(p.token(p.app(), with(f, "actor_token", value)), "invalid_request")
			}
		},
	},
	{
		ID: "exchange/actor-token-revoked", Source: "RFC 8693 §2.1", Level: Must, Rows: []string{"RFC8693-2.1-12"}, Needs: []Feature{FeatureRevocation},
		Requirement: "An actor_token that was revoked gives invalid_request.",
		Why:         "Who signed out, or was let go, would go on starting until the token runs out.",
		try: func(p *probe) {
			token := p.fresh(p.actor(), p.app()).text("access_token")
			f := p.ready(starting{})
			name := "actor_token"
			if !f.Has(name) {
				name = "subject_token"
			}
			if a := p.post(p.run.meta.Revocation, p.app(), url.Values{"token": {token}}); a.status != http.StatusOK {
				p.blocked("a token could not be revoked: %v", a)
			}
			p.refused(p.token(p.app(), with(f, name, token)), "invalid_request")
		},
	},
	{
		ID: "exchange/another-clients-ticket", Source: "RFC 8693 §2.1, CVE-2026-56668", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-13"}, Needs: []Feature{FeatureTicket, FeatureOtherClient},
		Requirement: "A ticket works for the client that it was given to, and for no other.",
		Why:         "A ticket that leaks from one app would be a token at every other.",
		try: func(p *probe) {
			other := p.run.target.Clients.Other
			p.refused(p.token(other, p.ready(starting{})), "invalid_request")
			f := p.ready(starting{})
			p.refused(p.token(other, with(f, "actor_token", p.actorToken(p.actor(), other))), "invalid_request")
		},
	},
	{
		ID: "exchange/another-clients-actor-token", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-14"}, Needs: []Feature{FeatureOtherClient},
		Requirement: "An actor_token proves who acts only at the client that it was issued to.",
		Why:         "An administrator's token that any app or API has seen would start an impersonation.",
		try: func(p *probe) {
			f := p.ready(starting{})
			name := "actor_token"
			if !f.Has(name) {
				name = "subject_token"
			}
			p.refused(p.token(p.app(), with(f, name, p.actorToken(p.actor(), p.run.target.Clients.Other))), "invalid_request")
		},
	},
	{
		ID: "exchange/another-actors-ticket", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-12"}, Needs: []Feature{FeatureTicket, FeatureOtherActor},
		Requirement: "A ticket works with a token of the actor who asked for it, and with no other actor's.",
		Why:         "What one administrator gave a reason for would be on record under the name of another.",
		try: func(p *probe) {
			f := p.ready(starting{})
			p.refused(p.token(p.app(), with(f, "actor_token", p.actorToken(p.run.target.Accounts.OtherActor, p.app()))), "invalid_request")
		},
	},
	{
		ID: "exchange/client-authentication-required", Source: "RFC 8693 §2.1", Level: Should, Profile: true, Rows: []string{"RFC8693-2.1-15", "RFC6749-3.2.1-01"},
		Requirement: "An exchange needs an authenticated client.",
		Why:         "A stolen token alone would be worth an impersonation.",
		try: func(p *probe) {
			f := p.ready(starting{})
			for what, c := range map[string]*Client{"nobody": nil, "the client's id alone": {ID: p.app().ID, Auth: "none"}, "a wrong secret": {ID: p.app().ID, Secret: random(), Auth: p.app().Auth}} {
				a := p.token(c, f)
				p.want(!issued(a), Critical, "no token for "+what, "%v", a)
				p.want(a.text("error") == "invalid_client" || c == nil && a.text("error") == "invalid_request", Low, "invalid_client for "+what, "%v", a)
			}
		},
	},
	{
		ID: "exchange/public-clients-refused", Source: "RFC 8693 §2.1", Level: Should, Profile: true, Rows: []string{"RFC8693-2.1-15"}, Needs: []Feature{FeaturePublic},
		Requirement: "A public client cannot exchange.",
		Why:         "Nobody can tell who sends its requests.",
		try: func(p *probe) {
			c := p.run.target.Clients.Public
			if f, refused := p.tryReady(starting{client: c}); !refused {
				p.refused(p.token(c, f), "invalid_client", "unauthorized_client")
			}
			p.refused(p.token(c, p.ready(starting{})), "invalid_client", "unauthorized_client")
		},
	},
	{
		ID: "exchange/unregistered-client-refused", Source: "RFC 8693 §2.1, RFC 6749 §5.2", Level: Must, Rows: []string{"RFC8693-2.1-16"}, Needs: []Feature{FeatureNoExchange},
		Requirement: "A client that is not registered for exchange gets unauthorized_client, whatever tokens it brings.",
		Why:         "Each client with a secret would be one that impersonates, and an error that differs tells whether a stolen token is good.",
		try: func(p *probe) {
			c := p.run.target.Clients.NoExchange
			if f, refused := p.tryReady(starting{client: c}); !refused {
				p.refused(p.token(c, f), "unauthorized_client")
			}
			f := p.ready(starting{})
			p.refused(p.token(c, f), "unauthorized_client")
			p.refused(p.token(c, with(f, "subject_token", random())), "unauthorized_client")
		},
	},
	{
		ID: "exchange/resource-malformed", Source: "RFC 8707 §2", Level: Should, Rows: []string{"RFC8693-2.1-17", "RFC8693-2.1-18", "RFC8707-2-02"},
		Requirement: "A resource that is no absolute URI, or has a fragment, gives invalid_target.",
		Why:         "A value that is copied unchecked is an audience of the client's own choosing.",
		try: func(p *probe) {
			f := p.ready(starting{})
			malformed := []string{"api", "//host/x", "/api", "https://api.example/#x", "https://api.example/#"}
			if r := p.run.target.Resource; r != "" {
				malformed = append(malformed, r+"#x", r+"#")
			}
			for _, r := range malformed {
				p.notServed(p.token(p.app(), with(f, "resource", r)), []string{r}, "invalid_target", "invalid_request")
			}
		},
	},
	{
		ID: "exchange/target-unknown", Source: "RFC 8693 §2.2.2, RFC 8707 §2", Level: Should, Rows: []string{"RFC8693-2.2.2-04", "RFC8707-2-02", "RFC8693-2.1-20"},
		Requirement: "A resource or audience that the server will not serve gives invalid_target.",
		Why:         "Where it is passed over the token is for whatever the default is, and where it is copied it is for whoever asks.",
		try: func(p *probe) {
			f := without(p.ready(starting{}), "resource")
			for _, name := range []string{"audience", "resource"} {
				for _, value := range []string{"https://" + strings.ToLower(random()[:12]) + ".example/", p.run.target.Issuer + "/nowhere"} {
					p.notServed(p.token(p.app(), with(f, name, value)), []string{value}, "invalid_target")
				}
			}
			p.notServed(p.token(p.app(), with(f, "audience", p.subject().Subject)), []string{p.subject().Subject}, "invalid_target")
		},
	},
	{
		ID: "exchange/many-targets", Source: "RFC 8693 §2.1.1", Level: May, Rows: []string{"RFC8693-2.1.1-02", "RFC8693-2.1-19"},
		Requirement: "Too many targets are refused with invalid_target, or honoured all of them.",
		Why:         "A list in which only the first is looked at gives a token for the others too.",
		try: func(p *probe) {
			f := p.ready(starting{})
			f.Del("audience")
			for i := range 50 {
				f.Add("audience", fmt.Sprintf("https://api-%d.example/", i))
			}
			if a := p.token(p.app(), f); !p.honours(a, f["audience"]) {
				p.notServed(a, f["audience"], "invalid_target", "invalid_request")
			}
			if r := p.run.target.Resource; r != "" {
				two := p.ready(starting{})
				two["resource"] = []string{r, "https://other.example/"}
				if a := p.token(p.app(), two); !p.honours(a, two["resource"]) {
					p.notServed(a, two["resource"][1:], "invalid_target")
				}
			}
		},
	},
	{
		ID: "exchange/parameters-once", Source: "RFC 8693 §2.1, RFC 6749 §3.2", Level: MustNot, Rows: []string{"RFC8693-2.1-30"},
		Requirement: "No parameter but resource and audience comes twice.",
		Why:         "What a filter in front of the server reads would be another value than what the server reads.",
		try: func(p *probe) {
			f := p.ready(starting{})
			for _, name := range []string{"subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type", "scope", "grant_type"} {
				g := with(f)
				if !g.Has(name) {
					g.Add(name, typeAccess)
				}
				g[name] = append(slices.Clone(g[name]), "urn:example:other")
				p.refusedAs(Medium, p.token(p.app(), g), "invalid_request")
			}
		},
	},
	{
		ID: "exchange/ticket-once", Source: "RFC 8693 §2.1, RFC 6749 §10.5", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-24"}, Needs: []Feature{FeatureTicket},
		Requirement: "A ticket works once, and a second try ends what the first began.",
		Why:         "Whoever reads a ticket in a log or a history later would have what it gave.",
		try: func(p *probe) {
			s := p.start(starting{})
			p.refused(p.token(s.client, s.form), "invalid_request")
			if p.run.has[FeatureIntrospection] {
				p.want(!p.active(s.token), High, "the token of the first try to be over", "it is active")
			}
		},
	},
	{
		ID: "exchange/ticket-once-in-parallel", Source: "RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-25"}, Needs: []Feature{FeatureTicket},
		Requirement: "Of parallel tries with one ticket exactly one succeeds.",
		Why:         "A check and a mark that are two steps let both of two requests through.",
		try: func(p *probe) {
			f := p.ready(starting{})
			n := p.atOnce(20, func() bool { return issued(p.token(p.app(), f)) })
			p.want(n == 1, Critical, "one token of 20 tries", "%d", n)
		},
	},
	{
		ID: "exchange/ticket-needs-verifier", Source: "RFC 7636 §4.6", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-13"}, Needs: []Feature{FeatureTicket},
		Requirement: "A ticket works only with the code_verifier of the request for it, and a wrong one does not loosen that.",
		Why:         "A ticket that was seen in the browser would be enough.",
		try: func(p *probe) {
			f := p.ready(starting{})
			p.refused(p.token(p.app(), without(f, "code_verifier")), "invalid_request")
			p.refused(p.token(p.app(), with(p.ready(starting{}), "code_verifier", random())), "invalid_request")
			g := p.ready(starting{})
			p.token(p.app(), with(g, "code_verifier", random()))
			p.refused(p.token(p.app(), without(g, "code_verifier")), "invalid_request")
		},
	},
	{
		ID: "exchange/one-kind-not-for-another", Source: "RFC 8693 §2.1, CVE-2026-4282", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-26"},
		Requirement: "A code is no subject_token, a ticket no code, and neither is anything else that works once.",
		Why:         "Where all that works once lies in one place, what is cheap to get is as good as what is not.",
		try: func(p *probe) {
			verifier := random()
			code := p.freshCode(p.actor(), p.app(), verifier)
			f := p.ready(starting{})
			p.refused(p.token(p.app(), with(f, "subject_token", code, "code_verifier", verifier)), "invalid_request")
			if p.run.has[FeatureTicket] {
				g := p.ready(starting{})
				p.refused(p.token(p.app(), redemption(p.app(), g.Get("subject_token"), g.Get("code_verifier"))), "invalid_grant")
				p.refused(p.token(p.app(), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Get("subject_token")}}), "invalid_grant", "unauthorized_client", "unsupported_grant_type")
			}
		},
	},
	{
		ID: "exchange/scope-unknown", Source: "RFC 6749 §3.3, §5.2", Level: Must, Rows: []string{"RFC6749-5.2-04"},
		Requirement: "A scope that is unknown or malformed gives invalid_scope, or a token without it and an answer that says so.",
		Why:         "A scope that is granted since nobody knows it means something at some API one day.",
		try: func(p *probe) {
			f := p.ready(starting{})
			for _, scope := range []string{"conformance:nobody-registered-this", `a"b`, "a\\b", "a\tb", "é"} {
				a := p.token(p.app(), with(f, "scope", strings.TrimSpace(f.Get("scope")+" "+scope)))
				if issued(a) {
					granted, said := a.members["scope"]
					p.want(said && !slices.Contains(strings.Fields(a.text("scope")), scope), High, "invalid_scope, or an answer whose scope is without it", "%v", granted)
					continue
				}
				p.refused(a, "invalid_scope")
			}
		},
	},
	{
		ID: "exchange/no-offline-access", Source: "OpenID Connect Core §11", Level: Must, Profile: true, Rows: []string{"OIDC-11-01", "RFC8693-2.2.1-12"},
		Requirement: "A start gives no refresh token, whatever scope is asked for.",
		Why:         "An impersonation would outlive its reason and its hour.",
		try: func(p *probe) {
			f := p.ready(starting{})
			a := p.token(p.app(), with(f, "scope", strings.TrimSpace(f.Get("scope")+" offline_access")))
			p.want(a.text("refresh_token") == "", Critical, "no refresh token", "one")
			if !issued(a) {
				p.refused(a, "invalid_scope", "invalid_request")
			}
			p.want(p.start(starting{}).text("refresh_token") == "", Critical, "no refresh token", "one")
		},
	},
	{
		ID: "exchange/protected-subject", Source: "RFC 8693 §2.2.2", Level: Must, Profile: true, Rows: []string{"RFC8693-2.2.2-03"}, Needs: []Feature{FeatureProtected},
		Requirement: "Nobody impersonates somebody who is protected, such as another administrator.",
		Why:         "Whoever may impersonate one who may do more has all that they may.",
		try:         func(p *probe) { p.cannotStart(starting{subject: p.run.target.Accounts.Protected}) },
	},
	{
		ID: "exchange/unprivileged-actor", Source: "RFC 8693 §2.2.2", Level: Must, Profile: true, Rows: []string{"RFC8693-2.2.2-03"}, Needs: []Feature{FeatureOrdinary},
		Requirement: "Somebody who may not impersonate cannot, whatever the page would have shown.",
		Why:         "A right that is looked at on the page alone is anybody's who writes the request by hand.",
		try:         func(p *probe) { p.cannotStart(starting{actor: p.run.target.Accounts.Ordinary}) },
	},
	{
		ID: "exchange/not-oneself", Source: "RFC 8693 §4.1", Level: ShouldNot, Profile: true, Rows: []string{"RFC8693-4.1-14"},
		Requirement: "Nobody impersonates themselves.",
		Why:         "It would begin a session anew that was to run out, and leave a trail in which one cannot tell who was who.",
		try:         func(p *probe) { p.cannotStartAs(Medium, starting{subject: p.actor()}) },
	},
	{
		ID: "exchange/errors-tell-nothing", Source: "RFC 8693 §2.2.2, RFC 6749 §5.2", Level: May, Rows: []string{"RFC8693-2.2.2-05"},
		Requirement: "The text of an error is printable ASCII without quotes and backslashes, and holds no token and nobody's name.",
		Why:         "Errors are shown and logged by whoever gets them.",
		try: func(p *probe) {
			f := p.ready(starting{})
			secret := "conformance-" + random()
			for _, g := range []url.Values{with(f, "subject_token", secret), with(f, "scope", secret), with(f, "subject_token_type", "urn:x:"+secret), with(f, "requested_token_type", "urn:x:"+secret)} {
				a := p.token(p.app(), g)
				text := a.text("error_description")
				p.want(!strings.Contains(a.body, secret) || g.Get("subject_token") != secret, Medium, "an error without the token", "it repeats it")
				p.want(!strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }), Low, "printable ASCII without quotes and backslashes", "%q", text)
				for _, who := range []string{p.subject().Login, p.actor().Login} {
					p.want(who == "" || !strings.Contains(text, who), Medium, "an error that names nobody", "%q", text)
				}
			}
		},
	},
	{
		ID: "exchange/not-stored", Source: "RFC 8693 §2.2.1, RFC 6749 §5.1", Level: Must, Rows: []string{"RFC8693-2.2.1-13", "RFC6749-5.1-01"},
		Requirement: "An answer that holds a token says Cache-Control: no-store.",
		Why:         "A cache between the two would give the token to whoever asks next.",
		try: func(p *probe) {
			for _, a := range []*answer{p.start(starting{}).answer, p.fresh(p.actor(), p.app())} {
				p.want(strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store"), Medium, "Cache-Control: no-store on "+a.String(), "%q", a.header.Get("Cache-Control"))
			}
		},
	},
}

// missing is the case of a parameter without which nothing is exchanged.
func missing(name, row, why string) Case {
	return Case{
		ID: "exchange/" + strings.ReplaceAll(name, "_", "-") + "-required", Source: "RFC 8693 §2.1", Level: Must, Rows: []string{row},
		Requirement: "A request without " + name + " gives invalid_request.", Why: why,
		try: func(p *probe) {
			p.refused(p.token(p.app(), without(p.ready(starting{}), name)), "invalid_request")
			p.refused(p.token(p.app(), with(p.ready(starting{}), name, "")), "invalid_request")
		},
	}
}

// cannotStart demands that a start which must not be is refused: at the sign-in, on the page or at the exchange.
func (p *probe) cannotStart(s starting) { p.cannotStartAs(Critical, s) }

// cannotStartAs is cannotStart where a token lets happen what the severity says.
func (p *probe) cannotStartAs(severity Severity, s starting) {
	p.start(starting{client: s.client}) // else what is refused might be all
	if s.actor != nil {
		c := cmp.Or(s.client, p.app())
		if got := p.signIn(p.browser(s.actor), c, p.authorization(c, random())); got.Get("code") == "" && got.Get("error") != "" {
			return
		}
	}
	if f, refused := p.tryReady(s); !refused {
		p.refusedAs(severity, p.token(cmp.Or(s.client, p.app()), f), "invalid_request")
	}
}

// honours reports whether a token is for each of what was asked for.
func (p *probe) honours(a *answer, targets []string) bool {
	aud := p.audience(a)
	return !slices.ContainsFunc(targets, func(v string) bool { return !slices.Contains(aud, v) })
}

// audience is what the token of an answer is for, as it says itself or else introspection; nil where neither tells.
func (p *probe) audience(a *answer) []string {
	t, err := parseJWT(a.text("access_token"))
	if err != nil && issued(a) && p.run.has[FeatureIntrospection] {
		t, err = &jwt{claims: p.introspect(p.app(), a.text("access_token")).members}, nil
	}
	if err != nil {
		return nil
	}
	return audience(t)
}

// notServed demands that some targets are refused. A token that is for one of them all the same is worse than one for which it was passed over, as a server does that reads no such
// parameter: that one opens what the client may open anyhow.
func (p *probe) notServed(a *answer, targets []string, codes ...string) {
	severity, aud := Medium, p.audience(a)
	if slices.ContainsFunc(targets, func(v string) bool { return slices.Contains(aud, v) }) {
		severity = Critical
	}
	p.refusedAs(severity, a, codes...)
}

// tryReady is ready for a start that the server may refuse before: it says so, or has no form that would lead on.
func (p *probe) tryReady(s starting) (form url.Values, refused bool) {
	defer func() {
		if v := recover(); v != nil {
			if v, ok := v.(verdict); !ok || v.status != Blocked || p.ctx.Err() != nil {
				panic(v)
			}
			refused = true
		}
	}()
	return p.ready(s), false
}

// atOnce calls f so often at once, and counts how often it was true.
func (p *probe) atOnce(n int, f func() bool) (count int) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		ended any
		gate  = make(chan struct{})
	)
	for range n {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					mu.Lock()
					ended = v
					mu.Unlock()
				}
			}()
			<-gate
			if f() {
				mu.Lock()
				count++
				mu.Unlock()
			}
		})
	}
	close(gate)
	wg.Wait()
	if ended != nil {
		panic(ended)
	}
	return count
}

// changed are tokens that are almost the one.
func changed(token string) []string {
	last, middle := token[:len(token)-1], len(token)/2
	return []string{last, token + "A", last + flip(token[len(token)-1]), token[:middle] + flip(token[middle]) + token[middle+1:], random()}
}

// flip is another character of base64url than c, by more than the bits that pad.
func flip(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, c)
	return alphabet[(i+32)%64 : (i+32)%64+1]
}

// unsigned are a JWT without the signature that makes it one; nothing for what is no JWT.
func unsigned(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	none := b64.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	return []string{parts[0] + "." + parts[1] + ".", none + "." + parts[1] + ".", none + "." + parts[1] + "." + parts[2]}
}
