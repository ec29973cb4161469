package server

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

// proof tells when the store last showed that it takes writes, by a clock that nobody sets. The zero value has no proof.
type proof struct {
	begun atomic.Pointer[time.Time] // when the last probe that succeeded was sent
	probe singleflight.Group
}

// vouch answers an error where this process must not call an impersonation alive: it could not end one either, so what it reads
// may be long over elsewhere. It asks the store at most every two seconds, once for all who ask meanwhile.
func (s *Server) vouch(ctx context.Context) error {
	if begun := s.proof.begun.Load(); begun != nil && time.Since(*begun) < provenFor {
		return nil
	}
	select {
	case r := <-s.proof.probe.DoChan("", s.prove):
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) prove() (any, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), provenWithin) // it belongs to no single request
	defer cancel()
	if _, err := s.store.Ready(ctx); err != nil {
		return nil, fmt.Errorf("proving that the store takes writes: %w", err)
	}
	s.proof.begun.Store(&begun)
	return nil, nil
}
