package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// idClaims are the claims of an ID token that we look at (OpenID Connect Core §2).
type idClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience audience        `json:"aud"`
	Client   *string         `json:"azp"`
	Nonce    string          `json:"nonce"`
	IssuedAt int64           `json:"iat"`
	Expires  int64           `json:"exp"`
	Act      json.RawMessage `json:"act"`
}

// audience is one string or several.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// idLeeway is by how much the issuer's clock may differ where somebody signs in.
const idLeeway = time.Minute

// idToken gives the sub of an ID token (OpenID Connect Core §3.1.3.7). It came from the token endpoint itself; its signature is checked all the same,
// since whatever stands in between can then make up nobody.
func (v *signed) idToken(ctx context.Context, token, nonce string) (sub string, err error) {
	payload, err := v.open(ctx, v.now(), token, "jwt", "")
	if f := new(fault); errors.As(err, &f) {
		return "", fmt.Errorf("the ID token was refused: %w", f.rule)
	} else if err != nil {
		return "", err
	}
	var c idClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return "", fmt.Errorf("decoding the ID token: %w", err)
	}
	return c.Subject, v.checkID(c, nonce)
}

func (v *signed) checkID(c idClaims, nonce string) error {
	now := v.now()
	switch {
	case c.Issuer != v.issuer.url, len(c.Audience) != 1 || c.Audience[0] != v.issuer.id, c.Client != nil && *c.Client != v.issuer.id:
		return errors.New("the ID token is of another issuer or for another client")
	case c.Nonce != nonce:
		return errors.New("the ID token answers another request: its nonce differs")
	case c.IssuedAt <= 0 || c.IssuedAt > now.Add(idLeeway).Unix() || c.Expires <= now.Add(-idLeeway).Unix():
		return errors.New("the ID token is out of time")
	case c.Subject == "" || c.Act != nil:
		return errors.New("the ID token names nobody, or somebody who is impersonated")
	}
	return nil
}
