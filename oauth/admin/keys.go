package admin

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// KeyState is what a signing key is for at some time.
type KeyState string

// The states of a key.
const (
	KeyWaits   KeyState = "waits"   // published, and signs later
	KeySigns   KeyState = "signs"   // and verifies
	KeyRetires KeyState = "retires" // verifies what it signed
	KeyRetired KeyState = "retired" // only reads ID tokens that come as hints
	KeyRevoked KeyState = "revoked" // only tells which session to end, to who revokes a token
)

// Key is a signing key and what it is for now.
type Key struct {
	store.SigningKey
	State KeyState
}

// Keys lists the store's signing keys, newest first.
func (a *Admin) Keys(ctx context.Context) ([]Key, error) {
	all, err := a.Store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading signing keys: %w", err)
	}
	now := a.Now()
	signers := store.Signers(all, now, a.LongestToken)
	out := make([]Key, 0, len(all))
	for _, k := range all {
		out = append(out, Key{k, stateOf(k, signers[k.Algorithm].ID == k.ID, now)})
	}
	return out, nil
}

func stateOf(k store.SigningKey, signs bool, now time.Time) KeyState {
	switch {
	case !k.Revoked.IsZero():
		return KeyRevoked
	case signs:
		return KeySigns
	case k.Retires.IsZero():
		return KeyWaits
	case now.Before(k.Retires):
		return KeyRetires
	}
	return KeyRetired
}

// Rotation is what RotateKey did.
type Rotation struct {
	// Key is the new one; it signs from Key.Activates on.
	Key store.SigningKey
	// Was is the ID of the key in whose place it is, "" for none; that one verifies until WasRetires.
	Was        string
	WasRetires time.Time
}

// RotateKey makes a signing key of algorithm, "" for Config.SigningAlgorithm, in the place of the current one. Who has the JWKS in a
// cache must see the new key first, so it signs after tokens.KeyOverlap; with haste, after tokens.KeyHaste, which cached copies of
// the JWKS will not have heard of; and at once where none signs. It returns an *InvalidError, impersonation.ErrChanged if somebody else rotates at the same time,
// tokens.ErrKey for a SealingKey that is not the server's, or what Config.SealingKey does.
func (a *Admin) RotateKey(ctx context.Context, algorithm string, haste bool) (Rotation, error) {
	if algorithm == "" {
		algorithm = a.SigningAlgorithm
	}
	key, err := a.newKey(ctx, algorithm)
	if err != nil {
		return Rotation{}, err
	}
	all, err := a.Store.SigningKeys(ctx)
	if err != nil {
		return Rotation{}, fmt.Errorf("reading signing keys: %w", err)
	}
	switch {
	case len(store.Signers(all, key.Created, a.LongestToken)) == 0: // nobody waits for anything
	case haste:
		key.Activates = key.Created.Add(tokens.KeyHaste)
	default:
		key.Activates = key.Created.Add(tokens.KeyOverlap)
	}
	r := Rotation{Key: key}
	if i := slices.IndexFunc(all, func(k store.SigningKey) bool { return k.Algorithm == algorithm && k.Current() }); i >= 0 {
		r.Was, r.WasRetires = all[i].ID, key.Activates.Add(a.LongestToken+tokens.KeyMargin)
	}
	w := store.KeyRotation{Write: a.keyWrite(audit.KindKey, key, ""), Key: key, Was: r.Was, WasRetires: r.WasRetires}
	w.Entries[0].Set("was", r.Was)
	if err := a.Store.RotateSigningKey(ctx, w); err != nil {
		return Rotation{}, fmt.Errorf("rotating the key for %s: %w", algorithm, err)
	}
	a.log(ctx, "made a signing key", slog.String("kid", key.ID), slog.String("alg", algorithm), slog.String("was", r.Was))
	return r, nil
}

// RevokeKey makes a signing key good for nothing, within a second on every server: each token that it signed is refused, so people
// sign in anew, and impersonations can only be stopped, also by revoking their token. kid is its whole ID, why the operator's
// reason, 1 to policy.MaxReason characters. If no other is left to sign what the server needs, it makes one that does at once, and
// returns its ID, or "": also where the sealing key is not at hand, since to revoke must not wait for that; then the server makes
// one. It returns an *InvalidError for a key that there is not, and impersonation.ErrChanged for one that is revoked already.
func (a *Admin) RevokeKey(ctx context.Context, kid, why string) (replacement string, err error) {
	if err := checkReason(why); err != nil {
		return "", err
	}
	all, err := a.Store.SigningKeys(ctx)
	if err != nil {
		return "", fmt.Errorf("reading signing keys: %w", err)
	}
	i := slices.IndexFunc(all, func(k store.SigningKey) bool { return k.ID == kid })
	if i < 0 {
		return "", invalid("kid", "there is no %q", kid)
	}
	w := store.KeyRevocation{Write: a.keyWrite(audit.KindKeyRevoke, all[i], why), ID: kid}
	w.Outlives = w.Now.Add(a.LongestToken)
	if all[i].Current() && (all[i].Algorithm == a.SigningAlgorithm || all[i].Algorithm == tokens.RS256) {
		a.replaceWith(ctx, &w, all[i].Algorithm)
	}
	replaced, err := a.Store.RevokeSigningKey(ctx, w)
	if err != nil {
		return "", fmt.Errorf("revoking key %s: %w", kid, err)
	}
	a.log(ctx, "revoked a signing key", slog.String("kid", kid), slog.Bool("replaced", replaced))
	if !replaced {
		return "", nil
	}
	return w.Replacement.ID, nil
}

// replaceWith puts a key into w that signs at once, if one can be sealed.
func (a *Admin) replaceWith(ctx context.Context, w *store.KeyRevocation, algorithm string) {
	key, err := a.newKey(ctx, algorithm)
	if err != nil {
		a.Logger.WarnContext(ctx, "no key takes the place of the one that is revoked: the server makes one", "error", err)
		return
	}
	w.Replacement, w.Replaced = key, a.keyWrite(audit.KindKey, key, "").Entries[0]
}

// newKey makes a key that signs from now on.
func (a *Admin) newKey(ctx context.Context, algorithm string) (store.SigningKey, error) {
	if !slices.Contains(tokens.Algorithms(), algorithm) {
		return store.SigningKey{}, invalid("alg", "must be one of %s", strings.Join(tokens.Algorithms(), ", "))
	}
	box, err := a.box(ctx)
	if err != nil {
		return store.SigningKey{}, err
	}
	key, err := tokens.Generate(algorithm)
	if err != nil {
		return store.SigningKey{}, err
	}
	sealed, err := key.Seal(box)
	now := a.bare().Now
	return store.SigningKey{ID: key.ID, Algorithm: algorithm, Sealed: sealed, Created: now, Activates: now}, err
}

func (a *Admin) keyWrite(kind audit.Kind, k store.SigningKey, why string) impersonation.Write {
	return a.write(kind, directory.User{}, func(e *audit.Entry) {
		e.Set("kid", k.ID)
		e.Set("alg", k.Algorithm)
		e.SetPersonal("note", why)
	})
}
