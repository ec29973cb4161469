package conformance

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/conformance/internal/jws"
)

// dpopCases are RFC 9449.
var dpopCases = []Case{
	{
		ID: "dpop/sign-in-bound", Source: "RFC 9449 §5, §6.1", Level: Must, Rows: []string{"RFC9449-5-01", "RFC9449-6-01", "RFC7638-3-01"}, Needs: []Feature{FeatureDPoP, FeatureJWT},
		Requirement: "A request with a proof gives token_type DPoP and a token whose cnf.jkt is the thumbprint of the key, whatever else the key is sent with.",
		Why:         "A client that shows its key and gets a token that anybody can use believes itself safe.",
		try: func(p *probe) {
			k := newKeyPair()
			a := p.proven(p.app(), p.redeemable(), k, func(m *made) {
				jwk := map[string]any{"kid": "conformance", "alg": "ES256", "use": "sig"}
				for name, v := range k.public {
					jwk[name] = v
				}
				m.header["jwk"] = jwk
			})
			p.want(issued(a), Medium, "200 with an access token", "%v %s", a, a.text("error_description"))
			p.boundTo(a, k)
		},
	},
	{
		ID: "dpop/start-bound", Source: "RFC 9449 §5, §6, RFC 9700 §2.2.1", Level: Must, Profile: true, Rows: []string{"RFC9449-5-01", "RFC9449-6-01", "RFC9700-2.2.1-01"}, Needs: []Feature{FeatureDPoP},
		Requirement: "A start with a proof gives an impersonation token that is bound to the key of the proof, in the token and at introspection.",
		Why:         "The strongest token would be the one that whoever finds it can use.",
		try: func(p *probe) {
			k := newKeyPair()
			a := p.proven(p.app(), p.ready(starting{}), k)
			p.want(issued(a), Medium, "200 with an access token", "%v %s", a, a.text("error_description"))
			p.boundTo(a, k)
			if p.run.has[FeatureIntrospection] {
				b := p.introspect(p.app(), a.text("access_token"))
				cnf, _ := b.members["cnf"].(map[string]any)
				p.want(cnf["jkt"] == k.thumbprint(), High, "cnf.jkt of the key at introspection", "%v", b.members["cnf"])
				p.want(b.text("token_type") == "" || strings.EqualFold(b.text("token_type"), "DPoP"), Low, "token_type DPoP at introspection", "%q", b.text("token_type"))
			}
		},
	},
	{
		ID: "dpop/bearer-without-proof", Source: "RFC 9449 §5", Level: Must, Rows: []string{"RFC9449-5-01"}, Needs: []Feature{FeatureDPoP, FeatureJWT},
		Requirement: "Without a proof, where none is asked for, a token is Bearer and bound to nothing.",
		Why:         "A token bound to a key that its client does not have can be used by whoever has that.",
		try: func(p *probe) {
			s := p.start(starting{})
			p.want(strings.EqualFold(s.text("token_type"), "Bearer"), Medium, "token_type Bearer", "%q", s.text("token_type"))
			p.want(p.says(s.token).claims["cnf"] == nil, Medium, "no cnf", "%v", p.says(s.token).claims["cnf"])
		},
	},
	{
		ID: "dpop/required-of-a-bound-client", Source: "RFC 9449 §5.2", Level: Must, Rows: []string{"RFC9449-5.2-01", "RFC9700-2.2.1-01"}, Needs: []Feature{FeatureDPoP, FeatureBoundClient},
		Requirement: "A client that is registered for bound tokens gets none without a proof, neither at sign-in nor at a start.",
		Why:         "The one path that forgot to ask is the one that an attacker takes.",
		try: func(p *probe) {
			c, k, verifier := p.run.target.Clients.Bound, newKeyPair(), random()
			f := redemption(c, p.freshCode(p.actor(), c, verifier), verifier)
			p.refusedProof(p.token(c, f), "no proof at sign-in", "invalid_grant") // §5.2 says that it is refused, and not how
			a := p.proven(c, f, k)
			if !issued(a) { // a code that is dead after a failure is no fault
				f = redemption(c, p.freshCode(p.actor(), c, verifier), verifier)
				a = p.proven(c, f, k)
			}
			p.want(issued(a), Medium, "a token with a proof", "%v %s", a, a.text("error_description"))
			p.run.tokens[p.tokenOf(p.actor(), c)] = a.text("access_token")
			defer delete(p.run.tokens, p.tokenOf(p.actor(), c))
			start := p.ready(starting{client: c})
			p.refusedProof(p.token(c, start), "no proof at a start", "invalid_grant")
			a = p.proven(c, start, k)
			if !issued(a) {
				a = p.proven(c, p.ready(starting{client: c}), k)
			}
			p.want(issued(a), Medium, "a start with a proof", "%v %s", a, a.text("error_description"))
			p.boundTo(a, k)
		},
	},
	{
		ID: "dpop/actors-key-only", Source: "RFC 9449 §7.1, §6", Level: Must, Profile: true, Rows: []string{"RFC9449-6-01", "RFC9449-7.1-01"}, Needs: []Feature{FeatureDPoP},
		Requirement: "An actor_token that is bound to a key starts nothing without a proof by that key.",
		Why:         "A bound token that was stolen is worthless everywhere but here, where it is worth most.",
		try: func(p *probe) {
			k := newKeyPair()
			a := p.proven(p.app(), p.redeemable(), k)
			if !issued(a) {
				p.blocked("a token could not be bound: %v %s", a, a.text("error_description"))
			}
			f := p.ready(starting{})
			name := "actor_token"
			if !f.Has(name) {
				name = "subject_token"
			}
			f.Set(name, a.text("access_token"))
			for what, answer := range map[string]*answer{"no proof": p.token(p.app(), f), "another key": p.proven(p.app(), f, newKeyPair())} {
				p.want(!issued(answer), High, "no token for "+what, "%v", answer)
				p.want(answer.status >= 400 && answer.status < 500, Medium, "400 for "+what, "%v", answer)
			}
		},
	},
	{
		ID: "dpop/stop-by-the-same-key", Source: "RFC 9449 §5, RFC 8693 §2.1", Level: Must, Profile: true, Rows: []string{"RFC8693-2.1-33", "RFC9449-5-01"}, Needs: []Feature{FeatureDPoP, FeatureReturnToken},
		Requirement: "The return token of a bound impersonation works with a proof by its key only, and what it gives is bound too.",
		Why:         "A return token in a cookie that was copied would make an administrator.",
		try: func(p *probe) {
			k := newKeyPair()
			f := p.ready(starting{})
			a := p.proven(p.app(), f, k)
			if !issued(a) {
				p.blocked("the start was refused: %v %s", a, a.text("error_description"))
			}
			back := p.stopping(started{a, f, p.app(), a.text("access_token")})
			for what, answer := range map[string]*answer{"no proof": p.token(p.app(), back), "another key": p.proven(p.app(), back, newKeyPair())} {
				p.want(!issued(answer), High, "no token for "+what, "%v", answer)
			}
			a = p.proven(p.app(), back, k)
			p.want(issued(a), Medium, "a token for the key itself", "%v %s", a, a.text("error_description"))
			p.boundTo(a, k)
		},
	},
	badProofs("method-and-address", "RFC 9449 §4.3", []string{"RFC9449-4.3-02"}, "A proof for another method or another address is refused.", "A proof made for one API would be used at the token endpoint.",
		func(p *probe, k *keyPair) []string {
			m := p.run.meta
			other := cmpOr(m.PAR, m.Introspection, m.Token+"x")
			return []string{
				p.proof(k, http.MethodGet, m.Token, ""), p.proof(k, http.MethodPost, other, ""), p.proof(k, http.MethodPost, strings.Replace(m.Token, "://", "://evil.example/", 1), ""),
				p.proof(k, "post", m.Token, ""), p.proof(k, http.MethodPost, m.Token+"/", ""), p.proof(k, http.MethodPost, "", ""), p.proof(k, http.MethodPost, "https://evil.example/", ""),
			}
		}),
	badProofs("time", "RFC 9449 §4.3, §11.1", []string{"RFC9449-4.3-03", "RFC7519-4.1.4-01"}, "A proof of ten minutes ago, or to come, is refused.", "A proof that was read in a log would work for as long as anybody likes.",
		func(p *probe, k *keyPair) []string {
			now := p.now().Unix()
			return []string{
				p.proof(k, http.MethodPost, p.run.meta.Token, "", claim("iat", now-600)), p.proof(k, http.MethodPost, p.run.meta.Token, "", claim("iat", now+600)),
				p.proof(k, http.MethodPost, p.run.meta.Token, "", claim("iat", fmt.Sprint(now))), p.proof(k, http.MethodPost, p.run.meta.Token, "", claim("iat", 0)),
				p.proof(k, http.MethodPost, p.run.meta.Token, "", claim("iat", nil)),
			}
		}),
	badProofs("complete", "RFC 9449 §4.2, §4.3", []string{"RFC9449-4.3-02", "RFC9449-4.3-03"}, "A proof without jti, htm, htu or iat, or without its key, is refused.", "What is not there is not compared.",
		func(p *probe, k *keyPair) (all []string) {
			for _, name := range []string{"jti", "htm", "htu", "iat"} {
				all = append(all, p.proof(k, http.MethodPost, p.run.meta.Token, "", unclaimed(name)))
			}
			return append(all, p.proof(k, http.MethodPost, p.run.meta.Token, "", func(m *made) { delete(m.header, "jwk") }), p.proof(k, http.MethodPost, p.run.meta.Token, "", headed("jwk", "x")))
		}),
	badProofs("signature", "RFC 9449 §4.3, RFC 8725 §3.3", []string{"RFC8725-3.3-01"}, "A proof that its own key did not sign is refused.", "Whoever knows the public key would have the token's.",
		func(p *probe, k *keyPair) []string {
			good := p.proof(k, http.MethodPost, p.run.meta.Token, "")
			body, sig := good[:strings.LastIndexByte(good, '.')], good[strings.LastIndexByte(good, '.')+1:]
			return []string{
				p.proof(k, http.MethodPost, p.run.meta.Token, "", signedBy(newKeyPair())), body + ".", body + "." + flip(sig[0]) + sig[1:], body + "." + b64.EncodeToString(make([]byte, 64)), body, good + "AA",
			}
		}),
	badProofs("algorithm", "RFC 9449 §4.3, RFC 8725 §3.1", []string{"RFC8725-3.1-01", "RFC8725-3.1-02"}, "A proof by none or by a shared secret is refused.", "Whoever knows the public key would have the token's.",
		func(p *probe, k *keyPair) (all []string) {
			good := p.proof(k, http.MethodPost, p.run.meta.Token, "")
			for _, alg := range []string{"none", "NONE", "", "HS256", "ES384", "RS256"} {
				t := p.proof(k, http.MethodPost, p.run.meta.Token, "", headed("alg", alg))
				all = append(all, t, t[:strings.LastIndexByte(t, '.')+1])
			}
			for _, secret := range publicForms(k) {
				all = append(all, hs256(secret, map[string]any{"typ": "dpop+jwt", "alg": "HS256", "jwk": k.public}, good))
			}
			return append(all, hs256([]byte("secret"), map[string]any{"typ": "dpop+jwt", "alg": "HS256", "jwk": map[string]any{"kty": "oct", "k": b64.EncodeToString([]byte("secret"))}}, good))
		}),
	badProofs("type", "RFC 9449 §4.3, RFC 8725 §3.12", []string{"RFC8725-3.12-01", "RFC7515-4.1.11-01"}, "A JWT of another type, or with a critical header that is unknown, is no proof.", "What was signed for one purpose serves another.",
		func(p *probe, k *keyPair) []string {
			to := p.run.meta.Token
			return []string{
				p.proof(k, http.MethodPost, to, "", headed("typ", "JWT")), p.proof(k, http.MethodPost, to, "", headed("typ", "at+jwt")), p.proof(k, http.MethodPost, to, "", func(m *made) { delete(m.header, "typ") }),
				p.proof(k, http.MethodPost, to, "", headed("crit", []string{"exp-foo"}), headed("exp-foo", 1)), p.proof(k, http.MethodPost, to, "", headed("crit", []string{})),
			}
		}),
	badProofs("key", "RFC 9449 §4.3, RFC 8725 §3.4", []string{"RFC8725-3.4-01"}, "A proof whose key is private, off its curve, too short or not one is refused.", "With a key that is none, anything verifies.",
		func(p *probe, k *keyPair) (all []string) {
			to := p.run.meta.Token
			private := map[string]any{"d": b64.EncodeToString(make([]byte, 32))}
			for name, v := range k.public {
				private[name] = v
			}
			x, y := k.public["x"], k.public["y"]
			for _, jwk := range []map[string]any{
				private, {"kty": "EC", "crv": "P-256", "x": x, "y": x}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "P-384", "x": x, "y": y}, {"kty": "EC", "x": x, "y": y},
				{"kty": "EC", "crv": "P-256", "x": x}, {"kty": "oct", "k": x}, {}, {"kty": "EC", "crv": "P-256", "x": b64.EncodeToString(make([]byte, 32)), "y": b64.EncodeToString(make([]byte, 32))},
			} {
				all = append(all, p.proof(k, http.MethodPost, to, "", headed("jwk", jwk)))
			}
			return append(all, p.proofByOne(to), p.proof(k, http.MethodPost, to, "", headed("alg", "RS256"), headed("jwk", map[string]any{"kty": "RSA", "e": "AQAB", "n": b64.EncodeToString(newBig(64))})))
		}),
	badProofs("members-once", "RFC 7519 §4", []string{"RFC7519-4-01"}, "A proof in which a member comes twice, and the last one is wrong, is refused.", "Of two readers of one proof each reads another.",
		func(p *probe, k *keyPair) (all []string) {
			jwk, _ := json.Marshal(k.public)
			for _, twice := range []string{`"htu":"https://evil.example/"`, `"htm":"GET"`, `"iat":1`} {
				claims := fmt.Sprintf(`{"htm":"POST","htu":%q,"iat":%d,"jti":%q,"nonce":%q,%s}`, p.run.meta.Token, p.now().Unix(), random(), p.run.nonce, twice)
				all = append(all, k.compact(fmt.Sprintf(`{"typ":"dpop+jwt","alg":"ES256","jwk":%s}`, jwk), claims))
			}
			return all
		}),
	{
		ID: "dpop/once", Source: "RFC 9449 §4.3, §11.1", Level: Should, Rows: []string{"RFC9449-4.3-03"}, Needs: []Feature{FeatureDPoP},
		Requirement: "A proof works once.",
		Why:         "Whoever reads it on the way sends it again with a token of theirs, or with one they stole.",
		try: func(p *probe) {
			k := newKeyPair()
			p.want(issued(p.proven(p.app(), p.redeemable(), k)), Medium, "a token with a proof", "none")
			proof := p.proof(k, http.MethodPost, p.run.meta.Token, "")
			a := p.withProof(p.app(), p.redeemable(), proof)
			p.want(issued(a), Medium, "a token with a fresh proof", "%v %s", a, a.text("error_description"))
			p.refusedProof(p.withProof(p.app(), p.redeemable(), proof), "a proof that was used", "invalid_grant") // §11.1 says not how
		},
	},
	{
		ID: "dpop/one-proof", Source: "RFC 9449 §4.3", Level: Must, Rows: []string{"RFC9449-4.3-02"}, Needs: []Feature{FeatureDPoP},
		Requirement: "A request with two proofs is refused.",
		Why:         "One part of the server looks at the one, and binds the token to the other.",
		try: func(p *probe) {
			k := newKeyPair()
			p.want(issued(p.proven(p.app(), p.redeemable(), k)), Medium, "a token with a proof", "none")
			one, two := p.proof(k, http.MethodPost, p.run.meta.Token, ""), p.proof(newKeyPair(), http.MethodPost, p.run.meta.Token, "")
			a := p.postRaw(p.run.meta.Token, p.app(), p.redeemable().Encode(), "DPoP", one, "DPoP", two)
			p.refusedProof(a, "two proofs")
			p.refusedProof(p.postRaw(p.run.meta.Token, p.app(), p.redeemable().Encode(), "DPoP", one+", "+two), "two proofs in one header")
		},
	},
	{
		ID: "dpop/address-normalised", Source: "RFC 9449 §4.3", Level: Must, Rows: []string{"RFC9449-4.3-02"}, Needs: []Feature{FeatureDPoP},
		Requirement: "Query and fragment of htu do not count, and neither does the case of its scheme and host.",
		Why:         "A client that is refused for how its library writes an address goes without proofs.",
		try: func(p *probe) {
			k := newKeyPair()
			scheme, rest, _ := strings.Cut(p.run.meta.Token, "://")
			for _, htu := range []string{p.run.meta.Token + "?x=1", p.run.meta.Token + "#x", strings.ToUpper(scheme) + "://" + rest} {
				a := p.provenAt(p.app(), p.redeemable(), k, htu)
				p.want(issued(a), Low, "a token for htu "+htu, "%v %s", a, a.text("error_description"))
			}
		},
	},
	{
		ID: "dpop/nonce-of-the-server", Source: "RFC 9449 §8, §11.2", Level: Should, Profile: true, Rows: []string{"RFC9449-11.2-01"}, Needs: []Feature{FeatureDPoP},
		Requirement: "A start asks for a nonce of the server's in the proof, and takes no other.",
		Why:         "Somebody who is about to leave could make proofs for later.",
		try: func(p *probe) {
			k := newKeyPair()
			f := p.ready(starting{})
			for _, twists := range [][]twist{{unclaimed("nonce")}, {claim("nonce", random())}} {
				a := p.withProof(p.app(), f, p.proof(k, http.MethodPost, p.run.meta.Token, "", twists...))
				p.want(!issued(a), Low, "use_dpop_nonce", "%v", a)
				p.want(a.text("error") == "use_dpop_nonce" && a.header.Get("DPoP-Nonce") != "" || a.text("error") == "invalid_dpop_proof", Low, "use_dpop_nonce and a DPoP-Nonce", "%v", a)
			}
		},
	},
	{
		ID: "dpop/userinfo-needs-proof", Source: "RFC 9449 §7.1, §7.2", Level: Must, Rows: []string{"RFC9449-7.1-01", "RFC9449-7.2-01"}, Needs: []Feature{FeatureDPoP, FeatureUserinfo, FeatureOpenID},
		Requirement: "At userinfo a bound token works with a proof by its key and for it, and with nothing else: not as Bearer, by another key, or without ath.",
		Why:         "A binding that no API looks at binds nothing.",
		try: func(p *probe) {
			defer p.forUserinfo()()
			k := newKeyPair()
			a := p.proven(p.app(), p.redeemable(), k)
			if !issued(a) {
				p.blocked("a token could not be bound: %v %s", a, a.text("error_description"))
			}
			token, at := a.text("access_token"), p.run.meta.Userinfo
			other := p.proven(p.app(), p.redeemable(), k).text("access_token")
			ask := func(scheme, proof string) *answer {
				if proof == "" {
					return p.get(at, "Authorization", scheme+" "+token)
				}
				return p.get(at, "Authorization", scheme+" "+token, "DPoP", proof)
			}
			good := ask("DPoP", p.proof(k, http.MethodGet, at, token, unclaimed("nonce")))
			if nonce := good.header.Get("DPoP-Nonce"); good.status != http.StatusOK && nonce != "" {
				good = ask("DPoP", p.proof(k, http.MethodGet, at, token, claim("nonce", nonce)))
			}
			p.want(good.status == http.StatusOK, Medium, "200 for its own key", "%v", good)
			for what, a := range map[string]*answer{
				"Bearer": ask("Bearer", ""), "Bearer with a proof": ask("Bearer", p.proof(k, http.MethodGet, at, token)), "no proof": ask("DPoP", ""),
				"another key": ask("DPoP", p.proof(newKeyPair(), http.MethodGet, at, token)), "no ath": ask("DPoP", p.proof(k, http.MethodGet, at, "")),
				"the ath of another token": ask("DPoP", p.proof(k, http.MethodGet, at, other)), "another method": ask("DPoP", p.proof(k, http.MethodPost, at, token)),
			} {
				p.want(a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest, High, "401 for "+what, "%v", a)
			}
		},
	},
}

// cmpOr is the first that is not "".
func cmpOr(all ...string) string {
	return all[slices.IndexFunc(all, func(s string) bool { return s != "" })]
}

// proof is one for a request and, where there is one, for a token (RFC 9449 §4.2), but for the twists.
func (p *probe) proof(k *keyPair, method, htu, token string, twists ...twist) string {
	m := &made{
		header: map[string]any{"typ": "dpop+jwt", "alg": k.alg, "jwk": k.public}, key: k,
		claims: map[string]any{"htm": method, "htu": htu, "iat": p.now().Unix(), "jti": random()},
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		m.claims["ath"] = b64.EncodeToString(sum[:])
	}
	if p.run.nonce != "" {
		m.claims["nonce"] = p.run.nonce
	}
	for _, t := range twists {
		t(m)
	}
	return m.sign()
}

// withProof is token with a proof that is there, once.
func (p *probe) withProof(c *Client, f url.Values, proof string) *answer {
	a := p.postRaw(p.run.meta.Token, c, f.Encode(), "DPoP", proof)
	if nonce := a.header.Get("DPoP-Nonce"); nonce != "" {
		p.run.nonce = nonce
	}
	if token := a.text("access_token"); token != "" && f.Get("grant_type") == grantExchange {
		p.mu.Lock()
		p.begun[token] = c
		p.mu.Unlock()
	}
	for name, v := range a.members {
		if s, ok := v.(string); ok && strings.HasSuffix(name, "_token") {
			p.run.secret(s)
		}
	}
	return a
}

// proven is token with a fresh proof, and with a second where the server asks for its nonce.
func (p *probe) proven(c *Client, f url.Values, k *keyPair, twists ...twist) *answer {
	return p.provenAt(c, f, k, p.run.meta.Token, twists...)
}

func (p *probe) provenAt(c *Client, f url.Values, k *keyPair, htu string, twists ...twist) *answer {
	a := p.withProof(c, f, p.proof(k, http.MethodPost, htu, "", twists...))
	if a.text("error") == "use_dpop_nonce" {
		a = p.withProof(c, f, p.proof(k, http.MethodPost, htu, "", twists...))
	}
	return a
}

// boundTo demands that a token is bound to k, by what the answer and the token say.
func (p *probe) boundTo(a *answer, k *keyPair) {
	p.want(strings.EqualFold(a.text("token_type"), "DPoP"), Medium, "token_type DPoP", "%q", a.text("token_type"))
	if p.run.has[FeatureJWT] {
		cnf, _ := p.says(a.text("access_token")).claims["cnf"].(map[string]any)
		p.want(cnf["jkt"] == k.thumbprint(), High, "cnf.jkt "+k.thumbprint(), "%v", cnf)
	}
}

// refusedProof demands that a proof gives nothing. codes are errors that it may give besides the one for a proof that is none.
func (p *probe) refusedProof(a *answer, what string, codes ...string) {
	want := "400 invalid_dpop_proof for " + what
	p.want(!issued(a), High, want, "%v", a)
	p.want(a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized, Medium, want, "%v", a)
	p.want(slices.Contains(append(codes, "invalid_dpop_proof", "invalid_request", "use_dpop_nonce"), a.text("error")), Low, want, "%v", a)
}

// badProofs is the case of proofs, made by list, each of which must give nothing.
func badProofs(id, source string, rows []string, requirement, why string, list func(*probe, *keyPair) []string) Case {
	return Case{
		ID: "dpop/proof-" + id, Source: source, Level: Must, Rows: rows, Requirement: requirement, Why: why, Needs: []Feature{FeatureDPoP},
		try: func(p *probe) {
			k := newKeyPair()
			a := p.proven(p.app(), p.redeemable(), k) // else what is refused might be all; and it tells the nonce
			p.want(issued(a), Medium, "a token with a proof that holds", "%v %s", a, a.text("error_description"))
			for _, proof := range list(p, k) {
				a := p.withProof(p.app(), p.redeemable(), proof)
				p.refusedProof(a, brief(proof))
			}
		},
	}
}

// newBig is an odd number of so many bytes, in big-endian.
func newBig(size int) []byte {
	n := make([]byte, size)
	for i := range n {
		n[i] = 0xff
	}
	return n
}

// proofByOne is a proof by an RSA key whose exponent is 1: what is signed is the signature, so anybody can write it.
func (p *probe) proofByOne(htu string) string {
	n := newBig(256)
	header, _ := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "RS256", "jwk": map[string]any{"kty": "RSA", "e": "AQ", "n": b64.EncodeToString(n)}})
	claims, _ := json.Marshal(map[string]any{"htm": http.MethodPost, "htu": htu, "iat": p.now().Unix(), "jti": random(), "nonce": p.run.nonce})
	signed := b64.EncodeToString(header) + "." + b64.EncodeToString(claims)
	prefix, _ := hex.DecodeString("3031300d060960864801650304020105000420") // of a SHA-256 (RFC 8017 §9.2)
	hash := jws.Digest(crypto.SHA256, signed)
	em := append(append([]byte{0, 1}, newBig(256-3-len(prefix)-len(hash))...), 0)
	em = append(append(em, prefix...), hash...)
	return signed + "." + b64.EncodeToString(new(big.Int).SetBytes(em).FillBytes(make([]byte, 256)))
}
