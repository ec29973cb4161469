package tokens

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

const (
	// MaxForeignAge is how old an access token of another issuer may be at most. It starts something on behalf of who holds it, so it
	// shall be one that was just given, and its jti is remembered for ever.
	MaxForeignAge = 5 * time.Minute
	// foreignLeeway is by how much the clock of another issuer may run ahead. It is for iat and nbf alone: exp is theirs to keep.
	foreignLeeway = time.Minute
)

// ExpectForeign is what an access token of another issuer must say. What is not set matches nothing.
type ExpectForeign struct {
	// Issuer is the iss, byte for byte; must be set.
	Issuer string
	// Audience must be one of aud, byte for byte; must be set.
	Audience string
	// Clients are the clients of that issuer of which one must be the token's: by azp and client_id, of which one must be there and both
	// must be in Clients; or by ClientClaim alone, where it is set.
	Clients     []string
	ClientClaim string
	// IDClaim is the claim that names the one token; "" is jti.
	IDClaim string
	// Algorithms are those that the issuer may sign with: some of Algorithms().
	Algorithms []string
	// Keys are the issuer's, and nobody else's: at most 32.
	Keys []PublicKey
	// MaxAge is how long ago iat may lie, at most MaxForeignAge.
	MaxAge time.Duration
	// Now is the time to judge by; must be set.
	Now time.Time
}

// Foreign is what an access token of another issuer says that verified. What is left to do: to find out whom of ours Party names,
// what Scope and Says are good for here, and to spend ID once, or where Key is set to hold the sender to that key.
type Foreign struct {
	oauth.Party        // iss and sub
	Client      string // the one of ExpectForeign.Clients that it was issued to
	ID          string // 1 to 256 bytes without control characters; "" only where Key is set
	IssuedAt    time.Time
	Expires     time.Time
	Scope       []string // of scope, or of scp where there is no scope; nil for none
	Session     string   // sid, "" for none
	ACR         string   // "" for none
	// Key is the thumbprint (RFC 7638) of the key that the token is bound to, its cnf.jkt; "" for a bearer token.
	Key string

	claims []member
}

// Says reports whether the claim of that name, at the top, is the string value or an array in which it is.
func (f Foreign) Says(claim, value string) bool {
	for _, m := range f.claims {
		if m.name == claim {
			return slices.ContainsFunc(append(m.items, m.node), func(n node) bool { return n.kind == '"' && n.text == value })
		}
	}
	return false
}

// ForeignIssuer gives the issuer whose keys would have to verify token, and the kid among them, "" for none: as strictly read as by
// VerifyForeign, but said by anybody. Look the issuer up in a list, and fetch nothing for one that is not there. It fails with ErrMalformed,
// ErrSignature for an alg that we do not know, or ErrClaims.
func ForeignIssuer(token string) (issuer, kid string, err error) {
	j, c, err := parseForeign(token, ExpectForeign{})
	if err != nil {
		return "", "", err
	}
	if c.issuer == "" {
		return "", "", fmt.Errorf("%w: iss is required", ErrClaims)
	}
	return c.issuer, j.kid, nil
}

// VerifyForeign reads a JWT access token of another issuer (RFC 9068 §4, and those of the many who came before it): signed by one of e.Keys with
// one of e.Algorithms, for e.Audience, by e.Issuer, issued to one of e.Clients at most e.MaxAge ago, with sub, iat and an exp that lies
// ahead, and an ID unless it is bound to a key. typ is at+jwt, JWT or absent, but never the type of another kind of JWT; the claims by
// which one knows an ID token or a logout token are refused, and so is act: who is acted for cannot act. It fails with ErrMalformed,
// ErrSignature, ErrKey, ErrClaims or ErrExpired, the last only where nothing else is wrong.
func VerifyForeign(token string, e ExpectForeign) (Foreign, error) {
	j, c, err := parseForeign(token, e)
	if err != nil {
		return Foreign{}, err
	}
	if !slices.Contains(e.Algorithms, j.alg) {
		return Foreign{}, fmt.Errorf("%w: alg is not one that the issuer may sign with", ErrSignature)
	}
	if err := j.verify(e.Keys, maxIssuerKeys); err != nil {
		return Foreign{}, err
	}
	if err := e.check(c); err != nil {
		return Foreign{}, err
	}
	return Foreign{
		Party: oauth.Party{Issuer: c.issuer, Subject: c.subject}, Client: c.clients[0], ID: c.id, IssuedAt: c.issued, Expires: c.expires,
		Scope: c.scopes(), Session: c.session, ACR: c.acr, Key: c.key, claims: c.all,
	}, nil
}

// parseForeign reads header and claims, and judges only what needs no expectation. Nothing of it is verified.
func parseForeign(token string, e ExpectForeign) (jws, foreignClaims, error) {
	j, err := parseJWS(token)
	if err != nil {
		return jws{}, foreignClaims{}, err
	}
	switch strings.TrimPrefix(strings.ToLower(j.typ), "application/") { // a media type (RFC 7515 §4.1.9)
	case "", "jwt", "at+jwt":
	default:
		return jws{}, foreignClaims{}, fmt.Errorf("%w: typ must be at+jwt, JWT or absent", ErrMalformed)
	}
	c := foreignClaims{idClaim: cmp.Or(e.IDClaim, "jti"), clientClaim: e.ClientClaim}
	return j, c, readClaims(j.payload, c.set, foreignNames)
}

// foreignClaims are those of RFC 9068 §2.2, as others spell them too.
type foreignClaims struct {
	idClaim, clientClaim string

	issuer, subject, id, session, acr, key string
	audience, clients, scope, scp          []string
	issued, expires, notBefore             time.Time
	all                                    []member
}

// notAccess are the claims that no access token has: act makes it terminal here, nonce and the hashes make it an ID token (OpenID Connect Core
// §2, §3.3.2.11), events a logout token or another security event (RFC 8417 §2.2).
var notAccess = []string{"act", "nonce", "at_hash", "c_hash", "s_hash", "events"}

var foreignNames = append([]string{
	"iss", "sub", "aud", "azp", "client_id", "jti", "exp", "iat", "nbf", "scope", "scp", "sid", "acr", "cnf", "typ",
}, notAccess...)

// set takes one claim: false if it is of a wrong form.
func (c *foreignClaims) set(m member) bool {
	c.all = append(c.all, m)
	if !c.setNamed(m) {
		return false
	}
	switch m.name {
	case "iss":
		return m.string(&c.issuer)
	case "sub":
		return m.identifier(&c.subject)
	case "aud":
		return m.oneOrMore(&c.audience)
	case "scope":
		return m.text == "" && m.kind == '"' || m.scope(&c.scope)
	case "scp": // a string at some, an array at others
		return m.kind == '[' && len(m.items) == 0 || m.kind == '[' && m.strings(&c.scp) || m.scope(&c.scp)
	case "sid":
		return m.string(&c.session)
	case "acr":
		return m.string(&c.acr)
	case "cnf":
		return m.node.key(&c.key)
	case "exp":
		return m.numericDate(&c.expires)
	case "iat":
		return m.numericDate(&c.issued)
	case "nbf":
		return m.numericDate(&c.notBefore)
	case "typ": // some say so of each kind of token, within
		return m.kind == '"' && slices.Contains([]string{"bearer", "dpop", "at+jwt"}, strings.ToLower(m.text))
	}
	return !slices.Contains(notAccess, m.name)
}

// setNamed takes the claims whose names are the issuer's own.
func (c *foreignClaims) setNamed(m member) bool {
	client := m.name == c.clientClaim || c.clientClaim == "" && (m.name == "azp" || m.name == "client_id")
	if m.name == c.idClaim && !m.identifier(&c.id) {
		return false
	}
	if !client {
		return true
	}
	c.clients = append(c.clients, m.text)
	return m.kind == '"' && m.text != ""
}

func (c *foreignClaims) scopes() []string {
	if c.scope != nil {
		return c.scope
	}
	return c.scp
}

// oneOrMore takes a string, or an array of them (RFC 7519 §4.1.3).
func (n node) oneOrMore(to *[]string) bool {
	if n.kind == '"' {
		n.items, n.kind = []node{n}, '['
	}
	return n.strings(to)
}

func (e ExpectForeign) check(c foreignClaims) error {
	latest := e.Now.Add(foreignLeeway)
	switch {
	case c.issuer == "" || c.issuer != e.Issuer:
		return fmt.Errorf("%w: iss must be the issuer", ErrClaims)
	case !slices.Contains(c.audience, e.Audience):
		return fmt.Errorf("%w: aud must have our audience", ErrClaims)
	case len(c.clients) == 0 || slices.ContainsFunc(c.clients, func(id string) bool { return !slices.Contains(e.Clients, id) }):
		return fmt.Errorf("%w: azp or client_id must be a client that counts for the one that asks", ErrClaims)
	case c.subject == "":
		return fmt.Errorf("%w: sub is required", ErrClaims)
	case c.id == "" && c.key == "":
		return fmt.Errorf("%w: jti is required of a token that is bound to no key", ErrClaims)
	case c.expires.IsZero() || c.issued.IsZero():
		return fmt.Errorf("%w: exp and iat are required", ErrClaims)
	case c.issued.After(latest) || c.notBefore.After(latest):
		return fmt.Errorf("%w: iat and nbf must not lie ahead", ErrClaims)
	case e.Now.Sub(c.issued) > min(e.MaxAge, MaxForeignAge):
		return fmt.Errorf("%w: iat lies too far back", ErrClaims)
	case !e.Now.Before(c.expires):
		return ErrExpired
	}
	return nil
}
