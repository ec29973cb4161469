package rptest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// keyID names the one key.
const keyID = "rptest"

// grant is what stands behind an access token.
type grant struct {
	id      string
	person  rp.Person
	scope   string
	session *session // nil for a person's own
	login   string   // of a person's own
	issued  time.Time
	expires time.Time
}

// give makes an access token for g, and the answer that holds it (RFC 6749 §5.1).
func (i *Issuer) give(g *grant) map[string]any {
	g.id, g.login, g.issued = oauth.NewID("tok"), oauth.NewID("lgn"), i.Now().UTC()
	g.expires = g.issued.Add(tokenLifetime)
	if g.session != nil {
		g.expires = g.session.Expires
	}
	token := i.sign("at+jwt", g.claims(i, map[string]any{}))
	i.tokens[token] = g
	return map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int64(g.expires.Sub(g.issued) / time.Second), "scope": g.scope}
}

// claims puts what RFC 9068 §2.2 says of g into to.
func (g *grant) claims(i *Issuer, to map[string]any) map[string]any {
	to["iss"], to["sub"], to["aud"], to["client_id"] = i.URL, g.person.Subject, Resource, ClientID
	to["jti"], to["iat"], to["exp"] = g.id, g.issued.Unix(), g.expires.Unix()
	if g.scope != "" {
		to["scope"] = g.scope
	}
	s := g.session
	if s == nil {
		to["sid"], to["auth_time"], to["amr"] = g.login, g.issued.Unix(), []string{"pwd"}
		return to
	}
	to["sid"], to["txn"] = s.ID, s.start
	to["act"] = map[string]string{"iss": i.URL, "sub": s.Actor.Subject}
	return to
}

// idToken is OpenID Connect Core §2.
func (i *Issuer) idToken(o *once) string {
	now := i.Now()
	claims := map[string]any{"iss": i.URL, "sub": o.person.Subject, "aud": ClientID, "iat": now.Unix(), "exp": now.Add(tokenLifetime).Unix(), "auth_time": now.Unix()}
	if o.nonce != "" {
		claims["nonce"] = o.nonce
	}
	return i.sign("JWT", claims)
}

// sign makes a JWT by ES256 (RFC 7515 §3.1, RFC 7518 §3.4).
func (i *Issuer) sign(typ string, claims map[string]any) string {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("rptest: " + err.Error()) // it is text and numbers
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	input := part(map[string]string{"alg": "ES256", "typ": typ, "kid": keyID}) + "." + part(claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		panic("rptest: " + err.Error())
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// jwks is the key by which APIs verify tokens (RFC 7517 §5).
func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	point, err := i.key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		panic("rptest: " + err.Error())
	}
	b64 := base64.RawURLEncoding.EncodeToString
	answer(w, http.StatusOK, map[string]any{"keys": []map[string]string{
		{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyID, "x": b64(point[1:33]), "y": b64(point[33:])},
	}})
}
