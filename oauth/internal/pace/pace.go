// Package pace bounds how often somebody may do something, for as many as come. Start with [New]. It keeps a bounded number of keys, knows nothing
// of what they stand for, and tells nobody to wait: it says for how long.
package pace

import (
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxLimits bounds the keys that are remembered.
	maxLimits = 100_000
	// sweepEvery is for how long limits do not look again for keys that are idle: to look at all of them takes milliseconds, in which
	// everybody waits.
	sweepEvery = time.Second
)

// Limits is a rate limiter per key: a user, a session, a client. Make it with New. Safe for concurrent use.
type Limits struct {
	mu        sync.Mutex
	perMinute int
	by        map[string]*rate.Limiter
	swept     time.Time
}

// New makes limits of so many in a minute for each key, all of them at once if they come so. perMinute must not be zero; negative is no limit.
func New(perMinute int) *Limits {
	return &Limits{perMinute: perMinute, by: make(map[string]*rate.Limiter)}
}

// Spend counts one and answers 0, or, where none is left, for how long there will be none.
func (l *Limits) Spend(key string, now time.Time) (wait time.Duration) {
	if l.perMinute < 0 {
		return 0
	}
	l.mu.Lock()
	lim := l.by[key]
	if lim == nil {
		l.makeRoom(now)
		lim = rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)
		l.by[key] = lim
	}
	l.mu.Unlock()
	if !lim.AllowN(now, 1) {
		return max(until(lim, now), time.Nanosecond)
	}
	return 0
}

// makeRoom sees to it that there is room for one more key. Idle ones go first: each has all that it may have, so it loses nothing. Where
// none is, any other goes. To refuse the new one would let a stranger with many addresses shut everybody out; so he gets one key at a
// time to begin anew, and nobody knows whose, for as many requests as there are keys.
func (l *Limits) makeRoom(now time.Time) {
	if len(l.by) < maxLimits {
		return
	}
	if now.Sub(l.swept).Abs() >= sweepEvery {
		l.swept = now
		maps.DeleteFunc(l.by, func(_ string, lim *rate.Limiter) bool { return lim.TokensAt(now) >= float64(l.perMinute) })
	}
	for key := range l.by { // in no order
		if len(l.by) < maxLimits {
			return
		}
		delete(l.by, key)
	}
}

// Wait is for how long none is left: 0 if one is. It counts nothing.
func (l *Limits) Wait(key string, now time.Time) time.Duration {
	l.mu.Lock()
	lim := l.by[key]
	l.mu.Unlock()
	if lim == nil {
		return 0
	}
	return until(lim, now)
}

func until(lim *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - lim.TokensAt(now)
	return max(0, time.Duration(missing/float64(lim.Limit())*float64(time.Second)))
}
