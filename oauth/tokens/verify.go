package tokens

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// secondsBits bounds times to 40 bits: the year 36812, which every reader's floating point and time type can hold.
const (
	secondsBits = 40
	maxSeconds  = 1<<secondsBits - 1
)

// Expect is what a token must say.
type Expect struct {
	// Issuer is the iss, byte for byte; must be set.
	Issuer string
	// Audience is the aud, byte for byte; "" does not look.
	Audience string
	// Now is the time to judge by; must be set.
	Now time.Time
	// Leeway is by how much the signer's clock may be off.
	Leeway time.Duration
	// AllowExpired takes a token whose time is over too, since revocation answers for one of ours at any age.
	AllowExpired bool
}

// Verify reads an access token of ours: what Sign of one of the keys gave, and what e expects. It fails with ErrMalformed,
// ErrSignature, ErrClaims or ErrExpired, the last only where nothing else is wrong; Claims are zero with every error.
//
// RFC 9068 §4 lets a reader take other spellings, such as typ application/at+jwt, other members of the header and several
// audiences. Since we read only what we signed, Verify takes none of them. Of one signed token no second spelling
// verifies; revocation is by jti and sid all the same. A claim of another name than ours is ignored (RFC 7519 §4), so
// that a server can read what its next version signs.
func (s *KeySet) Verify(token string, e Expect) (Claims, error) {
	c, ok := s.seen.find(token)
	if !ok {
		var err error
		if c, err = s.read(s.access, token); err != nil {
			return Claims{}, err
		}
		s.seen.add(token, c)
	}
	if err := e.check(c); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// VerifyToEnd is Verify for who is about to end what the token stands for, and does nothing else with it: it takes every key that was
// ever ours, Keys.Hints and Keys.Revoked too. Who stole one of those can make up a token, so what it names is to be held
// against who brings it.
func (s *KeySet) VerifyToEnd(token string, e Expect) (Claims, error) {
	c, err := s.read(s.ending, token)
	if err == nil {
		err = e.check(c)
	}
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}

// read gives the claims of an access token that one of f's keys signed.
func (s *KeySet) read(f form, token string) (Claims, error) {
	payload, err := s.open(f, token)
	if err != nil {
		return Claims{}, err
	}
	return parseClaims(payload)
}

func (e Expect) check(c Claims) error {
	switch {
	case c.Issuer != e.Issuer:
		return fmt.Errorf("%w: another iss", ErrClaims)
	case e.Audience != "" && c.Audience != e.Audience:
		return fmt.Errorf("%w: another aud", ErrClaims)
	case c.IssuedAt.After(e.Now.Add(e.Leeway)):
		return fmt.Errorf("%w: iat lies ahead", ErrClaims)
	case !e.AllowExpired && !e.Now.Before(c.Expires.Add(e.Leeway)):
		return ErrExpired
	}
	return nil
}

// parseClaims reads a payload; what it accepts, Sign could have signed but for claims of other names.
func parseClaims(payload []byte) (Claims, error) {
	members, err := parseObject(payload)
	if err != nil {
		return Claims{}, err
	}
	var c Claims
	for _, m := range members {
		if !c.set(m) {
			return Claims{}, fmt.Errorf("%w: one of a wrong form or in disguise", ErrClaims)
		}
	}
	if err := c.check(); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// set takes one claim and reports whether it may stand there.
func (c *Claims) set(m member) bool {
	switch m.name {
	case "iss":
		return m.string(&c.Issuer)
	case "sub":
		return m.string(&c.Subject)
	case "aud":
		return m.string(&c.Audience)
	case "client_id":
		return m.string(&c.ClientID)
	case "jti":
		return m.string(&c.ID)
	case "sid":
		return m.string(&c.Session)
	case "txn":
		return m.string(&c.Audit)
	case "acr":
		return m.string(&c.ACR)
	case "scope":
		return m.scope(&c.Scope)
	case "amr":
		return m.strings(&c.AMR)
	case "iat":
		return m.time(&c.IssuedAt)
	case "exp":
		return m.time(&c.Expires)
	case "auth_time":
		return m.time(&c.AuthTime)
	case "act":
		return m.act(c)
	case "may_act":
		return m.mayAct(&c.MayAct)
	case "sub_id":
		return m.subjectID(&c.SubjectID)
	case "cnf":
		return m.key(&c.Key)
	case "nbf":
		return false // it narrows a token, we sign none, and to ignore one would widen it
	default:
		return !disguised(m.name)
	}
}

// claimNames are those that we read, and those that we refuse.
var claimNames = []string{
	"iss", "sub", "aud", "client_id", "jti", "sid", "txn", "acr", "scope", "amr", "iat", "exp", "auth_time", "act",
	"nbf", "cnf", "may_act", "sub_id", "nonce", "azp",
}

func disguised(name string) bool { return folds(name, claimNames) }

// folds reports whether name is none of names but reads as one of them to somebody who folds case, as encoding/json does for
// structs: "SUB", or "ſub" with U+017F.
func folds(name string, names []string) bool {
	return !slices.Contains(names, name) && slices.ContainsFunc(names, func(known string) bool { return strings.EqualFold(name, known) })
}

// string takes text that is not empty: an empty claim would read like a missing one.
func (n node) string(to *string) bool {
	*to = n.text
	return n.kind == '"' && n.text != ""
}

func (n node) strings(to *[]string) bool {
	for _, item := range n.items {
		var s string
		if !item.string(&s) {
			return false
		}
		*to = append(*to, s)
	}
	return n.kind == '[' && len(n.items) > 0
}

// scope is one string with one space between its tokens (RFC 9068 §2.2.3, RFC 8693 §4.2).
func (n node) scope(to *[]string) bool {
	var s string
	if !n.string(&s) {
		return false
	}
	var err error
	*to, err = oauth.ParseScope(s)
	return err == nil
}

// time takes whole seconds without sign or exponent: RFC 7519 §2 allows fractions, on which readers round differently.
func (n node) time(to *time.Time) bool {
	seconds, err := strconv.ParseUint(n.text, 10, secondsBits)
	*to = time.Unix(int64(seconds), 0).UTC()
	return n.kind == 0 && err == nil
}

// act takes an object of iss, sub and perhaps sub_profile, and Claims.check wants the first two. So a nested act is refused (the
// depth is 1), and null, {} and a string cannot pass for "nobody".
func (n node) act(c *Claims) bool {
	p, kind := new(oauth.Party), ""
	c.Act = p
	ok := n.object(map[string]*string{"iss": &p.Issuer, "sub": &p.Subject, "sub_profile": &kind})
	c.ActKind = oauth.ActorKind(kind)
	return ok
}

// mayAct takes an object of iss, sub and perhaps client_id: a member that is not understood could be one that narrows.
func (n node) mayAct(to **MayAct) bool {
	m := new(MayAct)
	*to = m
	return n.object(map[string]*string{"iss": &m.Issuer, "sub": &m.Subject, "client_id": &m.ClientID})
}

// subjectID takes an object of the format iss_sub (RFC 9493 §3.2.1), which has no further members.
func (n node) subjectID(to **oauth.Party) bool {
	p, format := new(oauth.Party), ""
	*to = p
	return n.object(map[string]*string{"format": &format, "iss": &p.Issuer, "sub": &p.Subject}) && format == formatIssSub
}

// key takes an object of jkt alone: there are other ways to bind a token, and to ignore one would widen it.
func (n node) key(to *string) bool {
	return n.object(map[string]*string{"jkt": to}) && *to != ""
}

// object takes an object that has no members but these, each a text.
func (n node) object(members map[string]*string) bool {
	for _, m := range n.members {
		if to := members[m.name]; to == nil || !m.string(to) {
			return false
		}
	}
	return n.kind == '{'
}
