package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// meter adds up what belongs to one figure.
type meter struct {
	work   string // its name, "" for what is done outside of the clock
	conns  int
	things int // that each call does, if more than one: the records of a batch

	parts   int // measured apart
	elapsed time.Duration
	cpu     cpu
	took    []time.Duration // of what succeeded
	errors  int
	failure error // the first
}

// add adds what a worker saw.
func (m *meter) add(took []time.Duration, errors int, failure error) {
	m.took = append(m.took, took...)
	if m.errors += errors; m.failure == nil {
		m.failure = failure
	}
}

// drive calls work from as many goroutines as there are workers, each with its own number, for 0 to n-1 until limit has passed: a
// closed loop. It answers how many were begun.
func (b *bench) drive(m *meter, n int, limit time.Duration, work func(worker, i int) error) int {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next atomic.Int64
	)
	defer b.profile(m)()
	before, err := b.processes.cpu()
	b.must(err)
	begin := time.Now()
	for worker := range m.conns {
		wg.Go(func() {
			var (
				took    []time.Duration
				errors  int
				failure error
			)
			for last := begin; last.Sub(begin) < limit && b.t.Context().Err() == nil; {
				i := int(next.Add(1)) - 1
				if i >= n {
					break
				}
				err := work(worker, i)
				now := time.Now()
				if err != nil {
					errors, failure = errors+1, err
				} else {
					took = append(took, now.Sub(last))
				}
				last = now
			}
			mu.Lock()
			defer mu.Unlock()
			m.add(took, errors, failure)
		})
	}
	wg.Wait()
	m.elapsed += time.Since(begin)
	after, err := b.processes.cpu()
	b.must(err)
	b.must(b.t.Context().Err())
	m.cpu = m.cpu.plus(after.minus(before))
	return min(int(next.Load()), n)
}

// call is drive for what goes over HTTP: each worker has a connection, opened before the clock runs.
func (b *bench) call(m *meter, n int, limit time.Duration, work func(c *conn, i int) error) int {
	b.t.Helper()
	conns := make([]*conn, m.conns)
	for i := range conns {
		var err error
		conns[i], err = dial(b.addr)
		b.must(err)
		defer conns[i].Close()
	}
	return b.drive(m, n, limit, func(worker, i int) error { return work(conns[worker], i) })
}

// hands is how many goroutines do what is not measured.
const hands = 16

// forever is longer than anything here takes.
const forever = time.Hour

// each does something for all accounts, outside of the clock.
func (b *bench) each(work func(c *conn, i int) error) {
	b.t.Helper()
	m := meter{conns: hands}
	if b.call(&m, len(b.accounts), forever, work); m.errors > 0 {
		b.t.Fatalf("%d of %d failed: %v", m.errors, len(b.accounts), m.failure)
	}
}

// row is one figure with all that belongs to it. Times are in milliseconds, processor times in microseconds for each call.
type row struct {
	Store     string  `json:"store"`
	Run       int     `json:"run"`
	Work      string  `json:"work"`
	Conns     int     `json:"conns"`
	Calls     int     `json:"calls"`
	Rate      float64 `json:"per_second"` // of what succeeded
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Server    float64 `json:"server_us"`
	Database  float64 `json:"database_us"`
	Generator float64 `json:"generator_us"`
	Others    float64 `json:"others_cores"` // how many cores were busy with none of the three; not known of pgbench's rows
	Errors    int     `json:"errors"`
}

// row sums up.
func (m *meter) row(store string) row {
	slices.Sort(m.took)
	calls := len(m.took)
	each := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(max(1, calls)) }
	return row{
		Store: store, Work: m.work, Conns: m.conns, Calls: calls, Rate: float64(calls*max(1, m.things)) / m.elapsed.Seconds(), P50: m.percentile(50), P99: m.percentile(99),
		Server: each(m.cpu.server), Database: each(m.cpu.database), Generator: each(m.cpu.generator), Errors: m.errors,
		Others: max(0, m.cpu.others().Seconds()/m.elapsed.Seconds()),
	}
}

// percentile is in milliseconds. took is sorted.
func (m *meter) percentile(p int) float64 {
	if len(m.took) == 0 {
		return 0
	}
	return m.took[(len(m.took)-1)*p/100].Seconds() * 1e3
}

// finish makes a row and tells it.
func (b *bench) finish(m *meter) row {
	r := m.row(b.name)
	b.say("%-22s %3d conns %8.0f/s  p50 %.2f ms  p99 %.2f ms  %d errors%s", r.Work, r.Conns, r.Rate, r.P50, r.P99, r.Errors, because(m.failure))
	return r
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(": %v", err)
}
