package ssf

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// TypeSET is the media type of a SET (RFC 8417 §7.2); the typ of its header is that without "application/".
const TypeSET = "application/secevent+jwt"

// The events that are told. Each is the one member of events of its SET.
const (
	// EventSessionRevoked is CAEP 1.0 §3.1.
	EventSessionRevoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	// EventVerification is SSF §8.1.4.1. It comes whatever events were asked for.
	EventVerification = "https://schemas.openid.net/secevent/ssf/event-type/verification"
)

// Initiator says who brought an end (CAEP 1.0 §2).
type Initiator string

// The initiators.
const (
	ByAdmin  Initiator = "admin"  // an operator
	ByUser   Initiator = "user"   // one of the two people
	ByPolicy Initiator = "policy" // a rule, such as how long an impersonation may last
	BySystem Initiator = "system" // a program
)

// SET is a Security Event Token (RFC 8417): one event for one receiver. Exactly one of Revoked and Verified is set, and all else but
// Transaction.
type SET struct {
	Issuer   string
	Audience string // the client_id of the receiver
	IssuedAt time.Time
	ID       string // jti
	// Transaction is the id of the audit entry of the session's start, which is the txn of its token too; "" with Verified.
	Transaction string
	Revoked     *Revoked
	Verified    *Verified
}

// Revoked tells that a session of impersonation is over. The subject is complex (RFC 9493 §3.3): the session, and whose it looked like.
// The user alone would stand for all sessions of theirs.
type Revoked struct {
	Session string      // the sid of its token
	Subject oauth.Party // as its token has them
	By      Initiator
	Reason  string // for operators, in English; no name of anybody and nothing that was typed
	At      time.Time
}

// Verified answers a VerifyRequest.
type Verified struct {
	Stream string
	State  string // as asked; "" for none
}

// identifier is a subject identifier (RFC 9493 §3).
type identifier struct {
	Format  string      `json:"format"`
	ID      string      `json:"id,omitempty"`
	Issuer  string      `json:"iss,omitempty"`
	Subject string      `json:"sub,omitempty"`
	Session *identifier `json:"session,omitempty"`
	User    *identifier `json:"user,omitempty"`
}

type claims struct {
	Issuer      string         `json:"iss"`
	Audience    string         `json:"aud"`
	IssuedAt    int64          `json:"iat"`
	ID          string         `json:"jti"`
	Transaction string         `json:"txn,omitempty"`
	Subject     identifier     `json:"sub_id"`
	Events      map[string]any `json:"events"`
}

type revoked struct {
	By     Initiator         `json:"initiating_entity"`
	At     int64             `json:"event_timestamp"`
	Reason map[string]string `json:"reason_admin,omitempty"`
}

type verified struct {
	State string `json:"state,omitempty"`
}

// ErrSET is a SET that must not be sent: something is missing.
var ErrSET = errors.New("ssf: not a whole SET")

// Claims gives the payload to be signed: never with exp or sub, with which it could pass for an access token or an ID token (RFC 8417
// §4). It fails with ErrSET.
func (s SET) Claims() ([]byte, error) {
	c := claims{Issuer: s.Issuer, Audience: s.Audience, IssuedAt: s.IssuedAt.Unix(), ID: s.ID, Transaction: s.Transaction}
	if s.Issuer == "" || s.Audience == "" || s.ID == "" || s.IssuedAt.IsZero() || (s.Revoked == nil) == (s.Verified == nil) {
		return nil, ErrSET
	}
	switch {
	case s.Verified != nil:
		c.Subject = identifier{Format: "opaque", ID: s.Verified.Stream}
		c.Events = map[string]any{EventVerification: verified{s.Verified.State}}
	case s.Revoked.Session == "" || s.Revoked.Subject.Issuer == "" || s.Revoked.Subject.Subject == "" || s.Revoked.By == "" || s.Revoked.At.IsZero():
		return nil, fmt.Errorf("%w: %s", ErrSET, EventSessionRevoked)
	default:
		c.Subject, c.Events = s.Revoked.subject(), map[string]any{EventSessionRevoked: s.Revoked.event()}
	}
	return json.Marshal(c)
}

func (r Revoked) subject() identifier {
	return identifier{
		Format:  "complex",
		Session: &identifier{Format: "opaque", ID: r.Session},
		User:    &identifier{Format: "iss_sub", Issuer: r.Subject.Issuer, Subject: r.Subject.Subject},
	}
}

func (r Revoked) event() revoked {
	e := revoked{By: r.By, At: r.At.Unix()}
	if r.Reason != "" {
		e.Reason = map[string]string{"en": r.Reason}
	}
	return e
}
