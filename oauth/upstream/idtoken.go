package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	// maxIDToken is the most bytes of an ID token. Providers put up to 200 groups with long names into one.
	maxIDToken = 32 << 10
	// maxIDTokenAge is how long ago an ID token may have been issued: it comes straight from the token endpoint.
	maxIDTokenAge = 5 * time.Minute
	// leeway is by how much the issuer's clock may be off, where a time must not lie ahead.
	leeway = time.Minute
)

// idTokenTypes are the typ of ID tokens, never that of another kind of JWT (RFC 8725 §3.12).
var idTokenTypes = []string{"", "jwt"}

// verifyIDToken reads an ID token that came for r beside accessToken (OpenID Connect Core §3.1.3.7).
func (p *Provider) verifyIDToken(ctx context.Context, idToken, accessToken string, r AuthRequest) (*object, error) {
	payload, claims, err := p.open(ctx, "id_token", idToken, idTokenTypes, maxIDToken, p.issuer.Keys)
	if err != nil {
		return nil, err
	}
	if err := p.checkIDToken(claims, r); err != nil {
		return nil, err
	}
	// The second reader is one that others use too. The signature it need not see again.
	second, err := p.secondReader(payload).Verify(ctx, idToken)
	if err != nil {
		return nil, fmt.Errorf("%w: id_token: another reader refuses it", ErrAnswer)
	}
	if second.AccessTokenHash != "" && second.VerifyAccessToken(accessToken) != nil {
		return nil, fmt.Errorf("%w: at_hash is that of another access token", ErrAnswer)
	}
	return claims, nil
}

// open verifies a JWT of the issuer, which the error calls what, and gives its claims.
func (p *Provider) open(ctx context.Context, what, token string, types []string, most int,
	keys func(context.Context, string) ([]tokens.PublicKey, error)) ([]byte, *object, error) {
	payload, err := tokens.VerifySigned(token, tokens.ExpectSigned{
		Types: types, Algorithms: p.c.Algorithms, MaxLength: most,
		Keys: func(kid string) ([]tokens.PublicKey, error) { return keys(ctx, kid) },
	})
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDocument) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrAnswer, what, err)
	}
	claims, err := parseObject(what, payload)
	return payload, claims, err
}

// verified is an oidc.KeySet for the one JWT whose signature has been verified already.
type verified []byte

// VerifySignature gives the payload that was signed.
func (v verified) VerifySignature(context.Context, string) ([]byte, error) { return v, nil }

func (p *Provider) secondReader(payload []byte) *oidc.IDTokenVerifier {
	return oidc.NewVerifier(p.issuer.url, verified(payload), &oidc.Config{ClientID: p.c.ClientID, SupportedSigningAlgs: p.c.Algorithms, Now: p.issuer.now})
}

// checkIDToken holds what the token says against us, the clock and the request.
func (p *Provider) checkIDToken(c *object, r AuthRequest) error {
	now := p.issuer.now()
	var nonce, sub string
	var expires, authTime time.Time
	c.text("nonce", &nonce)
	c.text("sub", &sub)
	c.time("exp", &expires)
	c.time("auth_time", &authTime)
	if err := p.checkIssued(c, now, maxIDTokenAge); err != nil {
		return err
	}
	switch {
	case nonce != r.Nonce || nonce == "":
		return fmt.Errorf("%w: nonce is another request's", ErrAnswer)
	case sub == "" || !isSubject(sub):
		return fmt.Errorf("%w: sub must have 1 to 255 printable ASCII characters", ErrDocument)
	case !now.Before(expires):
		return fmt.Errorf("%w: exp is required and must lie ahead", ErrAnswer)
	case r.MaxAge >= 0 && authTime.IsZero():
		return fmt.Errorf("%w: auth_time is required where max_age was asked", ErrAnswer)
	case r.MaxAge >= 0 && authTime.Before(r.earliest(now)):
		return fmt.Errorf("%w: auth_time is longer ago than max_age", ErrAnswer)
	case authTime.After(now.Add(leeway)):
		return fmt.Errorf("%w: auth_time must not lie ahead", ErrAnswer)
	}
	return nil
}

// earliest is when the person may have signed in at the earliest.
func (r AuthRequest) earliest(now time.Time) time.Time {
	if !r.Asked.IsZero() {
		now = r.Asked
	}
	return now.Add(-r.MaxAge - leeway)
}

// checkIssued wants the issuer's own iss, us in aud and azp, and an iat that lies no further back than age.
func (p *Provider) checkIssued(c *object, now time.Time, age time.Duration) error {
	var issuer, party string
	var audience []string
	var issued, notBefore time.Time
	c.text("iss", &issuer)
	c.text("azp", &party)
	c.audience(&audience)
	c.time("iat", &issued)
	c.time("nbf", &notBefore)
	switch {
	case c.err != nil:
		return c.err
	case issuer != p.issuer.url:
		return fmt.Errorf("%w: iss is another issuer", ErrAnswer)
	case !slices.Contains(audience, p.c.ClientID):
		return fmt.Errorf("%w: aud is another client", ErrAnswer)
	case (len(audience) > 1 || c.has("azp")) && party != p.c.ClientID:
		return fmt.Errorf("%w: azp is another client, or missing beside several aud", ErrAnswer)
	case issued.IsZero() || now.Sub(issued) > age:
		return fmt.Errorf("%w: iat is required and must be of the last %s", ErrAnswer, age)
	case issued.After(now.Add(leeway)) || notBefore.After(now.Add(leeway)):
		return fmt.Errorf("%w: iat and nbf must not lie ahead", ErrAnswer)
	}
	return nil
}

// audience reads aud: a string, or an array of them (RFC 7519 §4.1.3).
func (o *object) audience(to *[]string) {
	var one string
	if o.has("aud") && json.Unmarshal(o.members["aud"], &one) == nil {
		*to = []string{one}
		return
	}
	o.read("aud", to, "must be a string or an array of strings")
}

// isSubject reports whether s has the form of a sub (OpenID Connect Core §2).
func isSubject(s string) bool {
	return len(s) <= 255 && !slices.ContainsFunc([]byte(s), func(b byte) bool { return b < ' ' || b > '~' })
}
