package faulty

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// login is somebody who has signed in, in one browser.
type login struct {
	account *Account
	at      time.Time
	half    bool // the code is still to come
}

const loginCookie = "faulty-login"

// once is what works once: a code, a ticket, a return token.
type once struct {
	kind      string // "code", "ticket", "return", "refresh", "request"
	client    *Client
	challenge string
	login     *login // whose it is
	expires   time.Time
	spent     bool
	grant     *grant // what came of it; of a return token what it ends

	redirectURI string     // of a code
	query       url.Values // of a request that was pushed
	nonce       string     // of a code
	plain       bool       // of a code: its challenge is the verifier itself
	scope       []string   // of a code and of a return token
	audience    string     // of a return token and of a refresh token
	start       *token     // of a return token: the impersonation token; of a refresh token: the access token with which it came
	subject     *Account   // of a ticket
	mode        string     // of a ticket
}

// issue keeps what works once, and gives what stands for it.
func (s *Server) issue(o *once) string {
	value := random()
	if o.kind == "return" && s.wrong("return-token-short") || o.kind == "code" && s.wrong("code-short") || o.kind == "ticket" && s.wrong("ticket-short") {
		value = value[:12]
	}
	if o.kind == "return" && s.wrong("return-token-is-weak-jwt") {
		value = weak()
	}
	s.once[value] = o
	return value
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>{{.Title}}</title><h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>{{end}}
{{if .SignIn}}<form method="post" action="/sign-in"><input type="hidden" name="next" value="{{.Next}}">
<input name="login" type="email" autocomplete="username"><input name="password" type="password" autocomplete="current-password"><button>Sign in</button></form>{{end}}
{{with .Half}}<form method="post" action="/code"><input type="hidden" name="next" value="{{$.Next}}"><input name="code" autocomplete="one-time-code"><button>Go on</button></form>{{end}}
{{if .SignOut}}<form method="post"><button>Sign out</button></form>{{end}}{{.More}}
{{if .Ask}}<form method="post"><input name="reason"><select name="mode"><option>read<option>write</select><button>Impersonate</button></form>{{end}}
`))

type shown struct {
	Title, Text, Next          string
	SignIn, Half, SignOut, Ask bool
	More                       template.HTML // as it is; "" unless a fault has it
}

func (s *Server) show(w http.ResponseWriter, status int, p shown) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	s.spoilPage(status, h, &p)
	w.WriteHeader(status)
	if err := page.Execute(w, p); err != nil { // who asked has gone
		return
	}
}

func (s *Server) refusePage(w http.ResponseWriter, status int, text string) {
	s.show(w, status, shown{Title: "That does not work", Text: text})
}

// who gives who has signed in, nil if nobody has.
func (s *Server) who(r *http.Request) *login {
	c, err := r.Cookie(loginCookie)
	if err != nil {
		return s.signedInBy(r)
	}
	l := s.logins[c.Value]
	if s.fault == Forgetful {
		delete(s.logins, c.Value)
	}
	if l != nil && l.half && !s.wrong("half-signed-in-is-in") {
		return nil
	}
	return l
}

func (s *Server) askToSignIn(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	q.Del("prompt") // who signs in now has done what these ask for
	q.Del("max_age")
	p := shown{Title: "Sign in", SignIn: true, Next: r.URL.Path + "?" + q.Encode()}
	s.spoilSignIn(q, &p)
	s.show(w, http.StatusOK, p)
}

// leadsOn reports whether a sign-in may lead to next.
func leadsOn(next string) bool {
	return strings.HasPrefix(next, "/authorize?") || strings.HasPrefix(next, "/impersonate?")
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	next := r.PostFormValue("next")
	if !leadsOn(next) {
		s.refusePage(w, http.StatusBadRequest, "There is nothing to go on to.")
		return
	}
	a := account(func(a *Account) bool {
		return !a.disabled && a.Login == r.PostFormValue("login") && a.Password == r.PostFormValue("password")
	})
	if a == nil {
		s.show(w, http.StatusOK, shown{Title: "Sign in", Text: "Name or password is wrong.", SignIn: true, Next: next})
		return
	}
	if a.totp != "" {
		s.askForCode(w, a, next)
		return
	}
	s.letIn(w, r, a, next)
}

// letIn signs somebody in.
func (s *Server) letIn(w http.ResponseWriter, r *http.Request, a *Account, next string) {
	cookie := &http.Cookie{Name: loginCookie, Value: random(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	s.spoilCookie(r, cookie)
	s.logins[cookie.Value] = &login{account: a, at: s.now()}
	http.SetCookie(w, cookie)
	status := http.StatusSeeOther
	if s.wrong("form-sent-on") {
		status = http.StatusTemporaryRedirect
	}
	http.Redirect(w, r, next, status)
}

// query reads the query of a page's request: each parameter comes once.
func (s *Server) query(r *http.Request) (url.Values, bool) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	for name, values := range q {
		if len(values) > 1 && name != "resource" && !(s.wrong("first-of-two-asked") && name != "client_id" && name != "redirect_uri") {
			return nil, false
		}
	}
	return q, err == nil
}

// authorize is RFC 6749 §4.1.1 with RFC 7636, RFC 9470 §4 and OpenID Connect Core §3.1.2.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q, ok := s.query(r)
	q, pushed := s.pushed(q)
	c := client(q.Get("client_id"))
	if c == nil && q.Get("redirect_uri") != "" && s.wrong("unknown-client-led-back") {
		c = &Client{RedirectURI: q.Get("redirect_uri")}
		s.back(w, r, c, q, url.Values{"error": {"unauthorized_client"}})
		return
	}
	if !ok || c == nil || !s.registered(c, q.Get("redirect_uri")) && pushed == nil {
		s.refusePage(w, http.StatusBadRequest, "The application is unknown, or the address that it wants to go back to.")
		return
	}
	c = s.leadAstray(c, q)
	if code := s.unacceptable(c, q); code != "" {
		s.back(w, r, c, q, url.Values{"error": {code}})
		return
	}
	l, prompt := s.who(r), strings.Fields(q.Get("prompt"))
	switch silent := slices.Contains(prompt, "none"); {
	case silent && len(prompt) > 1 && !s.wrong("prompt-none-beside-another"):
		s.back(w, r, c, q, url.Values{"error": {"invalid_request"}})
	case silent && (l == nil || s.old(l, q) || s.wrong("prompt-none-refused")) && !s.wrong("prompt-none-shows-page"):
		s.back(w, r, c, q, url.Values{"error": {"login_required"}})
	case l == nil, (s.old(l, q) || slices.Contains(prompt, "login")) && !s.wrong("prompt-login-passed-over") && !silent:
		s.askToSignIn(w, r)
	default:
		if pushed != nil {
			pushed.spent = true
		}
		s.answerWithCode(w, r, c, q, l)
	}
}

// registered reports whether a redirect URI is the client's.
func (s *Server) registered(c *Client, uri string) bool {
	return uri == c.RedirectURI || s.wrong("redirect-uri-by-prefix") && strings.HasPrefix(uri, c.RedirectURI)
}

// old reports whether a sign-in is older than is asked for.
func (s *Server) old(l *login, q url.Values) bool {
	seconds, err := strconv.Atoi(q.Get("max_age"))
	return err == nil && s.now().Sub(l.at) >= time.Duration(seconds)*time.Second
}

// unacceptable gives the error for an authorization request, "" for none.
func (s *Server) unacceptable(c *Client, q url.Values) string {
	_, known := s.scopesOf(q.Get("scope"))
	_, refused := s.targets(q)
	optional := !q.Has("code_challenge") && (s.wrong("challenge-stripped") || s.wrong("challenge-optional") && !c.public() || s.wrong("public-challenge-optional") && c.public())
	method := q.Get("code_challenge_method")
	switch {
	case q.Get("response_type") == "token" && s.wrong("token-at-redirect"):
	case q.Get("response_type") != "code":
		return "unsupported_response_type"
	case q.Has("request"):
		return "request_not_supported"
	case q.Has("request_uri"):
		return "request_uri_not_supported"
	case optional, (method == "plain" || method == "") && q.Has("code_challenge") && s.wrong("plain-taken"):
	case method != "S256" || len(q.Get("code_challenge")) != 43:
		return "invalid_request"
	}
	switch {
	case !known:
		return "invalid_scope"
	case refused != nil && !s.wrong("unknown-target-at-sign-in"):
		return refused.code
	case q.Get("acr_values") != "" && !slices.Contains(strings.Fields(q.Get("acr_values")), acr) && !s.wrong("acr-passed-over"):
		return "unmet_authentication_requirements"
	}
	return ""
}

func (s *Server) answerWithCode(w http.ResponseWriter, r *http.Request, c *Client, q url.Values, l *login) {
	granted, _ := s.scopesOf(q.Get("scope"))
	if !l.account.impersonates && !s.wrong("anybody-starts") {
		granted = slices.DeleteFunc(granted, func(scope string) bool { return scope == impersonateScope })
	}
	if q.Get("response_type") == "token" {
		t := s.mint(&token{client: c, subject: l.account, audience: Resource, scope: granted, login: l, grant: &grant{}, expires: s.now().Add(AccessLifetime)})
		s.back(w, r, c, q, url.Values{"access_token": {t.value}, "token_type": {"Bearer"}})
		return
	}
	answer := url.Values{"code": {s.issue(&once{
		kind: "code", client: client(c.ID), challenge: q.Get("code_challenge"), plain: q.Get("code_challenge_method") != "S256" && q.Has("code_challenge"),
		login: l, expires: s.now().Add(CodeLifetime), redirectURI: q.Get("redirect_uri"), scope: granted, nonce: q.Get("nonce"), audience: s.target(q),
	})}}
	if s.wrong("token-beside-code") {
		answer.Set("access_token", s.mint(&token{client: c, subject: l.account, audience: Resource, login: l, grant: &grant{}, expires: s.now().Add(AccessLifetime)}).value)
	}
	s.back(w, r, c, q, answer)
}

// back leads to the client, with the issuer (RFC 9207).
func (s *Server) back(w http.ResponseWriter, r *http.Request, c *Client, q, answer url.Values) {
	answer.Set("iss", s.issuer)
	if q.Has("state") {
		answer.Set("state", q.Get("state"))
	}
	s.spoilRedirect(answer)
	http.Redirect(w, r, c.RedirectURI+"?"+answer.Encode(), http.StatusSeeOther)
}

// target is the API of a request that was looked at before.
func (s *Server) target(q url.Values) string {
	audience, refused := s.targets(q)
	if refused != nil {
		return ""
	}
	return audience
}

// request is what the page that gives tickets was asked for.
type request struct {
	query   url.Values
	client  *Client
	login   *login
	subject *Account
}

// asked reads a request for a ticket. Where it does not hold it gives nil, and has answered.
func (s *Server) asked(w http.ResponseWriter, r *http.Request) *request {
	q, ok := s.query(r)
	c := client(q.Get("client_id"))
	_, refused := s.targets(q)
	challenged := q.Get("code_challenge_method") == "S256" && len(q.Get("code_challenge")) == 43
	switch {
	case !ok || c == nil || q.Get("redirect_uri") != c.RedirectURI && !(s.wrong("ticket-redirect-by-prefix") && strings.HasPrefix(q.Get("redirect_uri"), c.RedirectURI)) || !c.exchanges && !s.wrong("any-client-exchanges") && !(s.wrong("public-client-exchanges") && c.public()):
		s.refusePage(w, http.StatusBadRequest, "The application is unknown, or the address that it wants to go back to.")
		return nil
	case q.Get("state") == "" || refused != nil || !challenged && !(s.wrong("ticket-without-challenge") && !q.Has("code_challenge")) && !(s.wrong("ticket-by-plain-challenge") && q.Get("code_challenge_method") == "plain"):
		s.refusePage(w, http.StatusBadRequest, "The application asks in a wrong way.")
		return nil
	}
	l := s.who(r)
	if l == nil && s.wrong("ticket-without-sign-in") {
		l = &login{account: Actor, at: s.now()}
	}
	if l == nil {
		s.askToSignIn(w, r)
		return nil
	}
	subject := account(func(a *Account) bool { return a.Subject == q.Get("subject") })
	if subject == nil && s.wrong("unknown-subject-is-somebody") {
		subject = Subject
	}
	if subject == nil || !s.mayImpersonate(l.account, subject) {
		s.refusePage(w, http.StatusForbidden, "You cannot impersonate this person.")
		return nil
	}
	return &request{q, s.leadAstray(c, q), l, subject}
}

// mayImpersonate is the policy. It is looked at on the page and again at the exchange.
func (s *Server) mayImpersonate(actor, subject *Account) bool {
	switch {
	case !actor.impersonates && !s.wrong("anybody-starts"):
		return false
	case subject.protected && !s.wrong("protected-subject-started"):
		return false
	case subject.disabled && !s.wrong("disabled-subject-started") || actor.disabled:
		return false
	case actor.limited && !s.wrong("other-organisation-started") && subject.organisation != actor.organisation:
		return false
	case subject == actor && !s.wrong("oneself-started"):
		return false
	}
	return true
}

// impersonate is the page that asks why.
func (s *Server) impersonate(w http.ResponseWriter, r *http.Request) {
	if s.wrong("ticket-by-link") && r.FormValue("reason") != "" {
		s.giveTicket(w, r)
	} else if s.asked(w, r) != nil {
		s.show(w, http.StatusOK, shown{Title: "Impersonate", Ask: true})
	}
}

// giveTicket takes its form.
func (s *Server) giveTicket(w http.ResponseWriter, r *http.Request) {
	a := s.asked(w, r)
	if a == nil {
		return
	}
	form := r.PostFormValue
	if s.wrong("ticket-by-link") {
		form = r.FormValue
	}
	mode := form("mode")
	if form("reason") == "" || mode != "read" && mode != "write" {
		s.show(w, http.StatusOK, shown{Title: "Impersonate", Text: "Say why, and how.", Ask: true})
		return
	}
	ticket := s.issue(&once{
		kind: "ticket", client: client(a.client.ID), challenge: a.query.Get("code_challenge"), login: a.login, expires: s.now().Add(TicketLifetime), subject: a.subject, mode: mode,
		audience: s.target(a.query),
	})
	s.back(w, r, a.client, a.query, url.Values{"ticket": {ticket}})
}
