package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Config is how New sets up a server. The zero value is the defaults of the command.
type Config struct {
	// Env is added to what New sets: UNDERSTUDY_PUBLIC_URL, _LISTEN, _PRIVATE_LISTEN, _DATABASE and no _LIMITS. Variables
	// of ours that the test itself was given are not passed on.
	Env []string
	// PublicURL is the issuer where it is not URL, as behind a Proxy; "" takes URL.
	PublicURL string
	// Database is a postgres:// URL, of a database that is migrated; "" takes a file of SQLite in Dir.
	Database string
	// Log gets what the processes write, without a copy in this one; nil keeps it for Logs.
	Log *os.File
}

// Server is a server as a process of its own: one after another over the same files and ports. Its methods fail the test when
// the process does not do what they say. They are for one goroutine, Logs for any.
type Server struct {
	// URL is where it listens for clients, Private where for watchers: http://127.0.0.1 and a port, no slash.
	URL, Private string
	// Database is the path of its SQLite file or the URL of its Postgres, Dir the directory around it and the working directory.
	Dir, Database string

	t    testing.TB
	env  []string
	logs logs
	log  io.Writer // &logs, or a file
	cmd  *exec.Cmd
	exit chan error // of cmd
}

// sealingKey is one for all, since replicas share it.
const sealingKey = "dGhlIHNhbWUga2V5IGZvciBldmVyeSByZXBsaWNhISE="

// readyWithin bounds how long a server may take to become ready, on a machine that is busy with other tests.
const readyWithin = 20 * time.Second

// New prepares a server in a directory of its own; Start starts it. What runs when the test ends is killed.
func New(t testing.TB, c Config) *Server {
	t.Helper()
	s := &Server{t: t, Dir: t.TempDir()}
	if s.log = &s.logs; c.Log != nil {
		s.log = c.Log
	}
	if s.Database = c.Database; s.Database == "" {
		s.Database = filepath.Join(s.Dir, "understudy.db")
	}
	listen, private := freeAddr(t), freeAddr(t)
	s.URL, s.Private = "http://"+listen, "http://"+private
	if c.PublicURL == "" {
		c.PublicURL = s.URL
	}
	s.env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "UNDERSTUDY_") })
	s.env = append(s.env, "UNDERSTUDY_PUBLIC_URL="+c.PublicURL, "UNDERSTUDY_LISTEN="+listen, "UNDERSTUDY_PRIVATE_LISTEN="+private,
		"UNDERSTUDY_DATABASE="+s.Database,
		// A few people do here in seconds what a crowd does in hours.
		"UNDERSTUDY_LIMITS_CLIENT_REQUESTS=-1", "UNDERSTUDY_LIMITS_ACTOR_STARTS=-1", "UNDERSTUDY_LIMITS_SESSIONS_PER_ACTOR=-1")
	if c.Database != "" {
		s.env = append(s.env, "UNDERSTUDY_SEALING_KEY="+sealingKey)
	}
	s.env = append(s.env, c.Env...)
	t.Cleanup(func() {
		if s.cmd != nil {
			s.Kill()
		}
	})
	return s
}

// freeAddr gives a loopback address that nobody listens at. It stays below the ports that the system gives to outgoing
// connections, so that none of them takes the port while its server is dead.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// Start starts the process, waits until it is ready and answers how long that took.
func (s *Server) Start() time.Duration {
	s.t.Helper()
	begin := time.Now()
	s.cmd = s.command(context.Background(), "serve")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exit = make(chan error, 1)
	go func(cmd *exec.Cmd, exit chan<- error) { exit <- cmd.Wait() }(s.cmd, s.exit)
	s.waitReady()
	return time.Since(begin)
}

func (s *Server) waitReady() {
	s.t.Helper()
	deadline := time.After(readyWithin)
	tick := time.NewTicker(2 * time.Millisecond) // how exact the answer of Start is
	defer tick.Stop()
	for !s.Ready() {
		select {
		case err := <-s.exit:
			s.cmd = nil
			s.t.Fatalf("the server ended before it was ready: %v\n%s", err, s.Logs())
		case <-deadline:
			s.t.Fatalf("the server is not ready after %s\n%s", readyWithin, s.Logs())
		case <-tick.C:
		}
	}
}

// PID is the id of the running process, so that a test can look at what it takes.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Ready reports whether /readyz says so now. A server that does not answer within two seconds is not.
func (s *Server) Ready() bool {
	// A connection of its own: one kept from before a kill would fail once without a reason.
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	resp, err := c.Get(s.Private + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Kill ends the process at once, as a power cut would (SIGKILL), paused or not, and waits until it is gone.
func (s *Server) Kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	<-s.exit
	s.cmd = nil
}

// Stop asks the process to end (SIGTERM), waits, and answers how it exited: nil for code 0.
func (s *Server) Stop() error {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	err := <-s.exit
	s.cmd = nil
	return err
}

// Pause stops the process's clock (SIGSTOP): connections stay open and nothing answers. Resume lets it go on.
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	// The signal only asks: on a busy machine a thread goes on for a moment, and could answer.
	for deadline := time.Now().Add(readyWithin); !stopped(s.cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("the server does not stop on SIGSTOP")
		}
	}
}

// stopped reports whether every thread of a process stands still, as far as the system tells (Linux's proc(5)).
func stopped(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is well formed
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// Resume takes back Pause (SIGCONT).
func (s *Server) Resume() { s.t.Helper(); s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.cmd == nil {
		s.t.Fatalf("%v: the server does not run", sig)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("%v: %v; the server ended by itself\n%s", sig, err, s.Logs())
	}
}

// Run runs the command beside the server, on the same files, with stdin as its standard input, and answers its standard output.
func (s *Server) Run(stdin string, args ...string) string {
	s.t.Helper()
	cmd := s.command(s.t.Context(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("understudy %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func (s *Server) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, Binary(s.t), args...)
	cmd.Dir, cmd.Env = s.Dir, s.env
	return cmd
}

// Logs is what all processes of this server wrote so far.
func (s *Server) Logs() string { return s.logs.String() }

// logs keeps what a process writes.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
