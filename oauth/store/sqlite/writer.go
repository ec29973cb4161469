package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// maxBatch is how many writes share a commit. A sync costs about what one or two writes do, so beyond 64 there is
	// nothing left to share, and a batch still holds the file's lock only for some milliseconds: a command line
	// beside the server gets its turn.
	maxBatch = 64
	// maxQueue bounds what waits: four batches are tens of milliseconds, and who comes later waits with its own context.
	maxQueue = 4 * maxBatch
)

// The states of a job, so that a caller who leaves and the writer agree on whether it ran.
const (
	jobWaiting = iota
	jobTaken
	jobLeft
)

// job is one write.
type job struct {
	run    func(context.Context, *conn) error
	urgent bool // stops something: may use the reserve
	state  atomic.Int32
	err    error
	done   chan struct{}
}

// writer commits jobs in groups: one goroutine takes those that wait into one transaction, each under a savepoint.
type writer struct {
	conn    *conn
	reserve *reserve
	jobs    chan *job

	stop    chan struct{} // closed by close
	stopped chan struct{} // closed once the goroutine is gone
	closing sync.Once
}

func newWriter(ctx context.Context, db *sql.DB, r *reserve) (*writer, error) {
	c, err := newConn(ctx, db)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, reserve: r, jobs: make(chan *job, maxQueue), stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.loop()
	return w, nil
}

// close lets the jobs that wait run, and then ends the goroutine.
func (w *writer) close() {
	w.closing.Do(func() { close(w.stop) })
	<-w.stopped
}

// update runs f as a write. f may run twice if the disk is full, and must not keep what it gave the first time.
func (s *Store) update(ctx context.Context, doing string, f func(context.Context, *conn) error) error {
	return s.updateMaybe(ctx, false, doing, f)
}

// updateUrgent is update for what stops something: on a full disk it still commits, on the reserve.
func (s *Store) updateUrgent(ctx context.Context, doing string, f func(context.Context, *conn) error) error {
	return s.updateMaybe(ctx, true, doing, f)
}

func (s *Store) updateMaybe(ctx context.Context, urgent bool, doing string, f func(context.Context, *conn) error) error {
	return failed(doing, s.write.do(ctx, &job{run: f, urgent: urgent, done: make(chan struct{})}))
}

// do waits for its turn and for the commit. When ctx ends first, a job that had not begun never will.
func (w *writer) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.stop:
		return errClosed
	default:
	}
	select {
	case <-w.stopped:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case w.jobs <- j:
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		j.state.CompareAndSwap(jobWaiting, jobLeft)
		return ctx.Err()
	case <-w.stopped:
		return w.leftBehind(j)
	}
}

// leftBehind answers for a job at the end of the goroutine: it may have run with the last batch, or come after it.
func (w *writer) leftBehind(j *job) error {
	select {
	case <-j.done:
		return j.err
	default:
		return errClosed
	}
}

func (w *writer) loop() {
	defer close(w.stopped)
	defer w.conn.close()
	for {
		select {
		case j := <-w.jobs:
			w.commit(w.gather(j))
		case <-w.stop:
			if j, ok := w.next(); ok {
				w.commit(w.gather(j))
				continue
			}
			return
		}
	}
}

// gather takes what waits behind first, without waiting for more: an idle writer commits a lone job at once.
func (w *writer) gather(first *job) []*job {
	batch := make([]*job, 0, maxBatch)
	for j, ok := first, true; ok; j, ok = w.next() {
		if j.state.CompareAndSwap(jobWaiting, jobTaken) {
			batch = append(batch, j)
		}
		if len(batch) == maxBatch {
			break
		}
	}
	return batch
}

func (w *writer) next() (*job, bool) {
	select {
	case j := <-w.jobs:
		return j, true
	default:
		return nil, false
	}
}

// commit runs batch and answers it. On a full disk the reserve is given up for the urgent jobs alone, and until it is
// there again no other job runs: otherwise starts would eat the room that stops need.
func (w *writer) commit(batch []*job) {
	if !w.reserve.ready() {
		batch = refuse(batch, errNoRoom)
	}
	err := w.try(batch)
	if full(err) && slices.ContainsFunc(batch, func(j *job) bool { return j.urgent }) && w.reserve.release() {
		batch = refuse(batch, err)
		err = w.try(batch)
	}
	for _, j := range batch {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
}

var errNoRoom = errors.New("the disk is full: only stops are written")

// refuse answers err to the jobs that are not urgent and gives the others.
func refuse(batch []*job, err error) (urgent []*job) {
	for _, j := range batch {
		if j.urgent {
			urgent = append(urgent, j)
			continue
		}
		j.err = failed("waiting for room", err)
		close(j.done)
	}
	return urgent
}

// try runs batch in one transaction. Its error is that of the whole: nothing was written.
func (w *writer) try(batch []*job) error {
	if len(batch) == 0 {
		return nil
	}
	ctx := context.Background() // the batch belongs to no single caller
	if _, err := w.conn.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, j := range batch {
		if err := w.one(ctx, j); err != nil {
			return w.rollback(ctx, err)
		}
	}
	if _, err := w.conn.exec(ctx, "COMMIT"); err != nil {
		return w.rollback(ctx, err)
	}
	return nil
}

// one runs j under its savepoint. The error it returns is SQLite's own failure; that of j alone is in j.err.
func (w *writer) one(ctx context.Context, j *job) error {
	if _, err := w.conn.exec(ctx, "SAVEPOINT job"); err != nil {
		return err
	}
	j.err = j.run(ctx, w.conn)
	if j.err != nil {
		if !isAnswer(j.err) && !broken(j.err) && sqliteCode(j.err) != 0 {
			return j.err
		}
		if _, err := w.conn.exec(ctx, "ROLLBACK TO job"); err != nil {
			return err
		}
	}
	_, err := w.conn.exec(ctx, "RELEASE job")
	return err
}

// rollback leaves the connection clean. Some failures have rolled back already: then SQLite refuses, and that is fine.
func (w *writer) rollback(ctx context.Context, why error) error {
	_, _ = w.conn.exec(ctx, "ROLLBACK")
	return fmt.Errorf("committing: %w: %w", store.ErrUnavailable, why)
}
