package upstream

import (
	"context"
)

// ParseMetadata reads a discovery document as Metadata does.
func ParseMetadata(body []byte, issuer string) (Metadata, error) {
	return parseMetadata(body, issuer, false)
}

// ReadClaims reads the claims of an ID token for r that verified as Redeem does, and gives the subject that the second reader sees.
func (p *Provider) ReadClaims(payload []byte, r AuthRequest) (id *Identity, second string, err error) {
	c, err := parseObject("id_token", payload)
	if err != nil {
		return nil, "", err
	}
	if err := p.checkIDToken(c, r); err != nil {
		return nil, "", err
	}
	p.lift(c)
	if id, err = p.identity(c, ""); err != nil {
		return nil, "", err
	}
	const header = "eyJhbGciOiJFUzI1NiJ9." // ES256; what follows need not be what is read
	if t, err := p.secondReader(payload).Verify(context.Background(), header+"e30.AA"); err == nil {
		second = t.Subject
	}
	return id, second, nil
}
