package conformance

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The names of the wire, spelt here and nowhere taken from.
const (
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccess     = "urn:ietf:params:oauth:token-type:access_token"
	typeRefresh    = "urn:ietf:params:oauth:token-type:refresh_token"
	typeID         = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT        = "urn:ietf:params:oauth:token-type:jwt"
	typeSAML2      = "urn:ietf:params:oauth:token-type:saml2"
	formType       = "application/x-www-form-urlencoded"
	reasonOfStarts = "conformance test of this deployment"
)

// random is 256 bits in base64url.
func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// s256 is the challenge of a verifier (RFC 7636 §4.2).
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// post sends a form to an endpoint as a client.
func (p *probe) post(endpoint string, c *Client, form url.Values) *answer {
	return p.postRaw(endpoint, c, form.Encode())
}

// postRaw is post of a body as it is; what authenticates the client is added.
func (p *probe) postRaw(endpoint string, c *Client, body string, header ...string) *answer {
	header = append(header, "Content-Type", formType, "Accept", "application/json")
	if c != nil {
		p.run.secret(c.Secret)
		switch {
		case c.Auth == "private_key_jwt":
			body += "&" + asserting(p.assertion(c)).Encode()
		case c.Auth == "none" || c.Secret == "":
			body += "&client_id=" + url.QueryEscape(c.ID)
		case c.Auth == "client_secret_post":
			body += "&client_id=" + url.QueryEscape(c.ID) + "&client_secret=" + url.QueryEscape(c.Secret)
		default:
			header = append(header, "Authorization", basic(c.ID, c.Secret))
		}
	}
	return p.request(http.MethodPost, endpoint, strings.TrimPrefix(body, "&"), header...)
}

// basic is RFC 6749 §2.3.1: id and secret are escaped as in a form first.
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// token is post to the token endpoint.
func (p *probe) token(c *Client, form url.Values) *answer {
	a := p.post(p.run.meta.Token, c, form)
	for name, v := range a.members {
		if s, ok := v.(string); ok && (secretParams[name] || strings.HasSuffix(name, "_token")) {
			p.run.secret(s)
		}
	}
	if token := a.text("access_token"); token != "" && c != nil && form.Get("grant_type") == grantExchange {
		p.mu.Lock()
		p.begun[token] = c
		p.mu.Unlock()
	}
	return a
}

// app is the client that most is tried as.
func (p *probe) app() *Client { return &p.run.target.Clients.App }

func (p *probe) actor() *Account   { return &p.run.target.Accounts.Actor }
func (p *probe) subject() *Account { return &p.run.target.Accounts.Subject }

// authorization is the query of an authorization request that holds.
func (p *probe) authorization(c *Client, verifier string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {c.RedirectURI}, "state": {random()}, "nonce": {random()},
		"code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"},
	}
	if p.run.target.Scope != "" {
		q.Set("scope", p.run.target.Scope)
	}
	if p.run.target.Resource != "" {
		q.Set("resource", p.run.target.Resource)
	}
	return q
}

// signIn gives what the server answers to an authorization request of account's browser: the parameters that come to the redirect URI.
func (p *probe) signIn(l *login, c *Client, q url.Values) url.Values {
	where := l.follow(p, p.run.meta.Authorization+"?"+q.Encode(), c.RedirectURI, nil)
	got := where.Query()
	p.run.secret(got.Get("code"))
	return got
}

// code gives a fresh authorization code for account.
func (p *probe) freshCode(account *Account, c *Client, verifier string) string {
	got := p.signIn(p.browser(account), c, p.authorization(c, verifier))
	if got.Get("code") == "" {
		p.blocked("%s could not sign in at %s: %s %s", account.Login, c.ID, got.Get("error"), got.Get("error_description"))
	}
	return got.Get("code")
}

// redemption is the form that redeems a code.
func redemption(c *Client, code, verifier string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURI}, "code_verifier": {verifier}}
}

// fresh signs account in and gives the answer of the token endpoint, which is a good one.
func (p *probe) fresh(account *Account, c *Client) *answer {
	verifier, key := random(), "client\x00"+c.ID+"\x00"+c.Secret
	if why := p.run.refused[key]; why != "" {
		p.blocked("%s", why)
	}
	f := redemption(c, p.freshCode(account, c, verifier), verifier)
	if r := p.run.target.Resource; r != "" {
		f.Set("resource", r) // some servers read it here and not at the authorization endpoint (RFC 8707 §2.2)
	}
	a := p.token(c, f)
	if a.text("error") == "invalid_client" {
		p.run.refused[key] = "the server refuses the client " + c.ID + ": " + cmp.Or(a.text("error_description"), a.text("error"))
		p.blocked("%s", p.run.refused[key])
	}
	if a.status != http.StatusOK || a.text("access_token") == "" {
		p.blocked("the code of %s at %s could not be redeemed: %v %s", account.Login, c.ID, a, a.text("error_description"))
	}
	return a
}

// actorToken is an access token of account at c, which cases share: whoever ends it or changes it takes fresh. A server may end it with another of the same grant, such
// as with one that a case before has revoked (RFC 7009 §2.1) or whose code came twice: so the first look at it in a case asks whether it lives.
func (p *probe) actorToken(account *Account, c *Client) string {
	key := p.tokenOf(account, c)
	looked := p.looked[key]
	p.looked[key] = true
	if token := p.run.tokens[key]; token != "" && (looked || p.lives(c, token)) {
		return token
	}
	p.run.tokens[key] = p.fresh(account, c).text("access_token")
	if p.run.has[FeatureIntrospection] && !p.lives(c, p.run.tokens[key]) {
		p.run.silent = true
	}
	return p.run.tokens[key]
}

// lives reports whether introspection says so, and true where it cannot be asked.
func (p *probe) lives(c *Client, token string) bool {
	if !p.run.has[FeatureIntrospection] || p.run.silent || c.method() == "none" {
		return true
	}
	return p.introspect(c, token).members["active"] == true
}

// tokenOf is under what actorToken keeps a token.
func (p *probe) tokenOf(account *Account, c *Client) string {
	return account.Login + "\x00" + c.ID + "\x00" + p.run.target.Resource
}

// forUserinfo has sign-ins ask for a token for no API, until what it gives is called, where userinfo lets in none that is for one.
func (p *probe) forUserinfo() (done func()) {
	r := p.run.target.Resource
	if r != "" && p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+p.actorToken(p.actor(), p.app())).status != http.StatusOK {
		p.run.target.Resource = ""
	}
	return func() { p.run.target.Resource = r }
}

// starting is what a start is about; the zero value is the actor of the target as its subject, at its app.
type starting struct {
	client  *Client
	actor   *Account
	subject *Account
	mode    string // "" is to look only, where there are modes
}

// complete is s with what it leaves to the target.
func (p *probe) complete(s starting) starting {
	return starting{cmp.Or(s.client, p.app()), cmp.Or(s.actor, p.actor()), cmp.Or(s.subject, p.subject()), cmp.Or(s.mode, p.run.target.Start.ReadMode)}
}

// ready gives the form of a start that holds. What one-time tokens it has are fresh.
func (p *probe) ready(s starting) url.Values {
	t := &p.run.target
	s = p.complete(s)
	f := url.Values{"grant_type": {grantExchange}}
	for name, value := range t.Start.Parameters {
		f.Set(name, p.filled(value, s))
	}
	if t.SubjectScope != "" {
		f.Set("scope", t.SubjectScope)
	}
	if t.Resource != "" {
		f.Set("resource", t.Resource)
	}
	actor := p.actorToken(s.actor, s.client)
	if t.Start.FreshActor { // it has served
		delete(p.run.tokens, p.tokenOf(s.actor, s.client))
	}
	switch t.Start.By {
	case StartByTicket:
		ticket, verifier := p.ticket(s)
		f.Set("subject_token", ticket)
		f.Set("subject_token_type", t.Start.SubjectTokenType)
		f.Set("code_verifier", verifier)
	case StartByUserID:
		f.Set("subject_token", s.subject.Subject)
		f.Set("subject_token_type", t.Start.SubjectTokenType)
	case StartByToken:
		f.Set("subject_token", p.actorToken(s.subject, s.client))
		f.Set("subject_token_type", typeAccess)
	case StartByRequest:
		f.Set("subject_token", actor)
		f.Set("subject_token_type", typeAccess)
		f.Set(t.Start.names(), p.filled(cmp.Or(t.Start.SubjectValue, "{subject}"), s))
		return f
	}
	f.Set("actor_token", actor)
	f.Set("actor_token_type", typeAccess)
	return f
}

// names is the parameter that names the user.
func (s *Start) names() string { return cmp.Or(s.SubjectParam, "requested_subject") }

// filled puts what the case is about into a value of the target's.
func (p *probe) filled(value string, s starting) string {
	return strings.NewReplacer("{subject}", s.subject.Subject, "{login}", s.subject.Login, "{mode}", s.mode, "{reason}", reasonOfStarts).Replace(value)
}

// ticket has the actor ask for one on the server's page.
func (p *probe) ticket(s starting) (ticket, verifier string) {
	got, verifier := p.ask(s)
	name := cmp.Or(p.run.target.Start.TicketParam, "ticket")
	if got.Get(name) == "" {
		p.blocked("the page gave no ticket for %s: %s %s", s.subject.Subject, got.Get("error"), got.Get("error_description"))
	}
	p.run.secret(got.Get(name))
	return got.Get(name), verifier
}

// ask is ticket, and gives whatever comes to the redirect URI.
func (p *probe) ask(s starting) (got url.Values, verifier string) {
	verifier = random()
	page, fill := p.asking(s, verifier)
	return p.browser(s.actor).follow(p, page.String(), s.client.RedirectURI, fill).Query(), verifier
}

// asking is the address of the page that gives tickets, for a start that is filled in, and what goes into its form.
func (p *probe) asking(s starting, verifier string) (page *url.URL, fill map[string]string) {
	t := &p.run.target.Start
	base, err := url.Parse(p.run.target.Issuer)
	if err != nil {
		p.blocked("%v", err)
	}
	page, err = base.Parse(t.Page)
	if err != nil {
		p.blocked("start.page is no URL: %v", err)
	}
	q := page.Query()
	for name, value := range map[string]string{
		"client_id": s.client.ID, "redirect_uri": s.client.RedirectURI, "state": random(), "code_challenge": s256(verifier), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	if r := p.run.target.Resource; r != "" {
		q.Set("resource", r)
	}
	for name, value := range t.Query {
		q.Set(name, p.filled(value, s))
	}
	page.RawQuery = q.Encode()
	fill = make(map[string]string)
	for name, value := range t.Fields {
		fill[name] = p.filled(value, s)
	}
	return page, fill
}

// started is a start that held.
type started struct {
	*answer
	form   url.Values
	client *Client
	token  string // the impersonation token
}

// start impersonates, as it must be possible.
func (p *probe) start(s starting) started {
	f := p.ready(s)
	a := p.token(cmp.Or(s.client, p.app()), f)
	return started{a, f, cmp.Or(s.client, p.app()), p.held(a)}
}

// held gives the token of a start that must be possible.
func (p *probe) held(a *answer) string {
	if a.status != http.StatusOK || a.text("access_token") == "" {
		p.blocked("a start that must be possible was refused: %v %s", a, a.text("error_description"))
	}
	return a.text("access_token")
}

// introspect asks what the server says of a token (RFC 7662).
func (p *probe) introspect(c *Client, token string) *answer {
	return p.post(p.run.meta.Introspection, c, url.Values{"token": {token}})
}

// active reports whether the server says so of a token, without which nothing can be said of it.
func (p *probe) active(token string) bool {
	a := p.introspect(p.app(), token)
	active, ok := a.members["active"].(bool)
	if a.status != http.StatusOK || !ok {
		p.blocked("introspection answers %v", a)
	}
	return active
}

// issued tells that an answer holds a token, whatever else it says.
func issued(a *answer) bool {
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		if v, has := a.members[name]; has && v != nil && v != "" {
			return true
		}
	}
	return false
}

// refused demands that an answer of the token endpoint refuses, by one of these codes, as RFC 6749 §5.2 has it.
func (p *probe) refused(a *answer, codes ...string) { p.refusedAs(Critical, a, codes...) }

// refusedAs is refused where a token lets happen what the severity says.
func (p *probe) refusedAs(severity Severity, a *answer, codes ...string) {
	want := "400 with error " + strings.Join(codes, " or ")
	if issued(a) {
		p.fail(severity, want, "%v", a)
	}
	got := a.text("error")
	switch {
	case a.status >= 500:
		p.fail(Medium, want, "%v", a)
	case a.status < 400:
		p.fail(High, want, "%v", a)
	case a.members == nil:
		p.fail(Low, want, "%d, and no JSON object", a.status)
	case !slices.Contains(codes, got):
		p.fail(Low, want, "%v", a)
	case got == "invalid_client" && a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest, got != "invalid_client" && a.status != http.StatusBadRequest:
		p.fail(Low, want, "%v", a)
	}
}

// without is form without some of its members.
func without(form url.Values, names ...string) url.Values {
	f := maps.Clone(form)
	for _, name := range names {
		f.Del(name)
	}
	return f
}

// with is form with some members set: names and values in turn.
func with(form url.Values, set ...string) url.Values {
	f := maps.Clone(form)
	for i := 0; i+1 < len(set); i += 2 {
		f.Set(set[i], set[i+1])
	}
	return f
}

// want demands what holds.
func (p *probe) want(holds bool, s Severity, want, got string, args ...any) {
	if !holds {
		p.fail(s, want, got, args...)
	}
}
