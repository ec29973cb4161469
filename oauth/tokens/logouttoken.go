package tokens

import (
	"encoding/json"
	"fmt"
	"time"
)

// LogoutTokenLifetime is how long a logout token is good for: the most that OpenID Connect Back-Channel Logout §2.4 advises.
const LogoutTokenLifetime = 2 * time.Minute

// eventBackchannelLogout is the member of events that makes a logout token one.
const eventBackchannelLogout = "http://schemas.openid.net/event/backchannel-logout"

// LogoutToken tells a client that a session is over (OpenID Connect Back-Channel Logout §2.4). All fields must be set.
type LogoutToken struct {
	Issuer   string
	Audience string // the client's id
	// Session is the sid of what is over. There is no sub beside it: alone it would end all sessions of a person.
	Session  string
	ID       string // jti
	IssuedAt time.Time
}

// logoutClaims has its members in the order in which they are written. It has no nonce, which the standard forbids: with one and a sub
// a logout token could pass for an ID token.
type logoutClaims struct {
	Issuer   string              `json:"iss"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Session  string              `json:"sid"`
	Events   map[string]struct{} `json:"events"`
}

// SignLogoutToken gives l as a JWT with typ logout+jwt, good for LogoutTokenLifetime, signed as algorithm says, or as access tokens are
// where it is "". No reader of ours takes one for anything. It fails with ErrClaims where a field is missing, and with ErrKey where no
// key signs algorithm.
func (s *KeySet) SignLogoutToken(algorithm string, l LogoutToken) (string, error) {
	if l.Issuer == "" || l.Audience == "" || l.Session == "" || l.ID == "" || l.IssuedAt.IsZero() {
		return "", fmt.Errorf("%w: a field of a logout token is missing", ErrClaims)
	}
	payload, err := json.Marshal(logoutClaims{
		Issuer: l.Issuer, Audience: l.Audience, IssuedAt: l.IssuedAt.Unix(), Expires: l.IssuedAt.Add(LogoutTokenLifetime).Unix(), ID: l.ID, Session: l.Session,
		Events: map[string]struct{}{eventBackchannelLogout: {}},
	})
	if err != nil {
		return "", fmt.Errorf("writing claims: %w", err)
	}
	return s.sign(s.logout, algorithm, payload)
}
