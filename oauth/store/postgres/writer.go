package postgres

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// maxBatch is how many writes share a statement. Measured, more than this gain nothing, and the last of them waits for all.
	maxBatch = 256
	// maxRows is how many entries do, where a write has any number of them: what a disk takes in some 50 ms.
	maxRows = 1024
	// maxQueue bounds what waits; who comes later waits with its own context.
	maxQueue = 4 * maxBatch
)

// The states of a job, so that a caller who leaves and the writer agree on whether it ran.
const (
	jobWaiting = iota
	jobTaken
	jobLeft
)

// job is one write that waits.
type job[W any] struct {
	write W
	state atomic.Int32
	err   error
	done  chan struct{}
}

// writer runs writes together: one goroutine takes those that wait into one statement. While that is on its way, the next gather.
type writer[W any] struct {
	run   func(context.Context, []W) ([]error, error) // an answer for each, or the error of all: then nothing was written
	alone func(W) []string                            // what no two writes of one statement may share
	rows  func(W) int                                 // how many of maxRows a write takes
	jobs  chan *job[W]
	held  []*job[W] // for the next statement, since they share something with the one before

	stop    chan struct{} // closed by close
	stopped chan struct{} // closed once the goroutine is gone
	closing sync.Once
}

func newWriter[W any](run func(context.Context, []W) ([]error, error), alone func(W) []string, rows func(W) int) *writer[W] {
	w := &writer[W]{run: run, alone: alone, rows: rows, jobs: make(chan *job[W], maxQueue), stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.loop()
	return w
}

// close lets the jobs that wait run, and then ends the goroutine.
func (w *writer[W]) close() {
	w.closing.Do(func() { close(w.stop) })
	<-w.stopped
}

// do waits for its turn and for the commit. When ctx ends first, a job that had not begun never will.
func (w *writer[W]) do(ctx context.Context, write W) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.stop:
		return errClosed
	default:
	}
	j := &job[W]{write: write, done: make(chan struct{})}
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
func (w *writer[W]) leftBehind(j *job[W]) error {
	select {
	case <-j.done:
		return j.err
	default:
		return errClosed
	}
}

func (w *writer[W]) loop() {
	defer close(w.stopped)
	for {
		if len(w.held) == 0 {
			select {
			case j := <-w.jobs:
				w.held = append(w.held, j)
			case <-w.stop:
				j, ok := w.next()
				if !ok {
					return
				}
				w.held = append(w.held, j)
			}
		}
		w.commit(w.gather())
	}
}

// gather takes what was held back and what waits, without waiting for more: a lone job runs at once.
func (w *writer[W]) gather() []*job[W] {
	var batch []*job[W]
	taken := map[string]bool{}
	waiting := w.held
	w.held = nil
	for rows := 0; rows < maxRows && len(batch) < maxBatch && len(w.held) < maxBatch; {
		var j *job[W]
		if len(waiting) > 0 {
			j, waiting = waiting[0], waiting[1:]
		} else if next, ok := w.next(); ok {
			j = next
		} else {
			break
		}
		if !claim(taken, w.alone(j.write)) {
			w.held = append(w.held, j)
		} else if j.state.CompareAndSwap(jobWaiting, jobTaken) {
			batch = append(batch, j)
			rows += w.rows(j.write)
		}
	}
	w.held = append(w.held, waiting...)
	return batch
}

// claim takes all names, or none and reports false if one is taken.
func claim(taken map[string]bool, names []string) bool {
	for _, n := range names {
		if taken[n] {
			return false
		}
	}
	for _, n := range names {
		taken[n] = true
	}
	return true
}

func (w *writer[W]) next() (*job[W], bool) {
	select {
	case j := <-w.jobs:
		return j, true
	default:
		return nil, false
	}
}

// commit runs batch and answers it. One that breaks a rule of the schema fails all: then each runs by itself.
func (w *writer[W]) commit(batch []*job[W]) {
	err := w.try(batch)
	if broken(err) && len(batch) > 1 {
		for i := range batch {
			w.commit(batch[i : i+1])
		}
		return
	}
	for _, j := range batch {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
}

// try runs batch. Its error is that of the whole: nothing was written, or nobody knows.
func (w *writer[W]) try(batch []*job[W]) error {
	if len(batch) == 0 {
		return nil
	}
	writes := make([]W, len(batch))
	for i, j := range batch {
		writes[i] = j.write
	}
	answers, err := w.run(context.Background(), writes) // the batch belongs to no single caller
	if err != nil {
		return err
	}
	for i, j := range batch {
		j.err = answers[i]
	}
	return nil
}
