package tokens

import (
	"crypto/sha256"
	"hash/maphash"
	"strings"
	"sync"
)

const (
	// generation is how many tokens one half of a seen holds.
	generation = 2048
	// longest is the most bytes of a token that is remembered. Ours have some 800, and Sign takes claims of any length: a few apps
	// whose tokens are huge would else fill the memory with them. With what it says such a token takes about twice its length:
	// all of them together at most some 18 MB, and 6 where tokens are like ours. A longer one is read each time.
	longest = 2 << 10
	// signedGeneration is how many tokens one half of a signed holds: some 2 MB in all.
	signedGeneration = 16384
)

// seen remembers what tokens say whose signature held, so that one that comes again costs no elliptic curve. Only what our keys
// signed gets in, so strangers cannot fill it; and nothing is ever refused by it, since whether a token still counts is not in
// its bytes. It holds the newest 2048 to 4096 tokens of no more than longest. Safe for concurrent use.
type seen struct {
	seed maphash.Seed

	mu         sync.RWMutex
	young, old map[uint64]heard
}

// heard is a token as it was spelt, since two strings may share a hash, and what it says.
type heard struct {
	token  string
	claims Claims
}

func newSeen() *seen { return &seen{seed: maphash.MakeSeed(), young: make(map[uint64]heard)} }

// find gives what token says, and false if it is not remembered.
func (s *seen) find(token string) (Claims, bool) {
	key := maphash.String(s.seed, token)
	s.mu.RLock()
	h, ok := s.young[key]
	older := false
	if !ok {
		h, older = s.old[key]
	}
	s.mu.RUnlock()
	if !ok && !older || h.token != token {
		return Claims{}, false
	}
	if older {
		s.keep(key, h)
	}
	return h.claims.clone(), true
}

// add remembers a token whose signature held, unless it is too long.
func (s *seen) add(token string, c Claims) {
	if len(token) > longest {
		return
	}
	// A copy, or the token would hold on to the request that it stood in.
	s.keep(maphash.String(s.seed, token), heard{strings.Clone(token), c.clone()})
}

func (s *seen) keep(key uint64, h heard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= generation {
		s.young, s.old = make(map[uint64]heard), s.young
	}
	s.young[key] = h
}

// signed knows the tokens that this process signed last, by their SHA-256, so that their first use costs no elliptic curve
// either: most tokens are presented to the server that gave them. Like seen it only ever says yes. Safe for concurrent use.
type signed struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]struct{}
}

func newSigned() *signed { return &signed{young: make(map[[sha256.Size]byte]struct{})} }

func (s *signed) add(token string) {
	key := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= signedGeneration {
		s.young, s.old = make(map[[sha256.Size]byte]struct{}), s.young
	}
	s.young[key] = struct{}{}
}

func (s *signed) has(token string) bool {
	key := sha256.Sum256([]byte(token))
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, ok := s.young[key]; ok {
		return true
	}
	_, ok := s.old[key]
	return ok
}
