package rp

import (
	"hash/maphash"
	"sync"
)

const (
	// verifiedGeneration is how many tokens one half of a verified holds.
	verifiedGeneration = 2048
	// longestVerified is the most bytes of a token that is remembered. The issuer's have some 800; at twice that for what it says, all of
	// them together take 24 MB at most. A longer one is read each time.
	longestVerified = 2 << 10
)

// verified remembers what tokens say whose signature held under one set of keys: the newest 2048 to 4096. Its key is the whole token, byte for
// byte, so another spelling of one is another, and is read. Whether it still counts is no part of it: exp is looked at each time, and the session
// by its id. Only what the issuer signed gets in, so strangers cannot fill it. Safe for concurrent use.
//
// A keyed hash finds the place and the token itself decides, which is surer than a digest, and costs an eighth of SHA-256.
type verified struct {
	seed maphash.Seed

	mu         sync.RWMutex
	young, old map[uint64]heard
}

// heard is a token as it was spelt, since two strings may share a hash, and what it says.
type heard struct {
	token string
	says  *access
}

func newVerified() *verified {
	return &verified{seed: maphash.MakeSeed(), young: make(map[uint64]heard)}
}

// find gives what token says, nil if it is not remembered.
func (v *verified) find(token string) *access {
	key := maphash.String(v.seed, token)
	v.mu.RLock()
	h, ok := v.young[key]
	older := false
	if !ok {
		h, older = v.old[key]
	}
	v.mu.RUnlock()
	if h.token != token {
		return nil
	}
	if older {
		v.keep(key, h)
	}
	return h.says
}

// add remembers a token whose signature held, unless it is too long. token is the caller's copy: as a part of a header it would keep
// that too.
func (v *verified) add(token string, says *access) {
	if len(token) <= longestVerified {
		v.keep(maphash.String(v.seed, token), heard{token, says})
	}
}

func (v *verified) keep(key uint64, h heard) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.young) >= verifiedGeneration {
		v.young, v.old = make(map[uint64]heard), v.young
	}
	v.young[key] = h
}
