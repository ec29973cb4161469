package conformance

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
)

// secondFactorCases are about people who have to show a code beside their password (RFC 6238).
var secondFactorCases = []Case{
	{
		ID: "second-factor/asked-everywhere", Source: "RFC 9470 §1", Level: Must, Profile: true, Needs: []Feature{FeatureSecondFactor},
		Requirement: "Who has shown the password alone is given neither a code nor a ticket, by whatever way they go on.",
		Why:         "One page that takes the half for the whole, and a stolen password is an administrator.",
		Mend:        "Keep who is half signed in apart from who is signed in, best in a cookie of another name, and have every page but the one for the code ask for the latter.",
		try: func(p *probe) {
			t := &p.run.target
			l := p.stranger(t.Accounts.SecondFactor)
			q := p.authorization(p.app(), random())
			at := p.run.meta.Authorization + "?" + q.Encode()
			form, _ := l.halfway(p, at)
			for _, body := range []url.Values{form.values(), with(form.values(), form.code().name, "000000"), without(form.values(), form.code().name)} {
				p.notIn(l.visit(p, http.MethodPost, form.action.String(), body.Encode()))
			}
			p.notIn(l.visit(p, http.MethodGet, at, ""))
			p.notIn(l.visit(p, http.MethodGet, at+"&prompt=none", ""))
			if p.run.has[FeatureTicket] {
				page, fill := p.asking(p.complete(starting{actor: l.account}), random())
				a := l.visit(p, http.MethodGet, page.String(), "")
				p.notIn(a)
				for _, f := range forms(a.body, a.at) {
					p.want(!f.holds(fill), High, "no form that asks for a ticket", "one")
				}
			}
		},
	},
	{
		ID: "second-factor/code-once", Source: "RFC 6238 §5.2", Level: MustNot, Needs: []Feature{FeatureSecondFactor},
		Requirement: "A code that has served is not taken again.",
		Why:         "Who looks over somebody's shoulder has half a minute.",
		Mend:        "Keep with each secret the last step that was taken, and take later ones alone; set it in the statement that compares, so that two at once cannot both.",
		try: func(p *probe) {
			account := p.run.target.Accounts.SecondFactor
			code := ""
			for _, again := range []bool{false, true} {
				l := p.stranger(account)
				form, _ := l.halfway(p, p.run.meta.Authorization+"?"+p.authorization(p.app(), random()).Encode())
				if !again {
					code = p.code(account)
				}
				a := l.visit(p, http.MethodPost, form.action.String(), with(form.values(), form.code().name, code).Encode())
				if again {
					p.notIn(l.through(p, a))
				} else if p.arrived(l.through(p, a)) == "" {
					p.blocked("%s could not sign in by a fresh code: %v", account.Login, a)
				}
			}
		},
	},
}

// code is the field for a code.
func (f htmlForm) code() htmlField {
	field, _ := f.field(func(x htmlField) bool { return x.hint == "one-time-code" })
	return field
}

// halfway goes to an address and shows the password. It gives the form that asks for the code.
func (l *login) halfway(p *probe, to string) (htmlForm, *answer) {
	a, signedIn := l.through(p, l.visit(p, http.MethodGet, to, "")), false
	for range maxSteps {
		for _, f := range forms(a.body, a.at) {
			if f.code().name != "" {
				return f, a
			}
		}
		form, values := l.fillIn(p, a, nil, &signedIn, new(bool))
		a = l.through(p, l.visit(p, http.MethodPost, form.action.String(), values.Encode()))
	}
	p.blocked("%s is not asked for a code", l.account.Login)
	return htmlForm{}, nil
}

// through follows redirects within the server.
func (l *login) through(p *probe, a *answer) *answer {
	for range maxSteps {
		where := a.location()
		if where == nil || a.status < 300 || a.status >= 400 || p.arrived(a) != "" || where.Host != a.at.Host {
			return a
		}
		a = l.visit(p, http.MethodGet, where.String(), "")
	}
	return a
}

// arrived gives the code or the ticket with which an answer leads to the client, "" if it does not.
func (p *probe) arrived(a *answer) string {
	where := a.location()
	if where == nil || !strings.HasPrefix(where.String(), p.app().RedirectURI+"?") {
		return ""
	}
	got := where.Query().Get("code") + where.Query().Get(cmp.Or(p.run.target.Start.TicketParam, "ticket"))
	p.run.secret(got)
	return got
}

// notIn demands that an answer leads nobody to the client with something in their hands.
func (p *probe) notIn(a *answer) {
	p.want(p.arrived(a) == "", Critical, "no code and no ticket", "one, by %s %s", a.method, a.at.Path)
}
