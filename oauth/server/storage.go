package server

import (
	"context"
	"encoding/hex"
	"errors"
	"net/url"
	"time"

	"github.com/ory/fosite"
	fositeoauth "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// storage is what fosite asks of a store, over one row a grant. It is not transactional: each method is one guarded write, the
// consumption of the code comes first, and a lost race carries store.ErrSpent, which the error writer answers as invalid_grant.
type storage struct{ s *Server }

var (
	_ fosite.Storage                     = storage{}
	_ fositeoauth.CoreStorage            = storage{}
	_ fositeoauth.TokenRevocationStorage = storage{}
	_ openid.OpenIDConnectRequestStorage = storage{}
	_ pkce.PKCERequestStorage            = storage{}
)

// redemption is what one request to the token endpoint knows of the code that it redeems: fosite asks four times for it.
type redemption struct {
	grant *store.Grant
	spent bool   // by this request
	key   string // that the client proved to hold (RFC 9449), "" for none
	// resource is what was asked for beside the code (RFC 8707 §2.2)
	resource []string
	// refresh is the refresh token that goes with what the code gave; "" for none
	refresh oauth.Secret
	started string // the session that an exchange opened, "" for none
}

func withRedemption(ctx context.Context) (context.Context, *redemption) {
	red := new(redemption)
	return context.WithValue(ctx, redemptionKey, red), red
}

// redemptionOf never gives nil.
func redemptionOf(ctx context.Context) *redemption {
	if red, ok := ctx.Value(redemptionKey).(*redemption); ok {
		return red
	}
	return new(redemption)
}

func (st storage) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	c, err := st.s.client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fosite.ErrNotFound
	}
	return c, err
}

// ClientAssertionJWTValid fails closed: no client authenticates by assertion.
func (storage) ClientAssertionJWTValid(context.Context, string) error { return fosite.ErrJTIKnown }

// SetClientAssertionJWT fails closed.
func (storage) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrJTIKnown
}

// CreateAuthorizeCodeSession writes the one row of a grant; code and signature are the code's hash.
func (st storage) CreateAuthorizeCodeSession(ctx context.Context, signature string, r fosite.Requester) error {
	session, hash := r.GetSession().(*TokenSession), codeHash(signature)
	if session == nil || hash.IsZero() {
		return errors.New("a code without a session of ours")
	}
	now, c, f := st.s.clock(), session.Claims, r.GetRequestForm()
	return st.s.store.CreateGrant(ctx, store.Grant{
		ID: r.GetID(), Family: r.GetID(), Client: r.GetClient().GetID(), User: session.user, Subject: keptName(r.GetClient(), c.Subject), Login: c.Session, RedirectURI: f.Get("redirect_uri"), Scope: r.GetGrantedScopes(),
		Audience: c.Audience, Nonce: f.Get("nonce"), CodeHash: hash, CodeChallenge: f.Get("code_challenge"), AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR,
		Created: now, CodeExpires: now.Add(st.s.life.Code), Key: c.Key,
	})
}

// GetAuthorizeCodeSession finds the grant once a request. A code of another client, or without the key that it is bound to, is not found:
// its reuse is no sign of anything.
func (st storage) GetAuthorizeCodeSession(ctx context.Context, signature string, _ fosite.Session) (fosite.Requester, error) {
	hash, red := codeHash(signature), redemptionOf(ctx)
	if red.grant == nil {
		g, err := st.s.store.GrantByCode(ctx, hash)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fosite.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
		c, ok := ctx.Value(clientKey).(*client)
		if !ok || c.ID != g.Client {
			return nil, fosite.ErrNotFound
		}
		if err := checkKey(g.Key, red.key); err != nil {
			return nil, err
		}
		if !mayTarget(g.Audience, red.resource) {
			return nil, errNotGranted
		}
		if alive, err := st.s.loginAlive(ctx, g.Login); err != nil {
			return nil, err
		} else if !alive {
			return nil, fosite.ErrNotFound
		}
		if name, err := st.s.nameOf(ctx, c, g.User); err != nil {
			return nil, err
		} else if name != g.Name() { // the link or the client changed while the code was on its way
			return nil, fosite.ErrNotFound
		}
		red.grant = &g
	}
	if red.grant.CodeHash != hash {
		return nil, fosite.ErrNotFound
	}
	r, err := st.requester(ctx, red.grant)
	if err != nil {
		return nil, err
	}
	if !red.grant.CodeUsed.IsZero() && !red.spent {
		return r, fosite.ErrInvalidatedAuthorizeCode
	}
	return r, nil
}

func (st storage) requester(ctx context.Context, g *store.Grant) (*fosite.Request, error) {
	c, ok := ctx.Value(clientKey).(*client)
	if !ok {
		return nil, errors.New("a redemption without a client")
	}
	r := fosite.NewRequest()
	r.SetID(g.ID)
	r.Client, r.RequestedAt = c, g.Created
	r.Form = url.Values{"redirect_uri": {g.RedirectURI}, "code_challenge": {g.CodeChallenge}, "code_challenge_method": {"S256"}}
	r.RequestedScope, r.GrantedScope = g.Scope, g.Scope
	r.GrantedAudience = fosite.Arguments{g.Audience}
	r.Session = &TokenSession{
		Nonce: g.Nonce, user: g.User,
		Claims: tokens.Claims{Subject: g.Name(), Audience: g.Audience, Session: g.Login, AuthTime: g.AuthTime, ACR: g.ACR, AMR: g.AMR},
	}
	return r, nil
}

// InvalidateAuthorizeCodeSession comes after DeletePKCERequestSession, which spent the code.
func (st storage) InvalidateAuthorizeCodeSession(ctx context.Context, _ string) error {
	if !redemptionOf(ctx).spent {
		return store.ErrSpent
	}
	return nil
}

// CreatePKCERequestSession has nothing to write: the challenge is in the grant's row.
func (storage) CreatePKCERequestSession(context.Context, string, fosite.Requester) error { return nil }

// GetPKCERequestSession gives the challenge.
func (st storage) GetPKCERequestSession(ctx context.Context, signature string, _ fosite.Session) (fosite.Requester, error) {
	red := redemptionOf(ctx)
	if red.grant == nil || red.grant.CodeHash != codeHash(signature) {
		return nil, fosite.ErrNotFound
	}
	return st.requester(ctx, red.grant)
}

// DeletePKCERequestSession spends the code. fosite calls it just before it looks at the verifier, so a wrong verifier kills the
// code: on fosite's own storage it would only lose its challenge, and a second try without any verifier could pass.
func (st storage) DeletePKCERequestSession(ctx context.Context, signature string) error {
	if err := st.s.store.SpendCode(ctx, codeHash(signature), st.s.clock()); err != nil {
		return err
	}
	redemptionOf(ctx).spent = true
	return nil
}

// CreateOpenIDConnectSession has nothing to write: the nonce is in the grant's row.
func (storage) CreateOpenIDConnectSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetOpenIDConnectSession is called with the code in clear, unlike the others. It goes on with the token's own session.
func (st storage) GetOpenIDConnectSession(ctx context.Context, code string, r fosite.Requester) (fosite.Requester, error) {
	red := redemptionOf(ctx)
	if red.grant == nil || red.grant.CodeHash != oauth.Secret(code).Hash() || !r.GetGrantedScopes().Has(oauth.ScopeOpenID) {
		return nil, openid.ErrNoSessionFound
	}
	return r, nil
}

// DeleteOpenIDConnectSession has nothing to delete.
func (storage) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

// CreateAccessTokenSession records the token of the grant before the answer leaves; jti is the strategy's signature.
func (st storage) CreateAccessTokenSession(ctx context.Context, jti string, r fosite.Requester) error {
	session, ok := r.GetSession().(*TokenSession)
	if !ok || jti == "" {
		return errors.New("a token without a session of ours")
	}
	t := store.Token{JTI: jti, Issued: session.Claims.IssuedAt, Expires: session.Claims.Expires, Key: session.Claims.Key}
	if c, ok := r.GetClient().(*client); ok && c.Settings.Refresh {
		if err := st.firstRefresh(ctx, &t); err != nil {
			return err
		}
	}
	err := st.s.store.SetToken(ctx, r.GetID(), t)
	if errors.Is(err, store.ErrNotFound) { // signed out or disabled since the code was issued
		return store.ErrSpent
	}
	return err
}

// RevokeAccessToken is what fosite calls when a code comes a second time, from the client that it was issued to: all that came of it ends.
func (st storage) RevokeAccessToken(ctx context.Context, grantID string) error {
	g := redemptionOf(ctx).grant
	if g == nil || g.ID != grantID {
		return errors.New("a revocation outside a redemption")
	}
	_, err := st.s.store.RevokeFamily(ctx, g.Family, st.s.revocation(ctx, audit.KindReuse, *g))
	return err
}

// The rest of fosite's interfaces: our own endpoints look tokens up, and refresh tokens are of a handler of our own.

func (storage) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}
func (storage) DeleteAccessTokenSession(context.Context, string) error { return fosite.ErrNotFound }
func (storage) CreateRefreshTokenSession(context.Context, string, string, fosite.Requester) error {
	return errNotFosites
}
func (storage) GetRefreshTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}
func (storage) DeleteRefreshTokenSession(context.Context, string) error  { return fosite.ErrNotFound }
func (storage) RotateRefreshToken(context.Context, string, string) error { return fosite.ErrNotFound }
func (storage) RevokeRefreshToken(context.Context, string) error         { return nil }

// codeHash reads what AuthorizeCodeSignature wrote; zero, which matches nothing, for anything else.
func codeHash(signature string) (h oauth.Hash) {
	raw, err := hex.DecodeString(signature)
	if err != nil || len(raw) != len(h) {
		return oauth.Hash{}
	}
	return oauth.Hash(raw)
}
