package store

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// Keys keeps signing keys.
type Keys interface {
	// SigningKeys gives all, retired and revoked ones too, newest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// RotateSigningKey adds a key, in the place of the current one of its algorithm: at most one key of an algorithm is current, which
	// is neither revoked nor to retire. impersonation.ErrChanged if the current one is not w.Was, so that of two who rotate at once,
	// or two processes that make the first key, one does. ErrExists.
	RotateSigningKey(ctx context.Context, w KeyRotation) error
	// RevokeSigningKey revokes a key for good, retired or not, and sees to it that one of its algorithm signs. It reports whether
	// that took w.Replacement. ErrNotFound, and impersonation.ErrChanged if it is revoked already.
	RevokeSigningKey(ctx context.Context, w KeyRevocation) (replaced bool, err error)
}

// SigningKey is a private key, sealed.
type SigningKey struct {
	ID        string // kid
	Algorithm string // JWA name, "ES256"
	Sealed    []byte
	Created   time.Time
	Activates time.Time // it signs from then on
	Retires   time.Time // it verifies until then; zero for the current one of its algorithm
	Revoked   time.Time // zero: not
}

// Current reports whether nothing takes the key's place: it signs, or will once its time has come.
func (k SigningKey) Current() bool { return k.Retires.IsZero() && k.Revoked.IsZero() }

// MaySign reports whether the key's time has come and it outlives what it signs at now, where a token lasts for longest.
func (k SigningKey) MaySign(now time.Time, longest time.Duration) bool {
	return k.Revoked.IsZero() && !now.Before(k.Activates) && (k.Retires.IsZero() || !k.Retires.Before(now.Add(longest)))
}

// Signers gives by algorithm the key that signs at now: the current one, or until its time has come the one before. longest is as
// in MaySign.
func Signers(keys []SigningKey, now time.Time, longest time.Duration) map[string]SigningKey {
	out := make(map[string]SigningKey)
	for _, k := range keys {
		best, found := out[k.Algorithm]
		if k.MaySign(now, longest) && (!found || k.succeeds(best)) {
			out[k.Algorithm] = k
		}
	}
	return out
}

// succeeds reports whether k signs rather than other.
func (k SigningKey) succeeds(other SigningKey) bool {
	if k.Current() != other.Current() {
		return k.Current()
	}
	return k.Activates.After(other.Activates)
}

// KeyRotation puts a key in the place of another.
type KeyRotation struct {
	impersonation.Write
	// Key is the new one, which is current.
	Key SigningKey
	// Was is the ID of the current key of the same algorithm, "" for none.
	Was string
	// WasRetires is until when that one verifies: not before the last token is over that it signs until Key.Activates.
	WasRetires time.Time
}

// KeyRevocation revokes a key.
type KeyRevocation struct {
	impersonation.Write
	// ID is the kid.
	ID string
	// Outlives is when a token that is signed now may be over at the latest: a key that retires before signs no more. If so none is
	// left that signs, the current key of the algorithm signs from Now on, whenever it was meant to.
	Outlives time.Time
	// Replacement is added if there is no current key of its algorithm, which must be that of the revoked one. The zero value adds none.
	Replacement SigningKey
	// Replaced is written with Replacement.
	Replaced audit.Entry
}
