package server

import (
	"maps"
	"slices"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"

	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// TokenSession is the data behind one token: what the access token will say, and the ID token's nonce.
type TokenSession struct {
	Claims tokens.Claims
	Nonce  string

	user        string       // the ID here of whom Claims.Subject names, "" for a client
	was         *store.Grant // the one that a refresh goes on from
	accessToken string       // once it is made, for the at_hash: fosite's own knows the algorithms whose names end in a number
	id          jwt.IDTokenClaims
	headers     jwt.Headers
	expires     map[fosite.TokenType]time.Time
}

var (
	_ fosite.Session = (*TokenSession)(nil)
	_ openid.Session = (*TokenSession)(nil)
)

// SetExpiresAt implements fosite.Session. fosite sets it by its own clock; what counts is Claims.Expires.
func (s *TokenSession) SetExpiresAt(key fosite.TokenType, exp time.Time) {
	if s.expires == nil {
		s.expires = make(map[fosite.TokenType]time.Time)
	}
	s.expires[key] = exp
}

// GetExpiresAt implements fosite.Session.
func (s *TokenSession) GetExpiresAt(key fosite.TokenType) time.Time { return s.expires[key] }

// GetUsername implements fosite.Session. Names are in no token.
func (s *TokenSession) GetUsername() string { return "" }

// GetSubject implements fosite.Session.
func (s *TokenSession) GetSubject() string { return s.Claims.Subject }

// IDTokenClaims implements openid.Session. fosite looks at the subject and leaves an at_hash, which is not used; times are left out, since it
// would judge them by its own clock.
func (s *TokenSession) IDTokenClaims() *jwt.IDTokenClaims {
	s.id.Subject = s.Claims.Subject
	return &s.id
}

// IDTokenHeaders implements openid.Session.
func (s *TokenSession) IDTokenHeaders() *jwt.Headers { return &s.headers }

// Clone is written by hand: one inherited from fosite's default session returns another type, and act is gone.
func (s *TokenSession) Clone() fosite.Session {
	if s == nil {
		return nil
	}
	c := *s
	c.Claims.Scope, c.Claims.AMR = slices.Clone(s.Claims.Scope), slices.Clone(s.Claims.AMR)
	if s.Claims.Act != nil {
		act := *s.Claims.Act
		c.Claims.Act = &act
	}
	if s.Claims.SubjectID != nil {
		id := *s.Claims.SubjectID
		c.Claims.SubjectID = &id
	}
	if s.Claims.MayAct != nil {
		may := *s.Claims.MayAct
		c.Claims.MayAct = &may
	}
	c.expires = maps.Clone(s.expires)
	return &c
}
