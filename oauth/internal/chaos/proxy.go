package chaos

import (
	"io"
	"net"
	"path/filepath"
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
	links  sync.WaitGroup

	mu      sync.Mutex
	open    map[*link]struct{}
	fault   fault
	changed chan struct{} // closed at each change of fault
}

// NewProxy starts a proxy to target, a host:port or the absolute path of a Unix socket. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: ln.Addr().String(), target: target, ln: ln, open: map[*link]struct{}{}, changed: make(chan struct{})}
	p.links.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

func (p *Proxy) close() {
	p.ln.Close()
	p.Cut()
	p.links.Wait()
}

func (p *Proxy) accept() {
	defer p.links.Done()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.links.Add(1)
		go p.serve(&link{p: p, client: c})
	}
}

func (p *Proxy) serve(l *link) {
	defer p.links.Done()
	if !p.track(l) {
		return
	}
	defer p.forget(l)
	if l.isOrphan() {
		io.Copy(io.Discard, l.client)
		return
	}
	server, err := net.Dial(p.network(), p.target)
	if err != nil {
		reset(l.client)
		return
	}
	defer server.Close()
	if !l.attach(server) {
		return
	}
	done := make(chan struct{})
	go func() { defer close(done); l.down() }()
	l.up()
	<-done
}

func (p *Proxy) network() string {
	if filepath.IsAbs(p.target) {
		return "unix"
	}
	return "tcp"
}

// track remembers l, so that faults find it. It resets it and answers false if it may not live.
func (p *Proxy) track(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.cut {
		reset(l.client)
		return false
	}
	l.orphan = p.fault.silent
	p.open[l] = struct{}{}
	return true
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, l)
	l.client.Close()
}

// current is the fault of now, and what is closed once it is another.
func (p *Proxy) current() (fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

// link is one connection through the proxy: the client's and the one to the target.
type link struct {
	p      *Proxy
	client net.Conn
	server net.Conn // nil until attach, and for one that began without a target
	orphan bool     // the target is gone, and the client does not know; guarded by p.mu, as server is
}

func (l *link) attach(server net.Conn) bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.server = server
	return !l.p.fault.cut
}

func (l *link) isOrphan() bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.orphan
}

// up passes on what the client says, until either side ends.
func (l *link) up() {
	buf := make([]byte, 32<<10)
	for {
		n, err := l.client.Read(buf)
		if !l.isOrphan() && l.send(l.server, buf[:n]) != nil && !l.isOrphan() {
			reset(l.client)
			return
		}
		if err != nil {
			end(l.server, err)
			return
		}
	}
}

// down passes on what the target says.
func (l *link) down() {
	buf := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buf)
		if l.isOrphan() {
			return
		}
		if f, _ := l.p.current(); f.garbage {
			scramble(buf[:n])
		}
		if l.send(l.client, buf[:n]) != nil {
			reset(l.server)
			return
		}
		if err != nil {
			end(l.client, err)
			return
		}
	}
}

// send writes b as the faults let it.
func (l *link) send(to net.Conn, b []byte) error {
	if len(b) > 0 {
		f, changed := l.p.current()
		pause(f.delay, changed)
	}
	for len(b) > 0 {
		n := min(len(b), l.p.passable())
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// end tells one side how the other ended.
func end(c net.Conn, how error) {
	if half, ok := c.(interface{ CloseWrite() error }); ok && how == io.EOF {
		half.CloseWrite()
		return
	}
	reset(c)
}

// reset closes without the usual farewell, as a crash of the other side does.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// pause waits for d, or until something changes.
func pause(d time.Duration, changed <-chan struct{}) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	}
}
