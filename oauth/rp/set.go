package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/oauth/ssf"
)

// fault is what is wrong with a SET, with a code of RFC 8935 §2.4.
type fault struct {
	code string
	rule error
}

func (f *fault) Error() string { return "a SET was refused: " + f.rule.Error() }

func faultOf(code, rule string) error { return &fault{code, errors.New(rule)} }

// setClaims are the claims of a SET that matter here (RFC 8417 §2.2).
type setClaims struct {
	Issuer   string                     `json:"iss"`
	Audience audience                   `json:"aud"`
	IssuedAt int64                      `json:"iat"`
	ID       string                     `json:"jti"`
	Subject  setSubject                 `json:"sub_id"`
	Events   map[string]json.RawMessage `json:"events"`
	// What no SET has: with them it would be a token of another kind (SSF §4.1.1, §4.1.7).
	Sub     json.RawMessage `json:"sub"`
	Expires json.RawMessage `json:"exp"`
}

// setSubject is who a SET is about (RFC 9493 §3).
type setSubject struct {
	Format  string      `json:"format"`
	ID      string      `json:"id"`
	Session *setSubject `json:"session"`
}

// set reads a SET that came at came, and gives its name and the session that ended; "" for an event that ends nothing. It says so however late
// it comes, however often and in whatever order: no session is ever back. Its error is a *fault, unless nobody can tell whether the issuer signed it.
func (v *signed) set(ctx context.Context, came time.Time, set string) (id, sid string, err error) {
	payload, err := v.open(ctx, came, set, "secevent+jwt")
	if err != nil {
		return "", "", err
	}
	var c setClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return "", "", &fault{"invalid_request", fmt.Errorf("decoding its claims: %w", err)}
	}
	if err := v.check(c); err != nil {
		return "", "", err
	}
	sid, err = c.session()
	return c.ID, sid, err
}

// check holds c against whom we listen to, and as whom (SSF §4.1).
func (v *signed) check(c setClaims) error {
	switch {
	case c.Issuer != v.issuer.url:
		return faultOf("invalid_issuer", "it is of another issuer")
	case len(c.Audience) != 1 || c.Audience[0] != v.issuer.id:
		return faultOf("invalid_audience", "it is for another client")
	case c.ID == "" || c.IssuedAt <= 0 || len(c.Events) != 1:
		return faultOf("invalid_request", "it must have a jti, an iat and one event")
	case c.Sub != nil || c.Expires != nil:
		return faultOf("invalid_request", "it has a sub or an exp, as no SET has")
	}
	return nil
}

func (c setClaims) session() (string, error) {
	if _, ok := c.Events[ssf.EventSessionRevoked]; !ok {
		return "", nil
	}
	// The user alone would be all of their sessions, and none of those is ours to end.
	if c.Subject.Format != "complex" || c.Subject.Session == nil || c.Subject.Session.Format != "opaque" || !sessionID(c.Subject.Session.ID) {
		return "", faultOf("invalid_request", "it names no session of impersonation")
	}
	return c.Subject.Session.ID, nil
}
