package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

// replicas is two stores on one database that take turns, in all that races another.
type replicas struct {
	store.Store
	other store.Store
	turn  *atomic.Int64
}

func (r replicas) next() store.Store {
	if r.turn.Add(1)%2 == 0 {
		return r.Store
	}
	return r.other
}

func (r replicas) LoadStart(ctx context.Context, k impersonation.StartKey) (impersonation.Facts, error) {
	return r.next().LoadStart(ctx, k)
}

func (r replicas) LoadSession(ctx context.Context, sid string) (impersonation.Live, error) {
	return r.next().LoadSession(ctx, sid)
}

func (r replicas) Start(ctx context.Context, w impersonation.StartWrite) error {
	return r.next().Start(ctx, w)
}

func (r replicas) Stop(ctx context.Context, w impersonation.StopWrite) error {
	return r.next().Stop(ctx, w)
}

func (r replicas) SpendCode(ctx context.Context, code oauth.Hash, now time.Time) error {
	return r.next().SpendCode(ctx, code, now)
}

func (r replicas) UseOnce(ctx context.Context, space, value string, now, until time.Time) error {
	return r.next().UseOnce(ctx, space, value, now, until)
}

func (r replicas) RotateSigningKey(ctx context.Context, w store.KeyRotation) error {
	return r.next().RotateSigningKey(ctx, w)
}

func (r replicas) Failed(ctx context.Context, key oauth.Hash, now time.Time, window time.Duration, limit int, lock time.Duration) (store.Attempt, error) {
	return r.next().Failed(ctx, key, now, window, limit, lock)
}

// Two replicas on one database keep the contract as one does.
func TestConcurrencyOfReplicas(t *testing.T) {
	t.Parallel()
	storetest.RunConcurrency(t, func(t *testing.T) store.Store {
		c := postgres.Config{URL: postgrestest.Fresh(t).Application}
		return replicas{open(t, c), open(t, c), new(atomic.Int64)}
	})
}
