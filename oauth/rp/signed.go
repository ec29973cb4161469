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

// errKeysOld is what a kid comes to that is not among keys asked for before it came, while it is too early to ask again: it may be of a new one.
var errKeysOld = errors.New("the issuer's keys cannot be asked for again so soon")

// open gives the claims of a JWT whose typ is one of types, and that came at came. Its error is a *fault, unless nobody can tell whether the
// issuer signed it: then it is a *keysError.
func (v *signed) open(ctx context.Context, came time.Time, token string, types ...string) ([]byte, error) {
	payload, err := tokens.VerifySigned(token, tokens.ExpectSigned{
		Types: types, Algorithms: tokens.Algorithms(), MaxLength: tokens.MaxLength,
		Keys: func(kid string) (found []tokens.PublicKey, err error) {
			ring, err := v.keys.get(ctx, v.now())
			if err == nil {
				ring, found, err = v.keys.find(ctx, ring, kid)
			}
			if err == nil && found == nil && ring.asked.Before(came) {
				err = errKeysOld
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
