package chaos

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy on loopback that misbehaves when told. A fresh one passes everything on. Safe for concurrent use.
type Proxy struct {
	// Addr is where it listens: host:port.
	Addr string

	target string
	ln     net.Listener
	conns  sync.WaitGroup

	mu      sync.Mutex
	open    map[net.Conn]struct{}
	cut     bool
	delay   time.Duration
	changed chan struct{} // closed at each change
	hole    bool
	closed  bool
}

// NewProxy starts a proxy to target, a host:port. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: ln.Addr().String(), target: target, ln: ln, open: map[net.Conn]struct{}{}, changed: make(chan struct{})}
	p.conns.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// Cut resets every connection, and each new one at once, until Heal.
func (p *Proxy) Cut() {
	p.set(func() { p.cut = true })
	p.drop()
}

// Delay holds every piece of data back for d, each way. Zero is no delay. It takes effect with the next piece.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// BlackHole keeps connections open, accepts new ones, and passes nothing on until Heal: what came meanwhile is passed then.
func (p *Proxy) BlackHole() { p.set(func() { p.hole = true }) }

// Heal takes back Cut, Delay and BlackHole. Connections that were cut stay so.
func (p *Proxy) Heal() { p.set(func() { p.cut, p.hole, p.delay = false, false, 0 }) }

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) close() {
	p.ln.Close()
	p.set(func() { p.closed = true })
	p.drop()
	p.conns.Wait()
}

func (p *Proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		reset(c)
	}
}

// reset closes without the usual farewell, as a crash of the other side does.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

func (p *Proxy) accept() {
	defer p.conns.Done()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.conns.Add(1)
		go p.serve(c)
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.conns.Done()
	if !p.track(client) {
		return
	}
	defer p.forget(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	if !p.track(server) {
		return
	}
	defer p.forget(server)
	done := make(chan struct{})
	go func() { defer close(done); p.pass(server, client) }()
	p.pass(client, server)
	<-done
}

// track remembers c, so that Cut finds it. It resets c and answers false if it may not live.
func (p *Proxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		reset(c)
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	c.Close()
}

// pass copies one way until either side ends, and ends the other's reading with it.
func (p *Proxy) pass(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.hold()
			if _, err := to.Write(buf[:n]); err != nil {
				reset(from)
				return
			}
		}
		if err == io.EOF {
			to.(*net.TCPConn).CloseWrite()
			return
		}
		if err != nil {
			reset(to)
			return
		}
	}
}

// hold waits as long as data must be held back.
func (p *Proxy) hold() {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		<-timer.C
	}
	for {
		p.mu.Lock()
		wait, changed := p.hole && !p.cut && !p.closed, p.changed
		p.mu.Unlock()
		if !wait {
			return
		}
		<-changed
	}
}
