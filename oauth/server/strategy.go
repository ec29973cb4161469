package server

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/ory/fosite"
	fositeoauth "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// strategy makes the codes and tokens that fosite hands out. Its zero value is not valid.
type strategy struct{ s *Server }

var (
	_ fositeoauth.AccessTokenStrategy   = strategy{}
	_ fositeoauth.AuthorizeCodeStrategy = strategy{}
	_ openid.OpenIDConnectTokenStrategy = strategy{}
)

// AccessTokenSignature is the key of a token in a store: its jti, and only if the token verifies. Never a part or a hash of the
// string, which has several spellings that all verify.
func (t strategy) AccessTokenSignature(_ context.Context, token string) string {
	c, err := t.s.verify(token)
	if err != nil {
		return ""
	}
	return c.ID
}

// GenerateAccessToken signs what the requester's TokenSession says. For a code it is completed here; an exchange comes with
// everything on record already.
func (t strategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	session, ok := r.GetSession().(*TokenSession)
	if !ok {
		return "", "", errors.New("the session is not ours")
	}
	if session.Claims.ID == "" { // by a code: the subject's own
		if err := t.s.nameActor(ctx, r.GetClient(), session); err != nil {
			return "", "", err
		}
	}
	c := t.complete(ctx, r, session)
	token, err = t.s.keys().Sign(*c)
	session.accessToken = token
	return token, c.ID, err
}

// complete fills in what every token of the session's kind says, unless it was filled in before.
func (t strategy) complete(ctx context.Context, r fosite.Requester, session *TokenSession) *tokens.Claims {
	c := &session.Claims
	if c.ID == "" {
		now := t.s.clock().Truncate(time.Second)
		c.Issuer, c.ClientID, c.Scope, c.Key = t.s.issuer, r.GetClient().GetID(), r.GetGrantedScopes(), redemptionOf(ctx).key
		c.ID, c.IssuedAt, c.Expires = oauth.NewID("tok"), now, now.Add(t.s.life.AccessToken)
	}
	return c
}

// ValidateAccessToken implements fosite's strategy; our endpoints call verify themselves.
func (t strategy) ValidateAccessToken(_ context.Context, _ fosite.Requester, token string) error {
	_, err := t.s.verify(token)
	return err
}

// verify accepts an access token of ours that has not expired. Whether it still counts is the store's to say.
func (s *Server) verify(token string) (tokens.Claims, error) {
	return s.verifyToken(token, tokens.Expect{Issuer: s.issuer, Now: s.clock()})
}

// AuthorizeCodeSignature is the key of a code in the store: the SHA-256 of its 256 random bits, in hex.
func (strategy) AuthorizeCodeSignature(_ context.Context, code string) string {
	sum := oauth.Secret(code).Hash()
	return hex.EncodeToString(sum[:])
}

// GenerateAuthorizeCode makes a code.
func (t strategy) GenerateAuthorizeCode(ctx context.Context, _ fosite.Requester) (code, signature string, err error) {
	secret := string(oauth.NewSecret())
	return secret, t.AuthorizeCodeSignature(ctx, secret), nil
}

// ValidateAuthorizeCode looks at the time only: the storage found the code by its hash.
func (t strategy) ValidateAuthorizeCode(ctx context.Context, _ fosite.Requester, _ string) error {
	if red := redemptionOf(ctx); red.grant == nil || !t.s.clock().Before(red.grant.CodeExpires) {
		return fosite.ErrTokenExpired
	}
	return nil
}

// RefreshTokenSignature, with the next two, exists because fosite's code handler names one interface for all of them. It never asks: no
// client has the grant for it, see refreshTokens.
func (strategy) RefreshTokenSignature(context.Context, string) string { return "" }

// GenerateRefreshToken always fails.
func (strategy) GenerateRefreshToken(context.Context, fosite.Requester) (string, string, error) {
	return "", "", errNotFosites
}

// ValidateRefreshToken always fails.
func (strategy) ValidateRefreshToken(context.Context, fosite.Requester, string) error {
	return errNotFosites
}

var errNotFosites = errors.New("refresh tokens are none of fosite's")

// idTokenAlg is the algorithm that c's ID tokens are registered for, "" for that of all else.
func idTokenAlg(c fosite.Client) string {
	if c, ok := c.(*client); ok {
		return c.Settings.IDTokenAlg
	}
	return ""
}

// GenerateIDToken signs an ID token for the code flow (OpenID Connect Core §3.1.3.6). A token that acts never gets one: it
// would say that the subject signed in.
func (t strategy) GenerateIDToken(_ context.Context, _ time.Duration, r fosite.Requester) (string, error) {
	session, ok := r.GetSession().(*TokenSession)
	if !ok || session.Claims.Act != nil {
		return "", errors.New("no ID token for this session")
	}
	c, now := session.Claims, t.s.clock()
	claims := map[string]any{
		"iss": t.s.issuer, "sub": c.Subject, "aud": r.GetClient().GetID(), "iat": now.Unix(), "exp": now.Add(t.s.life.AccessToken).Unix(),
		"auth_time": c.AuthTime.Unix(), "sid": c.Session, "amr": c.AMR,
	}
	if c.ACR != "" {
		claims["acr"] = c.ACR
	}
	if session.Nonce != "" {
		claims["nonce"] = session.Nonce
	}
	keys, algorithm := t.s.keys(), idTokenAlg(r.GetClient())
	if session.accessToken != "" {
		claims["at_hash"] = keys.AccessTokenHash(algorithm, session.accessToken)
	}
	return keys.SignIDToken(algorithm, claims)
}
