package tokens

import (
	"hash/maphash"
	"strings"
	"sync"
)

// generation is how many tokens one half of a seen holds: together at most 12 MB.
const generation = 4096

// seen remembers what tokens say whose signature held, so that one that comes again costs no elliptic curve. Only what our keys
// signed gets in, so strangers cannot fill it; and nothing is ever refused by it, since whether a token still counts is not in
// its bytes. It holds the newest 4096 to 8192 tokens. Safe for concurrent use.
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

// add remembers a token whose signature held.
func (s *seen) add(token string, c Claims) {
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
