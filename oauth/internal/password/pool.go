package password

import (
	"context"
	"errors"
)

// What New takes for zero.
const (
	// DefaultWorkers fits the smallest machine that we name, two cores.
	DefaultWorkers = 2
	// DefaultQueue makes the last in line wait about a third of a second: 32 hashes of 20 ms by two workers.
	DefaultQueue = 32
)

// ErrBusy means that the queue is full: nothing was hashed, and another try later may work (503, Retry-After).
var ErrBusy = errors.New("password: too many at once")

// Pool bounds how many hashes run and how many wait, since each costs 19 MiB and a core: without a bound, a flood of
// sign-ins is an outage. It is safe for concurrent use, starts no goroutines and needs no closing.
type Pool struct {
	admitted chan struct{} // running or waiting
	running  chan struct{}
}

// New returns a Pool in which at most workers run and queue wait. Zero or less takes DefaultWorkers, DefaultQueue.
func New(workers, queue int) *Pool {
	if workers <= 0 {
		workers = DefaultWorkers
	}
	if queue <= 0 {
		queue = DefaultQueue
	}
	return &Pool{admitted: make(chan struct{}, workers+queue), running: make(chan struct{}, workers)}
}

// Hash gives the argon2id string of password (PHC form, below 128 bytes) with a fresh salt. It does not Check. It fails
// with ErrBusy, or with ctx's error if ctx ends before its turn comes; a hash under way is finished.
func (p *Pool) Hash(ctx context.Context, password string) (string, error) {
	var phc string
	err := p.run(ctx, func() { phc = newDigest(password).String() })
	return phc, err
}

// Verify reports whether phc is the hash of password. With phc "" the answer is false, after as much work as for a real
// one, so that an unknown user takes as long as a wrong password. It fails with ErrPHC, ErrBusy, or ctx's error if ctx
// ends before its turn comes; the answer is false with every error.
func (p *Pool) Verify(ctx context.Context, phc, password string) (ok bool, err error) {
	d := dummy()
	if phc != "" {
		if d, err = parse(phc); err != nil {
			return false, err
		}
	}
	err = p.run(ctx, func() { ok = d.matches(password) && phc != "" })
	return ok, err
}

// run calls f in its turn, on the caller's goroutine.
func (p *Pool) run(ctx context.Context, f func()) error {
	select {
	case p.admitted <- struct{}{}:
		defer func() { <-p.admitted }()
	default:
		return ErrBusy
	}
	// A select with both ready picks either: a caller that has gone must not cost a hash.
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.running <- struct{}{}:
		defer func() { <-p.running }()
	case <-ctx.Done():
		return ctx.Err()
	}
	f()
	return nil
}
