package pace

import (
	"strconv"
	"testing"
	"time"
)

// crowd has every one of n strangers spend as often as told.
func crowd(t *testing.T, l *Limits, from, n, times int, now time.Time) {
	t.Helper()
	for i := from; i < from+n; i++ {
		for range times {
			if wait := l.Spend("stranger "+strconv.Itoa(i), now); wait != 0 {
				t.Fatalf("stranger %d: must wait %v", i, wait)
			}
		}
	}
}

// TestLimitsForgetTheIdle: however many strangers come, who has used up what they have waits for more, as long as there are others that
// lose nothing by being forgotten.
func TestLimitsForgetTheIdle(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := New(60)
	for range 60 {
		if wait := l.Spend("guesser", now); wait != 0 {
			t.Fatalf("must wait %v", wait)
		}
	}
	crowd(t, l, 0, maxLimits-1, 1, now)
	later := now.Add(1500 * time.Millisecond) // the strangers have all of their 60 again, the guesser has one
	crowd(t, l, maxLimits, 1000, 1, later)
	if l.Spend("guesser", later) != 0 || l.Spend("guesser", later) == 0 || l.Wait("guesser", later) == 0 {
		t.Error("a thousand strangers had the guesser begin anew, or made them wait for what is theirs")
	}
	if len(l.by) > maxLimits {
		t.Errorf("%d keys are remembered; want %d at most", len(l.by), maxLimits)
	}
}

// TestLimitsAreBounded: where nobody is idle a new key is let in all the same, in the place of one other, and no more than the most
// are remembered.
func TestLimitsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := New(1)
	crowd(t, l, 0, maxLimits, 1, now)
	const more = 100
	crowd(t, l, maxLimits, more, 1, now)
	waiting := 0
	for i := range maxLimits {
		if l.Wait("stranger "+strconv.Itoa(i), now) > 0 {
			waiting++
		}
	}
	if len(l.by) != maxLimits || waiting < maxLimits-more {
		t.Errorf("%d keys are remembered, %d of the first still wait; want %d, and all but %d at most", len(l.by), waiting, maxLimits, more)
	}
}
