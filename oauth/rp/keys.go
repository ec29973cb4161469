package rp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	// keysFresh is how long the issuer's keys serve before they are asked for again: a key that is taken back counts for no longer.
	keysFresh = 5 * time.Minute
	// keysStale is how much longer they serve while the issuer gives no good answer. It bounds what somebody gains who keeps us from
	// the issuer to keep a stolen key in use.
	keysStale = time.Hour
	// keysAgain is how often at most they are asked for while some serve: a kid that is not among them is anybody's to make up.
	keysAgain = 10 * time.Second
	// keysRetry is the same while none serve.
	keysRetry = 2 * time.Second
)

// keys are those that the issuer publishes. Nobody who has some that serve waits for the next, and one fetch at most is under way.
type keys struct {
	issuer *issuer
	life   context.Context // for as long as fetches make sense
	now    func() time.Time
	log    *slog.Logger

	current atomic.Pointer[keyring] // nil before the first answer

	mu     sync.Mutex
	asked  time.Time     // when the last fetch began
	failed error         // of the last fetch
	flight chan struct{} // closed by the end of the fetch under way; nil for none
}

const (
	// verifiedTokens is how many tokens one half of what is remembered holds.
	verifiedTokens = 2048
	// longestVerified is the most bytes of a token that is remembered. The issuer's have some 800; at twice that for what it says, all of
	// them together take 24 MB at most.
	longestVerified = 2 << 10
)

// keyring is one answer, and what was verified with its keys: with other keys all of that is gone.
type keyring struct {
	public []tokens.PublicKey
	asked  time.Time // for these
	fresh  time.Time // until when
	seen   *remembered[*access]
}

// get gives the keys, and fetches them where none serve.
func (k *keys) get(ctx context.Context, now time.Time) (*keyring, error) {
	if ring := k.current.Load(); ring != nil && now.Before(ring.fresh) {
		return ring, nil
	}
	k.mu.Lock()
	ring := k.current.Load()
	switch {
	case ring != nil && now.Before(ring.fresh.Add(keysStale)):
		defer k.mu.Unlock()
		if k.flight == nil && !now.Before(ring.fresh) && !now.Before(k.asked.Add(keysAgain)) {
			k.begin(now)
		}
		return ring, nil
	case k.flight == nil && k.failed != nil && now.Before(k.asked.Add(keysRetry)):
		defer k.mu.Unlock()
		return nil, k.failed
	}
	return k.wait(ctx, now)
}

// find gives the keys with this kid among those of ring, or among those that the issuer has now; and the ring that they are of.
func (k *keys) find(ctx context.Context, ring *keyring, kid string) (*keyring, []tokens.PublicKey, error) {
	if found := ring.withID(kid); found != nil {
		return ring, found, nil
	}
	ring, err := k.renew(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ring, ring.withID(kid), nil
}

// renew gives keys that were asked for within keysAgain. Where that failed nobody knows whether what is missing is there.
func (k *keys) renew(ctx context.Context) (*keyring, error) {
	k.mu.Lock()
	now := k.now()
	if k.flight == nil && now.Before(k.asked.Add(keysAgain)) {
		defer k.mu.Unlock()
		return k.current.Load(), k.failed
	}
	return k.wait(ctx, now)
}

// wait unlocks k and waits for a fetch: the one that is under way, or its own.
func (k *keys) wait(ctx context.Context, now time.Time) (*keyring, error) {
	flight := k.flight
	if flight == nil {
		flight = k.begin(now)
	}
	k.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed != nil {
		return nil, k.failed
	}
	return k.current.Load(), nil
}

// begin starts a fetch; k is locked. It belongs to no caller: others wait for it too.
func (k *keys) begin(now time.Time) chan struct{} {
	flight := make(chan struct{})
	k.flight, k.asked = flight, now
	go func() {
		ctx, cancel := context.WithTimeout(k.life, issuerTimeout)
		defer cancel()
		public, err := k.fetch(ctx)
		k.end(public, err)
		close(flight)
	}()
	return flight
}

func (k *keys) end(public []tokens.PublicKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flight, k.failed = nil, err
	if err != nil {
		k.log.Warn("understudy's keys could not be read", "issuer", k.issuer.url, "error", err)
		return
	}
	ring := &keyring{public: public, asked: k.asked, fresh: k.now().Add(keysFresh)}
	if before := k.current.Load(); before != nil && slices.EqualFunc(before.public, public, sameKey) {
		ring.seen = before.seen
	} else {
		ring.seen = newRemembered[*access](verifiedTokens, longestVerified)
	}
	k.current.Store(ring)
}

func (k *keys) fetch(ctx context.Context) ([]tokens.PublicKey, error) {
	e, err := k.issuer.discover(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Keys, nil)
	if err != nil {
		return nil, err
	}
	var set json.RawMessage
	if err := k.issuer.do(req, &set); err != nil {
		return nil, fmt.Errorf("reading the issuer's keys: %w", err)
	}
	return tokens.ParseIssuerKeys(set)
}

func (r *keyring) withID(kid string) []tokens.PublicKey {
	at := slices.IndexFunc(r.public, func(k tokens.PublicKey) bool { return k.ID == kid })
	if at < 0 {
		return nil
	}
	return r.public[at : at+1 : at+1]
}

func sameKey(a, b tokens.PublicKey) bool { return a.ID == b.ID && a.Thumbprint() == b.Thumbprint() }
