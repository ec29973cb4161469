package conformance

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// pagesCases are about what a browser sees of the server: forms, headers, cookies, redirects.
var pagesCases = []Case{
	{
		ID: "pages/ticket-form-of-another-site", Source: "RFC 6749 §10.12, RFC 9700 §4.7", Level: MustNot, Rows: []string{"RFC6749-10.12-01", "CSRF-01"}, Needs: []Feature{FeatureTicket, FeatureOtherActor},
		Requirement: "The form that gives tickets is taken from the server's own page alone: neither another site nor a sibling host can send it in the actor's browser.",
		Why:         "An administrator who opens a page would impersonate whom that page chose, and give its owner the ticket.",
		try: func(p *probe) {
			victim := p.browserOf(p.actor())
			page, form, values := p.ticketForm(p.browserOf(p.run.target.Accounts.OtherActor), starting{})
			for _, from := range [][]string{
				{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Referer", "https://evil.example/"},
				{"Origin", "null", "Sec-Fetch-Site", "cross-site"},
				{"Origin", page.Scheme + "://evil." + page.Host, "Sec-Fetch-Site", "same-site", "Referer", page.Scheme + "://evil." + page.Host + "/"},
			} {
				a := victim.foreign(p, http.MethodPost, form.action.String(), values.Encode(), from...)
				p.want(!p.hasTicket(a), Critical, "no ticket for a form from "+from[1], "%v", a)
				p.want(a.status < 500, Medium, "a refusal", "%v", a)
			}
		},
	},
	{
		ID: "pages/ticket-not-by-link", Source: "RFC 9700 §4.7, RFC 9110 §9.2.1", Level: MustNot, Profile: true, Rows: []string{"CSRF-01"}, Needs: []Feature{FeatureTicket},
		Requirement: "No link gives a ticket: a GET of the form's address, with all that its form would send, changes nothing.",
		Why:         "A picture in a page would impersonate.",
		try: func(p *probe) {
			l := p.browserOf(p.actor())
			page, form, values := p.ticketForm(l, starting{})
			for _, to := range []*url.URL{form.action, page} {
				u := *to
				q := u.Query()
				for name, v := range values {
					q[name] = v
				}
				u.RawQuery = q.Encode()
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					a := l.foreign(p, method, u.String(), "")
					p.want(!p.hasTicket(a), Critical, "no ticket for "+method, "%v", a)
				}
			}
		},
	},
	{
		ID: "pages/ticket-form-by-another-path", Source: "RFC 6749 §10.12, CVE-2025-47910", Level: MustNot, Rows: []string{"RFC6749-10.12-01"}, Needs: []Feature{FeatureTicket, FeatureOtherActor},
		Requirement: "No other way to write the address of the form that gives tickets gets past what guards it.",
		Why:         "What guards a path by its letters does not see the same path written otherwise.",
		try: func(p *probe) {
			victim := p.browserOf(p.actor())
			_, form, values := p.ticketForm(p.browserOf(p.run.target.Accounts.OtherActor), starting{})
			at := form.action.EscapedPath()
			last := at[strings.LastIndexByte(at, '/')+1:]
			for _, path := range []string{"/" + at, at + "/", "/." + at, "/x/.." + at, strings.ToUpper(at), strings.Replace(at, last, "%"+hexOf(last[0])+last[1:], 1), at + ";x", at + "//", at + "%2f", at + "%00", at + "."} {
				to := form.action.Scheme + "://" + form.action.Host + path
				if form.action.RawQuery != "" {
					to += "?" + form.action.RawQuery
				}
				if _, err := url.Parse(to); err != nil || last == "" {
					continue
				}
				for range 3 { // a server may lead from one spelling to another, and a browser goes along
					a := victim.foreign(p, http.MethodPost, to, values.Encode(), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
					p.want(!p.hasTicket(a), Critical, "no ticket by "+path, "%v", a)
					p.want(a.status < 500, Medium, "a refusal for "+path, "%v", a)
					where := a.location()
					if where == nil || where.Host != a.at.Host || a.status != http.StatusTemporaryRedirect && a.status != http.StatusPermanentRedirect {
						break
					}
					to = where.String()
				}
			}
		},
	},
	{
		ID: "pages/no-open-redirect", Source: "RFC 9700 §4.11.2, GHSA-vrw8-fxc6-2r93", Level: MustNot, Rows: []string{"RFC6749-10.14-01"},
		Requirement: "No path, and no header of a request, makes the server lead to another host.",
		Why:         "A link under the server's good name would lead to the attacker's sign-in page.",
		try: func(p *probe) {
			u, err := url.Parse(p.run.target.Issuer)
			if err != nil {
				p.blocked("%v", err)
			}
			base, l := u.Scheme+"://"+u.Host, p.browserOf(p.actor())
			for _, path := range []string{"//evil.example", "//evil.example/", "//evil.example/%2e%2e", "/%5cevil.example", "/%2f%2fevil.example/", "///evil.example/..", "/.//evil.example/", "/x/..//evil.example/", "/%09/evil.example", "//evil.example/x/../"} {
				for _, who := range []*login{l, p.stranger(p.actor())} {
					a := who.foreign(p, http.MethodGet, base+path, "", "Referer", "https://evil.example/")
					where := a.location()
					p.want(where == nil || where.Host == u.Host, Medium, "no redirect to another host for "+path, "%v", where)
					p.want(a.status < 500, Medium, "404 for "+path, "%v", a)
				}
			}
		},
	},
	{
		ID: "pages/sign-in-form-of-another-site", Source: "RFC 6749 §10.12, RFC 9700 §4.7", Level: Must, Profile: true, Rows: []string{"RFC6749-10.12-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "The sign-in form is taken from the server's own page alone.",
		Why:         "Somebody signed in to the attacker's account types their secrets there.",
		try: func(p *probe) {
			p.browserOf(p.actor())
			victim, attacker := p.stranger(p.actor()), p.stranger(p.actor())
			to := p.run.meta.Authorization + "?" + p.authorization(p.app(), random()).Encode()
			victim.led(p, to)
			_, a := attacker.led(p, to)
			signedIn, filled := false, false
			form, values := attacker.fillIn(p, a, nil, &signedIn, &filled)
			got := victim.foreign(p, http.MethodPost, form.action.String(), values.Encode(), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Referer", "https://evil.example/")
			p.want(got.status < 500, Medium, "a refusal", "%v", got)
			where, _ := p.authorizeBy(victim, with(p.authorization(p.app(), random()), "prompt", "none"))
			p.want(where == nil || !answered(where).Has("code"), Medium, "nobody signed in", "somebody is")
		},
	},
	{
		ID: "pages/ticket-needs-sign-in", Source: "RFC 8693 §2.1, CVE-2016-4340", Level: Must, Profile: true, Rows: []string{"RFC8693-2.2.2-03"}, Needs: []Feature{FeatureTicket},
		Requirement: "The page that gives tickets gives nothing to whoever has not signed in, by whatever method.",
		Why:         "Everybody would be everybody.",
		try: func(p *probe) {
			_, form, values := p.ticketForm(p.browserOf(p.actor()), starting{})
			l := p.stranger(p.actor())
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodHead, http.MethodPatch} {
				body := ""
				if method != http.MethodGet && method != http.MethodHead {
					body = values.Encode()
				}
				a := l.foreign(p, method, form.action.String(), body, "X-HTTP-Method-Override", "POST")
				p.want(!p.hasTicket(a), Critical, "no ticket for "+method, "%v", a)
				p.want(a.status < 500, Medium, "a refusal for "+method, "%v", a)
			}
		},
	},
	{
		ID: "pages/impersonation-token-opens-nothing", Source: "RFC 8693 §4.1, zitadel PR #7516", Level: MustNot, Profile: true, Rows: []string{"RFC9700-4.9.3-01"}, Needs: []Feature{FeatureTicket},
		Requirement: "An impersonation token, or the actor's, opens no page of the server's as Authorization header.",
		Why:         "Whoever has a token for an API would act at the server itself as its person.",
		try: func(p *probe) {
			_, form, values := p.ticketForm(p.browserOf(p.actor()), starting{})
			for _, token := range []string{p.start(starting{}).token, p.actorToken(p.actor(), p.app())} {
				a := p.request(http.MethodPost, form.action.String(), values.Encode(), "Content-Type", formType, "Authorization", "Bearer "+token)
				p.want(!p.hasTicket(a), Critical, "no ticket", "%v", a)
				a = p.get(p.run.meta.Authorization+"?"+with(p.authorization(p.app(), random()), "prompt", "none").Encode(), "Authorization", "Bearer "+token)
				where := a.location()
				p.want(where == nil || !answered(where).Has("code"), Critical, "no code", "%v", a)
			}
		},
	},
	{
		ID: "pages/ticket-redirect-exact", Source: "RFC 9700 §2.1, §4.1.3", Level: Must, Profile: true, Rows: []string{"RFC9700-2.1-01"}, Needs: []Feature{FeatureTicket},
		Requirement: "The page that gives tickets leads to the redirect URI that is registered, compared character by character, and nowhere else, and of a known client alone.",
		Why:         "A ticket goes to whoever finds a way to write almost the same.",
		try: func(p *probe) {
			l := p.browserOf(p.actor())
			for _, uri := range almost(p.app().RedirectURI) {
				where, a := p.ticketBy(l, "redirect_uri", uri)
				p.want(where == nil, Critical, "no redirect for "+uri, "%v", where)
				p.want(a.status < 500, Medium, "a page for "+uri, "%v", a)
			}
			for _, id := range []string{"nobody-knows-it", ""} {
				where, a := p.ticketBy(l, "client_id", id)
				p.want(where == nil, High, "no redirect for an unknown client", "%v", where)
				p.want(a.status < 500, Medium, "a page", "%v", a)
			}
		},
	},
	{
		ID: "pages/ticket-pkce-required", Source: "RFC 7636 §4.4.1, RFC 9700 §2.1.1", Level: Must, Profile: true, Rows: []string{"RFC7636-4.4.1-01", "RFC7636-4.3-01"}, Needs: []Feature{FeatureTicket},
		Requirement: "The page gives no ticket without a challenge by S256.",
		Why:         "A ticket that was seen in the browser would be enough.",
		try: func(p *probe) {
			l := p.browserOf(p.actor())
			for _, change := range [][]string{{"code_challenge", ""}, {"code_challenge_method", "plain"}, {"code_challenge_method", ""}, {"code_challenge", "short"}} {
				where, a := p.ticketBy(l, change...)
				p.want(where == nil || !p.ticketIn(where), High, "no ticket", "%v", a)
				p.want(a.status < 500, Medium, "a refusal", "%v", a)
			}
		},
	},
	{
		ID: "pages/ticket-state-and-issuer", Source: "RFC 6749 §4.1.2, RFC 9207 §2", Level: Must, Profile: true, Rows: []string{"RFC9207-2-01", "RFC6749-4.1.2-03"}, Needs: []Feature{FeatureTicket, FeatureIssuer},
		Requirement: "What brings a ticket to the redirect URI has the state that was sent, and iss.",
		Why:         "An app that cannot tell who answers takes a ticket that somebody else planted.",
		try: func(p *probe) {
			state := "a b+c%20d&e=f%C3%A9%2B" + strings.Repeat("~", 100)
			where, a := p.ticketBy(p.browserOf(p.actor()), "state", state)
			p.want(where != nil && p.ticketIn(where), Medium, "a ticket", "%v", a)
			p.want(answered(where).Get("state") == state, Medium, "the same state", "%q", answered(where).Get("state"))
			p.want(answered(where).Get("iss") == p.run.target.Issuer, Medium, "iss "+p.run.target.Issuer, "%q", answered(where).Get("iss"))
		},
	},
	{
		ID: "pages/not-framed", Source: "RFC 9700 §4.16, RFC 6749 §10.13", Level: Must, Rows: []string{"RFC9700-4.16-01"},
		Requirement: "The pages for signing in and for tickets, and errors, cannot be framed by another site.",
		Why:         "A click on a game is one on the button below it.",
		try: func(p *probe) {
			pages := p.pages()
			for what, a := range pages {
				if framing, ok := framed(a); what != anError {
					p.want(!ok, Medium, "frame-ancestors or X-Frame-Options on "+what, "%s", framing)
				}
			}
			framing, ok := framed(pages[anError]) // where nothing can be clicked
			p.should(!ok, Departure, Low, "frame-ancestors or X-Frame-Options on "+anError, "%s", framing)
		},
	},
	{
		ID: "pages/no-referrer", Source: "RFC 9700 §4.2.4", Level: Should, Rows: []string{"RFC9700-4.2.4-01"},
		Requirement: "Pages say a Referrer-Policy that gives no other site their address.",
		Why:         "State, codes and names of people stand in it.",
		try: func(p *probe) {
			for what, a := range p.pages() {
				all := strings.Split(a.header.Get("Referrer-Policy"), ",")
				policy := strings.ToLower(strings.TrimSpace(all[len(all)-1]))
				ok := slices.Contains([]string{"no-referrer", "same-origin", "origin", "strict-origin", "origin-when-cross-origin", "strict-origin-when-cross-origin"}, policy)
				p.want(ok, Low, "Referrer-Policy: no-referrer on "+what, "%q", policy)
			}
		},
	},
	{
		ID: "pages/nothing-of-others", Source: "RFC 9700 §4.2.4", Level: ShouldNot, Rows: []string{"RFC9700-4.2.4-01"},
		Requirement: "Pages load nothing from another host.",
		Why:         "A script from elsewhere sees all that is typed, and a picture tells who is there.",
		try: func(p *probe) {
			for what, a := range p.pages() {
				for _, u := range loaded(a) {
					p.want(u.Host == "" || u.Host == a.at.Host || u.Scheme == "data", Medium, "nothing from elsewhere on "+what, "%s", u.Host)
				}
			}
		},
	},
	{
		ID: "pages/not-stored", Source: "RFC 9111 §5.2.2.5, RFC 6749 §10.12", Level: Should, Profile: true, Rows: []string{"RFC6749-5.1-01"},
		Requirement: "The pages for signing in and for tickets say Cache-Control: no-store.",
		Why:         "The next person at the computer goes back and sees them.",
		try: func(p *probe) {
			for what, a := range p.pages() {
				if what != "an error" {
					p.want(strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store"), Low, "Cache-Control: no-store on "+what, "%q", a.header.Get("Cache-Control"))
				}
			}
		},
	},
	{
		ID: "pages/no-message-to-anybody", Source: "RFC 9700 §4.17", Level: MustNot, Rows: []string{"RFC9700-4.17-01"},
		Requirement: "No page posts a message to whatever window is there.",
		Why:         "Any page that opened it would read a code.",
		try: func(p *probe) {
			any := regexp.MustCompile(`postMessage\s*\([^)]*,\s*["'\x60]\*["'\x60]`)
			for what, a := range p.pages() {
				p.want(!any.MatchString(a.body), Medium, "no postMessage to * on "+what, "one")
			}
		},
	},
	{
		ID: "pages/no-cross-origin-reading", Source: "RFC 9700 §2.6", Level: MustNot, Rows: []string{"RFC9700-2.6-01"},
		Requirement: "Script of another site reads neither a page nor an answer that depends on cookies.",
		Why:         "It would read the form with its token, and send it.",
		try: func(p *probe) {
			l := p.browserOf(p.actor())
			to := []string{p.run.meta.Authorization + "?" + p.authorization(p.app(), random()).Encode()}
			if p.run.has[FeatureTicket] {
				page, _ := p.asking(p.complete(starting{}), random())
				to = append(to, page.String())
			}
			for _, u := range to {
				for _, method := range []string{http.MethodGet, http.MethodOptions} {
					a := l.foreign(p, method, u, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
					p.want(a.header.Get("Access-Control-Allow-Origin") == "", High, "no Access-Control-Allow-Origin", "%q", a.header.Get("Access-Control-Allow-Origin"))
				}
			}
			a := p.request(http.MethodOptions, p.run.meta.Token, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
			p.want(!strings.EqualFold(a.header.Get("Access-Control-Allow-Credentials"), "true"), Medium, "no Access-Control-Allow-Credentials at the token endpoint", "true")
		},
	},
	{
		ID: "pages/nothing-repeated-as-markup", Source: "RFC 6749 §10.14, CVE-2019-8400", Level: Must, Rows: []string{"RFC6749-10.14-01"},
		Requirement: "What a request says is never part of a page as markup, nor of a header as a line of its own.",
		Why:         "A link makes the server's own page say and do what the attacker wrote.",
		try: func(p *probe) {
			l := p.browserOf(p.actor())
			const evil = `"'><script>conformance()</script><img src=x onerror=conformance()>`
			var all []*answer
			for _, name := range []string{"state", "login_hint", "redirect_uri", "client_id", "scope", "error", "error_description", "error_hint", "prompt", "response_type", "ui_locales", "resource"} {
				for _, who := range []*login{l, p.stranger(p.actor())} {
					where, a := p.authorizeBy(who, with(p.authorization(p.app(), random()), name, evil+"\r\nX-Conformance: 1"))
					p.want(where == nil || name != "redirect_uri", Critical, "no redirect", "%v", where)
					all = append(all, a)
				}
			}
			if p.run.has[FeatureTicket] {
				for _, name := range []string{"state", "redirect_uri", "client_id", "subject", "reason", "error"} {
					_, a := p.ticketBy(l, name, evil)
					all = append(all, a)
				}
			}
			for _, a := range all {
				p.want(!strings.Contains(a.body, "<script>conformance()") && !strings.Contains(a.body, "<img src=x onerror"), High, "a page without it", "it repeats it at %s", a.at.Path)
				p.want(a.header.Get("X-Conformance") == "", High, "no header of the request's", "one")
				p.want(a.status < 500, Medium, "a page", "%v", a)
			}
		},
	},
	{
		ID: "pages/cookies", Source: "draft-ietf-httpbis-rfc6265bis §4.1.2, §4.1.3", Level: Must, Rows: []string{"COOKIE-4.1.3.2-01", "COOKIE-4.1.2.7-01"},
		Requirement: "Cookies are Secure where the server is https, say SameSite as Lax or Strict, and keep what their name promises: __Host- has Path=/, Secure and no Domain.",
		Why:         "A cookie that travels in clear, or with requests of other sites, is the administrator's sign-in in other hands.",
		try: func(p *probe) {
			p.signedInAnew()
			if p.run.has[FeatureSecondFactor] {
				p.stranger(p.run.target.Accounts.SecondFactor).halfway(p, p.run.meta.Authorization+"?"+p.authorization(p.app(), random()).Encode())
			}
			found := false
			for _, a := range p.seen {
				for _, c := range (&http.Response{Header: a.header}).Cookies() {
					if c.Value == "" || c.MaxAge < 0 {
						continue
					}
					found = true
					host, secure := strings.HasPrefix(c.Name, "__Host-"), strings.HasPrefix(c.Name, "__Secure-")
					p.want(c.Secure || a.at.Scheme == "http" && !host && !secure, Medium, c.Name+" as Secure", "%s", strings.TrimPrefix(c.String(), c.Value))
					p.want(!host || c.Path == "/" && c.Domain == "", Medium, c.Name+" with Path=/ and no Domain", "path %q, domain %q", c.Path, c.Domain)
					p.want(c.SameSite == http.SameSiteLaxMode || c.SameSite == http.SameSiteStrictMode, Medium, c.Name+" with SameSite=Lax or Strict", "neither")
				}
			}
			if !found {
				p.skip("the server sets no cookie")
			}
		},
	},
	{
		ID: "pages/cookies-not-for-script", Source: "draft-ietf-httpbis-rfc6265bis §4.1.2.6", Level: Should, Profile: true, Rows: []string{"COOKIE-4.1.2.7-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "What signs somebody in is a cookie that script cannot read.",
		Why:         "One line of somebody else's script takes the administrator's sign-in away.",
		try: func(p *probe) {
			l := p.signedInAnew()
			readable, err := cookiejar.New(nil)
			if err != nil {
				p.blocked("%v", err)
			}
			for _, a := range p.seen {
				var open []*http.Cookie
				for _, c := range (&http.Response{Header: a.header}).Cookies() {
					if !c.HttpOnly {
						open = append(open, c)
					}
				}
				readable.SetCookies(a.at, open)
			}
			where, _ := p.authorizeBy(&login{account: l.account, jar: readable}, with(p.authorization(p.app(), random()), "prompt", "none"))
			p.want(where == nil || !answered(where).Has("code"), High, "HttpOnly on the cookie that signs in", "none")
		},
	},
	{
		ID: "pages/cookie-fresh-at-sign-in", Source: "draft-ietf-httpbis-rfc6265bis §8.4, §8.6", Level: Should, Profile: true, Rows: []string{"COOKIE-8.6-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "A cookie that was there before a sign-in is not what signs in after it.",
		Why:         "Whoever planted it would be signed in with its person.",
		try: func(p *probe) {
			l := p.stranger(p.actor())
			to := p.run.meta.Authorization + "?" + p.authorization(p.app(), random()).Encode()
			l.led(p, to)
			u, err := url.Parse(p.run.meta.Authorization)
			if err != nil {
				p.blocked("%v", err)
			}
			planted := p.stranger(p.actor())
			planted.jar.SetCookies(u, slices.Clone(l.jar.Cookies(u)))
			for _, c := range p.browserOf(p.actor()).jar.Cookies(u) { // names that a sign-in is known to use, with values of an attacker's
				v := &http.Cookie{Name: c.Name, Value: random(), Path: "/", Secure: true}
				if !slices.ContainsFunc(l.jar.Cookies(u), func(o *http.Cookie) bool { return o.Name == c.Name }) {
					l.jar.SetCookies(u, []*http.Cookie{v})
					planted.jar.SetCookies(u, []*http.Cookie{v})
				}
			}
			l.follow(p, to, p.app().RedirectURI, nil)
			where, _ := p.authorizeBy(planted, with(p.authorization(p.app(), random()), "prompt", "none"))
			p.want(where == nil || !answered(where).Has("code"), High, "nobody signed in by the cookies of before", "somebody is")
		},
	},
	{
		ID: "pages/forms-answered-by-see-other", Source: "RFC 9700 §4.12", Level: MustNot, Rows: []string{"RFC9700-4.12-01"},
		Requirement: "A form that was sent is never answered by a redirect that sends it again: 303 or 302, never 307 or 308.",
		Why:         "The password would be posted to the app.",
		try: func(p *probe) {
			p.signedInAnew()
			p.readyOnce()
			for _, a := range p.seen {
				p.want(a.status != http.StatusTemporaryRedirect && a.status != http.StatusPermanentRedirect, Medium, "303", "%v", a)
			}
		},
	},
	{
		ID: "pages/no-token-in-a-url", Source: "RFC 9700 §4.3.2", Level: MustNot, Rows: []string{"RFC9700-4.3.2-01"},
		Requirement: "From the sign-in over the start to the stop no access token, ID token or return token stands in a URL.",
		Why:         "What stands in a URL stands in logs, histories and Referer headers.",
		try: func(p *probe) {
			p.signedInAnew()
			secrets := []string{p.fresh(p.actor(), p.app()).text("access_token")}
			s := p.start(starting{})
			secrets = append(secrets, s.token)
			if p.run.has[FeatureReturnToken] {
				secrets = append(secrets, s.text(p.run.target.Start.ReturnTokenMember), p.stopped(s).text("access_token"))
			}
			for _, a := range p.seen {
				for _, u := range []*url.URL{a.at, a.location()} {
					if u == nil {
						continue
					}
					for _, secret := range secrets {
						p.want(secret == "" || !strings.Contains(u.String(), secret), High, "no token in a URL", "one at %s", u.Path)
					}
					for _, name := range []string{"access_token", "id_token", "refresh_token", "return_token"} {
						p.want(!answered(u).Has(name), High, "no "+name+" in a URL", "one at %s", u.Path)
					}
				}
			}
		},
	},
	{
		ID: "pages/sign-out-leads-nowhere-else", Source: "OpenID Connect RP-Initiated Logout §2, §3", Level: MustNot, Rows: []string{"OIDCRPL-2-01"}, Needs: []Feature{FeatureSignOut},
		Requirement: "Signing out leads to no post_logout_redirect_uri that is not registered.",
		Why:         "A link under the server's good name would lead to the attacker's sign-in page.",
		try: func(p *probe) {
			l := p.stranger(p.actor())
			for _, q := range []url.Values{
				{"post_logout_redirect_uri": {"https://evil.example/"}}, {"post_logout_redirect_uri": {"https://evil.example/"}, "client_id": {p.app().ID}},
				{"post_logout_redirect_uri": {"//evil.example"}, "client_id": {p.app().ID}}, {"post_logout_redirect_uri": {p.app().RedirectURI + "/x"}, "client_id": {p.app().ID}},
				{"post_logout_redirect_uri": {"https://evil.example/"}, "id_token_hint": {"eyJhbGciOiJub25lIn0.e30."}},
			} {
				where, a := l.led(p, p.run.meta.EndSession+"?"+q.Encode())
				p.want(where == nil, Medium, "no redirect", "%v", where)
				p.want(a.status < 500, Medium, "a page", "%v", a)
			}
		},
	},
	{
		ID: "pages/sign-out-not-by-link", Source: "OpenID Connect RP-Initiated Logout §2, §6", Level: Should, Rows: []string{"OIDCRPL-2-01"}, Needs: []Feature{FeatureSignOut, FeatureOpenID},
		Requirement: "A link without a hint that fits signs nobody out unasked.",
		Why:         "A picture in a page ends what people are at work with.",
		try: func(p *probe) {
			p.remembered()
			l := p.browser(p.actor())
			l.led(p, p.run.meta.EndSession)
			l.led(p, p.run.meta.EndSession+"?"+url.Values{"id_token_hint": {"eyJhbGciOiJub25lIn0.e30."}}.Encode())
			where, _ := p.authorize(with(p.authorization(p.app(), random()), "prompt", "none"))
			out := where != nil && answered(where).Get("error") == "login_required"
			if out {
				delete(p.run.logins, p.actor().Login)
				clear(p.run.tokens)
			}
			p.want(!out, Low, "a question first", "signed out at once")
		},
	},
	{
		ID: "pages/ended-with-the-sign-in", Source: "RFC 8693 §2.1, RFC 9700 §4.14.2", Level: Should, Profile: true, Rows: []string{"RFC8693-2.1-28", "RFC9700-4.14.2-02", "RFC8693-4.4-08"}, Needs: []Feature{FeatureSignOut, FeatureOpenID, FeatureIntrospection, FeatureOtherActor},
		Requirement: "When an actor signs out their impersonations are over, and their tickets and return tokens start and give back nothing.",
		Why:         "Whoever is let go stays in as somebody else.",
		try: func(p *probe) {
			who := p.run.target.Accounts.OtherActor
			p.anew(who)
			defer p.anew(who)
			verifier := random()
			l := p.browser(who)
			got := p.signIn(l, p.app(), p.authorization(p.app(), verifier))
			a := p.token(p.app(), redemption(p.app(), got.Get("code"), verifier))
			if !issued(a) {
				p.blocked("%s could not sign in: %v", who.Login, a)
			}
			p.run.tokens[p.tokenOf(who, p.app())] = a.text("access_token")
			s := p.start(starting{actor: who})
			f := p.ready(starting{actor: who})
			p.signOut(l, a.text("id_token"))
			where, _ := p.authorizeBy(l, with(p.authorization(p.app(), random()), "prompt", "none"))
			if where != nil && answered(where).Has("code") {
				p.blocked("%s could not be signed out", who.Login)
			}
			p.want(!p.active(s.token), High, "an impersonation that is over", "its token is active")
			p.refused(p.token(p.app(), f), "invalid_request")
			if p.run.has[FeatureReturnToken] {
				p.refused(p.token(p.app(), p.stopping(s)), "invalid_request")
			}
		},
	},
}

// foreign makes a request with the browser's cookies and the header that is told, not the browser's own.
func (l *login) foreign(p *probe, method, to, body string, header ...string) *answer {
	u, err := url.Parse(to)
	if err != nil {
		p.blocked("%q is no URL", to)
	}
	for _, c := range l.jar.Cookies(u) {
		header = append(header, "Cookie", c.String())
	}
	if body != "" {
		header = append(header, "Content-Type", formType)
	}
	a := p.request(method, to, body, joinCookies(header)...)
	l.jar.SetCookies(u, (&http.Response{Header: a.header}).Cookies())
	return a
}

// ticketForm is the page that gives tickets as a browser sees it, its form, and what that would send.
func (p *probe) ticketForm(l *login, s starting) (page *url.URL, form htmlForm, values url.Values) {
	s = p.complete(s)
	page, fill := p.asking(s, random())
	_, a := l.led(p, page.String())
	for _, f := range forms(a.body, a.at) {
		if f.method == http.MethodPost && f.holds(fill) && len(fill) > 0 {
			values = f.values()
			for name, v := range fill {
				values.Set(name, v)
			}
			return page, f, values
		}
	}
	p.blocked("%s answers %d, and has no form with start.fields", page.Path, a.status)
	return nil, htmlForm{}, nil
}

// ticketBy asks for a ticket with some parameters of the page changed ("" leaves one out), and gives where it leads out of the server.
func (p *probe) ticketBy(l *login, change ...string) (where *url.URL, last *answer) {
	page, fill := p.asking(p.complete(starting{}), random())
	q := page.Query()
	for i := 0; i+1 < len(change); i += 2 {
		if q.Set(change[i], change[i+1]); change[i+1] == "" {
			q.Del(change[i])
		}
	}
	page.RawQuery = q.Encode()
	if where, last = l.led(p, page.String()); where != nil {
		return where, last
	}
	for _, f := range forms(last.body, last.at) {
		if f.method != http.MethodPost || !f.holds(fill) {
			continue
		}
		values := f.values()
		for name, v := range fill {
			values.Set(name, v)
		}
		last = l.visit(p, http.MethodPost, f.action.String(), values.Encode())
		if to := last.location(); to != nil && last.status >= 300 && last.status < 400 && to.Host != last.at.Host {
			return to, last
		}
		return nil, last
	}
	return nil, last
}

func (p *probe) ticketIn(u *url.URL) bool {
	return answered(u).Has(cmp.Or(p.run.target.Start.TicketParam, "ticket"))
}

// hasTicket reports whether an answer leads on with a ticket.
func (p *probe) hasTicket(a *answer) bool {
	where := a.location()
	return where != nil && p.ticketIn(where)
}

const anError = "an error"

// framed reports whether another site can frame a page, and by what.
func framed(a *answer) (by string, ok bool) {
	csp := strings.ToLower(strings.Join(a.header.Values("Content-Security-Policy"), ";"))
	xfo := strings.ToUpper(a.header.Get("X-Frame-Options"))
	ok = xfo != "DENY" && xfo != "SAMEORIGIN"
	if ancestors := regexp.MustCompile(`frame-ancestors([^;]*)`).FindStringSubmatch(csp); ancestors != nil {
		ok = strings.Contains(ancestors[1], "*")
	}
	return fmt.Sprintf("CSP %q, X-Frame-Options %q", csp, xfo), ok
}

// pages are those that every server has: the one for signing in, an error, and the one for tickets where there is one.
func (p *probe) pages() map[string]*answer {
	l := p.stranger(p.actor())
	_, signIn := l.led(p, p.run.meta.Authorization+"?"+p.authorization(p.app(), random()).Encode())
	_, wrong := l.led(p, p.run.meta.Authorization+"?"+with(p.authorization(p.app(), random()), "redirect_uri", "https://evil.example/").Encode())
	all := map[string]*answer{"the page for signing in": signIn, anError: wrong}
	if p.run.has[FeatureTicket] {
		page, _ := p.asking(p.complete(starting{}), random())
		_, all["the page for tickets"] = p.browserOf(p.actor()).led(p, page.String())
	}
	return all
}

// signedInAnew is a browser in which the actor has just signed in.
func (p *probe) signedInAnew() *login {
	l := p.stranger(p.actor())
	p.signIn(l, p.app(), p.authorization(p.app(), random()))
	return l
}

// anew forgets the browser of an account, and its tokens.
func (p *probe) anew(account *Account) {
	delete(p.run.logins, account.Login)
	for key := range p.run.tokens {
		if strings.HasPrefix(key, account.Login+"\x00") {
			delete(p.run.tokens, key)
		}
	}
}

// signOut ends a browser's sign-in, and says yes where it is asked.
func (p *probe) signOut(l *login, idToken string) {
	_, a := l.led(p, p.run.meta.EndSession+"?"+url.Values{"id_token_hint": {idToken}, "client_id": {p.app().ID}}.Encode())
	for range 3 {
		all := forms(a.body, a.at)
		i := slices.IndexFunc(all, func(f htmlForm) bool {
			_, password := f.field(func(x htmlField) bool { return x.kind == "password" })
			return f.method == http.MethodPost && !password
		})
		if i < 0 || a.status >= 300 {
			return
		}
		a = l.visit(p, http.MethodPost, all[i].action.String(), all[i].values().Encode())
	}
}

// loaded are what a page loads.
func loaded(a *answer) (all []*url.URL) {
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		return nil
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, at := range n.Attr {
			loads := at.Key == "src" || n.Data == "link" && at.Key == "href" || n.Data == "object" && at.Key == "data"
			if u, err := a.at.Parse(at.Val); loads && err == nil {
				all = append(all, u)
			}
		}
	}
	return all
}
