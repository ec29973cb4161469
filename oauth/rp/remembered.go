package rp

import (
	"hash/maphash"
	"sync"
)

// remembered is what strings turned out to say: tokens whose signature held, cookies that could be opened. It holds the newest of them, half its size at
// least. Its key is the whole string, byte for byte, so another spelling of one is another, and is read. Whether what it says still counts is no part
// of it: times are looked at on each request, and the session by its id. Only what was found to be good gets in, so strangers cannot fill it. Safe for
// concurrent use; nil remembers nothing.
//
// A keyed hash finds the place and the string itself decides, which is surer than a digest, and costs an eighth of SHA-256.
type remembered[T any] struct {
	half    int // how many one half holds
	longest int // the most bytes of a string: a longer one is read each time
	seed    maphash.Seed

	mu         sync.RWMutex
	young, old map[uint64]heard[T]
}

// heard is a string as it was spelt, since two may share a hash, and what it says.
type heard[T any] struct {
	spelt string
	says  T
}

func newRemembered[T any](half, longest int) *remembered[T] {
	return &remembered[T]{half: half, longest: longest, seed: maphash.MakeSeed(), young: make(map[uint64]heard[T])}
}

// find gives what spelt says.
func (m *remembered[T]) find(spelt string) (says T, ok bool) {
	if m == nil {
		return says, false
	}
	key := maphash.String(m.seed, spelt)
	m.mu.RLock()
	h, ok := m.young[key]
	older := false
	if !ok {
		h, older = m.old[key]
	}
	m.mu.RUnlock()
	if h.spelt != spelt || !ok && !older {
		return says, false
	}
	if older {
		m.keep(key, h)
	}
	return h.says, true
}

// add remembers a string, unless it is too long. spelt is the caller's copy: as a part of a header it would keep that too.
func (m *remembered[T]) add(spelt string, says T) {
	if m != nil && len(spelt) <= m.longest {
		m.keep(maphash.String(m.seed, spelt), heard[T]{spelt, says})
	}
}

func (m *remembered[T]) keep(key uint64, h heard[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.half {
		m.young, m.old = make(map[uint64]heard[T]), m.young
	}
	m.young[key] = h
}
