// Package vouch tells whether a process may say of an impersonation that it is alive: only while it could also end it. Start with
// [New], and ask [Voucher.Vouch] before every such answer. It knows no store, only how to ask one, and keeps nothing but when that
// last worked.
package vouch

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// provenFor is how long a proof that the store takes writes is good for.
	provenFor = 2 * time.Second
	// provenWithin is how long the store may take to give one.
	provenWithin = 2 * time.Second
)

// Voucher tells when the store last showed that it takes writes, by a clock that nobody sets. Make it with New. Safe for concurrent use.
type Voucher struct {
	ready func(context.Context) (time.Time, error)
	begun atomic.Pointer[time.Time] // when the last probe that succeeded was sent
	probe singleflight.Group
}

// New makes a Voucher over what reports nil if a write would work, as store.Store's Ready does.
func New(ready func(context.Context) (time.Time, error)) *Voucher { return &Voucher{ready: ready} }

// Vouch answers an error where this process must not call an impersonation alive: it could not end one either, so what it reads
// may be long over elsewhere. It asks the store at most every two seconds, once for all who ask meanwhile.
func (v *Voucher) Vouch(ctx context.Context) error {
	if begun := v.begun.Load(); begun != nil && time.Since(*begun) < provenFor {
		return nil
	}
	select {
	case r := <-v.probe.DoChan("", v.prove):
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *Voucher) prove() (any, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), provenWithin) // it belongs to no single request
	defer cancel()
	if _, err := v.ready(ctx); err != nil {
		return nil, fmt.Errorf("proving that the store takes writes: %w", err)
	}
	v.begun.Store(&begun)
	return nil, nil
}
