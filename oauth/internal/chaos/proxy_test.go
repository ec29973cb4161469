package chaos_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

// echo answers each line with itself. It gives its address.
func echo(t *testing.T) string { return echoOn(t, "tcp", "127.0.0.1:0") }

func echoOn(t *testing.T, network, address string) string {
	t.Helper()
	ln, err := net.Listen(network, address)
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					c.Write([]byte(line))
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// say sends a line and waits for it to come back, at most wait.
func say(c net.Conn, wait time.Duration) error {
	c.SetDeadline(time.Now().Add(wait))
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	return hear(c)
}

func hear(c net.Conn) error {
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && line != "hello\n" {
		return errors.New("another line: " + line)
	}
	return err
}

func dial(t *testing.T, p *chaos.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

const long = 10 * time.Second // for what must come, on a busy machine

func TestProxyCut(t *testing.T) {
	t.Parallel()
	p := chaos.NewProxy(t, echo(t))
	c := dial(t, p)
	must(t, say(c, long))
	p.Cut()
	if err := say(c, long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a cut connection: got %v; want a reset", err)
	}
	refuses(t, p)
	p.Heal()
	must(t, say(dial(t, p), long))
}

func TestProxyBlackHole(t *testing.T) {
	t.Parallel()
	p := chaos.NewProxy(t, echo(t))
	c := dial(t, p)
	must(t, say(c, long))
	p.BlackHole()
	if err := say(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("into the hole: got %v; want no answer", err)
	}
	p.Heal()
	c.SetDeadline(time.Now().Add(long))
	if err := hear(c); err != nil {
		t.Errorf("what was held back: %v; want it passed on", err)
	}
}

func TestProxyDelay(t *testing.T) {
	t.Parallel()
	p := chaos.NewProxy(t, echo(t))
	c := dial(t, p)
	p.Delay(time.Second)
	begin := time.Now()
	must(t, say(c, long))
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("there and back took %s; want a second each way", took)
	}
}

// TestProxyHalfOpen: who was connected hears nothing any more, also after it is over.
func TestProxyHalfOpen(t *testing.T) {
	t.Parallel()
	p := chaos.NewProxy(t, echo(t))
	old := dial(t, p)
	must(t, say(old, long))
	p.HalfOpen()
	during := dial(t, p)
	for name, c := range map[string]net.Conn{"the old": old, "a new": during} {
		if err := say(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("over %s connection: got %v; want no answer", name, err)
		}
	}
	p.Heal()
	must(t, say(dial(t, p), long))
	for name, c := range map[string]net.Conn{"the old": old, "the other": during} {
		if err := say(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("over %s connection once it is over: got %v; want no answer", name, err)
		}
	}
}

// TestProxySlow: all of it comes, a byte at a time, and what is left comes at once when it is over.
func TestProxySlow(t *testing.T) {
	t.Parallel()
	p := chaos.NewProxy(t, echo(t))
	c := dial(t, p)
	p.Slow(100 * time.Millisecond)
	begin := time.Now()
	must(t, say(c, long))
	if took := time.Since(begin); took < time.Second {
		t.Errorf("six bytes there and back took %s; want a tenth of a second for each", took)
	}
	p.Slow(time.Hour)
	time.AfterFunc(300*time.Millisecond, p.Heal)
	must(t, say(c, long))
}

func TestProxyGarbage(t *testing.T) {
	t.Parallel()
	p := chaos.NewProxy(t, echo(t))
	c := dial(t, p)
	must(t, say(c, long))
	p.Garbage()
	c.SetDeadline(time.Now().Add(long))
	_, err := c.Write([]byte("hello\n"))
	must(t, err)
	got := make([]byte, len("hello\n"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) == "hello\n" {
		t.Errorf("got %q, %v; want as many bytes, and others", got, err)
	}
	p.Heal()
	must(t, say(c, long))
}

func TestProxyUnix(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "u") // the path of a socket may have 107 bytes
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := chaos.NewProxy(t, echoOn(t, "unix", filepath.Join(dir, "s")))
	must(t, say(dial(t, p), long))
}

// TestProxyNobody: a target that does not listen is a reset, not a wait.
func TestProxyNobody(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := chaos.NewProxy(t, ln.Addr().String())
	ln.Close()
	refuses(t, p)
}

// refuses demands that a new connection is reset: at once or with its first line, as the system sees it.
func refuses(t *testing.T, p *chaos.Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return
	}
	defer c.Close()
	if err := say(c, long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection: got %v; want a reset", err)
	}
}
