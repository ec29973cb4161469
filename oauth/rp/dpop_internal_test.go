package rp

import (
	"fmt"
	"testing"
	"time"
)

// TestSpentIsBounded: what remembers proofs holds so many and no more, tells nobody "first" that it cannot remember, and is empty again in time.
func TestSpentIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1800000000, 0)
	s := &spent{now: func() time.Time { return now }}
	for i := range spentMost {
		if first, err := s.first(t.Context(), fmt.Sprint(i), now); !first || err != nil {
			t.Fatalf("proof %d: %v, %v", i, first, err)
		}
	}
	if first, err := s.first(t.Context(), "one more", now); first || err == nil {
		t.Errorf("one more than there is room for: %v, %v", first, err)
	}
	if first, err := s.first(t.Context(), "7", now); first || err != nil {
		t.Errorf("one that is remembered: %v, %v", first, err)
	}
	now = now.Add(spentTurn)
	if first, err := s.first(t.Context(), "7", now); first || err != nil {
		t.Errorf("a turn later: %v, %v", first, err)
	}
	if first, err := s.first(t.Context(), "one more", now); !first || err != nil {
		t.Errorf("one more, a turn later: %v, %v", first, err)
	}
	now = now.Add(spentTurn)
	if first, err := s.first(t.Context(), "7", now); !first || err != nil || len(s.old) != 1 {
		t.Errorf("two turns later: %v, %v, and %d are remembered", first, err, len(s.old))
	}
}

// TestRememberedIsBounded: the newest tokens are remembered, none that is long, and one that another shares its hash with is none.
func TestRememberedIsBounded(t *testing.T) {
	t.Parallel()
	v := newRemembered[*access](verifiedTokens, longestVerified)
	says := new(access)
	has := func(token string) bool { _, ok := v.find(token); return ok }
	for i := range 3 * verifiedTokens {
		v.add(fmt.Sprint("token ", i), says)
		v.find("token 0") // in use
	}
	if n := len(v.young) + len(v.old); n > 2*verifiedTokens {
		t.Errorf("%d are remembered", n)
	}
	if !has("token 0") || !has(fmt.Sprint("token ", 3*verifiedTokens-1)) {
		t.Error("one that is in use, or new, is not remembered")
	}
	if has("token 1") || has("") {
		t.Error("an old one is remembered")
	}
	long := string(make([]byte, longestVerified+1))
	v.add(long, says)
	if has(long) {
		t.Error("a long one is remembered")
	}
	v.add("this", says)
	for key, h := range v.young {
		if h.spelt == "this" {
			v.young[key] = heard[*access]{"that", says}
		}
	}
	if has("this") {
		t.Error("the hash decided, and not the token")
	}
}
