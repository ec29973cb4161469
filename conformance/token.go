package conformance

import (
	"encoding/json"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// tokenCases are about the token that a start gives, and what it can be turned into.
var tokenCases = []Case{
	{
		ID: "token/names-both", Source: "RFC 8693 §1.1, §4.1", Level: Must, Rows: []string{"RFC8693-1.1-01", "RFC8693-4.1-01", "RFC8693-4.1-02", "RFC9068-2.2-02"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token is about the subject, and its act is an object whose sub is the actor.",
		Why:         "Without act nobody can tell the administrator from the user, neither an API nor whoever reads its log.",
		try: func(p *probe) {
			t := p.says(p.start(starting{}).token)
			p.want(t.text("sub") == p.subject().Subject, Critical, "sub "+p.subject().Subject, "%q", t.text("sub"))
			act, ok := t.claims["act"].(map[string]any)
			p.want(ok, High, "act as an object", "%s", kindOf(t.claims["act"]))
			p.want(act["sub"] == p.actor().Subject, High, "act.sub "+p.actor().Subject, "%v", act["sub"])
		},
	},
	{
		ID: "token/act-names-issuer", Source: "RFC 8693 §4.1", Level: Should, Rows: []string{"RFC8693-4.1-03"}, Needs: []Feature{FeatureJWT},
		Requirement: "act has the issuer by whom the actor is known.",
		Why:         "Two people of two issuers can have one sub.",
		try: func(p *probe) {
			act := p.act(p.says(p.start(starting{}).token))
			p.want(act["iss"] != nil && act["iss"] != "", Low, "act.iss", "none")
		},
	},
	{
		ID: "token/act-identifies-only", Source: "RFC 8693 §4.1", Level: MustNot, Rows: []string{"RFC8693-4.1-04"}, Needs: []Feature{FeatureJWT},
		Requirement: "act holds who the actor is, and neither rights nor times.",
		Why:         "A role in act is one that an API may take for the subject's.",
		try: func(p *probe) {
			act := p.act(p.says(p.start(starting{}).token))
			for _, name := range []string{"exp", "nbf", "aud", "iat", "scope", "scp", "roles", "groups", "jti", "client_id"} {
				_, has := act[name]
				p.want(!has, Medium, "no "+name+" in act", "one")
			}
		},
	},
	{
		ID: "token/one-actor", Source: "RFC 8693 §4.1", Level: Must, Profile: true, Rows: []string{"RFC8693-4.1-12", "RFC8693-4.4-07"}, Needs: []Feature{FeatureJWT},
		Requirement: "The act of a first start names one actor, and beside it there is no may_act.",
		Why:         "A chain without a bound grows until somebody cuts it, and may_act in the result lets it begin again.",
		try: func(p *probe) {
			t := p.says(p.start(starting{}).token)
			_, deeper := p.act(t)["act"]
			p.want(!deeper, Medium, "no act within act", "one")
			_, may := t.claims["may_act"]
			p.want(!may, High, "no may_act", "one")
		},
	},
	{
		ID: "token/signed", Source: "RFC 9068 §2.1", Level: Must, Rows: []string{"RFC9068-2.1-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token verifies with a published key, by an algorithm that shares no secret, and says typ at+jwt.",
		Why:         "What is signed by a secret that clients know is signed by anybody, and a token without a type passes for another kind.",
		try: func(p *probe) {
			t := p.says(p.start(starting{}).token)
			alg, _ := t.header["alg"].(string)
			p.want(alg != "none" && !strings.HasPrefix(alg, "HS"), Critical, "an algorithm with two keys", "%q", alg)
			typ, _ := t.header["typ"].(string)
			// Servers whose JWTs are older than RFC 9068 keep no clause less by it.
			p.should(strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), "at+jwt"), SecurityFinding, Medium, "typ at+jwt", "%q", typ)
		},
	},
	{
		ID: "token/claims-complete", Source: "RFC 9068 §2.2", Level: Must, Profile: true, Rows: []string{"RFC9068-2.2-01", "RFC8693-4.3-01", "RFC6750-5.2-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token has iss, exp, aud, sub, client_id, iat and jti, each of its type; client_id is the client that asked.",
		Why:         "An API can look only at what is there.",
		try: func(p *probe) {
			t := p.says(p.start(starting{}).token)
			for _, name := range []string{"iss", "sub", "client_id", "jti"} {
				p.want(t.text(name) != "", Medium, name+" as a string", "%s", kindOf(t.claims[name]))
			}
			for _, name := range []string{"exp", "iat"} {
				_, ok := t.claims[name].(json.Number)
				p.want(ok, Medium, name+" as a number", "%s", kindOf(t.claims[name]))
			}
			p.want(len(audience(t)) > 0, High, "aud with at least one value", "%v", t.claims["aud"])
			p.want(t.text("iss") == p.run.target.Issuer, High, "iss "+p.run.target.Issuer, "%q", t.text("iss"))
			p.want(t.text("client_id") == p.app().ID, High, "client_id "+p.app().ID, "%q", t.text("client_id"))
		},
	},
	{
		ID: "token/audience-asked", Source: "RFC 8707 §2", Level: Should, Rows: []string{"RFC8707-2-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token is for the resource that was asked for, and for no other.",
		Why:         "An API to which it is shown could use it at every other.",
		try: func(p *probe) {
			r := p.run.target.Resource
			if r == "" {
				p.skip("the target names no resource")
			}
			got := audience(p.says(p.start(starting{}).token))
			p.want(slices.Equal(got, []string{r}), High, "aud "+r, "%q", got)
		},
	},
	{
		ID: "token/scope-one-string", Source: "RFC 8693 §4.2, RFC 9068 §2.2.3", Level: Must, Rows: []string{"RFC8693-4.2-01", "RFC9068-2.2.3-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "scope is one string of scopes, with one space between them.",
		Why:         "An API that looks for a string takes a list for nothing, and one that looks for a part of it takes too much.",
		try: func(p *probe) {
			if p.run.target.SubjectScope == "" {
				p.skip("the target asks for no scope")
			}
			t := p.says(p.start(starting{}).token)
			s, ok := t.claims["scope"].(string)
			p.should(t.claims["scope"] != nil, Departure, Low, "scope", "none")
			p.want(ok, Medium, "scope as a string", "%s", kindOf(t.claims["scope"]))
			p.want(s == strings.Join(strings.Fields(s), " "), Low, "single spaces", "%q", s)
		},
	},
	{
		ID: "token/scope-within", Source: "RFC 8693 §5, CVE-2026-56668", Level: MustNot, Profile: true, Rows: []string{"RFC8693-5-02", "RFC8693-2.2.1-09"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token has no scope that was not asked for, and the answer says scope where it is another than was asked for.",
		Why:         "Rights that nobody asked for are found by nobody but whoever looks for them.",
		try: func(p *probe) {
			s := p.start(starting{})
			asked := strings.Fields(s.form.Get("scope"))
			if len(asked) == 0 {
				p.skip("the target asks for no scope")
			}
			got := strings.Fields(p.says(s.token).text("scope"))
			for _, scope := range got {
				p.want(slices.Contains(asked, scope), Critical, "nothing beyond "+s.form.Get("scope"), "%q", got)
			}
			if len(got) != len(asked) {
				p.want(s.text("scope") != "", Low, "scope in the answer, since it is not what was asked for", "none")
			}
		},
	},
	{
		ID: "token/look-only-cannot-write", Source: "RFC 8693 §5", Level: Should, Profile: true, Rows: []string{"RFC8693-5-01"}, Needs: []Feature{FeatureJWT, FeatureModes},
		Requirement: "A token to look only has no scope that changes something, and no more scope than one with full access.",
		Why:         "Looking only is a promise that every API has to be able to keep.",
		try: func(p *probe) {
			look := strings.Fields(p.says(p.start(starting{}).token).text("scope"))
			full := strings.Fields(p.says(p.start(starting{mode: p.run.target.Start.WriteMode}).token).text("scope"))
			for _, scope := range look {
				p.want(slices.Contains(full, scope), High, "nothing beyond full access", "%q, where full access has %q", look, full)
			}
			f := p.ready(starting{})
			a := p.token(p.app(), with(f, "scope", strings.TrimSpace(f.Get("scope")+" "+p.run.target.WriteScope)))
			if !issued(a) {
				p.refused(a, "invalid_scope")
				return
			}
			for _, scope := range strings.Fields(p.says(a.text("access_token")).text("scope")) {
				p.want(!slices.Contains(strings.Fields(p.run.target.WriteScope), scope), Critical, "no scope that changes something", "%s", scope)
			}
		},
	},
	{
		ID: "token/short-lived", Source: "RFC 8693 §5", Level: Should, Profile: true, Rows: []string{"RFC8693-5-01", "RFC8693-2.2.1-08"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token lasts an hour at most, and expires_in says for how long.",
		Why:         "What was to be a look at a customer's page becomes a way in.",
		try: func(p *probe) {
			s := p.start(starting{})
			t := p.says(s.token)
			exp, iat := number(t.claims["exp"]), number(t.claims["iat"])
			p.want(exp-iat > 0 && exp-iat <= time.Hour.Seconds(), Medium, "an hour at most", "%v s", exp-iat)
			in, ok := s.members["expires_in"].(float64)
			p.want(ok, Low, "expires_in", "none")
			p.want(math.Abs(exp-float64(p.now().Unix())-in) <= 5, Low, "expires_in of the time that is left", "%v, where %v s are left", in, exp-float64(p.now().Unix()))
		},
	},
	{
		ID: "token/no-sign-in-of-the-subject", Source: "RFC 9068 §2.2.1", Level: MustNot, Profile: true, Rows: []string{"RFC9068-2.2.1-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "The token does not say that the subject signed in: auth_time, acr and amr are the actor's or are not there.",
		Why:         "An API that asks for a fresh sign-in of the user would have it by somebody else's.",
		try: func(p *probe) {
			actor := p.fresh(p.actor(), p.app()).text("access_token")
			theirs := p.says(actor)
			s := p.start(starting{})
			t := p.says(s.token)
			for _, name := range []string{"auth_time", "acr", "amr"} {
				if v, has := t.claims[name]; has {
					p.want(reflect.DeepEqual(v, theirs.claims[name]), High, name+" of the actor, or none", "%v", v)
				}
			}
		},
	},
	{
		ID: "token/ids-differ", Source: "RFC 9068 §2.2, RFC 7519 §4.1.7", Level: Must, Rows: []string{"RFC9068-2.2-03"}, Needs: []Feature{FeatureJWT},
		Requirement: "Each token has a jti of its own.",
		Why:         "Where two share one, who revokes one revokes both, and a log cannot tell them apart.",
		try: func(p *probe) {
			seen := map[string]bool{p.says(p.actorToken(p.actor(), p.app())).text("jti"): true}
			for range 5 {
				id := p.says(p.start(starting{}).token).text("jti")
				p.want(!seen[id], High, "a jti that no other has", "%q again", id)
				seen[id] = true
			}
		},
	},
	{
		ID: "token/not-exchanged-again", Source: "RFC 8693 §4.1", Level: MustNot, Profile: true, Rows: []string{"RFC8693-4.1-09", "RFC8693-4.1-12"},
		Requirement: "A token that has act is exchanged for nothing.",
		Why:         "A second exchange drops who acts, or lets them begin anew when their time is over.",
		try: func(p *probe) {
			s := p.start(starting{})
			actor := p.actorToken(p.actor(), p.app())
			refused := func(f url.Values) {
				a, severity := p.token(p.app(), f), Critical
				if p.remains(s.token, a) {
					severity = Low // a longer chain, in which nobody is lost and that lasts no longer
				}
				p.refusedAs(severity, a, "invalid_request")
			}
			for _, f := range []url.Values{
				{"grant_type": {grantExchange}, "subject_token": {s.token}, "subject_token_type": {typeAccess}},
				{"grant_type": {grantExchange}, "subject_token": {s.token}, "subject_token_type": {typeAccess}, "actor_token": {actor}, "actor_token_type": {typeAccess}},
				{"grant_type": {grantExchange}, "subject_token": {s.token}, "subject_token_type": {typeJWT}},
			} {
				refused(f)
				if p.run.target.Resource != "" {
					refused(with(f, "resource", p.run.target.Resource))
				}
			}
		},
	},
	{
		ID: "token/no-actor-of-another", Source: "RFC 8693 §4.1", Level: MustNot, Profile: true, Rows: []string{"RFC8693-4.1-10"},
		Requirement: "A token that has act is no actor_token.",
		Why:         "Whoever impersonates somebody who may impersonate would have all that they may.",
		try: func(p *probe) {
			s := p.start(starting{})
			f := p.ready(starting{})
			name := "actor_token"
			if !f.Has(name) {
				name = "subject_token"
			}
			p.refused(p.token(p.app(), with(f, name, s.token)), "invalid_request")
		},
	},
	{
		ID: "token/sign-in-goes-on", Source: "RFC 8693 §2.1", Level: MustNot, Rows: []string{"RFC8693-2.1-23"}, Needs: []Feature{FeatureIntrospection},
		Requirement: "A start does not end the actor's own token.",
		Why:         "An exchange is no use of the tokens that it takes, unless they say so.",
		try: func(p *probe) {
			p.want(p.active(p.actorToken(p.actor(), p.app())), Medium, "an active token before", "one that is over")
			p.start(starting{})
			p.want(p.active(p.actorToken(p.actor(), p.app())), Medium, "an active token after", "one that is over")
		},
	},
	{
		ID: "token/answer-complete", Source: "RFC 8693 §2.2.1", Level: Must, Rows: []string{"RFC8693-2.1-21", "RFC8693-2.2.1-02", "RFC8693-2.2.1-03", "RFC8693-2.2.1-04", "RFC8693-2.2.1-05", "RFC8693-2.2.1-07"},
		Requirement: "The answer has issued_token_type for an access token and a token_type other than N_A.",
		Why:         "A client that is not told what it has guesses.",
		try: func(p *probe) {
			s := p.start(starting{})
			issued := s.text("issued_token_type")
			p.want(issued == typeAccess || issued == typeJWT, Low, "issued_token_type "+typeAccess, "%q", issued)
			kind := s.text("token_type")
			p.want(strings.EqualFold(kind, "Bearer") || strings.EqualFold(kind, "DPoP"), Low, "token_type Bearer or DPoP", "%q", kind)
		},
	},
}

// act gives the act of a token, which is there.
func (p *probe) act(t *jwt) map[string]any {
	act, ok := t.claims["act"].(map[string]any)
	p.want(ok, High, "act as an object", "%s", kindOf(t.claims["act"]))
	return act
}

// remains reports whether the token of an answer is about whom the one before was, ends no later, and has within its act all of the act of that.
func (p *probe) remains(before string, a *answer) bool {
	old, errOld := parseJWT(before)
	t, err := parseJWT(a.text("access_token"))
	if err != nil || errOld != nil || t.text("sub") != old.text("sub") || number(t.claims["exp"]) > number(old.claims["exp"]) {
		return false
	}
	for act, ok := t.claims["act"].(map[string]any); ok; act, ok = act["act"].(map[string]any) {
		if reflect.DeepEqual(act, old.claims["act"]) {
			return true
		}
	}
	return false
}

// audience gives the aud of a token, which is a string or a list of them.
func audience(t *jwt) (all []string) {
	switch aud := t.claims["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		for _, v := range aud {
			if s, ok := v.(string); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// number is a claim that is one, NaN for any other.
func number(v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		return math.NaN()
	}
	f, err := n.Float64()
	if err != nil {
		return math.NaN()
	}
	return f
}

// kindOf tells what kind of JSON a member is.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
