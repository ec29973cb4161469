package conformance

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// htmlForm is a form of a page.
type htmlForm struct {
	method string
	action *url.URL
	fields []htmlField
}

type htmlField struct {
	name, kind, value, hint string // hint is the autocomplete of it
	checked                 bool
}

// forms gives the forms of a page.
func forms(page string, at *url.URL) (found []htmlForm) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil
	}
	base := at
	attr := func(n *html.Node, name string) (string, bool) {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val, true
			}
		}
		return "", false
	}
	type outside struct {
		form  string
		field htmlField
	}
	var (
		current *htmlForm
		rest    []outside // of fields that stand elsewhere and name their form
		ids     []string  // of the forms that were found
	)
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		outer := current
		if n.Type == html.ElementNode {
			name, _ := attr(n, "name")
			value, has := attr(n, "value")
			kind, _ := attr(n, "type")
			hint, _ := attr(n, "autocomplete")
			_, checked := attr(n, "checked")
			switch n.Data {
			case "form":
				action, _ := attr(n, "action")
				method, _ := attr(n, "method")
				to, err := base.Parse(action)
				if err != nil {
					to = base
				}
				current = &htmlForm{method: strings.ToUpper(cmp.Or(method, "get")), action: to}
			case "input", "button", "textarea", "select":
				if n.Data == "button" {
					kind = cmp.Or(kind, "submit")
				}
				if n.Data == "input" {
					kind = cmp.Or(strings.ToLower(kind), "text")
				}
				if n.Data == "textarea" || n.Data == "select" {
					kind = n.Data
				}
				if (kind == "checkbox" || kind == "radio") && !has {
					value = "on"
				}
				field := htmlField{name, kind, value, hint, checked}
				if of, elsewhere := attr(n, "form"); elsewhere {
					rest = append(rest, outside{of, field})
				} else if current != nil {
					current.fields = append(current.fields, field)
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		if current != outer && n.Type == html.ElementNode && n.Data == "form" {
			id, _ := attr(n, "id")
			found, ids = append(found, *current), append(ids, id)
			current = outer
		}
	}
	walk(root)
	for _, r := range rest {
		if i := slices.Index(ids, r.form); i >= 0 && r.form != "" {
			found[i].fields = append(found[i].fields, r.field)
		}
	}
	return found
}

func (f htmlForm) field(fits func(htmlField) bool) (htmlField, bool) {
	i := slices.IndexFunc(f.fields, fits)
	if i < 0 {
		return htmlField{}, false
	}
	return f.fields[i], true
}

// values are what a browser would send of f if nothing were changed, with its first button.
func (f htmlForm) values() url.Values {
	v, pressed := url.Values{}, false
	for _, x := range f.fields {
		switch {
		case x.name == "":
		case x.kind == "submit":
			if !pressed {
				v.Add(x.name, x.value)
			}
			pressed = true
		case x.kind == "checkbox" || x.kind == "radio":
			if x.checked {
				v.Add(x.name, x.value)
			}
		case x.kind == "button" || x.kind == "image" || x.kind == "reset" || x.kind == "file":
		default:
			v.Add(x.name, x.value)
		}
	}
	return v
}

// login is somebody who has signed in, in a browser of their own.
type login struct {
	account *Account
	jar     *cookiejar.Jar
	since   time.Time
}

// freshFor is how long a sign-in is fresh: with a minute to spare.
const freshFor = 4 * time.Minute

// browser is where account signs in once a run: a sign-in is slow, and the codes of a second factor work once.
func (p *probe) browser(account *Account) *login {
	key := account.Login
	l := p.run.logins[key]
	if l == nil || p.run.target.Start.FreshActor && p.now().Sub(l.since) > freshFor {
		l = p.stranger(account)
		p.run.logins[key] = l
	}
	return l
}

// stranger is a browser in which account has not signed in yet.
func (p *probe) stranger(account *Account) *login {
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.blocked("%v", err)
	}
	p.run.secret(account.Password, account.TOTP)
	return &login{account: account, jar: jar, since: p.now()}
}

// visit makes one request of the browser's.
func (l *login) visit(p *probe, method, to, body string, header ...string) *answer {
	u, err := url.Parse(to)
	if err != nil {
		p.blocked("%q is no URL", to)
	}
	for _, c := range l.jar.Cookies(u) {
		header = append(header, "Cookie", c.String())
	}
	if body != "" || method == http.MethodPost {
		header = append(header, "Content-Type", "application/x-www-form-urlencoded", "Origin", u.Scheme+"://"+u.Host)
	}
	a := p.request(method, to, body, joinCookies(header)...)
	l.jar.SetCookies(u, (&http.Response{Header: a.header}).Cookies())
	return a
}

// joinCookies makes one header of all cookies, as browsers do (RFC 6265 §5.4).
func joinCookies(header []string) []string {
	var cookies, rest []string
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Cookie" {
			cookies = append(cookies, header[i+1])
		} else {
			rest = append(rest, header[i], header[i+1])
		}
	}
	if len(cookies) > 0 {
		rest = append(rest, "Cookie", strings.Join(cookies, "; "))
	}
	return rest
}

// maxSteps is how many pages may lie between an address and where it leads.
const maxSteps = 15

// follow goes to an address as a person would, signs in where that is asked for, fills in fill, and stops where the server sends the browser to stop: at that address
// or below it. It gives the URL.
func (l *login) follow(p *probe, to, stop string, fill map[string]string) *url.URL {
	signedIn, filled := false, false
	a := l.visit(p, http.MethodGet, to, "")
	for range maxSteps {
		if where := a.location(); where != nil && a.status >= 300 && a.status < 400 {
			if s := where.String(); s == stop || strings.HasPrefix(s, stop+"?") || strings.HasPrefix(s, stop+"#") {
				return where
			}
			if where.Host != a.at.Host {
				p.blocked("the server leads to %s, which is neither itself nor %s", where.Host, stop)
			}
			a = l.visit(p, http.MethodGet, where.String(), "")
			continue
		}
		form, values := l.fillIn(p, a, fill, &signedIn, &filled)
		if form.method == http.MethodGet {
			u := *form.action
			u.RawQuery = values.Encode()
			a = l.visit(p, http.MethodGet, u.String(), "")
			continue
		}
		a = l.visit(p, http.MethodPost, form.action.String(), values.Encode())
	}
	p.blocked("after %d pages the server has not led to %s", maxSteps, stop)
	return nil
}

// fillIn finds the form that leads on in a page.
func (l *login) fillIn(p *probe, a *answer, fill map[string]string, signedIn, filled *bool) (htmlForm, url.Values) {
	for _, f := range forms(a.body, a.at) {
		_, asksPassword := f.signsIn(l.account)
		code, asksCode := f.field(func(x htmlField) bool { return x.hint == "one-time-code" })
		values := f.values()
		switch {
		case asksPassword:
			key := l.account.Login + "\x00" + l.account.Password
			if *signedIn {
				p.run.refused[key] = l.account.Login + " could not sign in: the server asks for the password again"
			}
			if why := p.run.refused[key]; why != "" {
				p.blocked("%s", why)
			}
			*signedIn = true
			values, _ := f.signsIn(l.account)
			return f, values
		case asksCode:
			values.Set(code.name, p.code(l.account))
			return f, values
		}
		if len(fill) > 0 && f.holds(fill) && !*filled {
			*filled = true
			for name, value := range fill {
				values.Set(name, value)
			}
			return f, values
		}
	}
	p.blocked("%s %s answers %d, and has no form that leads on", "GET", a.at.Path, a.status)
	return htmlForm{}, nil
}

// signsIn is what account would send of f, if it is one that asks for a password.
func (f htmlForm) signsIn(account *Account) (url.Values, bool) {
	password, ok := f.field(func(x htmlField) bool { return x.kind == "password" })
	if !ok {
		return nil, false
	}
	values := f.values()
	if who, ok := f.field(func(x htmlField) bool { return x.kind == "email" || x.kind == "text" }); ok {
		values.Set(who.name, account.Login)
	}
	values.Set(password.name, account.Password)
	return values, true
}

// holds reports whether f has a field of each name.
func (f htmlForm) holds(fill map[string]string) bool {
	for name := range fill {
		if _, ok := f.field(func(x htmlField) bool { return x.name == name }); !ok {
			return false
		}
	}
	return true
}

// code is a code of account's second factor that was not used before.
func (p *probe) code(account *Account) string {
	key, err := totpKey(account.TOTP)
	if err != nil || len(key) == 0 {
		p.blocked("the server asks %s for a second factor, and the target has none for them", account.Login)
	}
	now := p.now().Unix() / 30
	for {
		for _, step := range []int64{now, now + 1} { // a server takes one to each side (RFC 6238 §5.2)
			if step > p.run.codes[account.TOTP] {
				p.run.codes[account.TOTP] = step
				return totp(key, step)
			}
		}
		if elapse := p.run.target.Elapse; elapse != nil {
			elapse(30 * time.Second)
			p.run.elapsed += 30 * time.Second
			now = p.now().Unix() / 30
			continue
		}
		select {
		case <-time.After(time.Second):
		case <-p.ctx.Done():
			p.blocked("waiting for the next code of %s: %v", account.Login, context.Cause(p.ctx))
		}
		now = p.now().Unix() / 30
	}
}

func totpKey(secret string) ([]byte, error) {
	secret = strings.TrimRight(strings.ToUpper(strings.ReplaceAll(secret, " ", "")), "=")
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
}

// totp is the code of one step of 30 seconds (RFC 6238 §4, RFC 4226 §5.3).
func totp(key []byte, step int64) string {
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes all
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff%1e6)
}
