package chaos

import (
	"math"
	"math/rand/v2"
	"time"
)

// fault is how a Proxy misbehaves.
type fault struct {
	cut, hole, silent, garbage bool
	delay, slow                time.Duration
}

// Cut resets every connection, and each new one at once, until Heal.
func (p *Proxy) Cut() {
	p.set(func(f *fault) { f.cut = true }, func(l *link) {
		reset(l.client)
		if l.server != nil {
			reset(l.server)
		}
	})
}

// Delay holds every piece of data back for d, each way. Zero is no delay. It takes effect with the next piece.
func (p *Proxy) Delay(d time.Duration) { p.set(func(f *fault) { f.delay = d }, nil) }

// BlackHole keeps connections open, accepts new ones, and passes nothing on until Heal: what came meanwhile is passed then.
func (p *Proxy) BlackHole() { p.set(func(f *fault) { f.hole = true }, nil) }

// HalfOpen takes the target away without a word: its side of every connection is closed, the client's stays open, and what comes is
// swallowed. New connections are accepted and swallow too, until Heal. None of them ever works again.
func (p *Proxy) HalfOpen() {
	p.set(func(f *fault) { f.silent = true }, func(l *link) {
		l.orphan = true
		if l.server != nil {
			reset(l.server)
		}
	})
}

// Slow passes one byte at a time on, each way, and waits for d before each. Zero is no slowness.
func (p *Proxy) Slow(d time.Duration) { p.set(func(f *fault) { f.slow = d }, nil) }

// Garbage gives clients random bytes instead of what the target says, until Heal.
func (p *Proxy) Garbage() { p.set(func(f *fault) { f.garbage = true }, nil) }

// Heal takes all of it back. Connections that were broken stay so.
func (p *Proxy) Heal() { p.set(func(f *fault) { *f = fault{} }, nil) }

// set changes the fault, and does to every connection what to says.
func (p *Proxy) set(change func(*fault), to func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.fault)
	close(p.changed)
	p.changed = make(chan struct{})
	if to == nil {
		return
	}
	for l := range p.open {
		to(l)
	}
}

// passable waits as long as nothing may pass, and tells how many bytes may now.
func (p *Proxy) passable() int {
	for {
		f, changed := p.current()
		switch {
		case f.hole && !f.cut:
			<-changed
		case f.slow > 0:
			pause(f.slow, changed)
			return 1
		default:
			return math.MaxInt
		}
	}
}

func scramble(b []byte) {
	for i := range b {
		b[i] = byte(rand.Int())
	}
}
