package rp

import (
	"net/http"
	"slices"
	"strings"
)

// formEnds are the other origins that Stop may lead through from st: the app's own, and the issuer where it has to ask who
// somebody is.
func (a *App) formEnds(st *site) (ends []string) {
	if st != a.base {
		ends = append(ends, a.base.origin)
	}
	if a.base.signsIn {
		ends = append(ends, a.cfg.Issuer)
	}
	return ends
}

// amendCSP lets the banner work under the policies of the app: its style sheet, at the URL bannerCSS, and its form, which
// goes to the same origin and may be led on to ends. A policy that allows them stays byte for byte as it is.
// No source that was there is taken out, but 'none', which allows no other beside it. Report-Only policies stay.
func amendCSP(h http.Header, bannerCSS string, ends ...string) {
	origin := strings.TrimSuffix(bannerCSS, stylePath)
	const name = "Content-Security-Policy"
	if len(h[name]) == 0 {
		return
	}
	amended := slices.Clone(h[name]) // the app may keep one slice for all its answers
	for i, value := range amended {
		policies := strings.Split(value, ",") // each holds on its own (CSP3 §2.2.2)
		for k, p := range policies {
			policies[k] = amendForm(amendStyle(p, origin, bannerCSS), origin, ends)
		}
		amended[i] = strings.Join(policies, ",")
	}
	h[name] = amended
}

// amendStyle allows the style sheet where its directive, or what stands in for it (CSP3 §6.8.3), does not.
func amendStyle(policy, origin, url string) string {
	for _, name := range [...]string{"style-src-elem", "style-src", "default-src"} {
		at, sources := directive(policy, name)
		switch {
		case at < 0:
			continue
		case allows(sources, origin) || slices.Contains(sources, url):
			return policy
		case name == "default-src": // a directive of its own, so that nothing else is allowed by it
			return strings.TrimRight(policy, "; \t") + "; style-src-elem " + strings.Join(with(sources, url), " ")
		}
		return replace(policy, at, with(sources, url))
	}
	return policy
}

// amendForm allows the form of Stop and the redirects that follow: Chromium applies form-action to all of them. Nothing stands in
// for form-action.
func amendForm(policy, origin string, ends []string) string {
	at, sources := directive(policy, "form-action")
	if at < 0 {
		return policy
	}
	wanted := sources
	if !allows(sources, origin) {
		wanted = with(wanted, "'self'")
	}
	for _, end := range ends {
		if !slices.Contains(sources, end) && !slices.Contains(sources, "*") {
			wanted = with(wanted, end)
		}
	}
	if len(wanted) == len(sources) && slices.Equal(wanted, sources) {
		return policy
	}
	return replace(policy, at, wanted)
}

// directive finds the first of that name, which is the one that counts (CSP3 §2.2.1): which of the policy's it is, -1 for
// none, and its sources.
func directive(policy, name string) (at int, sources []string) {
	for i, d := range strings.Split(policy, ";") {
		if f := strings.Fields(d); len(f) > 0 && strings.EqualFold(f[0], name) {
			return i, f[1:]
		}
	}
	return -1, nil
}

// replace gives the directive other sources.
func replace(policy string, at int, sources []string) string {
	all := strings.Split(policy, ";")
	name := strings.Fields(all[at])[0]
	lead := all[at][:strings.Index(all[at], name)]
	all[at] = lead + name + " " + strings.Join(sources, " ")
	return strings.Join(all, ";")
}

// allows reports whether sources surely hold what is on the origin. If in doubt they do not: a source too many is none.
func allows(sources []string, origin string) bool {
	return slices.ContainsFunc(sources, func(s string) bool {
		return strings.EqualFold(s, "'self'") || s == "*" || s == origin || s == origin+"/"
	})
}

// with is sources and one more. 'none' goes.
func with(sources []string, source string) []string {
	out := make([]string, 0, len(sources)+1)
	for _, s := range sources {
		if !strings.EqualFold(s, "'none'") {
			out = append(out, s)
		}
	}
	return append(out, source)
}
