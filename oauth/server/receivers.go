package server

import (
	"sync"
	"time"
)

const (
	// tellAtOnce is how many clients are told at a time, and tellAtOnceEach how much of that one of them may take: one that is slow
	// keeps a quarter for itself.
	tellAtOnce, tellAtOnceEach = 8, 2
	// tellAgain is how long one that failed is left alone, doubled with each failure up to tellAgainMost.
	tellAgain, tellAgainMost = time.Second, 5 * time.Minute
)

// receivers are the clients that are being told, and those that failed. It is safe for concurrent use.
type receivers struct {
	mu       sync.Mutex
	clients  map[string]*receiver
	underWay int
}

type receiver struct {
	underWay int
	failures int       // since it was reached last
	until    time.Time // it failed, and is left alone so long
}

func newReceivers() *receivers { return &receivers{clients: make(map[string]*receiver)} }

// room tells how many more may be told, and who not. One that failed is asked by one try at a time.
func (r *receivers) room(now time.Time) (room int, busy []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, c := range r.clients {
		if c.underWay == tellAtOnceEach || c.failures > 0 && (c.underWay > 0 || now.Before(c.until)) {
			busy = append(busy, id)
		}
	}
	return tellAtOnce - r.underWay, busy
}

func (r *receivers) begin(client string) {
	r.with(client, func(c *receiver) {
		c.underWay++
		r.underWay++
	})
}

func (r *receivers) end(client string) {
	r.with(client, func(c *receiver) {
		c.underWay--
		r.underWay--
	})
}

func (r *receivers) reached(client string) {
	r.with(client, func(c *receiver) { c.failures, c.until = 0, time.Time{} })
}

// failed tells until when the client is left alone, and whether this is its first failure. Tries that failed together are one failure.
func (r *receivers) failed(client string, now time.Time) (until time.Time, first bool) {
	r.with(client, func(c *receiver) {
		if !now.Before(c.until) {
			c.until = now.Add(min(tellAgain<<min(c.failures, 16), tellAgainMost))
			c.failures++
			first = c.failures == 1
		}
		until = c.until
	})
	return until, first
}

// with changes what is known of a client, and forgets it when there is nothing to know.
func (r *receivers) with(client string, f func(*receiver)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.clients[client]
	if c == nil {
		c = new(receiver)
		r.clients[client] = c
	}
	if f(c); c.underWay == 0 && c.failures == 0 {
		delete(r.clients, client)
	}
}
