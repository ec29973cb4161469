package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// cutter stands between a server and Postgres, counts what the server says, and hangs up at one message (Postgres' manual, "Message
// Formats").
type cutter struct {
	dir    string // of the socket that it listens on
	target string
	ln     net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	left  int // messages until it hangs up, 0: never
	heard bool
	fired bool
}

const socket = ".s.PGSQL.5432"

func newCutter(t testing.TB, target string) *cutter {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cut-") // a socket's path may have 107 bytes, which those of the test exceed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &cutter{dir: dir, target: filepath.Join(target, socket), conns: make(map[net.Conn]bool)}
	if c.ln, err = net.Listen("unix", filepath.Join(dir, socket)); err != nil {
		t.Fatal(err)
	}
	c.wg.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

// arm hangs up at the n-th message from now on, counting from 1: before Postgres gets it, or if heard just after, so that what it
// does is done and nobody hears of it.
func (c *cutter) arm(n int, heard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.heard = n, heard
}

// disarm makes it a mere wire again.
func (c *cutter) disarm() { c.arm(0, false) }

// hasFired reports whether it hung up since it was asked last.
func (c *cutter) hasFired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	fired := c.fired
	c.fired = false
	return fired
}

// next counts one message.
func (c *cutter) next() (cut, heard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return false, false
	}
	c.left--
	c.fired = c.left == 0
	return c.fired, c.heard
}

func (c *cutter) close() {
	c.ln.Close()
	c.mu.Lock()
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

func (c *cutter) accept() {
	for {
		client, err := c.ln.Accept()
		if err != nil {
			return
		}
		c.wg.Go(func() { c.serve(client) })
	}
}

func (c *cutter) serve(client net.Conn) {
	server, err := net.Dial("unix", c.target)
	if err != nil {
		client.Close()
		return
	}
	for _, conn := range []net.Conn{client, server} {
		c.mu.Lock()
		c.conns[conn] = true
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			delete(c.conns, conn)
			c.mu.Unlock()
			conn.Close()
		}()
	}
	c.wg.Go(func() {
		io.Copy(client, server)
		io.Copy(io.Discard, server) // of a client that was hung up on: let Postgres finish
		client.Close()
	})
	c.pass(server.(*net.UnixConn), client)
}

// pass hands on the greeting, which has no type, and then message by message.
func (c *cutter) pass(server *net.UnixConn, client net.Conn) {
	header := 0 // bytes before the length
	for {
		m, err := message(client, header)
		if err != nil {
			return
		}
		cut, heard := false, false
		if header == 1 {
			cut, heard = c.next()
		}
		if cut {
			client.Close()
		}
		if !cut || heard {
			if _, err := server.Write(m); err != nil {
				return
			}
		}
		if cut {
			server.CloseWrite()
			return
		}
		header = 1
	}
}

func message(r io.Reader, header int) ([]byte, error) {
	head := make([]byte, header+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	rest := make([]byte, int(binary.BigEndian.Uint32(head[header:]))-4)
	_, err := io.ReadFull(r, rest)
	return append(head, rest...), err
}

// setupCut is a house whose server reaches Postgres through a cutter.
func setupCut(t *testing.T) (*stepHouse, *cutter) {
	t.Helper()
	d := postgrestest.Fresh(t)
	u, err := url.Parse(d.Application)
	if err != nil {
		t.Fatal(err)
	}
	c := newCutter(t, u.Query().Get("host"))
	q := u.Query()
	q.Set("host", c.dir)
	u.RawQuery = q.Encode()
	through := func(testing.TB) *base {
		b := postgresBase(t, d)
		b.open = func() (store.Store, error) {
			return postgres.Open(context.Background(), postgres.Config{URL: u.String()})
		}
		return b
	}
	return setupSteps(t, options{on: through}), c
}

// eachCut hangs up at every message of what do says, before Postgres has it and after. -short takes every third.
func eachCut(t *testing.T, c *cutter, what string, do func(name string, arm func() error)) {
	t.Helper()
	by := 1
	if testing.Short() {
		by = 3
	}
	for _, heard := range []bool{false, true} {
		for n := 1; ; n += by {
			do(fmt.Sprintf("%s, message %d, heard: %v", what, n, heard), func() error { c.arm(n, heard); return nil })
			if !c.hasFired() {
				t.Logf("%s: hung up at messages 1 to %d", what, n-by)
				if n < 4 {
					t.Errorf("%s: hung up at none after the first; want one at every statement", what)
				}
				break
			}
		}
	}
}

// TestConnectionLost: the connection to Postgres is lost at every single message of the write of a start, of one that ends another
// first, and of a stop: before it begins, between its statements, and when the commit was sent. A start is resolved inside the
// server; of a stop the next try makes sure.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	h, c := setupCut(t)
	start := func(name string, arm func() error) {
		ticket := h.ticket(h.cookie, "app", "john", "read")
		h.steps.arm(beforeWrite, 1, arm)
		r := h.keep(h.exchange(t.Context(), startForm(ticket, h.actor)))
		c.disarm()
		if live := h.live(); r.status != http.StatusOK || len(live) != 1 || !h.active("app", r.str("access_token")) {
			t.Fatalf("%s: got %d %s with %d sessions alive; want one that is good", name, r.status, r.body, len(live))
		}
	}
	eachCut(t, c, "start", func(name string, arm func() error) {
		start(name, arm)
		if r := h.post("/oauth2/revoke", "app", url.Values{"token": {h.tokens[len(h.tokens)-1]}}); r.status != http.StatusOK {
			t.Fatalf("%s: revoke: got %d %s", name, r.status, r.body)
		}
	})
	eachCut(t, c, "start in place of another", start)
	eachCut(t, c, "stop", func(name string, arm func() error) {
		ret := h.startsAnew(name)
		h.steps.arm(beforeWrite, 1, arm)
		r := h.exchange(t.Context(), stopForm(ret))
		c.disarm()
		h.answered(name, r)
		h.stopsAgain(name, ret)
	})
	h.sound(h.tokens...)
}

// TestBackendsTerminated: an operator, or a restart of Postgres, ends all connections. What was on its way is answered 503 at
// most, and everything goes on.
func TestBackendsTerminated(t *testing.T) {
	t.Parallel()
	h := setupSteps(t, options{on: onPostgres})
	terminate := func() error {
		_, err := h.base.admin.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'application' AND datname = current_database()`)
		return err
	}
	for _, at := range []step{beforeRead, afterRead, beforeWrite, afterWrite} {
		ticket := h.ticket(h.cookie, "app", "john", "read")
		h.steps.arm(at, 1, terminate)
		r := h.keep(h.exchange(t.Context(), startForm(ticket, h.actor)))
		h.recovers("start, " + string(at))
		h.answered("start, "+string(at), r)
		ret := h.startsAnew("start, " + string(at))
		h.steps.arm(at, 1, terminate)
		r = h.exchange(t.Context(), stopForm(ret))
		h.recovers("stop, " + string(at))
		h.answered("stop, "+string(at), r)
		h.stopsAgain("stop, "+string(at), ret)
	}
	h.sound(h.tokens...)
}

// recovers waits until the server's store works again, without a restart of the server.
func (h *house) recovers(name string) {
	h.t.Helper()
	within(h.t, name+": the store works again", func() error {
		if w := recorded(h.private, "/readyz"); w.Code != http.StatusOK {
			return errors.New(strings.TrimSpace(w.Body.String()))
		}
		return nil
	})
}
