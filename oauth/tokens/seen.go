package tokens

import (
	"hash/maphash"
	"strings"
	"sync"
)

const (
	// generation is how many tokens one half of a seen holds.
	generation = 8192
	// longest is the most bytes of a token that is remembered. Ours have some 800, and Sign takes claims of any length: a few apps
	// whose tokens are huge would else fill the memory with them. With what it says such a token takes about twice its length:
	// all of them together at most some 70 MB, and 25 where tokens are like ours. A longer one costs its elliptic curve each time.
	longest = 2 << 10
)

// seen remembers what tokens say whose signature held, so that one that comes again costs no elliptic curve. Only what our keys
// signed gets in, so strangers cannot fill it; and nothing is ever refused by it, since whether a token still counts is not in
// its bytes. It holds the newest 8192 to 16384 tokens of no more than longest. Safe for concurrent use.
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
