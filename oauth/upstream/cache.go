package upstream

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// An answer is fresh for as long as it says, within these bounds, and for usualFresh where it says nothing. Each instance asks an
	// issuer once a minute at most for what it has; a key that an issuer takes back counts here for an hour at most.
	leastFresh, usualFresh, mostFresh = time.Minute, 10 * time.Minute, time.Hour
	// staleLifetime is how long beyond that an answer serves while the issuer gives no good one. The host of the documents may be down
	// while tokens are still issued; but who keeps us from the issuer also keeps a withdrawn key alive.
	staleLifetime = time.Hour
	// retryAfter is how long after a failure the next is asked for where nothing else serves: those between share its error.
	retryAfter = 2 * time.Second
	// renewAfter is how often what serves is fetched again: because something is missing in it, such as a kid, which anybody can make
	// up, or because it is stale and the last try failed.
	renewAfter = 10 * time.Second
)

// cache keeps one answer of an issuer. Nobody who has a fresh or stale one waits for the next, and at most one is asked for at a time.
type cache[T any] struct {
	fetch func(context.Context) (T, time.Duration, error)
	now   func() time.Time
	warn  func(error) // of what no caller is told

	mu     sync.Mutex
	value  T
	fresh  time.Time // until when value is; zero where there is none
	tried  time.Time // when the last fetch began
	err    error     // of the last fetch
	flight *flight   // nil where none is under way
}

// flight is a fetch under way: its end closes done.
type flight struct{ done chan struct{} }

// get gives the value, and fetches it where there is none.
func (c *cache[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	now := c.now()
	switch {
	case now.Before(c.fresh):
		defer c.mu.Unlock()
		return c.value, nil
	case c.usable(now):
		defer c.mu.Unlock()
		if c.flight == nil && !c.failedSince(now.Add(-renewAfter)) {
			c.begin(now)
		}
		return c.value, nil
	case c.flight == nil && c.failedSince(now.Add(-retryAfter)):
		defer c.mu.Unlock()
		return c.value, c.err
	}
	return c.wait(ctx, now)
}

// renew gives a value fetched within renewAfter, since something was missing in the one at hand. anew is whether it was fetched for that: if
// not, what is missing may have come since.
func (c *cache[T]) renew(ctx context.Context) (value T, anew bool, err error) {
	c.mu.Lock()
	now := c.now()
	if c.flight == nil && now.Before(c.tried.Add(renewAfter)) {
		defer c.mu.Unlock()
		return c.value, false, c.err
	}
	value, err = c.wait(ctx, now)
	return value, true, err
}

// wait unlocks c and waits for a fetch: the one that is under way, or its own.
func (c *cache[T]) wait(ctx context.Context, now time.Time) (T, error) {
	f := c.flight
	if f == nil {
		f = c.begin(now)
	}
	c.mu.Unlock()
	var none T
	select {
	case <-f.done:
	case <-ctx.Done():
		return none, fmt.Errorf("%w: nobody waits any longer", ErrUnavailable)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return none, c.err
	}
	return c.value, nil
}

// begin starts a fetch; c is locked. It belongs to no caller: others wait for it too.
func (c *cache[T]) begin(now time.Time) *flight {
	f := &flight{make(chan struct{})}
	c.flight, c.tried = f, now
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchWithin)
		defer cancel()
		value, age, err := c.fetch(ctx)
		c.end(value, age, err)
		close(f.done)
	}()
	return f
}

// end takes what a fetch gave. A failure is told to who waits for it; where something older serves, nobody does.
func (c *cache[T]) end(value T, age time.Duration, err error) {
	c.mu.Lock()
	c.flight, c.err = nil, err
	now := c.now()
	if err == nil {
		c.value, c.fresh = value, now.Add(freshFor(age))
	}
	serves := c.usable(now)
	c.mu.Unlock()
	if err != nil && serves {
		c.warn(err)
	}
}

// usable reports whether the value is fresh, or stale but good enough while there is no other.
func (c *cache[T]) usable(now time.Time) bool {
	return !c.fresh.IsZero() && now.Before(c.fresh.Add(staleLifetime))
}

func (c *cache[T]) failedSince(t time.Time) bool { return c.err != nil && c.tried.After(t) }

// freshFor gives how long an answer of this max-age is fresh; negative for none.
func freshFor(age time.Duration) time.Duration {
	if age < 0 {
		return usualFresh
	}
	return min(max(age, leastFresh), mostFresh)
}
