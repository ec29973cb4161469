package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// metadataCases are about what the server says of itself (RFC 8414, OpenID Connect Discovery) and its keys (RFC 7517).
var metadataCases = []Case{
	{
		ID: "metadata/issuer-exact", Source: "RFC 8414 §3.3, OpenID Connect Discovery §4.3", Level: Must, Rows: []string{"OIDCD-3-01", "RFC8414-3-01"},
		Requirement: "Each metadata document is a JSON object with status 200, and its issuer is the very string below which it was found.",
		Why:         "A client that takes what another issuer says of itself sends its codes and secrets there.",
		try: func(p *probe) {
			for at, a := range p.documents() {
				p.want(a.members != nil && a.twice == "", Medium, "a JSON object in which no member comes twice at "+at, "%q twice", a.twice)
				kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
				p.want(strings.EqualFold(strings.TrimSpace(kind), "application/json"), Low, "Content-Type application/json", "%q", a.header.Get("Content-Type"))
				p.want(a.text("issuer") == p.run.target.Issuer, High, "issuer "+p.run.target.Issuer+" at "+at, "%q", a.text("issuer"))
			}
		},
	},
	{
		ID: "metadata/documents-agree", Source: "RFC 8414 §2, RFC 9068 §4", Level: Must, Rows: []string{"RFC8414-2-03"},
		Requirement: "Where there are two metadata documents, a member that both have says the same in both.",
		Why:         "An API that reads one and an app that reads the other would trust different keys.",
		try: func(p *probe) {
			found := slices.Collect(maps.Values(p.documents()))
			if len(found) < 2 {
				p.skip("there is one metadata document")
			}
			for name, v := range found[0].members {
				if other, has := found[1].members[name]; has {
					p.want(reflect.DeepEqual(sorted(v), sorted(other)), High, name+" the same in both documents", "%v and %v", v, other)
				}
			}
		},
	},
	{
		ID: "metadata/complete", Source: "RFC 8414 §2, OpenID Connect Discovery §3", Level: Must, Rows: []string{"OIDCD-3-01", "RFC8414-2-01"},
		Requirement: "Metadata has the members that it must have, each of its type, and no empty list.",
		Why:         "A client that does not find what it needs falls back to a default that nobody chose.",
		try: func(p *probe) {
			_, openid := wellKnown(p.run.target.Issuer)
			for at, a := range p.documents() {
				strs, lists := []string{"issuer", "token_endpoint"}, []string{"response_types_supported"}
				if at == openid {
					strs, lists = append(strs, "authorization_endpoint", "jwks_uri"), append(lists, "subject_types_supported", "id_token_signing_alg_values_supported")
				}
				for _, name := range strs {
					p.want(a.text(name) != "", Low, name+" as a string at "+at, "%s", kindOf(a.members[name]))
				}
				for _, name := range lists {
					_, ok := a.members[name].([]any)
					p.want(ok, Low, name+" as a list at "+at, "%s", kindOf(a.members[name]))
				}
				for name, v := range a.members {
					list, ok := v.([]any)
					p.want(!ok || len(list) > 0, Low, "no empty list at "+at, "%s", name)
				}
			}
		},
	},
	{
		ID: "metadata/exchange-told", Source: "RFC 8414 §2", Level: Must, Rows: []string{"RFC8414-2-01"},
		Requirement: "grant_types_supported names the token exchange, which works.",
		Why:         "A grant that is on and not told is one that nobody who reviews the server looks at.",
		try: func(p *probe) {
			p.want(slices.Contains(p.run.meta.GrantTypes, grantExchange), Low, grantExchange, "%q", p.run.meta.GrantTypes)
		},
	},
	{
		ID: "metadata/no-weak-algorithms", Source: "RFC 8414 §2, RFC 8725 §3.2", Level: MustNot, Rows: []string{"RFC8414-2-02", "RFC8725-3.2-01"},
		Requirement: "No list of algorithms has none, RSA1_5 or one of SHA-1.",
		Why:         "A client or an API that follows the list takes what anybody wrote.",
		try: func(p *probe) {
			for at, a := range p.documents() {
				for name, v := range a.members {
					if !strings.Contains(name, "_alg_values") && !strings.Contains(name, "_enc_values") {
						continue
					}
					for _, alg := range listed(v) {
						weak := strings.EqualFold(alg, "none") || alg == "RSA1_5" || alg == "RS1"
						p.want(!weak, Medium, name+" without "+alg+" at "+at, "%v", v)
					}
				}
			}
		},
	},
	{
		ID: "metadata/client-algorithms-told", Source: "RFC 8414 §2", Level: Must, Rows: []string{"RFC8414-2-02"},
		Requirement: "Where clients may authenticate by a JWT, the list of algorithms for it is there, and has HS algorithms only where a secret may sign.",
		Why:         "What is not told is negotiated by trying.",
		try: func(p *probe) {
			for at, a := range p.documents() {
				for _, endpoint := range []string{"token", "introspection", "revocation"} {
					methods := listed(a.members[endpoint+"_endpoint_auth_methods_supported"])
					algs := listed(a.members[endpoint+"_endpoint_auth_signing_alg_values_supported"])
					bySecret := slices.Contains(methods, "client_secret_jwt")
					if bySecret || slices.Contains(methods, "private_key_jwt") {
						p.want(len(algs) > 0, Low, endpoint+"_endpoint_auth_signing_alg_values_supported at "+at, "none")
					}
					for _, alg := range algs {
						p.want(bySecret || !strings.HasPrefix(alg, "HS"), Medium, "no algorithm with a shared secret at "+at, "%s", alg)
					}
				}
			}
		},
	},
	{
		ID: "metadata/no-token-from-the-browser", Source: "RFC 9700 §2.1.2, §2.4", Level: ShouldNot, Rows: []string{"RFC9700-2.1.2-01", "RFC9700-2.4-01"},
		Requirement: "Metadata offers neither a response type that gives access tokens through the browser nor the password grant.",
		Why:         "Tokens in URLs leak, and a password that apps may see is no longer the person's.",
		try: func(p *probe) {
			for at, a := range p.documents() {
				for _, kind := range listed(a.members["response_types_supported"]) {
					p.want(!slices.Contains(strings.Fields(kind), "token"), Medium, "no response type with token at "+at, "%q", kind)
				}
				for _, grant := range listed(a.members["grant_types_supported"]) {
					p.want(grant != "password", Medium, "no password grant at "+at, "%q", grant) // implicit may be there for ID tokens alone
				}
			}
		},
	},
	{
		ID: "metadata/pkce-told", Source: "RFC 9700 §2.1.1", Level: Must, Rows: []string{"RFC7636-4.2-01", "RFC7636-4.3-01"},
		Requirement: "Metadata tells that PKCE by S256 is supported, and does not offer plain.",
		Why:         "A client that cannot find out whether PKCE is in force does not notice when it is stripped.",
		try: func(p *probe) {
			p.want(slices.Contains(p.run.meta.PKCE, "S256"), Low, "S256 in code_challenge_methods_supported", "%q", p.run.meta.PKCE)
			p.want(!slices.Contains(p.run.meta.PKCE, "plain"), Medium, "no plain in code_challenge_methods_supported", "%q", p.run.meta.PKCE)
		},
	},
	{
		ID: "metadata/endpoints-are-there", Source: "RFC 8414 §2", Level: Must, Rows: []string{"RFC8414-2-01"},
		Requirement: "Each endpoint that metadata names answers, and does so as that endpoint.",
		Why:         "Metadata that is not true is read by nobody, and then an attacker's is as good.",
		try: func(p *probe) {
			m := p.run.meta
			for name, at := range map[string]string{"token": m.Token, "introspection": m.Introspection, "revocation": m.Revocation, "pushed authorization request": m.PAR} {
				if at == "" {
					continue
				}
				a := p.postRaw(at, p.app(), "conformance=1")
				p.want(a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && a.status < 500, Medium, "an answer of the "+name+" endpoint", "%v", a)
			}
			for name, at := range map[string]string{"authorization": m.Authorization, "userinfo": m.Userinfo, "end of session": m.EndSession} {
				if at == "" {
					continue
				}
				a := p.get(at)
				p.want(a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && a.status < 500, Medium, "an answer of the "+name+" endpoint", "%v", a)
			}
		},
	},
	{
		ID: "metadata/tls", Source: "RFC 8693 §6, RFC 8414 §2", Level: Must, Rows: []string{"RFC8693-6-01"},
		Requirement: "The issuer and every endpoint are https; on a loopback address they need not be.",
		Why:         "Whoever is on the way reads tokens and secrets.",
		try: func(p *probe) {
			for at, a := range p.documents() {
				for name, v := range a.members {
					s, ok := v.(string)
					if !ok || name != "issuer" && name != "jwks_uri" && !strings.HasSuffix(name, "_endpoint") {
						continue
					}
					u, err := url.Parse(s)
					p.want(err == nil && u.Host != "", Low, name+" as a URL at "+at, "%q", s)
					p.want(u.Scheme == "https" || u.Scheme == "http" && loopback(u), High, name+" by https at "+at, "%q", s)
				}
			}
		},
	},
	{
		ID: "metadata/client-methods-true", Source: "RFC 8414 §2", Level: Must, Rows: []string{"RFC8414-2-01"},
		Requirement: "The ways to authenticate that work are those that token_endpoint_auth_methods_supported names.",
		Why:         "A way that is not told is one that nobody guards.",
		try: func(p *probe) {
			methods := p.run.meta.AuthMethods
			if len(methods) == 0 {
				methods = []string{"client_secret_basic"} // RFC 8414 §2
			}
			for _, c := range []*Client{p.app(), p.run.target.Clients.Other, p.run.target.Clients.Key, p.run.target.Clients.Public} {
				if c != nil {
					p.want(slices.Contains(methods, c.method()), Low, c.method()+" in token_endpoint_auth_methods_supported", "%q", methods)
				}
			}
		},
	},
	{
		ID: "metadata/forwarded-headers-ignored", Source: "RFC 9700 §4.13, CVE-2025-64101", Level: Must, Rows: []string{"RFC9700-4.13-01"},
		Requirement: "Forged Forwarded and X-Forwarded headers change nothing of what the server says of itself.",
		Why:         "A link in a mail, or metadata in a cache, would lead to the attacker's host.",
		try: func(p *probe) {
			before := p.documents()
			for at, a := range p.documents("X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "gopher", "Forwarded", `for=192.0.2.1;host=evil.example;proto=gopher`, "X-Forwarded-Prefix", "/evil.example",
				"X-Original-URL", "/evil.example", "X-Rewrite-URL", "/evil.example", "X-Host", "evil.example", "X-Forwarded-Server", "evil.example") {
				p.want(!strings.Contains(a.body, "evil.example") && !strings.Contains(a.body, "gopher"), High, "metadata without what a header says", "it repeats it")
				p.want(before[at] != nil && a.text("issuer") == before[at].text("issuer") && a.text("token_endpoint") == before[at].text("token_endpoint"), High, "the same metadata", "%q", a.text("issuer"))
			}
		},
	},
	{
		ID: "metadata/host-header-ignored", Source: "RFC 9700 §4.13, CVE-2025-64101", Level: Must, Profile: true, Rows: []string{"RFC9700-4.13-01"},
		Requirement: "A request under another Host is refused, or answered with the one issuer.",
		Why:         "Whoever chooses the issuer chooses where codes and tickets are redeemed.",
		try: func(p *probe) {
			oauth, openid := wellKnown(p.run.target.Issuer)
			for _, at := range []string{oauth, openid} {
				a := p.get(at, "Host", "evil.example")
				p.want(!strings.Contains(a.body, "evil.example") && !strings.Contains(a.header.Get("Location"), "evil.example"), High, "an answer without that host", "it repeats it")
			}
		},
	},
	{
		ID: "metadata/issuer-in-answer-told", Source: "RFC 9207 §2.3, §3", Level: Must, Rows: []string{"RFC9207-2-01"},
		Requirement: "A server whose authorization answers have iss tells so in its metadata.",
		Why:         "A client that is not told takes an answer without it, and with it one of another server.",
		try: func(p *probe) {
			verifier := random()
			got := p.signIn(p.browser(p.actor()), p.app(), p.authorization(p.app(), verifier))
			p.want(got.Get("iss") == "" || p.run.meta.IssuerInAnswer, Low, "authorization_response_iss_parameter_supported", "no such member")
		},
	},
	{
		ID: "metadata/jwks-found", Source: "RFC 8414 §2, RFC 7517 §5", Level: Must, Rows: []string{"RFC7517-5-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "jwks_uri gives an object with a list of keys, each with a kty and a kid of its own.",
		Why:         "Of two keys with one kid each verifier takes another.",
		try: func(p *probe) {
			a := p.get(p.run.meta.JWKS)
			_, ok := a.members["keys"].([]any)
			p.want(a.status == http.StatusOK && ok && a.twice == "", Medium, "200 with a list of keys", "%v", a)
			seen := map[string]bool{}
			for _, k := range p.keys() {
				p.want(k.KeyType != "", Medium, "a kty of each key", "none")
				p.want(k.ID != "" || len(p.keys()) == 1, Medium, "a kid of each key", "none")
				p.want(!seen[k.ID], High, "a kid of its own", "%q twice", k.ID)
				seen[k.ID] = true
			}
		},
	},
	{
		ID: "metadata/jwks-public-only", Source: "RFC 7517 §9.2", Level: MustNot, Rows: []string{"RFC7517-9.2-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "No published key has a private or a symmetric member.",
		Why:         "Whoever reads it signs as the server.",
		try: func(p *probe) {
			for _, k := range p.rawKeys() {
				for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
					_, has := k[name]
					p.want(!has, Critical, "no member "+name, "one in key %v", k["kid"])
				}
				p.want(k["kty"] != "oct", Critical, "no symmetric key", "key %v", k["kid"])
			}
		},
	},
	{
		ID: "metadata/jwks-sound", Source: "RFC 7518 §3.3, §6, RFC 7517 §4", Level: Must, Rows: []string{"RFC7517-9.2-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "Each key that verifies signatures is one: RSA of at least 2048 bits, a point of its curve, an algorithm that fits.",
		Why:         "A key that is too short is soon everybody's.",
		try: func(p *probe) {
			for _, k := range p.keys() {
				if k.Use == "enc" {
					continue
				}
				p.want(k.Sound() == nil, High, "a sound key "+k.ID, "%v", k.Sound())
			}
		},
	},
	{
		ID: "metadata/tokens-verify-by-jwks", Source: "RFC 7517 §4.5, OpenID Connect Core §10.1", Level: Must, Rows: []string{"RFC7517-5-01", "RFC9068-2.1-01"}, Needs: []Feature{FeatureJWT},
		Requirement: "The access token and the ID token of a sign-in verify by a published key that their kid names.",
		Why:         "A token that no published key verifies is one that an API must refuse, or that it takes unverified.",
		try: func(p *probe) {
			a := p.fresh(p.actor(), p.app())
			if id := a.text("id_token"); id != "" {
				_, err := verify(id, p.keys())
				p.want(err == nil, High, "an ID token that verifies", "%v", err)
			}
			p.says(a.text("access_token"))
		},
	},
	{
		ID: "metadata/rs256-offered", Source: "RFC 9068 §2.1, OpenID Connect Discovery §3", Level: Must, Rows: []string{"RFC9068-2.1-02"}, Needs: []Feature{FeatureJWT},
		Requirement: "A server of JWT access tokens can sign by RS256: a key of RSA is published.",
		Why:         "An API that knows RS256 alone, which is what all must know, cannot verify.",
		try: func(p *probe) {
			if !p.run.has[FeatureOpenID] {
				p.kind = SecurityFinding // nobody said that RFC 9068 is kept
			}
			p.want(slices.ContainsFunc(p.keys(), func(k key) bool {
				return k.KeyType == "RSA" && (k.Algorithm == "" || k.Algorithm == "RS256") && k.Use != "enc"
			}), Low, "a key for RS256", "none")
		},
	},
}

// documents gives what stands at each place of metadata that has some.
func (p *probe) documents(header ...string) map[string]*answer {
	oauth, openid := wellKnown(p.run.target.Issuer)
	found := make(map[string]*answer)
	for _, at := range []string{oauth, openid} {
		if a := p.get(at, header...); a.status == http.StatusOK {
			found[at] = a
		}
	}
	p.want(len(found) > 0, High, "metadata", "none")
	return found
}

// sorted is a list whose order says nothing, in one order.
func sorted(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	var all []string
	for _, x := range list {
		all = append(all, fmt.Sprint(x))
	}
	slices.Sort(all)
	return all
}

// listed are the strings of a list.
func listed(v any) (all []string) {
	list, _ := v.([]any)
	for _, x := range list {
		if s, ok := x.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func loopback(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback() || u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost")
}

// method is how c authenticates, as metadata calls it.
func (c *Client) method() string {
	switch {
	case c.Auth != "":
		return c.Auth
	case c.Secret == "":
		return "none"
	}
	return "client_secret_basic"
}

// rawKeys are the published keys with all that they have.
func (p *probe) rawKeys() (all []map[string]any) {
	a := p.get(p.run.meta.JWKS)
	list, ok := a.members["keys"].([]any)
	if a.status != http.StatusOK || !ok {
		p.blocked("the keys cannot be read: %v", a)
	}
	for _, v := range list {
		if k, ok := v.(map[string]any); ok {
			all = append(all, k)
		}
	}
	return all
}
