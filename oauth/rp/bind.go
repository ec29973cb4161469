package rp

import (
	"net"
	"sync"
	"time"
)

// bound is a connection that ends with the session it was taken over in.
type bound struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

// Close closes the connection, and ends the watch over it.
func (b *bound) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Conn.Close()
}

// bind closes c when s is over, or when nobody can tell whether it is: what goes over it is neither seen nor recorded.
func (a *App) bind(c net.Conn, s Session) net.Conn {
	b := &bound{Conn: c, done: make(chan struct{})}
	go func() {
		tick := time.NewTicker(believed)
		defer tick.Stop()
		for a.now().Before(s.Expires) {
			select {
			case <-b.done:
				return
			case <-a.ending.ctx.Done():
			case <-tick.C:
				if alive, err := a.live.Alive(a.ending.ctx, s.ID, s.Token); alive && err == nil {
					continue
				}
			}
			break
		}
		b.Close()
	}()
	return b
}
