package server

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	// keysAge is how old a look at the store's keys may be: so long may a revoked key still verify.
	keysAge = time.Second
	// keysAgain is how old it must be for a token by a key that we do not know to cause another. A stranger can make up any number of
	// those, and causes ten cheap reads a second.
	keysAgain = 100 * time.Millisecond
	// keysWithin is how long one look may take.
	keysWithin = time.Second
)

// keyring is the keys in use. The zero value holds none: Server.firstKeys fills it.
type keyring struct {
	held atomic.Pointer[keysHeld]
	look singleflight.Group
}

// keysHeld is what one look at the store gave. Nothing changes it.
type keysHeld struct {
	set    *tokens.KeySet
	rows   []store.SigningKey
	keys   map[string]tokens.Key // those of rows that opened, by kid
	broken error                 // about those that did not
	failed bool                  // the last look, so there may be keys that are not here
	looked time.Time             // by a clock that nobody sets
	until  time.Time             // by Server.clock: then rows give another set; zero for never
}

// opened gives the key of row if it was opened already.
func (h *keysHeld) opened(row store.SigningKey) (tokens.Key, bool) {
	if h == nil {
		return tokens.Key{}, false
	}
	key, ok := h.keys[row.ID]
	for _, was := range h.rows {
		if was.ID == row.ID {
			return key, ok && was.Algorithm == row.Algorithm && bytes.Equal(was.Sealed, row.Sealed)
		}
	}
	return tokens.Key{}, false
}

// unsure reports whether a token by a key that we do not know may be one of ours that is not over at now, where one lasts for longest:
// the store did not answer, or a key of it did not open.
func (h *keysHeld) unsure(now time.Time, longest time.Duration) bool {
	return h.failed || slices.ContainsFunc(h.rows, func(k store.SigningKey) bool {
		_, opened := h.keys[k.ID]
		return !opened && (k.Revoked.IsZero() || now.Before(k.Revoked.Add(longest)))
	})
}

// keys gives the keys in use. While nothing changes it is the same set, which remembers tokens.
func (s *Server) keys() *tokens.KeySet { return s.keysOf(keysAge) }

// keysOf is keys by a look at the store that is no older than age. When the store does not answer, the keys of before stay in use: a
// token that verifies is looked up there anyway, and what is to be signed was written there.
func (s *Server) keysOf(age time.Duration) *tokens.KeySet {
	h := s.ring.held.Load()
	if time.Since(h.looked) < age && (h.until.IsZero() || s.clock().Before(h.until)) {
		return h.set
	}
	return s.lookForKeys().set
}

// verifyToken is KeySet.Verify by the keys in use. A key that we do not know may be one by which another server has just begun to
// sign, so the store is asked once more.
func (s *Server) verifyToken(token string, e tokens.Expect) (tokens.Claims, error) {
	c, err := s.keys().Verify(token, e)
	if errors.Is(err, tokens.ErrUnknownKey) {
		return s.keysOf(keysAgain).Verify(token, e)
	}
	return c, err
}

// verifyToEnd is KeySet.VerifyToEnd by the keys in use and those of before. It takes a token that another server gave whose clock is
// ahead of ours, and one at any age. A token that nobody can tell about now is errUnavailable: who is told that there was nothing to
// end does not come again.
func (s *Server) verifyToEnd(token string) (tokens.Claims, error) {
	e := tokens.Expect{Issuer: s.issuer, Now: s.clock(), Leeway: tokens.KeyMargin, AllowExpired: true}
	c, err := s.keys().VerifyToEnd(token, e)
	if !errors.Is(err, tokens.ErrUnknownKey) {
		return c, err
	}
	h := s.lookForKeys() // no more work than to look up the client who asks
	c, err = h.set.VerifyToEnd(token, e)
	if errors.Is(err, tokens.ErrUnknownKey) && h.unsure(e.Now, s.life.LongestToken()) {
		return tokens.Claims{}, errUnavailable
	}
	return c, err
}

// lookForKeys looks at the store's keys, once for all who ask meanwhile.
func (s *Server) lookForKeys() *keysHeld {
	v, _, _ := s.ring.look.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), keysWithin) // it belongs to no single request
		defer cancel()
		was := s.ring.held.Load()
		rows, err := s.readKeys(ctx)
		if err != nil {
			s.log.WarnContext(ctx, "looking for new signing keys failed", "error", err)
		}
		if rows == nil {
			rows = was.rows
		}
		failed := err != nil
		h := *was
		if now := s.clock(); !sameKeys(rows, was.rows) || !was.until.IsZero() && !now.Before(was.until) {
			if h, err = s.holdKeys(rows, was, now); err != nil {
				s.log.ErrorContext(ctx, "signing keys cannot be used", "error", err)
			}
		}
		h.failed, h.looked = failed, time.Now()
		s.ring.held.Store(&h)
		return &h, nil
	})
	return v.(*keysHeld)
}

// holdFirstKeys fills the ring. Unlike later, every key must open: a server with a wrong sealing key must not start.
func (s *Server) holdFirstKeys(ctx context.Context) error {
	rows, err := s.readKeys(ctx)
	if err != nil {
		return err
	}
	h, err := s.holdKeys(rows, new(keysHeld), s.clock())
	if err != nil {
		return err
	}
	h.looked = time.Now()
	s.ring.held.Store(&h)
	return nil
}

// holdKeys opens and sorts rows. What cannot be used is left out: a revocation beside it must count.
func (s *Server) holdKeys(rows []store.SigningKey, was *keysHeld, now time.Time) (keysHeld, error) {
	h := keysHeld{rows: rows}
	h.keys, h.broken = s.openKeys(rows, was)
	var err error
	h.set, h.until, err = s.keySet(rows, h.keys, now)
	return h, errors.Join(h.broken, err)
}

// readKeys reads the store's keys, and makes those that are missing unless the program brought its own. With an error it may give
// rows too: those that were there before one could not be made.
func (s *Server) readKeys(ctx context.Context) ([]store.SigningKey, error) {
	rows, err := s.store.SigningKeys(ctx)
	if err != nil || len(s.ownKeys) > 0 {
		return rows, err
	}
	made, err := s.makeKeys(ctx, rows)
	if err != nil || !made {
		return rows, err
	}
	return s.store.SigningKeys(ctx)
}
