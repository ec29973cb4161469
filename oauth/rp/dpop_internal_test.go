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

// TestVerifiedIsBounded: the newest tokens are remembered, none that is long, and one that another shares its hash with is none.
func TestVerifiedIsBounded(t *testing.T) {
	t.Parallel()
	v := newVerified()
	says := new(access)
	for i := range 3 * verifiedGeneration {
		v.add(fmt.Sprint("token ", i), says)
		v.find("token 0") // in use
	}
	if n := len(v.young) + len(v.old); n > 2*verifiedGeneration {
		t.Errorf("%d are remembered", n)
	}
	if v.find("token 0") == nil || v.find(fmt.Sprint("token ", 3*verifiedGeneration-1)) == nil {
		t.Error("one that is in use, or new, is not remembered")
	}
	if v.find("token 1") != nil || v.find("") != nil {
		t.Error("an old one is remembered")
	}
	long := string(make([]byte, longestVerified+1))
	v.add(long, says)
	if v.find(long) != nil {
		t.Error("a long one is remembered")
	}
	v.add("this", says)
	for key, h := range v.young {
		if h.token == "this" {
			v.young[key] = heard{"that", says}
		}
	}
	if v.find("this") != nil {
		t.Error("the hash decided, and not the token")
	}
}
