package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
)

// What reading or signing a token answers. Test with errors.Is; no text quotes a token.
var (
	// ErrMalformed: not spelled as a token that is read here could be.
	ErrMalformed = errors.New("tokens: malformed")
	// ErrSignature: its header names no key and algorithm that may sign this kind of token, or the signature is not that key's.
	ErrSignature = errors.New("tokens: signature refused")
	// ErrUnknownKey is the ErrSignature of a token whose header is none that our keys write: perhaps those of another set do.
	ErrUnknownKey = fmt.Errorf("%w: a header of no key", ErrSignature)
	// ErrClaims: a claim is missing, of a wrong form, or not what was expected.
	ErrClaims = errors.New("tokens: claims refused")
	// ErrExpired: its time is over, and nothing else is wrong with it.
	ErrExpired = errors.New("tokens: expired")
)

// Claims is what an access token of ours says (RFC 9068 §2.2). Strings are valid UTF-8; times are UTC in whole seconds,
// and Sign drops what is finer.
type Claims struct {
	Issuer   string // iss, required
	Subject  string // sub, required
	Audience string // aud, required: one value, sent as one string
	ClientID string // client_id, required
	// Scope is sent in its order and read back sorted; nil for none. It has ScopeImpersonationWrite only with Act, and
	// ScopeImpersonate and ScopeOfflineAccess only without.
	Scope    []string
	IssuedAt time.Time
	Expires  time.Time // exp, after IssuedAt
	ID       string    // jti, required
	// Session is the sid: of the impersonation, or of the login. Required with Act.
	Session string
	// Audit is the txn (RFC 8417 §2.2): the audit entry of the start. Required with Act.
	Audit string
	// Act is who is really typing (RFC 8693 §4.1); nil for an ordinary token. Both halves are required.
	Act *oauth.Party
	// ActKind is the sub_profile within act, of an actor that is no person: oauth.ActorService or oauth.ActorAIAgent. "" for a person.
	ActKind oauth.ActorKind
	// SubjectID is who the subject is at the issuer of Act, sent as sub_id of the format iss_sub (RFC 9493 §3.2.1), so that an app which has
	// that issuer's tokens finds the same person; nil for none. Only with Act, and both halves are required.
	SubjectID *oauth.Party
	// MayAct is who may become the actor (RFC 8693 §4.4); nil for nobody. Never with Act.
	MayAct *MayAct
	// Key is the thumbprint (RFC 7638) of the key that the token is bound to, sent as cnf.jkt (RFC 9449 §6.1); "" for a bearer token.
	Key string
	// AuthTime, ACR and AMR say how the subject signed in (RFC 9068 §2.2.1); zero leaves them out. Never with Act: it was
	// not the subject who signed in, and a gate that asks for a fresh sign-in must not open.
	AuthTime time.Time
	ACR      string
	AMR      []string
}

// MayAct names a party that may act for the subject. An issuer with a subject is a person or a service; every member that is given
// must match.
type MayAct struct {
	oauth.Party
	// ClientID is the client that may present the actor; "" for any.
	ClientID string
}

// clone shares nothing with c that can be changed.
func (c Claims) clone() Claims {
	c.Scope, c.AMR = slices.Clone(c.Scope), slices.Clone(c.AMR)
	if c.Act != nil {
		act := *c.Act
		c.Act = &act
	}
	if c.SubjectID != nil {
		id := *c.SubjectID
		c.SubjectID = &id
	}
	if c.MayAct != nil {
		may := *c.MayAct
		c.MayAct = &may
	}
	return c
}

// wire is the payload, in the order that it is sent.
type wire struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Session  string   `json:"sid,omitempty"`
	Audit    string   `json:"txn,omitempty"`
	Act      *wireAct `json:"act,omitempty"`
	SubID    *wireID  `json:"sub_id,omitempty"`
	MayAct   *wireAct `json:"may_act,omitempty"`
	Key      *wireKey `json:"cnf,omitempty"`
	AuthTime *int64   `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
}

type wireAct struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	ClientID string          `json:"client_id,omitempty"`   // of may_act
	Kind     oauth.ActorKind `json:"sub_profile,omitempty"` // of act
}

// wireID is a subject identifier (RFC 9493 §3).
type wireID struct {
	Format  string `json:"format"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

const formatIssSub = "iss_sub"

type wireKey struct {
	Thumbprint string `json:"jkt"`
}

// Sign gives c as a JWT in compact form, signed by the first of the Signers, with typ at+jwt. It fails with ErrKey where none signs, and with ErrClaims
// on what Verify would refuse, and then says which claim.
func (s *KeySet) Sign(c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	payload, err := json.Marshal(c.wire())
	if err != nil {
		return "", fmt.Errorf("writing claims: %w", err)
	}
	return s.sign(s.access, "", payload)
}

func (c Claims) wire() wire {
	w := wire{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, ClientID: c.ClientID, Scope: oauth.JoinScope(c.Scope),
		IssuedAt: c.IssuedAt.Unix(), Expires: c.Expires.Unix(), ID: c.ID, Session: c.Session, Audit: c.Audit,
		ACR: c.ACR, AMR: c.AMR,
	}
	if c.Act != nil {
		w.Act = &wireAct{Issuer: c.Act.Issuer, Subject: c.Act.Subject, Kind: c.ActKind}
	}
	if c.SubjectID != nil {
		w.SubID = &wireID{Format: formatIssSub, Issuer: c.SubjectID.Issuer, Subject: c.SubjectID.Subject}
	}
	if c.MayAct != nil {
		w.MayAct = &wireAct{Issuer: c.MayAct.Issuer, Subject: c.MayAct.Subject, ClientID: c.MayAct.ClientID}
	}
	if c.Key != "" {
		w.Key = &wireKey{c.Key}
	}
	if !c.AuthTime.IsZero() {
		at := c.AuthTime.Unix()
		w.AuthTime = &at
	}
	return w
}

// check holds for every token that we sign, and again for every one that we read. A zero time, so a missing claim, lies
// before 1970.
func (c Claims) check() error {
	switch {
	case c.Issuer == "" || c.Subject == "" || c.Audience == "" || c.ClientID == "" || c.ID == "":
		return fmt.Errorf("%w: iss, sub, aud, client_id and jti are required", ErrClaims)
	case c.IssuedAt.Unix() < 0 || c.Expires.Unix() <= c.IssuedAt.Unix() || c.Expires.Unix() > maxSeconds:
		return fmt.Errorf("%w: exp must come after iat, and both after 1970", ErrClaims)
	case !c.AuthTime.IsZero() && (c.AuthTime.Unix() < 0 || c.AuthTime.Unix() > maxSeconds):
		return fmt.Errorf("%w: auth_time out of range", ErrClaims)
	}
	for _, check := range []func() error{c.checkText, c.checkKey, c.checkMayAct, c.checkSubjectID, c.checkAct} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkKey wants a SHA-256 as base64url in the one spelling that it has.
func (c Claims) checkKey() error {
	if c.Key == "" {
		return nil
	}
	if sum, err := base64.RawURLEncoding.Strict().DecodeString(c.Key); err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("%w: cnf has no thumbprint", ErrClaims)
	}
	return nil
}

func (c Claims) checkMayAct() error {
	may := c.MayAct
	switch {
	case may == nil:
		return nil
	case c.Act != nil:
		return fmt.Errorf("%w: may_act may not stand beside act", ErrClaims)
	case may.Issuer == "" || may.Subject == "" || !sound(may.Issuer) || !sound(may.Subject) || !sound(may.ClientID):
		return fmt.Errorf("%w: may_act needs iss and sub", ErrClaims)
	}
	return nil
}

func (c Claims) checkSubjectID() error {
	id := c.SubjectID
	switch {
	case id == nil:
		return nil
	case c.Act == nil:
		return fmt.Errorf("%w: sub_id needs act", ErrClaims)
	case id.Issuer == "" || id.Subject == "" || !sound(id.Issuer) || !sound(id.Subject):
		return fmt.Errorf("%w: sub_id needs iss and sub", ErrClaims)
	}
	return nil
}

// checkText refuses what JSON would not carry unchanged.
func (c Claims) checkText() error {
	for _, token := range c.Scope {
		if !oauth.ValidScopeToken(token) {
			return fmt.Errorf("%w: scope is not a list of scope tokens (RFC 6749 §3.3)", ErrClaims)
		}
	}
	for _, method := range c.AMR {
		if !sound(method) || method == "" {
			return fmt.Errorf("%w: amr is not a list of names", ErrClaims)
		}
	}
	for _, text := range [...]string{c.Issuer, c.Subject, c.Audience, c.ClientID, c.ID, c.Session, c.Audit, c.ACR} {
		if !sound(text) {
			return fmt.Errorf("%w: a claim is not valid UTF-8", ErrClaims)
		}
	}
	return nil
}

// sound reports whether text comes back from JSON as it went in; see walker.text for U+FFFD.
func sound(text string) bool { return !strings.ContainsRune(text, utf8.RuneError) }

// checkAct keeps an impersonation token and an ordinary one apart, as the last to look before either is signed.
func (c Claims) checkAct() error {
	has := func(scope string) bool { return slices.Contains(c.Scope, scope) }
	switch {
	case c.Act == nil && has(oauth.ScopeImpersonationWrite):
		return fmt.Errorf("%w: scope %s needs act", ErrClaims, oauth.ScopeImpersonationWrite)
	case c.Act == nil && c.ActKind != "":
		return fmt.Errorf("%w: sub_profile needs act", ErrClaims)
	case c.Act == nil:
		return nil
	case c.ActKind != "" && c.ActKind != oauth.ActorService && c.ActKind != oauth.ActorAIAgent:
		return fmt.Errorf("%w: sub_profile of act is not one that is known", ErrClaims)
	case c.Act.Issuer == "" || c.Act.Subject == "" || !sound(c.Act.Issuer) || !sound(c.Act.Subject):
		return fmt.Errorf("%w: act needs iss and sub", ErrClaims)
	case c.Session == "" || c.Audit == "":
		return fmt.Errorf("%w: act needs sid and txn", ErrClaims)
	case !c.AuthTime.IsZero() || c.ACR != "" || len(c.AMR) > 0:
		return fmt.Errorf("%w: auth_time, acr and amr may not stand beside act", ErrClaims)
	case has(oauth.ScopeImpersonate) || has(oauth.ScopeOfflineAccess):
		return fmt.Errorf("%w: a token with act cannot start another one or be refreshed", ErrClaims)
	}
	return nil
}
