package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// algorithms are those of which a server holds a key of its own: one for all that it signs, and RS256, which every client can
// read and OpenID Connect Discovery §3 demands, for ID tokens.
func (s *Server) algorithms() []string {
	return slices.Compact([]string{s.algorithm, tokens.RS256})
}

// makeKeys makes the keys that rows has none of, and reports whether there is a new one, also by another process that did the same.
// Where nothing signs they do at once. One that joins others waits, so that every server and reader has seen it.
func (s *Server) makeKeys(ctx context.Context, rows []store.SigningKey) (made bool, err error) {
	activates := s.clock()
	if len(store.Signers(rows, activates, s.life.LongestToken())) > 0 {
		activates = activates.Add(tokens.KeyOverlap)
	}
	for _, algorithm := range s.algorithms() {
		if slices.ContainsFunc(rows, func(k store.SigningKey) bool { return k.Algorithm == algorithm && k.Current() }) {
			continue
		}
		made = true
		if err := s.makeKey(ctx, algorithm, activates); err != nil && !errors.Is(err, impersonation.ErrChanged) {
			return made, fmt.Errorf("making a key for %s: %w", algorithm, err)
		}
	}
	return made, nil
}

func (s *Server) makeKey(ctx context.Context, algorithm string, activates time.Time) error {
	key, err := tokens.Generate(algorithm)
	if err != nil {
		return err
	}
	sealed, err := key.Seal(s.box)
	if err != nil {
		return err
	}
	now := s.clock()
	e := audit.New(audit.KindKey, now)
	e.Actor.Issuer, e.Actor.Subject = "cli", "serve"
	e.Set("kid", key.ID)
	e.Set("alg", key.Algorithm)
	return s.store.RotateSigningKey(ctx, store.KeyRotation{
		Write: impersonation.Write{Entries: []audit.Entry{e}, Now: now},
		Key:   store.SigningKey{ID: key.ID, Algorithm: key.Algorithm, Sealed: sealed, Created: now, Activates: activates},
	})
}

// openKeys opens keys. Of one that does not open the error names the kid; the others are there beside it. What was opened before is
// not opened again. One that is revoked may be sealed under a key that is lost: it hinders nothing, and keysHeld.unsure knows.
func (s *Server) openKeys(rows []store.SigningKey, was *keysHeld) (map[string]tokens.Key, error) {
	keys := make(map[string]tokens.Key)
	var errs []error
	for _, row := range rows {
		if key, ok := was.opened(row); ok {
			keys[row.ID] = key
			continue
		}
		key, err := tokens.OpenKey(s.box, row.ID, row.Algorithm, row.Sealed)
		switch {
		case err == nil:
			keys[row.ID] = key
		case row.Revoked.IsZero():
			errs = append(errs, fmt.Errorf("key %s cannot be opened with this sealing key: %w", row.ID, err))
		}
	}
	return keys, errors.Join(errs...)
}

// keySet sorts keys by what they are for at now, and says until when that holds; zero for ever.
//
//	revoked          what is to be ended alone: no token counts, no hint, not in the JWKS
//	to sign later    verifies, since another server's clock may be ahead
//	signs            the current one of its algorithm; until its time has come, the one before
//	to retire        verifies what it signed
//	retired          ID tokens as hints, which outlive themselves, and what is to be ended
//
// A revoked key's tokens are dead wherever we are asked, and a resource server that asks nobody learns it from the JWKS. The
// sessions of impersonation behind them go on to their end: stop, by the return token, is no matter of keys. Where there is no return
// token, revocation is the stop, so a token that is dead everywhere else still ends its session.
func (s *Server) keySet(rows []store.SigningKey, keys map[string]tokens.Key, now time.Time) (set *tokens.KeySet, until time.Time, err error) {
	var k tokens.Keys
	k.Signers, k.Verifiers = own(s.ownKeys)
	held := make(map[string]bool)
	for _, key := range s.ownKeys {
		held[key.ID] = true
	}
	if len(s.ownKeys) == 0 {
		for _, row := range s.signing(rows, now) {
			if key, ok := keys[row.ID]; ok {
				k.Signers, held[row.ID] = append(k.Signers, key), true
			}
		}
	}
	for _, row := range rows {
		if key, ok := keys[row.ID]; !ok || held[row.ID] {
			continue
		} else if !row.Revoked.IsZero() {
			k.Revoked = append(k.Revoked, key)
		} else if row.Retires.IsZero() || now.Before(row.Retires) {
			k.Verifiers = append(k.Verifiers, key)
		} else {
			k.Hints = append(k.Hints, key)
		}
	}
	set, err = k.Set()
	return set, s.nextChange(rows, now), err
}

// own sorts keys that are held elsewhere: the first of each algorithm signs.
func own(keys []tokens.Key) (signers, verifiers []tokens.Key) {
	for _, key := range keys {
		if slices.ContainsFunc(signers, func(k tokens.Key) bool { return k.Algorithm == key.Algorithm }) {
			verifiers = append(verifiers, key)
		} else {
			signers = append(signers, key)
		}
	}
	return signers, verifiers
}

// signing gives the keys that sign at now: the server's own algorithm first, RS256 last, since it is there for those who can read no
// other. So where the own one has no key yet that signs, the one of before goes on.
func (s *Server) signing(rows []store.SigningKey, now time.Time) []store.SigningKey {
	signers := store.Signers(rows, now, s.life.LongestToken())
	return slices.SortedFunc(maps.Values(signers), func(a, b store.SigningKey) int {
		return cmp.Or(s.rank(a.Algorithm)-s.rank(b.Algorithm), cmp.Compare(a.Algorithm, b.Algorithm))
	})
}

func (s *Server) rank(algorithm string) int {
	switch algorithm {
	case s.algorithm:
		return 0
	case tokens.RS256:
		return 2
	}
	return 1
}

// nextChange is when the same rows are for something else.
func (s *Server) nextChange(rows []store.SigningKey, now time.Time) (next time.Time) {
	for _, k := range rows {
		for _, at := range []time.Time{k.Activates, k.Retires, k.Retires.Add(time.Nanosecond - s.life.LongestToken())} {
			if at.After(now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// sameKeys reports whether nothing changed in the store.
func sameKeys(a, b []store.SigningKey) bool {
	return slices.EqualFunc(a, b, func(a, b store.SigningKey) bool {
		return a.ID == b.ID && a.Algorithm == b.Algorithm && bytes.Equal(a.Sealed, b.Sealed) &&
			a.Activates.Equal(b.Activates) && a.Retires.Equal(b.Retires) && a.Revoked.Equal(b.Revoked)
	})
}
