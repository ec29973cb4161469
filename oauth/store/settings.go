package store

import (
	"encoding/json"
	"fmt"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

// AuthMethod is how a client authenticates (RFC 7591 §2, token_endpoint_auth_method): in this way and no other.
type AuthMethod string

// The ways of client authentication.
const (
	AuthBasic      AuthMethod = "client_secret_basic"
	AuthPost       AuthMethod = "client_secret_post"
	AuthPrivateKey AuthMethod = "private_key_jwt"
	// AuthNone is for public clients, that may sign people in and never exchange.
	AuthNone AuthMethod = "none"
)

// Settings are the part of a registration that no query looks for. The zero value is a bearer client that authenticates by
// client_secret_basic, or by nothing where it is public.
type Settings struct {
	// Auth is the one way in which the client authenticates; "" is AuthBasic, of a public client AuthNone.
	Auth AuthMethod `json:"auth_method,omitempty"`
	// Keys is the client's JWK set (RFC 7517), public keys alone, for AuthPrivateKey.
	Keys json.RawMessage `json:"jwks,omitempty"`
	// DPoP refuses every token without a proof (RFC 9449 §5.2, dpop_bound_access_tokens).
	DPoP bool `json:"dpop_bound_access_tokens,omitempty"`
	// RequirePAR takes pushed authorization requests only (RFC 9126 §6).
	RequirePAR bool `json:"require_pushed_authorization_requests,omitempty"`
	// IDTokenAlg is the JWA name that its ID tokens are signed with; "" is the server's own.
	IDTokenAlg string `json:"id_token_signed_response_alg,omitempty"`
	// Refresh gives a refresh token at each sign-in, for as long as that lasts.
	Refresh bool `json:"refresh,omitempty"`
	// Service lets the client have tokens of its own, by client_credentials, and says what it is: oauth.ActorService or
	// oauth.ActorAIAgent; "" has none.
	Service oauth.ActorKind `json:"service,omitempty"`
	// UserID lets it start by a bare user id (understudy's own token type); off unless somebody asked for it.
	UserID bool `json:"user_id_start,omitempty"`
	// PostLogoutRedirectURIs are compared byte by byte (OpenID Connect RP-Initiated Logout §3).
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// SubjectIssuer is another issuer by whose sub the client knows people, in every token and answer; "" is their ID here.
	SubjectIssuer string `json:"subject_issuer,omitempty"`
	// BackchannelLogoutURI is where logout tokens go; "" for none.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`
	// PushURI is where SETs are pushed (RFC 8935); "" for nowhere. The client may poll all the same.
	PushURI string `json:"ssf_push_uri,omitempty"`
}

// AuthMethod is the one way in which the client authenticates.
func (c Client) AuthMethod() AuthMethod {
	switch {
	case c.Public:
		return AuthNone
	case c.Settings.Auth == "":
		return AuthBasic
	}
	return c.Settings.Auth
}

// Honours reports whether the client could ever use a consent: it must be at this client, which must be able to exchange tokens, and
// be what the consent says that acts, unless that is a person. Whether the consent lives is not asked.
func (c Client) Honours(k impersonation.Consent) bool {
	return k.Client == c.ID && !c.Public && c.Exchange && (!k.ActorKind.Machine() || k.ActorKind == c.Settings.Service)
}

// Deciding is what a decision sees of the client.
func (c Client) Deciding() *policy.Client {
	p := c.Client
	p.Name, p.UserID, p.Service, p.SubjectIssuer = c.Name, c.Settings.UserID, c.Settings.Service, c.Settings.SubjectIssuer
	return &p
}

// EncodeSettings gives the column of s.
func EncodeSettings(s Settings) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Errorf("store: encoding settings of our own: %w", err))
	}
	return string(b)
}

// DecodeSettings reads what EncodeSettings gave; nothing gives zero.
func DecodeSettings(b []byte) (s Settings, err error) {
	if len(b) == 0 {
		return s, nil
	}
	return s, json.Unmarshal(b, &s)
}
