package rp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// signed reads what the issuer signs for the client that we are: who signed in, and what is over. Impersonation tokens are none of it.
type signed struct {
	issuer *issuer
	keys   *keys
	now    func() time.Time
}

// newSigned fetches nothing yet. Fetches make sense until life ends.
func newSigned(life context.Context, i *issuer, now func() time.Time, log *slog.Logger) *signed {
	return &signed{issuer: i, keys: &keys{issuer: i, life: life, now: now, log: log}, now: now}
}

// open gives the claims of a JWT whose typ is one of types. Its error is a *fault, unless the issuer's keys cannot be had: then it is a
// *keysError.
func (v *signed) open(ctx context.Context, token string, types ...string) ([]byte, error) {
	payload, err := tokens.VerifySigned(token, tokens.ExpectSigned{
		Types: types, Algorithms: tokens.Algorithms(), MaxLength: tokens.MaxLength,
		Keys: func(kid string) (found []tokens.PublicKey, err error) {
			ring, err := v.keys.get(ctx, v.now())
			if err == nil {
				_, found, err = v.keys.find(ctx, ring, kid)
			}
			if err != nil {
				err = &keysError{err}
			}
			return found, err
		},
	})
	var unknown *keysError
	switch {
	case err == nil, errors.As(err, &unknown):
		return payload, err
	case errors.Is(err, tokens.ErrSignature), errors.Is(err, tokens.ErrKey):
		return nil, &fault{"invalid_key", err}
	}
	return nil, &fault{"invalid_request", err}
}
