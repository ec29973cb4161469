package conformance

import (
	"net/http"
	"net/url"
	"strings"
)

// eventsCases are about how the ends of sessions are told (SSF 1.0), as far as it is seen without a listener.
var eventsCases = []Case{
	{
		ID: "events/transmitter-told-truly", Source: "SSF 1.0 §7.2", Level: Must, Rows: []string{"SSF-7.2-01"},
		Requirement: "The transmitter's metadata has the issuer below which it stands, and jwks_uri has keys.",
		Why:         "A receiver that trusts another issuer's word ends the wrong sessions, or none.",
		try: func(p *probe) {
			a := p.transmitter()
			p.want(a.twice == "", Low, "each member once", "%s twice", a.twice)
			p.want(a.text("issuer") == p.run.target.Issuer, High, "issuer "+p.run.target.Issuer, "%q", a.text("issuer"))
			at := a.text("jwks_uri")
			p.want(at != "", Low, "jwks_uri", "none")
			set := p.get(at)
			keys, _ := set.members["keys"].([]any)
			p.want(set.status == http.StatusOK && len(keys) > 0, Medium, "200 with keys", "%v", set)
		},
	},
	{
		ID: "events/streams-need-authentication", Source: "SSF 1.0 §8.1.1, RFC 8936 §2.6", Level: Must, Rows: []string{"SSF-8.1-01"},
		Requirement: "Nobody reads or changes a stream without a token for it: nothing, nonsense and an impersonation token give 401 or 403.",
		Why:         "Who looks at whom, and when, is in it; and whoever changes it keeps an app from learning that a session ended.",
		try: func(p *probe) {
			a := p.transmitter()
			tokens := []string{"", "Bearer " + random(), "Bearer " + p.start(starting{}).token}
			asked := false
			for _, name := range []string{"configuration_endpoint", "status_endpoint", "add_subject_endpoint", "remove_subject_endpoint", "verification_endpoint"} {
				at := a.text(name)
				if at == "" {
					continue
				}
				asked = true
				method, body := http.MethodPost, "{}"
				if name == "configuration_endpoint" || name == "status_endpoint" {
					method, body = http.MethodGet, ""
				}
				for _, authorization := range tokens {
					header := []string{"Content-Type", "application/json"}
					if authorization != "" {
						header = append(header, "Authorization", authorization)
					}
					got := p.request(method, at, body, header...)
					p.want(got.status == http.StatusUnauthorized || got.status == http.StatusForbidden, High, "401 or 403 at "+name, "%v", got)
					p.want(authorization != "" || strings.Contains(strings.ToLower(got.header.Get("WWW-Authenticate")), "bearer") || strings.Contains(strings.ToLower(strings.Join(got.header.Values("WWW-Authenticate"), " ")), "dpop"), Low, "WWW-Authenticate: Bearer at "+name, "%q", got.header.Get("WWW-Authenticate"))
				}
			}
			p.want(asked, Low, "an endpoint in the transmitter's metadata", "none")
		},
	},
}

// transmitter is the metadata of the server as one that tells events; without any the case is skipped.
func (p *probe) transmitter() *answer {
	u, err := url.Parse(p.run.target.Issuer)
	if err != nil {
		p.blocked("%v", err)
	}
	v := *u
	v.Path = "/.well-known/ssf-configuration" + strings.TrimSuffix(u.Path, "/")
	a := p.get(v.String())
	if a.status != http.StatusOK || a.members == nil {
		p.skip("the target tells no events")
	}
	return a
}
