package conformance

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// answerCases are about each answer that a run has seen, whichever case it was for: what one of them looks for in one answer holds of all.
var answerCases = []Case{
	{
		ID: "answer/members-once", Source: "RFC 8259 §4, RFC 7519 §4", Level: Should, Profile: true,
		Requirement: "No object in any answer has a member twice, and no redirect to an app a parameter.",
		Why:         "Of two readers one takes the first and one the last, so that what one allows is not what the other checked.",
		Mend:        "Write answers by an encoder of JSON from one map or struct, and never by joining strings or by adding members to what is encoded already.",
		try:         func(p *probe) { p.alright("answer/members-once", Medium, "each member once") },
	},
	{
		ID: "answer/said-to-be-json", Source: "RFC 6749 §5.1, §5.2, RFC 7662 §2.2, RFC 8414 §3.2, RFC 9126 §2.2, OpenID Connect Core §5.3.2", Level: Must,
		Requirement: "Each answer that is JSON says so in its Content-Type.",
		Why:         "A browser shows as a page what says that it is one, and what somebody else wrote into it runs there.",
		Mend:        "Set Content-Type to application/json in the one function that writes JSON, before the status, for errors too; add X-Content-Type-Options: nosniff.",
		try:         func(p *probe) { p.alright("answer/said-to-be-json", Medium, "Content-Type: application/json") },
	},
	{
		ID: "answer/types", Source: "RFC 6749 §5.1, §5.2, RFC 7662 §2.2, RFC 7517 §4, OpenID Connect Core §5.1", Level: Must,
		Requirement: "Each member of an answer has the type that its definition gives it, and each token a token_type that there is.",
		Why:         "A client in a language without types compares a list to a text and goes on; one with types stops working.",
		Mend:        "Look at how the member that is named is declared: times and lifetimes are numbers, active is true or false, scope is one text with spaces, act is an object.",
		try:         func(p *probe) { p.alright("answer/types", Medium, "each member of its type") },
	},
	{
		ID: "answer/error-codes-known", Source: "RFC 6749 §5.2, §8.5", Level: Must,
		Requirement: "Each error has a code, which is one of those that are registered.",
		Why:         "A client that does not know the code cannot tell whether to try again, to sign in, or to stop.",
		Mend:        "Look up the code in the registry of OAuth extension errors; where none fits, invalid_request does, and error_description may say more.",
		try:         func(p *probe) { p.alright("answer/error-codes-known", Low, "a registered code") },
	},
	{
		ID: "answer/not-for-caches", Source: "RFC 6749 §5.1, RFC 9111 §5.2.2", Level: MustNot, Profile: true,
		Requirement: "No answer that holds a token, or tells of one or of a person, allows a cache to keep it.",
		Why:         "A cache between gives it to whoever asks next.",
		Mend:        "Send Cache-Control: no-store from these endpoints, and look whether a proxy in front sets public or max-age of its own.",
		try:         func(p *probe) { p.alright("answer/not-for-caches", High, "Cache-Control: no-store, or none") },
	},
	{
		ID: "answer/challenged", Source: "RFC 6749 §5.2, RFC 6750 §3, RFC 9110 §11.6.1", Level: Must,
		Requirement: "Each answer 401, and each refusal of a bearer token, has WWW-Authenticate with a scheme that would do.",
		Why:         "Without it a client cannot tell a token that is over from a server that is broken, and tries again with the same one.",
		Mend:        "Set WWW-Authenticate: Basic where a client's Authorization was refused, and Bearer with error where a token was, for 403 insufficient_scope too.",
		try:         func(p *probe) { p.alright("answer/challenged", Low, "WWW-Authenticate") },
	},
}

// oddity is what is wrong with an answer, by the case that it is for.
type oddity struct {
	text     string
	exchange Exchange
}

// alright demands that nothing that the run has seen is wrong as a case tells, and goes round the endpoints first where that was not seen yet.
func (p *probe) alright(id string, s Severity, want string) {
	judge := func() {
		p.run.mu.Lock()
		o, is := p.run.odd[id]
		p.run.mu.Unlock()
		if is {
			p.evidence = []Exchange{o.exchange}
			p.fail(s, want, "%s", o.text)
		}
	}
	judge()
	p.round()
	judge()
}

// round asks each endpoint for an answer of each kind, once a run. Whether they are the right ones is the business of other cases.
func (p *probe) round() {
	r := p.run
	if r.rounded {
		return
	}
	r.rounded = true
	wrong := &Client{ID: p.app().ID, Secret: random(), RedirectURI: p.app().RedirectURI}
	q := p.authorization(p.app(), random())
	oauth, openid := wellKnown(r.target.Issuer)
	tokens := []string{random()}
	p.each(true, func() { p.get(oauth) }, func() { p.get(openid) })
	p.each(r.has[FeatureJWT], func() { p.get(r.meta.JWKS) })
	p.each(true, func() {
		first := p.fresh(p.actor(), p.app())
		tokens = append(tokens, first.text("access_token"))
		if refresh := first.text("refresh_token"); refresh != "" {
			p.token(p.app(), refreshing(refresh))
		}
	}, func() {
		verifier := random()
		q := p.authorization(p.app(), verifier)
		q.Set("scope", strings.ReplaceAll(" "+p.run.target.Scope+" ", " openid ", " "))
		got := p.signIn(p.browser(p.actor()), p.app(), q)
		tokens = append(tokens, p.token(p.app(), redemption(p.app(), got.Get("code"), verifier)).text("access_token"))
	}, func() { p.token(wrong, redemption(wrong, random(), random())) }, func() { p.token(p.app(), redemption(p.app(), random(), random())) })
	p.each(r.has[FeaturePAR], func() { p.push(p.app(), q) }, func() { p.push(wrong, q) }, func() { p.push(p.app(), with(q, "scope", "no-such-scope-"+random()[:8])) })
	p.each(true, func() {
		s := p.start(starting{})
		tokens = append(tokens, s.token)
		for _, token := range tokens {
			p.each(r.has[FeatureIntrospection], func() { p.introspect(p.app(), token) })
			p.each(r.has[FeatureUserinfo], func() { p.get(r.meta.Userinfo, "Authorization", "Bearer "+token) })
		}
		p.each(r.has[FeatureIntrospection], func() { p.introspect(wrong, s.token) })
		p.each(r.has[FeatureRevocation], func() { p.revoke(wrong, s.token) })
		p.each(r.has[FeatureReturnToken], func() { p.token(p.app(), p.stopping(s)) })
	})
	if p.ctx.Err() != nil {
		p.blocked("%v", context.Cause(p.ctx))
	}
}

// each does what it is told where has is true, and goes on where one of it ends in a verdict.
func (p *probe) each(has bool, all ...func()) {
	for _, f := range all {
		func() {
			defer func() {
				if v := recover(); v != nil {
					if _, ok := v.(verdict); !ok {
						panic(v)
					}
				}
			}()
			if has {
				f()
			}
		}()
	}
}

// look keeps what is wrong with an answer, the first of each sort.
func (p *probe) look(req *http.Request, a *answer, e Exchange) {
	m := p.run.meta
	if m == nil {
		return
	}
	at := *req.URL
	at.RawQuery, at.Fragment = "", ""
	is := func(endpoints ...string) bool { return slices.Contains(endpoints, at.String()) }
	found := func(id, text string, args ...any) {
		p.run.mu.Lock()
		defer p.run.mu.Unlock()
		if _, has := p.run.odd[id]; !has {
			p.run.odd[id] = oddity{fmt.Sprintf(text+" from %s %s", append(args, req.Method, at.Path)...), e}
		}
	}
	if to := a.location(); to != nil && to.Host != at.Host {
		for name, values := range to.Query() {
			if len(values) > 1 && name != "resource" {
				found("answer/members-once", "%q twice in a redirect", name)
			}
		}
	}
	oauth, openid := wellKnown(p.run.target.Issuer)
	ours := is(m.Token, m.Introspection, m.Revocation, m.PAR, m.Userinfo)
	if !ours && !is(m.JWKS, oauth, openid) {
		return
	}
	if a.twice != "" {
		found("answer/members-once", "%q twice", a.twice)
	}
	if kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); a.members != nil && !is(m.JWKS) && kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		found("answer/said-to-be-json", "Content-Type %q", kind)
	}
	for name, kind := range p.mistyped(a.members) {
		found("answer/types", "%s is %s", name, kind)
	}
	if is(m.Token) && a.text("access_token") != "" {
		if kind := a.text("token_type"); !slices.ContainsFunc([]string{"Bearer", "DPoP", "N_A"}, func(k string) bool { return strings.EqualFold(k, kind) }) {
			found("answer/types", "token_type %q", kind)
		}
		if kind := a.text("issued_token_type"); strings.HasPrefix(kind, "urn:ietf:params:oauth:token-type:") && !slices.Contains(issuable, kind) {
			found("answer/types", "issued_token_type %q", kind)
		}
	}
	code, has := a.members["error"].(string)
	if (has || a.members != nil && a.status >= 400) && ours && !is(m.Userinfo) && !slices.Contains(registered, code) {
		found("answer/error-codes-known", "%d with %q", a.status, code)
	}
	if cache := strings.ToLower(strings.Join(a.header.Values("Cache-Control"), ",")); ours && a.status < 300 && !strings.Contains(cache, "no-store") &&
		(issued(a) || strings.Contains(cache, "public") || strings.Contains(cache, "max-age") && !strings.Contains(cache, "max-age=0")) {
		found("answer/not-for-caches", "Cache-Control %q", cache)
	}
	if scheme := challenge(is(m.Userinfo), req, a); ours && scheme != "" {
		found("answer/challenged", "%d with WWW-Authenticate %q", a.status, scheme[1:])
	}
}

// challenge is an exclamation mark and what an answer has for WWW-Authenticate where that will not do, else "".
func challenge(ofTokens bool, req *http.Request, a *answer) string {
	given := a.header.Values("WWW-Authenticate")
	has := func(schemes ...string) bool {
		return slices.ContainsFunc(given, func(v string) bool {
			scheme, _, _ := strings.Cut(strings.TrimSpace(v), " ")
			return slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, strings.TrimSuffix(scheme, ",")) })
		})
	}
	switch basic := strings.HasPrefix(req.Header.Get("Authorization"), "Basic "); {
	case ofTokens && slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, a.status) && !has("Bearer", "DPoP"),
		!ofTokens && basic && (a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest && a.text("error") == "invalid_client") && !has("Basic"):
		return "!" + strings.Join(given, ", ")
	}
	return ""
}

// mistyped are the members of another type than theirs, with what they are.
func (p *probe) mistyped(members map[string]any) map[string]string {
	wrong := make(map[string]string)
	for name, v := range members {
		kind := types[name]
		if name == p.run.target.Start.ReturnTokenMember {
			kind = "a string"
		}
		if got := kindOf(v); kind != "" && v != nil && !strings.Contains(kind, got) {
			wrong[name] = got
		}
	}
	keys, _ := members["keys"].([]any)
	for _, k := range keys {
		k, _ := k.(map[string]any)
		for _, name := range []string{"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"} {
			if v, has := k[name]; has && kindOf(v) != "a string" {
				wrong[name] = kindOf(v)
			}
		}
	}
	return wrong
}

// types are of the members that have one in all answers.
var types = func() map[string]string {
	all := map[string]string{"aud": "a string, an array", "active": "a boolean", "email_verified": "a boolean", "act": "an object", "cnf": "an object"}
	for name := range strings.FieldsSeq("access_token token_type refresh_token scope id_token issued_token_type error error_description error_uri iss sub client_id username jti acr email name request_uri") {
		all[name] = "a string"
	}
	for name := range strings.FieldsSeq("expires_in exp iat nbf auth_time") {
		all[name] = "a number"
	}
	return all
}()

// issuable are the types that are registered (RFC 8693 §3).
var issuable = []string{typeAccess, typeRefresh, typeID, typeJWT, typeSAML2, "urn:ietf:params:oauth:token-type:saml1"}

// registered are the codes of errors of these endpoints (RFC 6749 §11.4 has the registry).
var registered = strings.Fields(`invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope invalid_target
	unsupported_response_type access_denied server_error temporarily_unavailable unsupported_token_type invalid_token insufficient_scope
	invalid_request_uri invalid_request_object request_not_supported request_uri_not_supported registration_not_supported
	login_required interaction_required account_selection_required consent_required unmet_authentication_requirements insufficient_user_authentication
	invalid_dpop_proof use_dpop_nonce invalid_authorization_details authorization_pending slow_down expired_token`)
